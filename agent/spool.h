// spool.h: what the sources have read and the collector has not yet acknowledged, on disk.
//
// A spool is a folder of append-only segments. Each record (or notice) in it is a frame with a
// number: the first is 1, the next is one more. The position of its source stands in the same
// frame, so that one sync makes both durable. docs/spool.md has the format and the laws.
//
//   - A frame may be sent only after it was synced: spool_reader gives no other.
//   - A number is given up only when the collector has acknowledged it. Acknowledged frames stay
//     until their space is needed, so that a restored collector can be refilled.
//   - A full spool refuses (FAULT_FULL) and changes nothing: whoever feeds it waits.
//   - On the wire a number is the frame's number minus the base; the stream id and the base change
//     together, by one rename, when the collector turns out to know another history.
//   - After a failed sync nobody knows what the disk holds: FAULT_IO, the process ends.
//
// One thread. Everything waits for the disk but spool_acknowledge and what only asks.

#pragma once

#include <stdbool.h>
#include <stdint.h>

#include "base/clock.h"
#include "base/fault.h"
#include "base/files.h"
#include "base/random.h"
#include "base/span.h"

enum {
    SPOOL_CHAIN_SIZE = 16,                    // bytes of a chain value
    SPOOL_ID_SIZE = 16,                       // bytes of a stream id, of the spool's own id
    SPOOL_EPOCH_SIZE_MAX = 32,                // bytes of a collector's epoch
    SPOOL_SOURCES_MAX = 256,                  // sources a spool ever had, by name
    SPOOL_NAME_SIZE = 64,                     // bytes of a source's name or kind with final zero
    SPOOL_POSITION_SIZE_MAX = 1024,           // bytes of one source's position
    SPOOL_OBJECT_SIZE_MAX = 1024,             // bytes of an object's name: an S3 key's limit
    SPOOL_RECORD_SIZE_MAX = 1024 * 1024,      // bytes of one record, as on the wire
    SPOOL_SEGMENT_SIZE = 16 * 1024 * 1024,    // a new segment is begun past this
    SPOOL_BUFFER_SIZE_MAX = 4 * 1024 * 1024,  // frames appended and not yet written
};

#define SPOOL_SIZE_MAX_DEFAULT (UINT64_C(1) << 30)

struct spool;

enum spool_kind {
    SPOOL_RECORD = 0,  // one record, verbatim
    SPOOL_NOTICE = 1,  // a serialized Notice of proto/orgtrail.proto
};

// A source as the spool knows it. Names are its identity; they are remembered for ever.
struct spool_source {
    char name[SPOOL_NAME_SIZE];
    char kind[SPOOL_NAME_SIZE];
};

struct spool_options {
    const struct files *files;
    const struct clock *clock;
    const struct random *random;
    const char *directory;               // exists; copied
    uint64_t size_max;                   // bytes of all segments; 0: SPOOL_SIZE_MAX_DEFAULT
    uint32_t segment_size;               // 0: SPOOL_SEGMENT_SIZE; less on small disks
    const struct spool_source *sources;  // of this run; new names get the next free index
    uint32_t sources_count;
};

// Opens the spool in a folder, makes one if the folder is empty, and takes its lock. Cuts a torn
// tail off: frames that were never synced, or that a broken disk damaged behind the last known
// sync (their positions go with them, so that sources read them again). What is left is synced:
// a process that was killed may have written it without.
// FAULT_RETRY if another process has it, FAULT_INPUT for too many sources, a size that is too
// small or a spool of a newer version, FAULT_CORRUPT if what is there is not usable at all,
// FAULT_DENIED, FAULT_FULL, FAULT_IO.
MUST_CHECK bool spool_open(const struct spool_options *options, struct spool **spool,
                           struct fault *fault);

// Closes it; what was not synced is dropped. NULL is allowed.
void spool_close(struct spool *spool);

// --- feeding it

// What goes into a frame. Spans are borrowed for the call.
struct spool_item {
    enum spool_kind kind;
    uint32_t source;       // from spool_source_index
    struct span record;    // 1 to SPOOL_RECORD_SIZE_MAX bytes
    struct span object;    // name of the object it came from, or empty
    struct span position;  // from where its source goes on after it
    bool is_urgent;        // may pass the spool's limit: nothing can be sent before it is in
};

// Appends a frame to the buffer. It has its number now, and is durable after the next spool_sync.
// FAULT_FULL if the spool is at its limit, the disk is full, or the buffer could not be written:
// nothing was taken, try again later. FAULT_IO.
MUST_CHECK bool spool_append(struct spool *spool, const struct spool_item *item, uint64_t *number,
                             struct fault *fault);

// Makes everything appended durable, with one sync. FAULT_FULL: the disk is full; what was appended
// is still in the buffer, call again later. FAULT_IO: end the process.
MUST_CHECK bool spool_sync(struct spool *spool, struct fault *fault);

// The same without waiting for it: waits only for a sync begun before, so that what had been
// appended by then is durable now. Faults as spool_sync, FAULT_IO also of the one before.
MUST_CHECK bool spool_sync_begin(struct spool *spool, struct fault *fault);

// Whether a sync is under way, so that the next one would have to wait for it.
bool spool_is_syncing(const struct spool *spool);

// --- acknowledgement

// The collector holds everything up to this frame number (at most the last synced one). Less than
// before is ignored. In memory only: durable with the next spool_save.
void spool_acknowledge(struct spool *spool, uint64_t number);

// The collector lost what lies behind this number (it was restored): those frames are
// unacknowledged again. In memory only; repeated by every Welcome until it has them.
void spool_unacknowledge(struct spool *spool, uint64_t number);

// Makes the acknowledged number and the collector's epoch durable. Cheap enough for every few
// seconds; a crash before it only means that less is known as acknowledged. Nothing to do: returns
// at once. FAULT_FULL: try again later. FAULT_IO.
MUST_CHECK bool spool_save(struct spool *spool, struct fault *fault);

// Remembers the collector's epoch; durable with the next spool_save. At most SPOOL_EPOCH_SIZE_MAX
// bytes.
void spool_set_epoch(struct spool *spool, struct span epoch);

// Takes a new stream id under which the whole spool will be sent: its oldest frame is number 1 on
// the wire, nothing is acknowledged, the epoch stays. Durable when it returns; on failure all is as
// before.
MUST_CHECK bool spool_restream(struct spool *spool, struct fault *fault);

// --- asking

struct spool_facts {
    uint8_t spool_id[SPOOL_ID_SIZE];   // of this folder, for ever
    uint8_t stream_id[SPOOL_ID_SIZE];  // on the wire
    uint64_t base;                     // number on the wire = frame number - base
    uint64_t first;                    // oldest frame there is; synced + 1 if there is none
    uint64_t acknowledged;             // last frame the collector holds
    uint64_t synced;                   // last durable frame
    uint64_t appended;                 // last frame given a number
    uint64_t size;                     // bytes of all segments
    uint64_t unacknowledged_size;      // bytes of them not acknowledged, about
    uint64_t size_max;
};

// How it stands now.
void spool_describe(const struct spool *spool, struct spool_facts *facts);

// The collector's epoch as last set; empty if there is none. Borrowed until it is set again.
struct span spool_epoch(const struct spool *spool);

// The index of a source by name; UINT32_MAX if there is none.
uint32_t spool_source_index(const struct spool *spool, const char *name);

// All sources there ever were, in the order of their indexes. Borrowed for the spool's life.
const struct spool_source *spool_sources(const struct spool *spool, uint32_t *count);

// The position in the last frame of a source (appended counts); empty if it never had one. Borrowed
// until the next append.
struct span spool_position(const struct spool *spool, uint32_t source);

// The position of a source before the oldest frame that spool_reader_seek can still reach when
// asked for `number` (the start of its segment); empty if it had none. *before is that frame's
// number. The span is borrowed until the next call.
MUST_CHECK bool spool_position_before(struct spool *spool, uint64_t number, uint32_t source,
                                      uint64_t *before, struct span *position, struct fault *fault);

// The chain after frame `number` (0 to synced). *known is false if the spool cannot say: the number
// is older than its oldest frame, or lies in a damaged place. FAULT_IO.
MUST_CHECK bool spool_chain_after(struct spool *spool, uint64_t number, bool *known,
                                  uint8_t chain[SPOOL_CHAIN_SIZE], struct fault *fault);

// --- reading it

// Reads synced frames in order. Any number of readers; each has a buffer of its own.
struct spool_reader;

// A frame. Spans are borrowed until the reader's next call.
struct spool_frame {
    uint64_t number;
    enum spool_kind kind;
    uint32_t source;
    int64_t appended_ms;              // when it was appended, wall clock
    uint8_t chain[SPOOL_CHAIN_SIZE];  // before this frame
    struct span record;
    struct span object;
    struct span position;
    uint64_t size;  // bytes of the whole frame
};

// Numbers that were synced once and cannot be read any more.
struct spool_gap {
    uint64_t first;
    uint64_t last;
    uint8_t chain[SPOOL_CHAIN_SIZE];  // after the last one
};

enum spool_next {
    SPOOL_NEXT_FRAME,  // *frame is set
    SPOOL_NEXT_GAP,    // *gap is set: reading goes on behind it
    SPOOL_NEXT_END,    // nothing more is synced now; call again later
    SPOOL_NEXT_FAULT,  // *fault is set (FAULT_IO)
};

// NULL if memory runs out. Destroy it before the spool is closed.
struct spool_reader *spool_reader_create(struct spool *spool);
void spool_reader_destroy(struct spool_reader *reader);

// The next frame to read is this one, or the oldest there is if that is newer.
void spool_reader_seek(struct spool_reader *reader, uint64_t number);

// Reads the next frame.
enum spool_next spool_reader_next(struct spool_reader *reader, struct spool_frame *frame,
                                  struct spool_gap *gap, struct fault *fault);
