// dictionary.h: strings and record shapes that the blocks of one epoch refer to by number.
//
// A record's text is cut into a shape (everything that is not a value) and values; what occurs
// again stands in the dictionary once. Of values that are too different for that, what they have in
// common is kept as a sample, of which blocks copy parts. A dictionary begins empty with its epoch,
// only grows, and is given up for a new epoch when it is full, so that a reader's memory is
// bounded. Pure: the trail stores what dictionary_take_pending gives and loads it again in the same
// order. One thread, but for views.

#pragma once

#include <stdbool.h>
#include <stdint.h>

#include "base/buffer.h"
#include "base/fault.h"
#include "base/span.h"

enum {
    DICTIONARY_STRINGS_MAX = 256 * 1024,      // of one epoch
    DICTIONARY_SHAPES_MAX = 16 * 1024,        // of one epoch
    DICTIONARY_SIZE_MAX = 48 * 1024 * 1024,   // bytes of all strings and shapes of one epoch
    DICTIONARY_STRING_SIZE_MAX = 4096,        // bytes of one string; longer ones stay in blocks
    DICTIONARY_SHAPE_SIZE_MAX = 16 * 1024,    // bytes of one shape
    DICTIONARY_SAMPLE_SIZE_MAX = 512 * 1024,  // bytes of text that blocks may copy parts of
    DICTIONARY_SLOTS_MAX = 128,               // values of one shape
};

struct dictionary;
struct zstd;

// An empty dictionary that can be written to (and read). NULL if memory runs out.
struct dictionary *dictionary_create(uint32_t epoch);
void dictionary_destroy(struct dictionary *dictionary);

// The epoch it was made for.
uint32_t dictionary_epoch(const struct dictionary *dictionary);

// Where a reader's dictionary gets its chunks from, whenever it needs a part of one.
struct dictionary_source {
    // The bytes of a chunk, borrowed until the next call. FAULT_CORRUPT if it is gone.
    bool (*get_chunk)(void *user, uint32_t epoch, uint32_t number, struct span *bytes,
                      struct fault *fault);
    void *user;
    struct zstd *zstd;  // borrowed
};

// A dictionary to read by only: of what dictionary_index names, the parts that are used are
// inflated and kept. Without a source (NULL) it is read through views. NULL if memory runs out.
struct dictionary *dictionary_create_reader(uint32_t epoch, const struct dictionary_source *source);

// Takes a chunk into a reader's index, in order of number. FAULT_CORRUPT if its header is damaged:
// what lies in other chunks is readable all the same. FAULT_FULL if memory runs out.
MUST_CHECK bool dictionary_index(struct dictionary *dictionary, uint32_t number, struct span chunk,
                                 struct fault *fault);

// Bytes that a reader's dictionary holds.
size_t dictionary_memory(const struct dictionary *dictionary);

// Frees the pages of a reader's dictionary that were not used since the last call.
void dictionary_release(struct dictionary *dictionary);

// A thread's way to read readers' dictionaries that threads share: what it asks for is inflated
// with its own source, and kept for all. It shows none at first. NULL if memory runs out.
struct dictionary *dictionary_create_view(const struct dictionary_source *source);

// Lets the view show a reader's dictionary as it is now. While anybody reads through a view of it,
// no thread may index, release or destroy it.
void dictionary_view(struct dictionary *view, const struct dictionary *reader);

// Adds what one earlier commit stored. FAULT_CORRUPT if it is damaged or does not follow what was
// loaded before; FAULT_FULL if memory runs out.
MUST_CHECK bool dictionary_load(struct dictionary *dictionary, struct span chunk,
                                struct fault *fault);

// The same for a chunk of a store of format 1, for a migration. Nothing may be added to the
// dictionary afterwards.
MUST_CHECK bool dictionary_load_first(struct dictionary *dictionary, struct span chunk,
                                      struct fault *fault);

// Appends (compressed, with checksum) what blocks encoded since the last dictionary_keep refer to
// and no chunk holds yet; nothing if there is none. Store it in the same commit as those blocks.
MUST_CHECK bool dictionary_take_pending(struct dictionary *dictionary, struct buffer *chunk,
                                        struct fault *fault);

// The commit with the pending chunk succeeded.
void dictionary_keep(struct dictionary *dictionary);

// It failed: the blocks encoded since dictionary_keep are void; what they added is forgotten.
void dictionary_rollback(struct dictionary *dictionary);

// Whether the next block should begin a new epoch: strings, shapes or bytes have passed 15/16 of
// their limit. At the limit itself nothing more is admitted and texts merely take more room.
bool dictionary_is_full(const struct dictionary *dictionary);
