// retirement.h: an agent that is gone for good leaves those whom the organization enrolled.
//
// Its certificate in issued/ goes, and its bundle, so that neither "enroll --all --renew" nor "ca
// --finish" counts on it any more. Its certificate stays good until it ends: the collector's deny
// list is for that. Its events stay in any case. One thread.

#pragma once

#include <stdbool.h>
#include <stdint.h>

#include "base/certificate.h"
#include "base/fault.h"
#include "cli/organization.h"

// Who was retired.
struct retirement {
    struct certificate_facts facts;       // of its last certificate
    char folder[ORGANIZATION_PATH_SIZE];  // its bundle's
    bool is_folder_left;  // it holds more than a bundle: only certificate and key are gone
};

// Retires an agent, by its name (spiffe://...) or its bundle's, whose folder or tar file lies in
// `out` or has left. What was interrupted may be said again. FAULT_INPUT if none of that name was
// enrolled here; FAULT_IO.
MUST_CHECK bool retirement_write(const char *directory, const char *out, const char *who,
                                 struct retirement *retirement, struct fault *fault);
