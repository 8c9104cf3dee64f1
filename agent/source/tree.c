#include "agent/source/tree.h"

#include <assert.h>
#include <limits.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/stat.h>

#include "base/buffer.h"
#include "base/clock.h"

enum phase { ENTER, FILES, FOLDERS };

// An entry of a chunk: this, then the name with a final zero, padded to 8 bytes.
struct packed {
    uint64_t size;
    int64_t modified_ns;
    uint32_t name_size;
    uint32_t unused;
};

struct level {
    enum phase phase;
    size_t path_size;  // of the folder's path
    int64_t modified_ns;
    uint32_t date_depth;  // 0: none, 1: a year, 2: a month, 3: a day
    uint32_t year, month, day;
    bool has_folders;
    bool is_complete;  // the chunk is the last one of the phase
    struct buffer chunk;
    size_t at;       // offset of the next entry in the chunk
    char last[256];  // last name of the chunk
};

struct tree {
    const struct files *files;
    const char *root;
    bool (*wanted)(struct span name);
    bool recent_only;
    int64_t today;
    uint32_t depth;  // levels in use
    char path[TREE_PATH_SIZE];
    struct level levels[TREE_DEPTH_MAX];
};

enum { CHUNK_SIZE_MAX = 8 * 1024 * 1024 };

struct tree *tree_create(const struct files *files, const char *root,
                         bool (*wanted)(struct span name)) {
    struct tree *tree = calloc(1, sizeof *tree);
    if (tree == NULL) return NULL;
    tree->files = files;
    tree->root = root;
    tree->wanted = wanted;
    for (uint32_t index = 0; index < TREE_DEPTH_MAX; index++) {
        buffer_init(&tree->levels[index].chunk, CHUNK_SIZE_MAX);
    }
    return tree;
}

void tree_destroy(struct tree *tree) {
    if (tree == NULL) return;
    for (uint32_t index = 0; index < TREE_DEPTH_MAX; index++) {
        buffer_done(&tree->levels[index].chunk);
    }
    free(tree);
}

// Enters the folder whose path stands in tree->path.
static void push_level(struct tree *tree, const struct level *parent, int64_t modified_ns) {
    assert(tree->depth < TREE_DEPTH_MAX);
    struct level *level = &tree->levels[tree->depth++];
    struct buffer chunk = level->chunk;
    buffer_reset(&chunk);
    *level = (struct level){
        .phase = ENTER,
        .path_size = strlen(tree->path),
        .modified_ns = modified_ns,
        .chunk = chunk,
    };
    if (parent == NULL) return;
    level->date_depth = parent->date_depth;
    level->year = parent->year;
    level->month = parent->month;
}

static void pop_level(struct tree *tree) {
    struct level *level = &tree->levels[--tree->depth];
    // A chunk of a huge folder is not kept for ever.
    if (level->chunk.capacity > CHUNK_SIZE_MAX / 64) {
        buffer_done(&level->chunk);
        buffer_init(&level->chunk, CHUNK_SIZE_MAX);
    }
}

void tree_begin(struct tree *tree, bool recent_only, int64_t today) {
    tree->recent_only = recent_only;
    tree->today = today;
    tree->depth = 0;
    tree->path[0] = 0;
    push_level(tree, NULL, 0);
}

// A number of exactly this many digits, or UINT32_MAX.
static uint32_t parse_digits(const char *name, size_t digits) {
    uint32_t value = 0;
    if (strlen(name) != digits) return UINT32_MAX;
    for (size_t index = 0; index < digits; index++) {
        if (name[index] < '0' || name[index] > '9') return UINT32_MAX;
        value = value * 10 + (uint32_t)(name[index] - '0');
    }
    return value;
}

static int64_t day_of(uint32_t year, uint32_t month, uint32_t day) {
    char text[TIME_TEXT_SIZE];
    snprintf(text, sizeof text, "%04u-%02u-%02uT00:00:00Z", year % 10000, month % 100, day % 100);
    int64_t seconds;
    struct fault fault;
    if (!time_parse(span_text(text), &seconds, &fault)) return INT64_MIN;
    return time_day(seconds);
}

// Notes in the level what date its folder's name adds. A name that is no date ends the date.
static void read_date(struct level *level, const char *name) {
    uint32_t depth = level->date_depth;
    uint32_t number = parse_digits(name, depth == 0 ? 4 : 2);
    if (depth == 0 && number >= 1970 && number <= 9999) {
        level->date_depth = 1;
        level->year = number;
    } else if (depth == 1 && number >= 1 && number <= 12) {
        level->date_depth = 2;
        level->month = number;
    } else if (depth == 2 && number >= 1 && number <= 31) {
        level->date_depth = 3;
        level->day = number;
    } else {
        level->date_depth = 0;
    }
}

// Whether a folder with this date may hold something of today or yesterday.
static bool is_recent(const struct tree *tree, const struct level *level) {
    if (level->date_depth == 0) return true;
    for (int64_t day = tree->today - 1; day <= tree->today; day++) {
        char text[TIME_TEXT_SIZE];
        time_print(day * 86400, text);
        unsigned year, month, of_month;
        if (sscanf(text, "%4u-%2u-%2u", &year, &month, &of_month) != 3) return true;
        if (level->year != year) continue;
        if (level->date_depth >= 2 && level->month != month) continue;
        if (level->date_depth >= 3 && level->day != of_month) continue;
        return true;
    }
    return false;
}

// While a chunk is read.
struct listing {
    struct tree *tree;
    struct level *level;
    uint32_t count;
};

static bool keep_entry(struct listing *listing, const struct files_entry *entry) {
    struct level *level = listing->level;
    size_t name_size = strlen(entry->name) + 1;
    size_t padded = (name_size + 7) / 8 * 8;
    uint8_t *bytes = buffer_reserve(&level->chunk, sizeof(struct packed) + padded);
    if (bytes == NULL || name_size > sizeof level->last || listing->count == TREE_CHUNK_COUNT) {
        level->is_complete = false;
        return false;
    }
    struct packed packed = {entry->size, entry->modified_ns, (uint32_t)name_size, 0};
    memcpy(bytes, &packed, sizeof packed);
    memcpy(bytes + sizeof packed, entry->name, name_size);
    level->chunk.size += sizeof packed + padded;
    memcpy(level->last, entry->name, name_size);
    listing->count++;
    return true;
}

static bool on_entry(void *user, const struct files_entry *entry) {
    struct listing *listing = user;
    struct level *level = listing->level;
    if (entry->name[0] == '.') return true;
    if (entry->is_directory) level->has_folders = true;
    bool wants_folder = level->phase == FOLDERS;
    if (entry->is_directory != wants_folder) return true;
    if (level->last[0] != 0 && strcmp(entry->name, level->last) <= 0) return true;
    if (!wants_folder && (entry->size == 0 || !listing->tree->wanted(span_text(entry->name)))) {
        return true;
    }
    if (strcmp(entry->name, "CloudTrail-Digest") == 0) return true;
    return keep_entry(listing, entry);
}

static void print_full(const struct tree *tree, char *text, size_t size) {
    snprintf(text, size, "%s%s%s", tree->root, tree->path[0] == 0 ? "" : "/", tree->path);
}

// Lists the next chunk of the level's phase.
static bool read_chunk(struct tree *tree, struct level *level, struct fault *fault) {
    char full[TREE_PATH_SIZE + 4096];
    tree->path[level->path_size] = 0;
    print_full(tree, full, sizeof full);
    buffer_reset(&level->chunk);
    level->at = 0;
    level->is_complete = true;
    struct listing listing = {.tree = tree, .level = level};
    return files_list(tree->files, full, on_entry, &listing, fault);
}

// The next entry of the phase; *has is false at its end. The entry's path is in tree->path then.
// A folder that cannot be listed is left at once; an entry that cannot be given is only passed.
static bool next_entry(struct tree *tree, struct level *level, struct packed *packed,
                       const char **name, bool *has, struct fault *fault) {
    *has = false;
    while (level->at >= level->chunk.size) {
        if (level->is_complete) return true;
        if (!read_chunk(tree, level, fault)) {
            pop_level(tree);
            return false;
        }
    }
    memcpy(packed, level->chunk.bytes + level->at, sizeof *packed);
    *name = (const char *)level->chunk.bytes + level->at + sizeof *packed;
    level->at += sizeof *packed + (packed->name_size + 7) / 8 * 8;
    size_t room = TREE_PATH_SIZE - level->path_size;
    int size = snprintf(tree->path + level->path_size, room, "%s%s",
                        level->path_size == 0 ? "" : "/", *name);
    if ((size_t)size >= room) {
        tree->path[level->path_size] = 0;
        return fault_set(fault, FAULT_INPUT, "%s: path is too long", *name);
    }
    *has = true;
    return true;
}

static void begin_phase(struct level *level, enum phase phase) {
    level->phase = phase;
    buffer_reset(&level->chunk);
    level->at = 0;
    level->is_complete = false;
    level->last[0] = 0;
}

static enum tree_result enter(struct tree *tree, struct level *level, struct tree_item *item) {
    begin_phase(level, FILES);
    *item = (struct tree_item){
        .path = tree->path,
        .modified_ns = level->modified_ns,
        .is_day = level->date_depth == 3,
        .is_root = tree->depth == 1,
    };
    if (item->is_day) item->day = day_of(level->year, level->month, level->day);
    return TREE_FOLDER;
}

// Enters the next subfolder that is to be visited, or leaves the level.
static bool step_folders(struct tree *tree, struct level *level, struct fault *fault) {
    struct packed packed;
    const char *name;
    bool has;
    if (!next_entry(tree, level, &packed, &name, &has, fault)) return false;
    if (!has) {
        pop_level(tree);
        return true;
    }
    if (tree->depth == TREE_DEPTH_MAX) {
        return fault_set(fault, FAULT_INPUT, "%s: more than %d folders deep", tree->path,
                         TREE_DEPTH_MAX);
    }
    char full[TREE_PATH_SIZE + 4096];
    print_full(tree, full, sizeof full);
    struct stat status;
    if (lstat(full, &status) == 0 && S_ISLNK(status.st_mode)) return true;
    push_level(tree, level, packed.modified_ns);
    struct level *child = &tree->levels[tree->depth - 1];
    read_date(child, name);
    if (tree->recent_only && !is_recent(tree, child)) pop_level(tree);
    return true;
}

enum tree_result tree_step(struct tree *tree, struct tree_item *item, struct fault *fault) {
    while (tree->depth > 0) {
        struct level *level = &tree->levels[tree->depth - 1];
        tree->path[level->path_size] = 0;
        if (level->phase == ENTER) return enter(tree, level, item);
        if (level->phase == FOLDERS) {
            if (!step_folders(tree, level, fault)) return TREE_FAULT;
            continue;
        }
        struct packed packed;
        const char *name;
        bool has;
        if (!next_entry(tree, level, &packed, &name, &has, fault)) return TREE_FAULT;
        *item = (struct tree_item){.path = tree->path, .is_root = tree->depth == 1};
        if (has) {
            item->size = packed.size;
            item->modified_ns = packed.modified_ns;
            return TREE_FILE;
        }
        if (level->has_folders) {
            begin_phase(level, FOLDERS);
        } else {
            pop_level(tree);
        }
        return TREE_LEAVE;
    }
    return TREE_END;
}

void tree_skip(struct tree *tree) {
    assert(tree->depth > 0);
    pop_level(tree);
}

bool tree_is_inside(const char *root, const char *path) {
    struct stat status;
    char resolved_root[PATH_MAX], resolved[PATH_MAX];
    if (stat(path, &status) != 0 || !S_ISREG(status.st_mode)) return false;
    if (realpath(root, resolved_root) == NULL || realpath(path, resolved) == NULL) return false;
    size_t size = strlen(resolved_root);
    return strncmp(resolved, resolved_root, size) == 0 && (resolved[size] == '/' || size == 1);
}
