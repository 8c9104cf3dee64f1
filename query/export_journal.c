#include "query/export_journal.h"

#include <assert.h>
#include <inttypes.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#include "base/clock.h"
#include "base/json.h"

enum {
    PLAN_SIZE_MAX = 4 * 1024 * 1024,  // the conditions' values at their limit, escaped
    LINE_SIZE_MAX = 8 * 1024,         // a file's name, escaped, and numbers
    PIECE_SIZE = 64 * 1024,           // bytes read at once
};

struct export_journal {
    const struct export_plan *plan;
    int handle;
    char folder[EXPORT_PATH_SIZE];
    struct buffer plan_text;
    struct buffer line;
};

bool export_journal_path(const char *folder, const char *name, char path[EXPORT_PATH_SIZE],
                         struct fault *fault) {
    int size = snprintf(path, EXPORT_PATH_SIZE, "%s/%s", folder, name);
    if (size >= 0 && size < EXPORT_PATH_SIZE) return true;
    return fault_set(fault, FAULT_INPUT, "path is too long: %.100s...", folder);
}

bool export_journal_make_folders(const struct export_plan *plan, const char *name,
                                 struct fault *fault) {
    char path[EXPORT_PATH_SIZE];
    char parent[EXPORT_PATH_SIZE];
    struct files_entry entry;
    if (!export_journal_path(plan->out, name, path, fault)) return false;
    snprintf(parent, sizeof parent, "%s", plan->out);
    for (char *slash = strchr(path + strlen(plan->out) + 1, '/'); slash != NULL;
         slash = strchr(slash + 1, '/')) {
        bool exists = false;
        *slash = 0;
        if (!files_find(plan->files, path, &exists, &entry, fault)) return false;
        if (!exists && (!files_make_directory(plan->files, path, fault) ||
                        !files_sync_directory(plan->files, parent, fault))) {
            return false;
        }
        memcpy(parent, path, strlen(path) + 1);
        *slash = '/';
    }
    return true;
}

const char *export_journal_folder(const struct export_journal *journal) {
    return journal->folder;
}

// --- the plan

// The snapshot and range that an export is bound to.
struct binding {
    char epoch[2 * TRAIL_EPOCH_SIZE + 1];
    uint64_t sequence_max;
    int64_t time_min_s;
    int64_t time_max_s;
    char retained_from[TIME_TEXT_SIZE];  // the first day that was kept; "": none was dropped
};

// The text has a fixed form, so that equal arguments give equal bytes.
static void print_plan(const struct export_plan *plan, const struct binding *binding,
                       struct buffer *text) {
    buffer_print(text, "{\"version\":1,\"epoch\":\"%s\",\"sequence\":%" PRIu64 ",\"format\":\"%s\"",
                 binding->epoch, binding->sequence_max,
                 plan->form == EXPORT_NDJSON ? "ndjson" : "cloudtrail");
    buffer_append_text(text, ",\"organization\":");
    json_append_string(text, span_text(plan->organization));
    buffer_append_text(text, ",\"conditions\":");
    filter_print(plan->filter, text);
    buffer_append_text(text, ",\"since\":");
    json_append_string(text, span_text(plan->filter->since_text));
    buffer_append_text(text, ",\"until\":");
    json_append_string(text, span_text(plan->filter->until_text));
    buffer_print(text, ",\"time_min_s\":%" PRId64 ",\"time_max_s\":%" PRId64, binding->time_min_s,
                 binding->time_max_s);
    if (binding->retained_from[0] != 0) {
        buffer_append_text(text, ",\"retained_from\":");
        json_append_string(text, span_text(binding->retained_from));
    }
    buffer_append_byte(text, '}');
}

static int64_t get_integer(const struct yyjson_val *object, struct span name) {
    return yyjson_get_sint((yyjson_val *)(uintptr_t)json_member(object, name));
}

static bool parse_binding(struct span text, struct binding *binding) {
    struct json_reader *json = json_reader_create();
    const struct yyjson_val *root = NULL;
    struct fault ignored;
    bool is_read = json != NULL && json_read(json, text, &root, &ignored);
    struct span epoch = {0};
    if (is_read) {
        epoch = json_member_string(root, SPAN_LITERAL("epoch"));
        *binding = (struct binding){
            .sequence_max = (uint64_t)get_integer(root, SPAN_LITERAL("sequence")),
            .time_min_s = get_integer(root, SPAN_LITERAL("time_min_s")),
            .time_max_s = get_integer(root, SPAN_LITERAL("time_max_s")),
        };
        struct span retained = json_member_string(root, SPAN_LITERAL("retained_from"));
        is_read = epoch.size == sizeof binding->epoch - 1 &&
                  retained.size < sizeof binding->retained_from;
        if (is_read && retained.size > 0)
            memcpy(binding->retained_from, retained.bytes, retained.size);
    }
    if (is_read) memcpy(binding->epoch, epoch.bytes, epoch.size);
    if (json != NULL) json_reader_destroy(json);
    return is_read;
}

static bool set_other_fault(const struct export_plan *plan, bool is_finished, struct fault *fault) {
    return fault_set(fault, FAULT_INPUT,
                     "%s holds an export with other arguments or of another store%s: resume with "
                     "the arguments it was begun with, or use another folder",
                     plan->out, is_finished ? " (see its manifest.json)" : "");
}

// Takes the snapshot and the times from the plan that is there, if the rest of it is the same.
static bool adopt_plan(struct trail_reader *reader, const struct export_plan *plan,
                       struct span found, bool is_finished, struct buffer *text,
                       struct export_summary *summary, struct fault *fault) {
    struct binding binding = {0};
    struct trail_facts facts;
    char epoch[2 * TRAIL_EPOCH_SIZE + 1];
    if (!trail_reader_facts(reader, &facts, fault)) return false;
    crypto_print_hex(span_of(facts.epoch, TRAIL_EPOCH_SIZE), epoch);
    if (!parse_binding(found, &binding)) {
        return fault_set(fault, FAULT_CORRUPT, "%s/%s is no plan", plan->out,
                         is_finished ? "manifest.json" : ".orgtrail-export/plan.json");
    }
    bool is_same = strcmp(binding.epoch, epoch) == 0 && binding.sequence_max <= facts.sequence_last;
    print_plan(plan, &binding, text);
    if (!is_same || !span_equal(buffer_span(text), found))
        return set_other_fault(plan, is_finished, fault);
    plan->filter->time_min_s = binding.time_min_s;
    plan->filter->time_max_s = binding.time_max_s;
    summary->sequence_max = binding.sequence_max;
    return true;
}

static bool make_plan(struct trail_reader *reader, const struct export_plan *plan,
                      struct buffer *text, struct export_summary *summary, struct fault *fault) {
    struct trail_facts facts;
    if (!trail_reader_facts(reader, &facts, fault)) return false;
    struct binding binding = {
        .sequence_max = facts.sequence_last,
        .time_min_s = plan->filter->time_min_s,
        .time_max_s = plan->filter->time_max_s,
    };
    crypto_print_hex(span_of(facts.epoch, TRAIL_EPOCH_SIZE), binding.epoch);
    if (facts.retained_from_s > 0) {
        char day[TIME_TEXT_SIZE];
        time_print(facts.retained_from_s, day);
        snprintf(binding.retained_from, sizeof binding.retained_from, "%.10s", day);
    }
    print_plan(plan, &binding, text);
    summary->sequence_max = binding.sequence_max;
    return !buffer_overflowed(text) || fault_set(fault, FAULT_FULL, "no memory");
}

// --- lines

static void print_file(const struct export_file *file, struct buffer *line) {
    char digest[SHA256_HEX_SIZE];
    crypto_print_hex(span_of(file->sha256, SHA256_SIZE), digest);
    buffer_append_text(line, "{\"file\":");
    json_append_string(line, span_text(file->name));
    buffer_print(line,
                 ",\"events\":%" PRIu64 ",\"text_size\":%" PRIu64 ",\"size\":%" PRIu64
                 ",\"sha256\":\"%s\"}",
                 file->events, file->text_size, file->size, digest);
}

// Reads a file line by line.
struct lines {
    const struct files *files;
    int handle;
    uint64_t offset;  // of the first byte not yet given
    struct buffer held;
    size_t used;  // bytes of held that were given
};

// The next line without its end; *found false at the end of the file or before a torn line.
static bool next_line(struct lines *lines, bool *found, struct span *line, struct fault *fault) {
    for (;;) {
        struct span rest = span_from(buffer_span(&lines->held), lines->used);
        size_t end = span_find(rest, '\n');
        if (end < rest.size) {
            *line = span_of(rest.bytes, end);
            *found = true;
            lines->used += end + 1;
            lines->offset += end + 1;
            return true;
        }
        uint64_t read_from = lines->offset + rest.size;
        uint8_t piece[PIECE_SIZE];
        size_t got = 0;
        if (!files_read_at(lines->files, lines->handle, read_from, piece, sizeof piece, &got,
                           fault)) {
            return false;
        }
        if (got == 0 || rest.size + got > PLAN_SIZE_MAX) {
            *found = false;
            return true;
        }
        // What is left moves to the front.
        if (rest.size > 0) memmove(lines->held.bytes, rest.bytes, rest.size);
        lines->held.size = rest.size;
        lines->used = 0;
        buffer_append(&lines->held, span_of(piece, got));
        if (buffer_overflowed(&lines->held)) return fault_set(fault, FAULT_FULL, "no memory");
    }
}

static bool check_file(const struct export_plan *plan, const struct yyjson_val *line, bool *is_good,
                       struct fault *fault) {
    char path[EXPORT_PATH_SIZE];
    char name[EXPORT_PATH_SIZE];
    uint8_t expected[SHA256_SIZE];
    uint8_t digest[SHA256_SIZE];
    bool exists = false;
    struct files_entry entry;
    struct span text = json_member_string(line, SPAN_LITERAL("file"));
    struct span hex = json_member_string(line, SPAN_LITERAL("sha256"));
    *is_good = text.size < sizeof name && crypto_parse_hex(hex, expected, SHA256_SIZE);
    if (!*is_good) return true;
    memcpy(name, text.bytes, text.size);
    name[text.size] = 0;
    if (!export_journal_path(plan->out, name, path, fault)) return false;
    if (!files_find(plan->files, path, &exists, &entry, fault)) return false;
    *is_good = exists && entry.size == (uint64_t)get_integer(line, SPAN_LITERAL("size"));
    if (!*is_good) return true;

    struct crypto_sha256_stream *stream = crypto_sha256_create();
    if (stream == NULL) return fault_set(fault, FAULT_FULL, "no memory");
    int handle;
    bool is_read = files_open(plan->files, path, FILES_READ, &handle, fault);
    if (is_read) {
        uint8_t piece[PIECE_SIZE];
        size_t got = 1;
        for (uint64_t offset = 0; is_read && got > 0; offset += got) {
            is_read = files_read_at(plan->files, handle, offset, piece, sizeof piece, &got, fault);
            if (is_read) crypto_sha256_update(stream, span_of(piece, got));
        }
        files_close(plan->files, handle);
    }
    if (is_read) crypto_sha256_finish(stream, digest);
    crypto_sha256_destroy(stream);
    *is_good = is_read && memcmp(digest, expected, SHA256_SIZE) == 0;
    return is_read;
}

// How far a journal is good.
struct progress {
    uint64_t keep_size;
    int64_t day_next;
    uint64_t files_seen;
};

// Takes one line into account; *is_good false if it and what follows do not count.
static bool check_line(const struct export_plan *plan, struct json_reader *json, struct span line,
                       struct progress *progress, struct export_summary *summary, bool *is_good,
                       struct fault *fault) {
    const struct yyjson_val *root = NULL;
    struct fault ignored;
    if (span_ends(line, SPAN_LITERAL(","))) line.size--;
    *is_good = json_read(json, line, &root, &ignored);
    if (!*is_good) return true;
    if (json_member(root, SPAN_LITERAL("file")) != NULL) {
        progress->files_seen++;
        return check_file(plan, root, is_good, fault);
    }
    *is_good = json_member(root, SPAN_LITERAL("day")) != NULL;
    if (!*is_good) return true;
    progress->day_next = get_integer(root, SPAN_LITERAL("day")) + 1;
    summary->events = (uint64_t)get_integer(root, SPAN_LITERAL("events"));
    summary->files = (uint64_t)get_integer(root, SPAN_LITERAL("files"));
    summary->text_size = (uint64_t)get_integer(root, SPAN_LITERAL("text_size"));
    summary->size = (uint64_t)get_integer(root, SPAN_LITERAL("size"));
    summary->files_kept = summary->files;
    return true;
}

static bool check_lines(const struct export_plan *plan, int handle, struct progress *progress,
                        struct export_summary *summary, struct fault *fault) {
    struct json_reader *json = json_reader_create();
    if (json == NULL) return fault_set(fault, FAULT_FULL, "no memory");
    struct lines lines = {.files = plan->files, .handle = handle};
    buffer_init(&lines.held, PLAN_SIZE_MAX + PIECE_SIZE);
    bool is_read = true;
    bool is_good = true;
    bool found = true;
    while (is_read && is_good) {
        struct span line;
        int64_t day_before = progress->day_next;
        is_read = next_line(&lines, &found, &line, fault);
        if (!is_read || !found) break;
        is_read = check_line(plan, json, line, progress, summary, &is_good, fault);
        if (is_read && is_good && progress->day_next != day_before)
            progress->keep_size = lines.offset;
    }
    buffer_done(&lines.held);
    json_reader_destroy(json);
    return is_read;
}

// A finished export's files, against the lines of its manifest.
static bool check_manifest_line(const struct export_plan *plan, struct json_reader *json,
                                struct span line, struct export_summary *summary,
                                struct fault *fault) {
    const struct yyjson_val *root = NULL;
    bool is_good = false;
    if (!span_starts(line, SPAN_LITERAL("{\"file\":"))) return true;
    if (span_ends(line, SPAN_LITERAL(","))) line.size--;
    if (!json_read(json, line, &root, fault)) return false;
    if (!check_file(plan, root, &is_good, fault)) return false;
    if (!is_good) {
        struct span name = json_member_string(root, SPAN_LITERAL("file"));
        return fault_set(fault, FAULT_CORRUPT,
                         "%s/%.*s is missing or not as the manifest says: export to another folder",
                         plan->out, SPAN_PRINT(name));
    }
    summary->files++;
    summary->files_kept++;
    summary->events += (uint64_t)get_integer(root, SPAN_LITERAL("events"));
    summary->text_size += (uint64_t)get_integer(root, SPAN_LITERAL("text_size"));
    summary->size += (uint64_t)get_integer(root, SPAN_LITERAL("size"));
    return true;
}

// Its first line, which has the plan: what was asked then is what is asked now.
static bool check_manifest_plan(struct trail_reader *reader, struct export_journal *journal,
                                struct span line, struct export_summary *summary,
                                struct fault *fault) {
    struct span head = SPAN_LITERAL("{\"export\":");
    if (!span_starts(line, head) || !span_ends(line, SPAN_LITERAL(","))) {
        return fault_set(fault, FAULT_CORRUPT, "%s/manifest.json is no manifest of this program",
                         journal->plan->out);
    }
    line.size--;
    return adopt_plan(reader, journal->plan, span_from(line, head.size), true, &journal->plan_text,
                      summary, fault);
}

static bool check_manifest(struct trail_reader *reader, struct export_journal *journal,
                           struct export_summary *summary, struct fault *fault) {
    const struct export_plan *plan = journal->plan;
    char path[EXPORT_PATH_SIZE];
    struct lines lines = {.files = plan->files};
    if (!export_journal_path(plan->out, "manifest.json", path, fault)) return false;
    if (!files_open(plan->files, path, FILES_READ, &lines.handle, fault)) return false;
    struct json_reader *json = json_reader_create();
    buffer_init(&lines.held, PLAN_SIZE_MAX + PIECE_SIZE);
    bool is_good = json != NULL || fault_set(fault, FAULT_FULL, "no memory");
    bool found = true;
    struct span line = {0};
    is_good = is_good && next_line(&lines, &found, &line, fault) &&
              check_manifest_plan(reader, journal, found ? line : (struct span){0}, summary, fault);
    while (is_good && found) {
        is_good = next_line(&lines, &found, &line, fault);
        if (is_good && found) is_good = check_manifest_line(plan, json, line, summary, fault);
    }
    buffer_done(&lines.held);
    if (json != NULL) json_reader_destroy(json);
    files_close(plan->files, lines.handle);
    return is_good;
}

// --- opening

static bool read_plan(const struct export_journal *journal, bool *exists, struct buffer *text,
                      struct fault *fault) {
    char path[EXPORT_PATH_SIZE];
    struct files_entry entry;
    const struct files *files = journal->plan->files;
    if (!export_journal_path(journal->folder, "plan.json", path, fault)) return false;
    if (!files_find(files, path, exists, &entry, fault)) return false;
    return !*exists || files_read_whole(files, path, PLAN_SIZE_MAX, text, fault);
}

static bool find_manifest(const struct export_plan *plan, bool *exists, struct fault *fault) {
    char path[EXPORT_PATH_SIZE];
    struct files_entry entry;
    return export_journal_path(plan->out, "manifest.json", path, fault) &&
           files_find(plan->files, path, exists, &entry, fault);
}

static bool open_journal(struct export_journal *journal, struct fault *fault) {
    char path[EXPORT_PATH_SIZE];
    return export_journal_path(journal->folder, "journal", path, fault) &&
           files_open(journal->plan->files, path, FILES_APPEND, &journal->handle, fault);
}

static bool begin(struct trail_reader *reader, struct export_journal *journal,
                  struct export_summary *summary, struct fault *fault) {
    const struct export_plan *plan = journal->plan;
    char path[EXPORT_PATH_SIZE];
    if (!export_journal_path(journal->folder, "plan.json", path, fault)) return false;
    return make_plan(reader, plan, &journal->plan_text, summary, fault) &&
           files_make_directory(plan->files, plan->out, fault) &&
           files_make_directory(plan->files, journal->folder, fault) &&
           files_write_whole(plan->files, path, buffer_span(&journal->plan_text), 0640, fault) &&
           files_sync_directory(plan->files, plan->out, fault) && open_journal(journal, fault) &&
           files_truncate(plan->files, journal->handle, 0, fault);
}

static bool resume(struct trail_reader *reader, struct export_journal *journal, struct span found,
                   struct export_summary *summary, int64_t *day_next, struct fault *fault) {
    const struct export_plan *plan = journal->plan;
    struct progress progress = {.day_next = INT64_MIN};
    if (!adopt_plan(reader, plan, found, false, &journal->plan_text, summary, fault)) return false;
    if (!open_journal(journal, fault)) return false;
    if (!check_lines(plan, journal->handle, &progress, summary, fault)) return false;
    if (!files_truncate(plan->files, journal->handle, progress.keep_size, fault)) return false;
    *day_next = progress.day_next;
    return true;
}

static bool check_state(const struct export_plan *plan, bool has_plan, bool has_manifest,
                        struct fault *fault) {
    if (plan->is_resumed && !has_plan && !has_manifest)
        return fault_set(fault, FAULT_INPUT, "%s holds no export to resume", plan->out);
    if (!plan->is_resumed && has_manifest) {
        return fault_set(fault, FAULT_INPUT,
                         "%s holds a finished export (manifest.json): use another folder",
                         plan->out);
    }
    if (!plan->is_resumed && has_plan) {
        return fault_set(fault, FAULT_INPUT,
                         "%s holds an unfinished export: --resume goes on with it; or remove "
                         "%s/.orgtrail-export and what was written",
                         plan->out, plan->out);
    }
    return true;
}

static bool open_any(struct trail_reader *reader, struct export_journal *journal,
                     struct export_summary *summary, int64_t *day_next, bool *is_complete,
                     struct fault *fault) {
    bool has_plan = false;
    bool has_manifest = false;
    struct buffer found;
    buffer_init(&found, PLAN_SIZE_MAX);
    bool is_good = read_plan(journal, &has_plan, &found, fault) &&
                   find_manifest(journal->plan, &has_manifest, fault) &&
                   check_state(journal->plan, has_plan, has_manifest, fault);
    *day_next = INT64_MIN;
    *is_complete = has_manifest;
    if (is_good && has_manifest) {
        // A plan beside a manifest: stopped between the two, only cleaning up is left.
        is_good = check_manifest(reader, journal, summary, fault);
    } else if (is_good) {
        is_good = has_plan ? resume(reader, journal, buffer_span(&found), summary, day_next, fault)
                           : begin(reader, journal, summary, fault);
    }
    buffer_done(&found);
    return is_good;
}

bool export_journal_open(struct trail_reader *reader, const struct export_plan *plan,
                         struct export_journal **journal, struct export_summary *summary,
                         int64_t *day_next, bool *is_complete, struct fault *fault) {
    struct export_journal *made = calloc(1, sizeof *made);
    if (made == NULL) return fault_set(fault, FAULT_FULL, "no memory");
    made->plan = plan;
    made->handle = -1;
    buffer_init(&made->plan_text, PLAN_SIZE_MAX);
    buffer_init(&made->line, LINE_SIZE_MAX);
    if (!export_journal_path(plan->out, ".orgtrail-export", made->folder, fault) ||
        !open_any(reader, made, summary, day_next, is_complete, fault)) {
        export_journal_close(made);
        return false;
    }
    *journal = made;
    return true;
}

void export_journal_close(struct export_journal *journal) {
    if (journal == NULL) return;
    if (journal->handle >= 0) files_close(journal->plan->files, journal->handle);
    buffer_done(&journal->plan_text);
    buffer_done(&journal->line);
    free(journal);
}

// --- writing

static bool append_line(struct export_journal *journal, struct fault *fault) {
    buffer_append_byte(&journal->line, '\n');
    assert(!buffer_overflowed(&journal->line));
    return files_append(journal->plan->files, journal->handle, buffer_span(&journal->line), fault);
}

bool export_journal_add(struct export_journal *journal, const struct export_file *file,
                        struct fault *fault) {
    buffer_reset(&journal->line);
    print_file(file, &journal->line);
    return append_line(journal, fault);
}

bool export_journal_end_day(struct export_journal *journal, int64_t day,
                            const struct export_summary *summary, struct fault *fault) {
    buffer_reset(&journal->line);
    buffer_print(&journal->line,
                 "{\"day\":%" PRId64 ",\"events\":%" PRIu64 ",\"files\":%" PRIu64
                 ",\"text_size\":%" PRIu64 ",\"size\":%" PRIu64 "}",
                 day, summary->events, summary->files, summary->text_size, summary->size);
    return append_line(journal, fault) && files_sync(journal->plan->files, journal->handle, fault);
}

// Copies the journal's lines of files into the manifest, which may be larger than memory.
static bool copy_files(struct export_journal *journal, int manifest, struct fault *fault) {
    const struct files *files = journal->plan->files;
    struct lines lines = {.files = files, .handle = journal->handle};
    struct buffer piece;
    buffer_init(&lines.held, PLAN_SIZE_MAX + PIECE_SIZE);
    buffer_init(&piece, (size_t)PIECE_SIZE + LINE_SIZE_MAX);
    bool is_good = true;
    bool found = true;
    bool is_first = true;
    while (is_good && found) {
        struct span line;
        is_good = next_line(&lines, &found, &line, fault);
        if (is_good && found && span_starts(line, SPAN_LITERAL("{\"file\":"))) {
            buffer_append_text(&piece, is_first ? "\n" : ",\n");
            buffer_append(&piece, line);
            is_first = false;
        }
        if (is_good && (piece.size >= PIECE_SIZE || !found)) {
            is_good = files_append(files, manifest, buffer_span(&piece), fault);
            buffer_reset(&piece);
        }
    }
    buffer_done(&lines.held);
    buffer_done(&piece);
    return is_good;
}

static bool write_manifest(struct export_journal *journal, const struct export_summary *summary,
                           int manifest, struct fault *fault) {
    const struct files *files = journal->plan->files;
    struct buffer head;
    buffer_init(&head, PLAN_SIZE_MAX + PIECE_SIZE);
    buffer_append_text(&head, "{\"export\":");
    buffer_append(&head, buffer_span(&journal->plan_text));
    buffer_print(&head,
                 ",\n\"events\":%" PRIu64 ",\"files_count\":%" PRIu64 ",\"text_size\":%" PRIu64
                 ",\"size\":%" PRIu64 ",\n\"files\":[",
                 summary->events, summary->files, summary->text_size, summary->size);
    bool is_good = (!buffer_overflowed(&head) || fault_set(fault, FAULT_FULL, "no memory")) &&
                   files_append(files, manifest, buffer_span(&head), fault) &&
                   copy_files(journal, manifest, fault) &&
                   files_append(files, manifest, SPAN_LITERAL("\n]}\n"), fault) &&
                   files_sync(files, manifest, fault);
    buffer_done(&head);
    return is_good;
}

static bool remove_traces(struct export_journal *journal, struct fault *fault) {
    static const char *const names[] = {"plan.json", "plan.json.new", "journal",
                                        "spill",     "manifest",      "part"};
    const struct files *files = journal->plan->files;
    for (size_t index = 0; index < sizeof names / sizeof names[0]; index++) {
        char path[EXPORT_PATH_SIZE];
        if (!export_journal_path(journal->folder, names[index], path, fault)) return false;
        if (!files_remove(files, path, fault)) return false;
    }
    return files_remove(files, journal->folder, fault);
}

bool export_journal_finish(struct export_journal *journal, const struct export_summary *summary,
                           struct fault *fault) {
    const struct files *files = journal->plan->files;
    bool has_manifest = false;
    if (!find_manifest(journal->plan, &has_manifest, fault)) return false;
    if (has_manifest) return remove_traces(journal, fault);
    char draft[EXPORT_PATH_SIZE];
    char path[EXPORT_PATH_SIZE];
    int manifest;
    if (!export_journal_path(journal->folder, "manifest", draft, fault) ||
        !export_journal_path(journal->plan->out, "manifest.json", path, fault) ||
        !files_remove(files, draft, fault) ||
        !files_open(files, draft, FILES_CREATE, &manifest, fault)) {
        return false;
    }
    bool is_good = write_manifest(journal, summary, manifest, fault);
    files_close(files, manifest);
    return is_good && files_rename(files, draft, path, fault) &&
           files_sync_directory(files, journal->plan->out, fault) && remove_traces(journal, fault);
}
