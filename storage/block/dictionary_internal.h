// dictionary_internal.h: a dictionary as blocks are encoded and decoded against it. Internal.

#pragma once

#include "base/zstd.h"
#include "storage/block/dictionary.h"

enum {
    DICTIONARY_NONE = UINT32_MAX,  // no string or shape of this number
    DICTIONARY_KEYS = 1024,        // numbers of slots' keys
    DICTIONARY_ANCHOR_SIZE = 20,   // bytes by which the sample is found
    DICTIONARY_HEAD_SIZE = 2 * 1024 * 1024,
    DICTIONARY_SLACK = 32,  // readable bytes behind every string and shape, for fast copies
};

// A record's or a container's bytes outside its values: slots + 1 pieces, one after another.
struct dictionary_shape {
    const uint8_t *bytes;
    const uint16_t *pieces;  // their sizes
    const uint16_t *keys;    // of each slot: a number that stands for its member's name
    uint32_t size;
    uint32_t slots;
};

uint32_t dictionary_strings(const struct dictionary *dictionary);
uint32_t dictionary_shapes(const struct dictionary *dictionary);

// The string of a number below dictionary_strings; lives until the next admission, or a reader's
// dictionary_release. False if a reader cannot get it: dictionary_failure says why.
bool dictionary_string(const struct dictionary *dictionary, uint32_t number, struct span *string);

// The strings of many numbers, as far as they are at hand: of the others bytes is NULL, which says
// nothing. For who needs all: one look-up's wait for memory is that of many.
void dictionary_find_loaded(const struct dictionary *dictionary, const uint32_t *numbers,
                            uint32_t count, struct span *strings);

// The shape of a number below dictionary_shapes. Its pointers live as long as the dictionary. NULL
// if a reader cannot get it.
const struct dictionary_shape *dictionary_shape(const struct dictionary *dictionary,
                                                uint32_t number);

// Why a string, shape or sample could not be had. False if none was missing since the last call.
bool dictionary_failure(const struct dictionary *dictionary, struct fault *fault);

// Makes ready for find and admit; once before each block. False if memory runs out.
MUST_CHECK bool dictionary_prepare(struct dictionary *dictionary);

// A search in three steps, between which other things are done: memory is slow, and each step
// fetches what the next one needs. `hash` is hash_plain of the string.

// Fetches the place where a hash is looked for.
void dictionary_prefetch(const struct dictionary *dictionary, uint64_t hash);

// The number of the only string that one of this size and hash can be, and where its bytes are,
// which are fetched; the caller compares them. They stay there until dictionary_rollback or
// dictionary_destroy. DICTIONARY_NONE if there is none.
uint32_t dictionary_look(const struct dictionary *dictionary, size_t size, uint64_t hash,
                         const uint8_t **bytes);

// Says that a string was seen of which dictionary_look knew nothing. On the second time (as far as
// is remembered) it is admitted, unless it was meanwhile, and its number returned, and where its
// bytes are; otherwise DICTIONARY_NONE.
uint32_t dictionary_admit(struct dictionary *dictionary, struct span string, uint64_t hash,
                          const uint8_t **bytes);

// The hash under which a shape is found.
uint64_t dictionary_hash_shape(const struct dictionary_shape *shape);

// The number of a shape, or DICTIONARY_NONE; and as dictionary_admit: bytes and pieces as in struct
// dictionary_shape; `hash` is dictionary_hash_shape of it.
uint32_t dictionary_find_shape(const struct dictionary *dictionary,
                               const struct dictionary_shape *shape, uint64_t hash);
uint32_t dictionary_admit_shape(struct dictionary *dictionary, const struct dictionary_shape *shape,
                                uint64_t hash);

// The sample is found by its anchors: places behind separators, which other texts with the same
// bytes have too. The next anchor of a text behind one; its size if that is the last.
size_t dictionary_anchor_next(struct span text, size_t at);

// The hash of an anchor, which has DICTIONARY_ANCHOR_SIZE bytes.
uint64_t dictionary_anchor_hash(const uint8_t *text);

// Fetches what a search for an anchor will touch first.
void dictionary_prefetch_sample(const struct dictionary *dictionary, const uint8_t *anchor);

// Where the sample has what the text begins with, an anchor of this hash. Returns how many bytes
// are the same.
size_t dictionary_find_sample(const struct dictionary *dictionary, struct span text, uint64_t hash,
                              uint32_t *offset);

// Appends text to the sample, as much as there is room for.
void dictionary_add_sample(struct dictionary *dictionary, struct span text);

// Whether something of this hash was noted before (as far as is remembered); notes it.
bool dictionary_was_seen(struct dictionary *dictionary, uint64_t hash);

// Bytes of the sample.
uint32_t dictionary_sample_size(const struct dictionary *dictionary);

// The first bytes of the sample; false if it has not so many, or a reader cannot get them.
bool dictionary_sample(const struct dictionary *dictionary, uint32_t size, struct span *sample);

// The head of the epoch, its first DICTIONARY_HEAD_SIZE bytes of strings as they lie in pages: what
// later pages and the inline bytes of blocks are compressed against. It is there once chunks have
// so many of them. False if it is not, or a reader cannot get it.
bool dictionary_has_head(const struct dictionary *dictionary);
bool dictionary_head(const struct dictionary *dictionary, struct span *head);

// The same made ready to compress against, NULL if it is not there; lives until the dictionary goes
// back. False if memory runs out.
MUST_CHECK bool dictionary_share_head(struct dictionary *dictionary,
                                      const struct zstd_shared **head);
