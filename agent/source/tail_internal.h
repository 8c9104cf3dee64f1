// tail_internal.h: what the files of the tail source share.

#pragma once

#include "agent/source/lines.h"
#include "agent/source/tail.h"
#include "agent/source/tail_file.h"

enum {
    TURN_SIZE = 1024 * 1024,  // bytes of one file before the others get their turn
    RECENT_MS = 60000,        // given so lately: the source is not idle
    NO_FILE = UINT32_MAX,
    LOST_MAX = TAIL_FILES_MAX + TAIL_MARKS_MAX,  // told before anything else is read
};

// A mark whose file cannot be found.
struct lost {
    struct tail_mark mark;
    const char *what;
    char path[SOURCE_TEXT_SIZE];
};

struct tail {
    const struct files *files;
    const struct clock *clock;
    char **paths;
    uint32_t paths_count;
    bool from_end;
    bool once;
    bool is_started;
    struct tail_mark restored[TAIL_MARKS_MAX];
    uint32_t restored_count;
    bool was_restored;

    struct tail_file tracked[TAIL_FILES_MAX];
    uint32_t count;
    struct lost lost[LOST_MAX];
    uint32_t lost_count;
    struct lines *lines;
    uint32_t owner;       // whose bytes are in lines
    bool owner_is_final;  // nothing more will be written to it
    uint64_t turn_begin;  // offset where the owner's turn began
    uint32_t next;        // whose turn it is
    int64_t search_at_ms;

    struct source_status status;
    bool is_degraded;
    int64_t given_ms;
    uint8_t position[1 + TAIL_MARKS_MAX * TAIL_MARK_SIZE];
    char place[TAIL_PATH_SIZE + 64];
    char detail[SOURCE_TEXT_SIZE];
};

// Milliseconds of the monotonic clock.
int64_t tail_now(const struct tail *tail);

// Remembers a fault of the source; it goes on.
void tail_note_fault(struct tail *tail, const struct fault *fault);

// Stops following a file; none is being read.
void tail_drop(struct tail *tail, uint32_t index);

// Opens files that are new under the source's paths.
void tail_search(struct tail *tail);

// Before the first step: opens files, and finds those of before the restart.
void tail_start(struct tail *tail);

// A file holds something else than what was read of it: reads the rest from its copy, or says that
// it is lost, and begins with it anew.
void tail_on_truncated(struct tail *tail, uint32_t index);

// A file was rotated away from its path. If that happened more than once since anybody looked,
// there are files between it and the present one that nobody has read: those changed after it.
void tail_track_siblings(struct tail *tail, const char *path, int64_t after_ns);
