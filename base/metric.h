// metric.h: counters, gauges and histograms, printed in Prometheus' text format 0.0.4.
//
// Each room has one metrics.h table of struct metric and registers it once at start. Names are
// orgtrail_<room>_<noun>[_<unit>][_total]: seconds and bytes are named, a number of things has its
// noun alone, a counter ends in _total; `promtool check metrics` finds the rest. A metric has at
// most one label whose values are either an enum's names (fixed at start) or texts added as they
// appear, up to METRIC_LABELS_MAX. A histogram has no label. Values are atomic: any thread adds and
// prints; tables are registered before the threads begin. A label that came up as text must not be
// "other".

#pragma once

#include <stdbool.h>
#include <stdint.h>

#include "base/buffer.h"
#include "base/span.h"

enum metric_kind { METRIC_COUNTER, METRIC_GAUGE, METRIC_HISTOGRAM };

enum {
    METRIC_LABELS_MAX = 8192,  // label values of one metric: agents of one collector
    METRIC_BUCKETS = 20,       // of a histogram: powers of two of the scale, 1 to 2^18, and +Inf
};

struct metric {
    const char *name;
    const char *help;
    enum metric_kind kind;
    const char *label;                // its name, or NULL
    const char *const *label_values;  // fixed values by index, or NULL if they come as they appear
    uint32_t label_values_count;
    double scale;  // value * scale is printed (0.001 for ms kept, seconds shown); 0 means 1
    struct metric_state *state;  // set by metric_register
};

// Makes the table's values, all 0, and prints them from now on. The table lives as long as the
// process. Ends the process if memory runs out (start only).
void metric_register(struct metric *table, uint32_t count);

// Adds to a counter (0 or more) or gauge: label_index 0 without label, otherwise the index of the
// fixed value or what metric_label gave.
void metric_add(struct metric *metric, uint32_t label_index, int64_t value);

// Sets a gauge.
void metric_set(struct metric *metric, uint32_t label_index, int64_t value);

// Reads a value back, for status and tests.
int64_t metric_get(const struct metric *metric, uint32_t label_index);

// Counts one observation of a histogram, not scaled.
void metric_observe(struct metric *metric, int64_t value);

// The index of a label value that came up while running; the same text gives the same index. Past
// METRIC_LABELS_MAX all share the last one, "other".
uint32_t metric_label(struct metric *metric, struct span text);

// Appends all registered metrics.
void metric_print(struct buffer *output);
