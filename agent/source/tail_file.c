#include "agent/source/tail_file.h"

#include <assert.h>
#include <stdlib.h>
#include <string.h>

#include "base/hash.h"

enum { FLAG_SKIPPING = 1, FLAG_DONE = 2 };  // of a mark in a position

uint64_t tail_hash_path(const char *path) {
    return hash_plain(span_text(path));
}

bool tail_file_open(const struct files *files, const char *path, struct tail_file *file,
                    struct fault *fault) {
    int handle;
    if (!files_open(files, path, FILES_READ, &handle, fault)) return false;
    struct files_entry entry;
    char *copy = strdup(path);
    bool described = copy != NULL ? files_describe(files, handle, &entry, fault)
                                  : fault_set(fault, FAULT_FULL, "out of memory for %s", path);
    if (!described) {
        files_close(files, handle);
        free(copy);
        return false;
    }
    *file = (struct tail_file){
        .mark = {.path_hash = tail_hash_path(path), .inode = entry.inode},
        .path = copy,
        .handle = handle,
        .size = entry.size,
    };
    return true;
}

void tail_file_close(const struct files *files, struct tail_file *file) {
    files_close(files, file->handle);
    free(file->path);
    *file = (struct tail_file){0};
}

// Hashes the first bytes. *hashed may be less than asked for at the end of the file.
static bool hash_first(const struct files *files, int handle, size_t size, uint64_t *hash,
                       size_t *hashed, struct fault *fault) {
    uint8_t bytes[TAIL_FINGERPRINT_SIZE_MAX];
    assert(size <= sizeof bytes);
    if (!files_read_at(files, handle, 0, bytes, size, hashed, fault)) return false;
    *hash = hash_plain(span_of(bytes, *hashed));
    return true;
}

bool tail_file_matches(const struct files *files, const struct tail_file *file,
                       const struct tail_mark *mark, bool *matches, struct fault *fault) {
    uint64_t hash;
    size_t hashed;
    if (!hash_first(files, file->handle, mark->fingerprint_size, &hash, &hashed, fault)) {
        return false;
    }
    *matches = hashed == mark->fingerprint_size && (hashed == 0 || hash == mark->fingerprint);
    return true;
}

bool tail_file_extend(const struct files *files, struct tail_file *file, struct fault *fault) {
    uint64_t wanted = file->mark.offset;
    if (wanted > TAIL_FINGERPRINT_SIZE_MAX) wanted = TAIL_FINGERPRINT_SIZE_MAX;
    if (wanted <= file->mark.fingerprint_size) return true;
    uint64_t hash;
    size_t hashed;
    if (!hash_first(files, file->handle, (size_t)wanted, &hash, &hashed, fault)) return false;
    file->mark.fingerprint = hash;
    file->mark.fingerprint_size = (uint8_t)hashed;
    return true;
}

struct span tail_marks_encode(const struct tail_mark *marks, uint32_t count,
                              uint8_t bytes[1 + TAIL_MARKS_MAX * TAIL_MARK_SIZE]) {
    assert(count <= TAIL_MARKS_MAX);
    bytes[0] = (uint8_t)count;
    uint8_t *to = bytes + 1;
    for (uint32_t index = 0; index < count; index++) {
        memcpy(to, &marks[index].path_hash, 8);
        memcpy(to + 8, &marks[index].inode, 8);
        memcpy(to + 16, &marks[index].fingerprint, 8);
        memcpy(to + 24, &marks[index].offset, 8);
        to[32] = marks[index].fingerprint_size;
        to[33] = (uint8_t)((marks[index].is_skipping ? FLAG_SKIPPING : 0) |
                           (marks[index].is_done ? FLAG_DONE : 0));
        to += TAIL_MARK_SIZE;
    }
    return span_of(bytes, (size_t)(to - bytes));
}

uint32_t tail_marks_decode(struct span position, struct tail_mark marks[TAIL_MARKS_MAX]) {
    if (position.size == 0) return 0;
    uint32_t count = position.bytes[0];
    if (count > TAIL_MARKS_MAX || position.size != 1 + (size_t)count * TAIL_MARK_SIZE) return 0;
    for (uint32_t index = 0; index < count; index++) {
        const uint8_t *from = position.bytes + 1 + (size_t)index * TAIL_MARK_SIZE;
        struct tail_mark *mark = &marks[index];
        memcpy(&mark->path_hash, from, 8);
        memcpy(&mark->inode, from + 8, 8);
        memcpy(&mark->fingerprint, from + 16, 8);
        memcpy(&mark->offset, from + 24, 8);
        mark->fingerprint_size = from[32];
        mark->is_skipping = (from[33] & FLAG_SKIPPING) != 0;
        mark->is_done = (from[33] & FLAG_DONE) != 0;
    }
    return count;
}
