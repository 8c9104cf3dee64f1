#include "agent/source/taken.h"

#include <assert.h>
#include <inttypes.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#include "base/buffer.h"
#include "base/crypto.h"
#include "base/hash.h"

// A set on disk, little endian: 0 magic 8 bytes, 8 version u32, 12 count u32, 16 check u64,
// 24 spool id 16 bytes, 40 folder's time i64, 48 keys.
static const uint8_t magic[8] = {'O', 'T', 'T', 'A', 'K', 'E', 'N', '\n'};

enum { VERSION = 1, HEADER_SIZE = 48, PATH_SIZE = 4096, FILE_MODE = 0640, MARGIN_MS = 3600000 };

struct taken {
    const struct files *files;
    char *directory;
    uint8_t spool_id[TAKEN_SPOOL_ID_SIZE];
    uint64_t generation;
};

struct taken_key taken_key_of(struct span path, uint64_t size, int64_t modified_ns) {
    uint64_t numbers[2] = {size, (uint64_t)modified_ns};
    uint8_t digest[SHA256_SIZE];
    crypto_sha256((const struct span[]){span_of(numbers, sizeof numbers), path}, 2, digest);
    struct taken_key key;
    memcpy(key.bytes, digest, TAKEN_KEY_SIZE);
    return key;
}

bool taken_open(const struct files *files, const char *directory,
                const uint8_t spool_id[TAKEN_SPOOL_ID_SIZE], struct taken **taken,
                struct fault *fault) {
    if (!files_make_directory(files, directory, fault)) return false;
    struct taken *opened = calloc(1, sizeof *opened);
    if (opened != NULL) opened->directory = strdup(directory);
    if (opened == NULL || opened->directory == NULL) {
        free(opened);
        return fault_set(fault, FAULT_FULL, "out of memory for the set of taken files");
    }
    opened->files = files;
    memcpy(opened->spool_id, spool_id, TAKEN_SPOOL_ID_SIZE);
    *taken = opened;
    return true;
}

void taken_close(struct taken *taken) {
    if (taken == NULL) return;
    free(taken->directory);
    free(taken);
}

// Puts the folder (two hex digits) and the path of a set into texts.
static void print_path(const struct taken *taken, const struct taken_key *folder, char *shard,
                       char *path) {
    char hex[2 * TAKEN_KEY_SIZE + 1];
    crypto_print_hex(span_of(folder->bytes, TAKEN_KEY_SIZE), hex);
    int size = snprintf(shard, PATH_SIZE, "%s/%.2s", taken->directory, hex);
    assert(size > 0 && size < PATH_SIZE);
    size = snprintf(path, PATH_SIZE, "%s/%.2s/%s.set", taken->directory, hex, hex);
    assert(size > 0 && size < PATH_SIZE);
}

void taken_set_done(struct taken_set *set) {
    free(set->keys);
    free(set->seen);
    *set = (struct taken_set){0};
}

// Fills a set from a file's bytes. False if they are not a set of this spool.
static bool decode_set(const struct taken *taken, struct span bytes, struct taken_set *set) {
    uint32_t version, count;
    uint64_t check;
    if (bytes.size < HEADER_SIZE || memcmp(bytes.bytes, magic, sizeof magic) != 0) return false;
    memcpy(&version, bytes.bytes + 8, sizeof version);
    memcpy(&count, bytes.bytes + 12, sizeof count);
    memcpy(&check, bytes.bytes + 16, sizeof check);
    if (version != VERSION || bytes.size != HEADER_SIZE + (size_t)count * TAKEN_KEY_SIZE ||
        hash_plain(span_from(bytes, 24)) != check ||
        memcmp(bytes.bytes + 24, taken->spool_id, TAKEN_SPOOL_ID_SIZE) != 0) {
        return false;
    }
    set->keys = malloc((size_t)count * sizeof *set->keys + 1);
    set->seen = calloc((size_t)count + 1, 1);
    if (set->keys == NULL || set->seen == NULL) return false;
    memcpy(&set->folder_modified_ns, bytes.bytes + 40, sizeof set->folder_modified_ns);
    memcpy(set->keys, bytes.bytes + HEADER_SIZE, (size_t)count * TAKEN_KEY_SIZE);
    set->count = count;
    return true;
}

bool taken_load(struct taken *taken, struct taken_key folder, struct taken_set *set,
                struct fault *fault) {
    taken_set_done(set);
    set->folder = folder;
    set->generation = taken->generation;
    char shard[PATH_SIZE], path[PATH_SIZE];
    print_path(taken, &folder, shard, path);
    bool exists;
    struct files_entry entry;
    if (!files_find(taken->files, path, &exists, &entry, fault)) return false;
    if (!exists) return true;
    struct buffer buffer;
    size_t size_max = HEADER_SIZE + (size_t)TAKEN_COUNT_MAX * TAKEN_KEY_SIZE;
    buffer_init(&buffer, size_max + 1);
    if (!files_read_whole(taken->files, path, size_max, &buffer, fault)) {
        buffer_done(&buffer);
        // Too large is not ours; it is as if it were empty.
        return fault->kind == FAULT_INPUT;
    }
    if (!decode_set(taken, buffer_span(&buffer), set)) {
        taken_set_done(set);
        set->folder = folder;
        set->generation = taken->generation;
    }
    buffer_done(&buffer);
    return true;
}

bool taken_is_stale(const struct taken *taken, const struct taken_set *set) {
    return set->generation != taken->generation;
}

static int compare_keys(const void *left, const void *right) {
    return memcmp(left, right, TAKEN_KEY_SIZE);
}

bool taken_has(struct taken_set *set, const struct taken_key *key) {
    if (set->count == 0) return false;
    const struct taken_key *found =
        bsearch(key, set->keys, set->count, sizeof *set->keys, compare_keys);
    if (found == NULL) return false;
    size_t index = (size_t)(found - set->keys);
    set->seen_count += set->seen[index] == 0;
    set->seen[index] = 1;
    return true;
}

static bool write_set(struct taken *taken, const struct taken_key *folder,
                      const struct taken_key *keys, uint32_t count, int64_t folder_modified_ns,
                      struct fault *fault) {
    char shard[PATH_SIZE], path[PATH_SIZE];
    print_path(taken, folder, shard, path);
    if (!files_make_directory(taken->files, shard, fault)) return false;
    size_t size = HEADER_SIZE + (size_t)count * TAKEN_KEY_SIZE;
    uint8_t *bytes = malloc(size);
    if (bytes == NULL) return fault_set(fault, FAULT_FULL, "out of memory for taken files");
    uint32_t version = VERSION;
    memcpy(bytes, magic, sizeof magic);
    memcpy(bytes + 8, &version, sizeof version);
    memcpy(bytes + 12, &count, sizeof count);
    memcpy(bytes + 24, taken->spool_id, TAKEN_SPOOL_ID_SIZE);
    memcpy(bytes + 40, &folder_modified_ns, sizeof folder_modified_ns);
    if (count > 0) memcpy(bytes + HEADER_SIZE, keys, (size_t)count * TAKEN_KEY_SIZE);
    uint64_t check = hash_plain(span_of(bytes + 24, size - 24));
    memcpy(bytes + 16, &check, sizeof check);
    bool written = files_write_whole(taken->files, path, span_of(bytes, size), FILE_MODE, fault);
    free(bytes);
    if (written) taken->generation++;
    return written;
}

bool taken_add(struct taken *taken, struct taken_key folder, const struct taken_key *keys,
               uint32_t keys_count, struct fault *fault) {
    struct taken_set set = {0};
    if (!taken_load(taken, folder, &set, fault)) return false;
    if (set.count + keys_count > TAKEN_COUNT_MAX) {
        taken_set_done(&set);
        return fault_set(fault, FAULT_FULL, "more than %d files in one folder: move old files away",
                         TAKEN_COUNT_MAX);
    }
    struct taken_key *merged = malloc((set.count + (size_t)keys_count) * sizeof *merged + 1);
    if (merged == NULL) {
        taken_set_done(&set);
        return fault_set(fault, FAULT_FULL, "out of memory for taken files");
    }
    if (set.count > 0) memcpy(merged, set.keys, set.count * sizeof *merged);
    memcpy(merged + set.count, keys, keys_count * sizeof *merged);
    uint32_t count = set.count + keys_count;
    qsort(merged, count, sizeof *merged, compare_keys);
    uint32_t kept = 0;
    for (uint32_t index = 0; index < count; index++) {
        if (kept > 0 && compare_keys(&merged[kept - 1], &merged[index]) == 0) continue;
        merged[kept++] = merged[index];
    }
    bool written =
        kept == set.count || write_set(taken, &folder, merged, kept, set.folder_modified_ns, fault);
    free(merged);
    taken_set_done(&set);
    return written;
}

bool taken_settle(struct taken *taken, struct taken_set *set, int64_t folder_modified_ns,
                  struct fault *fault) {
    assert(!taken_is_stale(taken, set));
    if (folder_modified_ns == 0) folder_modified_ns = set->folder_modified_ns;
    bool is_settled =
        set->seen_count == set->count && folder_modified_ns == set->folder_modified_ns;
    if (is_settled) return true;
    uint32_t kept = 0;
    for (uint32_t index = 0; index < set->count; index++) {
        if (set->seen[index]) set->keys[kept++] = set->keys[index];
    }
    assert(kept == set->seen_count);
    set->count = kept;
    memset(set->seen, 1, kept);
    set->folder_modified_ns = folder_modified_ns;
    if (!write_set(taken, &set->folder, set->keys, kept, folder_modified_ns, fault)) return false;
    set->generation = taken->generation;
    return true;
}

// While removing sets.
struct forgetting {
    struct taken *taken;
    int64_t since_ns;
    char folder[PATH_SIZE];
    bool failed;
    struct fault *fault;
};

static bool on_set(void *user, const struct files_entry *entry) {
    struct forgetting *forgetting = user;
    if (entry->is_directory || entry->modified_ns < forgetting->since_ns) return true;
    char path[2 * PATH_SIZE];
    snprintf(path, sizeof path, "%s/%s", forgetting->folder, entry->name);
    forgetting->failed = !files_remove(forgetting->taken->files, path, forgetting->fault);
    return !forgetting->failed;
}

bool taken_forget(struct taken *taken, int64_t since_ms, struct fault *fault) {
    struct forgetting forgetting = {.taken = taken, .fault = fault};
    // The time is of another machine's clock.
    int64_t begin_ms = since_ms > MARGIN_MS ? since_ms - MARGIN_MS : 0;
    forgetting.since_ns = begin_ms > INT64_MAX / 1000000 ? INT64_MAX : begin_ms * 1000000;
    for (uint32_t shard = 0; shard < 256; shard++) {
        int size = snprintf(forgetting.folder, sizeof forgetting.folder, "%s/%02x",
                            taken->directory, shard);
        assert(size > 0 && size < PATH_SIZE);
        bool exists;
        struct files_entry entry;
        if (!files_find(taken->files, forgetting.folder, &exists, &entry, fault)) return false;
        if (!exists) continue;
        if (!files_list(taken->files, forgetting.folder, on_set, &forgetting, fault)) return false;
        if (forgetting.failed) return false;
        if (!files_sync_directory(taken->files, forgetting.folder, fault)) return false;
    }
    taken->generation++;
    return true;
}
