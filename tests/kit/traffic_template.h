// traffic_template.h: real records, and records in their likeness, as texts with slots.

#pragma once

#include <stdbool.h>
#include <stdint.h>

#include "base/arena.h"
#include "base/fault.h"
#include "base/json.h"
#include "tests/kit/traffic_model.h"

enum { TRAFFIC_FILLER_MARK = 1 };  // a byte that cannot stand in JSON: where a filler goes

// Finds the slots of one record. The text is copied into the arena. FAULT_INPUT if it is no record,
// FAULT_FULL.
MUST_CHECK bool traffic_template_read(struct json_reader *reader, struct arena *arena,
                                      struct span text, struct traffic_template *out,
                                      struct fault *fault);

// Fills an operation's good and failed with records made by the rule for operations without a real
// event. FAULT_FULL.
MUST_CHECK bool traffic_template_invent(struct json_reader *reader, struct arena *arena,
                                        const struct traffic_words *agents,
                                        struct traffic_operation *operation, struct fault *fault);
