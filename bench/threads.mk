# Benchmarks of threads. Included by the Makefile; also works alone: `make -f bench/threads.mk bench-threads`.
#
#   make bench-threads      builds build/bench_threads (slim counts), and -standard, and with jemalloc, where installed
#   make bench-threads-run  runs the first on THREADS_SETS, writes build/bench/DATASET-threads.tsv
#
# THREADS_ARGS adds options (`--threads 8 --pin`).

BUILD ?= build
BENCH_CC ?= $(CC)
BENCH_OPT ?= -O3 -march=native
BENCH_WARN ?= -Wall -Wextra -Wpedantic -Wshadow -Wconversion
THREADS_SETS ?= words wordnet u64sparse
THREADS_ARGS ?=

bench_threads_c = $(BENCH_CC) -std=c11 $(BENCH_OPT) $(BENCH_WARN) -DBENCH_FLAGS='"$(BENCH_OPT)"' -I. -pthread
bench_threads_programs := $(BUILD)/bench_threads $(BUILD)/bench_threads-standard $(BUILD)/bench_threads-malloc
ifneq ($(wildcard /usr/include/jemalloc/jemalloc.h /usr/local/include/jemalloc/jemalloc.h),)
bench_threads_programs += $(BUILD)/bench_threads-jemalloc
endif

.PHONY: bench-threads bench-threads-run

bench-threads: $(bench_threads_programs)

$(BUILD)/bench_threads: bench/bench_threads.c bench/bench.h pathmap.h
	@mkdir -p $(@D)
	$(bench_threads_c) -o $@ $<
$(BUILD)/bench_threads-standard: bench/bench_threads.c bench/bench.h pathmap.h
	@mkdir -p $(@D)
	$(bench_threads_c) -DPATHMAP_SLIM_PTRS=0 -o $@ $<
# Each node one malloc: with the C library's, and with jemalloc's.
$(BUILD)/bench_threads-malloc: bench/bench_threads.c bench/bench.h pathmap.h
	@mkdir -p $(@D)
	$(bench_threads_c) -DPM_POOL=0 -o $@ $<
$(BUILD)/bench_threads-jemalloc: bench/bench_threads.c bench/bench.h pathmap.h
	@mkdir -p $(@D)
	$(bench_threads_c) -DPM_POOL=0 -DPATHMAP_JEMALLOC=1 -o $@ $< -ljemalloc

bench-threads-run: $(BUILD)/bench_threads
	@mkdir -p $(BUILD)/bench
	for s in $(THREADS_SETS); do \
	    $(BUILD)/bench_threads --keys $(BUILD)/data/$$s.keys --name $$s $(THREADS_ARGS) > $(BUILD)/bench/$$s-threads.tsv \
	        || exit 1; \
	done
