#include "agent/fake_files.h"

#include <assert.h>
#include <stdlib.h>
#include <string.h>

#include "base/random.h"

enum { NODES_MAX = 512, HANDLES_MAX = 64, PATH_MAX_SIZE = 256, PAGE = 64 };

// Content of a file; names point at it.
struct node {
    uint8_t *bytes;
    uint64_t size, capacity;
    uint8_t *durable;
    uint64_t durable_size;
    uint64_t lost_from, lost_end;  // bytes that a failed sync was about
    bool is_directory;
};

struct name {
    char path[PATH_MAX_SIZE];
    uint32_t node;
    bool exists, is_durable_existing;
    uint32_t durable_node;
};

struct fake_files {
    struct files files;
    struct node nodes[NODES_MAX];
    uint32_t nodes_count;
    struct name names[NODES_MAX];
    uint32_t names_count;
    struct {
        bool is_open, is_lock;
        uint32_t node;
    } handles[HANDLES_MAX];
    uint64_t fail_in;
    enum fault_kind fail_kind;
    bool has_failed;
    uint64_t size_max;
    uint64_t syncs;
    uint64_t begun_size;  // of the file whose sync has begun
    bool is_slow;
};

// Counts an operation; false if it is the one to fail.
static bool may(struct fake_files *fake, const char *operation, struct fault *fault) {
    if (fake->fail_in == 0 || --fake->fail_in > 0) return true;
    fake->has_failed = true;
    return fault_set(fault, fake->fail_kind, "%s: told to fail", operation);
}

static struct name *find_name(struct fake_files *fake, const char *path) {
    for (uint32_t index = 0; index < fake->names_count; index++) {
        if (strcmp(fake->names[index].path, path) == 0) return &fake->names[index];
    }
    return NULL;
}

static struct name *add_name(struct fake_files *fake, const char *path) {
    struct name *name = find_name(fake, path);
    if (name != NULL) return name;
    assert(fake->names_count < NODES_MAX);
    assert(strlen(path) < PATH_MAX_SIZE);
    name = &fake->names[fake->names_count++];
    *name = (struct name){0};
    memcpy(name->path, path, strlen(path) + 1);
    return name;
}

static int add_handle(struct fake_files *fake, uint32_t node, bool is_lock) {
    for (int handle = 0; handle < HANDLES_MAX; handle++) {
        if (fake->handles[handle].is_open) continue;
        fake->handles[handle].is_open = true;
        fake->handles[handle].is_lock = is_lock;
        fake->handles[handle].node = node;
        return handle;
    }
    assert(!"out of handles");
    return -1;
}

static struct node *node_of(struct fake_files *fake, int handle) {
    assert(handle >= 0 && handle < HANDLES_MAX && fake->handles[handle].is_open);
    return &fake->nodes[fake->handles[handle].node];
}

static uint32_t add_node(struct fake_files *fake, bool is_directory) {
    // Nodes that no name and no handle holds are used again.
    for (uint32_t node = 0; node < NODES_MAX; node++) {
        bool used = false;
        for (uint32_t index = 0; index < fake->names_count && !used; index++) {
            const struct name *name = &fake->names[index];
            used = (name->exists && name->node == node) ||
                   (name->is_durable_existing && name->durable_node == node);
        }
        for (int handle = 0; handle < HANDLES_MAX && !used; handle++) {
            used = fake->handles[handle].is_open && fake->handles[handle].node == node;
        }
        if (used) continue;
        fake->nodes[node].size = 0;
        fake->nodes[node].durable_size = 0;
        fake->nodes[node].lost_end = 0;
        fake->nodes[node].is_directory = is_directory;
        return node;
    }
    assert(!"out of nodes");
    return 0;
}

static bool fake_open(void *context, const char *path, enum files_mode mode, int *handle,
                      struct fault *fault) {
    struct fake_files *fake = context;
    if (!may(fake, "open", fault)) return false;
    struct name *name = find_name(fake, path);
    bool exists = name != NULL && name->exists;
    if (mode == FILES_READ && !exists) return fault_set(fault, FAULT_INPUT, "open %s", path);
    bool must_create = mode == FILES_CREATE || mode == FILES_CREATE_PRIVATE;
    if (must_create && exists) return fault_set(fault, FAULT_INPUT, "create %s", path);
    if (!exists) {
        name = add_name(fake, path);
        name->node = add_node(fake, false);
        name->exists = true;
    }
    *handle = add_handle(fake, name->node, false);
    return true;
}

static void fake_close(void *context, int handle) {
    struct fake_files *fake = context;
    (void)node_of(fake, handle);
    fake->handles[handle].is_open = false;
}

static bool fake_read_at(void *context, int handle, uint64_t offset, void *bytes, size_t size,
                         size_t *got, struct fault *fault) {
    struct fake_files *fake = context;
    if (!may(fake, "read", fault)) return false;
    const struct node *node = node_of(fake, handle);
    uint64_t left = offset < node->size ? node->size - offset : 0;
    *got = left < size ? (size_t)left : size;
    if (*got > 0) memcpy(bytes, node->bytes + offset, *got);
    return true;
}

static void grow(struct node *node, struct span bytes) {
    if (node->size + bytes.size > node->capacity) {
        node->capacity = (node->size + bytes.size) * 2 + 4096;
        node->bytes = realloc(node->bytes, node->capacity);
        assert(node->bytes != NULL);
    }
    if (bytes.size > 0) memcpy(node->bytes + node->size, bytes.bytes, bytes.size);
    node->size += bytes.size;
}

static uint64_t measure(const struct fake_files *fake) {
    uint64_t sum = 0;
    for (uint32_t index = 0; index < fake->names_count; index++) {
        if (fake->names[index].exists) sum += fake->nodes[fake->names[index].node].size;
    }
    return sum;
}

static bool fake_append(void *context, int handle, struct span bytes, struct fault *fault) {
    struct fake_files *fake = context;
    struct node *node = node_of(fake, handle);
    if (!may(fake, "append", fault)) {
        grow(node, span_of(bytes.bytes, bytes.size / 2));
        return false;
    }
    uint64_t used = measure(fake);
    if (used + bytes.size > fake->size_max) {
        uint64_t room = fake->size_max > used ? fake->size_max - used : 0;
        grow(node, span_of(bytes.bytes, (size_t)room));
        return fault_set(fault, FAULT_FULL, "append: no space left");
    }
    grow(node, bytes);
    return true;
}

static void fake_sync_begin(void *context, int handle) {
    struct fake_files *fake = context;
    fake->begun_size = node_of(fake, handle)->size;
}

static bool fake_sync_is_done(void *context, int handle) {
    struct fake_files *fake = context;
    (void)node_of(fake, handle);
    return !fake->is_slow;
}

// No sync is about it any more.
static void lose(struct node *node, uint64_t size) {
    if (size <= node->durable_size) return;
    if (node->lost_from >= node->lost_end) node->lost_from = node->durable_size;
    node->lost_end = size;
}

static void make_durable(struct node *node, uint64_t size) {
    assert(size <= node->size);
    node->durable = realloc(node->durable, size + 1);
    assert(node->durable != NULL);
    if (size > 0) memcpy(node->durable, node->bytes, size);
    node->durable_size = size;
    uint64_t lost_end = node->lost_end < size ? node->lost_end : size;
    if (node->lost_from < lost_end)
        memset(node->durable + node->lost_from, 0, lost_end - node->lost_from);
}

// Makes the beginning of a file durable.
static bool sync_until(struct fake_files *fake, struct node *node, uint64_t size,
                       struct fault *fault) {
    if (!may(fake, "sync", fault)) {
        lose(node, size);
        return false;
    }
    make_durable(node, size);
    fake->syncs++;
    return true;
}

// What was appended since the beginning stays as little durable as it was.
static bool fake_sync_end(void *context, int handle, struct fault *fault) {
    struct fake_files *fake = context;
    return sync_until(fake, node_of(fake, handle), fake->begun_size, fault);
}

static bool fake_sync(void *context, int handle, struct fault *fault) {
    struct fake_files *fake = context;
    struct node *node = node_of(fake, handle);
    return sync_until(fake, node, node->size, fault);
}

static bool fake_renew(void *context, int handle, uint64_t offset, struct fault *fault) {
    struct fake_files *fake = context;
    if (!may(fake, "renew", fault)) return false;
    struct node *node = node_of(fake, handle);
    if (offset < node->lost_end) node->lost_end = offset;
    return true;
}

static bool fake_truncate(void *context, int handle, uint64_t size, struct fault *fault) {
    struct fake_files *fake = context;
    if (!may(fake, "truncate", fault)) return false;
    struct node *node = node_of(fake, handle);
    assert(size <= node->size);
    node->size = size;
    if (size < node->lost_end) node->lost_end = size;
    return true;
}

static void fill(const struct fake_files *fake, uint32_t node, struct files_entry *entry) {
    *entry = (struct files_entry){
        .is_directory = fake->nodes[node].is_directory,
        .size = fake->nodes[node].size,
        .inode = node + 1,
    };
}

static bool fake_describe(void *context, int handle, struct files_entry *entry,
                          struct fault *fault) {
    struct fake_files *fake = context;
    if (!may(fake, "describe", fault)) return false;
    (void)node_of(fake, handle);
    fill(fake, fake->handles[handle].node, entry);
    return true;
}

static bool fake_find(void *context, const char *path, bool *exists, struct files_entry *entry,
                      struct fault *fault) {
    struct fake_files *fake = context;
    if (!may(fake, "find", fault)) return false;
    const struct name *name = find_name(fake, path);
    *exists = name != NULL && name->exists;
    if (*exists) fill(fake, name->node, entry);
    return true;
}

static bool fake_remove(void *context, const char *path, struct fault *fault) {
    struct fake_files *fake = context;
    if (!may(fake, "remove", fault)) return false;
    struct name *name = find_name(fake, path);
    if (name != NULL) name->exists = false;
    return true;
}

static bool fake_rename(void *context, const char *from, const char *to, struct fault *fault) {
    struct fake_files *fake = context;
    if (!may(fake, "rename", fault)) return false;
    struct name *target = add_name(fake, to), *name = find_name(fake, from);
    if (name == NULL || !name->exists) return fault_set(fault, FAULT_INPUT, "rename %s", from);
    target->node = name->node;
    target->exists = true;
    name->exists = false;
    return true;
}

static bool fake_make_directory(void *context, const char *path, struct fault *fault) {
    struct fake_files *fake = context;
    if (!may(fake, "make folder", fault)) return false;
    struct name *name = add_name(fake, path);
    if (name->exists) return true;
    name->node = add_node(fake, true);
    name->exists = true;
    name->durable_node = name->node;
    name->is_durable_existing = true;
    return true;
}

// The entry's own name if it lies directly in the folder, or NULL.
static const char *name_in(const char *folder, const char *path) {
    size_t size = strlen(folder);
    if (strncmp(path, folder, size) != 0 || path[size] != '/') return NULL;
    return strchr(path + size + 1, '/') == NULL ? path + size + 1 : NULL;
}

static bool fake_sync_directory(void *context, const char *path, struct fault *fault) {
    struct fake_files *fake = context;
    if (!may(fake, "sync folder", fault)) return false;
    for (uint32_t index = 0; index < fake->names_count; index++) {
        struct name *name = &fake->names[index];
        if (name_in(path, name->path) == NULL) continue;
        name->is_durable_existing = name->exists;
        name->durable_node = name->node;
    }
    return true;
}

static bool fake_open_disk(void *context, const char *path, int *handle, struct fault *fault) {
    struct fake_files *fake = context;
    if (!may(fake, "open folder", fault)) return false;
    const struct name *name = find_name(fake, path);
    if (name == NULL || !name->exists) return fault_set(fault, FAULT_INPUT, "open folder %s", path);
    *handle = add_handle(fake, name->node, false);
    return true;
}

// All files and names, or with one that fails none: every file has lost what it had not written.
static bool fake_sync_disk(void *context, int handle, struct fault *fault) {
    struct fake_files *fake = context;
    (void)node_of(fake, handle);
    bool is_good = may(fake, "sync all", fault);
    for (uint32_t index = 0; index < NODES_MAX; index++) {
        struct node *node = &fake->nodes[index];
        if (node->is_directory) continue;
        if (is_good) {
            make_durable(node, node->size);
        } else {
            lose(node, node->size);
        }
    }
    for (uint32_t index = 0; is_good && index < fake->names_count; index++) {
        fake->names[index].is_durable_existing = fake->names[index].exists;
        fake->names[index].durable_node = fake->names[index].node;
    }
    return is_good;
}

static int compare_names(const void *left, const void *right) {
    const struct name *const *one = left, *const *other = right;
    return strcmp((*one)->path, (*other)->path);
}

static bool fake_list(void *context, const char *path,
                      bool (*on_entry)(void *user, const struct files_entry *entry), void *user,
                      struct fault *fault) {
    struct fake_files *fake = context;
    if (!may(fake, "list", fault)) return false;
    const struct name *sorted[NODES_MAX];
    uint32_t count = 0;
    for (uint32_t index = 0; index < fake->names_count; index++) {
        const struct name *name = &fake->names[index];
        if (name->exists && name_in(path, name->path) != NULL) sorted[count++] = name;
    }
    if (count > 0) qsort(sorted, count, sizeof sorted[0], compare_names);
    for (uint32_t index = 0; index < count; index++) {
        struct files_entry entry;
        fill(fake, sorted[index]->node, &entry);
        entry.name = name_in(path, sorted[index]->path);
        if (!on_entry(user, &entry)) break;
    }
    return true;
}

static bool fake_measure_free(void *context, const char *path, uint64_t *free_size,
                              uint64_t *total_size, struct fault *fault) {
    struct fake_files *fake = context;
    (void)path;
    if (!may(fake, "measure", fault)) return false;
    uint64_t used = measure(fake);
    *free_size = fake->size_max > used ? fake->size_max - used : 0;
    *total_size = fake->size_max;
    return true;
}

static bool fake_lock(void *context, const char *path, int *handle, struct fault *fault) {
    struct fake_files *fake = context;
    if (!may(fake, "lock", fault)) return false;
    struct name *name = add_name(fake, path);
    if (!name->exists) {
        name->node = add_node(fake, false);
        name->exists = true;
    }
    for (int other = 0; other < HANDLES_MAX; other++) {
        if (fake->handles[other].is_open && fake->handles[other].is_lock &&
            fake->handles[other].node == name->node) {
            return fault_set(fault, FAULT_RETRY, "lock %s: held", path);
        }
    }
    *handle = add_handle(fake, name->node, true);
    return true;
}

static bool fake_set_mode(void *context, int handle, uint32_t mode, struct fault *fault) {
    struct fake_files *fake = context;
    (void)mode;
    (void)node_of(fake, handle);
    return may(fake, "set mode", fault);
}

struct fake_files *fake_files_create(void) {
    static const struct files_operations operations = {
        .open = fake_open,
        .close = fake_close,
        .read_at = fake_read_at,
        .append = fake_append,
        .sync = fake_sync,
        .sync_begin = fake_sync_begin,
        .sync_is_done = fake_sync_is_done,
        .sync_end = fake_sync_end,
        .renew = fake_renew,
        .truncate = fake_truncate,
        .describe = fake_describe,
        .find = fake_find,
        .remove = fake_remove,
        .rename = fake_rename,
        .make_directory = fake_make_directory,
        .sync_directory = fake_sync_directory,
        .open_disk = fake_open_disk,
        .sync_disk = fake_sync_disk,
        .list = fake_list,
        .measure_free = fake_measure_free,
        .lock = fake_lock,
        .set_mode = fake_set_mode,
    };
    struct fake_files *fake = calloc(1, sizeof *fake);
    assert(fake != NULL);
    fake->files = (struct files){&operations, fake};
    fake->size_max = UINT64_MAX;
    return fake;
}

void fake_files_destroy(struct fake_files *fake) {
    if (fake == NULL) return;
    for (uint32_t index = 0; index < NODES_MAX; index++) {
        free(fake->nodes[index].bytes);
        free(fake->nodes[index].durable);
    }
    free(fake);
}

const struct files *fake_files_interface(struct fake_files *fake) {
    return &fake->files;
}

void fake_files_fail(struct fake_files *fake, uint64_t nth, enum fault_kind kind) {
    fake->fail_in = nth;
    fake->fail_kind = kind;
    fake->has_failed = false;
}

bool fake_files_has_failed(const struct fake_files *fake) {
    return fake->has_failed;
}

void fake_files_limit(struct fake_files *fake, uint64_t size_max) {
    fake->size_max = size_max;
}

// What a file holds after the power came back: the synced bytes, and of those appended since, with
// a seed, some: a beginning, in which pages may be zeros.
static void crash_node(struct node *node, uint64_t *state) {
    uint64_t unsynced = node->size > node->durable_size ? node->size - node->durable_size : 0;
    uint64_t kept = 0;
    if (*state != 0 && unsynced > 0) kept = random_splitmix64(state) % (unsynced + 1);
    if (node->durable_size + kept > node->capacity) {
        node->capacity = node->durable_size + kept;
        node->bytes = realloc(node->bytes, node->capacity);
        assert(node->bytes != NULL);
    }
    if (node->durable_size > 0) memcpy(node->bytes, node->durable, node->durable_size);
    node->size = node->durable_size + kept;
    for (uint64_t page = node->durable_size; page < node->size; page += PAGE) {
        uint64_t size = node->size - page < PAGE ? node->size - page : PAGE;
        if (random_splitmix64(state) % 8 == 0) memset(node->bytes + page, 0, size);
    }
}

void fake_files_crash(struct fake_files *fake, uint64_t seed) {
    uint64_t state = seed;
    for (int handle = 0; handle < HANDLES_MAX; handle++) fake->handles[handle].is_open = false;
    for (uint32_t index = 0; index < fake->names_count; index++) {
        struct name *name = &fake->names[index];
        // A rename that was not synced may have reached the disk all the same.
        bool keeps = seed != 0 && random_splitmix64(&state) % 2 == 0;
        if (keeps && name->exists) {
            name->durable_node = name->node;
            name->is_durable_existing = true;
        }
        name->exists = name->is_durable_existing;
        name->node = name->durable_node;
    }
    for (uint32_t node = 0; node < NODES_MAX; node++) {
        if (!fake->nodes[node].is_directory) crash_node(&fake->nodes[node], &state);
    }
    for (uint32_t node = 0; node < NODES_MAX; node++) {
        struct node *crashed = &fake->nodes[node];
        crashed->durable = realloc(crashed->durable, crashed->size + 1);
        assert(crashed->durable != NULL);
        if (crashed->size > 0) memcpy(crashed->durable, crashed->bytes, crashed->size);
        crashed->durable_size = crashed->size;
    }
    fake->fail_in = 0;
}

uint8_t *fake_files_bytes(struct fake_files *fake, const char *path, uint64_t *size) {
    const struct name *name = find_name(fake, path);
    if (name == NULL || !name->exists) return NULL;
    *size = fake->nodes[name->node].size;
    return fake->nodes[name->node].bytes;
}

void fake_files_damage(struct fake_files *fake, const char *path, uint64_t offset, uint64_t size) {
    const struct name *name = find_name(fake, path);
    assert(name != NULL && name->exists);
    struct node *node = &fake->nodes[name->node];
    assert(offset + size <= node->size);
    for (uint64_t at = offset; at < offset + size; at++) {
        node->bytes[at] = (uint8_t)(node->bytes[at] + 0x5b);
        if (at < node->durable_size) node->durable[at] = (uint8_t)(node->durable[at] + 0x5b);
    }
}

void fake_files_cut(struct fake_files *fake, const char *path, uint64_t size) {
    const struct name *name = find_name(fake, path);
    assert(name != NULL && name->exists);
    struct node *node = &fake->nodes[name->node];
    assert(size <= node->size);
    node->size = size;
    if (node->durable_size > size) node->durable_size = size;
}

void fake_files_slow_down(struct fake_files *fake, bool is_slow) {
    fake->is_slow = is_slow;
}

uint64_t fake_files_syncs(const struct fake_files *fake) {
    return fake->syncs;
}

struct fake_files *fake_files_copy(const struct fake_files *fake) {
    struct fake_files *copy = fake_files_create();
    struct files files = copy->files;
    *copy = *fake;
    copy->files = files;
    for (int handle = 0; handle < HANDLES_MAX; handle++) copy->handles[handle].is_open = false;
    for (uint32_t index = 0; index < NODES_MAX; index++) {
        const struct node *from = &fake->nodes[index];
        struct node *to = &copy->nodes[index];
        to->capacity = from->size + 1;
        to->bytes = malloc(to->capacity);
        to->durable = malloc(from->durable_size + 1);
        assert(to->bytes != NULL && to->durable != NULL);
        if (from->size > 0) memcpy(to->bytes, from->bytes, from->size);
        if (from->durable_size > 0) memcpy(to->durable, from->durable, from->durable_size);
    }
    return copy;
}
