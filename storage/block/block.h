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
#include "storage/block/dictionary.h"

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
    uint64_t sequence;  // no two rows of a block have the same
    struct key key;
    uint32_t agent;  // the trail's number of who brought it
    uint32_t flags;  // 16 bits
    int64_t received_ms;
    struct span user;                    // what rows are sorted by beside the account; may be empty
    struct span text;                    // any bytes; what is no JSON object is only kept less well
    const struct attribute *attributes;  // in order of kind, at most ATTRIBUTE_COUNT_MAX
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

// The hash under which an attribute stands in posting tables: its kind in the top 5 bits, below
// them a hash of the value, cut at ATTRIBUTE_VALUE_SIZE_MAX.
uint32_t block_attribute_hash(const uint8_t secret[HASH_SECRET_SIZE],
                              const struct attribute *attribute);

// The hash of an id in the fingerprints.
uint32_t block_id_hash(const uint8_t secret[HASH_SECRET_SIZE], const uint8_t id[RECORD_ID_SIZE]);

// Memory that encoding and decoding need, reused from block to block. One thread. NULL if memory
// runs out.
struct block_scratch;
struct block_scratch *block_scratch_create(void);
void block_scratch_destroy(struct block_scratch *scratch);

// Encoding rebuilds the texts of one frame in `frames` and compares them (1: of all, for tests;
// BLOCK_VERIFY_FRAMES at the start). A text that does not come back is stored as it is and counted.
enum { BLOCK_VERIFY_FRAMES = 64 };
void block_scratch_verify(struct block_scratch *scratch, uint32_t frames);

// Texts that did not come back since the scratch was made: not 0 means a mistake in this code.
uint64_t block_scratch_mismatches(const struct block_scratch *scratch);

// Appends one block of count rows (1 to BLOCK_ROWS_MAX, in any order) and fills *summary. New
// strings and shapes become pending in the dictionary. FAULT_FULL if buffer or memory is at its
// limit: the buffer is as long as before, the dictionary must be rolled back.
MUST_CHECK bool block_encode(struct block_scratch *scratch, struct dictionary *dictionary,
                             const uint8_t secret[HASH_SECRET_SIZE], const struct block_row *rows,
                             uint32_t count, struct buffer *output, struct block_summary *summary,
                             struct fault *fault);

enum { BLOCK_SECTIONS = 7 };

// A block opened for reading: borrows the bytes, which need no alignment.
struct block {
    struct span bytes;
    struct block_summary summary;
    uint32_t frames;
    uint32_t version;      // internal: of its bytes
    uint32_t sample_size;  // internal: bytes of the dictionary's sample it refers to
    // Notes of who opened the block, NULL at first: a bit for each frame whose columns and ids were
    // found as they were written, which is not asked again. Borrowed.
    uint64_t *good_frames;
    bool has_head;  // internal: inline bytes are compressed against the dictionary's head
    struct span sections[BLOCK_SECTIONS];  // internal: its parts, docs/store.md
};

// Checks header, version and sizes, and the whole block's checksum if `verify`: for who looks for
// damage. Who uses a block checks its index; columns, ids and texts of a frame are checked when
// they are read.
// FAULT_CORRUPT; FAULT_INPUT if a newer version wrote it.
MUST_CHECK bool block_open(struct span bytes, bool verify, struct block *block,
                           struct fault *fault);

// Opens a block again that block_open opened and block_check_index found good: looks at header and
// sizes only. FAULT_CORRUPT, FAULT_INPUT.
MUST_CHECK bool block_open_known(struct span bytes, struct block *block, struct fault *fault);

// Opens a block of version 1, of stores of format 1, and checks its checksum: for a migration. Of
// it only columns and texts can be read, the texts with a dictionary that dictionary_load_first
// made. FAULT_CORRUPT.
MUST_CHECK bool block_open_first(struct span bytes, struct block *block, struct fault *fault);

// Whether header, frames' entries, postings, fingerprints and arrivals are as they were written:
// what decides which frames are looked into. FAULT_CORRUPT.
MUST_CHECK bool block_check_index(const struct block *block, struct fault *fault);

// Whether the columns and ids of all frames are: before block_find_id, which looks at nothing else.
// FAULT_CORRUPT.
MUST_CHECK bool block_check_ids(const struct block *block, struct fault *fault);

// The frames that may hold an attribute of this hash, as a bitmap (bit n: frame n). 0: certainly
// none.
uint64_t block_find_attribute(const struct block *block, uint32_t attribute_hash);

// Whether the block may hold an id of this hash. True by chance once in 1,024 blocks or less.
bool block_may_hold_id(const struct block *block, uint32_t id_hash);

// The top `bits` bits (at most 20) of the hash of each row's id, smallest first; `hashes` has
// room for summary.rows. False if the block, of few rows, has fewer bits of them.
bool block_read_id_hashes(const struct block *block, uint32_t bits, uint32_t *hashes);

// Where a row lies.
struct block_place {
    uint32_t frame;
    uint32_t row;
};

// The rows that hold exactly this id, over all frames. Returns the number found, of which at most
// places_max are written. Reads only raw ids, about 1 us for 1,000 rows.
uint32_t block_find_id(const struct block *block, const uint8_t id[RECORD_ID_SIZE],
                       struct block_place *places, uint32_t places_max);

// Whether a frame whose times include this one holds exactly this id. Reads only raw ids.
bool block_holds_id(const struct block *block, const uint8_t id[RECORD_ID_SIZE], int64_t time_s);

// Fills places[n] with the place of the row that is n-th in order of sequence; places has room for
// summary.rows. FAULT_CORRUPT.
MUST_CHECK bool block_order(const struct block *block, struct block_place *places,
                            struct fault *fault);

// The columns of a frame. Arrays live in the scratch until its next use for columns.
struct block_columns {
    uint32_t rows;
    const int64_t *time_s;
    const uint8_t (*id)[RECORD_ID_SIZE];  // in the block itself
    // With BLOCK_COLUMN_PROVENANCE, else NULL.
    const uint64_t *sequence;
    const uint32_t *agent;
    const uint32_t *flags;
    const int64_t *received_ms;
    // With BLOCK_COLUMN_ACCOUNT, else NULL. Spans in the block itself.
    const struct span *account;
    // With BLOCK_COLUMN_ATTRIBUTES, else NULL: row n has those from attribute_end[n-1] (0 for the
    // first) up to attribute_end[n]; each is an attribute hash and its kind, in order of kind.
    const uint32_t *attribute_end;
    const uint32_t *attribute_hash;
    const uint8_t *attribute_kind;
};

// Which columns to decode; ids and times always are.
enum {
    BLOCK_COLUMN_PROVENANCE = 1,  // sequence, agent, flags, received_ms
    BLOCK_COLUMN_ATTRIBUTES = 2,
    BLOCK_COLUMN_ACCOUNT = 4,
};

// Decodes columns of one frame. FAULT_CORRUPT; FAULT_FULL if memory runs out.
MUST_CHECK bool block_read_columns(const struct block *block, struct block_scratch *scratch,
                                   uint32_t frame, uint32_t which, struct block_columns *columns,
                                   struct fault *fault);

// The attributes of one kind in a frame: row n has the hashes from end[n-1] (0 for the first) up to
// end[n]. Arrays live in the scratch until its next use for a kind.
struct block_kind {
    uint32_t rows;
    const uint32_t *end;
    const uint32_t *hash;
};

// Decodes one kind alone: for aggregates. FAULT_CORRUPT; FAULT_FULL if memory runs out.
MUST_CHECK bool block_read_kind(const struct block *block, struct block_scratch *scratch,
                                uint32_t frame, enum attribute_kind kind, struct block_kind *column,
                                struct fault *fault);

// The rows of a frame that may have attributes of all these hashes (at most BLOCK_FIND_MAX), as two
// words of bits: rows 0-63, 64-127. Reads no more of the frame's columns than it needs.
// FAULT_CORRUPT.
enum { BLOCK_FIND_MAX = 64 };
MUST_CHECK bool block_find_rows(const struct block *block, uint32_t frame,
                                const uint32_t *attribute_hashes, uint32_t count, uint64_t rows[2],
                                struct fault *fault);

// The times of a frame's rows. FAULT_CORRUPT.
MUST_CHECK bool block_read_times(const struct block *block, uint32_t frame,
                                 int64_t times_s[BLOCK_FRAME_ROWS], struct fault *fault);

// The rows of a frame, and the smallest and largest time of them, without decoding it.
uint32_t block_frame_rows(const struct block *block, uint32_t frame);
void block_frame_times(const struct block *block, uint32_t frame, int64_t *time_min_s,
                       int64_t *time_max_s);

// Checks the sum of a frame's texts and rebuilds those of its rows whose bit is set in `rows` (two
// words: rows 0-63, 64-127) and the accounts they were given to. texts[n] and accounts[n] are
// filled for those rows; they lie in the scratch until its next use for texts. The dictionary is
// the one of the block's epoch and holds at least what it held after this block. FAULT_CORRUPT;
// FAULT_FULL if memory runs out.
MUST_CHECK bool block_read_texts(const struct block *block, struct block_scratch *scratch,
                                 const struct dictionary *dictionary, uint32_t frame,
                                 const uint64_t rows[2], struct span texts[BLOCK_FRAME_ROWS],
                                 struct span accounts[BLOCK_FRAME_ROWS], struct fault *fault);

// Hands over the buffer that texts lie in, which keeps them beyond the next use, for another one,
// empty or used before, that the next texts go into.
void block_swap_texts(struct block_scratch *scratch, struct buffer *texts);

// A group table: for up to 64 blocks (one without frames is none), which of them may hold an
// attribute. Appends the merged table. FAULT_FULL if buffer or memory is at its limit;
// FAULT_CORRUPT if a block is damaged.
MUST_CHECK bool block_group_encode(const struct block *blocks, uint32_t count,
                                   struct buffer *output, struct fault *fault);

// Whether a group table is as it was written. FAULT_CORRUPT.
MUST_CHECK bool block_group_check(struct span group, struct fault *fault);

// Bitmap of the group's blocks that may hold the attribute hash. FAULT_CORRUPT for a damaged table
// (only what the search touches is checked).
MUST_CHECK bool block_group_find(struct span group, uint32_t attribute_hash, uint64_t *blocks,
                                 struct fault *fault);
