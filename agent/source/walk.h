// walk.h: a turn through a folder tree, folder by folder, files before subfolders, names in order.
//
// Folders whose path ends in YYYY/MM/DD are day folders. A recent turn visits only those of today
// and yesterday (UTC), and all folders that are under no date; a full turn visits everything.
// Memory is a chunk of one listing per level, whatever the tree's size. Symbolic links to folders
// are not followed.

#pragma once

#include <stdbool.h>
#include <stdint.h>

#include "base/fault.h"
#include "base/files.h"
#include "base/span.h"

enum {
    WALK_DEPTH_MAX = 24,      // folders inside one another; the organization layout has 8
    WALK_CHUNK_COUNT = 8192,  // entries of one listing held at once
    WALK_PATH_SIZE = 2048,    // bytes of a relative path with final zero
};

enum walk_result {
    WALK_FOLDER,  // a folder is entered: its files follow, or walk_skip
    WALK_FILE,    // a file of the present folder
    WALK_LEAVE,   // all files of the present folder were given
    WALK_FAULT,   // *fault is set: a folder or entry is left out, the turn goes on
    WALK_END,     // the turn is over
};

// What a step gave. Texts are borrowed until the next step.
struct walk_item {
    const char *path;     // relative to the root; "" is the root
    uint64_t size;        // of a file
    int64_t modified_ns;  // of the file or folder
    bool is_day;          // a day folder
    int64_t day;          // its day since the Unix epoch
    bool is_root;
};

struct walk;

// A walk below root, which lives as long as the walk. wanted decides by name which files are given.
// NULL if memory runs out.
struct walk *walk_create(const struct files *files, const char *root,
                         bool (*wanted)(struct span name));
void walk_destroy(struct walk *walk);

// Begins a turn.
void walk_begin(struct walk *walk, bool recent_only, int64_t today);

// Takes the next step; at most one listing.
enum walk_result walk_step(struct walk *walk, struct walk_item *item, struct fault *fault);

// After WALK_FOLDER: gives none of its files and subfolders.
void walk_skip(struct walk *walk);

// Whether a path is a regular file (no pipe, whose opening would wait) that lies below the root,
// also where symbolic links lead to.
bool walk_is_inside(const char *root, const char *path);
