// metrics.h: what the collector counts; docs/telemetry.md explains each.

#pragma once

#include "base/metric.h"
#include "collector/admit.h"

enum metrics_index {
    METRICS_RECEIVED,
    METRICS_EVENTS,
    METRICS_QUARANTINED,
    METRICS_GLOBAL,
    METRICS_NOTICES,
    METRICS_GAPS,
    METRICS_GAP_NUMBERS,
    METRICS_OWN_EVENTS,
    METRICS_UNLISTED,
    METRICS_LOST_NOTES,
    METRICS_RETRIED,
    METRICS_DISCARDED,
    METRICS_COMMITS,
    METRICS_COMMIT_SECONDS,
    METRICS_COMMIT_ROWS,
    METRICS_FULL_ATTEMPTS,
    METRICS_IS_FULL,
    METRICS_AGENTS_THROTTLED,
    METRICS_STREAMS,
    METRICS_STREAMS_OPENED,
    METRICS_STREAMS_REFUSED,
    METRICS_STREAMS_ENDED,
    METRICS_MESSAGES,
    METRICS_MESSAGE_BYTES,
    METRICS_QUEUE_BATCHES,
    METRICS_QUEUE_BYTES,
    METRICS_CERTIFICATE_EXPIRY,
    METRICS_CERTIFICATE_LEFT,
    METRICS_DROPPED_DAYS,
    METRICS_DROPPED_EVENTS,
    METRICS_RETAINED_FROM,
    METRICS_HELD,
    METRICS_CLOCK_SKEW,
    METRICS_DISK,
    METRICS_DISK_FREE,
    METRICS_SCANNED,
    METRICS_TIME_CONFLICTS,
    METRICS_STUCK_READERS,
    METRICS_OLDEST_READER,
    METRICS_COUNT,
};

// Labels of METRICS_EVENTS: they add up to METRICS_RECEIVED.
enum metrics_outcome {
    METRICS_STORED,
    METRICS_DUPLICATE,
    METRICS_VARIANT,
    METRICS_OUTCOME_QUARANTINED,
    METRICS_EXPIRED,
    METRICS_OUTCOMES,
};

// Labels of METRICS_QUARANTINED: the reasons there are to refuse.
enum { METRICS_REASONS = ADMIT_REASONS - 1 };

// The label of a reason, which is not ADMIT_GOOD.
uint32_t metrics_reason(enum admit_reason reason);

// The table, by metrics_index.
extern struct metric metrics_table[METRICS_COUNT];

// Registers the table; once, at start.
void metrics_start(void);
