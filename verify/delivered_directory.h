// delivered_directory.h: buckets in a folder, as a delivery to a directory writes them: a folder a
// bucket, a file an object, its metadata beside it in .NAME.metadata, a JSON object of texts. Names
// that begin with a point are no objects.

#pragma once

#include "base/files.h"
#include "verify/delivered.h"

enum { DELIVERED_PATH_SIZE = 4096 };

struct delivered_directory {
    const struct files *files;
    const char *root;
    const char *bucket;  // NULL: a folder of buckets; otherwise root is that bucket's folder
};

// The interface to it; the directory is borrowed for its life.
struct delivered delivered_in_directory(struct delivered_directory *directory);
