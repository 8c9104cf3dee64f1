// fault.h: why a function failed, as one value that grows text on its way out.
//
// A function that can fail returns bool and takes a struct fault as its last parameter. On true the
// fault is untouched; on false it says why, and no output of the function has changed. The room
// that can do something about a fault handles it, logs it once and counts it once; everybody on the
// way only adds context with fault_add. No function here fails, waits or allocates.

#pragma once

#include <stdbool.h>

#define MUST_CHECK __attribute__((warn_unused_result))

// What the caller can do about it. docs/decisions/002-faults.md maps these to exit codes and gRPC.
enum fault_kind {
    FAULT_NONE = 0,
    FAULT_INPUT,    // the bytes or arguments given are wrong: mend them, trying again is useless
    FAULT_DENIED,   // whoever asks may not do this
    FAULT_FULL,     // no room (disk, map, limit): wait, nothing was changed
    FAULT_RETRY,    // not now (busy, unreachable, shutting down): try again later
    FAULT_IO,       // the machine broke a promise: the process ends and its supervisor restarts it
    FAULT_CORRUPT,  // what is stored is not what was written: report where, go on beside it
};

enum { FAULT_TEXT_SIZE = 512 };  // bytes with the final zero; longer text is cut at its end

struct fault {
    enum fault_kind kind;
    char text[FAULT_TEXT_SIZE];  // "agent spool in /x: open 0001.seg: No such file or directory"
};

// fault_set(fault, kind, format, ...) sets kind and text and is false, so that a failing function
// is one line: return fault_set(fault, FAULT_INPUT, "line %u: ...", line);
#define fault_set(...) (fault_put(__VA_ARGS__), fault_failed())

// fault_add(fault, format, ...) puts "TEXT: " before what is there, keeps the kind and is false.
#define fault_add(...) (fault_prepend(__VA_ARGS__), fault_failed())

// fault_set_errno(fault, kind, error, format, ...) is fault_set with ": " and the message of the
// errno value at the end.
#define fault_set_errno(...) (fault_put_errno(__VA_ARGS__), fault_failed())

// The functions behind them. The three above are macros only so that the compiler sees that they
// are false: it can then tell that a caller's outputs were set wherever it reads them.
void fault_put(struct fault *fault, enum fault_kind kind, const char *format, ...)
    __attribute__((format(printf, 3, 4)));

// See fault_add.
void fault_prepend(struct fault *fault, const char *format, ...)
    __attribute__((format(printf, 2, 3)));

// See fault_set_errno.
void fault_put_errno(struct fault *fault, enum fault_kind kind, int error, const char *format, ...)
    __attribute__((format(printf, 4, 5)));

// The value of a failing function.
static inline bool fault_failed(void) {
    return false;
}

// The kind's name in lower case ("input"), for logs and metrics.
const char *fault_kind_name(enum fault_kind kind);

// The exit code of a program that ends with this kind: 0 none, 1 io, corrupt or full, 2 input,
// 3 denied, 75 retry (EX_TEMPFAIL).
int fault_exit_code(enum fault_kind kind);
