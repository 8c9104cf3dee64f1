// follower.c: follower STORE NAME DAYS: moves a follower to the begin of a trail, as one that did
// so so many days ago and has not moved since. The collector of the trail does not run.

#include <stdio.h>
#include <stdlib.h>

#include "storage/trail/trail.h"
#include "storage/trail/trail_followers.h"

static int64_t ago_now_ms(void *context) {
    const int64_t *ago_ms = context;
    const struct clock *clock = clock_system();
    return clock->now_ms(clock->context) - *ago_ms;
}

static int64_t ago_monotonic_ms(void *context) {
    (void)context;
    return clock_system()->monotonic_ms(clock_system()->context);
}

int main(int argc, char **argv) {
    if (argc != 4) {
        fprintf(stderr, "usage: follower STORE NAME DAYS\n");
        return 2;
    }
    int64_t ago_ms = strtoll(argv[3], NULL, 10) * 86400000;
    const struct clock clock = {ago_now_ms, ago_monotonic_ms, &ago_ms};
    const struct trail_options options = {
        .directory = argv[1], .clock = &clock, .random = random_system()};
    struct trail *trail = NULL;
    struct trail_receipt receipt;
    struct fault fault;
    bool is_moved = trail_open(&options, &trail, &fault) && trail_begin(trail, &fault) &&
                    trail_follower_move(trail, argv[2], 0, 0, &fault) &&
                    trail_commit(trail, &receipt, &fault);
    if (!is_moved) fprintf(stderr, "follower: %s\n", fault.text);
    trail_close(trail);
    return is_moved ? 0 : 1;
}
