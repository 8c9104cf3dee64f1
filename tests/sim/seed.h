// seed.h: a whole run, with all that goes wrong in it, as a number decides.

#pragma once

#include <stdbool.h>
#include <stdint.h>

#include "base/fault.h"

// Runs it, with the trail in a new folder in this one. Not every run has every misfortune, so that
// each shows. FAULT_CORRUPT: a law is broken.
MUST_CHECK bool seed_run(uint64_t seed, bool verbose, const char *directory, struct fault *fault);
