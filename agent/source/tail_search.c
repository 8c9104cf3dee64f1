#include <assert.h>
#include <errno.h>
#include <glob.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/stat.h>
#include <unistd.h>

#include "agent/source/tail_internal.h"

static uint32_t find_inode(const struct tail *tail, uint64_t inode) {
    for (uint32_t index = 0; index < tail->count; index++) {
        if (tail->tracked[index].mark.inode == inode) return index;
    }
    return NO_FILE;
}

static void add_lost(struct tail *tail, const struct tail_mark *mark, const char *path,
                     const char *what) {
    assert(tail->lost_count < LOST_MAX);
    struct lost *lost = &tail->lost[tail->lost_count++];
    lost->mark = *mark;
    lost->what = what;
    snprintf(lost->path, sizeof lost->path, "%s", path);
}

// Follows one more file. It is closed if there is no room.
static bool track(struct tail *tail, struct tail_file *file) {
    if (tail->count < TAIL_FILES_MAX) {
        file->rested_ms = tail_now(tail);
        tail->tracked[tail->count++] = *file;
        return true;
    }
    struct fault fault;
    fault_set(&fault, FAULT_INPUT,
              "more than %d files at once: %s is not read; split the source into several",
              TAIL_FILES_MAX, file->path);
    tail_note_fault(tail, &fault);
    tail_file_close(tail->files, file);
    return false;
}

// Follows a file as one that was rotated away from a path, not as what its name is now. Out of
// memory it keeps that name.
static bool track_rotated(struct tail *tail, struct tail_file *file, const char *path) {
    char *copy = strdup(path);
    if (copy != NULL) {
        free(file->path);
        file->path = copy;
    }
    file->is_rotated = true;
    return track(tail, file);
}

static bool has_pattern(const char *path) {
    return strpbrk(path, "*?[") != NULL;
}

// --- searching a folder for where a file went

struct search {
    struct tail *tail;
    char folder[TAIL_PATH_SIZE];
    const struct tail_mark *mark;
    bool by_content;  // a copy: another inode with the same beginning; otherwise the same inode
    bool is_found;
    struct tail_file file;
};

static bool on_entry(void *user, const struct files_entry *entry) {
    struct search *search = user;
    if (entry->is_directory || entry->size < search->mark->offset) return true;
    bool has_inode = entry->inode == search->mark->inode;
    if (has_inode == search->by_content) return true;
    if (find_inode(search->tail, entry->inode) != NO_FILE) return true;
    char path[2 * TAIL_PATH_SIZE];
    snprintf(path, sizeof path, "%s/%s", search->folder, entry->name);
    struct fault fault;
    struct tail_file file;
    if (!tail_file_open(search->tail->files, path, &file, &fault)) return true;
    bool matches = false;
    if (!tail_file_matches(search->tail->files, &file, search->mark, &matches, &fault) ||
        !matches) {
        tail_file_close(search->tail->files, &file);
        return true;
    }
    uint64_t inode = file.mark.inode;
    file.mark = *search->mark;
    file.mark.inode = inode;
    search->file = file;
    search->is_found = true;
    return false;
}

// In place too.
static void folder_of(const char *path, char folder[TAIL_PATH_SIZE]) {
    if (folder != path) snprintf(folder, TAIL_PATH_SIZE, "%s", path);
    char *slash = strrchr(folder, '/');
    if (slash == NULL) {
        snprintf(folder, TAIL_PATH_SIZE, ".");
    } else {
        slash[slash == folder] = 0;
    }
}

// Whether a name is that of a rotated file of `base`: audit.log.1, audit.log-20260310.
static bool is_rotated_name(const char *name, const char *base) {
    size_t size = strlen(base);
    if (strncmp(name, base, size) != 0 || (name[size] != '.' && name[size] != '-')) return false;
    if (name[size + 1] < '0' || name[size + 1] > '9') return false;
    struct span text = span_text(name);
    return !span_ends(text, SPAN_LITERAL(".gz")) && !span_ends(text, SPAN_LITERAL(".bz2")) &&
           !span_ends(text, SPAN_LITERAL(".xz")) && !span_ends(text, SPAN_LITERAL(".zst"));
}

struct siblings {
    struct tail *tail;
    char folder[TAIL_PATH_SIZE];
    const char *path;
    const char *base;  // its last part
    int64_t after_ns;
    uint64_t current;  // inode that stands under the path now
};

static bool on_sibling(void *user, const struct files_entry *entry) {
    struct siblings *siblings = user;
    if (entry->is_directory || entry->modified_ns <= siblings->after_ns ||
        entry->inode == siblings->current || !is_rotated_name(entry->name, siblings->base) ||
        find_inode(siblings->tail, entry->inode) != NO_FILE) {
        return true;
    }
    char path[2 * TAIL_PATH_SIZE];
    snprintf(path, sizeof path, "%s/%s", siblings->folder, entry->name);
    struct fault fault;
    struct tail_file file;
    if (!tail_file_open(siblings->tail->files, path, &file, &fault)) {
        tail_note_fault(siblings->tail, &fault);
        return true;
    }
    return track_rotated(siblings->tail, &file, siblings->path);
}

// A file was rotated away from its path. If that happened more than once since anybody looked,
// there are files between it and the present one that nobody has read: those changed after it.
void tail_track_siblings(struct tail *tail, const char *path, int64_t after_ns) {
    struct siblings siblings = {.tail = tail, .path = path, .after_ns = after_ns};
    folder_of(path, siblings.folder);
    const char *slash = strrchr(path, '/');
    siblings.base = slash == NULL ? path : slash + 1;
    bool exists;
    struct files_entry entry;
    struct fault fault;
    if (!files_find(tail->files, path, &exists, &entry, &fault)) {
        tail_note_fault(tail, &fault);
        return;
    }
    if (exists) siblings.current = entry.inode;
    if (!files_list(tail->files, siblings.folder, on_sibling, &siblings, &fault)) {
        tail_note_fault(tail, &fault);
    }
}

// Looks for the file of a mark beside a path: renamed, or copied. *found says whether it is now
// followed from the mark on (or has nothing more to read).
static bool search_folder(struct tail *tail, const char *path, const struct tail_mark *mark,
                          bool by_content) {
    // Without a fingerprint any file would do.
    if (mark->fingerprint_size == 0) return false;
    struct search search = {.tail = tail, .mark = mark, .by_content = by_content};
    folder_of(path, search.folder);
    struct fault fault;
    if (!files_list(tail->files, search.folder, on_entry, &search, &fault)) {
        tail_note_fault(tail, &fault);
        return false;
    }
    if (!search.is_found) return false;
    struct files_entry entry;
    bool described = files_describe(tail->files, search.file.handle, &entry, &fault);
    // One that was renamed may still be written to.
    bool may_grow = !by_content && tail->count < TAIL_FILES_MAX;
    if (search.file.size > mark->offset || may_grow) {
        (void)track_rotated(tail, &search.file, path);
    } else {
        tail_file_close(tail->files, &search.file);
    }
    if (described && !has_pattern(path)) tail_track_siblings(tail, path, entry.modified_ns);
    return true;
}

void tail_on_truncated(struct tail *tail, uint32_t index) {
    struct tail_file *file = &tail->tracked[index];
    struct tail_mark before = file->mark;
    file->mark.offset = 0;
    file->mark.fingerprint_size = 0;
    file->mark.is_skipping = false;
    file->looked_size = 0;
    if (!search_folder(tail, file->path, &before, true)) {
        add_lost(tail, &before, file->path,
                 "the file was cut off or replaced and no copy of it was found: lines written "
                 "after this place and before that are lost, if there were any");
    }
}

// --- finding files

// Gives up a rotated file that was read to its end, for one that is new.
static void make_room(struct tail *tail) {
    for (uint32_t index = 0; index < tail->count && tail->count == TAIL_FILES_MAX; index++) {
        const struct tail_file *file = &tail->tracked[index];
        if (file->is_rotated && file->size == file->mark.offset) tail_drop(tail, index);
    }
}

static void open_new(struct tail *tail, const char *path) {
    struct fault fault;
    bool exists;
    struct files_entry entry;
    if (!files_find(tail->files, path, &exists, &entry, &fault)) {
        tail_note_fault(tail, &fault);
        return;
    }
    if (!exists || entry.is_directory) return;
    uint32_t known = find_inode(tail, entry.inode);
    if (known != NO_FILE) {
        // Renamed to a name that is followed too: it goes on under it.
        struct tail_file *file = &tail->tracked[known];
        char *copy = strcmp(file->path, path) == 0 ? NULL : strdup(path);
        if (copy == NULL || !file->is_rotated) {
            free(copy);
            return;
        }
        free(file->path);
        file->path = copy;
        file->mark.path_hash = tail_hash_path(path);
        file->is_rotated = false;
        return;
    }
    make_room(tail);
    struct tail_file file;
    if (!tail_file_open(tail->files, path, &file, &fault)) {
        // One that is gone since it was found is no fault.
        if (fault.kind != FAULT_INPUT) tail_note_fault(tail, &fault);
        return;
    }
    if (!tail->is_started && tail->from_end && !tail->was_restored) {
        // Perhaps in the middle of a line, whose rest is passed over then.
        file.mark.offset = file.size > 0 ? file.size - 1 : 0;
        file.mark.is_skipping = file.size > 0;
    }
    (void)track(tail, &file);
}

// Who reads once does not wait for what is not there: it is a fault. Of a pattern its first folders
// must be there, matches need not.
static void check_path(struct tail *tail, const char *path) {
    char place[TAIL_PATH_SIZE];
    struct fault fault;
    struct stat status;
    size_t fixed = strcspn(path, "*?[");
    if ((size_t)snprintf(place, sizeof place, "%.*s", (int)fixed, path) >= sizeof place) return;
    bool is_folder = path[fixed] != 0;
    if (is_folder) folder_of(place, place);
    if (access(place, is_folder ? R_OK | X_OK : R_OK) != 0) {
        fault_set(&fault, FAULT_INPUT, "%s: %s", place, strerror(errno));
        tail_note_fault(tail, &fault);
    } else if (!is_folder && stat(place, &status) == 0 && S_ISDIR(status.st_mode)) {
        fault_set(&fault, FAULT_INPUT, "%s: it is a folder", place);
        tail_note_fault(tail, &fault);
    }
}

void tail_search(struct tail *tail) {
    tail->search_at_ms = tail_now(tail) + TAIL_GLOB_MS;
    tail->is_degraded = false;
    for (uint32_t index = 0; index < tail->paths_count; index++) {
        if (tail->once && !tail->is_started) check_path(tail, tail->paths[index]);
        if (!has_pattern(tail->paths[index])) {
            open_new(tail, tail->paths[index]);
            continue;
        }
        glob_t found;
        if (glob(tail->paths[index], 0, NULL, &found) == 0) {
            for (size_t match = 0; match < found.gl_pathc; match++) {
                open_new(tail, found.gl_pathv[match]);
            }
        }
        globfree(&found);
    }
}

// Finds the file of a mark from before the restart.
static void restore_mark(struct tail *tail, const struct tail_mark *mark) {
    struct fault fault;
    uint32_t known = find_inode(tail, mark->inode);
    const char *path = tail->paths[0];
    for (uint32_t index = 0; index < tail->paths_count; index++) {
        if (tail_hash_path(tail->paths[index]) == mark->path_hash) path = tail->paths[index];
    }
    if (known != NO_FILE) {
        struct tail_file *file = &tail->tracked[known];
        bool matches = false;
        if (!tail_file_matches(tail->files, file, mark, &matches, &fault))
            tail_note_fault(tail, &fault);
        struct tail_mark fresh = file->mark;
        file->mark = *mark;
        file->mark.path_hash = fresh.path_hash;
        if (!matches || file->size < mark->offset) tail_on_truncated(tail, known);
        return;
    }
    for (uint32_t index = 0; index < tail->paths_count; index++) {
        if (search_folder(tail, tail->paths[index], mark, false)) return;
    }
    for (uint32_t index = 0; index < tail->paths_count; index++) {
        if (search_folder(tail, tail->paths[index], mark, true)) return;
    }
    if (mark->is_done) return;
    add_lost(tail, mark, path,
             "the file was rotated away while nobody read it: lines after this "
             "place are lost, if there were any");
}

void tail_start(struct tail *tail) {
    tail_search(tail);
    for (uint32_t index = 0; index < tail->restored_count; index++) {
        restore_mark(tail, &tail->restored[index]);
    }
    tail->is_started = true;
}
