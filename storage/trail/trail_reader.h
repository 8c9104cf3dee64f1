// trail_reader.h: the organization trail for readers, in any process, beside the writer or without
// it.
//
// No snapshot of LMDB outlives a call here (a long one would keep the writer from reusing space):
// cursors hold positions and copies, not pages, and work on while rows move from the tail into
// blocks. A query is bound to what was there when it began by its sequence_max, so that pages
// neither repeat nor skip while events arrive. A process that writes the trail (trail.h) reads it
// through the same open environment. A reader and its cursors belong to one thread; a process may
// have many readers. Callbacks must not call a reader (trail_reader_agent alone may be called).

#pragma once

#include <stdbool.h>
#include <stdint.h>

#include "base/fault.h"
#include "base/span.h"
#include "event/attribute.h"
#include "storage/block/block.h"
#include "storage/trail/trail_types.h"

struct trail_reader;

// Opens the trail of a directory read-only. FAULT_INPUT if there is none, FAULT_CORRUPT for a newer
// major format, FAULT_DENIED without permission (the text names the group).
MUST_CHECK bool trail_reader_open(const char *directory, struct trail_reader **reader,
                                  struct fault *fault);
void trail_reader_close(struct trail_reader *reader);

// The folder it was opened in.
const char *trail_reader_directory(const struct trail_reader *reader);

// The read transactions open now, of all processes; at most list_max of them.
uint32_t trail_reader_readings(struct trail_reader *reader, struct trail_reading *list,
                               uint32_t list_max);

// A number that another commit changes: as long as it is the same, so is what readers see.
MUST_CHECK bool trail_reader_commit(struct trail_reader *reader, uint64_t *commit,
                                    struct fault *fault);

struct trail_facts {
    uint16_t format_major;
    uint16_t format_minor;
    uint8_t epoch[TRAIL_EPOCH_SIZE];
    uint64_t sequence_last;  // of the newest event; 0: none
    uint64_t events;         // stored now
    uint64_t blocks;
    uint64_t tail_rows;
    uint64_t file_size;  // bytes used of the environment
    uint64_t text_size;  // bytes of all records in blocks
    int64_t time_min_s;  // of all events; meaningless without any
    int64_t time_max_s;
    uint64_t quarantined;        // entries
    uint64_t quarantined_count;  // refusals they stand for
    uint64_t gaps;
    int64_t retained_from_s;  // events before it are expired; 0: no day was dropped
    uint64_t dropped;         // events that went with their days
    uint64_t block_size;      // bytes of all blocks
};

// Numbers of the whole trail, now.
MUST_CHECK bool trail_reader_facts(struct trail_reader *reader, struct trail_facts *facts,
                                   struct fault *fault);

// Calls on_day for each day that has events, oldest first, until it returns false. Not exact while
// rows wait in the tail: `size` and `text_size` are those of blocks.
struct trail_day_facts {
    int64_t day;  // days since the Unix epoch, UTC
    uint64_t events;
    uint64_t size;
    uint64_t text_size;
};
MUST_CHECK bool trail_reader_days(struct trail_reader *reader,
                                  bool (*on_day)(void *user, const struct trail_day_facts *),
                                  void *user, struct fault *fault);

// The same for followers, in order of name.
MUST_CHECK bool trail_reader_followers(struct trail_reader *reader,
                                       bool (*on_follower)(void *user,
                                                           const struct trail_follower *),
                                       void *user, struct fault *fault);

// The certificate URI of an agent's number; the span lives until the reader is closed. Empty if
// there is none of this number. May also be called from the callbacks below.
MUST_CHECK bool trail_reader_agent(struct trail_reader *reader, uint32_t agent, struct span *uri,
                                   struct fault *fault);

// Calls on_stream, on_gap, on_quarantined for each one, until it returns false. FAULT_CORRUPT at
// the end if one could not be read.
MUST_CHECK bool trail_reader_streams(struct trail_reader *reader,
                                     bool (*on_stream)(void *user, const struct trail_stream *),
                                     void *user, struct fault *fault);
MUST_CHECK bool trail_reader_gaps(struct trail_reader *reader,
                                  bool (*on_gap)(void *user, const struct trail_gap *), void *user,
                                  struct fault *fault);
MUST_CHECK bool trail_reader_quarantine(struct trail_reader *reader,
                                        bool (*on_entry)(void *user,
                                                         const struct trail_quarantined *),
                                        void *user, struct fault *fault);

// Calls on_document for each document whose name begins so, in order of name, until it returns
// false. The spans live as long as the call.
MUST_CHECK bool trail_reader_documents(struct trail_reader *reader, struct span prefix,
                                       bool (*on_document)(void *user, struct span name,
                                                           struct span value),
                                       void *user, struct fault *fault);

// A stored event. Spans live until the next call on its cursor.
struct trail_row {
    uint64_t sequence;
    struct key key;
    uint32_t agent;
    uint32_t flags;  // enum of block.h
    int64_t received_ms;
    struct span text;
};

struct trail_query {
    const struct attribute *attributes;  // all must hold; borrowed as long as the cursor
    uint32_t attributes_count;
    const uint8_t *id;      // RECORD_ID_SIZE bytes: only events of this id; NULL: any. Borrowed too
    int64_t time_min_s;     // inclusive
    int64_t time_max_s;     // inclusive
    bool has_sequence_max;  // the query has a snapshot; otherwise it gets what there is now
    uint64_t sequence_max;  // the snapshot: only events up to this one; 0: of an empty trail
    bool newest_first;
    uint32_t
        rows_hint;   // how many events will be asked for: a page is found as a whole; 0: unknown
    bool has_after;  // only events behind this position in the order asked for
    struct key after;
    bool is_bare;  // rows come without sequence, agent, flags and time of receipt (all 0): cheaper
};

// Events that match, in the order (eventTime, id, account), oldest or newest first. Index hits are
// verified on the record. A cursor's memory stays under 64 MiB and one block, whatever matches. The
// reader has beside it the list of blocks (128 bytes each), the tail (TRAIL_TAIL_SIZE_MAX of text
// and what a commit adds), and of the dictionaries what was used lately, which all readers of a
// process share: TRAIL_DICTIONARIES_SIZE_MAX (96 MiB), and beyond that only what one frame of each
// refers to.
struct trail_cursor;
MUST_CHECK bool trail_cursor_open(struct trail_reader *reader, const struct trail_query *query,
                                  struct trail_cursor **cursor, struct fault *fault);
void trail_cursor_close(struct trail_cursor *cursor);

// The next row; *found false at the end. FAULT_CORRUPT names the damaged block.
MUST_CHECK bool trail_cursor_next(struct trail_cursor *cursor, bool *found, struct trail_row *row,
                                  struct fault *fault);

// The record of the row given last, if it was read to see whether it matches; NULL if it was not.
// Lives until the reader is used again.
struct record;
const struct record *trail_cursor_record(const struct trail_cursor *cursor);

// The snapshot the cursor is bound to.
uint64_t trail_cursor_sequence_max(const struct trail_cursor *cursor);

// Events in order of arrival, each once: those with sequence > after, up to what is there now.
// Calls on_row until it returns false or none is left; *last is the sequence of the last one given
// (`after` if none was). FAULT_CORRUPT comes in the place of events that cannot be read: the text
// names their sequences and *last is the last of them, so that a call with it goes on behind them.
MUST_CHECK bool trail_reader_follow(struct trail_reader *reader, uint64_t after,
                                    bool (*on_row)(void *user, const struct trail_row *row),
                                    void *user, uint64_t *last, struct fault *fault);

// Columns of all frames with events in the range, in no order: for scans. A frame at the edge also
// holds events outside the range: look at time_s. `which` as in block_read_columns. Columns live
// until on_columns returns; false ends the scan. FAULT_CORRUPT at the end if something could not be
// read: all else has been given.
MUST_CHECK bool trail_reader_scan(struct trail_reader *reader, int64_t time_min_s,
                                  int64_t time_max_s, uint32_t which,
                                  bool (*on_columns)(void *user, const struct block_columns *),
                                  void *user, struct fault *fault);

// The same with the attributes of one kind alone, for aggregates: costs a third of all attributes
// or less. `columns` has times and ids.
MUST_CHECK bool trail_reader_scan_kind(
    struct trail_reader *reader, int64_t time_min_s, int64_t time_max_s, enum attribute_kind kind,
    bool (*on_kind)(void *user, const struct block_columns *columns, const struct block_kind *kind),
    void *user, struct fault *fault);

// What trail_reader_check found. Zeroed before.
struct trail_check {
    uint32_t hash_bits;  // tests: significant bits of keys' hashes, to force collisions; 0: 64
    uint64_t blocks;
    uint64_t events;
    uint64_t faults;
};

// Verifies blocks, tail, dictionaries and group tables: checksums, decodes and rebuilds every
// record, sequence numbers dense from 1 (but for dropped days), keys unique, summaries and indexes
// true; agents, streams, gaps and quarantine, each for itself. The counts of the head are taken as
// they are. on_fault is called for each thing wrong, with text that names block and row, or key;
// on_progress now and then.
MUST_CHECK bool trail_reader_check(struct trail_reader *reader,
                                   void (*on_fault)(void *user, const struct fault *found),
                                   void (*on_progress)(void *user, uint64_t done, uint64_t all),
                                   void *user, struct trail_check *check, struct fault *fault);
