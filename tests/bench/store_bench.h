// store_bench.h: what the parts of the store's benchmark share.

#pragma once

#include <stdbool.h>
#include <stdint.h>

#include "base/arena.h"
#include "base/buffer.h"
#include "base/fault.h"
#include "base/json.h"
#include "base/random.h"
#include "event/attribute.h"
#include "event/key.h"
#include "event/record.h"
#include "storage/trail/trail.h"
#include "tests/kit/traffic.h"

enum {
    START_S = 1767225600,
    SAMPLES = 300,        // values per kind that are looked up
    PAGE = 50,            // rows of a page
    LANES = 16,           // of traffic that is late
    GZIP_EVENTS = 16000,  // of one gzip member that is measured
    GZIP_EVERY = 8,       // one in so many parts of that size is compressed
    ARENA_SIZE = 256 * 1024 * 1024,
    MAIN_ARENA_SIZE = 64 * 1024 * 1024,
};

struct options {
    uint32_t events;
    uint32_t commit;
    uint32_t block_rows_min;
    uint32_t tail_rows_max;
    uint32_t window;
    uint32_t traces;
    uint32_t late_s;
    uint32_t rate;
    uint32_t accounts;
    uint32_t again;
    const char *directory;
    const char *data;
    bool no_sync;
    bool keep;
    bool only_read;
    bool only_fill;
    const char *only;
};

// Traffic, all of which arrives late by as much.
struct lane {
    struct traffic *traffic;
    struct traffic_event next;
    int64_t late_s;
};

// What finds an event: one of its attributes, for each second event in its account and region.
struct finding {
    struct attribute attributes[3];
    uint32_t count;
};

struct bench {
    struct options options;
    struct lane lanes[LANES];
    uint32_t lanes_count;
    struct lane *given;  // the lane of the event that was given last, or NULL
    struct json_reader *json;
    struct arena *texts;   // of one commit
    struct arena *record;  // of one record
    struct arena *kept;    // samples
    uint64_t random_state;
    struct random random;
    struct trail *trail;
    uint64_t seen[ATTRIBUTE_KINDS];
    struct attribute samples[ATTRIBUTE_KINDS][SAMPLES];
    struct key ids[SAMPLES];
    struct finding findings[SAMPLES];
    uint64_t samples_taken;  // events they come from, when a store is read
    uint64_t text_size;
    uint64_t gzip_text_size;
    uint64_t gzip_size;
    struct buffer lines;
    struct buffer packed;
};

// Wall and CPU seconds of a part of the run.
struct watch {
    double wall_s;
    double cpu_s;
};

// Ends the program with the fault's text.
void bench_stop(const struct fault *fault);

// What the clocks say now, and adding what has passed since to a sum.
struct watch watch_now(void);
void watch_add(struct watch *sum, const struct watch *begin);

// Keeps values of every kind of attribute, each event with the same chance: this is the number-th.
void bench_take_samples(struct bench *bench, const struct record *record, struct span account,
                        uint64_t number);

// Measures what readers do with the store in the options' directory. Without samples it takes them
// from the store.
void bench_measure_reads(struct bench *bench);
