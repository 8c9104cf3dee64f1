#include "agent/source/tail.h"

#include <assert.h>
#include <inttypes.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#include "agent/source/tail_internal.h"

int64_t tail_now(const struct tail *tail) {
    return tail->clock->monotonic_ms(tail->clock->context);
}

void tail_note_fault(struct tail *tail, const struct fault *fault) {
    tail->status.errors++;
    tail->is_degraded = true;
    snprintf(tail->status.last_error, sizeof tail->status.last_error, "%s", fault->text);
}

void tail_drop(struct tail *tail, uint32_t index) {
    tail_file_close(tail->files, &tail->tracked[index]);
    tail->count--;
    memmove(&tail->tracked[index], &tail->tracked[index + 1],
            (tail->count - index) * sizeof tail->tracked[0]);
    assert(tail->owner == NO_FILE);
}
// --- giving

// The position holds what is lost and was not told yet too: a crash must not make it forgotten.
static void begin_item(struct tail *tail, struct source_item *item) {
    struct tail_mark marks[TAIL_MARKS_MAX];
    uint32_t count = 0;
    for (; count < tail->count; count++) marks[count] = tail->tracked[count].mark;
    for (uint32_t index = 0; index < tail->lost_count && count < TAIL_MARKS_MAX; index++) {
        marks[count++] = tail->lost[index].mark;
    }
    *item = (struct source_item){
        .position = tail_marks_encode(marks, count, tail->position),
    };
    tail->given_ms = tail_now(tail);
}

static enum source_result give_lost(struct tail *tail, struct source_item *item) {
    const struct lost *lost = &tail->lost[--tail->lost_count];
    begin_item(tail, item);
    snprintf(tail->place, sizeof tail->place, "byte %" PRIu64 " of %s (inode %" PRIu64 ")",
             lost->mark.offset, lost->path, lost->mark.inode);
    snprintf(tail->detail, sizeof tail->detail, "%s", lost->what);
    item->notice.reason = "rotated_away";
    item->notice.place = tail->place;
    item->notice.detail = tail->detail;
    item->notice.time_ms = tail->clock->now_ms(tail->clock->context);
    tail->status.errors++;
    return SOURCE_NOTICE;
}

static enum source_result give_line(struct tail *tail, enum lines_result result,
                                    const struct lines_line *line, struct source_item *item) {
    struct tail_file *file = &tail->tracked[tail->owner];
    uint64_t begin = file->mark.offset;
    struct fault fault;
    file->mark.offset = line->end;
    file->mark.is_skipping = line->is_skipping;
    if (!tail_file_extend(tail->files, file, &fault)) tail_note_fault(tail, &fault);
    begin_item(tail, item);
    if (result == LINES_RECORD) {
        item->record = line->record;
        tail->status.events_read++;
        return SOURCE_RECORD;
    }
    snprintf(tail->place, sizeof tail->place, "byte %" PRIu64 " of %s", begin, file->path);
    lines_tell_oversize(line, tail->clock, tail->detail, &item->notice);
    item->notice.place = tail->place;
    tail->status.errors++;
    return SOURCE_NOTICE;
}

// --- reading

static void give_turn(struct tail *tail, uint32_t index, bool is_final) {
    const struct tail_mark *mark = &tail->tracked[index].mark;
    lines_reset(tail->lines, mark->offset, mark->is_skipping);
    tail->owner = index;
    tail->owner_is_final = is_final;
    tail->turn_begin = mark->offset;
}

// Rotated files stand before those that replaced them, so the first one goes first; but one that
// has more than a turn's worth lets the others go.
static void end_turn(struct tail *tail, bool has_more) {
    struct tail_file *file = &tail->tracked[tail->owner];
    // What was passed over without being told (a large line, blank lines) is not looked at again.
    file->looked_size = lines_end(tail->lines);
    file->mark.offset = lines_begin(tail->lines);
    file->mark.is_skipping = lines_is_skipping(tail->lines);
    if (has_more) file->looked_size = 0;
    tail->next = has_more ? tail->owner + 1 : 0;
    tail->owner = NO_FILE;
}

// Reads on in the file whose turn it is.
static enum source_result read_owner(struct tail *tail, struct source_item *item) {
    struct lines_line line;
    enum lines_result result = lines_next(tail->lines, false, false, &line);
    if (result != LINES_MORE) return give_line(tail, result, &line, item);
    struct tail_file *file = &tail->tracked[tail->owner];
    bool is_over = lines_begin(tail->lines) - tail->turn_begin > TURN_SIZE && tail->count > 1;
    size_t room, got;
    uint8_t *bytes = lines_room(tail->lines, &room);
    struct fault fault;
    if (!files_read_at(tail->files, file->handle, lines_end(tail->lines), bytes, room, &got,
                       &fault)) {
        tail_note_fault(tail, &fault);
        got = 0;
    }
    if (got > 0 && is_over) {
        end_turn(tail, true);
        return SOURCE_MORE;
    }
    if (got > 0) {
        lines_add(tail->lines, got);
        return SOURCE_MORE;
    }
    result = lines_next(tail->lines, true, tail->owner_is_final || tail->once, &line);
    if (result != LINES_MORE) return give_line(tail, result, &line, item);
    end_turn(tail, false);
    return SOURCE_MORE;
}

// Whether a file's path names something else by now.
static bool check_rotated(struct tail *tail, struct tail_file *file, struct fault *fault) {
    bool exists;
    struct files_entry entry;
    if (!files_find(tail->files, file->path, &exists, &entry, fault)) return false;
    bool is_rotated = !exists || entry.inode != file->mark.inode;
    if (is_rotated && !file->is_rotated) {
        // The new file is opened at once, and those between the two.
        tail->search_at_ms = 0;
        if (!files_describe(tail->files, file->handle, &entry, fault)) return false;
        tail_track_siblings(tail, file->path, entry.modified_ns);
    }
    file->is_rotated = is_rotated;
    return true;
}

// Looks at a file that is not being read. *readable: it has something to read, *ended: it can be
// dropped.
static bool look_at_file(struct tail *tail, uint32_t index, bool *readable, bool *ended,
                         struct fault *fault) {
    struct tail_file *file = &tail->tracked[index];
    struct files_entry entry;
    *readable = false;
    *ended = false;
    file->mark.is_done = false;
    if (!files_describe(tail->files, file->handle, &entry, fault)) return false;
    if (entry.size != file->size) file->rested_ms = tail_now(tail);
    file->size = entry.size;
    if (entry.size < file->mark.offset) {
        tail_on_truncated(tail, index);
        return true;
    }
    *readable = entry.size > file->mark.offset && entry.size != file->looked_size;
    if (*readable || entry.modified_ns != file->modified_ns) {
        bool matches;
        if (!tail_file_matches(tail->files, file, &file->mark, &matches, fault)) return false;
        file->modified_ns = entry.modified_ns;
        if (!matches) {
            *readable = false;
            tail_on_truncated(tail, index);
            return true;
        }
    }
    if (*readable) return true;
    if (!check_rotated(tail, file, fault)) return false;
    int64_t rested_ms = tail_now(tail) - file->rested_ms;
    if (file->is_rotated && rested_ms >= TAIL_ROTATED_MS) {
        file->mark.is_done = entry.size == file->mark.offset;
        *readable = !file->mark.is_done;
        *ended = file->mark.is_done && rested_ms >= TAIL_HELD_MS;
    }
    return true;
}

// Gives the turn to the next file that has something. False if none has.
static bool choose_file(struct tail *tail) {
    uint32_t count = tail->count;
    for (uint32_t tried = 0; tried < count; tried++) {
        if (tail->next >= tail->count) tail->next = 0;
        uint32_t index = tail->next++;
        if (index >= tail->count) break;
        bool readable, ended;
        struct fault fault;
        if (!look_at_file(tail, index, &readable, &ended, &fault)) {
            tail_note_fault(tail, &fault);
            continue;
        }
        if (readable) {
            const struct tail_file *file = &tail->tracked[index];
            bool rested = tail_now(tail) - file->rested_ms >= TAIL_ROTATED_MS;
            give_turn(tail, index, file->is_rotated && rested);
            return true;
        }
        if (ended) tail_drop(tail, index);
    }
    tail->next = 0;
    return false;
}

static enum source_result step(void *context, struct source_item *item) {
    struct tail *tail = context;
    if (!tail->is_started) tail_start(tail);
    if (tail->owner != NO_FILE) return read_owner(tail, item);
    if (tail->lost_count > 0) return give_lost(tail, item);
    if (tail_now(tail) >= tail->search_at_ms) tail_search(tail);
    if (choose_file(tail) || tail->lost_count > 0) return SOURCE_MORE;
    if (tail->once) return SOURCE_END;
    // A rotation that was just seen: the new file is looked for at once.
    if (tail->search_at_ms == 0) return SOURCE_MORE;
    item->wait_ms = TAIL_POLL_MS;
    return SOURCE_IDLE;
}

static bool restore(void *context, uint64_t number, struct span position, struct fault *fault) {
    struct tail *tail = context;
    (void)number;
    (void)fault;
    assert(!tail->is_started);
    if (position.size == 0) return true;
    tail->restored_count = tail_marks_decode(position, tail->restored);
    tail->was_restored = true;
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
    // What a log held at which time nobody knows: the gap is reported, nothing is read again.
    (void)context;
    (void)backup_time_ms;
    (void)fault;
    return true;
}

static void describe(void *context, struct source_status *status) {
    struct tail *tail = context;
    *status = tail->status;
    status->bytes_behind = 0;
    for (uint32_t index = 0; index < tail->count; index++) {
        const struct tail_file *file = &tail->tracked[index];
        if (file->size > file->mark.offset) status->bytes_behind += file->size - file->mark.offset;
    }
    bool is_idle = tail_now(tail) - tail->given_ms > RECENT_MS;
    status->state = is_idle ? SOURCE_STATE_IDLE : SOURCE_STATE_OK;
    if (tail->is_degraded) status->state = SOURCE_STATE_DEGRADED;
}

static void close_tail(void *context) {
    struct tail *tail = context;
    for (uint32_t index = 0; index < tail->count; index++) {
        tail_file_close(tail->files, &tail->tracked[index]);
    }
    for (uint32_t index = 0; tail->paths != NULL && index < tail->paths_count; index++) {
        free(tail->paths[index]);
    }
    free(tail->paths);
    lines_destroy(tail->lines);
    free(tail);
}

static const struct source_operations tail_operations = {
    .restore = restore,
    .step = step,
    .appended = ignore_number,
    .acknowledged = ignore_number,
    .save = save,
    .rewind = rewind_to,
    .describe = describe,
    .close = close_tail,
};

bool tail_open(const struct tail_options *options, struct source *source, struct fault *fault) {
    assert(options->paths_count > 0);
    struct tail *tail = calloc(1, sizeof *tail);
    if (tail == NULL) return fault_set(fault, FAULT_FULL, "out of memory for a source");
    tail->files = options->files;
    tail->clock = options->clock;
    tail->from_end = options->from_end;
    tail->once = options->once;
    tail->owner = NO_FILE;
    tail->given_ms = -RECENT_MS;
    tail->lines = lines_create();
    tail->paths = calloc(options->paths_count, sizeof *tail->paths);
    bool has_memory = tail->lines != NULL && tail->paths != NULL;
    for (uint32_t index = 0; has_memory && index < options->paths_count; index++) {
        tail->paths[index] = strdup(options->paths[index]);
        tail->paths_count = index + 1;
        has_memory = tail->paths[index] != NULL;
    }
    if (!has_memory) {
        close_tail(tail);
        return fault_set(fault, FAULT_FULL, "out of memory for a source");
    }
    *source = (struct source){&tail_operations, tail};
    return true;
}
