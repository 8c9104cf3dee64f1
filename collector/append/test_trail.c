#include "collector/append/test_trail.h"

#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#include "tests/kit/cases.h"

enum { MAP_SIZE = 1 << 28 };

static int64_t tell_time(void *context) {
    return ((struct test_trail *)context)->now_ms;
}

int test_trail_make(void **state) {
    static struct test_trail made;
    struct fault fault = {0};
    made = (struct test_trail){.now_ms = 1700000000000, .seed = 1};
    const char *base = getenv("TEST_TMPDIR");
    (void)snprintf(made.directory, sizeof made.directory, "%s/trail_XXXXXX",
                   base == NULL ? "/tmp" : base);
    if (mkdtemp(made.directory) == NULL) return 1;
    made.clock = (struct clock){tell_time, tell_time, &made};
    made.random = random_seeded(&made.seed);
    const struct trail_options options = {
        .directory = made.directory,
        .map_size = MAP_SIZE,
        .no_sync = true,
        .clock = &made.clock,
        .random = &made.random,
    };
    *state = &made;
    return trail_open(&options, &made.trail, &fault) ? 0 : 1;
}

int test_trail_end(void **state) {
    struct test_trail *trail = *state;
    char command[300];
    trail_close(trail->trail);
    (void)snprintf(command, sizeof command, "rm -r '%s'", trail->directory);
    return system(command) == 0 ? 0 : 1;
}

void test_trail_begin(struct test_trail *trail) {
    struct fault fault = {0};
    if (!trail_begin(trail->trail, &fault)) fail_msg("%s", fault.text);
}

void test_trail_commit(struct test_trail *trail) {
    struct fault fault = {0};
    struct trail_receipt receipt;
    if (!trail_commit(trail->trail, &receipt, &fault)) fail_msg("%s", fault.text);
}

struct trail_reader *test_trail_read(struct test_trail *trail) {
    struct fault fault = {0};
    struct trail_reader *reader = NULL;
    if (!trail_reader_open(trail->directory, &reader, &fault)) fail_msg("%s", fault.text);
    return reader;
}
