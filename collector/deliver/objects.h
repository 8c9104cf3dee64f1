// objects.h: where trails deliver to: buckets of objects with metadata, behind a small interface.
//
// The one there is keeps each bucket in a folder (objects_directory.h). Texts of faults begin with
// a word that GetTrailStatus shows: "NoSuchBucket: ...", "AccessDenied: ...", "NoSpace: ...".
//
// Threads: any number at a time, but one for each object.

#pragma once

#include <stdbool.h>
#include <stdint.h>

#include "base/fault.h"
#include "base/span.h"

enum {
    OBJECT_KEY_SIZE_MAX = 1024,  // bytes, as S3 has it
    OBJECT_METADATA_MAX = 8,     // of one object
    OBJECTS_WRITE_MAX = 512,     // written together
};

struct object_name {
    struct span bucket;
    struct span key;
};

// What S3 calls user metadata: a header x-amz-meta-NAME.
struct object_metadata {
    const char *name;   // lower case
    struct span value;  // printable ASCII
};

// An object to write.
struct object_write {
    struct object_name name;
    struct span bytes;
    const struct object_metadata *metadata;
    uint32_t metadata_count;
};

// What stands under an object's name.
enum objects_held {
    OBJECTS_HOLD_NOTHING,
    OBJECTS_HOLD_OTHER,  // than what is to be written
    OBJECTS_HOLD_SAME,
};

struct objects_operations {
    bool (*find_bucket)(void *context, struct span bucket, bool *found, struct fault *fault);
    bool (*put)(void *context, const struct object_write *write, struct fault *fault);
    // Puts several of different names, which costs less than one after another. NULL: it does not.
    bool (*put_all)(void *context, const struct object_write *writes, uint32_t writes_count,
                    struct fault *fault);
    // What stands there: asked of where it is, not of who put it.
    bool (*holds)(void *context, const struct object_write *write, enum objects_held *held,
                  struct fault *fault);
};

struct objects {
    const struct objects_operations *operations;
    void *context;
};

// Whether there is a bucket of this name. FAULT_DENIED, FAULT_RETRY, FAULT_IO.
MUST_CHECK bool objects_find_bucket(const struct objects *objects, struct span bucket, bool *found,
                                    struct fault *fault);

// Writes 1 to OBJECTS_WRITE_MAX objects of different names, each in place of the one there was, and
// makes sure that they stand there, by size and hash or byte for byte. Doing it again with the same
// bytes changes nothing. FAULT_INPUT: no such bucket, or a key that cannot be; FAULT_DENIED;
// FAULT_FULL; FAULT_RETRY: something else stands there, or not now; FAULT_IO. Whatever it was, some
// of them may be there, and all may be tried again.
MUST_CHECK bool objects_write(const struct objects *objects, const struct object_write *writes,
                              uint32_t writes_count, struct fault *fault);

// The same of writes that an attempt before this one may have done. FAULT_RETRY too if one stood
// there with other bytes, which somebody else has put there: it is written again, and told once.
MUST_CHECK bool objects_write_again(const struct objects *objects,
                                    const struct object_write *writes, uint32_t writes_count,
                                    struct fault *fault);

// Whether a text can be an object's key here: 1 to OBJECT_KEY_SIZE_MAX bytes without control
// characters, no part of it empty or beginning with a point.
bool objects_is_key(struct span key);
