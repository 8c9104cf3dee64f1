// lines.h: cuts a growing stream into lines of at most SOURCE_RECORD_SIZE_MAX bytes.
//
// A line that is larger is hashed and passed over up to its end. Blank lines are passed over.

#pragma once

#include <stdbool.h>
#include <stdint.h>

#include "agent/source/source.h"
#include "base/clock.h"
#include "base/span.h"

enum lines_result {
    LINES_RECORD,    // *line is one, without its line end
    LINES_OVERSIZE,  // *line has record, head, size and hash of one that is too large
    LINES_MORE,      // everything was looked at
};

struct lines_line {
    struct span record;  // or the head of one that is too large
    uint64_t end;        // stream offset behind it
    bool is_skipping;    // it goes on there: what comes up to the next line end belongs to it
    uint64_t size;       // of a too large one, as far as it was seen
    uint8_t sha256[32];
};

struct lines;

// NULL if memory runs out.
struct lines *lines_create(void);
void lines_destroy(struct lines *lines);

// Begins at a stream offset; is_skipping: inside a line that is passed over.
void lines_reset(struct lines *lines, uint64_t offset, bool is_skipping);

// Where to put the next bytes, at least 64 KiB of them; then how many there are.
uint8_t *lines_room(struct lines *lines, size_t *size);
void lines_add(struct lines *lines, size_t size);

// Whether what comes next belongs to a line that is passed over.
bool lines_is_skipping(const struct lines *lines);

// Offset of the next byte to add, and of the first one that was not given yet.
uint64_t lines_end(const struct lines *lines);
uint64_t lines_begin(const struct lines *lines);

// Gives the next line; its spans are borrowed until the next call of any function. paused: nothing
// more is there now, so a line that is too large is given as far as it goes. final: nothing will
// ever come, so the last line needs no line end.
enum lines_result lines_next(struct lines *lines, bool paused, bool final, struct lines_line *line);

// Makes the notice of a line that is too large; detail keeps its text. Its place is the caller's.
void lines_tell_oversize(const struct lines_line *line, const struct clock *clock,
                         char detail[SOURCE_TEXT_SIZE], struct source_notice *notice);
