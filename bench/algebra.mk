# Benchmarks of algebra. Included by the Makefile; also works alone: `make -f bench/algebra.mk bench-algebra`.
#
#   make bench-algebra-report   does everything: builds, measures every key file of build/data (`make bench-data` makes
#                               them), writes build/bench/DATASET-algebra.tsv, prints the tables with goals met and
#                               missed, and writes them to build/bench/algebra.md. Some ten minutes; wants a quiet
#                               machine
#   make bench-algebra          builds build/bench_algebra; with rivals, where there is a C++ compiler; and without them
#                               -std with standard counts, -O2 as a plain build; and build/bench_parallel, teams of threads
#   make bench-algebra-run      measures, without the tables
#
# ALGEBRA_SETS narrows the sets, ALGEBRA_ARGS adds options (`--runs 3 --ops join_halves,hash`).

BUILD ?= build
PYTHON ?= python3
BENCH_CC ?= $(CC)
BENCH_CXX ?= $(CXX)
BENCH_OPT ?= -O3 -march=native
BENCH_PLAIN ?= -O2
BENCH_WARN ?= -Wall -Wextra -Wpedantic -Wshadow -Wconversion
ALGEBRA_SETS ?= words wordnet paths long logic u64dense u64sparse
ALGEBRA_ARGS ?=

algebra_dir := $(BUILD)/bench
algebra_objects := $(algebra_dir)/bench_algebra.o
algebra_link = $(BENCH_CC)
ifneq ($(shell command -v $(firstword $(BENCH_CXX)) 2>/dev/null),)
algebra_objects += $(algebra_dir)/std_algebra.o
algebra_std := -DBENCH_STD=1
algebra_link = $(BENCH_CXX)
endif

.PHONY: bench bench-algebra bench-algebra-run bench-algebra-report

bench: bench-algebra
# Beside slim counts with $(BENCH_OPT).
ALGEBRA_KINDS ?= std O2
bench-algebra: $(BUILD)/bench_algebra $(ALGEBRA_KINDS:%=$(BUILD)/bench_algebra-%) $(BUILD)/bench_parallel

$(BUILD)/bench_algebra: $(algebra_objects)
	$(algebra_link) $(BENCH_OPT) -pthread -o $@ $^
$(algebra_dir)/bench_algebra.o: bench/bench_algebra.c bench/bench_algebra.h bench/bench.h pathmap.h
	@mkdir -p $(@D)
	$(BENCH_CC) -std=c11 $(BENCH_OPT) $(BENCH_WARN) -I. -pthread -DBENCH_FLAGS='"$(BENCH_OPT)"' $(algebra_std) -c -o $@ $<
algebra_c = $(BENCH_CC) -std=c11 $(BENCH_WARN) -I. -pthread
$(BUILD)/bench_algebra-std: bench/bench_algebra.c bench/bench_algebra.h bench/bench.h pathmap.h
	@mkdir -p $(@D)
	$(algebra_c) $(BENCH_OPT) -DPATHMAP_SLIM_PTRS=0 -DENGINE_NAME='"pathmap-std"' -DBENCH_FLAGS='"$(BENCH_OPT)"' -o $@ $<
$(BUILD)/bench_algebra-O2: bench/bench_algebra.c bench/bench_algebra.h bench/bench.h pathmap.h
	@mkdir -p $(@D)
	$(algebra_c) $(BENCH_PLAIN) -DENGINE_NAME='"pathmap-O2"' -DBENCH_FLAGS='"$(BENCH_PLAIN)"' -o $@ $<
$(BUILD)/bench_parallel: bench/bench_parallel.c bench/bench.h pathmap.h
	@mkdir -p $(@D)
	$(algebra_c) $(BENCH_OPT) -DBENCH_FLAGS='"$(BENCH_OPT)"' -o $@ $<
$(algebra_dir)/std_algebra.o: bench/rivals/std_algebra.cc bench/bench_algebra.h bench/bench.h
	@mkdir -p $(@D)
	$(BENCH_CXX) -std=c++20 $(BENCH_OPT) $(BENCH_WARN) -pthread -c -o $@ $<

bench-algebra-run: bench-algebra
	@set -e; for name in $(ALGEBRA_SETS); do \
	    if [ -f $(BUILD)/data/$$name.keys ]; then \
	        $(BUILD)/bench_algebra --keys $(BUILD)/data/$$name.keys --name $$name $(ALGEBRA_ARGS) \
	            > $(algebra_dir)/$$name-algebra.tsv; \
	    else \
	        echo "SKIPPED $$name: $(BUILD)/data/$$name.keys is not there (make bench-data)" >&2; \
	    fi; \
	done

bench-algebra-report: bench-algebra-run
	$(PYTHON) bench/report_algebra.py --markdown $(algebra_dir)/algebra.md $(algebra_dir)/*-algebra.tsv
