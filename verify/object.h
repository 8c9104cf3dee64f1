// object.h: delivered files read, inflated and hashed, one after the other in reused memory.

#pragma once

#include <stdbool.h>
#include <stdint.h>

#include "base/crypto.h"
#include "verify/delivered.h"

enum {
    OBJECT_TEXT_SIZE_MAX = 1024 * 1024 * 1024,  // bytes of one file inflated; AWS's limit is 50 MB
    OBJECT_WHOLE_SIZE_MAX = 4 * 1024 * 1024,    // of one that is inflated at once
    OBJECT_WHY_SIZE = 512,
};

enum object_state {
    OBJECT_GOOD,
    OBJECT_MISSING,
    OBJECT_NO_BUCKET,
    OBJECT_DAMAGED,     // no whole gzip file, or larger than may be
    OBJECT_UNREADABLE,  // the disk, the wire or a permission
};

struct object_facts {
    enum object_state state;
    struct span text;  // only if it was wanted; until the next object
    uint64_t text_size;
    uint8_t hash[SHA256_SIZE];
    char why[OBJECT_WHY_SIZE];  // of DAMAGED and UNREADABLE
};

struct object_reader;

// NULL if memory runs out. The delivered files are borrowed.
struct object_reader *object_reader_create(const struct delivered *delivered);

// Frees it. NULL is allowed.
void object_reader_destroy(struct object_reader *reader);

// Reads an object; text_size_max 0: its hash alone is wanted.
void object_read(struct object_reader *reader, struct span bucket, struct span key,
                 size_t text_size_max, struct delivered_metadata *metadata,
                 struct object_facts *facts);
