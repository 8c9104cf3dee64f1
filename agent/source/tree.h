// tree.h: a turn through a tree of folders, folder by folder, files before subfolders, names in
// order.
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
    TREE_DEPTH_MAX = 24,      // folders inside one another; the organization layout has 8
    TREE_CHUNK_COUNT = 8192,  // entries of one listing held at once
    TREE_PATH_SIZE = 2048,    // bytes of a relative path with final zero
};

enum tree_result {
    TREE_FOLDER,  // a folder is entered: its files follow, or tree_skip
    TREE_FILE,    // a file of the present folder
    TREE_LEAVE,   // all files of the present folder were given
    TREE_FAULT,   // *fault is set: a folder or entry is left out, the turn goes on
    TREE_END,     // the turn is over
};

// What a step gave. Texts are borrowed until the next step.
struct tree_item {
    const char *path;     // relative to the root; "" is the root
    uint64_t size;        // of a file
    int64_t modified_ns;  // of the file or folder
    bool is_day;          // a day folder
    int64_t day;          // its day since the Unix epoch
    bool is_root;
};

struct tree;

// A walk below root, which lives as long as the walk. wanted decides by name which files are given.
// NULL if memory runs out.
struct tree *tree_create(const struct files *files, const char *root,
                         bool (*wanted)(struct span name));
void tree_destroy(struct tree *tree);

// Begins a turn.
void tree_begin(struct tree *tree, bool recent_only, int64_t today);

// Takes the next step; at most one listing.
enum tree_result tree_step(struct tree *tree, struct tree_item *item, struct fault *fault);

// After TREE_FOLDER: gives none of its files and subfolders.
void tree_skip(struct tree *tree);

// Whether a path is a regular file (no pipe, whose opening would wait) that lies below the root,
// also where symbolic links lead to.
bool tree_is_inside(const char *root, const char *path);
