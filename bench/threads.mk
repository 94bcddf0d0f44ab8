# Benchmarks of threads. Included by the Makefile; also works alone: `make -f bench/threads.mk bench-threads`.
#
#   make bench-threads      builds build/bench_threads (slim counts, nodes from the built-in pool), and with
#                           -std-pool standard counts, -malloc a malloc for each node, -jemalloc a jemalloc for each
#                           beside tbb's and liburcu's hash tables where they are installed; and
#                           build/bench_contention, which counts writes to cache lines that threads have in common
#   make bench-threads-run  runs all of them in turn on THREADS_SETS, THREADS_ROUNDS times over, and writes
#                           build/bench/DATASET-threads.tsv; `make bench-report` makes tables and curves of that
#
#   make bench-scaling      1 to 256 threads on 1,000 to 100,000 elements (build/bench_scaling), beside the model of
#                           bench_contention: writes the tables of docs/concurrency.md and docs/scaling.svg, in about
#                           two minutes; SCALING_ARGS adds options
#   make bench-locks        reads and writes under locks, on LOCKS_KEYS: writes the table of docs/concurrency.md
#
# THREADS_ARGS adds options (`--threads 8 --pin`).

BUILD ?= build
BENCH_CC ?= $(CC)
BENCH_CXX ?= $(CXX)
BENCH_OPT ?= -O3 -march=native
BENCH_WARN ?= -Wall -Wextra -Wpedantic -Wshadow -Wconversion
THREADS_SETS ?= words wordnet u64sparse
THREADS_ROUNDS ?= 3
THREADS_ARGS ?=
LOCKS_KEYS ?= $(BUILD)/data/words.keys
comma := ,
space := $(subst ,, )
locks_rows = $(subst $(space),$(comma),$(strip map_get shared_get mutex_get rwlock_get $(foreach mix,mixed half \
    writes,$(foreach lock,mutex rwlock adaptive shards shards_adaptive shards256 \
    $(patsubst $(threads_dir)/rival-%.o,%,$(filter $(threads_dir)/rival-%,$(threads_objects))),$(lock)_$(mix)))))

threads_dir := $(BUILD)/bench/threads
threads_c = $(BENCH_CC) -std=c11 $(BENCH_OPT) $(BENCH_WARN) -I. -pthread -MMD -MP
threads_objects := $(patsubst bench/%.c,$(threads_dir)/%.o, \
    bench/bench_threads.c $(filter-out %_library.c,$(wildcard bench/threads_*.c)))
threads_link = $(BENCH_CC)
ifneq ($(wildcard /usr/include/urcu/rculfhash.h /usr/include/*/urcu/rculfhash.h),)
threads_objects += $(threads_dir)/rival-urcu.o
threads_rivals += -DBENCH_URCU=1
threads_libs += -lurcu-cds -lurcu-memb
endif
ifneq ($(wildcard /usr/include/tbb/concurrent_hash_map.h /usr/local/include/tbb/concurrent_hash_map.h),)
ifneq ($(shell command -v $(firstword $(BENCH_CXX)) 2>/dev/null),)
threads_objects += $(threads_dir)/rival-tbb.o
threads_rivals += -DBENCH_TBB=1
threads_libs += -ltbb
threads_link = $(BENCH_CXX)
endif
endif
# Beside slim counts from the pool.
THREADS_KINDS ?= std-pool malloc
threads_programs := $(BUILD)/bench_threads $(THREADS_KINDS:%=$(BUILD)/bench_threads-%)
ifneq ($(wildcard /usr/include/jemalloc/jemalloc.h /usr/local/include/jemalloc/jemalloc.h),)
threads_programs += $(BUILD)/bench_threads-jemalloc
endif

THREADS_FLAGS_pool :=
THREADS_FLAGS_std-pool := -DPATHMAP_SLIM_PTRS=0
THREADS_FLAGS_malloc := -DPM_POOL=0
THREADS_FLAGS_jemalloc := -DPM_POOL=0 -DPATHMAP_JEMALLOC=1
THREADS_LIBS_jemalloc := -ljemalloc

.PHONY: bench bench-threads bench-threads-run bench-scaling bench-locks

bench: bench-threads
bench-threads: $(threads_programs) $(BUILD)/bench_contention $(BUILD)/bench_scaling

# Rows know only the header's declarations, so the programs differ in one object.
$(threads_dir)/%.o: bench/%.c pathmap.h
	@mkdir -p $(@D)
	$(threads_c) $(threads_rivals) -DBENCH_FLAGS='"$(BENCH_OPT)"' -c -o $@ $<
$(threads_dir)/rival-%.o: bench/rivals_threads/%.c bench/rivals_threads/rival.h
	@mkdir -p $(@D)
	$(BENCH_CC) -std=c11 $(BENCH_OPT) $(BENCH_WARN) -pthread -c -o $@ $<
$(threads_dir)/rival-%.o: bench/rivals_threads/%.cc bench/rivals_threads/rival.h
	@mkdir -p $(@D)
	$(BENCH_CXX) -std=c++20 $(BENCH_OPT) $(BENCH_WARN) -pthread -c -o $@ $<
$(threads_dir)/library-%.o: bench/threads_library.c pathmap.h
	@mkdir -p $(@D)
	$(threads_c) $(THREADS_FLAGS_$*) -c -o $@ $<
$(BUILD)/bench_threads: $(threads_objects) $(threads_dir)/library-pool.o
	$(threads_link) $(BENCH_OPT) -pthread -o $@ $^ $(threads_libs)
$(BUILD)/bench_threads-%: $(threads_objects) $(threads_dir)/library-%.o
	$(threads_link) $(BENCH_OPT) -pthread -o $@ $^ $(THREADS_LIBS_$*) $(threads_libs)
.PRECIOUS: $(threads_dir)/library-%.o
$(BUILD)/bench_contention: bench/bench_contention.c pathmap.h interning.h
	@mkdir -p $(@D)
	$(BENCH_CC) -std=c11 $(BENCH_OPT) $(BENCH_WARN) -I. -pthread -o $@ $<

$(BUILD)/bench_scaling: bench/bench_scaling.c bench/bench.h pathmap.h interning.h
	@mkdir -p $(@D)
	$(BENCH_CC) -std=c11 $(BENCH_OPT) $(BENCH_WARN) -DBENCH_FLAGS='"$(BENCH_OPT)"' -I. -pthread -o $@ $<

bench-scaling: $(BUILD)/bench_scaling $(BUILD)/bench_contention
	@mkdir -p $(BUILD)/bench
	$(BUILD)/bench_scaling $(SCALING_ARGS) > $(BUILD)/bench/scaling.txt
	$(BUILD)/bench_contention > $(BUILD)/bench/contention.txt
	python3 bench/report_page.py scaling $(BUILD)/bench/scaling.txt $(BUILD)/bench/contention.txt docs

bench-locks: $(BUILD)/bench_threads
	@mkdir -p $(BUILD)/bench
	$(BUILD)/bench_threads --keys $(LOCKS_KEYS) --name words --threads 2 --runs 5 --ops $(locks_rows) \
	    > $(BUILD)/bench/locks.tsv
	python3 bench/report_page.py locks $(BUILD)/bench/locks.tsv docs

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
