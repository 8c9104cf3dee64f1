// block_test_kit.h: rows with nasty texts for the tests of blocks. Test only.

#pragma once

#include "base/arena.h"
#include "base/buffer.h"
#include "base/random.h"
#include "storage/block/block.h"
#include "storage/block/dictionary.h"

enum { KIT_ROWS_MAX = 4096 };

// Rows and all they borrow.
struct kit {
    struct arena *arena;
    uint64_t state;
    struct random random;
    uint8_t secret[HASH_SECRET_SIZE];
    struct block_row rows[KIT_ROWS_MAX];
    uint32_t count;
};

// An empty kit whose rows depend on the seed alone.
void kit_init(struct kit *kit, uint64_t seed);
void kit_done(struct kit *kit);

// Makes rows: records of a few forms with repeating and with new values, among them every tenth a
// text of random JSON and every tenth any bytes. Replaces those before.
void kit_make_rows(struct kit *kit, uint32_t count);

// One row with this text behind the others.
void kit_add(struct kit *kit, struct span text);

// The number of the row of this sequence.
uint32_t kit_row_of(const struct kit *kit, uint64_t sequence);

// What the rows are encoded with and into, and a place for what is read.
struct kit_fixture {
    struct kit kit;
    struct block_scratch *scratch;  // compares every frame that it encodes
    struct dictionary *dictionary;
    struct buffer bytes;  // of the block
    struct buffer chunk;  // of the dictionary
    struct buffer text;
    struct block_summary summary;
    struct block block;
    struct fault fault;
};

// A fixture without rows, with an empty dictionary of this epoch.
struct kit_fixture *kit_fixture_create(uint64_t seed, uint32_t epoch);
void kit_fixture_destroy(struct kit_fixture *fixture);
