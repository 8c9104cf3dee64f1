// cases.h: runs the cases of one test program with cmocka, and counts them for Bazel.
//
// Includes cmocka and the headers it wants before it, so that a test includes only this.

#pragma once

#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>
// cmocka wants the four above first.
#include <cmocka.h>

// skip() ends a case that cannot run here; it then counts neither as passed nor as failed.
#undef skip
#define skip() cases_skip(__FILE__, __LINE__)

// See skip().
void cases_skip(const char *file, int line);

// Runs all cases, also after a failure, and prints what cmocka prints. Under Bazel (XML_OUTPUT_FILE
// is set) writes that file in JUnit's form too, with one entry a case. Returns the exit code for
// main: 0 if none failed, otherwise 1.
int cases_run(const char *name, const struct CMUnitTest *tests, size_t tests_count);
