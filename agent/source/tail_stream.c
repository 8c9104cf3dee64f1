#include <errno.h>
#include <inttypes.h>
#include <poll.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <unistd.h>

#include "agent/source/lines.h"
#include "agent/source/tail.h"

// A stream that can be read once: its position is how many bytes of it were given, for people.
struct stream {
    int descriptor;
    const struct clock *clock;
    struct lines *lines;
    bool has_ended;
    uint64_t given;  // bytes
    struct source_status status;
    char detail[SOURCE_TEXT_SIZE];
    char place[SOURCE_TEXT_SIZE];
};

static enum source_result give(struct stream *stream, enum lines_result result,
                               const struct lines_line *line, struct source_item *item) {
    uint64_t begin = stream->given;
    stream->given = line->end;
    *item = (struct source_item){.position = span_of(&stream->given, sizeof stream->given)};
    if (result == LINES_RECORD) {
        item->record = line->record;
        stream->status.events_read++;
        return SOURCE_RECORD;
    }
    snprintf(stream->place, sizeof stream->place, "byte %" PRIu64 " of standard input", begin);
    lines_tell_oversize(line, stream->clock, stream->detail, &item->notice);
    item->notice.place = stream->place;
    stream->status.errors++;
    return SOURCE_NOTICE;
}

// Reads what is there now. False if there is nothing.
static bool read_some(struct stream *stream) {
    struct pollfd poll_descriptor = {.fd = stream->descriptor, .events = POLLIN};
    if (poll(&poll_descriptor, 1, 0) <= 0) return false;
    size_t room;
    uint8_t *bytes = lines_room(stream->lines, &room);
    ssize_t got = read(stream->descriptor, bytes, room);
    if (got < 0 && (errno == EINTR || errno == EAGAIN)) return false;
    if (got < 0) {
        stream->status.errors++;
        snprintf(stream->status.last_error, sizeof stream->status.last_error,
                 "read standard input: %s", strerror(errno));
    }
    if (got <= 0) {
        stream->has_ended = true;
        return true;
    }
    lines_add(stream->lines, (size_t)got);
    return true;
}

static enum source_result step(void *context, struct source_item *item) {
    struct stream *stream = context;
    struct lines_line line;
    enum lines_result result = lines_next(stream->lines, false, stream->has_ended, &line);
    if (result != LINES_MORE) return give(stream, result, &line, item);
    if (stream->has_ended) return SOURCE_END;
    if (read_some(stream)) return SOURCE_MORE;
    item->wait_ms = TAIL_STANDARD_INPUT_MS;
    return SOURCE_IDLE;
}

static bool restore(void *context, uint64_t number, struct span position, struct fault *fault) {
    // What was read in an earlier run cannot be read again.
    (void)context;
    (void)number;
    (void)position;
    (void)fault;
    return true;
}

static void ignore_number(void *context, uint64_t number) {
    (void)context;
    (void)number;
}

static bool save(void *context, struct fault *fault) {
    (void)context;
    (void)fault;
    return true;
}

static bool rewind_to(void *context, int64_t backup_time_ms, struct fault *fault) {
    (void)context;
    (void)backup_time_ms;
    (void)fault;
    return true;
}

static void describe(void *context, struct source_status *status) {
    const struct stream *stream = context;
    *status = stream->status;
    status->state = stream->has_ended ? SOURCE_STATE_IDLE : SOURCE_STATE_OK;
    if (stream->status.last_error[0] != 0) status->state = SOURCE_STATE_FAILED;
}

static void close_stream(void *context) {
    struct stream *stream = context;
    lines_destroy(stream->lines);
    free(stream);
}

bool tail_open_stream(int descriptor, const struct clock *clock, struct source *source,
                      struct fault *fault) {
    static const struct source_operations operations = {
        .restore = restore,
        .step = step,
        .appended = ignore_number,
        .acknowledged = ignore_number,
        .save = save,
        .rewind = rewind_to,
        .describe = describe,
        .close = close_stream,
    };
    struct stream *stream = calloc(1, sizeof *stream);
    if (stream != NULL) stream->lines = lines_create();
    if (stream == NULL || stream->lines == NULL) {
        free(stream);
        return fault_set(fault, FAULT_FULL, "out of memory for standard input");
    }
    stream->descriptor = descriptor;
    stream->clock = clock;
    *source = (struct source){&operations, stream};
    return true;
}
