#include "collector/deliver/objects_directory.h"

#include <stdio.h>
#include <string.h>

#include "base/json_writer.h"

enum {
    BUCKET_MAX = 63,
    READ_SIZE = 64 * 1024,
};

// ---- names

static bool is_bucket(struct span bucket) {
    bool is_good = bucket.size > 0 && bucket.size <= BUCKET_MAX && bucket.bytes[0] != '.';
    for (size_t at = 0; is_good && at < bucket.size; at++) {
        uint8_t byte = bucket.bytes[at];
        is_good = (byte >= 'a' && byte <= 'z') || (byte >= '0' && byte <= '9') || byte == '.' ||
                  byte == '-';
    }
    return is_good;
}

bool objects_directory_path(const struct objects_directory *directory, struct span bucket,
                            struct span key, char path[OBJECTS_PATH_SIZE]) {
    if (!is_bucket(bucket) || (key.size > 0 && !objects_is_key(key))) return false;
    int size = snprintf(path, OBJECTS_PATH_SIZE, "%s/%.*s%s%.*s", directory->root,
                        SPAN_PRINT(bucket), key.size > 0 ? "/" : "", SPAN_PRINT(key));
    return size > 0 && size < OBJECTS_PATH_SIZE;
}

// The path of a file that belongs to an object: "DIR/.NAMEending". False: too long.
static bool print_beside(const char *path, const char *ending, char beside[OBJECTS_PATH_SIZE]) {
    const char *slash = strrchr(path, '/');
    int size = snprintf(beside, OBJECTS_PATH_SIZE, "%.*s/.%s%s", (int)(slash - path), path,
                        slash + 1, ending);
    return size > 0 && size < OBJECTS_PATH_SIZE;
}

// Puts the word before a fault that a status shows.
static bool name_fault(struct fault *fault) {
    switch (fault->kind) {
        case FAULT_DENIED:
            return fault_add(fault, "AccessDenied");
        case FAULT_FULL:
            return fault_add(fault, "NoSpace");
        default:
            return fault_add(fault, "DiskError");
    }
}

static bool refuse_name(const struct object_name *name, struct fault *fault) {
    return fault_set(fault, FAULT_INPUT,
                     "InvalidKey: s3://%.*s/%.*s cannot be the name of a file in a bucket's folder",
                     SPAN_PRINT(name->bucket), SPAN_PRINT(name->key));
}

// ---- writing

static bool find_bucket(void *context, struct span bucket, bool *found, struct fault *fault) {
    const struct objects_directory *directory = context;
    char path[OBJECTS_PATH_SIZE];
    struct files_entry entry = {0};
    bool exists = false;
    if (!objects_directory_path(directory, bucket, (struct span){NULL, 0}, path)) {
        *found = false;
        return true;
    }
    if (!files_find(directory->files, path, &exists, &entry, fault)) return name_fault(fault);
    *found = exists && entry.is_directory;
    return true;
}

static bool check_bucket(const struct objects_directory *directory, const struct object_name *name,
                         struct fault *fault) {
    bool found = false;
    if (!find_bucket((void *)(uintptr_t)directory, name->bucket, &found, fault)) return false;
    if (found) return true;
    return fault_set(fault, FAULT_INPUT, "NoSuchBucket: there is no folder %s/%.*s",
                     directory->root, SPAN_PRINT(name->bucket));
}

// Makes the folders between the bucket and the object that are missing, each durable in its own.
static bool make_folders(const struct objects_directory *directory, struct span bucket,
                         const char *path, struct fault *fault) {
    char folder[OBJECTS_PATH_SIZE];
    size_t at = strlen(directory->root) + 1 + bucket.size;
    size_t end = (size_t)(strrchr(path, '/') - path);
    struct files_entry entry;
    bool exists = false;
    memcpy(folder, path, end);
    folder[end] = 0;
    if (!files_find(directory->files, folder, &exists, &entry, fault)) return false;
    while (!exists && at < end) {
        const char *next = memchr(path + at + 1, '/', end - at - 1);
        size_t parent = at;
        at = next == NULL ? end : (size_t)(next - path);
        memcpy(folder, path, at);
        folder[at] = 0;
        bool is_there = false;
        if (!files_find(directory->files, folder, &is_there, &entry, fault)) return false;
        if (is_there) continue;
        if (!files_make_directory(directory->files, folder, fault)) return false;
        folder[parent] = 0;
        if (!files_sync_directory(directory->files, folder, fault)) return false;
    }
    return true;
}

// Writes a file whole, under its name only when it is on the disk. A sync that failed is not tried
// again: the next attempt writes another file.
static bool write_file(const struct files *files, const char *path, const char *fresh,
                       struct span bytes, struct fault *fault) {
    int handle = -1;
    if (!files_remove(files, fresh, fault) ||
        !files_open(files, fresh, FILES_CREATE, &handle, fault)) {
        return false;
    }
    bool is_good = files_append(files, handle, bytes, fault) && files_sync(files, handle, fault);
    files_close(files, handle);
    if (is_good && files_rename(files, fresh, path, fault)) return true;
    struct fault ignored;
    (void)!files_remove(files, fresh, &ignored);
    return false;
}

static void print_metadata(const struct object_metadata *metadata, uint32_t metadata_count,
                           struct buffer *json) {
    struct json_writer writer = json_writer_begin(json);
    json_write_object(&writer, NULL);
    for (uint32_t index = 0; index < metadata_count; index++) {
        json_write_string(&writer, metadata[index].name, metadata[index].value);
    }
    json_write_end(&writer);
}

static bool write_metadata(const struct files *files, const char *path, const char *fresh,
                           const struct object_metadata *metadata, uint32_t metadata_count,
                           struct fault *fault) {
    char beside[OBJECTS_PATH_SIZE];
    struct buffer json;
    if (!print_beside(path, ".metadata", beside)) {
        return fault_set(fault, FAULT_INPUT, "%s: too long", path);
    }
    if (metadata_count == 0) return files_remove(files, beside, fault);
    buffer_init(&json, OBJECTS_METADATA_SIZE_MAX);
    print_metadata(metadata, metadata_count, &json);
    bool is_good = buffer_overflowed(&json)
                       ? fault_set(fault, FAULT_INPUT, "%s: too much metadata", path)
                       : write_file(files, beside, fresh, buffer_span(&json), fault);
    buffer_done(&json);
    return is_good;
}

static bool put(void *context, const struct object_name *name, struct span bytes,
                const struct object_metadata *metadata, uint32_t metadata_count,
                struct fault *fault) {
    const struct objects_directory *directory = context;
    const struct files *files = directory->files;
    char path[OBJECTS_PATH_SIZE], fresh[OBJECTS_PATH_SIZE];
    if (name->key.size == 0 || !objects_directory_path(directory, name->bucket, name->key, path) ||
        !print_beside(path, ".new", fresh)) {
        return refuse_name(name, fault);
    }
    if (!check_bucket(directory, name, fault)) return false;
    if (make_folders(directory, name->bucket, path, fault) &&
        write_metadata(files, path, fresh, metadata, metadata_count, fault) &&
        write_file(files, path, fresh, bytes, fault)) {
        *strrchr(path, '/') = 0;
        if (files_sync_directory(files, path, fault)) return true;
    }
    return name_fault(fault);
}

// ---- reading

static bool hash_file(const struct files *files, int handle, struct object_facts *facts,
                      struct fault *fault) {
    uint8_t bytes[READ_SIZE];
    size_t got = 0;
    struct crypto_sha256_stream *stream = crypto_sha256_create();
    if (stream == NULL) return fault_set(fault, FAULT_RETRY, "no memory to hash a file");
    facts->size = 0;
    bool is_good = true;
    do {
        is_good = files_read_at(files, handle, facts->size, bytes, sizeof bytes, &got, fault);
        if (is_good) {
            crypto_sha256_update(stream, span_of(bytes, got));
            facts->size += got;
        }
    } while (is_good && got == sizeof bytes);
    crypto_sha256_finish(stream, facts->hash);
    crypto_sha256_destroy(stream);
    return is_good;
}

static bool head(void *context, const struct object_name *name, bool *found,
                 struct object_facts *facts, struct fault *fault) {
    const struct objects_directory *directory = context;
    char path[OBJECTS_PATH_SIZE];
    struct files_entry entry = {0};
    int handle = -1;
    bool exists = false;
    if (name->key.size == 0 || !objects_directory_path(directory, name->bucket, name->key, path)) {
        return refuse_name(name, fault);
    }
    if (!files_find(directory->files, path, &exists, &entry, fault)) return name_fault(fault);
    *found = exists && !entry.is_directory;
    if (!*found) return true;
    if (!files_open(directory->files, path, FILES_READ, &handle, fault)) return name_fault(fault);
    bool is_good = hash_file(directory->files, handle, facts, fault);
    files_close(directory->files, handle);
    return is_good || name_fault(fault);
}

bool objects_directory_metadata(const struct objects_directory *directory,
                                const struct object_name *name, struct buffer *json,
                                struct fault *fault) {
    char path[OBJECTS_PATH_SIZE], beside[OBJECTS_PATH_SIZE];
    struct files_entry entry;
    bool exists = false;
    if (name->key.size == 0 || !objects_directory_path(directory, name->bucket, name->key, path) ||
        !print_beside(path, ".metadata", beside)) {
        return refuse_name(name, fault);
    }
    if (!files_find(directory->files, beside, &exists, &entry, fault)) return false;
    return !exists ||
           files_read_whole(directory->files, beside, OBJECTS_METADATA_SIZE_MAX, json, fault);
}

struct objects objects_in_directory(struct objects_directory *directory) {
    static const struct objects_operations operations = {find_bucket, put, head};
    return (struct objects){&operations, directory};
}
