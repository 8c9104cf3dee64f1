#include "cli/progress.h"

#include <inttypes.h>
#include <stdio.h>
#include <unistd.h>

#include "base/clock.h"

enum { DRAW_MS = 100, BAR_WIDTH = 30 };

static int64_t read_ms(void) {
    const struct clock *clock = clock_system();
    return clock->monotonic_ms(clock->context);
}

void progress_begin(struct progress *progress, const char *what) {
    int64_t now_ms = read_ms();
    *progress = (struct progress){
        .what = what,
        .is_shown = isatty(STDERR_FILENO) == 1,
        .began_ms = now_ms,
        .drawn_ms = now_ms,
    };
}

void progress_step(struct progress *progress, uint64_t done, uint64_t all, const char *unit) {
    if (!progress->is_shown) return;
    int64_t now_ms = read_ms();
    if (now_ms - progress->drawn_ms < DRAW_MS) return;
    progress->drawn_ms = now_ms;
    double seconds = (double)(now_ms - progress->began_ms) / 1000;
    double rate = seconds > 0 ? (double)done / seconds : 0;
    char bar[BAR_WIDTH + 1] = "";
    if (all > 0) {
        uint64_t share = done >= all ? BAR_WIDTH : done * BAR_WIDTH / all;
        for (uint64_t index = 0; index < BAR_WIDTH; index++) bar[index] = index < share ? '#' : '.';
        bar[BAR_WIDTH] = 0;
    }
    fprintf(stderr, "\r\x1b[K%s %s %" PRIu64 " %s, %.0f/s", progress->what, bar, done, unit, rate);
    fflush(stderr);
}

void progress_end(struct progress *progress) {
    if (progress->is_shown) fputs("\r\x1b[K", stderr);
    progress->is_shown = false;
}
