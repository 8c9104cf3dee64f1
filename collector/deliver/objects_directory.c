#include "collector/deliver/objects_directory.h"

#include <assert.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#include "base/json_writer.h"

enum {
    BUCKET_MAX = 63,
    OPEN_MAX = 128,  // files at a time, which wait for their own syncs
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

// Puts the word before a fault that a status shows, and what to do.
static bool name_fault(struct fault *fault) {
    switch (fault->kind) {
        case FAULT_DENIED:
            return fault_add(fault, "AccessDenied: let the collector's user write there");
        case FAULT_FULL:
            return fault_add(fault, "NoSpace: make room there");
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
    return fault_set(fault, FAULT_INPUT, "NoSuchBucket: make the folder %s/%.*s again",
                     directory->root, SPAN_PRINT(name->bucket));
}

// Makes the folders between the bucket and the object that are missing, each durable in its own
// unless all is synced later.
static bool make_folders(const struct objects_directory *directory, struct span bucket,
                         const char *path, bool is_whole, struct fault *fault) {
    char folder[OBJECTS_PATH_SIZE];
    size_t at = strlen(directory->root) + 1 + bucket.size;
    size_t end = (size_t)(strrchr(path, '/') - path);
    struct files_entry entry;
    bool exists = false;
    memcpy(folder, path, end);
    folder[end] = 0;
    if (!files_find(directory->files, folder, &exists, &entry, fault)) return false;
    exists = exists && entry.is_directory;
    while (!exists && at < end) {
        const char *next = memchr(path + at + 1, '/', end - at - 1);
        size_t parent = at;
        at = next == NULL ? end : (size_t)(next - path);
        memcpy(folder, path, at);
        folder[at] = 0;
        bool is_there = false;
        if (!files_find(directory->files, folder, &is_there, &entry, fault)) return false;
        if (is_there && !entry.is_directory) {
            return fault_set(fault, FAULT_IO, "a file is where a folder should be: move %s away",
                             folder);
        }
        if (is_there) continue;
        if (!files_make_directory(directory->files, folder, fault)) return false;
        folder[parent] = 0;
        if (!is_whole && !files_sync_directory(directory->files, folder, fault)) return false;
    }
    return true;
}

// Creates a file. The handle is the caller's to close.
static bool begin_file(const struct files *files, const char *fresh, struct span bytes, int *handle,
                       struct fault *fault) {
    if (!files_remove(files, fresh, fault) ||
        !files_open(files, fresh, FILES_CREATE, handle, fault)) {
        return false;
    }
    if (files_append(files, *handle, bytes, fault)) return true;
    files_close(files, *handle);
    *handle = -1;
    return false;
}

static void remove_quietly(const struct files *files, const char *path) {
    struct fault ignored;
    (void)!files_remove(files, path, &ignored);
}

// Writes a file whole, under its name only when it is on the disk.
static bool write_file(const struct files *files, const char *path, const char *fresh,
                       struct span bytes, struct fault *fault) {
    int handle = -1;
    bool is_good = begin_file(files, fresh, bytes, &handle, fault);
    if (is_good) {
        is_good = files_sync(files, handle, fault);
        files_close(files, handle);
    }
    if (is_good && files_rename(files, fresh, path, fault)) return true;
    remove_quietly(files, fresh);
    return false;
}

static void print_metadata(const struct object_write *write, struct buffer *json) {
    struct json_writer writer = json_writer_begin(json);
    json_write_object(&writer, NULL);
    for (uint32_t index = 0; index < write->metadata_count; index++) {
        const struct object_metadata *metadata = &write->metadata[index];
        json_write_string(&writer, metadata->name, metadata->value);
    }
    json_write_end(&writer);
}

static bool write_metadata(const struct files *files, const char *path, const char *fresh,
                           const struct object_write *write, struct fault *fault) {
    char beside[OBJECTS_PATH_SIZE];
    struct buffer json;
    if (!print_beside(path, ".metadata", beside)) {
        return fault_set(fault, FAULT_INPUT, "%s: too long", path);
    }
    if (write->metadata_count == 0) return files_remove(files, beside, fault);
    buffer_init(&json, OBJECTS_METADATA_SIZE_MAX);
    print_metadata(write, &json);
    bool is_good = buffer_overflowed(&json)
                       ? fault_set(fault, FAULT_INPUT, "%s: too much metadata", path)
                       : write_file(files, beside, fresh, buffer_span(&json), fault);
    buffer_done(&json);
    return is_good;
}

// Objects that are written together: first all files, then syncs, then all names, then syncs again.
// Syncs one behind another of files that are all being written wait for the disk a few times
// instead of once each; syncs of the whole file system are two.
struct pack {
    const struct objects_directory *directory;
    const struct object_write *writes;
    uint32_t begin, end;    // those under way
    int whole;              // the file system; -1: each file and folder has a sync of its own
    int handles[OPEN_MAX];  // of files that are to have one; -1: none
    char paths[OBJECTS_WRITE_MAX][OBJECTS_PATH_SIZE];
};

// Prints what a file is written as before it has its name. It was found to be short enough.
static void print_fresh(const char *path, char fresh[OBJECTS_PATH_SIZE]) {
    bool is_good = print_beside(path, ".new", fresh);
    assert(is_good);
}

static bool begin_object(struct pack *pack, uint32_t index, struct fault *fault) {
    const struct files *files = pack->directory->files;
    const struct object_write *write = &pack->writes[index];
    const char *path = pack->paths[index];
    char fresh[OBJECTS_PATH_SIZE];
    int handle = -1;
    print_fresh(path, fresh);
    if (make_folders(pack->directory, write->name.bucket, path, pack->whole != -1, fault) &&
        write_metadata(files, path, fresh, write, fault) &&
        begin_file(files, fresh, write->bytes, &handle, fault)) {
        // A sync of the whole file system writes all of them at less cost than each by itself.
        if (pack->whole == -1) {
            files_hasten(files, handle);
            pack->handles[index - pack->begin] = handle;
        } else {
            files_close(files, handle);
        }
        return true;
    }
    remove_quietly(files, fresh);
    return name_fault(fault);
}

// A sync that failed is not tried again: the next attempt writes another file.
static bool sync_files(struct pack *pack, struct fault *fault) {
    const struct files *files = pack->directory->files;
    if (pack->whole != -1) return files_sync_disk(files, pack->whole, fault);
    for (uint32_t index = 0; index < pack->end - pack->begin; index++) {
        if (!files_sync(files, pack->handles[index], fault)) return false;
        files_close(files, pack->handles[index]);
        pack->handles[index] = -1;
    }
    return true;
}

static bool name_files(struct pack *pack, struct fault *fault) {
    char fresh[OBJECTS_PATH_SIZE];
    for (uint32_t index = pack->begin; index < pack->end; index++) {
        print_fresh(pack->paths[index], fresh);
        if (!files_rename(pack->directory->files, fresh, pack->paths[index], fault)) return false;
    }
    return true;
}

// Syncs each folder once. Paths become those of their folders.
static bool sync_folders(struct pack *pack, struct fault *fault) {
    const struct files *files = pack->directory->files;
    if (pack->whole != -1) return files_sync_disk(files, pack->whole, fault);
    for (uint32_t index = pack->begin; index < pack->end; index++) {
        uint32_t before = pack->begin;
        *strrchr(pack->paths[index], '/') = 0;
        while (before < index && strcmp(pack->paths[before], pack->paths[index]) != 0) before++;
        if (before == index && !files_sync_directory(files, pack->paths[index], fault)) {
            return false;
        }
    }
    return true;
}

// Leaves none of those that have no name yet.
static void give_up(struct pack *pack, uint32_t begun) {
    const struct files *files = pack->directory->files;
    char fresh[OBJECTS_PATH_SIZE];
    for (uint32_t index = pack->begin; index < begun; index++) {
        int handle = pack->whole == -1 ? pack->handles[index - pack->begin] : -1;
        if (handle != -1) files_close(files, handle);
        print_fresh(pack->paths[index], fresh);
        remove_quietly(files, fresh);
    }
}

static bool put_pack(struct pack *pack, struct fault *fault) {
    uint32_t begun = pack->begin;
    for (uint32_t index = 0; index < OPEN_MAX; index++) pack->handles[index] = -1;
    while (begun < pack->end && begin_object(pack, begun, fault)) begun++;
    bool is_good = begun == pack->end &&
                   ((sync_files(pack, fault) && name_files(pack, fault)) || name_fault(fault));
    if (!is_good) {
        give_up(pack, begun);
        return false;
    }
    return sync_folders(pack, fault) || name_fault(fault);
}

// One pack, or as many as files may be open.
static bool put_packs(struct pack *pack, uint32_t writes_count, struct fault *fault) {
    while (pack->begin < writes_count) {
        uint32_t left = writes_count - pack->begin;
        pack->end = pack->begin + (pack->whole == -1 && left > OPEN_MAX ? OPEN_MAX : left);
        if (!put_pack(pack, fault)) return false;
        pack->begin = pack->end;
    }
    return true;
}

static bool print_paths(struct pack *pack, uint32_t writes_count, struct fault *fault) {
    char fresh[OBJECTS_PATH_SIZE];
    for (uint32_t index = 0; index < writes_count; index++) {
        const struct object_name *name = &pack->writes[index].name;
        char *path = pack->paths[index];
        if (name->key.size == 0 ||
            !objects_directory_path(pack->directory, name->bucket, name->key, path) ||
            !print_beside(path, ".new", fresh)) {
            return refuse_name(name, fault);
        }
        bool is_next = index == 0 || !span_equal(name->bucket, pack->writes[index - 1].name.bucket);
        if (is_next && !check_bucket(pack->directory, name, fault)) return false;
    }
    return true;
}

// The file system of the deepest folder on a path that is there; folders made in it are on it too.
static bool find_device(const struct files *files, const char *path, uint64_t *device,
                        struct fault *fault) {
    char folder[OBJECTS_PATH_SIZE];
    struct files_entry entry = {0};
    bool exists = false;
    snprintf(folder, sizeof folder, "%s", path);
    for (char *slash; !exists && (slash = strrchr(folder, '/')) != NULL && slash != folder;) {
        *slash = 0;
        if (!files_find(files, folder, &exists, &entry, fault)) return false;
    }
    *device = entry.device;
    return true;
}

// Opens the file system of them all, before anything is written, so that its syncs tell of
// everything. Few objects, and those on several file systems, are synced one by one.
static bool open_whole(struct pack *pack, uint32_t writes_count, struct fault *fault) {
    const struct files *files = pack->directory->files;
    uint64_t first = 0;
    pack->whole = -1;
    if (writes_count < pack->directory->whole_min) return true;
    for (uint32_t index = 0; index < writes_count; index++) {
        uint64_t device = 0;
        if (!find_device(files, pack->paths[index], &device, fault)) return false;
        if (index == 0) first = device;
        if (device != first) return true;
    }
    char bucket[OBJECTS_PATH_SIZE];
    (void)!objects_directory_path(pack->directory, pack->writes[0].name.bucket,
                                  (struct span){NULL, 0}, bucket);
    struct files_entry entry = {0};
    bool exists = false;
    if (!files_find(files, bucket, &exists, &entry, fault)) return false;
    return !exists || entry.device != first || files_open_disk(files, bucket, &pack->whole, fault);
}

static bool put_all(void *context, const struct object_write *writes, uint32_t writes_count,
                    struct fault *fault) {
    struct pack *pack = malloc(sizeof *pack);
    if (pack == NULL) return fault_set(fault, FAULT_RETRY, "NoMemory: for names of files");
    pack->directory = context;
    pack->writes = writes;
    pack->begin = 0;
    pack->whole = -1;
    bool is_good = print_paths(pack, writes_count, fault) &&
                   (open_whole(pack, writes_count, fault) || name_fault(fault)) &&
                   put_packs(pack, writes_count, fault);
    if (pack->whole != -1) files_close(pack->directory->files, pack->whole);
    free(pack);
    return is_good;
}

static bool put(void *context, const struct object_write *write, struct fault *fault) {
    return put_all(context, write, 1, fault);
}

// ---- reading

// Whether a file holds these bytes and no others.
static bool compare_file(const struct files *files, int handle, struct span bytes, bool *is_same,
                         struct fault *fault) {
    uint8_t read[READ_SIZE];
    uint64_t offset = 0;
    size_t got = 0;
    do {
        if (!files_read_at(files, handle, offset, read, sizeof read, &got, fault)) return false;
        *is_same = got <= bytes.size && span_equal(span_of(read, got), span_of(bytes.bytes, got));
        if (!*is_same) return true;
        bytes = span_from(bytes, got);
        offset += got;
    } while (got == sizeof read);
    *is_same = bytes.size == 0;
    return true;
}

static bool holds(void *context, const struct object_write *write, enum objects_held *held,
                  struct fault *fault) {
    const struct objects_directory *directory = context;
    const struct object_name *name = &write->name;
    char path[OBJECTS_PATH_SIZE];
    int handle = -1;
    bool is_same = false;
    if (name->key.size == 0 || !objects_directory_path(directory, name->bucket, name->key, path)) {
        return refuse_name(name, fault);
    }
    *held = OBJECTS_HOLD_NOTHING;
    if (!files_open(directory->files, path, FILES_READ, &handle, fault)) {
        // Nothing stands there, or a folder.
        return fault->kind == FAULT_INPUT || name_fault(fault);
    }
    bool is_good = compare_file(directory->files, handle, write->bytes, &is_same, fault);
    files_close(directory->files, handle);
    *held = is_same ? OBJECTS_HOLD_SAME : OBJECTS_HOLD_OTHER;
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
    static const struct objects_operations operations = {find_bucket, put, put_all, holds};
    return (struct objects){&operations, directory};
}
