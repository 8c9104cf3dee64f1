// test_trail.h: an empty trail in a folder of its own, for tests of what is kept in its commits.

#pragma once

#include <stdint.h>

#include "base/clock.h"
#include "base/random.h"
#include "storage/trail/trail.h"
#include "storage/trail/trail_reader.h"

struct test_trail {
    char directory[256];
    int64_t now_ms;  // of both clocks
    struct clock clock;
    uint64_t seed;
    struct random random;
    struct trail *trail;
};

// Setup and teardown of a test: the state is a struct test_trail.
int test_trail_make(void **state);
int test_trail_end(void **state);

// One commit, which must be good.
void test_trail_begin(struct test_trail *trail);
void test_trail_commit(struct test_trail *trail);

// A reader of what is committed; the caller closes it.
struct trail_reader *test_trail_read(struct test_trail *trail);
