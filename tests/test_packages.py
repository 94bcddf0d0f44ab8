#!/usr/bin/env python3
"""Builds and runs a consumer of the headers in each way that a project may come by them: a copy, `make install` with
pkg-config (C, and C++ beside C) or CMake, CMake's own install, add_subdirectory and FetchContent, a Meson subproject
and Meson's install. What needs a tool that is not here is skipped. The last line counts."""
import os
import shutil
import subprocess
import sys
import tempfile
import unittest

sys.path.insert(0, os.path.dirname(os.path.abspath(__file__)))
from test_amalgamate import run_module

ROOT = os.path.dirname(os.path.dirname(os.path.abspath(__file__)))
SHIPPED = ("pathmap.h", "interning.h", "LICENSE", "CMakeLists.txt", "meson.build", "packaging")
# Only what it calls is compiled: the whole code is by the C++ program.
CONSUMER = r"""
#define PATHMAP_STATIC
#include <pathmap.h>
#define INTERNING_STATIC
#include <interning.h>
#include <stdio.h>

int main(void) {
    pm_map m = {0};
    if (pm_version() != PM_VERSION || intern_version() != INTERN_VERSION) return 1;
    if (pm_set(&m, "key", 3, 7, NULL) || *pm_get(&m, "key", 3) != 7) return 2;
    pm_drop(&m);
    printf("%d.%d.%d\n", PM_VERSION_MAJOR, PM_VERSION_MINOR, PM_VERSION_PATCH);
    return 0;
}
"""
# A C++ program uses the declarations, a C file is the implementation.
PLUS = r"""
#include <interning.h>
#include <pathmap.h>
#include <cstdio>

int main() {
    pm_map m = pm_new(nullptr, nullptr);
    if (pm_version() != PM_VERSION || intern_version() != INTERN_VERSION) return 1;
    if (pm_set(&m, "key", 3, INTERN_NONE, nullptr) != PM_OK || !pm_contains(&m, "key", 3)) return 2;
    pm_drop(&m);
    std::printf("%d.%d.%d\n", PM_VERSION_MAJOR, PM_VERSION_MINOR, PM_VERSION_PATCH);
}
"""
PLUS_CODE = """#define PATHMAP_IMPLEMENTATION
#include <pathmap.h>
#define INTERNING_IMPLEMENTATION
#include <interning.h>
"""
CMAKE = """cmake_minimum_required(VERSION 3.14)
project(consumer C)
set(CMAKE_C_STANDARD 11)
%s
add_executable(consumer consumer.c)
target_link_libraries(consumer PRIVATE pathmap::pathmap pathmap::interning)
"""
MESON = """project('consumer', 'c', default_options: ['c_std=c11'])
executable('consumer', 'consumer.c', dependencies: [dependency('pathmap'), dependency('interning')])
"""

# What a program that sets, gets, clones and iterates may have of text, by gcc -O2 on x86-64. Range nodes have 6,000
# bytes of these: making and dividing them, and steps of their own in lookups, insertions, iteration. To divide one by
# copying runs of entries takes 2,000 more, and saves random keys 15 % of the instructions of inserting them. Dividing a
# full line in two where it stands has 4,500, and saves insertions of text a quarter of theirs. Making
# range nodes of byte nodes, for keys that come in order, has 1,500.
SMALL_TEXT = 83 * 1024
SMALL = r"""
#define PATHMAP_IMPLEMENTATION
#include <pathmap.h>

int main(int argc, char **argv) {
    pm_map m = {0};
    size_t sum = 0;
    for (int i = 0; i < argc; i++)
        if (pm_set(&m, argv[i], 1, (pm_val)i, NULL) != PM_OK) return 1;
    pm_map copy = pm_clone(&m);
    for (pm_iter i = pm_iter_vals(&m); pm_iter_next(&i);) sum += i.len + *i.val;
    const pm_val *v = pm_get(&copy, argv[0], 1);
    pm_drop(&m);
    pm_drop(&copy);
    return v && sum ? 0 : 2;
}
"""


def needs(*tools):
    absent = [tool for tool in tools if not shutil.which(tool)]
    return unittest.skipIf(absent, f"no {', '.join(absent)}")


class Consumers(unittest.TestCase):
    def setUp(self):
        self.folder = tempfile.mkdtemp()
        self.addCleanup(shutil.rmtree, self.folder)
        self.source, self.prefix = os.path.join(self.folder, "pathmap"), os.path.join(self.folder, "system")
        os.mkdir(self.source)
        for name in SHIPPED:
            copy = shutil.copytree if os.path.isdir(os.path.join(ROOT, name)) else shutil.copy
            copy(os.path.join(ROOT, name), os.path.join(self.source, name))
        self.write("consumer.c", CONSUMER)
        self.version = self.run_in(ROOT, "packaging/version.sh").strip()

    def write(self, name, text):
        path = os.path.join(self.folder, name)
        os.makedirs(os.path.dirname(path), exist_ok=True)
        with open(path, "w", encoding="utf-8") as file:
            file.write(text)

    def run_in(self, folder, *command, **more):
        done = subprocess.run(command, cwd=folder, capture_output=True, text=True, check=False,
                              env={**os.environ, "CFLAGS": "-O1", **more})
        self.assertEqual(done.returncode, 0, f"{' '.join(command)}\n{done.stdout}{done.stderr}")
        return done.stdout

    def assert_runs(self, program):
        self.assertEqual(self.run_in(self.folder, program).strip(), self.version)

    def install(self):
        self.run_in(ROOT, "make", "--no-print-directory", "-s", "install", f"PREFIX={self.prefix}", MAKEFLAGS="")

    @needs("gcc", "size")
    @unittest.skipUnless(os.uname().machine == "x86_64", "another machine")
    def test_text_of_a_small_program(self):
        self.write("small.c", SMALL)
        # With slim counts, which take 2 KB more than standard ones.
        self.run_in(self.folder, "gcc", "-std=c11", "-O2", "-ffunction-sections", "-fdata-sections",
                    "-Wl,--gc-sections", "-Ipathmap", "small.c", "-o", "small", "-pthread")
        text = int(self.run_in(self.folder, "size", "small").split("\n")[1].split()[0])
        self.assertLessEqual(text, SMALL_TEXT)
        self.run_in(self.folder, "./small")

    def test_copy_of_the_headers(self):
        self.run_in(self.folder, "cc", "-std=c11", "-O1", "-Wall", "-Wextra", "-Werror", "-Ipathmap", "consumer.c",
                    "-pthread", "-o", "consumer")
        self.assert_runs("./consumer")

    def test_install_puts_things_below_destdir_and_uninstall_takes_them_away(self):
        stage = os.path.join(self.folder, "stage")
        arguments = ("make", "--no-print-directory", "-s", f"DESTDIR={stage}", "PREFIX=/opt/pathmap")
        self.run_in(ROOT, *arguments, "install", MAKEFLAGS="")
        files = [os.path.relpath(os.path.join(at, name), stage) for at, _, names in os.walk(stage) for name in names]
        self.assertIn("opt/pathmap/include/pathmap.h", files)
        self.assertTrue(all(name.startswith("opt/pathmap/") for name in files), files)
        self.run_in(ROOT, *arguments, "uninstall", MAKEFLAGS="")
        self.assertEqual([names for _, _, names in os.walk(stage) if names], [])

    @needs("pkg-config")
    def test_installed_with_pkg_config(self):
        self.install()
        path = os.path.join(self.prefix, "share", "pkgconfig")
        ask = ("pkg-config", "--cflags", "--libs", "pathmap", "interning")
        flags = self.run_in(self.folder, *ask, PKG_CONFIG_PATH=path).split()
        version = self.run_in(self.folder, "pkg-config", "--modversion", "pathmap", PKG_CONFIG_PATH=path)
        self.assertEqual(version.strip(), self.version)
        self.run_in(self.folder, "cc", "-std=c11", "-O1", "consumer.c", *flags, "-o", "consumer")
        self.assert_runs("./consumer")

    @needs("pkg-config", "c++")
    def test_cplusplus_from_an_installed_tree(self):
        self.install()
        self.write("plus.cc", PLUS)
        self.write("code.c", PLUS_CODE)
        flags = self.run_in(self.folder, "pkg-config", "--cflags", "--libs", "pathmap", "interning",
                            PKG_CONFIG_PATH=os.path.join(self.prefix, "share", "pkgconfig")).split()
        self.run_in(self.folder, "cc", "-std=c11", "-c", "code.c", *flags)
        # The headers as the project's own, not as the system's: there warnings would be silent.
        own = [flag.replace("-isystem", "-I") for flag in flags]
        self.run_in(self.folder, "c++", "-std=c++17", "-Wall", "-Wextra", "-Wold-style-cast", "-Wpedantic", "-Werror",
                    "plus.cc", "code.o", *own, "-o", "consumer")
        self.assert_runs("./consumer")

    def build_by_cmake(self, lines, *options):
        self.write("CMakeLists.txt", CMAKE % lines)
        self.run_in(self.folder, "cmake", "-S", ".", "-B", "build", *options)
        self.run_in(self.folder, "cmake", "--build", "build")
        self.assert_runs("build/consumer")

    @needs("cmake")
    def test_installed_with_find_package(self):
        self.install()
        self.build_by_cmake(f"find_package(pathmap {self.version} REQUIRED)", f"-DCMAKE_PREFIX_PATH={self.prefix}")

    @needs("cmake")
    def test_find_package_refuses_a_version_that_is_not_compatible(self):
        self.install()
        major, minor, _ = map(int, self.version.split("."))
        for other in (f"{major}.{minor + 1}", f"{major + 1}", f"{major}.{minor}.999"):
            self.write("CMakeLists.txt", CMAKE % f"find_package(pathmap {other} QUIET)\nif(pathmap_FOUND)\n"
                       'message(FATAL_ERROR "found")\nendif()\nreturn()')
            self.run_in(self.folder, "cmake", "-S", ".", "-B", f"build-{other}", f"-DCMAKE_PREFIX_PATH={self.prefix}")

    @needs("cmake")
    def test_installed_by_cmake_with_find_package(self):
        self.run_in(self.source, "cmake", "-S", ".", "-B", "build", f"-DCMAKE_INSTALL_PREFIX={self.prefix}")
        self.run_in(self.source, "cmake", "--install", "build")
        self.build_by_cmake(f"find_package(pathmap {self.version} REQUIRED)", f"-DCMAKE_PREFIX_PATH={self.prefix}")

    @needs("cmake")
    def test_add_subdirectory(self):
        self.build_by_cmake("add_subdirectory(pathmap)")

    @needs("cmake")
    def test_fetch_content(self):
        self.build_by_cmake("include(FetchContent)\nFetchContent_Declare(pathmap SOURCE_DIR "
                            f'"{self.source}")\nFetchContent_MakeAvailable(pathmap)')

    def build_by_meson(self, **more):
        self.write("meson.build", MESON)
        self.run_in(self.folder, "meson", "setup", "build", **more)
        self.run_in(self.folder, "meson", "compile", "-C", "build")
        self.assert_runs("build/consumer")

    @needs("meson", "ninja")
    def test_meson_subproject(self):
        shutil.copytree(self.source, os.path.join(self.folder, "subprojects", "pathmap"))
        self.write("subprojects/pathmap.wrap", "[wrap-file]\ndirectory = pathmap\n\n[provide]\n"
                   "dependency_names = pathmap, interning\n")
        self.build_by_meson()

    @needs("meson", "ninja", "pkg-config")
    def test_installed_by_meson(self):
        self.run_in(self.source, "meson", "setup", "build", f"--prefix={self.prefix}", "--libdir=lib")
        self.run_in(self.source, "meson", "install", "-C", "build")
        self.build_by_meson(PKG_CONFIG_PATH=os.path.join(self.prefix, "lib", "pkgconfig"))


if __name__ == "__main__":
    sys.exit(run_module(sys.modules[__name__]))
