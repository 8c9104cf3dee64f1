// status_agents.h: the agents that are connected now, as they told of themselves in their last
// heartbeat.

#pragma once

#include <stdbool.h>
#include <stdint.h>

#include "base/buffer.h"

enum {
    STATUS_AGENTS_SHOWN = 20,    // for people; those in trouble first
    STATUS_SOURCES_MAX = 16,     // of one agent
    STATUS_SKEW_MAX_MS = 60000,  // a clock that is further off is an alarm
};

struct status_source {
    const char *name;
    uint32_t state;  // SourceStatus.State of orgtrail.proto: 1 ok, 2 idle, 3 degraded, 4 failed
    uint64_t records;
    uint64_t errors;
    uint64_t bytes_behind;
    const char *last_error;
};

// Texts are borrowed as long as it.
struct status_connected {
    const char *agent;  // URI
    const char *version;
    const char *host;
    int64_t heard_ms;
    uint64_t spool_events;  // not acknowledged
    uint64_t spool_bytes;
    int64_t skew_ms;    // how far its clock is behind the collector's; negative: ahead
    uint64_t left_out;  // records since its start that its event selectors do not select
    struct status_source sources[STATUS_SOURCES_MAX];
    uint32_t sources_count;
};

// "ok", "idle", "degraded", "failed"; "unknown" for any other.
const char *status_source_state(uint32_t state);

// Puts those in trouble first.
void status_agents_sort(struct status_connected *agents, uint32_t count);

// Appends a table for people, of all or the first ones; width as in status_print.
void status_agents_print(const struct status_connected *agents, uint32_t count, int64_t now_ms,
                         uint32_t width, bool is_all, struct buffer *output);

// Appends the alarm of agents whose clocks are wrong.
void status_agents_print_alarms(const struct status_connected *agents, uint32_t count,
                                struct buffer *output);

// Appends a JSON list.
void status_agents_print_json(const struct status_connected *agents, uint32_t count,
                              struct buffer *output);
