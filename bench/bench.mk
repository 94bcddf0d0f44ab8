# Benchmarks of maps. Included by the Makefile; also works alone: `make -f bench/bench.mk bench`.
#
#   make bench-data   makes the key files in build/data
#   make bench        builds build/bench_map with every rival whose package is installed, build/bench_sets with those
#                     for sets of integers, build/bench_views, build/bench_order, build/bench_diff, build/bench_store,
#                     build/bench_image, and build/bench_fst if BENCH_FST names the folder of that source (rustc)
#   make bench-run    runs it on every key file, writes build/bench/DATASET.tsv
#   make bench-results runs all programs on all key files, in three rounds within RESULTS_MINUTES (24), keeps what they
#                     printed in bench/results, and writes bench/RESULTS.md from that. RESULTS_NOTE says of the run what
#                     one should know (the machine was busy); RESULTS_ARGS adds options (bench/results.py --help)
#   make bench-report writes bench/RESULTS.md, the curves, and the tables of README.md, docs/count_modes.md and
#                     docs/formats.md from bench/results
#   make bench-smoke  builds all measuring programs as the compiler does soonest, and runs them on a few keys
#
#   make bench-growth makes and measures sets of many sizes (bench/data.py: rand.., url..), for curves of growth
#
# BENCH_SETS narrows the sets, BENCH_ARGS adds options (`--runs 3`), BENCH_EXTRA names further objects to link, each
# of which announces an engine (see bench/engine.h), BENCH_LIBS the libraries they need.

BUILD ?= build
PYTHON ?= python3
PKG_CONFIG ?= pkg-config
BENCH_CC ?= $(CC)
BENCH_CXX ?= $(CXX)
BENCH_OPT ?= -O3 -march=native
BENCH_PLAIN ?= -O2
BENCH_WARN ?= -Wall -Wextra -Wpedantic -Wshadow -Wconversion
BENCH_SETS ?= words wordnet paths long logic u64dense u64sparse
BENCH_ARGS ?=
BENCH_EXTRA ?=
BENCH_LIBS ?=
BENCH_OURS ?= engine_slim engine_standard engine_plain

bench_dir := $(BUILD)/bench
bench_c = -std=c11 $(BENCH_OPT) $(BENCH_WARN) -I. -pthread
bench_cxx = -std=c++20 $(BENCH_OPT) $(BENCH_WARN) -pthread
bench_objects := $(bench_dir)/bench_map.o $(BENCH_OURS:%=$(bench_dir)/%.o)
bench_libs :=
bench_order_objects := $(bench_dir)/bench_order.o
bench_order_libs :=
bench_diff_objects := $(bench_dir)/bench_diff.o
bench_sets_objects := $(bench_dir)/bench_sets.o $(patsubst engine_%,$(bench_dir)/sets_%.o,$(BENCH_OURS))
bench_sets_libs :=
bench_store_objects := $(bench_dir)/bench_store.o
bench_store_libs :=
bench_image_flags :=
bench_image_libs :=
bench_link = $(BENCH_CC)

bench_installed = $(shell $(PKG_CONFIG) --exists $(1) 2>/dev/null && echo yes)

ifneq ($(wildcard /usr/include/Judy.h /usr/local/include/Judy.h),)
bench_objects += $(bench_dir)/judysl.o $(bench_dir)/judyl.o $(bench_dir)/judyhs.o
bench_libs += -lJudy
bench_sets_objects += $(bench_dir)/sets_judy.o
bench_sets_libs += -lJudy
endif
ifeq ($(call bench_installed,glib-2.0),yes)
bench_objects += $(bench_dir)/glib.o
bench_libs += $(shell $(PKG_CONFIG) --libs glib-2.0)
endif
ifeq ($(call bench_installed,hat-trie-0.1),yes)
bench_objects += $(bench_dir)/hattrie.o
bench_libs += -lhat-trie
endif
ifneq ($(wildcard /usr/include/lmdb.h /usr/local/include/lmdb.h),)
bench_objects += $(bench_dir)/lmdb.o
bench_libs += -llmdb
bench_order_objects += $(bench_dir)/order_lmdb.o
bench_order_libs += -llmdb
bench_store_objects += $(bench_dir)/store_lmdb.o
bench_store_libs += -llmdb
endif
ifeq ($(call bench_installed,sqlite3),yes)
bench_store_objects += $(bench_dir)/store_sqlite.o
bench_store_libs += -lsqlite3
endif
ifeq ($(call bench_installed,zlib),yes)
bench_image_flags += -DPATHMAP_ZLIB=1
bench_image_libs += -lz
endif
ifneq ($(shell command -v $(firstword $(BENCH_CXX)) 2>/dev/null),)
bench_objects += $(bench_dir)/std_maps.o
bench_order_objects += $(bench_dir)/order_std.o
bench_sets_objects += $(bench_dir)/sets_cxx.o
bench_link = $(BENCH_CXX)
ifneq ($(wildcard /usr/include/marisa.h /usr/local/include/marisa.h),)
bench_store_objects += $(bench_dir)/store_marisa.o
bench_store_libs += -lmarisa
endif
ifneq ($(wildcard /usr/include/roaring/roaring64map.hh /usr/local/include/roaring/roaring64map.hh),)
bench_sets_objects += $(bench_dir)/sets_roaring.o
bench_sets_libs += -lroaring
endif
ifeq ($(call bench_installed,absl_btree),yes)
bench_objects += $(bench_dir)/absl_btree.o
bench_libs += $(shell $(PKG_CONFIG) --libs absl_btree)
bench_order_libs += $(shell $(PKG_CONFIG) --libs absl_btree)
bench_order_flags := -DORDER_ABSL
bench_sets_libs += $(shell $(PKG_CONFIG) --libs absl_btree)
bench_sets_flags := -DSETS_ABSL
endif
endif


# Rivals that no distribution has: each is built when its variable names the folder of its source. They are compiled as
# their authors do, without our warnings.
BENCH_WORMHOLE ?=
BENCH_LIBART ?=
BENCH_HOT ?=
BENCH_IMMER ?=
ifneq ($(BENCH_WORMHOLE),)
bench_objects += $(bench_dir)/wormhole.o $(addprefix $(bench_dir)/wormhole-,lib.o kv.o wh.o)
bench_libs += -lm
endif
ifneq ($(BENCH_LIBART),)
bench_objects += $(bench_dir)/libart.o $(bench_dir)/libart-art.o
endif
ifneq ($(BENCH_HOT),)
bench_objects += $(bench_dir)/hot.o
endif
ifneq ($(BENCH_IMMER),)
bench_objects += $(bench_dir)/immer.o
bench_diff_objects += $(bench_dir)/diff_immer.o
endif

# A rival in Rust, of version 0.4, likewise: a program of its own.
BENCH_RUSTC ?= rustc
BENCH_FST ?=
bench_fst := $(if $(BENCH_FST),$(BUILD)/bench_fst)

bench_headers := bench/bench.h bench/engine.h

.PHONY: bench bench-data bench-growth bench-run bench-report bench-results bench-smoke

bench: $(BUILD)/bench_map $(BUILD)/bench_sets $(BUILD)/bench_views $(BUILD)/bench_order $(BUILD)/bench_diff \
    $(BUILD)/bench_store $(BUILD)/bench_image $(bench_fst)

$(BUILD)/bench_map: $(bench_objects) $(BENCH_EXTRA)
	$(bench_link) $(BENCH_OPT) -pthread -o $@ $^ $(bench_libs) $(BENCH_LIBS)

$(bench_dir):
	mkdir -p $@

$(BUILD)/bench_views: $(bench_dir)/bench_views.o
	$(BENCH_CC) $(BENCH_OPT) -pthread -o $@ $^
$(bench_dir)/bench_views.o: bench/bench_views.c bench/bench.h pathmap.h | $(bench_dir)
	$(BENCH_CC) $(bench_c) -DBENCH_FLAGS='"$(BENCH_OPT)"' -c -o $@ $<

$(BUILD)/bench_order: $(bench_order_objects)
	$(bench_link) $(BENCH_OPT) -pthread -o $@ $^ $(bench_order_libs)
$(bench_dir)/bench_order.o: bench/bench_order.c bench/order.h bench/bench.h pathmap.h | $(bench_dir)
	$(BENCH_CC) $(bench_c) -DPATHMAP_SLIM_PTRS=1 -DBENCH_FLAGS='"$(BENCH_OPT)"' -c -o $@ $<
$(bench_dir)/order_std.o: bench/rivals/order_std.cc bench/order.h bench/bench.h | $(bench_dir)
	$(BENCH_CXX) $(bench_cxx) $(bench_order_flags) -c -o $@ $<

$(bench_dir)/order_lmdb.o: bench/rivals/order_lmdb.c bench/order.h bench/bench.h | $(bench_dir)
	$(BENCH_CC) $(bench_c) -c -o $@ $<

$(BUILD)/bench_store: $(bench_store_objects)
	$(bench_link) $(BENCH_OPT) -pthread -o $@ $^ $(bench_store_libs)
$(bench_dir)/bench_store.o: bench/bench_store.c bench/stores.h bench/bench.h pathmap.h | $(bench_dir)
	$(BENCH_CC) $(bench_c) -DPATHMAP_SLIM_PTRS=1 -DBENCH_FLAGS='"$(BENCH_OPT)"' -c -o $@ $<
$(bench_dir)/store_lmdb.o $(bench_dir)/store_sqlite.o: $(bench_dir)/%.o: bench/rivals/%.c bench/stores.h bench/bench.h \
        | $(bench_dir)
	$(BENCH_CC) $(bench_c) -c -o $@ $<

$(bench_dir)/store_marisa.o: bench/rivals/store_marisa.cc bench/stores.h bench/bench.h | $(bench_dir)
	$(BENCH_CXX) $(bench_cxx) -c -o $@ $<

$(BUILD)/bench_image: $(bench_dir)/bench_image.o
	$(BENCH_CC) $(BENCH_OPT) -pthread -o $@ $^ $(bench_image_libs)
$(bench_dir)/bench_image.o: bench/bench_image.c bench/bench.h pathmap.h | $(bench_dir)
	$(BENCH_CC) $(bench_c) -DPATHMAP_SLIM_PTRS=1 $(bench_image_flags) -DBENCH_FLAGS='"$(BENCH_OPT)"' -c -o $@ $<

$(bench_dir)/libfst.rlib: $(BENCH_FST)/src/lib.rs | $(bench_dir)
	$(BENCH_RUSTC) --edition 2018 --cap-lints allow -o $(bench_dir)/fst-tables $(BENCH_FST)/build.rs
	OUT_DIR=$(bench_dir) $(bench_dir)/fst-tables > /dev/null
	OUT_DIR=$(abspath $(bench_dir)) $(BENCH_RUSTC) --edition 2018 --crate-type rlib --crate-name fst \
	    --cap-lints allow -C opt-level=3 -C target-cpu=native -o $@ $<
$(BUILD)/bench_fst: bench/rivals/fst.rs $(bench_dir)/libfst.rlib
	$(BENCH_RUSTC) --edition 2021 -C opt-level=3 -C target-cpu=native --extern fst=$(bench_dir)/libfst.rlib -o $@ $<

$(BUILD)/bench_diff: $(bench_diff_objects)
	$(bench_link) $(BENCH_OPT) -pthread -o $@ $^
$(bench_dir)/diff_immer.o: bench/rivals/diff_immer.cc bench/diff.h bench/rivals/cxx_map.h bench/bench.h | $(bench_dir)
	$(BENCH_CXX) $(bench_cxx) -isystem $(BENCH_IMMER) -c -o $@ $<
$(bench_dir)/bench_diff.o: bench/bench_diff.c bench/diff.h bench/bench.h pathmap.h | $(bench_dir)
	$(BENCH_CC) $(bench_c) -DBENCH_FLAGS='"$(BENCH_OPT)"' -c -o $@ $<

$(bench_dir)/bench_map.o: bench/bench_map.c $(bench_headers) | $(bench_dir)
	$(BENCH_CC) $(bench_c) -DBENCH_FLAGS='"$(BENCH_OPT)"' -c -o $@ $<

# Ours in both count modes, and once as a plain -O2 build for any processor. (Of the rivals those are plain that come as
# libraries: Judy, LMDB, glib, HAT-trie, CRoaring.)
bench_ours_slim = $(bench_c) -DPATHMAP_SLIM_PTRS=1 -DENGINE_NAME='"pathmap"' -DENGINE_RANK=1
bench_ours_standard = $(bench_c) -DPATHMAP_SLIM_PTRS=0 -DENGINE_NAME='"pathmap-std"' -DENGINE_RANK=2
bench_ours_plain = -std=c11 $(BENCH_PLAIN) $(BENCH_WARN) -I. -pthread -DPATHMAP_SLIM_PTRS=1 \
    -DENGINE_NAME='"pathmap-O2"' -DENGINE_RANK=3
$(bench_dir)/engine_slim.o $(bench_dir)/engine_standard.o $(bench_dir)/engine_plain.o: $(bench_dir)/engine_%.o: \
        bench/engine_pathmap.c pathmap.h $(bench_headers) | $(bench_dir)
	$(BENCH_CC) $(bench_ours_$*) -c -o $@ $<
$(bench_dir)/sets_slim.o $(bench_dir)/sets_standard.o $(bench_dir)/sets_plain.o: $(bench_dir)/sets_%.o: \
        bench/sets_pathmap.c pathmap.h bench/sets.h $(bench_headers) | $(bench_dir)
	$(BENCH_CC) $(bench_ours_$*) -c -o $@ $<

$(BUILD)/bench_sets: $(bench_sets_objects)
	$(bench_link) $(BENCH_OPT) -pthread -o $@ $^ $(bench_sets_libs)
$(bench_dir)/bench_sets.o: bench/bench_sets.c bench/sets.h $(bench_headers) | $(bench_dir)
	$(BENCH_CC) $(bench_c) -DBENCH_FLAGS='"$(BENCH_OPT)"' -c -o $@ $<
$(bench_dir)/sets_judy.o: bench/rivals/sets_judy.c bench/sets.h $(bench_headers) | $(bench_dir)
	$(BENCH_CC) $(bench_c) -c -o $@ $<
$(bench_dir)/sets_cxx.o: bench/rivals/sets_cxx.cc bench/sets.h $(bench_headers) | $(bench_dir)
	$(BENCH_CXX) $(bench_cxx) $(bench_sets_flags) -c -o $@ $<
$(bench_dir)/sets_roaring.o: bench/rivals/sets_roaring.cc bench/sets.h $(bench_headers) | $(bench_dir)
	$(BENCH_CXX) $(bench_cxx) -c -o $@ $<

$(bench_dir)/glib.o: bench/rivals/glib.c $(bench_headers) | $(bench_dir)
	$(BENCH_CC) $(bench_c) $$($(PKG_CONFIG) --cflags glib-2.0 | sed 's/-I/-isystem /g') -c -o $@ $<

$(bench_dir)/wormhole.o: bench/rivals/wormhole.c $(bench_headers) | $(bench_dir)
	$(BENCH_CC) -std=gnu11 $(BENCH_OPT) -pthread -isystem $(BENCH_WORMHOLE) -c -o $@ $<
$(bench_dir)/wormhole-%.o: $(BENCH_WORMHOLE)/%.c | $(bench_dir)
	$(BENCH_CC) -std=gnu11 $(BENCH_OPT) -DNDEBUG -w -pthread -I$(BENCH_WORMHOLE) -c -o $@ $<
$(bench_dir)/libart.o: bench/rivals/libart.c $(bench_headers) | $(bench_dir)
	$(BENCH_CC) -std=gnu11 $(BENCH_OPT) -isystem $(BENCH_LIBART)/src -c -o $@ $<
$(bench_dir)/libart-art.o: $(BENCH_LIBART)/src/art.c | $(bench_dir)
	$(BENCH_CC) -std=gnu11 $(BENCH_OPT) -w -c -o $@ $<
$(bench_dir)/hot.o: bench/rivals/hot.cc bench/rivals/cxx_map.h $(bench_headers) | $(bench_dir)
	$(BENCH_CXX) -std=c++17 $(BENCH_OPT) -fpermissive -w $(patsubst %,-isystem $(BENCH_HOT)/libs/%/include, \
	    hot/commons hot/single-threaded idx/content-helpers) -c -o $@ $<
$(bench_dir)/immer.o: bench/rivals/immer.cc bench/rivals/cxx_map.h $(bench_headers) | $(bench_dir)
	$(BENCH_CXX) $(bench_cxx) -isystem $(BENCH_IMMER) -c -o $@ $<

$(bench_dir)/lmdb.o $(bench_dir)/store_lmdb.o: bench/rivals/lmdb_env.h
$(bench_dir)/%.o: bench/rivals/%.c $(bench_headers) | $(bench_dir)
	$(BENCH_CC) $(bench_c) -c -o $@ $<

$(bench_dir)/%.o: bench/rivals/%.cc bench/rivals/cxx_map.h $(bench_headers) | $(bench_dir)
	$(BENCH_CXX) $(bench_cxx) -c -o $@ $<

bench-data:
	$(PYTHON) bench/data.py $(BUILD)/data $(BENCH_SETS) || test $$? -eq 3

bench-run: bench
	@set -e; for name in $(BENCH_SETS); do \
	    if [ -f $(BUILD)/data/$$name.keys ]; then \
	        $(BUILD)/bench_map --keys $(BUILD)/data/$$name.keys --name $$name $(BENCH_ARGS) \
	            > $(bench_dir)/$$name.tsv; \
	    else \
	        echo "SKIPPED $$name: $(BUILD)/data/$$name.keys is not there (make bench-data)" >&2; \
	    fi; \
	done

BENCH_GROWTH ?= rand1e3 rand1e4 rand3e4 rand1e5 rand3e5 rand1e6 rand2e6 rand4e6 rand1e7 \
    url1e3 url1e4 url3e4 url1e5 url3e5 url1e6
bench-growth:
	@$(MAKE) --no-print-directory bench-data bench-run BENCH_SETS='$(BENCH_GROWTH)'

RESULTS_MINUTES ?= 24
RESULTS_NOTE ?= $(shell date +%Y-%m-%d), load $(shell cut -d' ' -f1-3 /proc/loadavg) before it began
RESULTS_ARGS ?=
RESULTS_SETS = $(shell $(PYTHON) bench/results.py --sets)
bench-results: bench
	@$(MAKE) --no-print-directory bench-data BENCH_SETS='$(RESULTS_SETS)'
	$(PYTHON) bench/results.py --build $(BUILD) --minutes $(RESULTS_MINUTES) --note '$(RESULTS_NOTE)' $(RESULTS_ARGS)
	@$(MAKE) --no-print-directory bench-report
bench-report:
	@$(PYTHON) bench/report.py --markdown bench/RESULTS.md --readme README.md --counts docs/count_modes.md \
	    --formats docs/formats.md \
	    --curves bench/results bench/results > $(BUILD)/report.txt || \
	    (tail -5 $(BUILD)/report.txt; false)

# All is optimised alike, so that plain builds would be the same; of threads one more program, without the pool. Compiling
# is most of it: -Og without inlining by force takes half of the time that -O1 takes.
SMOKE_OPT := -Og -Dalways_inline=unused
bench-smoke:
	@$(MAKE) bench BUILD=$(BUILD)/smoke BENCH_OPT='$(SMOKE_OPT)' BENCH_WARN='$(BENCH_WARN) -Werror' \
	    BENCH_OURS='engine_slim engine_standard' ALGEBRA_KINDS=std THREADS_KINDS=malloc
	@$(PYTHON) bench/smoke.py $(BUILD)/smoke/bench_*
