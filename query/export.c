#include "query/export.h"

#include <assert.h>
#include <inttypes.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#include "base/clock.h"
#include "base/crypto.h"
#include "base/gzip.h"
#include "query/export_groups.h"
#include "query/export_journal.h"
#include "query/format.h"
#include "query/reading.h"

enum {
    GZIP_SIZE_MAX = 64 * 1024 * 1024,  // of a file that gzip makes no smaller
    LINES_SIZE = 1024 * 1024,          // bytes of NDJSON written at once
    LINES_SIZE_MAX = 4 * 1024 * 1024,  // and one record more
    PROGRESS_EVENTS = 1000,
};

// An export being written.
struct writing {
    const struct export_plan *plan;
    struct export_journal *journal;
    struct export_summary summary;
    struct trail_cursor *cursor;
    struct reading *reading;
    struct export_groups *groups;  // CloudTrail's form
    struct buffer gzip;
    struct crypto_sha256_stream *sha256;  // NDJSON: of the file being written
    struct buffer lines;
    int part;  // handle, -1: none
    uint32_t part_number;
    struct export_file part_file;
    char spill_path[EXPORT_PATH_SIZE];
    char part_path[EXPORT_PATH_SIZE];
};

// --- CloudTrail's form

static bool write_object(void *user, const struct file_place *place, int64_t newest_s,
                         struct span text, uint64_t events, struct fault *fault) {
    struct writing *writing = user;
    char name[FILE_NAME_SIZE];
    char path[EXPORT_PATH_SIZE];
    uint8_t digest[SHA256_SIZE];
    crypto_sha256(&text, 1, digest);
    file_print_name(place, newest_s, digest, name);
    buffer_reset(&writing->gzip);
    if (!gzip_write(text, EXPORT_GZIP_LEVEL, &writing->gzip, fault)) return false;
    struct span bytes = buffer_span(&writing->gzip);
    struct export_file file = {
        .name = name,
        .events = events,
        .text_size = text.size,
        .size = bytes.size,
    };
    crypto_sha256(&bytes, 1, file.sha256);
    if (!export_journal_path(writing->plan->out, name, path, fault) ||
        !export_journal_make_folders(writing->plan, name, fault) ||
        !files_write_whole(writing->plan->files, path, bytes, 0640, fault) ||
        !export_journal_add(writing->journal, &file, fault)) {
        return false;
    }
    writing->summary.files++;
    writing->summary.text_size += file.text_size;
    writing->summary.size += file.size;
    return true;
}

// --- NDJSON

static bool flush_lines(struct writing *writing, struct fault *fault) {
    struct span bytes = buffer_span(&writing->lines);
    if (buffer_overflowed(&writing->lines)) return fault_set(fault, FAULT_FULL, "no memory");
    if (!files_append(writing->plan->files, writing->part, bytes, fault)) return false;
    crypto_sha256_update(writing->sha256, bytes);
    writing->part_file.size += bytes.size;
    buffer_reset(&writing->lines);
    return true;
}

static bool open_part(struct writing *writing, struct fault *fault) {
    const struct files *files = writing->plan->files;
    if (!files_remove(files, writing->part_path, fault) ||
        !files_open(files, writing->part_path, FILES_CREATE, &writing->part, fault)) {
        return false;
    }
    writing->part_number++;
    writing->part_file = (struct export_file){0};
    return true;
}

static bool close_part(struct writing *writing, int64_t day, struct fault *fault) {
    const struct files *files = writing->plan->files;
    char time[TIME_TEXT_SIZE];
    char name[64];
    char path[EXPORT_PATH_SIZE];
    time_print(day * 86400, time);
    snprintf(name, sizeof name, "%.10s_%04" PRIu32 ".ndjson", time, writing->part_number);
    struct export_file *file = &writing->part_file;
    if (!flush_lines(writing, fault) || !files_sync(files, writing->part, fault)) return false;
    files_close(files, writing->part);
    writing->part = -1;
    crypto_sha256_finish(writing->sha256, file->sha256);
    file->name = name;
    file->text_size = file->size;
    if (!export_journal_path(writing->plan->out, name, path, fault) ||
        !files_rename(files, writing->part_path, path, fault) ||
        !files_sync_directory(files, writing->plan->out, fault) ||
        !export_journal_add(writing->journal, file, fault)) {
        return false;
    }
    writing->summary.files++;
    writing->summary.text_size += file->text_size;
    writing->summary.size += file->size;
    return true;
}

static bool add_line(struct writing *writing, const struct trail_row *row, struct fault *fault) {
    const struct format_provenance none = {0};
    uint64_t part_size = writing->part_file.size + writing->lines.size;
    bool is_full = writing->part >= 0 && part_size + row->text.size + 1 > EXPORT_PART_SIZE;
    if (is_full && !close_part(writing, time_day(row->key.event_time_s), fault)) return false;
    if (writing->part < 0 && !open_part(writing, fault)) return false;
    format_line(row, &none, &writing->lines);
    writing->part_file.events++;
    return writing->lines.size < LINES_SIZE || flush_lines(writing, fault);
}

// --- the days

static bool end_day(struct writing *writing, int64_t day, struct fault *fault) {
    if (writing->plan->form == EXPORT_CLOUDTRAIL) {
        if (!export_groups_end_day(writing->groups, fault)) return false;
    } else if (writing->part >= 0 && !close_part(writing, day, fault)) {
        return false;
    }
    writing->part_number = 0;
    return export_journal_end_day(writing->journal, day, &writing->summary, fault);
}

static bool add_event(struct writing *writing, const struct trail_row *row, struct fault *fault) {
    writing->summary.events++;
    if (writing->plan->form == EXPORT_NDJSON) return add_line(writing, row, fault);
    struct record record;
    return reading_read(writing->reading, row, &record, fault) &&
           export_groups_add(writing->groups, &record, row, fault);
}

static bool write_days(struct writing *writing, uint64_t all,
                       const struct export_progress *progress, struct fault *fault) {
    bool has_day = false;
    int64_t day = 0;
    for (;;) {
        bool found = false;
        struct trail_row row;
        if (!trail_cursor_next(writing->cursor, &found, &row, fault)) return false;
        bool is_other_day = found && time_day(row.key.event_time_s) != day;
        if (has_day && (!found || is_other_day) && !end_day(writing, day, fault)) return false;
        if (!found) return true;
        day = time_day(row.key.event_time_s);
        has_day = true;
        if (!add_event(writing, &row, fault)) return false;
        if (progress != NULL && writing->summary.events % PROGRESS_EVENTS == 0)
            progress->on_progress(progress->user, writing->summary.events, all);
    }
}

static bool open_writing(struct trail_reader *reader, struct writing *writing, int64_t day_next,
                         struct fault *fault) {
    const struct export_plan *plan = writing->plan;
    const char *folder = export_journal_folder(writing->journal);
    const struct export_sink sink = {write_object, writing};
    struct trail_query query = filter_query(plan->filter, false);
    query.has_sequence_max = true;
    query.sequence_max = writing->summary.sequence_max;
    if (day_next != INT64_MIN && day_next * 86400 > query.time_min_s)
        query.time_min_s = day_next * 86400;
    writing->reading = reading_create();
    writing->sha256 = crypto_sha256_create();
    if (writing->reading == NULL || writing->sha256 == NULL)
        return fault_set(fault, FAULT_FULL, "no memory");
    return export_journal_path(folder, "spill", writing->spill_path, fault) &&
           export_journal_path(folder, "part", writing->part_path, fault) &&
           (plan->form == EXPORT_NDJSON ||
            export_groups_create(plan, writing->spill_path, EXPORT_MEMORY_SIZE, &sink,
                                 &writing->groups, fault)) &&
           // Days that are done may be all there are.
           (query.time_min_s > query.time_max_s ||
            trail_cursor_open(reader, &query, &writing->cursor, fault));
}

static void close_writing(struct writing *writing) {
    if (writing->cursor != NULL) trail_cursor_close(writing->cursor);
    if (writing->part >= 0) files_close(writing->plan->files, writing->part);
    if (writing->sha256 != NULL) crypto_sha256_destroy(writing->sha256);
    export_groups_destroy(writing->groups);
    reading_destroy(writing->reading);
    buffer_done(&writing->gzip);
    buffer_done(&writing->lines);
    export_journal_close(writing->journal);
}

// Whether no day from `from_s` on has gone since it was there: then the export would lack it
// unseen.
static bool check_retained(struct trail_reader *reader, int64_t from_s, int64_t retained_before_s,
                           struct fault *fault) {
    struct trail_facts facts;
    char day[TIME_TEXT_SIZE];
    if (!trail_reader_facts(reader, &facts, fault)) return false;
    if (facts.retained_from_s == retained_before_s || facts.retained_from_s <= from_s) return true;
    time_print(facts.retained_from_s, day);
    return fault_set(fault, FAULT_RETRY,
                     "days before %.10s were dropped meanwhile, as the collector's retention_days "
                     "says: the export lacks them; export again into a new folder, with --since "
                     "%.10s or later",
                     day, day);
}

static bool write_rest(struct trail_reader *reader, struct writing *writing, int64_t day_next,
                       const struct export_progress *progress, struct fault *fault) {
    struct trail_facts facts;
    if (!trail_reader_facts(reader, &facts, fault)) return false;
    uint64_t all = filter_is_empty(writing->plan->filter) ? facts.events : 0;
    int64_t from_s = filter_query(writing->plan->filter, false).time_min_s;
    bool is_resumed = day_next != INT64_MIN;
    // The day before the next one was there when it was written.
    if (is_resumed && !check_retained(reader, day_next * 86400, 0, fault)) return false;
    return open_writing(reader, writing, day_next, fault) &&
           (writing->cursor == NULL || write_days(writing, all, progress, fault)) &&
           check_retained(reader, from_s, facts.retained_from_s, fault) &&
           export_journal_finish(writing->journal, &writing->summary, fault);
}

bool export_write(struct trail_reader *reader, const struct export_plan *plan,
                  const struct export_progress *progress, struct export_summary *summary,
                  struct fault *fault) {
    struct writing writing = {.plan = plan, .part = -1};
    int64_t day_next;
    bool is_complete = false;
    if (!filter_check_range(plan->filter, fault)) return false;
    buffer_init(&writing.gzip, GZIP_SIZE_MAX);
    buffer_init(&writing.lines, LINES_SIZE_MAX);
    if (!export_journal_open(reader, plan, &writing.journal, &writing.summary, &day_next,
                             &is_complete, fault)) {
        return false;
    }
    bool is_good = is_complete ? export_journal_finish(writing.journal, &writing.summary, fault)
                               : write_rest(reader, &writing, day_next, progress, fault);
    close_writing(&writing);
    if (is_good) *summary = writing.summary;
    return is_good;
}

bool export_stream(struct trail_reader *reader, const struct filter *filter,
                   bool (*on_bytes)(void *user, struct span bytes), void *user,
                   struct export_summary *summary, struct fault *fault) {
    const struct format_provenance none = {0};
    struct trail_query query = filter_query(filter, false);
    struct trail_cursor *cursor = NULL;
    struct export_summary made = {0};
    struct buffer lines;
    struct trail_facts facts;
    if (!filter_check_range(filter, fault)) return false;
    if (!trail_reader_facts(reader, &facts, fault)) return false;
    if (!trail_cursor_open(reader, &query, &cursor, fault)) return false;
    buffer_init(&lines, LINES_SIZE_MAX);
    made.sequence_max = trail_cursor_sequence_max(cursor);
    bool is_good = true;
    bool is_wanted = true;
    bool found = true;
    while (is_good && is_wanted && found) {
        struct trail_row row;
        is_good = trail_cursor_next(cursor, &found, &row, fault);
        if (is_good && found) {
            format_line(&row, &none, &lines);
            made.events++;
        }
        if (is_good && (lines.size >= LINES_SIZE || !found)) {
            is_good = !buffer_overflowed(&lines) || fault_set(fault, FAULT_FULL, "no memory");
            made.text_size += lines.size;
            is_wanted = is_good && on_bytes(user, buffer_span(&lines));
            buffer_reset(&lines);
        }
    }
    buffer_done(&lines);
    trail_cursor_close(cursor);
    if (is_good && is_wanted)
        is_good = check_retained(reader, query.time_min_s, facts.retained_from_s, fault);
    if (is_good) *summary = made;
    return is_good;
}
