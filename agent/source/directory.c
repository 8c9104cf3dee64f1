#include "agent/source/directory.h"

#include <assert.h>
#include <inttypes.h>
#include <limits.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#include "agent/source/object.h"
#include "agent/source/pending.h"
#include "agent/source/progress.h"
#include "agent/source/taken.h"
#include "agent/source/tree.h"

enum {
    STEP_ITEMS_MAX = 256,            // entries looked at in one step
    WAIT_FULL_MS = 100,              // for acknowledgements when too many files are pending
    TURN_REST_FACTOR = 9,            // a turn of t is followed by a pause of at least 9 t
    RECENT_MS = 60000,               // given so lately: the source is not idle
    DIRECTORY_TIME_NS = 2000000000,  // a folder changed so lately may change again unseen
    PATH_SIZE = TREE_PATH_SIZE + PATH_MAX,
};

// A walk in progress with the set of its present folder.
struct lane {
    struct tree *tree;
    bool recent_only;
    bool is_active;
    struct taken_set set;
    bool is_old_day;
    bool all_taken;  // every file of the folder was in the set
    bool is_broken;  // the set changed while the folder was listed
    int64_t folder_modified_ns;
    int64_t began_ms;
    int64_t next_ms;  // when the next turn is due, monotonic
    uint32_t faults;  // of this turn
    bool root_failed;
};

struct directory {
    const struct files *files;  // of what is read
    bool has_links;             // may lead out of the root
    const struct clock *clock;
    char *root;
    uint32_t poll_ms;
    bool once;
    bool is_started;
    struct taken *taken;
    struct pending *pending;
    struct object *object;
    struct lane recent;
    struct lane full;

    struct progress file;  // being read, if it exists
    bool is_measuring;     // what was refused
    bool is_given;         // its last item was given: it ends with the next step
    bool is_void;          // not to be remembered as taken
    int64_t modified_ns;
    uint64_t size;
    struct progress resume;  // begun before a restart, or put off
    bool is_gone;            // resume's file is gone: say so
    bool previous_ended;
    uint64_t last_number;
    uint64_t acknowledged;

    struct source_status status;
    bool is_degraded;
    int64_t given_ms;  // monotonic
    uint8_t position[PROGRESS_SIZE_MAX];
    char place[PATH_SIZE + 40];
    const char *object_prefix;  // of the root, from AWSLogs on; or ""
    char object_name[PATH_SIZE];
    char detail[SOURCE_TEXT_SIZE];
};

static int64_t monotonic(const struct directory *directory) {
    return directory->clock->monotonic_ms(directory->clock->context);
}

static int64_t now(const struct directory *directory) {
    return directory->clock->now_ms(directory->clock->context);
}

static void note_fault(struct directory *directory, const struct fault *fault) {
    directory->status.errors++;
    directory->is_degraded = true;
    snprintf(directory->status.last_error, sizeof directory->status.last_error, "%s", fault->text);
}

bool directory_wants(struct span name) {
    struct span gzip = SPAN_LITERAL(".gz");
    if (span_ends(name, gzip)) name.size -= gzip.size;
    return span_ends(name, SPAN_LITERAL(".json")) || span_ends(name, SPAN_LITERAL(".ndjson")) ||
           span_ends(name, SPAN_LITERAL(".jsonl"));
}

static bool is_lines(const char *path) {
    return strstr(path, ".ndjson") != NULL || strstr(path, ".jsonl") != NULL;
}

static void push_pending(struct directory *directory, const struct progress *progress) {
    // While restoring there may be more than fit: those files are read again.
    if (pending_is_full(directory->pending)) return;
    struct pending_file file = {progress->key, progress->folder, progress->number};
    pending_push(directory->pending, &file);
    // Perhaps it already is: nobody would say so again.
    pending_acknowledge(directory->pending, directory->acknowledged);
}

static bool restore(void *context, uint64_t number, struct span position, struct fault *fault) {
    struct directory *directory = context;
    assert(!directory->is_started);
    (void)fault;
    directory->last_number = number;
    struct progress next;
    bool previous_ended;
    // Without one (a new source) or with another's, files are simply read again.
    if (!progress_decode(position, &next, &previous_ended)) return true;
    next.number = number;
    struct progress *resume = &directory->resume;
    bool is_same = memcmp(resume->key.bytes, next.key.bytes, TAKEN_KEY_SIZE) == 0;
    if (resume->exists && !is_same && (resume->is_ended || previous_ended)) {
        push_pending(directory, resume);
    }
    *resume = next;
    return true;
}

static void start(struct directory *directory) {
    directory->is_started = true;
    struct progress *resume = &directory->resume;
    directory->previous_ended = !resume->exists || resume->is_ended;
    if (resume->exists && resume->is_ended) push_pending(directory, resume);
    if (resume->is_ended) resume->exists = false;
}

// --- one file

// The name of a file as it stands in its bucket, as far as that is known.
static void name_object(struct directory *directory, const struct progress *file) {
    struct span prefix = span_text(directory->object_prefix);
    while (prefix.size > 0 && prefix.bytes[prefix.size - 1] == '/') prefix.size--;
    snprintf(directory->object_name, sizeof directory->object_name, "%.*s%s%s", SPAN_PRINT(prefix),
             prefix.size == 0 ? "" : "/", file->path);
}

// Begins to read a file. False if it cannot be opened now, or is none of ours.
static bool begin_file(struct directory *directory, const struct tree_item *item,
                       const struct taken_key *key, const struct taken_key *folder) {
    char full[PATH_SIZE];
    snprintf(full, sizeof full, "%s/%s", directory->root, item->path);
    if (directory->has_links && !tree_is_inside(directory->root, full)) return false;
    struct progress *resume = &directory->resume;
    struct progress *file = &directory->file;
    bool resumes = resume->exists && memcmp(resume->key.bytes, key->bytes, TAKEN_KEY_SIZE) == 0;
    struct fault fault;
    if (!object_open(directory->object, full, is_lines(item->path), resumes ? resume->offset : 0,
                     &fault)) {
        // One that is gone since it was listed is no fault.
        if (fault.kind != FAULT_INPUT) note_fault(directory, &fault);
        return false;
    }
    // The same of what was really opened: its name may have changed hands meanwhile.
    char opened[PATH_MAX];
    if (directory->has_links && object_find_path(directory->object, opened, sizeof opened) &&
        !tree_is_inside(directory->root, opened)) {
        object_close(directory->object);
        return false;
    }
    if (resumes) {
        *file = *resume;
        resume->exists = false;
    } else {
        *file = (struct progress){.exists = true, .key = *key, .folder = *folder};
        snprintf(file->path, sizeof file->path, "%s", item->path);
    }
    name_object(directory, file);
    directory->modified_ns = item->modified_ns;
    directory->size = item->size;
    directory->is_measuring = false;
    directory->is_given = false;
    directory->is_void = false;
    return true;
}

static void end_file(struct directory *directory) {
    directory->status.files_read++;
    directory->status.bytes_passed += directory->size;
    object_close(directory->object);
    struct progress *file = &directory->file;
    if (file->number > 0) directory->previous_ended = true;
    // One without records is acknowledged with what came before it.
    if (file->number == 0) file->number = directory->last_number;
    if (!directory->is_void) push_pending(directory, file);
    file->exists = false;
}

// Leaves a file that cannot be read on now, for a later turn.
static void put_off_file(struct directory *directory) {
    object_close(directory->object);
    if (directory->file.number > 0) {
        directory->previous_ended = false;
        directory->resume = directory->file;
    }
    directory->file.exists = false;
}

// Fills in what all items have in common.
static void begin_item(struct directory *directory, const struct progress *file,
                       struct source_item *item) {
    *item = (struct source_item){
        .object = span_text(directory->object_name),
        .position = progress_encode(file, directory->previous_ended, directory->position),
    };
    directory->given_ms = monotonic(directory);
}

static enum source_result give_notice(struct directory *directory, const struct progress *file,
                                      const char *reason, struct source_item *item) {
    begin_item(directory, file, item);
    snprintf(directory->place, sizeof directory->place, "byte %" PRIu64 " of %s/%s", file->offset,
             directory->root, file->path);
    item->notice.reason = reason;
    item->notice.place = directory->place;
    item->notice.detail = directory->detail;
    item->notice.time_ms = now(directory);
    directory->status.errors++;
    return SOURCE_NOTICE;
}

static enum source_result give_oversize(struct directory *directory, struct span record,
                                        struct source_item *item) {
    uint64_t size;
    uint8_t sha256[32];
    object_measure_record(directory->object, &size, sha256);
    snprintf(directory->detail, sizeof directory->detail,
             "a record of %" PRIu64 " bytes is larger than %d", size, SOURCE_RECORD_SIZE_MAX);
    enum source_result result = give_notice(directory, &directory->file, "record_too_large", item);
    item->notice.head = record;
    item->notice.size = size;
    item->notice.has_sha256 = true;
    memcpy(item->notice.sha256, sha256, sizeof sha256);
    return result;
}

static enum source_result measure_refused(struct directory *directory, struct source_item *item) {
    struct span head;
    uint64_t size;
    uint8_t sha256[32];
    struct fault fault;
    switch (object_measure(directory->object, &head, &size, sha256, &fault)) {
        case OBJECT_MORE:
            return SOURCE_MORE;
        case OBJECT_END:
            break;
        default:
            note_fault(directory, &fault);
            put_off_file(directory);
            return SOURCE_MORE;
    }
    const char *reason = object_verdict(directory->object);
    directory->file.is_ended = true;
    enum source_result result = give_notice(directory, &directory->file, reason, item);
    item->notice.head = head;
    item->notice.size = size;
    item->notice.has_sha256 = true;
    memcpy(item->notice.sha256, sha256, sizeof sha256);
    directory->is_given = true;
    return result;
}

// A file that ends too early and changed just now may still be written.
static bool may_grow(const struct directory *directory) {
    bool is_truncated = strcmp(object_verdict(directory->object), "truncated_file") == 0;
    int64_t age_ms = now(directory) - directory->modified_ns / 1000000;
    return is_truncated && !directory->once && age_ms < DIRECTORY_SETTLE_MS;
}

static enum source_result read_file(struct directory *directory, struct source_item *item) {
    if (directory->is_given) {
        end_file(directory);
        return SOURCE_MORE;
    }
    if (directory->is_measuring) return measure_refused(directory, item);
    struct span record;
    struct fault fault;
    uint64_t offset;
    switch (object_step(directory->object, &record, &offset, &fault)) {
        case OBJECT_RECORD:
            directory->file.offset = offset;
            begin_item(directory, &directory->file, item);
            item->record = record;
            directory->status.events_read++;
            return SOURCE_RECORD;
        case OBJECT_OVERSIZE:
            directory->file.offset = offset;
            return give_oversize(directory, record, item);
        case OBJECT_MORE:
            return SOURCE_MORE;
        case OBJECT_END:
            end_file(directory);
            return SOURCE_MORE;
        case OBJECT_REFUSED:
            if (may_grow(directory)) {
                put_off_file(directory);
                return SOURCE_MORE;
            }
            snprintf(directory->detail, sizeof directory->detail, "%s", fault.text);
            directory->is_measuring = true;
            return SOURCE_MORE;
        case OBJECT_FAULT:
            note_fault(directory, &fault);
            put_off_file(directory);
            return SOURCE_MORE;
    }
    return SOURCE_MORE;
}

// --- turns

static void begin_turn(struct directory *directory, struct lane *lane) {
    tree_begin(lane->tree, lane->recent_only, time_day(now(directory) / 1000));
    lane->is_active = true;
    lane->began_ms = monotonic(directory);
    lane->faults = 0;
    lane->root_failed = false;
}

static void end_turn(struct directory *directory, struct lane *lane) {
    int64_t now_ms = monotonic(directory);
    int64_t rest_ms = TURN_REST_FACTOR * (now_ms - lane->began_ms);
    int64_t least_ms = lane->recent_only ? directory->poll_ms : DIRECTORY_FULL_TURN_MS;
    lane->is_active = false;
    lane->next_ms = now_ms + (rest_ms > least_ms ? rest_ms : least_ms);
    directory->is_degraded = lane->faults > 0;
    directory->status.state = lane->root_failed ? SOURCE_STATE_FAILED : SOURCE_STATE_OK;
    struct progress *resume = &directory->resume;
    if (lane->recent_only || !resume->exists || lane->faults > 0) return;
    char full[PATH_SIZE];
    snprintf(full, sizeof full, "%s/%s", directory->root, resume->path);
    bool exists;
    struct files_entry entry;
    struct fault fault;
    if (files_find(directory->files, full, &exists, &entry, &fault)) directory->is_gone = !exists;
}

static enum source_result tell_gone(struct directory *directory, struct source_item *item) {
    struct progress *resume = &directory->resume;
    directory->is_gone = false;
    directory->file = *resume;
    directory->file.exists = false;
    directory->file.is_ended = true;
    name_object(directory, &directory->file);
    resume->exists = false;
    snprintf(directory->detail, sizeof directory->detail,
             "the file was removed before it was read to its end");
    return give_notice(directory, &directory->file, "file_gone", item);
}

// Enters a folder. An older day that did not change since all its files were taken is passed by.
static bool enter_folder(struct directory *directory, struct lane *lane,
                         const struct tree_item *item, struct fault *fault) {
    struct taken_key folder = taken_key_of(span_text(item->path), 0, 0);
    lane->all_taken = true;
    lane->is_broken = false;
    lane->folder_modified_ns = item->modified_ns;
    lane->is_old_day = item->is_day && item->day < time_day(now(directory) / 1000) - 1;
    if (!taken_load(directory->taken, folder, &lane->set, fault)) return false;
    if (lane->is_old_day && item->modified_ns != 0 &&
        lane->set.folder_modified_ns == item->modified_ns) {
        tree_skip(lane->tree);
    }
    return true;
}

static bool leave_folder(struct directory *directory, struct lane *lane, struct fault *fault) {
    // A folder that is suddenly empty may be a file system that is not there.
    if (lane->is_broken || taken_is_stale(directory->taken, &lane->set) ||
        lane->set.seen_count == 0) {
        return true;
    }
    bool is_quiet = now(directory) * 1000000 - lane->folder_modified_ns > DIRECTORY_TIME_NS;
    bool settles = lane->all_taken && lane->is_old_day && is_quiet;
    return taken_settle(directory->taken, &lane->set, settles ? lane->folder_modified_ns : 0,
                        fault);
}

// Looks at a file. *begun: it is being read now.
static bool look_at_file(struct directory *directory, struct lane *lane,
                         const struct tree_item *item, bool *begun, struct fault *fault) {
    *begun = false;
    if (taken_is_stale(directory->taken, &lane->set)) {
        if (!taken_load(directory->taken, lane->set.folder, &lane->set, fault)) return false;
        lane->is_broken = true;
    }
    struct taken_key key = taken_key_of(span_text(item->path), item->size, item->modified_ns);
    if (taken_has(&lane->set, &key)) {
        if (directory->once) directory->status.bytes_passed += item->size;
        return true;
    }
    lane->all_taken = false;
    if (pending_has(directory->pending, &key)) return true;
    uint64_t errors = directory->status.errors;
    *begun = begin_file(directory, item, &key, &lane->set.folder);
    lane->faults += (uint32_t)(directory->status.errors - errors);
    return true;
}

// Walks on until a file is found to read, the turn ends, or enough was looked at.
static enum source_result step_lane(struct directory *directory, struct lane *lane) {
    for (uint32_t count = 0; count < STEP_ITEMS_MAX; count++) {
        struct tree_item item;
        struct fault fault;
        bool begun = false, done = true;
        switch (tree_step(lane->tree, &item, &fault)) {
            case TREE_FOLDER:
                done = enter_folder(directory, lane, &item, &fault);
                break;
            case TREE_FILE:
                done = look_at_file(directory, lane, &item, &begun, &fault);
                break;
            case TREE_LEAVE:
                done = leave_folder(directory, lane, &fault);
                break;
            case TREE_FAULT:
                done = false;
                break;
            case TREE_END:
                end_turn(directory, lane);
                return SOURCE_MORE;
        }
        if (!done) {
            note_fault(directory, &fault);
            lane->faults++;
            struct files_entry entry;
            bool exists;
            struct fault unused;
            lane->root_failed =
                !files_find(directory->files, directory->root, &exists, &entry, &unused) || !exists;
        }
        if (begun) return SOURCE_MORE;
    }
    return SOURCE_MORE;
}

static bool save(void *context, struct fault *fault) {
    struct directory *directory = context;
    if (pending_save(directory->pending, directory->taken, fault)) return true;
    return fault_add(fault, "remember taken files of %s", directory->root);
}

static enum source_result wait_for(struct source_item *item, int64_t wait_ms) {
    item->wait_ms = wait_ms < 0 ? 0 : wait_ms;
    return SOURCE_IDLE;
}

static enum source_result step(void *context, struct source_item *item) {
    struct directory *directory = context;
    if (!directory->is_started) start(directory);
    if (directory->file.exists) return read_file(directory, item);
    if (directory->is_gone) return tell_gone(directory, item);
    if (pending_is_full(directory->pending)) {
        struct fault fault;
        if (!save(directory, &fault)) note_fault(directory, &fault);
        if (pending_is_full(directory->pending)) return wait_for(item, WAIT_FULL_MS);
    }
    int64_t now_ms = monotonic(directory);
    struct lane *recent = &directory->recent, *full = &directory->full;
    if (directory->once) {
        if (full->is_active) return step_lane(directory, full);
        if (full->next_ms != 0) return SOURCE_END;
        begin_turn(directory, full);
        return SOURCE_MORE;
    }
    if (!full->is_active && now_ms >= full->next_ms) begin_turn(directory, full);
    if (!recent->is_active && now_ms >= recent->next_ms) begin_turn(directory, recent);
    if (recent->is_active) return step_lane(directory, recent);
    if (full->is_active) return step_lane(directory, full);
    return wait_for(item,
                    (recent->next_ms < full->next_ms ? recent->next_ms : full->next_ms) - now_ms);
}

static void appended(void *context, uint64_t number) {
    struct directory *directory = context;
    directory->last_number = number;
    struct progress *file = &directory->file;
    if (file->exists) {
        file->number = number;
        return;
    }
    // What was given without an open file was that one is gone: it counts as taken.
    file->number = number;
    directory->previous_ended = true;
    push_pending(directory, file);
}

static void acknowledged(void *context, uint64_t number) {
    struct directory *directory = context;
    directory->acknowledged = number;
    pending_acknowledge(directory->pending, number);
}

static bool rewind_to(void *context, int64_t backup_time_ms, struct fault *fault) {
    struct directory *directory = context;
    if (!taken_forget(directory->taken, backup_time_ms, fault)) {
        return fault_add(fault, "forget taken files of %s", directory->root);
    }
    // What the spool held of these files may be gone with the numbers it cannot deliver.
    pending_clear(directory->pending);
    directory->is_void = true;
    directory->resume.exists = false;
    directory->full.is_active = false;
    directory->full.next_ms = 0;
    directory->recent.is_active = false;
    return true;
}

static void describe(void *context, struct source_status *status) {
    struct directory *directory = context;
    *status = directory->status;
    if (directory->file.exists) {
        uint64_t read = object_read_size(directory->object);
        status->bytes_behind = read < directory->size ? directory->size - read : 0;
    }
    if (status->state == SOURCE_STATE_FAILED) return;
    bool is_idle = monotonic(directory) - directory->given_ms > RECENT_MS;
    status->state = is_idle ? SOURCE_STATE_IDLE : SOURCE_STATE_OK;
    if (directory->is_degraded) status->state = SOURCE_STATE_DEGRADED;
}

static void close_directory(void *context) {
    struct directory *directory = context;
    tree_destroy(directory->recent.tree);
    tree_destroy(directory->full.tree);
    taken_set_done(&directory->recent.set);
    taken_set_done(&directory->full.set);
    object_destroy(directory->object);
    pending_destroy(directory->pending);
    taken_close(directory->taken);
    free(directory->root);
    free(directory);
}

static const struct source_operations directory_operations = {
    .restore = restore,
    .step = step,
    .appended = appended,
    .acknowledged = acknowledged,
    .save = save,
    .rewind = rewind_to,
    .describe = describe,
    .close = close_directory,
};

bool directory_open(const struct directory_options *options, struct source *source,
                    struct fault *fault) {
    struct directory *directory = calloc(1, sizeof *directory);
    if (directory == NULL) return fault_set(fault, FAULT_FULL, "out of memory for a source");
    uint64_t file_size_max =
        options->file_size_max == 0 ? DIRECTORY_FILE_SIZE_MAX : options->file_size_max;
    directory->has_links = options->archive == NULL;
    directory->files = directory->has_links ? options->files : options->archive;
    directory->clock = options->clock;
    directory->root = strdup(options->root);
    directory->poll_ms = options->poll_ms == 0 ? DIRECTORY_POLL_MS : options->poll_ms;
    directory->once = options->once;
    directory->recent.recent_only = true;
    directory->given_ms = -RECENT_MS;
    directory->pending = pending_create(DIRECTORY_PENDING_MAX);
    directory->object = object_create(directory->files, file_size_max);
    if (directory->root != NULL) {
        directory->recent.tree = tree_create(directory->files, directory->root, directory_wants);
        directory->full.tree = tree_create(directory->files, directory->root, directory_wants);
    }
    const char *bucket = directory->root == NULL ? NULL : strstr(directory->root, "/AWSLogs");
    bool is_bucket = bucket != NULL && (bucket[8] == 0 || bucket[8] == '/');
    directory->object_prefix = is_bucket ? bucket + 1 : "";
    bool has_memory = directory->root != NULL && directory->pending != NULL &&
                      directory->object != NULL && directory->recent.tree != NULL &&
                      directory->full.tree != NULL;
    bool opened = has_memory ? taken_open(options->files, options->state_directory,
                                          options->spool_id, &directory->taken, fault)
                             : fault_set(fault, FAULT_FULL, "out of memory for a source");
    if (!opened) {
        close_directory(directory);
        return false;
    }
    *source = (struct source){&directory_operations, directory};
    return true;
}
