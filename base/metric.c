#include "base/metric.h"

#include <assert.h>
#include <inttypes.h>
#include <stdatomic.h>
#include <stdio.h>
#include <stdlib.h>

enum {
    TABLES_MAX = 64,  // rooms with metrics; a program has about ten
};

static const char label_other[] = "other";

// A histogram keeps its buckets (not summed up) where others keep their labels' values.
struct metric_state {
    uint32_t values_count;
    _Atomic int64_t *values;
    _Atomic int64_t sum;  // of a histogram
    // Labels that come as they appear fill from 0 and are never taken away, so readers and adders
    // need no lock. NULL for others.
    _Atomic(char *) *labels;
};

struct table {
    struct metric *metrics;
    uint32_t count;
};

// Filled at start by one thread, before any other prints.
static struct table tables[TABLES_MAX];
static _Atomic uint32_t tables_count;

static bool is_dynamic(const struct metric *metric) {
    return metric->label != NULL && metric->label_values == NULL;
}

static void *allocate(size_t count, size_t size) {
    void *items = calloc(count, size);
    if (items == NULL) {
        fputs("metrics: no memory at start\n", stderr);
        exit(1);
    }
    return items;
}

static void make_state(struct metric *metric) {
    assert(metric->state == NULL);
    assert(metric->kind != METRIC_HISTOGRAM || metric->label == NULL);
    assert(metric->label_values == NULL || metric->label_values_count > 0);
    struct metric_state *state = allocate(1, sizeof *state);
    state->values_count = metric->kind == METRIC_HISTOGRAM ? METRIC_BUCKETS
                          : is_dynamic(metric)             ? METRIC_LABELS_MAX
                          : metric->label != NULL          ? metric->label_values_count
                                                           : 1;
    state->values = allocate(state->values_count, sizeof *state->values);
    if (is_dynamic(metric)) state->labels = allocate(METRIC_LABELS_MAX, sizeof *state->labels);
    metric->state = state;
}

void metric_register(struct metric *table, uint32_t count) {
    uint32_t index = atomic_load(&tables_count);
    assert(index < TABLES_MAX);
    for (uint32_t at = 0; at < count; at++) make_state(&table[at]);
    tables[index] = (struct table){table, count};
    atomic_store(&tables_count, index + 1);
}

static _Atomic int64_t *value_of(const struct metric *metric, uint32_t label_index) {
    assert(metric->state != NULL);
    assert(label_index < metric->state->values_count);
    return &metric->state->values[label_index];
}

void metric_add(struct metric *metric, uint32_t label_index, int64_t value) {
    assert(metric->kind != METRIC_HISTOGRAM);
    assert(metric->kind != METRIC_COUNTER || value >= 0);
    atomic_fetch_add_explicit(value_of(metric, label_index), value, memory_order_relaxed);
}

void metric_set(struct metric *metric, uint32_t label_index, int64_t value) {
    assert(metric->kind == METRIC_GAUGE);
    atomic_store_explicit(value_of(metric, label_index), value, memory_order_relaxed);
}

int64_t metric_get(const struct metric *metric, uint32_t label_index) {
    return atomic_load_explicit(value_of(metric, label_index), memory_order_relaxed);
}

void metric_observe(struct metric *metric, int64_t value) {
    assert(metric->kind == METRIC_HISTOGRAM);
    uint32_t bucket = 0;
    while (bucket + 1 < METRIC_BUCKETS && value > INT64_C(1) << bucket) bucket++;
    atomic_fetch_add_explicit(value_of(metric, bucket), 1, memory_order_relaxed);
    atomic_fetch_add_explicit(&metric->state->sum, value, memory_order_relaxed);
}

uint32_t metric_label(struct metric *metric, struct span text) {
    assert(metric->state != NULL);
    assert(is_dynamic(metric));
    _Atomic(char *) *labels = metric->state->labels;
    char *copy = NULL;
    uint32_t index = 0;
    while (index + 1 < METRIC_LABELS_MAX) {
        char *label = atomic_load(&labels[index]);
        if (label == NULL) {
            if (copy == NULL) copy = strndup((const char *)text.bytes, text.size);
            // Without memory for its name it counts among the others.
            if (copy == NULL) return METRIC_LABELS_MAX - 1;
            if (atomic_compare_exchange_strong(&labels[index], &label, copy)) return index;
            // Another thread was first: its label stands in `label` now.
        }
        if (span_is(text, label)) break;
        index++;
    }
    free(copy);
    return index;
}

// What the format asks for: in label values also the quote.
static void append_escaped(struct buffer *output, const char *text, bool quoted) {
    for (; *text != 0; text++) {
        if (*text == '\\' || (quoted && *text == '"')) {
            buffer_append_byte(output, '\\');
            buffer_append_byte(output, (uint8_t)*text);
        } else if (*text == '\n') {
            buffer_append_text(output, "\\n");
        } else {
            buffer_append_byte(output, (uint8_t)*text);
        }
    }
}

static void print_number(struct buffer *output, const struct metric *metric, int64_t value) {
    bool scaled = metric->scale < 0 || metric->scale > 0;
    if (scaled) {
        buffer_print(output, "%.15g\n", (double)value * metric->scale);
    } else {
        buffer_print(output, "%" PRId64 "\n", value);
    }
}

static void print_histogram(struct buffer *output, const struct metric *metric) {
    double scale = metric->scale < 0 || metric->scale > 0 ? metric->scale : 1;
    int64_t count = 0;
    for (uint32_t bucket = 0; bucket < METRIC_BUCKETS; bucket++) {
        count += metric_get(metric, bucket);
        if (bucket + 1 < METRIC_BUCKETS) {
            double bound = (double)(INT64_C(1) << bucket) * scale;
            buffer_print(output, "%s_bucket{le=\"%.15g\"} %" PRId64 "\n", metric->name, bound,
                         count);
        } else {
            buffer_print(output, "%s_bucket{le=\"+Inf\"} %" PRId64 "\n", metric->name, count);
        }
    }
    buffer_print(output, "%s_sum ", metric->name);
    print_number(output, metric, atomic_load(&metric->state->sum));
    buffer_print(output, "%s_count %" PRId64 "\n", metric->name, count);
}

static void print_labelled(struct buffer *output, const struct metric *metric, const char *label,
                           uint32_t index) {
    buffer_print(output, "%s{%s=\"", metric->name, metric->label);
    append_escaped(output, label, true);
    buffer_append_text(output, "\"} ");
    print_number(output, metric, metric_get(metric, index));
}

static void print_dynamic(struct buffer *output, const struct metric *metric) {
    uint32_t other = METRIC_LABELS_MAX - 1;
    for (uint32_t index = 0; index < other; index++) {
        const char *label = atomic_load(&metric->state->labels[index]);
        if (label == NULL) break;
        print_labelled(output, metric, label, index);
    }
    if (metric_get(metric, other) != 0) print_labelled(output, metric, label_other, other);
}

static void print_metric(struct buffer *output, const struct metric *metric) {
    static const char *const kinds[] = {"counter", "gauge", "histogram"};
    buffer_print(output, "# HELP %s ", metric->name);
    append_escaped(output, metric->help, false);
    buffer_print(output, "\n# TYPE %s %s\n", metric->name, kinds[metric->kind]);
    if (metric->kind == METRIC_HISTOGRAM) {
        print_histogram(output, metric);
    } else if (metric->label == NULL) {
        buffer_print(output, "%s ", metric->name);
        print_number(output, metric, metric_get(metric, 0));
    } else if (is_dynamic(metric)) {
        print_dynamic(output, metric);
    } else {
        for (uint32_t index = 0; index < metric->label_values_count; index++) {
            print_labelled(output, metric, metric->label_values[index], index);
        }
    }
}

void metric_print(struct buffer *output) {
    uint32_t count = atomic_load(&tables_count);
    for (uint32_t index = 0; index < count; index++) {
        for (uint32_t at = 0; at < tables[index].count; at++) {
            print_metric(output, &tables[index].metrics[at]);
        }
    }
}
