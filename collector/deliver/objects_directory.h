// objects_directory.h: buckets in a folder of this machine: the folder of a bucket has its name,
// and an object is the file of its key.
//
// A bucket exists if its folder does: the operator makes it. An object appears under its name only
// when it is whole and on the disk: it is written beside it as .NAME.new, synced and renamed, and
// the folder is synced. Metadata stand beside it in .NAME.metadata, a JSON object of texts, which
// is there before the object is. Names that begin with a point are no keys, so neither file can be
// taken for an object.
//
// Where the file system can, many objects that are written together are synced by two syncs of the
// whole of it: one before they have their names, and one after.

#pragma once

#include "base/buffer.h"
#include "base/files.h"
#include "collector/deliver/objects.h"

enum {
    OBJECTS_WHOLE_MIN = 16,    // for fewer, what others wrote there is not waited for
    OBJECTS_PATH_SIZE = 4096,  // of a file, with its final zero
    OBJECTS_METADATA_SIZE_MAX = 8192,
};

struct objects_directory {
    const struct files *files;
    const char *root;    // one folder a bucket
    uint32_t whole_min;  // objects, from which on the whole file system is synced
};

// The interface to it; the directory is borrowed for its life.
struct objects objects_in_directory(struct objects_directory *directory);

// Prints the path of an object, of a folder in a bucket, or of a bucket if the key is empty. False:
// no such name can be.
bool objects_directory_path(const struct objects_directory *directory, struct span bucket,
                            struct span key, char path[OBJECTS_PATH_SIZE]);

// Appends an object's metadata, a JSON object; nothing if it has none. FAULT_INPUT if there is no
// such name; faults of reading files.
MUST_CHECK bool objects_directory_metadata(const struct objects_directory *directory,
                                           const struct object_name *name, struct buffer *json,
                                           struct fault *fault);
