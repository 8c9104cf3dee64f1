// trail_fixture.h: what the trail's tests share: a folder, a clock, made-up records, a shadow list
// of what must be stored, and a query answered by looking at all of it.

#pragma once

#include <stdbool.h>
#include <stdint.h>

#include "base/arena.h"
#include "base/clock.h"
#include "base/json.h"
#include "base/random.h"
#include "event/attribute.h"
#include "storage/trail/trail.h"
#include "storage/trail/trail_reader.h"

enum { FIXTURE_BASE_S = 1700000000 };  // 2023-11-14T22:13:20Z

// What was stored, as a test remembers it.
struct fixture_event {
    struct key key;
    uint64_t sequence;
    char *text;
};

struct fixture {
    char directory[64];
    struct trail_options options;
    struct trail *trail;
    struct json_reader *json;
    struct arena *arena;
    struct clock clock;
    int64_t now_ms;
    uint64_t random_state;
    struct random random;
    struct fixture_event *events;  // in order of sequence
    uint32_t events_count;
    uint32_t events_capacity;
    int64_t retained_from_s;  // events before it have gone
    struct fault fault;
};

// Makes a folder and a trail in it. Options may be changed between fixture_init and fixture_open.
void fixture_init(struct fixture *fixture);
void fixture_open(struct fixture *fixture);
void fixture_reopen(struct fixture *fixture);

// Closes the trail and removes the folder.
void fixture_done(struct fixture *fixture);

// A record of this number: its id, time (FIXTURE_BASE_S + second) and account follow from the
// arguments, the rest from the number. The text is on the heap.
char *fixture_make_record(uint32_t number, int64_t second, uint32_t account);

// Offers a text to the commit that is open, under the account that it names. As trail_add.
bool fixture_try(struct fixture *fixture, const char *text, enum trail_outcome *outcome);

// The same for a text that must be taken.
enum trail_outcome fixture_add(struct fixture *fixture, const char *text);

// Offers a text that lives until the commit, and remembers it if it is stored.
enum trail_outcome fixture_offer(struct fixture *fixture, const char *text);

// Offers it, expects it to be stored, and remembers it.
void fixture_store(struct fixture *fixture, const char *text);

// Begin and end a commit that must succeed.
void fixture_begin(struct fixture *fixture);
struct trail_receipt fixture_commit(struct fixture *fixture);

// Commits events_count new records of random late times over some days, a few thousand at a time.
void fixture_fill(struct fixture *fixture, uint32_t number_first, uint32_t events_count,
                  uint32_t commit_count);

// Drops all days before this second in a commit of its own.
void fixture_drop(struct fixture *fixture, int64_t from_s);

// Lets the trail do its upkeep until nothing is left to do; the number of steps.
uint32_t fixture_keep_up(struct fixture *fixture);

// How many of the remembered events are there.
uint32_t fixture_count(const struct fixture *fixture);

// Answers a query by looking at every remembered event; the caller frees the list of indexes.
uint32_t *fixture_answer(struct fixture *fixture, const struct trail_query *query, uint32_t *count);

// Runs a query through a cursor and compares all of the answer, row by row.
void fixture_compare(struct fixture *fixture, struct trail_reader *reader,
                     const struct trail_query *query);

// Compares everything: all rows in both orders, the follower's order, trail_reader_check.
void fixture_compare_all(struct fixture *fixture);
