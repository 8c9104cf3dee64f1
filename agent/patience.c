#include "agent/patience.h"

#include <inttypes.h>
#include <stdio.h>
#include <stdlib.h>

struct patience patience_begin(const char *program, int64_t timeout_s, int64_t monotonic_ms) {
    return (struct patience){.program = program, .timeout_s = timeout_s, .since_ms = monotonic_ms};
}

bool patience_step(struct patience *patience, const struct agent_status *status,
                   int64_t monotonic_ms, struct fault *fault) {
    const struct spool_facts *spool = &status->spool;
    const struct uplink_status *uplink = &status->uplink;
    bool waits = spool->acknowledged < spool->appended;
    if (!waits || spool->acknowledged != patience->acknowledged) {
        patience->acknowledged = spool->acknowledged;
        patience->since_ms = monotonic_ms;
        return true;
    }
    bool is_away = uplink->state != UPLINK_STREAMING && uplink->last_fault.kind != FAULT_NONE;
    if (is_away && !patience->is_told) {
        patience->is_told = true;
        fprintf(stderr, "%s: %s; trying again\n", patience->program, uplink->last_fault.text);
    }
    int64_t waited_ms = monotonic_ms - patience->since_ms;
    if (patience->timeout_s == 0 || waited_ms < patience->timeout_s * 1000) return true;
    return fault_set(fault, FAULT_RETRY,
                     "the collector has acknowledged nothing for %" PRId64 " s: %" PRIu64
                     " events wait in the spool, and the next run sends them%s%s",
                     patience->timeout_s, spool->appended - spool->acknowledged,
                     is_away ? ": " : "", is_away ? uplink->last_fault.text : "");
}

bool patience_parse(const char *text, int64_t *seconds) {
    char *end;
    unsigned long number = strtoul(text, &end, 10);
    if (text[0] < '0' || text[0] > '9' || *end != 0 || number > PATIENCE_MAX_S) return false;
    *seconds = (int64_t)number;
    return true;
}
