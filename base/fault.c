#include "base/fault.h"

#include <assert.h>
#include <stdarg.h>
#include <stdio.h>
#include <string.h>

void fault_put(struct fault *fault, enum fault_kind kind, const char *format, ...) {
    assert(kind != FAULT_NONE);
    // An argument may be the fault's own old text: print beside it first.
    char text[FAULT_TEXT_SIZE];
    va_list arguments;
    va_start(arguments, format);
    vsnprintf(text, sizeof text, format, arguments);
    va_end(arguments);
    fault->kind = kind;
    memcpy(fault->text, text, sizeof text);
}

void fault_prepend(struct fault *fault, const char *format, ...) {
    assert(fault->kind != FAULT_NONE);
    char text[FAULT_TEXT_SIZE];
    va_list arguments;
    va_start(arguments, format);
    int length = vsnprintf(text, sizeof text, format, arguments);
    va_end(arguments);
    if (length >= 0 && (size_t)length + 2 < sizeof text) {
        size_t room = sizeof text - (size_t)length - 3;
        size_t kept = strnlen(fault->text, room);
        memcpy(text + length, ": ", 2);
        memcpy(text + length + 2, fault->text, kept);
        text[(size_t)length + 2 + kept] = 0;
    }
    memcpy(fault->text, text, sizeof text);
}

void fault_put_errno(struct fault *fault, enum fault_kind kind, int error, const char *format,
                     ...) {
    char text[FAULT_TEXT_SIZE];
    va_list arguments;
    va_start(arguments, format);
    vsnprintf(text, sizeof text, format, arguments);
    va_end(arguments);
    fault_put(fault, kind, "%s: %s", text, strerrordesc_np(error));
}

const char *fault_kind_name(enum fault_kind kind) {
    switch (kind) {
        case FAULT_NONE:
            return "none";
        case FAULT_INPUT:
            return "input";
        case FAULT_DENIED:
            return "denied";
        case FAULT_FULL:
            return "full";
        case FAULT_RETRY:
            return "retry";
        case FAULT_IO:
            return "io";
        case FAULT_CORRUPT:
            return "corrupt";
    }
    return "unknown";
}

int fault_exit_code(enum fault_kind kind) {
    switch (kind) {
        case FAULT_NONE:
            return 0;
        case FAULT_INPUT:
            return 2;
        case FAULT_DENIED:
            return 3;
        case FAULT_RETRY:
            return 75;
        case FAULT_FULL:
        case FAULT_IO:
        case FAULT_CORRUPT:
            return 1;
    }
    return 1;
}
