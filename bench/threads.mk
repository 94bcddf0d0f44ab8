# Benchmarks of threads. Included by the Makefile; also works alone: `make -f bench/threads.mk bench-threads`.
#
#   make bench-threads      builds build/bench_threads (slim counts, nodes from the built-in pool), and with
#                           -std-pool standard counts, -malloc a malloc for each node, -jemalloc a jemalloc for each
#                           and build/bench_contention, which counts writes to cache lines that threads have in common
#   make bench-threads-run  runs all of them in turn on THREADS_SETS, THREADS_ROUNDS times over, and writes
#                           build/bench/DATASET-threads.tsv; `make bench-report` makes tables and curves of that
#
# THREADS_ARGS adds options (`--threads 8 --pin`).

BUILD ?= build
BENCH_CC ?= $(CC)
BENCH_OPT ?= -O3 -march=native
BENCH_WARN ?= -Wall -Wextra -Wpedantic -Wshadow -Wconversion
THREADS_SETS ?= words wordnet u64sparse
THREADS_ROUNDS ?= 3
THREADS_ARGS ?=

threads_dir := $(BUILD)/bench/threads
threads_c = $(BENCH_CC) -std=c11 $(BENCH_OPT) $(BENCH_WARN) -I. -pthread -MMD -MP
threads_objects := $(patsubst bench/%.c,$(threads_dir)/%.o, \
    bench/bench_threads.c $(filter-out %_library.c,$(wildcard bench/threads_*.c)))
threads_programs := $(BUILD)/bench_threads $(BUILD)/bench_threads-std-pool $(BUILD)/bench_threads-malloc
ifneq ($(wildcard /usr/include/jemalloc/jemalloc.h /usr/local/include/jemalloc/jemalloc.h),)
threads_programs += $(BUILD)/bench_threads-jemalloc
endif

THREADS_FLAGS_pool :=
THREADS_FLAGS_std-pool := -DPATHMAP_SLIM_PTRS=0
THREADS_FLAGS_malloc := -DPM_POOL=0
THREADS_FLAGS_jemalloc := -DPM_POOL=0 -DPATHMAP_JEMALLOC=1
THREADS_LIBS_jemalloc := -ljemalloc

.PHONY: bench bench-threads bench-threads-run

bench: bench-threads
bench-threads: $(threads_programs) $(BUILD)/bench_contention

# Rows know only the header's declarations, so the programs differ in one object.
$(threads_dir)/%.o: bench/%.c pathmap.h
	@mkdir -p $(@D)
	$(threads_c) -DBENCH_FLAGS='"$(BENCH_OPT)"' -c -o $@ $<
$(threads_dir)/library-%.o: bench/threads_library.c pathmap.h
	@mkdir -p $(@D)
	$(threads_c) $(THREADS_FLAGS_$*) -c -o $@ $<
$(BUILD)/bench_threads: $(threads_objects) $(threads_dir)/library-pool.o
	$(BENCH_CC) $(BENCH_OPT) -pthread -o $@ $^
$(BUILD)/bench_threads-%: $(threads_objects) $(threads_dir)/library-%.o
	$(BENCH_CC) $(BENCH_OPT) -pthread -o $@ $^ $(THREADS_LIBS_$*)
.PRECIOUS: $(threads_dir)/library-%.o
$(BUILD)/bench_contention: bench/bench_contention.c pathmap.h
	@mkdir -p $(@D)
	$(BENCH_CC) -std=c11 $(BENCH_OPT) $(BENCH_WARN) -I. -pthread -o $@ $<

bench-threads-run: bench-threads
	@$(if $(filter %-jemalloc,$(threads_programs)),,echo "SKIPPED jemalloc: its header is not installed" >&2)
	@set -e; for name in $(THREADS_SETS); do \
	    if [ ! -f $(BUILD)/data/$$name.keys ]; then \
	        echo "SKIPPED $$name: $(BUILD)/data/$$name.keys is not there (make bench-data)" >&2; continue; \
	    fi; \
	    out=$(BUILD)/bench/$$name-threads.tsv; : > $$out.new; \
	    for round in $$(seq $(THREADS_ROUNDS)); do for program in $(threads_programs); do \
	        $$program --keys $(BUILD)/data/$$name.keys --name $$name $(THREADS_ARGS) >> $$out.new; \
	    done; done; \
	    mv $$out.new $$out; \
	done

-include $(wildcard $(threads_dir)/*.d)
