// program.h: runs a program in a test and keeps what it printed.

#pragma once

#include <stdbool.h>
#include <stddef.h>

enum {
    PROGRAM_OUTPUT_SIZE = 1 << 20,  // bytes kept of each stream
    PROGRAM_ARGUMENTS_MAX = 64,
};

struct program_result {
    int code;  // its exit code; 128 and the signal's number if it was killed
    char output[PROGRAM_OUTPUT_SIZE];
    char errors[PROGRAM_OUTPUT_SIZE];
};

// Runs a program with a list of arguments that ends with NULL, waits for it, and fills *result.
// Ends the test if it cannot be run.
void program_run(struct program_result *result, const char *path, ...) __attribute__((sentinel));

// A fresh folder for this test.
const char *program_folder(void);

// Reads a whole file as text into memory that lives until the next call.
const char *program_read(const char *path);

// A path: printf into memory that lives until it was called 64 more times.
const char *program_path(const char *format, ...) __attribute__((format(printf, 1, 2)));

// Whether text is a part of the longer one.
bool program_has(const char *text, const char *part);
