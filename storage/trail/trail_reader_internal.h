// trail_reader_internal.h: the reader's parts, as its own files see them.

#pragma once

#include <stdbool.h>
#include <stdint.h>

#include "base/arena.h"
#include "base/json.h"
#include "base/zstd.h"
#include "storage/block/block.h"
#include "storage/trail/trail_catalog.h"
#include "storage/trail/trail_codec.h"
#include "storage/trail/trail_dictionaries.h"
#include "storage/trail/trail_environment.h"
#include "storage/trail/trail_ids.h"
#include "storage/trail/trail_reader.h"
#include "storage/trail/trail_summaries.h"
#include "storage/trail/trail_tail.h"

enum {
    CURSOR_ROWS_MAX = 256 * 1024,  // 10 MB
    OPEN_BLOCKS = 64,              // that are found again without asking for them; a power of two
};

// A block that was opened in a snapshot.
struct trail_reader_block {
    uint64_t snapshot;  // 0: none
    uint32_t index;
    struct block block;
};

struct trail_reader {
    struct trail_environment *environment;
    struct trail_format format;

    // What was there at the last snapshot.
    struct trail_head head;
    struct trail_catalog *catalog;
    struct trail_tail_chunk **chunks;  // in order of key
    uint32_t chunks_count;
    uint32_t chunks_capacity;
    char **agents;  // agent n is agents[n - 1]
    uint32_t agents_count;
    uint32_t agents_capacity;

    uint8_t *groups;  // whether its table was as written: 0 not asked yet
    uint32_t groups_count;

    MDB_txn *reading;  // active while is_reading
    bool is_reading;
    bool is_fresh;  // memory agrees with the snapshot snapshot_id
    size_t snapshot_id;
    int64_t entered_ms;
    uint64_t begun;                               // snapshots that were begun
    struct trail_reader_block open[OPEN_BLOCKS];  // by index; good within their snapshot

    struct trail_ids *ids;
    uint64_t id_queries;       // that were begun
    uint32_t cursor_rows_max;  // rows at hand above which a cursor takes frames in parts
    struct trail_dictionaries *dictionaries;
    struct block_scratch *scratch;
    struct zstd *zstd;
    struct json_reader *json;
    struct arena *arena;
};

// Begins a snapshot and brings the lists in memory up to it. Ended by trail_reader_leave before the
// public call returns.
MUST_CHECK bool trail_reader_enter(struct trail_reader *reader, struct fault *fault);
void trail_reader_leave(struct trail_reader *reader);

// Whether the snapshot is so old that it should be renewed.
bool trail_reader_is_due(const struct trail_reader *reader);

// In a long call: begins a newer snapshot if the present one is old. The lists stay as they are.
MUST_CHECK bool trail_reader_renew(struct trail_reader *reader, struct fault *fault);

// Reads the head of the present snapshot; the lists in memory may be older.
MUST_CHECK bool trail_reader_load_head(struct trail_reader *reader, struct trail_head *head,
                                       struct fault *fault);

// Opens a block by its index in the catalog; *found false if its day has been dropped since. What
// it is searched by is checked unless it was before (once in a process); texts are when they are
// read.
MUST_CHECK bool trail_reader_open_block(struct trail_reader *reader, uint32_t index, bool *found,
                                        struct block *block, struct fault *fault);

// The table of a group; *found false if there is none or it is damaged: all its blocks may hold
// anything then. Its sum is verified once in a process. FAULT_FULL, FAULT_IO.
MUST_CHECK bool trail_reader_group(struct trail_reader *reader, uint32_t group, bool *found,
                                   struct span *table, struct fault *fault);

// The blocks of a group that may hold an id of this hash; all of them if that is not known without
// opening them. Who asks often gets to know it: *may_learn lets a filter be made for this group,
// and is false afterwards. FAULT_FULL, FAULT_IO.
MUST_CHECK bool trail_reader_find_id(struct trail_reader *reader, uint32_t group, uint32_t id_hash,
                                     bool *may_learn, uint64_t *blocks, struct fault *fault);

// block_read_texts with the dictionary of the block's epoch.
MUST_CHECK bool trail_reader_read_texts(struct trail_reader *reader, const struct block *block,
                                        uint32_t frame, const uint64_t rows[2],
                                        struct span texts[BLOCK_FRAME_ROWS],
                                        struct span accounts[BLOCK_FRAME_ROWS],
                                        struct fault *fault);

// Adds "trail: block N of DAY" to the fault. Returns false.
bool trail_reader_blame(const struct trail_reader *reader, uint32_t index, struct fault *fault);

// A row of a chunk as readers get it; spans borrow from the chunk.
struct trail_row trail_reader_tail_row(const struct trail_tail_row *row);

// Tells what is wrong with agents, streams, gaps and quarantine, as far as each can be told alone.
// FAULT_IO.
MUST_CHECK bool trail_check_lists(struct trail_reader *reader,
                                  void (*on_fault)(void *user, const struct fault *found),
                                  void *user, struct fault *fault);
