// sample.h: small trails for tests, with events that vary in all that a query can ask for.
//
// Event i of a seed is always the same. Times spread over three days with many equal seconds;
// accounts, regions, names, users, errors, categories and sharing come from small sets, so that
// every condition matches some events and not others.

#pragma once

#include <stdbool.h>
#include <stdint.h>

#include "base/arena.h"
#include "base/json.h"
#include "base/span.h"
#include "event/key.h"
#include "event/record.h"

enum {
    SAMPLE_TEXT_SIZE = 2048,
    SAMPLE_AGENTS = 3,
};

#define SAMPLE_TIME_S INT64_C(1688947200)  // 2023-07-10T00:00:00Z, where times begin

struct sample_event {
    char text[SAMPLE_TEXT_SIZE];
    struct span account;  // borrows from text or is static
    struct key key;
};

struct sample {
    struct sample_event *events;
    uint32_t count;
    struct json_reader *json;
    struct arena *arena;
};

// Makes count events. Ends the test if memory runs out.
void sample_create(struct sample *sample, uint64_t seed, uint32_t count);

// Frees them.
void sample_destroy(struct sample *sample);

// Reads event `index`; the record lives until the next call.
void sample_read(struct sample *sample, uint32_t index, struct record *record);

// Appends the events order[0..count) to the trail in a folder (made if it is empty), commit_size
// at a time. The arrival order is the order given; order NULL: 0, 1, 2, ... from `first` on.
void sample_append(struct sample *sample, const char *directory, uint32_t first, uint32_t count,
                   const uint32_t *order, uint32_t commit_size);

// Drops all days before a second, as another process: this one may be reading.
void sample_drop(const char *directory, int64_t from_s);

// Makes a follower of the trail in a folder that has finished event 1. Nobody else has it open.
void sample_follow(const char *directory, const char *name);

// A random order of 0 to count - 1 in memory that the caller frees.
uint32_t *sample_shuffle(uint64_t seed, uint32_t count);

// <0, 0, >0: by (eventTime, id, account).
int sample_compare_keys(const struct key *left, const struct key *right);

// Makes a trail without events: two agents with streams (one of them does not balance, by 7), 30
// gaps, and refusals with bytes that would steer a terminal. Times count back from now_s.
void sample_make_troubled(const char *directory, int64_t now_s);
