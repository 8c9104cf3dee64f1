// receive.h: the events of one message, read and judged into a batch. Pure.

#pragma once

#include <stdbool.h>
#include <stdint.h>

#include "base/fault.h"
#include "collector/admit/admit.h"
#include "collector/intake/batch.h"
#include "proto/orgtrail.pb-c.h"

// Checks what a message of events promises about itself: how many, how large, which fields.
// FAULT_INPUT.
MUST_CHECK bool receive_check(const Orgtrail__V1__EventBatch *message, struct fault *fault);

// Fills batch->events from message's events[skip] on, whose numbers begin with batch->first_seq;
// batch->received_ms and session are set. The
// reader is free again afterwards. Bad records become refusals, never a fault. FAULT_FULL if
// memory runs out.
MUST_CHECK bool receive_events(const struct admit_rules *rules,
                               const Orgtrail__V1__EventBatch *message, uint32_t skip,
                               struct json_reader *reader, struct batch *batch,
                               struct fault *fault);
