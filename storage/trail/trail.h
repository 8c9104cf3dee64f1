// trail.h: the organization trail for its one writer: append, quarantine, agents, in one commit.
//
// Each stored event has a sequence number: the first is 1, the next is one more, none is used
// twice. An event is stored at most once; its key decides whether it is new. Nothing is ever
// updated or rewritten; small commits lie in a tail until there are enough rows for a block.
// Everything between trail_begin and trail_commit becomes durable together or not at all. Layout:
// docs/store.md.
//
// Threads: one thread of one process (a lock file holds that) opens, appends and closes. Readers,
// in any process, use trail_reader.h.

#pragma once

#include <stdbool.h>
#include <stdint.h>

#include "base/clock.h"
#include "base/fault.h"
#include "base/random.h"
#include "base/span.h"
#include "event/key.h"
#include "event/record.h"
#include "storage/trail/trail_types.h"

struct trail;

struct trail_options {
    const char *directory;    // exists, mode 0750
    uint64_t map_size;        // of LMDB's map at the start; 0: 1 TiB. Grows by itself when full
    uint64_t size_max;        // FAULT_FULL before the file passes this many bytes; 0: no limit
    uint64_t free_min;        // FAULT_FULL when the disk has less free than this; 0: no check
    uint32_t tail_rows_max;   // rows of the tail that make a block; 0: 4096
    uint32_t block_rows_min;  // rows of one day in one commit that go past the tail; 0: 1024
    uint32_t window_ids;      // ids of the dedupe window; 0: 512 Ki (11 MiB of memory when full)
    uint32_t window_traces;   // of ids before them, 2 bytes each; 0: 8 Mi (22 MiB when full)
    uint32_t window_bits;     // tests: significant bits of the window's hash, to force collisions;
                              // 0: 64
    bool no_sync;             // only for the simulator: a commit is in the file, not on the disk
    const struct clock *clock;
    const struct random *random;
};

// Opens the trail in a directory, makes a new one if it is empty. FAULT_RETRY if another process
// has it open for writing; FAULT_CORRUPT if the directory holds something else or a newer major
// format (the text names both versions); FAULT_INPUT if there is no directory; FAULT_DENIED;
// FAULT_FULL; FAULT_IO.
MUST_CHECK bool trail_open(const struct trail_options *options, struct trail **trail,
                           struct fault *fault);

// Closes it; what was not committed is gone. NULL is allowed.
void trail_close(struct trail *trail);

// The folder it was opened in.
const char *trail_directory(const struct trail *trail);

// Whether trail_open found something damaged and went on beside it: a part of the tail (its events
// keep their numbers and cannot be read or told from copies), a dictionary (a new one begins), an
// agent or a stream (begins anew). *damage says what was first and how much there is; report it.
bool trail_is_damaged(const struct trail *trail, struct fault *damage);

// How much of it, and how many texts did not come back from their block as they were and were
// stored as they are: not 0 means a mistake in this program. For metrics.
uint32_t trail_damages(const struct trail *trail);
uint64_t trail_mismatches(const struct trail *trail);

// How often a block was opened since trail_open to ask whether it holds an event that was offered:
// what new events cost where the window of ids is too small. For metrics.
uint64_t trail_asked_blocks(const struct trail *trail);

// The store's random 16-byte epoch, new when the store is made or restored.
void trail_epoch(const struct trail *trail, uint8_t epoch[TRAIL_EPOCH_SIZE]);

// Where the store comes from.
const struct trail_origin *trail_get_origin(const struct trail *trail);

// In a commit: notes that it has the event.
MUST_CHECK bool trail_tell_origin(struct trail *trail, struct fault *fault);

// For trail_restore alone, outside a commit: this is a store restored from a backup of that time,
// with an epoch of its own. FAULT as trail_commit.
MUST_CHECK bool trail_renew_epoch(struct trail *trail, int64_t backup_ms, struct fault *fault);

// The read transactions that are open now, at most list_max of them. None lives longer than a
// second, but for a backup's: one that does keeps room from being used again.
uint32_t trail_readings(struct trail *trail, struct trail_reading *list, uint32_t list_max);

// The sequence of the newest event that is durable; 0: none.
uint64_t trail_sequence_last(const struct trail *trail);

// Begins one commit: up to TRAIL_COMMIT_ROWS_MAX entries and, so that memory and room stay bounded,
// TRAIL_COMMIT_SIZE_MAX bytes of texts and quarantine in all. FAULT_FULL if there is no room to
// begin with; FAULT_IO.
MUST_CHECK bool trail_begin(struct trail *trail, struct fault *fault);

// The same for a commit that makes room or lets it be made (a day goes, a follower moves): it may
// use what free_min and the reserve of size_max keep free.
MUST_CHECK bool trail_begin_reserved(struct trail *trail, struct fault *fault);

// An event on its way in. Borrowed for the call of trail_add, but for the bytes of record->text,
// which are borrowed until commit or abort: one json_reader may serve all records of a commit.
struct trail_entry {
    const struct record *record;
    struct span account;  // it was given to, by the account rule
    uint32_t agent;       // trail_agent_number
    bool is_own;          // an event of orgtrail itself
    int64_t received_ms;
};

// Says that an event of this key will be offered in this commit. All that are expected are looked
// for together when the next event is offered, which costs far less where many blocks share their
// time. It changes no outcome; what comes unexpected is looked for alone, and what is expected need
// not come.
void trail_expect(struct trail *trail, const struct key *key);

// Offers an event. *outcome says what became of it; duplicates within the commit are found too.
// FAULT_CORRUPT: a block needed to decide is damaged; the commit is as before and may go on.
// FAULT_FULL, FAULT_IO, FAULT_INPUT (the text is no JSON): abort.
MUST_CHECK bool trail_add(struct trail *trail, const struct trail_entry *entry,
                          enum trail_outcome *outcome, struct fault *fault);

// Keeps refused bytes. The key is SHA-256 of bytes, reason and agent: a repeat only counts up
// (*is_new false).
MUST_CHECK bool trail_quarantine(struct trail *trail, const struct trail_refused *refused,
                                 bool *is_new, struct fault *fault);

// Finds an entry that was in quarantine before this commit, with its bytes; all of it is copied and
// lives as long as the commit.
MUST_CHECK bool trail_quarantine_get(struct trail *trail, const uint8_t key[TRAIL_REFUSED_KEY_SIZE],
                                     bool *found, struct trail_quarantined *entry,
                                     struct fault *fault);

// Takes an entry out, as trail_quarantine_get gave it in this commit. Nothing of this commit may
// refuse the same bytes of the same agent for the same reason.
MUST_CHECK bool trail_quarantine_remove(struct trail *trail, const struct trail_quarantined *entry,
                                        struct fault *fault);

// Bytes that an agent has in quarantine, for its limit.
uint64_t trail_quarantine_size(const struct trail *trail, uint32_t agent);

// The number of an agent's certificate URI; a new URI gets the next number in this commit. 1 is
// orgtrail itself ("orgtrail.local").
MUST_CHECK bool trail_agent_number(struct trail *trail, struct span uri, uint32_t *agent,
                                   struct fault *fault);

// The state of one (agent, stream), zeroed with *found false if it is new. Also between commits.
MUST_CHECK bool trail_stream_find(struct trail *trail, uint32_t agent,
                                  const uint8_t stream_id[TRAIL_STREAM_ID_SIZE],
                                  struct trail_stream *stream, bool *found, struct fault *fault);

// How many streams of an agent are saved. Looks at those of all agents.
uint32_t trail_streams_count(const struct trail *trail, uint32_t agent);

// Calls on_stream for each stream, in no order, until it returns false. Also between commits.
void trail_streams_walk(const struct trail *trail,
                        bool (*on_stream)(void *user, const struct trail_stream *stream),
                        void *user);

// The certificate URI of an agent's number; empty if there is none.
struct span trail_agent_uri(const struct trail *trail, uint32_t agent);

// Saves it in this commit.
MUST_CHECK bool trail_stream_put(struct trail *trail, const struct trail_stream *stream,
                                 struct fault *fault);

// Saves a gap. The same gap again changes nothing (*is_new false).
MUST_CHECK bool trail_gap_put(struct trail *trail, const struct trail_gap *gap, bool *is_new,
                              struct fault *fault);

// Keeps a value under a name (1 to TRAIL_NAME_SIZE_MAX bytes) in this commit, in place of the one
// there was. An empty value: none is kept any more. Both are copied.
MUST_CHECK bool trail_document_put(struct trail *trail, struct span name, struct span value,
                                   struct fault *fault);

// Finds the value that was kept under a name before this commit. It lives as long as the commit.
MUST_CHECK bool trail_document_get(struct trail *trail, struct span name, bool *found,
                                   struct span *value, struct fault *fault);

// Makes all of it durable. Waits for the disk. FAULT_FULL: nothing of it is stored, the trail is as
// before, the same entries may be offered again later. FAULT_IO: nobody knows; the process ends.
// After any failure the commit is over (no trail_abort).
MUST_CHECK bool trail_commit(struct trail *trail, struct trail_receipt *receipt,
                             struct fault *fault);

// Forgets everything since trail_begin.
void trail_abort(struct trail *trail);

// One bounded unit of upkeep outside a commit: moves the tail into blocks when its oldest row has
// waited 24 h, clears readers that died. FAULT as trail_commit.
MUST_CHECK bool trail_upkeep(struct trail *trail, struct fault *fault);
