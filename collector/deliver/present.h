// present.h: a trail's document as it is now, for whoever follows the log for it.

#pragma once

#include <stdbool.h>

#include "base/arena.h"
#include "base/fault.h"
#include "base/span.h"
#include "collector/api/trail_document.h"
#include "collector/follow/seat.h"

// A document's value, copied into the arena; empty: there is none. FAULT_FULL.
MUST_CHECK bool present_document(struct seat *seat, struct arena *arena, const char *name,
                                 struct span *text, struct fault *fault);

// The trail that a document's text says; all of it lies in the arena. FAULT_CORRUPT, FAULT_FULL.
MUST_CHECK bool present_parse(struct arena *arena, struct span text, struct trail *trail,
                              struct fault *fault);

// The document of a trail with this id, and what it says. *text empty: it is gone, or another trail
// has its name.
MUST_CHECK bool present_read(struct seat *seat, struct arena *arena, const char *name,
                             const char *id, struct span *text, struct trail *trail,
                             struct fault *fault);

// What a follower of a trail is called: "KIND-NAME-ID", of letters, digits and '-'.
void present_print_follower(const char *kind, struct span name, const char *id,
                            char follower[TRAIL_FOLLOWER_NAME_SIZE]);
