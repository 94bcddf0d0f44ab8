# Builds, tests and measures pathmap.h and interning.h. `make help` lists the targets.
#
# A test program is built per configuration, as build/CONFIGURATION/NAME. A configuration is a list of words joined by
# dashes, in this order: clang (else $(CC)); slim or standard (the two kinds of reference counts); then at most one of
# o2, nothreads, check3, nosimd, nopool, asan, nopool-asan, tsan, drd, faulty, nofutex (waiting by mutexes and condition
# variables), c11threads (of <threads.h>), coverage, nopool-coverage, check3-coverage. For example:
# make build/clang-slim-asan/test_map

CLANG ?= clang
CLANGXX ?= clang++
PYTHON ?= python3
CFLAGS ?= -O2 -g1
WARNINGS ?= -Wall -Wextra -Wpedantic -Wshadow -Wconversion -Werror
LDLIBS ?=
JOBS ?= 2
DIR ?=

MAKEFLAGS += --no-builtin-rules
.SUFFIXES:
.DELETE_ON_ERROR:
.DEFAULT_GOAL := all

HEADERS := pathmap.h $(if $(filter-out 99_licence.c,$(notdir $(wildcard src/interning/*.[ch]))),interning.h)
# Code that several test programs use: everything in tests/ that is not a program itself; and the implementation, for
# those that share it.
HELPERS := $(filter-out test_% use_% fuzz_% replay% library.c,$(notdir $(wildcard tests/*.c)))
LIBRARY_TESTS := $(patsubst tests/%.c,%,$(shell grep -l '"library.h"' tests/test_*.c))
REPLAY := $(notdir $(wildcard tests/replay*.c))
CHECK := $(PYTHON) tests/run_check.py --jobs $(JOBS)
# What a program includes, written beside it as it is compiled.
DEP = -MMD -MP -MF $@.d -MT $@
C11 = -std=c11 $(WARNINGS) $(CFLAGS) -I. -Itests

.PHONY: all help check test matrix asan tsan valgrind drd models faults uses packages machines cortex-m portability \
        portability-matrix rules coverage mutants stack headers generated headers-check layers fuzz examples replay replay-check run \
        install uninstall clean costs costs-baseline site site-recorded man \
        pictures

all: test

help:
	@echo 'make               build and run the tests: both count modes, operation scripts'
	@echo 'make check         everything that CI does'
	@echo 'make build/slim/test_map && build/slim/test_map WORD..'
	@echo '                   one test program: all its tests, or those whose names have a WORD'
	@echo 'make headers       write pathmap.h and interning.h from src/    headers-check: compare only'
	@echo 'make layers        compile each part with only what it declares to use'
	@echo 'make matrix        the longest tests, and those that switches and compilers have a bearing on'
	@echo 'make asan tsan valgrind drd                                     the tests under a checker'
	@echo 'make packages      build a consumer in each way to install the headers'
	@echo 'make portability   tests on other machines (cross compilers, qemu-user, wine)   machines: a few of them'
	@echo 'make portability-matrix   the same, and what was found as a table in docs/platforms.md; of some machines and'
	@echo '                   programs only: MACHINES="aarch64 musl" PROGRAMS="map scripts exchange"'
	@echo 'make coverage mutants   what the tests run (gcov), and how many small faults they notice'
	@echo 'make cortex-m       tests without malloc, stdio and threads, on an emulated Cortex-M3'
	@echo 'make stack          how deep the stack gets below each public function'
	@echo 'make models        check the models of tests/models (spin), and that they find seeded faults'
	@echo 'make faults        schedules of a copy of pathmap.h with seeded faults, each of which must be found'
	@echo 'make replay        build/replay and build/replay-slim           replay-check: run the operation scripts'
	@echo 'make fuzz          fuzz for FUZZ_SECONDS each (clang)'
	@echo 'make examples      build and run the examples'
	@echo 'make run DIR=..    index the headers below a folder (/usr/include)'
	@echo 'make site          the pages, the reference, examples with their output and pictures, as build/site/index.html'
	@echo 'make man           man pages of all declarations, in build/man (pandoc; so does site)'
	@echo 'make costs         instructions, allocations, bytes a key of a fixed workload, against the committed baseline'
	@echo 'make costs-baseline   measure them anew and write bench/costs.tsv'
	@echo 'make bench         build the measuring programs                 bench-smoke: run them on a few keys'
	@echo 'make bench-algebra-report   measure algebra on every key file, with tables of goals met and missed'

check:
	@$(CHECK) all
test matrix asan tsan valgrind drd models faults uses packages machines cortex-m rules headers-check \
layers examples replay-check costs:
	@$(CHECK) $@

MACHINES ?=
PROGRAMS ?=
portability portability-matrix:
	@$(CHECK) $(if $(filter %-matrix,$@),--table docs/platforms.md) --machines '$(MACHINES)' --programs '$(PROGRAMS)' \
	    portability

# The headers that ship. The folder is a prerequisite too, so that removing a part counts as a change.

headers:
	$(PYTHON) amalgamate.py

generated: $(HEADERS)
pathmap.h: amalgamate.py src/pathmap $(wildcard src/pathmap/*)
	@$(PYTHON) amalgamate.py pathmap
interning.h: amalgamate.py src/interning $(wildcard src/interning/*)
	@$(PYTHON) amalgamate.py interning

# Test programs.

# Compiling takes more of a test's time than running: o2 is a configuration of its own. Elsewhere inlining by force takes
# half of the compiler's time, and of what is left gcc takes half with -Og, after which tests run about as fast: so only
# the plain configurations, o2, drd (whose macros -Og misreads) and those of clang are compiled as users compile.
SMALL := -Dalways_inline=unused
FLAGS_slim := -O1 -DPATHMAP_SLIM_PTRS=1
FLAGS_standard := -O1 -DPATHMAP_SLIM_PTRS=0
FLAGS_o2 := -O2
FLAGS_clang := -O1
FLAGS_nothreads := -Og $(SMALL) -DPM_NO_THREADS=1
FLAGS_check3 := -Og $(SMALL) -DPM_CHECK=3
FLAGS_nosimd := -Og $(SMALL) -DPM_NO_SIMD=1
FLAGS_nopool := -Og $(SMALL) -DPM_POOL=0
FLAGS_asan := -Og $(SMALL) -DPM_POOL=0 -fsanitize=address,undefined -fno-sanitize-recover=all -fno-omit-frame-pointer
FLAGS_tsan := -O1 $(SMALL) -fsanitize=thread
FLAGS_nofutex := -Og $(SMALL) -DPM__FUTEX=0 -DINTERN__FUTEX=0
FLAGS_c11threads := -Og $(SMALL) -DPM__THREADS=PM__THREADS_C11 -DPM__FUTEX=0
FLAGS_drd := -O1 -Wno-shadow -include tests/annotate.h
# Each branch once: neither optimised nor inlined. Only the headers are counted, without atomics, which -pthread would
# bring and which take twice the time of all else: threads may lose a count, but not all of them. A child of a test tells
# its counts by exit; by _exit they would be lost.
FLAGS_coverage := -O0 --coverage -fprofile-update=single -fprofile-filter-files='pathmap\.h;interning\.h' $(SMALL) \
    -D_exit=exit

# A copy of pathmap.h with faults for tests/test_head_schedules.c to find.
FLAGS_faulty := -O1 -DSEEDED_FAULTS='<faulty_pathmap.h>' -Ibuild/faulty
build/faulty/faulty_pathmap.h: tests/seed_faults.py pathmap.h
	@mkdir -p $(@D)
	@$(PYTHON) $< pathmap.h $@
build/slim-faulty/test_head_schedules build/standard-faulty/test_head_schedules: build/faulty/faulty_pathmap.h

FLAGS_fuzz := -O1 $(SMALL) -fsanitize=fuzzer-no-link,address,undefined -fno-sanitize-recover=all

COUNTS := slim standard
VARIANTS := o2 nothreads check3 nosimd nopool asan nopool-asan tsan drd faulty nofutex c11threads coverage \
    nopool-coverage check3-coverage
CONFIGS := $(foreach c,$(COUNTS),$(c) $(VARIANTS:%=$(c)-%))
CONFIGS += $(CONFIGS:%=clang-%) clang-slim-fuzz

OS_NAME := $(shell uname -s)
# Where the compiler has zlib: compressed path files.
ZLIB = $(shell printf '\043include <zlib.h>\nint main(void) { return !zlibVersion(); }\n' | \
    $(CC) -x c - -o /dev/null -lz 2> /dev/null && echo -DPATHMAP_ZLIB=1 -lz)
# Where the compiler has OpenMP: the example of it on several threads.
OPENMP = $(shell printf '\043include <omp.h>\nint main(void) { return !omp_get_max_threads(); }\n' | \
    $(CC) -x c - -o /dev/null -fopenmp 2> /dev/null && echo -fopenmp)
words_of = $(subst -, ,$(1))
c_compiler = $(if $(filter clang,$(call words_of,$(1))),$(CLANG),$(CC))
cxx_compiler = $(if $(filter clang,$(call words_of,$(1))),$(CLANGXX),$(CXX))
flags_of = $(foreach w,$(call words_of,$(1)),$(FLAGS_$(w)))

# $(1): a configuration. Generated headers are order-only: the .d files name those that a program really includes.
define CONFIG_RULES
build/$(1)/%.o: tests/%.c | $(HEADERS)
	@mkdir -p $$(@D)
	$(call c_compiler,$(1)) $$(C11) $(call flags_of,$(1)) $$(MORE) -pthread $$(DEP) -c $$< -o $$@
build/$(1)/helpers.a: $(HELPERS:%.c=build/$(1)/%.o)
	@mkdir -p $$(@D); rm -f $$@
	$$(AR) rcs $$@ $$^
build/$(1)/test_%: tests/test_%.c build/$(1)/helpers.a | $(HEADERS)
	@mkdir -p $$(@D); rm -f $$@
	$(call c_compiler,$(1)) $$(C11) $(call flags_of,$(1)) -pthread $$(DEP) $$< $$(filter %/library.o,$$^) \
	    build/$(1)/helpers.a $$(EXTRA) $$(LDLIBS) -o $$@
$(LIBRARY_TESTS:%=build/$(1)/%): build/$(1)/library.o
$(HELPERS:%.c=build/$(1)/%.o): MORE = $(if $(findstring coverage,$(1)),-O2 -fno-profile-arcs -fno-test-coverage)
build/$(1)/test_oom build/$(1)/test_oom_pool build/$(1)/test_oom_region: EXTRA = $(if $(filter coverage asan,$(call words_of,$(1))),,-O1)
build/$(1)/test_paths: EXTRA = $(if $(filter nopool,$(call words_of,$(1))),,$$(ZLIB))
build/$(1)/use_two_units_a.o: MORE = -O0
build/$(1)/plugin.so: tests/use_plugin.c | $(HEADERS)
	@mkdir -p $$(@D); rm -f $$@
	$(call c_compiler,$(1)) $$(C11) $(call flags_of,$(1)) -fPIC -shared -pthread $$(DEP) $$< $$(LDLIBS) -o $$@
ifeq ($(OS_NAME),Linux)
build/$(1)/test_process: EXTRA = -DPLUGIN='"build/$(1)/plugin.so"' -ldl
build/$(1)/test_process: build/$(1)/plugin.so
endif
build/$(1)/test_nulls: tests/test_nulls.py tests/rules.py $(HEADERS)
	@mkdir -p $$(@D)
	$(PYTHON) $$< --write $$@.c
	$(call c_compiler,$(1)) -std=gnu11 -w $(call flags_of,$(1)) -O0 $(SMALL) -I. -pthread $$@.c $$(LDLIBS) -o $$@
build/$(1)/replay: $(REPLAY:%.c=build/$(1)/%.o) build/$(1)/library.o build/$(1)/helpers.a
	$(call c_compiler,$(1)) $$(CFLAGS) $(call flags_of,$(1)) -pthread $$^ $$(LDLIBS) -o $$@
build/$(1)/use_two_units: build/$(1)/use_two_units_a.o build/$(1)/use_two_units_b.o
	$(call c_compiler,$(1)) $$(CFLAGS) $(call flags_of,$(1)) -pthread $$^ $$(LDLIBS) -o $$@
build/$(1)/use_static: build/$(1)/use_static.o
	$(call c_compiler,$(1)) $$(CFLAGS) $(call flags_of,$(1)) -pthread $$< $$(LDLIBS) -o $$@
build/$(1)/use_cplusplus: tests/use_cplusplus.cc build/$(1)/use_two_units_a.o | $(HEADERS)
	@rm -f $$@
	$(call cxx_compiler,$(1)) -std=c++17 $$(WARNINGS) $$(CFLAGS) -I. -Itests $(call flags_of,$(1)) -pthread $$(DEP) $$< \
	    build/$(1)/use_two_units_a.o $$(LDLIBS) -o $$@
.PRECIOUS: build/$(1)/%.o
endef
$(foreach c,$(CONFIGS),$(eval $(call CONFIG_RULES,$(c))))

# How good the tests are: the lines and branches that they run, and the small faults that they notice.

coverage: generated
	$(PYTHON) tests/coverage.py --jobs $(JOBS)
mutants: generated
	$(PYTHON) tests/mutants.py --jobs $(JOBS) $(MUTANTS)

stack: generated
	$(PYTHON) tests/stack_use.py

costs-baseline: generated
	$(PYTHON) bench/costs.py --move

# The operation scripts: build/replay has standard counts, build/replay-slim slim ones.

replay: build/replay build/replay-slim
build/replay: build/standard/replay
	cp $< $@
build/replay-slim: build/slim/replay
	cp $< $@

# Fuzzing, with clang's libFuzzer: tests/fuzz_NAME.c defines LLVMFuzzerTestOneInput. Seeds come from tests/corpus/NAME
# (those of `ops` are the operation scripts); what is found stays in build/fuzz.

FUZZERS := $(patsubst tests/fuzz_%.c,%,$(wildcard tests/fuzz_*.c))
FUZZ_SECONDS ?= 60
SEEDS_ops := tests/scripts
build/clang-slim-fuzz/fuzz_%: build/clang-slim-fuzz/fuzz_%.o $(REPLAY:%.c=build/clang-slim-fuzz/%.o) \
        build/clang-slim-fuzz/library.o build/clang-slim-fuzz/helpers.a
	$(CLANG) $(CFLAGS) $(FLAGS_fuzz) -fsanitize=fuzzer -pthread $(filter-out %/replay.o,$^) $(LDLIBS) -o $@
fuzz: $(FUZZERS:%=fuzz-%)
fuzz-%: build/clang-slim-fuzz/fuzz_%
	@mkdir -p build/fuzz/$*
	$< -max_total_time=$(FUZZ_SECONDS) -max_len=65536 -timeout=20 -print_final_stats=1 -artifact_prefix=build/fuzz/ \
	    build/fuzz/$* $(wildcard $(or $(SEEDS_$*),tests/corpus/$*))

# Examples; the one with a real job takes a folder.

# Compiling takes longer than running: the code is compiled once, and left out of the others, as if they had emitted it.
# Those with switches of their own, the README's program and the one with a real job are compiled whole, but only what
# they call; -O1 drops the rest sooner than -O0. gcc does not follow from status to result at -O1 (it does at -O2), and
# says "may be unset".
EXAMPLES := $(patsubst examples/%.c,%,$(wildcard examples/*.c))
WHOLE_EXAMPLES := convert embedded index_headers readme
EXAMPLE_FLAGS = -O1 -DPATHMAP_IMPLEMENTATION_DONE -DINTERNING_IMPLEMENTATION_DONE
$(WHOLE_EXAMPLES:%=build/examples/%): EXAMPLE_FLAGS = \
    -O1 -DPATHMAP_STATIC= $(if $(findstring clang,$(shell $(CC) --version)),,-Wno-maybe-uninitialized)
build/examples/index_headers: EXAMPLE_FLAGS = -DPATHMAP_STATIC=
build/examples/library.o: tests/use_two_units_a.c | $(HEADERS)
	@mkdir -p $(@D)
	$(CC) $(C11) -O1 -pthread $(DEP) -c $< -o $@
$(patsubst %,build/examples/%,$(filter-out $(WHOLE_EXAMPLES),$(EXAMPLES))): build/examples/library.o
build/examples/%: examples/%.c | $(HEADERS)
	@mkdir -p $(@D); rm -f $@
	$(CC) $(C11) $(EXAMPLE_FLAGS) -pthread $(DEP) $< $(filter %.o,$^) $(LDLIBS) -o $@
build/examples/convert: LDLIBS += $(ZLIB)
build/examples/threads_openmp: EXAMPLE_FLAGS += $(OPENMP)
# Open MPI, where it is: its headers are the system's, so that they warn nobody.
build/examples/mpi_build: LDLIBS += $(patsubst -I%,-isystem %,$(shell pkg-config --cflags --libs ompi-c 2> /dev/null))
run: build/examples/index_headers
	build/examples/index_headers $(DIR)

# The site, and man pages from the same source: by pandoc, pictures by Graphviz. `make pictures` draws the one that the
# README shows.

SHOWN = $(filter-out $(if $(shell pkg-config --exists ompi-c 2> /dev/null && echo y),,mpi_build),$(EXAMPLES))
build/drawings: docs/site/drawings.c | $(HEADERS)
	@mkdir -p $(@D); rm -f $@
	$(CC) $(C11) -O1 -pthread $(DEP) $< $(LDLIBS) -o $@
site: generated build/drawings $(SHOWN:%=build/examples/%)
	$(PYTHON) docs/site/build.py build/site --programs build/examples --drawings build/drawings
site-recorded: generated build/drawings
	$(PYTHON) docs/site/build.py build/site --drawings build/drawings
man: generated
	$(PYTHON) docs/site/build.py build/man --man
pictures: build/drawings
	$(PYTHON) docs/site/build.py docs/snapshot.svg --drawings build/drawings --picture snapshot

# What a system keeps: the headers, what pkg-config and CMake ask, and man pages if they were made (make man).

PREFIX ?= /usr/local
INCLUDEDIR ?= $(PREFIX)/include
PKGCONFIGDIR ?= $(PREFIX)/share/pkgconfig
CMAKEDIR ?= $(PREFIX)/share/cmake/pathmap
DOCDIR ?= $(PREFIX)/share/doc/pathmap
MANDIR ?= $(PREFIX)/share/man
VERSION = $(shell packaging/version.sh)
FILL = sed -e 's|@PREFIX@|$(PREFIX)|; s|@INCLUDEDIR@|$(INCLUDEDIR)|; s|@VERSION@|$(VERSION)|'

install: generated
	install -d $(DESTDIR)$(INCLUDEDIR) $(DESTDIR)$(PKGCONFIGDIR) $(DESTDIR)$(CMAKEDIR) $(DESTDIR)$(DOCDIR)
	install -m 644 pathmap.h interning.h $(DESTDIR)$(INCLUDEDIR)
	install -m 644 LICENSE README.md CHANGELOG.md $(DESTDIR)$(DOCDIR)
	$(FILL) packaging/pathmap.pc.in > $(DESTDIR)$(PKGCONFIGDIR)/pathmap.pc
	$(FILL) packaging/interning.pc.in > $(DESTDIR)$(PKGCONFIGDIR)/interning.pc
	$(FILL) packaging/installed-config.cmake.in > $(DESTDIR)$(CMAKEDIR)/pathmap-config.cmake
	$(FILL) packaging/installed-version.cmake.in > $(DESTDIR)$(CMAKEDIR)/pathmap-config-version.cmake
	$(if $(wildcard build/man/man3),install -d $(DESTDIR)$(MANDIR)/man3 && \
	    install -m 644 build/man/man3/*.3 $(DESTDIR)$(MANDIR)/man3)
uninstall:
	rm -f $(addprefix $(DESTDIR)$(INCLUDEDIR)/,pathmap.h interning.h)
	rm -f $(addprefix $(DESTDIR)$(PKGCONFIGDIR)/,pathmap.pc interning.pc)
	rm -rf $(DESTDIR)$(CMAKEDIR) $(DESTDIR)$(DOCDIR)
	$(if $(wildcard build/man/man3),rm -f $(addprefix $(DESTDIR)$(MANDIR)/man3/,$(notdir $(wildcard build/man/man3/*.3))))

clean:
	rm -rf build

-include bench/bench.mk bench/algebra.mk bench/interning.mk bench/threads.mk
-include $(wildcard build/*/*.d)
