# Benchmarks of interners. Included by the Makefile; also works alone: `make -f bench/interning.mk bench-interning`.
#
#   make bench                 builds build/bench_interning too
#   make bench-interning-run   runs it on words with one thread and with two, writes build/bench/interning*.tsv
#
# INTERNING_SETS names the key files in build/data (make bench-data), INTERNING_ARGS adds options (`--runs 3`).

BUILD ?= build
BENCH_CC ?= $(CC)
BENCH_CXX ?= $(CXX)
BENCH_OPT ?= -O3 -march=native
BENCH_WARN ?= -Wall -Wextra -Wpedantic -Wshadow -Wconversion
INTERNING_SETS ?= words
INTERNING_ARGS ?=

interning_dir := $(BUILD)/bench
interning_headers := bench/bench.h bench/rivals_interning/engine.h

.PHONY: bench bench-interning bench-interning-run

# Its rivals are in C++.
ifneq ($(shell command -v $(firstword $(BENCH_CXX)) 2>/dev/null),)
bench: bench-interning
endif
bench-interning: $(BUILD)/bench_interning

$(BUILD)/bench_interning: $(interning_dir)/bench_interning.o $(interning_dir)/interning_ours.o \
        $(interning_dir)/interning_locked_maps.o
	$(BENCH_CXX) $(BENCH_OPT) -pthread -o $@ $^

$(interning_dir)/bench_interning.o: bench/bench_interning.c $(interning_headers)
	@mkdir -p $(@D)
	$(BENCH_CC) -std=c11 $(BENCH_OPT) $(BENCH_WARN) -DBENCH_FLAGS='"$(BENCH_OPT)"' -pthread -c -o $@ $<

$(interning_dir)/interning_ours.o: bench/rivals_interning/ours.c interning.h $(interning_headers)
	@mkdir -p $(@D)
	$(BENCH_CC) -std=c11 $(BENCH_OPT) $(BENCH_WARN) -D_DEFAULT_SOURCE -pthread -c -o $@ $<

$(interning_dir)/interning_locked_maps.o: bench/rivals_interning/locked_maps.cc $(interning_headers)
	@mkdir -p $(@D)
	$(BENCH_CXX) -std=c++20 $(BENCH_OPT) $(BENCH_WARN) -pthread -c -o $@ $<

bench-interning-run: bench-interning
	@set -e; for name in $(INTERNING_SETS); do \
	    if [ -f $(BUILD)/data/$$name.keys ]; then \
	        for threads in 1 2; do \
	            $(BUILD)/bench_interning --keys $(BUILD)/data/$$name.keys --name $$name --threads $$threads \
	                $(INTERNING_ARGS) > $(interning_dir)/interning-$$name-$$threads.tsv; \
	        done; \
	    else \
	        echo "SKIPPED $$name: $(BUILD)/data/$$name.keys is not there (make bench-data)" >&2; \
	    fi; \
	done
