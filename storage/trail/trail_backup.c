#include "storage/trail/trail_backup.h"

#include <errno.h>
#include <inttypes.h>
#include <poll.h>
#include <pthread.h>
#include <stdatomic.h>
#include <stdio.h>
#include <string.h>

#include "base/buffer.h"
#include "base/crypto.h"
#include "base/files.h"
#include "base/json.h"
#include "base/version.h"
#include "storage/trail/trail_environment.h"
#include "storage/trail/trail_reader.h"

enum {
    PATH_SIZE = 4096,
    MANIFEST_SIZE_MAX = 64 * 1024,
    MANIFEST_VERSION = 1,
    ROOM_SIZE = 16 * 1024 * 1024,  // beside the data itself
    CHUNK_SIZE = 1024 * 1024,
    PROGRESS_MS = 20,
};

// Paths of a folder with a backup in it.
struct paths {
    char folder[PATH_SIZE];
    char data[PATH_SIZE + 16];
    char lock[PATH_SIZE + 16];
    char manifest[PATH_SIZE + 16];
};

static bool make_paths(const char *folder, const char *suffix, struct paths *paths,
                       struct fault *fault) {
    size_t size = strlen(folder);
    while (size > 1 && folder[size - 1] == '/') size--;
    int printed = snprintf(paths->folder, PATH_SIZE, "%.*s%s", (int)size, folder, suffix);
    if (size == 0 || printed >= PATH_SIZE)
        return fault_set(fault, FAULT_INPUT, "\"%.200s\" is no usable path", folder);
    snprintf(paths->data, sizeof paths->data, "%s/data.mdb", paths->folder);
    snprintf(paths->lock, sizeof paths->lock, "%s/lock.mdb", paths->folder);
    snprintf(paths->manifest, sizeof paths->manifest, "%s/backup.json", paths->folder);
    return true;
}

static bool find_first(void *user, const struct files_entry *entry) {
    snprintf(user, PATH_SIZE, "%s", entry->name);
    return false;
}

// The target is not there, or is an empty folder, which goes.
static bool clear_target(const char *folder, struct fault *fault) {
    bool exists = false;
    struct files_entry entry;
    char name[PATH_SIZE] = "";
    if (!files_find(files_system(), folder, &exists, &entry, fault)) return false;
    if (!exists) return true;
    if (!entry.is_directory)
        return fault_set(fault, FAULT_INPUT, "%s is a file: name a new folder", folder);
    if (!files_list(files_system(), folder, find_first, name, fault)) return false;
    if (name[0] != '\0') {
        return fault_set(fault, FAULT_INPUT,
                         "%s is not empty (%s): a backup replaces nothing, name a new "
                         "folder",
                         folder, name);
    }
    return files_remove(files_system(), folder, fault);
}

// Removes what an attempt before this one may have left. Anything else in that folder is an error.
static bool remove_part(const struct paths *part, struct fault *fault) {
    const struct files *files = files_system();
    return files_remove(files, part->data, fault) && files_remove(files, part->lock, fault) &&
           files_remove(files, part->manifest, fault) && files_remove(files, part->folder, fault);
}

// A copy on its way, on a thread of its own so that the caller can tell how far it is.
struct copying {
    struct trail_environment *environment;
    int handle;
    bool is_good;
    struct fault fault;
    atomic_bool is_done;
};

static void *run_copy(void *argument) {
    struct copying *copying = argument;
    copying->is_good =
        trail_environment_copy(copying->environment, copying->handle, &copying->fault);
    atomic_store(&copying->is_done, true);
    return NULL;
}

static bool copy(const struct trail_backup_options *options, struct trail_environment *environment,
                 const char *path, int handle, uint64_t all, struct fault *fault) {
    struct copying copying = {.environment = environment, .handle = handle};
    pthread_t thread;
    int status = pthread_create(&thread, NULL, run_copy, &copying);
    if (status != 0) return fault_set_errno(fault, FAULT_FULL, status, "start a thread");
    while (!atomic_load(&copying.is_done)) {
        struct files_entry entry;
        struct fault ignored;
        (void)poll(NULL, 0, PROGRESS_MS);
        bool is_known = files_describe(files_system(), handle, &entry, &ignored);
        if (is_known && options->on_progress != NULL)
            options->on_progress(options->user, entry.size, all);
    }
    (void)pthread_join(thread, NULL);
    return copying.is_good ||
           fault_set(fault, copying.fault.kind, "write %s: %s", path, copying.fault.text);
}

// Hashes the file as it can be read back.
static bool hash_file(const char *path, struct trail_backup_facts *facts, struct fault *fault) {
    int handle = -1;
    struct buffer chunk;
    buffer_init(&chunk, CHUNK_SIZE);
    uint8_t *bytes = buffer_reserve(&chunk, CHUNK_SIZE);
    struct crypto_sha256_stream *stream = crypto_sha256_create();
    bool is_good = (bytes != NULL && stream != NULL) ||
                   fault_set(fault, FAULT_FULL, "no memory to read it back");
    is_good = is_good && files_open(files_system(), path, FILES_READ, &handle, fault);
    size_t got = CHUNK_SIZE;
    facts->size = 0;
    while (is_good && got == CHUNK_SIZE) {
        is_good =
            files_read_at(files_system(), handle, facts->size, bytes, CHUNK_SIZE, &got, fault);
        if (!is_good) break;
        crypto_sha256_update(stream, span_of(bytes, got));
        facts->size += got;
    }
    if (is_good) crypto_sha256_finish(stream, facts->sha256);
    if (handle >= 0) files_close(files_system(), handle);
    crypto_sha256_destroy(stream);
    buffer_done(&chunk);
    return is_good;
}

static bool write_manifest(const struct paths *part, const struct trail_backup_facts *facts,
                           struct fault *fault) {
    char epoch[2 * TRAIL_EPOCH_SIZE + 1];
    char sha256[SHA256_HEX_SIZE];
    char started[TIME_TEXT_SIZE];
    struct buffer text;
    int handle = -1;
    crypto_print_hex(span_of(facts->epoch, TRAIL_EPOCH_SIZE), epoch);
    crypto_print_hex(span_of(facts->sha256, SHA256_SIZE), sha256);
    time_print_ms(facts->started_ms, started);
    buffer_init(&text, MANIFEST_SIZE_MAX);
    buffer_print(&text,
                 "{\n  \"orgtrail_backup\": %d,\n  \"made_by\": \"%s\",\n  \"started\": \"%s\",\n"
                 "  \"started_ms\": %" PRId64 ",\n  \"epoch\": \"%s\",\n  \"events\": %" PRIu64
                 ",\n  \"sequence_last\": %" PRIu64 ",\n  \"size\": %" PRIu64
                 ",\n  \"sha256\": \"%s\"\n}\n",
                 MANIFEST_VERSION, VERSION_TEXT, started, facts->started_ms, epoch, facts->events,
                 facts->sequence_last, facts->size, sha256);
    bool is_good =
        !buffer_overflowed(&text) || fault_set(fault, FAULT_FULL, "no memory for backup.json");
    is_good = is_good && files_open(files_system(), part->manifest, FILES_CREATE, &handle, fault) &&
              files_append(files_system(), handle, buffer_span(&text), fault) &&
              files_sync(files_system(), handle, fault);
    if (handle >= 0) files_close(files_system(), handle);
    buffer_done(&text);
    return is_good;
}

static bool take_manifest(struct span text, struct trail_backup_facts *facts, struct fault *fault) {
    struct json_reader *json = json_reader_create();
    const struct yyjson_val *root = NULL;
    if (json == NULL) return fault_set(fault, FAULT_FULL, "no memory for backup.json");
    bool is_read = json_read(json, text, &root, fault);
    yyjson_val *object = (yyjson_val *)(uintptr_t)root;
    *facts = (struct trail_backup_facts){
        .started_ms = yyjson_get_sint(yyjson_obj_get(object, "started_ms")),
        .events = yyjson_get_uint(yyjson_obj_get(object, "events")),
        .sequence_last = yyjson_get_uint(yyjson_obj_get(object, "sequence_last")),
        .size = yyjson_get_uint(yyjson_obj_get(object, "size")),
    };
    bool is_good = is_read &&
                   yyjson_get_uint(yyjson_obj_get(object, "orgtrail_backup")) == MANIFEST_VERSION &&
                   crypto_parse_hex(json_member_string(root, SPAN_LITERAL("epoch")), facts->epoch,
                                    TRAIL_EPOCH_SIZE) &&
                   crypto_parse_hex(json_member_string(root, SPAN_LITERAL("sha256")), facts->sha256,
                                    SHA256_SIZE);
    json_reader_destroy(json);
    return is_good ||
           fault_set(fault, FAULT_CORRUPT, "backup: backup.json is damaged, or of a later version");
}

bool trail_backup_read(const char *directory, struct trail_backup_facts *facts,
                       struct fault *fault) {
    struct paths paths;
    struct buffer text;
    bool exists = false;
    struct files_entry entry;
    if (!make_paths(directory, "", &paths, fault) ||
        !files_find(files_system(), paths.manifest, &exists, &entry, fault)) {
        return false;
    }
    if (!exists) {
        return fault_set(fault, FAULT_INPUT,
                         "backup: %s holds none (no backup.json): give a folder that orgtrail "
                         "backup has made",
                         paths.folder);
    }
    buffer_init(&text, MANIFEST_SIZE_MAX);
    struct trail_backup_facts read;
    bool is_good =
        files_read_whole(files_system(), paths.manifest, MANIFEST_SIZE_MAX, &text, fault) &&
        take_manifest(buffer_span(&text), &read, fault);
    buffer_done(&text);
    if (is_good) *facts = read;
    return is_good || fault_add(fault, "%s", paths.folder);
}

// Rebuilds the first events in one order.
static bool rebuild(struct trail_reader *reader, bool newest_first, struct fault *fault) {
    const struct trail_query query = {
        .time_min_s = INT64_MIN,
        .time_max_s = INT64_MAX,
        .newest_first = newest_first,
    };
    struct trail_cursor *cursor = NULL;
    if (!trail_cursor_open(reader, &query, &cursor, fault)) return false;
    bool found = true;
    bool is_good = true;
    for (uint32_t count = 0; is_good && found && count < TRAIL_BACKUP_CHECK_EVENTS; count++) {
        struct trail_row row;
        is_good = trail_cursor_next(cursor, &found, &row, fault);
    }
    trail_cursor_close(cursor);
    return is_good;
}

bool trail_backup_verify(const char *directory, const struct trail_backup_facts *expected,
                         struct fault *fault) {
    struct paths paths;
    struct trail_reader *reader = NULL;
    struct trail_facts facts;
    if (!make_paths(directory, "", &paths, fault) ||
        !trail_reader_open(paths.folder, &reader, fault)) {
        return false;
    }
    bool is_good = trail_reader_facts(reader, &facts, fault);
    if (is_good &&
        (memcmp(facts.epoch, expected->epoch, TRAIL_EPOCH_SIZE) != 0 ||
         facts.events != expected->events || facts.sequence_last != expected->sequence_last)) {
        is_good = fault_set(fault, FAULT_CORRUPT,
                            "%s holds %" PRIu64 " events up to %" PRIu64 ", %" PRIu64
                            " up to %" PRIu64 " are expected",
                            paths.folder, facts.events, facts.sequence_last, expected->events,
                            expected->sequence_last);
    }
    is_good = is_good && rebuild(reader, true, fault) && rebuild(reader, false, fault);
    trail_reader_close(reader);
    struct fault ignored;
    (void)!files_remove(files_system(), paths.lock, &ignored);
    return is_good;
}

static bool measure_used(struct trail_environment *environment, uint64_t *used,
                         struct fault *fault) {
    MDB_txn *transaction = NULL;
    if (!trail_environment_begin(environment, &transaction, fault)) return false;
    bool is_good = trail_environment_used(environment, transaction, used, fault);
    trail_environment_end(environment, transaction);
    trail_environment_free(transaction);
    return is_good;
}

// Makes the copy under its temporary name, and reads from it what it holds.
static bool make_part(const struct trail_backup_options *options, const struct paths *part,
                      struct trail_environment *environment, struct trail_backup_facts *facts,
                      struct fault *fault) {
    const struct files *files = files_system();
    uint64_t used = 0;
    uint64_t free_size = 0;
    uint64_t total_size = 0;
    int handle = -1;
    if (!measure_used(environment, &used, fault) ||
        !files_make_directory(files, part->folder, fault) ||
        !files_measure_free(files, part->folder, &free_size, &total_size, fault)) {
        return false;
    }
    if (free_size < used + ROOM_SIZE) {
        return fault_set(fault, FAULT_FULL,
                         "the disk of %s has %" PRIu64 " bytes free, about %" PRIu64
                         " are needed: make room or name a folder elsewhere",
                         part->folder, free_size, used + ROOM_SIZE);
    }
    facts->started_ms = options->clock->now_ms(options->clock->context);
    if (!files_open(files, part->data, FILES_CREATE, &handle, fault)) return false;
    bool is_good = copy(options, environment, part->data, handle, used, fault) &&
                   files_sync(files, handle, fault);
    files_close(files, handle);
    return is_good && hash_file(part->data, facts, fault);
}

// Opens the copy for what it holds, writes that down, and verifies.
static bool finish_part(const struct paths *part, struct trail_backup_facts *facts,
                        struct fault *fault) {
    struct trail_reader *reader = NULL;
    struct trail_facts found;
    if (!trail_reader_open(part->folder, &reader, fault)) return false;
    bool is_good = trail_reader_facts(reader, &found, fault);
    trail_reader_close(reader);
    if (!is_good) return false;
    memcpy(facts->epoch, found.epoch, sizeof facts->epoch);
    facts->events = found.events;
    facts->sequence_last = found.sequence_last;
    return write_manifest(part, facts, fault) && trail_backup_verify(part->folder, facts, fault) &&
           files_sync_directory(files_system(), part->folder, fault);
}

static bool sync_parent(const char *folder, struct fault *fault) {
    char parent[PATH_SIZE];
    snprintf(parent, sizeof parent, "%s", folder);
    char *slash = strrchr(parent, '/');
    if (slash == NULL) return files_sync_directory(files_system(), ".", fault);
    slash[slash == parent ? 1 : 0] = '\0';
    return files_sync_directory(files_system(), parent, fault);
}

bool trail_backup(const struct trail_backup_options *options, struct trail_backup_facts *facts,
                  struct fault *fault) {
    const struct trail_environment_options environment_options = {
        .directory = options->store,
        .read_only = true,
    };
    struct paths target;
    struct paths part;
    struct trail_backup_facts made = {0};
    struct trail_environment *environment = NULL;
    if (!make_paths(options->target, "", &target, fault) ||
        !make_paths(options->target, ".part", &part, fault) ||
        !clear_target(target.folder, fault) || !remove_part(&part, fault) ||
        !trail_environment_open(&environment_options, &environment, fault)) {
        return false;
    }
    bool is_good = make_part(options, &part, environment, &made, fault);
    trail_environment_close(environment);
    is_good = is_good && finish_part(&part, &made, fault) &&
              files_rename(files_system(), part.folder, target.folder, fault) &&
              sync_parent(target.folder, fault);
    if (!is_good) {
        struct fault ignored;
        (void)!remove_part(&part, &ignored);
        return false;
    }
    *facts = made;
    return true;
}
