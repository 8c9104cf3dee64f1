#include "verify/delivered_directory.h"

#include <stdio.h>
#include <string.h>

#include "base/json.h"

enum {
    DEPTH_MAX = 32,  // folders in one another; links may go round
    METADATA_SIZE_MAX = 16 * 1024,
};

// ---- names

// Whether a key can be the path of a file in a bucket's folder. Ends in a slash: a folder's.
static bool is_path(struct span key) {
    if (key.size > DELIVERED_KEY_SIZE_MAX) return false;
    uint8_t before = '/';
    for (size_t at = 0; at < key.size; at++) {
        uint8_t byte = key.bytes[at];
        if (byte < ' ' || byte == 127) return false;
        if (before == '/' && (byte == '/' || byte == '.')) return false;
        before = byte;
    }
    return true;
}

static bool is_bucket(struct span bucket) {
    return bucket.size > 0 && is_path(bucket) && span_find(bucket, '/') == bucket.size;
}

// The path of a bucket's folder and what is in it. False: it cannot be, or the bucket is another.
static bool print_path(const struct delivered_directory *directory, struct span bucket,
                       struct span key, char path[DELIVERED_PATH_SIZE]) {
    int size;
    if (!is_bucket(bucket) || !is_path(key)) return false;
    if (directory->bucket == NULL) {
        size = snprintf(path, DELIVERED_PATH_SIZE, "%s/%.*s/%.*s", directory->root,
                        SPAN_PRINT(bucket), SPAN_PRINT(key));
    } else {
        if (!span_is(bucket, directory->bucket)) return false;
        size = snprintf(path, DELIVERED_PATH_SIZE, "%s/%.*s", directory->root, SPAN_PRINT(key));
    }
    return size > 0 && size < DELIVERED_PATH_SIZE;
}

// ---- folders

struct naming {
    delivered_on_name *on_name;
    void *user;
};

static bool name_folder(void *user, const struct files_entry *entry) {
    const struct naming *naming = user;
    if (!entry->is_directory || entry->name[0] == '.') return true;
    return naming->on_name(naming->user, span_text(entry->name));
}

// A folder that is not there has nothing in it.
static bool list_folder(const struct files *files, const char *path,
                        bool (*on_entry)(void *user, const struct files_entry *entry), void *user,
                        struct fault *fault) {
    struct files_entry entry;
    bool exists = false;
    if (!files_find(files, path, &exists, &entry, fault)) return false;
    return !exists || !entry.is_directory || files_list(files, path, on_entry, user, fault);
}

static bool buckets(void *context, delivered_on_name *on_bucket, void *user, struct fault *fault) {
    const struct delivered_directory *directory = context;
    if (directory->bucket != NULL) {
        (void)on_bucket(user, span_text(directory->bucket));
        return true;
    }
    struct naming naming = {on_bucket, user};
    return files_list(directory->files, directory->root, name_folder, &naming, fault);
}

static bool folders(void *context, struct span bucket, struct span prefix,
                    delivered_on_name *on_folder, void *user, struct fault *fault) {
    const struct delivered_directory *directory = context;
    struct naming naming = {on_folder, user};
    char path[DELIVERED_PATH_SIZE];
    return !print_path(directory, bucket, prefix, path) ||
           list_folder(directory->files, path, name_folder, &naming, fault);
}

// ---- objects

struct listing {
    const struct files *files;
    struct span after;
    delivered_on_name *on_object;
    void *user;
    struct fault *fault;
    char path[DELIVERED_PATH_SIZE];  // of the folder that is being listed, with a final slash
    size_t key_at;                   // where its key begins in it
    size_t size;
    uint32_t depth;
    bool is_ended;
    bool is_good;
};

static bool list_below(struct listing *listing);

static bool list_entry(void *user, const struct files_entry *entry) {
    struct listing *listing = user;
    size_t name_size = strlen(entry->name);
    size_t before = listing->size;
    if (entry->name[0] == '.') return true;
    if (before + name_size + 2 > sizeof listing->path ||
        before - listing->key_at + name_size + 1 > DELIVERED_KEY_SIZE_MAX) {
        return true;  // no object's name is as long
    }
    memcpy(listing->path + before, entry->name, name_size);
    size_t size = before + name_size;
    if (entry->is_directory) listing->path[size++] = '/';
    struct span key = span_of(listing->path + listing->key_at, size - listing->key_at);
    bool is_behind = span_compare(key, listing->after) > 0;
    bool may_hold = entry->is_directory && span_starts(listing->after, key);
    if (is_behind && !entry->is_directory) {
        listing->is_ended = !listing->on_object(listing->user, key);
    } else if (entry->is_directory && (is_behind || may_hold)) {
        listing->path[size] = 0;
        listing->size = size;
        listing->is_good = list_below(listing);
    }
    listing->size = before;
    return listing->is_good && !listing->is_ended;
}

static bool list_below(struct listing *listing) {
    if (listing->depth == DEPTH_MAX)
        return fault_set(listing->fault, FAULT_INPUT, "%s: more than %d folders in one another",
                         listing->path, DEPTH_MAX);
    listing->depth++;
    bool is_good = files_list(listing->files, listing->path, list_entry, listing, listing->fault) &&
                   listing->is_good;
    listing->depth--;
    return is_good;
}

static bool list(void *context, struct span bucket, struct span prefix, struct span after,
                 delivered_on_name *on_object, void *user, struct fault *fault) {
    const struct delivered_directory *directory = context;
    struct listing listing = {
        .files = directory->files,
        .after = after,
        .on_object = on_object,
        .user = user,
        .fault = fault,
        .is_good = true,
    };
    struct files_entry entry;
    bool exists = false;
    if (!print_path(directory, bucket, prefix, listing.path)) return true;
    if (!files_find(directory->files, listing.path, &exists, &entry, fault)) return false;
    if (!exists || !entry.is_directory) return true;
    listing.size = strlen(listing.path);
    listing.key_at = listing.size - prefix.size;
    return list_below(&listing);
}

// ---- reading

static void keep(const struct yyjson_val *root, const char *name, char *kept, size_t size) {
    snprintf(kept, size, "%.*s", SPAN_PRINT(json_member_string(root, span_text(name))));
}

// Metadata that cannot be read are absent: what they should prove is then unproven.
static bool read_metadata(const struct files *files, const char *path,
                          struct delivered_metadata *metadata, struct fault *fault) {
    char beside[DELIVERED_PATH_SIZE];
    const char *slash = strrchr(path, '/');
    struct files_entry entry;
    bool exists = false;
    *metadata = (struct delivered_metadata){.signature = ""};
    int size =
        snprintf(beside, sizeof beside, "%.*s/.%s.metadata", (int)(slash - path), path, slash + 1);
    if (size < 0 || (size_t)size >= sizeof beside) return true;
    if (!files_find(files, beside, &exists, &entry, fault)) return false;
    if (!exists || entry.size > METADATA_SIZE_MAX) return true;
    struct json_reader *reader = json_reader_create();
    const struct yyjson_val *root = NULL;
    struct buffer text;
    buffer_init(&text, METADATA_SIZE_MAX);
    bool is_read = reader != NULL || fault_set(fault, FAULT_FULL, "no memory");
    is_read = is_read && files_read_whole(files, beside, METADATA_SIZE_MAX, &text, fault);
    struct fault ignored;
    if (is_read && json_read(reader, buffer_span(&text), &root, &ignored)) {
        keep(root, "signature", metadata->signature, sizeof metadata->signature);
        keep(root, "signature-algorithm", metadata->algorithm, sizeof metadata->algorithm);
        keep(root, "backfill-generation-timestamp", metadata->backfill_time,
             sizeof metadata->backfill_time);
    }
    buffer_done(&text);
    json_reader_destroy(reader);
    return is_read;
}

static bool find_bucket(const struct delivered_directory *directory, struct span bucket,
                        bool *found, struct fault *fault) {
    char path[DELIVERED_PATH_SIZE];
    struct files_entry entry = {0};
    bool exists = false;
    if (print_path(directory, bucket, (struct span){NULL, 0}, path) &&
        !files_find(directory->files, path, &exists, &entry, fault)) {
        return false;
    }
    *found = exists && entry.is_directory;
    return true;
}

static bool get(void *context, struct span bucket, struct span key, struct buffer *bytes,
                struct delivered_metadata *metadata, enum delivered_presence *presence,
                struct fault *fault) {
    const struct delivered_directory *directory = context;
    const struct files *files = directory->files;
    char path[DELIVERED_PATH_SIZE];
    struct files_entry entry;
    bool exists = false;
    if (key.size > 0 && print_path(directory, bucket, key, path)) {
        // Most are there: the file is asked for first and its absence looked into afterwards.
        if (files_read_whole(files, path, DELIVERED_OBJECT_SIZE_MAX, bytes, fault)) {
            if (metadata != NULL && !read_metadata(files, path, metadata, fault)) return false;
            *presence = DELIVERED_FOUND;
            return true;
        }
        struct fault failure = *fault;
        if (!files_find(files, path, &exists, &entry, fault)) return false;
        if (exists && !entry.is_directory) {
            *fault = failure;
            return false;
        }
    }
    bool has_bucket = false;
    if (!find_bucket(directory, bucket, &has_bucket, fault)) return false;
    *presence = has_bucket ? DELIVERED_MISSING : DELIVERED_NO_BUCKET;
    return true;
}

struct delivered delivered_in_directory(struct delivered_directory *directory) {
    static const struct delivered_operations operations = {buckets, folders, list, get};
    return (struct delivered){&operations, directory};
}
