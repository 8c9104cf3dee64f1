// trail_internal.h: the writer's parts, as its own files see them.

#pragma once

#include <stdbool.h>
#include <stdint.h>

#include "base/arena.h"
#include "base/buffer.h"
#include "base/hash.h"
#include "base/json.h"
#include "base/zstd.h"
#include "storage/block/block.h"
#include "storage/block/dictionary.h"
#include "storage/trail/trail.h"
#include "storage/trail/trail_catalog.h"
#include "storage/trail/trail_codec.h"
#include "storage/trail/trail_dictionaries.h"
#include "storage/trail/trail_environment.h"
#include "storage/trail/trail_expect.h"
#include "storage/trail/trail_summaries.h"
#include "storage/trail/trail_window.h"

enum {
    TRAIL_TAIL_SIZE_MAX = 16 * 1024 * 1024,      // bytes of text that end the waiting as rows do
    TRAIL_BLOCK_TEXT_SIZE = 48 * 1024 * 1024,    // bytes of text that end a block as rows do
    TRAIL_VALUES_SIZE_MAX = 1024 * 1024 * 1024,  // bytes of all values of one commit
    TRAIL_MEMO_COUNT = 1024,                     // seconds known to be covered by the window
};

// Rows of one commit and day that wait in the tail, with memory of their own.
struct trail_waiting {
    uint64_t key;
    int64_t day;
    int64_t oldest_ms;  // smallest time of receipt
    size_t text_size;
    uint32_t rows_count;
    struct block_row *rows;
    uint8_t *memory;
};

struct trail_tail_mirror {
    struct trail_waiting *chunks;  // in order of key
    uint32_t chunks_count;
    uint32_t chunks_capacity;
    uint32_t rows_count;
    size_t text_size;
};

// A second whose blocks all are in the window of this generation, or have left their traces there.
struct trail_memo {
    int64_t time_s;
    uint64_t generation;
    bool has_traces;
};

enum { TRAIL_LOPSIDED_KEYS = 64 };

// What this commit spent on comparing large stored records with small ones: each costs its sender
// next to nothing and us a parse of the large one.
struct trail_lopsided {
    size_t spent;  // bytes of stored records
    struct {
        struct key key;
        size_t size;               // 0: none
    } large[TRAIL_LOPSIDED_KEYS];  // stored records compared lately, by the key's hash
};

struct trail_state;

// A document of the commit; its spans lie in the commit's arena.
struct trail_document {
    struct span name;
    struct span value;
};

// Where the giving back of dropped days' room is.
struct trail_sweep {
    enum { SWEEP_BLOCKS, SWEEP_GROUPS, SWEEP_DICTIONARIES, SWEEP_DONE } phase;
    uint64_t next;      // group or epoch to look at
    uint32_t changes;   // blocks or chunks of a step; fewer while there is no room
    uint64_t size;      // of the file after the last step; 0: another is due at once
    uint64_t waiting;   // blocks of dropped days when the last of these had gone; 0: not counted
    uint64_t returned;  // bytes of blocks given back since somebody asked
    bool is_behind;     // they are of more than one day
    bool was_refused;   // the last commit found no room, and no step was made since
    bool is_unused;     // no commit was made since the last step, so that none can use its room yet
};

// Followers as they are on the disk and as the commit will leave them, in order of name.
struct trail_followers {
    struct trail_follower kept[TRAIL_FOLLOWERS_MAX];
    struct trail_follower staged[TRAIL_FOLLOWERS_MAX];
    uint32_t kept_count;
    uint32_t staged_count;
    bool is_changed;
};

struct trail {
    struct trail_options options;
    struct trail_environment *environment;
    int lock;
    struct trail_format format;
    struct hash_key key_hash;      // of the secret, for the window's keys
    struct hash_key content_hash;  // of the secret, for texts
    struct trail_head head;        // as it is on the disk

    struct trail_catalog *catalog;
    struct trail_window *window;
    struct trail_memo memos[TRAIL_MEMO_COUNT];
    struct trail_expect *expect;
    uint64_t asked;  // blocks, for ids
    struct dictionary *dictionary;
    struct trail_dictionaries *dictionaries;
    struct trail_tail_mirror tail;
    struct trail_state *state;  // agents, streams, quarantine, gaps

    struct block_scratch *scratch;
    struct zstd *zstd;
    struct json_reader *json[2];
    struct arena *record_arena;  // of one record

    uint32_t damages;     // what trail_open found
    struct fault damage;  // the first of it

    struct trail_document *documents;  // of this commit
    uint32_t documents_count;
    uint32_t documents_capacity;

    bool is_committing;
    MDB_txn *reading;  // active while is_reading
    bool is_reading;

    struct arena *arena;  // of the commit
    struct block_row *rows;
    uint64_t **window_values;  // of the rows, to take them back
    uint32_t rows_count;
    uint32_t offered;
    bool uses_reserve;
    int64_t retain_from_s;  // the days before it go with this commit; 0: none
    struct trail_lopsided lopsided;

    struct trail_origin origin;
    struct trail_sweep sweep;
    bool is_short;        // the disk has less free than free_min
    uint64_t short_size;  // of the file then, and what was given back since; at most its size
    struct trail_followers followers;

    struct trail_change *changes;
    uint32_t changes_count;
    uint32_t changes_capacity;
    struct buffer values;
    struct buffer bytes;  // for what is made before it goes into values
};

// trail.c

// Remembers something damaged that trail_open goes on without. Returns true if it may.
bool trail_pass_over(struct trail *trail, const struct fault *reason, struct fault *fault);

// Begins a snapshot; ended by trail_end_reading.
MUST_CHECK bool trail_begin_reading(struct trail *trail, struct fault *fault);

// Ends the snapshot of the commit, if it is still there.
void trail_end_reading(struct trail *trail);

// The 64-bit key of the window, and the window's value for a text.
uint64_t trail_hash_key(const struct trail *trail, const struct key *key);
uint64_t trail_hash_content(const struct trail *trail, struct span text);

// trail_dedupe.c

// Opens a block by its index in the catalog. What it is searched by is checked once in a process.
// FAULT_CORRUPT names the block, also if it is missing.
MUST_CHECK bool trail_open_block(struct trail *trail, uint32_t index, struct block *block,
                                 struct fault *fault);

// Notes that a block holds so many of the ids it was asked for; after enough of them all its keys
// are taken into the window, if there is room.
MUST_CHECK bool trail_take_in_if_due(struct trail *trail, uint32_t index, const struct block *block,
                                     uint32_t hits, bool *is_taken, struct fault *fault);

// Decides whether the event is stored already.
MUST_CHECK bool trail_dedupe(struct trail *trail, const struct key *key, uint64_t hash,
                             uint64_t content, struct span text, enum trail_outcome *outcome,
                             struct fault *fault);

// trail_commit.c

// Writes what the commit has; with flush_tail all that waits in the tail goes into blocks too.
MUST_CHECK bool trail_write_commit(struct trail *trail, bool flush_tail, struct fault *fault);

// Appends a change whose value is what was appended to trail->values since value_offset.
MUST_CHECK bool trail_add_change(struct trail *trail, enum trail_database database, struct span key,
                                 size_t value_offset, bool is_append, struct fault *fault);
MUST_CHECK bool trail_add_delete(struct trail *trail, enum trail_database database, struct span key,
                                 struct fault *fault);

// trail_rows.c

// Fills a row from a record; attributes are copied into the arena, the text is borrowed.
MUST_CHECK bool trail_make_row(struct arena *arena, const struct trail_entry *entry,
                               const struct key *key, struct block_row *row, struct fault *fault);

// Copies rows, all of one day, to the end of the mirror. FAULT_FULL if memory runs out.
MUST_CHECK bool trail_mirror_add(struct trail_tail_mirror *mirror, const struct block_row *rows,
                                 uint32_t rows_count, struct fault *fault);

// Empties the chunk at an index; trail_mirror_close_up closes the gaps that this leaves.
void trail_mirror_remove(struct trail_tail_mirror *mirror, uint32_t index);
void trail_mirror_close_up(struct trail_tail_mirror *mirror);
void trail_mirror_done(struct trail_tail_mirror *mirror);

// trail_document.c

// Adds the documents to the commit's changes.
MUST_CHECK bool trail_documents_write(struct trail *trail, struct fault *fault);

// trail_retention.c

// Whether an event of this second is expired, by the trail or by the commit at hand.
bool trail_is_expired(const struct trail *trail, int64_t time_s);

// The first day that is retained after this commit.
int64_t trail_first_day(const struct trail *trail);

// Adds to the commit, and to its head, that days go.
MUST_CHECK bool trail_retention_write(struct trail *trail, struct trail_head *head,
                                      struct fault *fault);

// The commit is on the disk: memory forgets those days.
void trail_retention_adopt(struct trail *trail);

// trail_followers.c

// Loads them. Reads through trail->reading.
MUST_CHECK bool trail_followers_open(struct trail *trail, struct fault *fault);

// Adds the commit's changes of them.
MUST_CHECK bool trail_followers_write(struct trail *trail, struct fault *fault);

// The commit succeeded, or it failed.
void trail_followers_end(struct trail *trail, bool committed);

// trail_origin.c

// Loads it. Reads through trail->reading.
MUST_CHECK bool trail_origin_open(struct trail *trail, struct fault *fault);

// trail_state.c

// Loads agents, streams and sizes of quarantine. Reads through trail->reading.
MUST_CHECK bool trail_state_open(struct trail *trail, struct fault *fault);
void trail_state_close(struct trail_state *state);

// Whether the commit has changed anything of it.
bool trail_state_is_changed(const struct trail_state *state);

// Adds its changes to the commit, and its counts to the head.
MUST_CHECK bool trail_state_write(struct trail *trail, struct trail_head *head,
                                  struct fault *fault);

// The newest eventTime that a stream brought.
int64_t trail_state_newest_s(const struct trail_state *state);

// The commit succeeded, or it failed.
void trail_state_keep(struct trail_state *state);
void trail_state_forget(struct trail_state *state);
