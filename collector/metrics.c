#include "collector/metrics.h"

#include <assert.h>

#include "base/fault.h"

static const char *const OUTCOMES[METRICS_OUTCOMES] = {
    [METRICS_STORED] = "stored",   [METRICS_DUPLICATE] = "duplicate",
    [METRICS_VARIANT] = "variant", [METRICS_OUTCOME_QUARANTINED] = "quarantined",
    [METRICS_EXPIRED] = "expired",
};

// Filled from their enums at start, so that the names stand in one place.
static const char *reasons[METRICS_REASONS];
static const char *kinds[FAULT_CORRUPT + 1];

_Static_assert(ADMIT_GOOD == 0, "reasons begin behind it");

uint32_t metrics_reason(enum admit_reason reason) {
    assert(reason > ADMIT_GOOD && reason < ADMIT_REASONS);
    return (uint32_t)reason - 1;
}

struct metric metrics_table[METRICS_COUNT] = {
    [METRICS_RECEIVED] = {.name = "orgtrail_collector_received_events_total",
                          .help = "Records received and decided; the sum of all outcomes.",
                          .kind = METRIC_COUNTER},
    [METRICS_EVENTS] = {.name = "orgtrail_collector_decided_events_total",
                        .help = "Records received, by what became of them.",
                        .kind = METRIC_COUNTER,
                        .label = "outcome",
                        .label_values = OUTCOMES,
                        .label_values_count = METRICS_OUTCOMES},
    [METRICS_QUARANTINED] = {.name = "orgtrail_collector_quarantined_events_total",
                             .help = "What went into quarantine, by reason.",
                             .kind = METRIC_COUNTER,
                             .label = "reason",
                             .label_values = reasons,
                             .label_values_count = METRICS_REASONS},
    [METRICS_GLOBAL] = {.name = "orgtrail_collector_global_events_total",
                        .help = "Reports of global-service events, new or not.",
                        .kind = METRIC_COUNTER},
    [METRICS_NOTICES] = {.name = "orgtrail_collector_notices_total",
                         .help = "Notices of agents: what they lost or refused.",
                         .kind = METRIC_COUNTER},
    [METRICS_GAPS] = {.name = "orgtrail_collector_gaps_total",
                      .help = "Gaps that agents reported, repeats not counted.",
                      .kind = METRIC_COUNTER},
    [METRICS_GAP_NUMBERS] = {.name = "orgtrail_collector_gap_numbers_total",
                             .help = "Numbers lost in gaps.",
                             .kind = METRIC_COUNTER},
    [METRICS_OWN_EVENTS] = {.name = "orgtrail_collector_own_events_total",
                            .help = "Events of orgtrail.local stored.",
                            .kind = METRIC_COUNTER},
    [METRICS_UNLISTED] = {.name = "orgtrail_collector_unlisted_events_total",
                          .help = "Records admitted of accounts that are not in the roster.",
                          .kind = METRIC_COUNTER},
    [METRICS_LOST_NOTES] = {.name = "orgtrail_collector_lost_notes_total",
                            .help = "Own events lost because too many waited for the writer.",
                            .kind = METRIC_COUNTER},
    [METRICS_RETRIED] = {.name = "orgtrail_collector_retried_events_total",
                         .help = "Records that left quarantine to be received again.",
                         .kind = METRIC_COUNTER},
    [METRICS_DISCARDED] = {.name = "orgtrail_collector_discarded_events_total",
                           .help = "Records that an operator discarded from quarantine.",
                           .kind = METRIC_COUNTER},
    [METRICS_COMMITS] = {.name = "orgtrail_collector_commits_total",
                         .help = "Commits of the trail.",
                         .kind = METRIC_COUNTER},
    [METRICS_COMMIT_SECONDS] = {.name = "orgtrail_collector_commit_seconds",
                                .help = "Time of a commit, from its beginning to the disk.",
                                .kind = METRIC_HISTOGRAM,
                                .scale = 0.001},
    [METRICS_COMMIT_ROWS] = {.name = "orgtrail_collector_commit_events",
                             .help = "Records decided in one commit.",
                             .kind = METRIC_HISTOGRAM},
    [METRICS_DAMAGED_PARTS] = {.name = "orgtrail_collector_damaged_parts",
                               .help = "Parts of the store that were found damaged at the start.",
                               .kind = METRIC_GAUGE},
    [METRICS_MISMATCHED_TEXTS] = {.name = "orgtrail_collector_mismatched_texts",
                                  .help = "Texts that did not come back from their block and were "
                                          "stored as they are, since the start.",
                                  .kind = METRIC_GAUGE},
    [METRICS_FULL_ATTEMPTS] = {.name = "orgtrail_collector_full_attempts_total",
                               .help = "Commits given up because the disk was full.",
                               .kind = METRIC_COUNTER},
    [METRICS_IS_FULL] = {.name = "orgtrail_collector_full_store",
                         .help = "1 while the disk is full and nothing is acknowledged.",
                         .kind = METRIC_GAUGE},
    [METRICS_AGENTS_THROTTLED] = {.name = "orgtrail_collector_throttled_streams",
                                  .help = "Streams whose agent's quarantine is full.",
                                  .kind = METRIC_GAUGE},
    [METRICS_SILENT_AGENTS] = {.name = "orgtrail_collector_silent_agents",
                               .help = "Agents not heard of for three heartbeats.",
                               .kind = METRIC_GAUGE},
    [METRICS_SILENT_REGIONS] = {.name = "orgtrail_collector_silent_regions",
                                .help = "Regions of accounts that the roster expects and of which "
                                        "no event came for too long.",
                                .kind = METRIC_GAUGE},
    [METRICS_EXPECTED_REGIONS] = {.name = "orgtrail_collector_expected_regions",
                                  .help = "Regions of accounts that the roster expects.",
                                  .kind = METRIC_GAUGE},
    [METRICS_STREAMS] = {.name = "orgtrail_collector_streams",
                         .help = "Streams open now.",
                         .kind = METRIC_GAUGE},
    [METRICS_STREAMS_OPENED] = {.name = "orgtrail_collector_opened_streams_total",
                                .help = "Streams accepted.",
                                .kind = METRIC_COUNTER},
    [METRICS_STREAMS_REFUSED] = {.name = "orgtrail_collector_refused_streams_total",
                                 .help = "Streams refused, by kind of fault.",
                                 .kind = METRIC_COUNTER,
                                 .label = "kind",
                                 .label_values = kinds,
                                 .label_values_count = FAULT_CORRUPT + 1},
    [METRICS_STREAMS_ENDED] = {.name = "orgtrail_collector_ended_streams_total",
                               .help = "Streams ended, by kind of fault (none: in order).",
                               .kind = METRIC_COUNTER,
                               .label = "kind",
                               .label_values = kinds,
                               .label_values_count = FAULT_CORRUPT + 1},
    [METRICS_MESSAGES] = {.name = "orgtrail_collector_received_messages_total",
                          .help = "Messages of agents.",
                          .kind = METRIC_COUNTER},
    [METRICS_MESSAGE_BYTES] = {.name = "orgtrail_collector_received_bytes_total",
                               .help = "Bytes of messages of agents.",
                               .kind = METRIC_COUNTER},
    [METRICS_QUEUE_BATCHES] = {.name = "orgtrail_collector_queued_batches",
                               .help = "Batches waiting for the writer.",
                               .kind = METRIC_GAUGE},
    [METRICS_QUEUE_BYTES] = {.name = "orgtrail_collector_queued_bytes",
                             .help = "Bytes of the batches waiting for the writer.",
                             .kind = METRIC_GAUGE},
    [METRICS_CERTIFICATE_EXPIRY] = {.name = "orgtrail_collector_certificate_expiry_seconds",
                                    .help = "When the collector's certificate ends (Unix time).",
                                    .kind = METRIC_GAUGE},
    [METRICS_CERTIFICATE_LEFT] = {.name = "orgtrail_collector_certificate_left_seconds",
                                  .help = "Seconds until a certificate ends: of an agent by its "
                                          "name, of the collector, of the CA that ends first.",
                                  .kind = METRIC_GAUGE,
                                  .label = "subject"},
    [METRICS_DROPPED_DAYS] = {.name = "orgtrail_collector_retention_drops_total",
                              .help = "Days dropped with all their events, by retention_days.",
                              .kind = METRIC_COUNTER},
    [METRICS_DROPPED_EVENTS] = {.name = "orgtrail_collector_dropped_events_total",
                                .help = "Events that went with their days.",
                                .kind = METRIC_COUNTER},
    [METRICS_RETAINED_FROM] = {.name = "orgtrail_collector_retained_from_seconds",
                               .help = "Events before it are expired (Unix time); 0: none are.",
                               .kind = METRIC_GAUGE},
    [METRICS_HELD] = {.name = "orgtrail_collector_held_retention",
                      .help = "1 while a day that should go waits for a follower.",
                      .kind = METRIC_GAUGE},
    [METRICS_CLOCK_SKEW] = {.name = "orgtrail_collector_clock_skew_seconds",
                            .help = "How far an agent's clock is behind the collector's, with the "
                                    "time a message takes; negative: ahead.",
                            .kind = METRIC_GAUGE,
                            .label = "agent",
                            .scale = 0.001},
    [METRICS_DISK] = {.name = "orgtrail_collector_disk_bytes",
                      .help = "Size of the file system of the store.",
                      .kind = METRIC_GAUGE},
    [METRICS_DISK_FREE] = {.name = "orgtrail_collector_disk_free_bytes",
                           .help = "Bytes free on the file system of the store.",
                           .kind = METRIC_GAUGE},
    [METRICS_SCANNED] = {.name = "orgtrail_collector_scanned_sequence",
                         .help = "Events up to this one were compared for one id at two times.",
                         .kind = METRIC_GAUGE},
    [METRICS_TIME_CONFLICTS] = {.name = "orgtrail_collector_time_conflicts_total",
                                .help = "Events found with the id of another and another time.",
                                .kind = METRIC_COUNTER},
    [METRICS_STUCK_READERS] = {.name = "orgtrail_collector_stuck_readers",
                               .help = "Readers that have held one snapshot for a minute.",
                               .kind = METRIC_GAUGE},
    [METRICS_OLDEST_READER] = {.name = "orgtrail_collector_oldest_reader_seconds",
                               .help = "How long the oldest of them has; 0: there is none.",
                               .kind = METRIC_GAUGE},
};

void metrics_start(void) {
    for (int reason = ADMIT_GOOD + 1; reason < ADMIT_REASONS; reason++) {
        reasons[metrics_reason((enum admit_reason)reason)] =
            admit_reason_name((enum admit_reason)reason);
    }
    for (int kind = 0; kind <= FAULT_CORRUPT; kind++) {
        kinds[kind] = fault_kind_name((enum fault_kind)kind);
    }
    metric_register(metrics_table, METRICS_COUNT);
}
