#include "agent/source/lines.h"

#include <assert.h>
#include <inttypes.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#include "base/crypto.h"

enum {
    ROOM_MIN = 64 * 1024,
    CAPACITY = SOURCE_RECORD_SIZE_MAX + 4 * ROOM_MIN,
};

struct lines {
    uint64_t offset;  // of bytes[0] in the stream
    size_t begin;     // of the line that is looked at
    size_t scanned;   // no line end before this
    size_t fill;
    bool is_skipping;  // up to the next line end
    bool is_hashing;   // what is skipped was not told yet
    uint64_t skipped;  // bytes hashed
    struct crypto_sha256_stream *hash;
    size_t head_size;
    uint8_t head[SOURCE_NOTICE_HEAD_SIZE_MAX];
    uint8_t bytes[CAPACITY];
};

struct lines *lines_create(void) {
    struct lines *lines = malloc(sizeof *lines);
    if (lines == NULL) return NULL;
    lines->hash = crypto_sha256_create();
    if (lines->hash == NULL) {
        free(lines);
        return NULL;
    }
    lines->is_hashing = false;
    lines_reset(lines, 0, false);
    return lines;
}

void lines_destroy(struct lines *lines) {
    if (lines == NULL) return;
    crypto_sha256_destroy(lines->hash);
    free(lines);
}

void lines_reset(struct lines *lines, uint64_t offset, bool is_skipping) {
    uint8_t unused[SHA256_SIZE];
    if (lines->is_hashing) crypto_sha256_finish(lines->hash, unused);
    lines->offset = offset;
    lines->begin = 0;
    lines->scanned = 0;
    lines->fill = 0;
    lines->is_skipping = is_skipping;
    lines->is_hashing = false;
}

uint8_t *lines_room(struct lines *lines, size_t *size) {
    if (CAPACITY - lines->fill < ROOM_MIN) {
        memmove(lines->bytes, lines->bytes + lines->begin, lines->fill - lines->begin);
        lines->offset += lines->begin;
        lines->scanned -= lines->begin;
        lines->fill -= lines->begin;
        lines->begin = 0;
    }
    *size = CAPACITY - lines->fill;
    assert(*size >= ROOM_MIN);
    return lines->bytes + lines->fill;
}

void lines_add(struct lines *lines, size_t size) {
    assert(size <= CAPACITY - lines->fill);
    lines->fill += size;
}

bool lines_is_skipping(const struct lines *lines) {
    return lines->is_skipping;
}

uint64_t lines_end(const struct lines *lines) {
    return lines->offset + lines->fill;
}

uint64_t lines_begin(const struct lines *lines) {
    return lines->offset + lines->begin;
}

// Takes bytes of a line that is too large.
static void skip_bytes(struct lines *lines, size_t end) {
    if (lines->is_hashing) {
        struct span bytes = span_of(lines->bytes + lines->begin, end - lines->begin);
        size_t room = sizeof lines->head - lines->head_size;
        size_t kept = bytes.size < room ? bytes.size : room;
        memcpy(lines->head + lines->head_size, bytes.bytes, kept);
        lines->head_size += kept;
        lines->skipped += bytes.size;
        crypto_sha256_update(lines->hash, bytes);
    }
    lines->begin = end;
    lines->scanned = end;
}

static void begin_skipping(struct lines *lines) {
    lines->is_skipping = true;
    lines->is_hashing = true;
    lines->head_size = 0;
    lines->skipped = 0;
}

static enum lines_result give_oversize(struct lines *lines, struct lines_line *line) {
    *line = (struct lines_line){
        .record = span_of(lines->head, lines->head_size),
        .end = lines_begin(lines),
        .is_skipping = lines->is_skipping,
        .size = lines->skipped,
    };
    crypto_sha256_finish(lines->hash, line->sha256);
    lines->is_hashing = false;
    return LINES_OVERSIZE;
}

static bool is_blank(struct span line) {
    for (size_t index = 0; index < line.size; index++) {
        uint8_t byte = line.bytes[index];
        if (byte != ' ' && byte != '\t' && byte != '\r') return false;
    }
    return true;
}

// The line up to `end`; `next` is where the one behind it begins. False if it is blank.
static bool take_line(struct lines *lines, size_t end, size_t next, struct lines_line *line) {
    struct span record = span_of(lines->bytes + lines->begin, end - lines->begin);
    if (record.size > 0 && record.bytes[record.size - 1] == '\r') record.size--;
    lines->begin = next;
    lines->scanned = next;
    if (is_blank(record)) return false;
    *line = (struct lines_line){.record = record, .end = lines_begin(lines)};
    return true;
}

enum lines_result lines_next(struct lines *lines, bool paused, bool final,
                             struct lines_line *line) {
    for (;;) {
        struct span rest = span_of(lines->bytes + lines->scanned, lines->fill - lines->scanned);
        size_t found = rest.size == 0 ? 0 : span_find(rest, '\n');
        if (found == rest.size) break;
        size_t end = lines->scanned + found;
        if (!lines->is_skipping && end - lines->begin > SOURCE_RECORD_SIZE_MAX) {
            begin_skipping(lines);
        }
        if (!lines->is_skipping) {
            if (take_line(lines, end, end + 1, line)) return LINES_RECORD;
            continue;
        }
        skip_bytes(lines, end);
        lines->begin = end + 1;
        lines->scanned = end + 1;
        lines->is_skipping = false;
        if (lines->is_hashing) return give_oversize(lines, line);
    }
    lines->scanned = lines->fill;
    if (!lines->is_skipping && lines->fill - lines->begin > SOURCE_RECORD_SIZE_MAX) {
        begin_skipping(lines);
    }
    if (lines->is_skipping) {
        skip_bytes(lines, lines->fill);
        return lines->is_hashing && (paused || final) ? give_oversize(lines, line) : LINES_MORE;
    }
    if (final && lines->fill > lines->begin && take_line(lines, lines->fill, lines->fill, line)) {
        return LINES_RECORD;
    }
    return LINES_MORE;
}

void lines_tell_oversize(const struct lines_line *line, const struct clock *clock,
                         char detail[SOURCE_TEXT_SIZE], struct source_notice *notice) {
    snprintf(detail, SOURCE_TEXT_SIZE, "a line of %s%" PRIu64 " bytes is larger than %d",
             line->is_skipping ? "at least " : "", line->size, SOURCE_RECORD_SIZE_MAX);
    *notice = (struct source_notice){
        .reason = "record_too_large",
        .detail = detail,
        .time_ms = clock->now_ms(clock->context),
        .head = line->record,
        .size = line->size,
        .has_sha256 = true,
    };
    memcpy(notice->sha256, line->sha256, sizeof line->sha256);
}
