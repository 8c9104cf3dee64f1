// trail_lock.h: the lock of a store's one writer.

#pragma once

#include <stdbool.h>

#include "base/fault.h"

// Takes the lock file writer.lock of a store's folder, which holds our PID for the message of
// others; closing *lock gives it back. FAULT_RETRY if another process has it; FAULT_INPUT if there
// is no such folder; FAULT_DENIED; FAULT_FULL; FAULT_IO.
MUST_CHECK bool trail_lock_take(const char *directory, int *lock, struct fault *fault);
