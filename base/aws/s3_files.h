// s3_files.h: objects of a bucket as files to read: a slash in a key makes a folder.
//
// Of files.h's calls there are open (to read), close, read_at, describe, find and list, for paths
// s3://BUCKET/KEY. A file's time has its object's ETag in what is less than a second, so that an
// object that was replaced is another file. Empty names, and those longer than a file's may be
// (255 bytes), are left out and counted.
//
// Who reads in the order of a list finds the next files there already: threads fetch them ahead.
// Memory: S3_FILES_SLOTS pieces of S3_FILES_PIECE_SIZE bytes, whatever the objects' sizes.
//
// Threads: one calls.

#pragma once

#include <stdint.h>

#include "base/aws/s3_pool.h"
#include "base/files.h"

enum {
    S3_FILES_SLOTS = 32,                    // objects open or fetched ahead, and threads
    S3_FILES_PIECE_SIZE = 2 * 1024 * 1024,  // bytes of one that are held
    S3_FILES_CLIENTS = S3_FILES_SLOTS + 2,  // that the pool should have
    S3_FILES_NAME_SIZE = 256,               // of a file or folder, with its final zero
};

struct s3_files;

// Starts its threads; pool and bucket are borrowed for its life. FAULT_FULL, FAULT_RETRY.
MUST_CHECK bool s3_files_create(struct s3_pool *pool, const char *bucket, struct s3_files **files,
                                struct fault *fault);

// Ends what is under way, and stops the pool for it. All is closed. NULL is allowed.
void s3_files_destroy(struct s3_files *files);

// The interface to it, borrowed for its life.
const struct files *s3_files_interface(const struct s3_files *files);

// Objects and folders that lists left out for their names, each as often as it was met.
uint64_t s3_files_left_out(const struct s3_files *files);

// The time that a file has for its object's time, in seconds, and ETag.
int64_t s3_files_time(int64_t modified, struct span etag);
