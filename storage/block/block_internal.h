// block_internal.h: the parts of a block, and what encoding and decoding share. Internal.

#pragma once

#include "base/zstd.h"
#include "storage/block/block.h"
#include "storage/block/block_codes.h"
#include "storage/block/block_sorted.h"
#include "storage/block/block_tokens.h"
#include "storage/block/bytes.h"

enum {
    BLOCK_MAGIC = 0x4b42544f,  // "OTBK"
    BLOCK_VERSION = 2,
    BLOCK_VERSION_FIRST = 1,
    BLOCK_CHECKED = 16,           // what the checksum covers begins here
    BLOCK_HEADER_SIZE = 112,      // magic to the sum of the index
    BLOCK_INDEX_SUM = 108,        // 32 bits
    BLOCK_FRAME_SIZE = 32,        // of a frame's entry in BLOCK_FRAMES
    BLOCK_FRAME_SIZE_FIRST = 24,  // in blocks of version 1: without the sums
    BLOCK_ZSTD_LEVEL = 1,
    BLOCK_HASH_BITS = 27,  // of an attribute hash; its kind stands above
    BLOCK_HASH_KINDS = 1 << (32 - BLOCK_HASH_BITS),
};

// The sections of a block, in the order in which they lie.
enum block_section {
    BLOCK_FRAMES,        // for each frame its times, where columns and texts end, and their sums
    BLOCK_POSTINGS,      // attribute hashes and their frames
    BLOCK_FINGERPRINTS,  // of ids
    BLOCK_ARRIVALS,      // who brought which sequence numbers when, in order of sequence
    BLOCK_IDS,           // RECORD_ID_SIZE bytes a row
    BLOCK_COLUMNS,
    BLOCK_TEXTS,
};

// Writes all sums of a block that is there but for them. False if its header or offsets are wrong.
bool block_seal(uint8_t *bytes, size_t size);

// A row's attributes while a block is encoded: indexes of posting entries, by rows in block order.
struct block_attribute {
    uint32_t entry;
    uint32_t kind;
};

// The posting table while it is made.
struct postings {
    uint32_t *hashes;   // by entry; once sorted by place, without their kinds
    uint64_t *frames;   // the same
    uint32_t *places;   // by entry, once sorted
    uint64_t *sorting;  // twice as many: hash and entry, and spare ones
    uint32_t kind_begin[BLOCK_HASH_KINDS + 1];  // places, once sorted
    uint32_t count;
    uint32_t room;
    uint32_t *slots;  // entry + 1 by hash; a power of two, at least twice `room`
    uint32_t slots_count;
};

// The hash of an attribute under the key of its kind: what block_attribute_hash gives.
static inline uint32_t attribute_hash(const struct hash_key *key,
                                      const struct attribute *attribute) {
    struct span value = attribute->value;
    if (value.size > ATTRIBUTE_VALUE_SIZE_MAX) value.size = ATTRIBUTE_VALUE_SIZE_MAX;
    uint32_t hash = (uint32_t)hash_with_key(key, value);
    return (uint32_t)attribute->kind << BLOCK_HASH_BITS | (hash & ((1u << BLOCK_HASH_BITS) - 1));
}

// Empties it. False if memory runs out.
bool postings_begin(struct postings *postings);
void postings_done(struct postings *postings);

// The entry of a hash, a new one if need be, marked as standing in a frame. UINT32_MAX if memory
// runs out.
uint32_t postings_add(struct postings *postings, uint32_t hash, uint32_t frame);

// Gives the entries their places, in order of hashes, and puts them there: nothing can be added any
// more.
void postings_sort(struct postings *postings);

// Appends the section of a sorted table.
void postings_append(const struct postings *postings, uint32_t frames, struct buffer *output);

// Appends the hashes of a kind that a frame holds, in order. False if the section is damaged or
// memory runs out.
bool postings_list(struct span section, uint32_t frames, uint32_t kind, uint32_t frame,
                   struct buffer *hashes, uint32_t *count);

// Which of a frame's hashes of its kind, in the order of postings_list, a hash is, and which frames
// have it; not the one at hand: there is no place. False if the section is damaged.
bool postings_place(struct span section, uint32_t frames, uint32_t hash, uint32_t frame,
                    uint64_t *holders, uint32_t *place);

// Whether the section is large enough to be read at all: what all below need.
bool postings_check(struct span section);

// The frames of a hash.
uint64_t postings_find(struct span section, uint32_t frames, uint32_t hash);

// Calls for each entry, in order of hashes. False if the section is damaged.
bool postings_walk(struct span section, uint32_t frames,
                   bool (*on_entry)(void *user, uint32_t hash, uint64_t frames), void *user);

// Fingerprints of ids; how many bits each has in a block of so many rows.
uint32_t fingerprints_bits(uint32_t rows);
void fingerprints_append(uint32_t *hashes, uint64_t *sorting, uint32_t count,
                         struct buffer *output);
bool fingerprints_check(struct span section, uint32_t rows);
bool fingerprints_find(struct span section, uint32_t rows, uint32_t hash);
bool fingerprints_read(struct span section, uint32_t rows, uint32_t bits, uint32_t *hashes);

// Who brought the rows, in order of sequence: runs of rows with numbers one after another, of one
// agent, received at one time.
struct arrival {
    uint64_t sequence;  // of the first row
    uint32_t place;     // of the first row, in order of sequence
    uint32_t agent;
    int64_t received_ms;
};

// Writes the section into an empty buffer. The rows are scratch->ordered, scratch->sorting their
// indexes in order of sequence.
bool arrivals_append(struct block_scratch *scratch, uint32_t count, struct buffer *output,
                     struct fault *fault);

// Reads the section into scratch->arrivals.
bool arrivals_read(const struct block *block, struct block_scratch *scratch, struct fault *fault);

// Appends the columns of a frame: rows[0] to rows[count - 1] are its rows, places their places in
// order of sequence, ends and attributes as in struct block_scratch from the frame's first row on.
struct block_frame_rows {
    const struct block_row *const *rows;
    const uint32_t *places;
    const uint32_t *attribute_ends;
    uint32_t attribute_begin;
    uint32_t count;
};
bool columns_append(struct block_scratch *scratch, const struct block_frame_rows *frame,
                    int64_t time_max_s, struct buffer *output);

// The parts of a frame's columns that are always there.
enum block_part {
    BLOCK_PART_TIMES,
    BLOCK_PART_PLACES,
    BLOCK_PART_FLAGS,
    BLOCK_PART_ACCOUNTS,
    BLOCK_PARTS,
};

// A frame as its entry tells it.
struct block_frame {
    bool is_first;  // of a block of version 1
    uint32_t rows;
    uint32_t first_row;
    int64_t time_min_s;
    int64_t time_max_s;
    struct span columns;
    struct span texts;
    struct span ids;
    uint32_t texts_sum;    // blocks of version 1 have none: 0
    uint32_t columns_sum;  // the same
};

// A frame's entry. False if the frame's offsets are wrong.
bool block_frame_find(const struct block *block, uint32_t frame, struct block_frame *found);

// The same for who reads its columns or ids: false also if they are not as they were written, which
// is noted where the block says.
bool block_frame_open(const struct block *block, uint32_t frame, struct block_frame *found);

// Whether a frame's texts are as they were written.
bool block_frame_check_texts(const struct block *block, const struct block_frame *frame);

// The places of a frame's rows in order of sequence. False if the frame is damaged.
bool columns_read_places(const struct block_frame *frame, uint64_t places[BLOCK_FRAME_ROWS]);

// The times and accounts of a frame's rows. False if the frame is damaged.
bool columns_read_rows(const struct block_frame *frame, int64_t times_s[BLOCK_FRAME_ROWS],
                       struct span accounts[BLOCK_FRAME_ROWS]);

// Appends the texts of a frame; `head` is the dictionary's or NULL.
bool texts_append(struct block_scratch *scratch, const struct tokens_frame *frame,
                  const struct zstd_shared *head, uint64_t text_size, struct buffer *output,
                  struct fault *fault);

// Memory of encoding and decoding.
enum {
    BLOCK_SCRATCH_BUFFERS = 16,
    BLOCK_SCRATCH_SIZE_MAX = 512 * 1024 * 1024,  // bytes of one buffer
};

struct block_group;

struct block_scratch {
    struct zstd *zstd;
    uint32_t verify_frames;
    uint32_t frames_encoded;
    uint64_t mismatches;

    // Encoding.
    struct tokens_encoder *encoder;
    struct hash_key keys[ATTRIBUTE_KINDS];  // of attribute hashes; 0: of ids
    struct postings postings;
    struct block_attribute *attributes;
    uint32_t attributes_count;
    uint32_t attributes_room;
    uint32_t *attribute_ends;          // by row in block order
    struct tokens_hint *hints;         // the same
    uint64_t *sorting;                 // 2 * BLOCK_ROWS_MAX
    const struct block_row **ordered;  // rows in block order
    uint32_t *places;                  // in order of sequence, by row in block order
    uint32_t *id_hashes;
    struct block_group *groups;  // of rows with one account and user
    struct buffer columns;
    struct buffer texts;
    struct buffer parts;        // of one frame's columns
    struct buffer kind_values;  // uint32_t
    struct buffer ranks;        // uint64_t, uint32_t

    // Decoding.
    struct tokens_decoder *decoder;
    struct buffer output;   // rebuilt texts
    struct buffer control;  // and tokens behind it
    struct buffer inlined;
    struct buffer strings;  // uint32_t
    struct buffer lists;    // of a frame: strings, shapes, copies
    struct buffer arrivals_bytes;
    struct arrival *arrivals;
    uint32_t arrivals_count;
    uint64_t arrivals_of;     // checksum of the block they are of
    uint64_t arrivals_first;  // its first sequence number
    uint32_t arrivals_rows;   // its rows

    int64_t time_s[BLOCK_FRAME_ROWS];
    uint64_t sequence[BLOCK_FRAME_ROWS];
    uint32_t agent[BLOCK_FRAME_ROWS];
    uint32_t flags[BLOCK_FRAME_ROWS];
    int64_t received_ms[BLOCK_FRAME_ROWS];
    struct span account[BLOCK_FRAME_ROWS];
    uint32_t attribute_end[BLOCK_FRAME_ROWS];
    struct buffer attribute_hash;  // uint32_t
    struct buffer attribute_kind;
    uint32_t kind_end[BLOCK_FRAME_ROWS];
    struct buffer kind_hash;   // uint32_t
    struct buffer kind_list;   // uint32_t: the frame's values of a kind
    struct buffer kind_codes;  // uint32_t: the codes of its layers, one after another
};

// All its buffers.
void block_scratch_buffers(struct block_scratch *scratch,
                           struct buffer *buffers[BLOCK_SCRATCH_BUFFERS]);

// Fills scratch->ordered with the rows in order of account, user, time and id. False if memory runs
// out.
bool block_order_rows(struct block_scratch *scratch, const struct block_row *rows, uint32_t count);
