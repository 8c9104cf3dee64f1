// block.h: up to 8,192 events packed into one value: encode, decode, search. Pure.
//
// A block holds its rows sorted by (account, user, time) in frames of BLOCK_FRAME_ROWS. A frame
// holds typed columns, raw ids and the record texts as tokens against the dictionary of the block's
// epoch; every text comes back byte for byte. The block also carries a posting table (attribute
// hash -> bitmap of frames), fingerprints of its ids, its time span and the runs of sequence
// numbers it holds, a format version and a checksum. Layout: docs/store.md. Everything read is
// validated before use: a damaged block gives FAULT_CORRUPT, never a wild read.

#pragma once

#include <stdbool.h>
#include <stdint.h>

#include "base/buffer.h"
#include "base/fault.h"
#include "base/hash.h"
#include "base/span.h"
#include "event/attribute.h"
#include "event/key.h"
#include "storage/dictionary.h"

enum {
    BLOCK_ROWS_MAX = 8192,
    BLOCK_FRAME_ROWS = 128,
    BLOCK_FRAMES_MAX = BLOCK_ROWS_MAX / BLOCK_FRAME_ROWS,  // 64: a bitmap of frames is one uint64_t
    BLOCK_RECORD_SIZE_MAX = 1024 * 1024,                   // bytes of one record's text
    BLOCK_TEXT_SIZE_MAX = 64 * 1024 * 1024,                // bytes of all texts of one block
};

// What a row's flags say (bits).
enum {
    BLOCK_READ_ONLY = 1,
    BLOCK_GLOBAL = 2,
    BLOCK_ERROR = 4,
    BLOCK_OWN = 8,             // an event of orgtrail itself
    BLOCK_CATEGORY_SHIFT = 8,  // enum record_category in the bits above
};

// One event as a block takes it. Everything is borrowed for the call.
struct block_row {
    uint64_t sequence;
    struct key key;
    uint64_t content_hash;  // keyed hash of the text, for the dedupe window
    uint32_t agent;         // the trail's number of who brought it
    uint32_t flags;
    int64_t received_ms;
    struct span user;  // what rows are sorted by beside the account; may be empty
    struct span text;
    const struct attribute *attributes;
    uint32_t attributes_count;
};

// What the trail keeps of every block in memory. Fixed size; stored beside the block.
struct block_summary {
    uint64_t sequence_first;  // smallest in the block
    uint64_t sequence_last;   // largest
    int64_t time_min_s;
    int64_t time_max_s;
    uint32_t rows;
    uint32_t epoch;  // of the dictionary
    uint64_t size;   // bytes of the block
    uint64_t text_size;
};

// The hash under which an attribute stands in posting tables.
uint32_t block_attribute_hash(const uint8_t secret[HASH_SECRET_SIZE],
                              const struct attribute *attribute);

// The hash of an id in the fingerprints.
uint32_t block_id_hash(const uint8_t secret[HASH_SECRET_SIZE], const uint8_t id[RECORD_ID_SIZE]);

// Memory that encoding and decoding need, reused from block to block. One thread.
struct block_scratch;
struct block_scratch *block_scratch_create(void);
void block_scratch_destroy(struct block_scratch *scratch);

// Appends one block of count rows (1 to BLOCK_ROWS_MAX, in any order) and fills *summary. New
// strings and shapes become pending in the dictionary. FAULT_FULL if buffer or memory is at its
// limit: the dictionary must then be rolled back.
MUST_CHECK bool block_encode(struct block_scratch *scratch, struct dictionary *dictionary,
                             const uint8_t secret[HASH_SECRET_SIZE], const struct block_row *rows,
                             uint32_t count, struct buffer *output, struct block_summary *summary,
                             struct fault *fault);

// A block opened for reading: borrows the bytes.
struct block {
    struct span bytes;
    struct block_summary summary;
    uint32_t frames;
    const void *sections[8];  // internal: where its parts begin
    uint32_t sizes[8];
};

// Checks header, version and sizes, and the checksum if `verify`. FAULT_CORRUPT.
MUST_CHECK bool block_open(struct span bytes, bool verify, struct block *block,
                           struct fault *fault);

// The frames that may hold an attribute of this hash, as a bitmap (bit n: frame n). 0: certainly
// none.
uint64_t block_find_attribute(const struct block *block, uint32_t attribute_hash);

// Whether the block may hold an id of this hash.
bool block_may_hold_id(const struct block *block, uint32_t id_hash);

// The rows of a frame that hold exactly this id, as (frame, row) pairs, over all frames. Returns
// the number found, at most places_max are written. Reads only raw ids.
struct block_place {
    uint32_t frame;
    uint32_t row;
};
uint32_t block_find_id(const struct block *block, const uint8_t id[RECORD_ID_SIZE],
                       struct block_place *places, uint32_t places_max);

// The columns of a frame. Arrays live in the scratch until its next use for columns.
struct block_columns {
    uint32_t rows;
    const int64_t *time_s;
    const uint64_t *sequence;
    const uint64_t *content_hash;
    const uint32_t *agent;
    const uint32_t *flags;
    const int64_t *received_ms;
    const uint8_t (*id)[RECORD_ID_SIZE];
    // The rows' attributes: row n has those from attribute_end[n-1] (0 for the first) up to
    // attribute_end[n]; each is an attribute hash and its kind.
    const uint32_t *attribute_end;
    const uint32_t *attribute_hash;
    const uint8_t *attribute_kind;
};

// Which columns to decode; ids and times always are.
enum {
    BLOCK_COLUMN_PROVENANCE = 1,  // sequence, content_hash, agent, received_ms
    BLOCK_COLUMN_ATTRIBUTES = 2,
};

// Decodes columns of one frame. FAULT_CORRUPT.
MUST_CHECK bool block_read_columns(const struct block *block, struct block_scratch *scratch,
                                   uint32_t frame, uint32_t which, struct block_columns *columns,
                                   struct fault *fault);

// The smallest and largest time of a frame, without decoding it.
void block_frame_times(const struct block *block, uint32_t frame, int64_t *time_min_s,
                       int64_t *time_max_s);

// Rebuilds the texts of the rows of a frame whose bit is set in `rows` (two words: rows 0-63,
// 64-127) and the accounts they were given to. texts[n] and accounts[n] are filled for those rows;
// they lie in the scratch until its next use for texts. FAULT_CORRUPT.
MUST_CHECK bool block_read_texts(const struct block *block, struct block_scratch *scratch,
                                 const struct dictionary *dictionary, uint32_t frame,
                                 const uint64_t rows[2], struct span texts[BLOCK_FRAME_ROWS],
                                 struct span accounts[BLOCK_FRAME_ROWS], struct fault *fault);

// A group table: for up to 64 blocks, which of them may hold an attribute. Appends the merged
// table.
MUST_CHECK bool block_group_encode(const struct block *blocks, uint32_t count,
                                   struct buffer *output, struct fault *fault);

// Bitmap of the group's blocks that may hold the attribute hash. FAULT_CORRUPT for a damaged table.
MUST_CHECK bool block_group_find(struct span group, uint32_t attribute_hash, uint64_t *blocks,
                                 struct fault *fault);
