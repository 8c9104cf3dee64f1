// progress.h: a line on a terminal's standard error that says how far a long command has come.
//
// Nothing is printed when standard error is no terminal. Drawn at most ten times a second.

#pragma once

#include <stdbool.h>
#include <stdint.h>

struct progress {
    const char *what;
    bool is_shown;
    int64_t began_ms;
    int64_t drawn_ms;
};

// Begins: looks whether standard error is a terminal.
void progress_begin(struct progress *progress, const char *what);

// Draws the line anew when it is time. `all` 0: unknown. `unit` as in "events".
void progress_step(struct progress *progress, uint64_t done, uint64_t all, const char *unit);

// Removes the line.
void progress_end(struct progress *progress);
