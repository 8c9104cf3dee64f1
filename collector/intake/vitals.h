// vitals.h: what an agent says of itself, in Hello and heartbeats, for who asks how it is.
//
// The stream's worker notes, and publishes it packed as orgtrail.v1.AgentLive; another thread
// copies what was published last.

#pragma once

#include <stdint.h>

#include "base/buffer.h"
#include "base/span.h"
#include "proto/orgtrail.pb-c.h"

enum {
    VITALS_SOURCES_MAX = 16,  // as many as a heartbeat of ours holds; those beyond are left out
    VITALS_TEXT_SIZE = 200,   // bytes of a name or an error, with the final zero; longer are cut
};

struct vitals;

// Nothing published yet. NULL if memory runs out.
struct vitals *vitals_create(void);

// Frees it; nobody reads it any more. NULL is allowed.
void vitals_destroy(struct vitals *vitals);

// [worker] Notes the names of the sources.
void vitals_note_hello(struct vitals *vitals, const Orgtrail__V1__Hello *hello);

// [worker] Publishes what a heartbeat says of the agent of this URI, and how far its clock is
// behind ours.
void vitals_note_heartbeat(struct vitals *vitals, struct span uri,
                           const Orgtrail__V1__Heartbeat *heartbeat, int64_t received_ms,
                           int64_t skew_ms);

// [one other thread] Appends what was published last; nothing if there was no heartbeat.
void vitals_read(struct vitals *vitals, struct buffer *output);
