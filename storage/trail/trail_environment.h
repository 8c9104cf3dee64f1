// trail_environment.h: the door to LMDB: one open environment per directory and process.
//
// LMDB forbids opening one environment twice in a process (closing one would drop the other's
// locks), so that opens of the same directory share it: the writer and any number of readers. What
// a fork inherits is left alone. Read transactions are short and hold the gate shared; growing the
// map takes it alone. Values read are borrowed until the read ends.
//
// Threads: opens and closes from any thread; one thread writes; a read begins and ends on one
// thread, which has no other read open meanwhile where the map may change (it would wait for
// itself).

#pragma once

#include <lmdb.h>
#include <stdbool.h>
#include <stdint.h>

#include "base/fault.h"
#include "base/span.h"
#include "storage/trail/trail_types.h"

// Named databases; docs/store.md has their keys and values.
enum trail_database {
    TRAIL_DATABASE_META,
    TRAIL_DATABASE_BLOCK,
    TRAIL_DATABASE_SUMMARY,
    TRAIL_DATABASE_GROUP,
    TRAIL_DATABASE_DICTIONARY,
    TRAIL_DATABASE_TAIL,
    TRAIL_DATABASE_AGENT,
    TRAIL_DATABASE_STREAM,
    TRAIL_DATABASE_QUARANTINE,
    TRAIL_DATABASE_GAP,
    TRAIL_DATABASE_DOCUMENT,
    TRAIL_DATABASES,
};

enum {
    TRAIL_PAGE_SIZE = 4096,   // of LMDB
    TRAIL_KEY_SIZE_MAX = 96,  // bytes of a key
    TRAIL_READERS_MAX = 512,  // read transactions at a time, of all processes
};

struct trail_environment;

struct trail_environment_options {
    const char *directory;
    uint64_t map_size;  // 0: TRAIL_MAP_SIZE
    uint64_t size_max;  // 0: no limit
    bool read_only;
    bool no_sync;
};

// Opens, or joins what this process has open. Only the writer makes an environment. FAULT_INPUT if
// there is none to read; FAULT_CORRUPT if the file is no store or was cut; FAULT_DENIED;
// FAULT_RETRY when asked to write what this process has open read-only; FAULT_IO.
MUST_CHECK bool trail_environment_open(const struct trail_environment_options *options,
                                       struct trail_environment **environment, struct fault *fault);

// Leaves it; the last user closes it. All its transactions have been freed. NULL is allowed.
void trail_environment_close(struct trail_environment *environment);

// Begins a snapshot; *transaction is NULL at first and reused after. FAULT_RETRY if too many read;
// FAULT_CORRUPT if the file was cut meanwhile (*transaction is NULL then): behind its end a read
// would kill the process.
MUST_CHECK bool trail_environment_begin(struct trail_environment *environment,
                                        MDB_txn **transaction, struct fault *fault);

// Ends the snapshot and keeps the transaction for reuse.
void trail_environment_end(struct trail_environment *environment, MDB_txn *transaction);

// Frees it; NULL is allowed.
void trail_environment_free(MDB_txn *transaction);

// Finds a value. FAULT_IO or FAULT_CORRUPT from LMDB.
MUST_CHECK bool trail_environment_get(struct trail_environment *environment, MDB_txn *transaction,
                                      enum trail_database database, struct span key, bool *found,
                                      struct span *value, struct fault *fault);

// The same for a key that is a number.
MUST_CHECK bool trail_environment_get_number(struct trail_environment *environment,
                                             MDB_txn *transaction, enum trail_database database,
                                             uint64_t number, bool *found, struct span *value,
                                             struct fault *fault);

// A walk over a database in order of key.
struct trail_walk {
    MDB_cursor *cursor;  // NULL: the store has no such database yet
    MDB_cursor_op next;
};

// Begins at the first key, or for databases with numbers as keys at the first one >= from.
MUST_CHECK bool trail_environment_walk(struct trail_environment *environment, MDB_txn *transaction,
                                       enum trail_database database, uint64_t from,
                                       struct trail_walk *walk, struct fault *fault);

// The same from a key that is there or not, or (is_behind) behind it; an empty one is before all.
MUST_CHECK bool trail_environment_walk_after(struct trail_environment *environment,
                                             MDB_txn *transaction, enum trail_database database,
                                             struct span key, bool is_behind,
                                             struct trail_walk *walk, struct fault *fault);

// The next pair; *found false at the end. The walk is ended by trail_walk_end in any case.
MUST_CHECK bool trail_walk_next(struct trail_walk *walk, bool *found, struct span *key,
                                struct span *value, struct fault *fault);
void trail_walk_end(struct trail_walk *walk);

// The number that a key of such a database is.
uint64_t trail_walk_number(struct span key);

// One change of a commit. The value lies in the commit's buffer.
struct trail_change {
    enum trail_database database;
    bool is_delete;  // a missing key is no failure
    bool is_append;  // the key is greater than all there are
    uint32_t key_size;
    uint8_t key[TRAIL_KEY_SIZE_MAX];
    size_t value_offset;
    size_t value_size;
};

// Applies all changes in one transaction and makes them durable. Takes the room for them on the
// disk first, up to 32 MiB ahead, and grows the map when it is full. The last sixteenth of size_max
// (16 MiB at most) is kept for commits with `uses_reserve`: those that give room back need some.
// FAULT_FULL: size_max, the disk or the address space; nothing has changed. FAULT_IO: nobody knows.
MUST_CHECK bool trail_environment_commit(struct trail_environment *environment,
                                         const struct trail_change *changes, uint32_t changes_count,
                                         struct span values, bool uses_reserve,
                                         struct fault *fault);

// Copies all that is there now, compacted, to an open file that is empty. Waits for the disk; a
// read transaction is open as long. FAULT_FULL: the file's disk; FAULT_CORRUPT: the environment is.
MUST_CHECK bool trail_environment_copy(struct trail_environment *environment, int file,
                                       struct fault *fault);

// Bytes of the file that a snapshot has in use: about what a copy takes. FAULT_CORRUPT, FAULT_IO.
MUST_CHECK bool trail_environment_used(struct trail_environment *environment, MDB_txn *transaction,
                                       uint64_t *used, struct fault *fault);

// The folder it was opened in.
const char *trail_environment_directory(const struct trail_environment *environment);

// Bytes of the file that are or were in use.
uint64_t trail_environment_size(struct trail_environment *environment);

// Bytes by which size_max lets the file grow, without the reserve; UINT64_MAX: there is no limit.
uint64_t trail_environment_room(struct trail_environment *environment);

// Keys of a database (not of documents) in a snapshot; 0 if LMDB cannot say.
uint64_t trail_environment_count(struct trail_environment *environment, MDB_txn *transaction,
                                 enum trail_database database);

// The writer, before it closes: gives back what was taken of the disk ahead of need.
void trail_environment_trim(struct trail_environment *environment);

// The read transactions open now, of all processes; at most list_max.
uint32_t trail_environment_readings(struct trail_environment *environment,
                                    struct trail_reading *list, uint32_t list_max);

// Clears the slots of readers whose process has died.
void trail_environment_clear_readers(struct trail_environment *environment);

// Sets the fault for an LMDB status. Returns false.
bool trail_environment_fault(struct trail_environment *environment, int status, const char *what,
                             struct fault *fault);
