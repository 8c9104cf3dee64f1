// names.h: the forms of names that enter certificates, configs and paths.
//
// Wider than AWS's own forms where private clouds need it, and never wide enough to break a URI, a
// path or a YAML line. Pure.

#pragma once

#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>

#include "base/fault.h"

enum {
    NAMES_SIZE = 65,        // a name of at most 64 bytes and its final zero
    NAMES_HOST_SIZE = 254,  // a DNS name and its final zero
};

// An agent: 1 to 64 letters, digits, '-', '_' and '.', the first a letter or digit. `what` names it
// in the fault. FAULT_INPUT.
MUST_CHECK bool names_check(const char *what, const char *text, struct fault *fault);

// An account: the same, and 12 digits if there are only digits. FAULT_INPUT.
MUST_CHECK bool names_check_account(const char *what, const char *text, struct fault *fault);

// A region: 1 to 64 lower-case letters, digits and '-'. FAULT_INPUT.
MUST_CHECK bool names_check_region(const char *text, struct fault *fault);

// An organization: "o-" and 1 to 32 lower-case letters and digits. FAULT_INPUT.
MUST_CHECK bool names_check_organization(const char *text, struct fault *fault);

// Splits "HOST", "HOST:PORT", "[V6]" or "[V6]:PORT" into the host without brackets and the port
// (port_default if none is given). FAULT_INPUT.
MUST_CHECK bool names_split_address(const char *address, uint16_t port_default,
                                    char host[NAMES_HOST_SIZE], uint16_t *port,
                                    struct fault *fault);
