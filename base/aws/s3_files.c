#include "base/aws/s3_files.h"

#include <assert.h>
#include <errno.h>
#include <pthread.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#include "base/bytes.h"
#include "base/crypto.h"
#include "base/queue.h"

enum {
    KEY_SIZE = S3_KEY_SIZE_MAX + 2,
    UPCOMING_SIZE_MAX = 64 * 1024 * 1024,  // keys of one list
    FOLDERS_SIZE_MAX = 256 * 1024 * 1024,  // names of one folder's folders
    AHEAD_MAX = S3_FILES_SLOTS - 2,
    WAIT_MS = 1000,
};

enum slot_state {
    SLOT_FREE,
    SLOT_AWAY,  // with a thread, or on its way there or back
    SLOT_HERE,  // fetched, not opened
    SLOT_OPEN,
};

// An object and the piece of it that was read last. Whoever has it alone touches it.
struct slot {
    enum slot_state state;  // only the caller's thread looks at it
    char key[KEY_SIZE];
    struct s3_object object;  // as it was when the first piece was read
    uint64_t piece_from;
    struct buffer piece;
    bool is_good;
    struct fault fault;
};

struct s3_files {
    struct files files;
    struct s3_pool *pool;
    const char *bucket;
    struct queue *jobs;
    struct queue *done;
    pthread_t threads[S3_FILES_SLOTS];
    uint32_t threads_count;
    struct slot slots[S3_FILES_SLOTS];
    struct buffer upcoming;  // keys of the last list's files, each with a final zero
    size_t upcoming_at;      // behind the one that was opened last
    uint32_t ahead;          // how many are fetched ahead: more the longer the order is kept
    uint64_t left_out;
};

int64_t s3_files_time(int64_t modified, struct span etag) {
    uint8_t digest[SHA256_SIZE];
    crypto_sha256(&etag, 1, digest);
    return modified * 1000000000 + bytes_get_32(digest) % 1000000000;
}

// ---- reading

// Reads a piece into the slot; the object must be the one that was begun.
static bool read_piece(struct s3_files *files, struct slot *slot, uint64_t from, bool is_first,
                       struct fault *fault) {
    struct s3_object object;
    struct span bytes;
    struct fault failure;
    struct s3 *client = s3_pool_take(files->pool, fault);
    if (client == NULL) return false;
    struct s3_attempts attempts = s3_attempts_begin(files->pool, S3_POOL_ATTEMPTS);
    bool is_good;
    do {
        is_good = s3_get_range(client, files->bucket, slot->key, from, S3_FILES_PIECE_SIZE, &object,
                               &bytes, &failure);
    } while (!is_good && s3_attempts_again(&attempts, &failure));
    if (!is_good) {
        *fault = failure;
        // That a file is missing is told by FAULT_INPUT, and nothing else.
        if (fault->kind == FAULT_INPUT) fault->kind = FAULT_IO;
    } else if (!object.exists) {
        is_good =
            fault_set(fault, FAULT_INPUT, "no such object: s3://%s/%s", files->bucket, slot->key);
    } else if (!is_first &&
               (object.size != slot->object.size || strcmp(object.etag, slot->object.etag) != 0)) {
        is_good = fault_set(fault, FAULT_RETRY, "it was replaced while it was read: s3://%s/%s",
                            files->bucket, slot->key);
    } else {
        buffer_reset(&slot->piece);
        buffer_append(&slot->piece, bytes);
        slot->piece_from = from;
        slot->object = object;
        is_good = !buffer_overflowed(&slot->piece) ||
                  fault_set(fault, FAULT_RETRY, "no memory for an object");
    }
    s3_pool_give(files->pool, client);
    return is_good;
}

static void *work(void *context) {
    struct s3_files *files = context;
    void *item = NULL;
    while (queue_pop(files->jobs, &item, 1, WAIT_MS) == 1 || !queue_is_closed(files->jobs)) {
        struct slot *slot = item;
        if (slot == NULL) continue;  // nothing came
        slot->is_good = read_piece(files, slot, 0, true, &slot->fault);
        bool is_pushed = queue_push(files->done, slot, 1);
        assert(is_pushed);  // it has room for all slots
        item = NULL;
    }
    return NULL;
}

// ---- slots

static void free_slot(struct slot *slot) {
    slot->state = SLOT_FREE;
    slot->key[0] = 0;
}

// Takes back what threads have done.
static void take_done(struct s3_files *files, int64_t wait_ms) {
    void *items[S3_FILES_SLOTS];
    uint32_t count = queue_pop(files->done, items, S3_FILES_SLOTS, wait_ms);
    for (uint32_t index = 0; index < count; index++)
        ((struct slot *)items[index])->state = SLOT_HERE;
}

static struct slot *find_slot(struct s3_files *files, const char *key) {
    for (uint32_t index = 0; index < S3_FILES_SLOTS; index++) {
        struct slot *slot = &files->slots[index];
        bool is_ahead = slot->state == SLOT_AWAY || slot->state == SLOT_HERE;
        if (is_ahead && strcmp(slot->key, key) == 0) return slot;
    }
    return NULL;
}

// Sends a free slot for an object. False if there is none.
static bool send_slot(struct s3_files *files, const char *key) {
    for (uint32_t index = 0; index < S3_FILES_SLOTS; index++) {
        struct slot *slot = &files->slots[index];
        if (slot->state != SLOT_FREE) continue;
        slot->state = SLOT_AWAY;
        snprintf(slot->key, sizeof slot->key, "%s", key);
        bool is_pushed = queue_push(files->jobs, slot, 1);
        assert(is_pushed);
        return true;
    }
    return false;
}

// What was fetched and not opened is given up, except the keys that are still ahead.
static void drop_slots(struct s3_files *files) {
    for (uint32_t index = 0; index < S3_FILES_SLOTS; index++) {
        if (files->slots[index].state == SLOT_HERE) free_slot(&files->slots[index]);
    }
}

static const char *upcoming_key(const struct s3_files *files, size_t at) {
    return at < files->upcoming.size ? (const char *)files->upcoming.bytes + at : NULL;
}

// Moves behind a key in the order of the last list. False: it is not in it.
static bool follow(struct s3_files *files, const char *key) {
    const char *next;
    for (size_t at = files->upcoming_at; (next = upcoming_key(files, at)) != NULL;) {
        at += strlen(next) + 1;
        if (strcmp(next, key) != 0) continue;
        files->upcoming_at = at;
        return true;
    }
    return false;
}

static void fetch_ahead(struct s3_files *files) {
    size_t at = files->upcoming_at;
    const char *next;
    for (uint32_t count = 0; count < files->ahead && (next = upcoming_key(files, at)) != NULL;
         count++) {
        at += strlen(next) + 1;
        if (find_slot(files, next) == NULL && !send_slot(files, next)) return;
    }
}

// The slot of an object, fetched; another one is given up for it if there is no room.
static struct slot *fetch(struct s3_files *files, const char *key) {
    take_done(files, 0);
    struct slot *slot = find_slot(files, key);
    bool is_ahead = slot != NULL;
    while (slot == NULL) {
        if (!send_slot(files, key)) {
            drop_slots(files);
            if (!send_slot(files, key)) take_done(files, WAIT_MS);
        }
        slot = find_slot(files, key);
    }
    if (follow(files, key)) {
        files->ahead = is_ahead ? 2 * files->ahead : files->ahead / 2;
        if (files->ahead < 2) files->ahead = 2;
        if (files->ahead > AHEAD_MAX) files->ahead = AHEAD_MAX;
        fetch_ahead(files);
    }
    while (slot->state == SLOT_AWAY) take_done(files, WAIT_MS);
    return slot;
}

// ---- calls

// The key of a path: what stands behind "s3://BUCKET/".
static const char *key_of(const struct s3_files *files, const char *path) {
    const char *key = path + strlen("s3://") + strlen(files->bucket);
    return *key == '/' ? key + 1 : key;
}

static bool open_file(void *context, const char *path, enum files_mode mode, int *handle,
                      struct fault *fault) {
    struct s3_files *files = context;
    assert(mode == FILES_READ);
    const char *key = key_of(files, path);
    if (*key == 0 || strlen(key) >= KEY_SIZE)
        return fault_set(fault, FAULT_INPUT, "no such object: %s", path);
    struct slot *slot = fetch(files, key);
    if (!slot->is_good) {
        *fault = slot->fault;
        free_slot(slot);
        return false;
    }
    slot->state = SLOT_OPEN;
    *handle = (int)(slot - files->slots);
    return true;
}

static void close_file(void *context, int handle) {
    struct s3_files *files = context;
    free_slot(&files->slots[handle]);
}

static bool read_at(void *context, int handle, uint64_t offset, void *bytes, size_t size,
                    size_t *got, struct fault *fault) {
    struct s3_files *files = context;
    struct slot *slot = &files->slots[handle];
    size_t copied = 0;
    while (copied < size && offset < slot->object.size) {
        if (offset < slot->piece_from || offset - slot->piece_from >= slot->piece.size) {
            uint64_t from = offset / S3_FILES_PIECE_SIZE * S3_FILES_PIECE_SIZE;
            if (!read_piece(files, slot, from, false, fault)) return false;
            if (offset - from >= slot->piece.size)
                return fault_set(fault, FAULT_RETRY, "the answer is cut: s3://%s/%s", files->bucket,
                                 slot->key);
        }
        struct span piece = span_from(buffer_span(&slot->piece), offset - slot->piece_from);
        if (piece.size > size - copied) piece.size = size - copied;
        memcpy((uint8_t *)bytes + copied, piece.bytes, piece.size);
        copied += piece.size;
        offset += piece.size;
    }
    *got = copied;
    return true;
}

static bool describe(void *context, int handle, struct files_entry *entry, struct fault *fault) {
    const struct s3_files *files = context;
    (void)fault;
    *entry = (struct files_entry){.size = files->slots[handle].object.size, .mode = 0400};
    return true;
}

static bool note_one(void *user, const struct s3_entry *entry) {
    (void)entry;
    *(bool *)user = true;
    return false;
}

static bool find(void *context, const char *path, bool *exists, struct files_entry *entry,
                 struct fault *fault) {
    struct s3_files *files = context;
    char key[KEY_SIZE];
    struct s3_object object = {0};
    bool is_folder = false;
    snprintf(key, sizeof key, "%s", key_of(files, path));
    if (key[0] != 0 && strlen(key) <= S3_KEY_SIZE_MAX) {
        struct s3 *client = s3_pool_take(files->pool, fault);
        if (client == NULL) return false;
        bool is_good = s3_head(client, files->bucket, key, &object, fault);
        s3_pool_give(files->pool, client);
        if (!is_good) return false;
    }
    if (!object.exists) {
        size_t size = strlen(key);
        if (size > 0 && size + 1 < sizeof key) {
            key[size] = '/';
            key[size + 1] = 0;
        }
        if (!s3_pool_list(files->pool, false, files->bucket, key, NULL, note_one, &is_folder,
                          fault)) {
            return false;
        }
    }
    *exists = object.exists || is_folder;
    *entry = (struct files_entry){.is_directory = is_folder, .size = object.size, .mode = 0400};
    return true;
}

// ---- lists

struct listing {
    struct s3_files *files;
    size_t prefix_size;
    bool (*on_entry)(void *user, const struct files_entry *entry);
    void *user;
    bool is_stopped;
    struct buffer folders;  // names, each with a final zero
    uint32_t folders_count;
};

static void keep_upcoming(struct s3_files *files, struct span key) {
    buffer_append(&files->upcoming, key);
    buffer_append_byte(&files->upcoming, 0);
}

static bool on_listed(void *user, const struct s3_entry *object) {
    struct listing *listing = user;
    char text[S3_FILES_NAME_SIZE];
    struct span name = span_from(object->key, listing->prefix_size);
    if (object->is_folder) {
        name.size--;
    } else if (name.size == 0) {
        return true;  // a mark of the folder itself
    }
    if (name.size == 0 || name.size >= sizeof text || span_find(name, 0) < name.size) {
        listing->files->left_out++;
        return true;
    }
    if (object->is_folder) {
        buffer_append(&listing->folders, name);
        buffer_append_byte(&listing->folders, 0);
        listing->folders_count++;
        return true;
    }
    snprintf(text, sizeof text, "%.*s", SPAN_PRINT(name));
    const struct files_entry entry = {
        .name = text,
        .size = object->size,
        .modified_ns = s3_files_time(object->modified, object->etag),
        .mode = 0400,
    };
    keep_upcoming(listing->files, object->key);
    listing->is_stopped = !listing->on_entry(listing->user, &entry);
    return !listing->is_stopped;
}

static int compare_names(const void *left, const void *right) {
    return strcmp(*(const char *const *)left, *(const char *const *)right);
}

// In order of names: "a-b" comes behind "a", whose keys begin with "a/".
static bool give_folders(const struct listing *listing, struct fault *fault) {
    uint32_t count = listing->folders_count;
    const char *at = (const char *)listing->folders.bytes;
    if (buffer_overflowed(&listing->folders))
        return fault_set(fault, FAULT_RETRY, "no memory for folders");
    if (listing->is_stopped || count == 0) return true;
    const char **names = calloc(count, sizeof *names);
    if (names == NULL) return fault_set(fault, FAULT_RETRY, "no memory for folders");
    for (uint32_t index = 0; index < count; index++) {
        names[index] = at;
        at += strlen(at) + 1;
    }
    qsort(names, count, sizeof *names, compare_names);
    bool goes_on = true;
    for (uint32_t index = 0; goes_on && index < count; index++) {
        const struct files_entry entry = {.name = names[index], .is_directory = true, .mode = 0500};
        goes_on = listing->on_entry(listing->user, &entry);
    }
    free(names);
    return true;
}

static bool list(void *context, const char *path,
                 bool (*on_entry)(void *user, const struct files_entry *entry), void *user,
                 struct fault *fault) {
    struct s3_files *files = context;
    char prefix[KEY_SIZE];
    const char *key = key_of(files, path);
    int size = snprintf(prefix, sizeof prefix, "%s%s", key, key[0] == 0 ? "" : "/");
    if (size < 0 || (size_t)size >= sizeof prefix)
        return fault_set(fault, FAULT_INPUT, "%s: the path is too long", path);
    struct listing listing = {
        .files = files, .prefix_size = (size_t)size, .on_entry = on_entry, .user = user};
    buffer_init(&listing.folders, FOLDERS_SIZE_MAX);
    buffer_reset(&files->upcoming);
    files->upcoming_at = 0;
    take_done(files, 0);
    drop_slots(files);
    bool is_good =
        s3_pool_list(files->pool, true, files->bucket, prefix, NULL, on_listed, &listing, fault) &&
        give_folders(&listing, fault);
    buffer_done(&listing.folders);
    return is_good;
}

// ---- life

static const struct files_operations operations = {
    .open = open_file,
    .close = close_file,
    .read_at = read_at,
    .describe = describe,
    .find = find,
    .list = list,
};

bool s3_files_create(struct s3_pool *pool, const char *bucket, struct s3_files **files,
                     struct fault *fault) {
    struct s3_files *made = calloc(1, sizeof *made);
    if (made == NULL) return fault_set(fault, FAULT_FULL, "no memory for files of S3");
    made->files = (struct files){&operations, made};
    made->pool = pool;
    made->bucket = bucket;
    made->ahead = 2;
    made->jobs = queue_create(S3_FILES_SLOTS, S3_FILES_SLOTS);
    made->done = queue_create(S3_FILES_SLOTS, S3_FILES_SLOTS);
    buffer_init(&made->upcoming, UPCOMING_SIZE_MAX);
    for (uint32_t index = 0; index < S3_FILES_SLOTS; index++)
        buffer_init(&made->slots[index].piece, S3_FILES_PIECE_SIZE);
    int status = made->jobs == NULL || made->done == NULL ? ENOMEM : 0;
    while (status == 0 && made->threads_count < S3_FILES_SLOTS) {
        status = pthread_create(&made->threads[made->threads_count], NULL, work, made);
        made->threads_count += status == 0;
    }
    if (status != 0) {
        s3_files_destroy(made);
        return fault_set_errno(fault, FAULT_RETRY, status, "start a thread");
    }
    *files = made;
    return true;
}

void s3_files_destroy(struct s3_files *files) {
    if (files == NULL) return;
    void *item;
    s3_pool_stop(files->pool);
    if (files->jobs != NULL) queue_close(files->jobs);
    for (uint32_t index = 0; index < files->threads_count; index++) {
        int status = pthread_join(files->threads[index], NULL);
        assert(status == 0);
    }
    while (files->done != NULL && queue_pop(files->done, &item, 1, 0) == 1) continue;
    queue_destroy(files->jobs);
    queue_destroy(files->done);
    for (uint32_t index = 0; index < S3_FILES_SLOTS; index++)
        buffer_done(&files->slots[index].piece);
    buffer_done(&files->upcoming);
    free(files);
}

const struct files *s3_files_interface(const struct s3_files *files) {
    return &files->files;
}

uint64_t s3_files_left_out(const struct s3_files *files) {
    return files->left_out;
}
