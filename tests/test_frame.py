"""Tests of the test frame: what check.h must notice, and how run_check.py counts what programs say.

Prints what failed, and ends with `N passed, N failed, N skipped`."""
import os
import shutil
import subprocess
import sys
import tempfile
import unittest

HERE = os.path.dirname(os.path.abspath(__file__))
sys.path.insert(0, HERE)
import run_check  # noqa: E402
import test_amalgamate  # noqa: E402

FLAGS = ["-std=c11", "-Wall", "-Wextra", "-Wpedantic", "-Wshadow", "-Wconversion", "-Werror", "-pthread", "-I", HERE]


class Program(unittest.TestCase):
    def setUp(self):
        self.folder = tempfile.mkdtemp(prefix="frame-")
        self.addCleanup(shutil.rmtree, self.folder)

    def run_tests(self, source, *arguments):
        unit, program = os.path.join(self.folder, "t.c"), os.path.join(self.folder, "t")
        with open(unit, "w", encoding="utf-8") as file:
            file.write('#include "check.h"\n' + source)
        done = subprocess.run([*run_check.CC, *FLAGS, unit, "-o", program], capture_output=True, text=True, check=False)
        self.assertEqual(done.returncode, 0, done.stderr)
        return subprocess.run([program, *arguments], capture_output=True, text=True, check=False)

    def last_line(self, done):
        return done.stdout.rstrip().split("\n")[-1]

    def assert_fails(self, body, *words):
        done = self.run_tests("TEST(subject_behaves) { " + body + " }\nTEST(other_passes) { CHECK(true); }\n")
        self.assertEqual(done.returncode, 1, done.stdout + done.stderr)
        self.assertEqual(self.last_line(done), "1 passed, 1 failed, 0 skipped")
        for word in ("t.c:2: subject_behaves: failed: ", "--seed 1 subject_behaves", *words):
            self.assertIn(word, done.stderr)


class Checks(Program):
    def test_each_check_can_fail(self):
        self.assert_fails("CHECK(1 == 2);", "1 == 2")
        self.assert_fails("CHECK_EQ(-1, 1);", "left -1", "right 1")
        self.assert_fails("CHECK_NE(3, 3);")
        self.assert_fails("CHECK_OK(-1);")
        self.assert_fails('CHECK_STR_EQ("a", "b");')
        self.assert_fails('CHECK_MEM_EQ("ab", 2, "abc", 3);', "6162 (2 bytes)", "616263 (3 bytes)")
        self.assert_fails("CHECK_PTR_EQ(&check__seed, NULL);")
        self.assert_fails('CHECK_NOTE(false, "turn %d", 7);', "turn 7")

    def test_each_check_can_pass(self):
        done = self.run_tests('TEST(all) { CHECK(true); CHECK_EQ(-1, -1L); CHECK_NE(1, 2); CHECK_OK(0);'
                              ' CHECK_STR_EQ("a", "a"); CHECK_MEM_EQ("a", 1, "a", 1); CHECK_MEM_EQ(NULL, 0, "x", 0);'
                              ' CHECK_PTR_EQ(NULL, NULL); CHECK_NOTE(true, "%d", 1); }')
        self.assertEqual((done.returncode, self.last_line(done)), (0, "1 passed, 0 failed, 0 skipped"), done.stderr)

    def test_a_failed_check_leaves_the_test(self):
        done = self.run_tests('TEST(one) { CHECK(false); printf("not reached\\n"); }')
        self.assertNotIn("not reached", done.stdout)

    def test_a_failed_check_in_a_thread_is_counted(self):
        done = self.run_tests("#include <pthread.h>\nstatic void *run(void *x) { CHECK(x); return x; }\n"
                              "TEST(one) { pthread_t t; CHECK_OK(pthread_create(&t, NULL, run, NULL));\n"
                              "CHECK_OK(pthread_join(t, NULL)); }")
        self.assertEqual((done.returncode, self.last_line(done)), (1, "0 passed, 1 failed, 0 skipped"))

    def test_skipping_is_counted_and_says_why(self):
        done = self.run_tests('TEST(one) { SKIP("no such data"); }')
        self.assertEqual((done.returncode, self.last_line(done)), (0, "0 passed, 0 failed, 1 skipped"))
        self.assertIn("SKIPPED one: no such data", done.stdout)

    def test_filter_and_seed(self):
        source = ('TEST(map_one) { printf("%llu\\n", (unsigned long long)check_rand()); }\n'
                  'TEST(map_two) { printf("%llu\\n", (unsigned long long)check_rand()); }\n')
        both, one = self.run_tests(source), self.run_tests(source, "map_two")
        two = self.run_tests(source, "--seed", "9")
        self.assertEqual(self.last_line(one), "1 passed, 0 failed, 0 skipped")
        self.assertEqual(both.stdout.split("\n")[1], one.stdout.split("\n")[0])
        self.assertNotEqual(both.stdout, two.stdout)
        self.assertEqual(self.run_tests(source, "absent").returncode, 1)
        self.assertEqual(self.run_tests(source, "--sed").returncode, 2)

    def test_an_assertion_names_the_test(self):
        done = self.run_tests("#include <assert.h>\nTEST(one) { assert(!check__current); }")
        self.assertNotEqual(done.returncode, 0)
        self.assertIn("aborted in one", done.stderr)


class Allocator(Program):
    def test_the_nth_allocation_fails(self):
        done = self.run_tests("TEST(one) { check_fail_alloc(2); void *a = check_malloc(5), *b = check_malloc(6);\n"
                              "void *c = check_malloc(7); CHECK(a && !b && c); CHECK_EQ(check_alloc_fails(), 1);\n"
                              "CHECK_EQ(check_allocs(), 3); CHECK_EQ(check_live_bytes(), 12); check_free(a, 5);\n"
                              "check_free(c, 7); check_free(NULL, 1); CHECK_EQ(check_live_blocks(), 0);\n"
                              "check_fail_allocs_from(1); CHECK(!check_malloc(1)); CHECK(!check_malloc(1)); }\n"
                              "TEST(two) { void *a = check_malloc(1); CHECK(a); check_free(a, 1); }")
        self.assertEqual((done.returncode, self.last_line(done)), (0, "2 passed, 0 failed, 0 skipped"), done.stderr)

    def test_a_free_with_another_size_ends_the_program(self):
        done = self.run_tests("TEST(one) { check_free(check_malloc(8), 9); }")
        self.assertNotEqual(done.returncode, 0)
        self.assertIn("a live block of 8 bytes", done.stderr)


class Runner(unittest.TestCase):
    def result(self, script):
        found = run_check.run_program(["sh", "-c", script], 2)
        return found.passed, found.failed, found.skipped

    def test_counts_come_from_the_last_line(self):
        self.assertEqual(self.result("echo noise; echo 3 passed, 0 failed, 1 skipped"), (3, 0, 1))
        self.assertEqual(self.result("echo 3 passed, 2 failed, 1 skipped; exit 1"), (3, 2, 1))

    def test_what_does_not_add_up_is_a_failure(self):
        self.assertEqual(self.result("echo 3 passed, 0 failed, 0 skipped; exit 1"), (3, 1, 0))
        self.assertEqual(self.result("echo 3 passed, 0 failed, 0 skipped; kill -9 $$"), (3, 1, 0))
        self.assertEqual(self.result("echo 0 passed, 0 failed, 0 skipped"), (0, 1, 0))
        self.assertEqual(self.result("echo 3 passed, 0 failed, 0 skipped; echo more"), (0, 1, 0))
        self.assertEqual(self.result("true"), (0, 1, 0))
        self.assertEqual(self.result("sleep 9; echo 1 passed, 0 failed, 0 skipped"), (0, 1, 0))


if __name__ == "__main__":
    sys.exit(test_amalgamate.run_module(sys.modules[__name__]))
