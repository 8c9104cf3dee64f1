// trail_expect.h: the events a commit is about to be offered, looked for in all blocks together.
//
// Asking a block costs more than the answer: it is found, opened and brought into the cache. While
// many blocks share one time and the window has lost them (agents with backlogs of very different
// age, a restart before such), each new event alone would ask thousands of them. Here each block is
// asked once for all keys of the commit, and what it really holds of them are the suspects that
// trail_dedupe looks at. Part of the writer.

#pragma once

#include <stdbool.h>
#include <stdint.h>

#include "base/fault.h"
#include "event/key.h"

struct trail;
struct trail_expect;

enum { TRAIL_SUSPECTS_MAX = 64 };  // blocks with the right fingerprint; chance gives one in 8,000

// Blocks that are not in the window and may hold an id.
struct trail_suspects {
    uint32_t indexes[TRAIL_SUSPECTS_MAX];
    uint32_t count;
    bool are_more;  // than fit: then every block of that time is looked into
    bool is_taken;  // one of that time has been taken into the window instead
};

// NULL if memory runs out.
struct trail_expect *trail_expect_create(void);
void trail_expect_destroy(struct trail_expect *expect);

// Forgets all that is expected.
void trail_expect_clear(struct trail_expect *expect);

// Notes a key. One too many is left out: it is looked for alone.
void trail_expect_add(struct trail_expect *expect, const struct key *key);

// Asks the blocks for those keys that were added since it was called last, if there are blocks that
// have to be asked; if not, nothing is expected any more. A damaged block is no fault of it.
// FAULT_FULL, FAULT_IO.
MUST_CHECK bool trail_expect_settle(struct trail *trail, struct fault *fault);

// *is_settled: the key was expected, and every block of its time is in the window, among the
// suspects, or without it. FAULT_CORRUPT: one of them is damaged.
MUST_CHECK bool trail_expect_find(struct trail *trail, const struct key *key, uint64_t hash,
                                  bool *is_settled, struct trail_suspects *suspects,
                                  struct fault *fault);
