// unlisted.h: the accounts that were admitted though the roster lacks them, to be told once each.
//
// They are remembered as long as the process lives; after a start each is told once more. What a
// commit notes counts once unlisted_keep is called. One thread (append's).

#pragma once

#include <stdint.h>

#include "base/span.h"

enum {
    UNLISTED_ACCOUNTS_MAX = 1024,  // later ones are not told; the metric counts their events
    UNLISTED_NEW_MAX = 16,  // of one commit; the others are told with a later event of theirs
};

struct unlisted;

// NULL if memory runs out.
struct unlisted *unlisted_create(void);

// NULL is allowed.
void unlisted_destroy(struct unlisted *unlisted);

// An event of the account was admitted, in this commit. At most KEY_ACCOUNT_SIZE_MAX bytes.
void unlisted_note(struct unlisted *unlisted, struct span account);

// How many of this commit are new, and which; borrowed until the commit ends.
uint32_t unlisted_new_count(const struct unlisted *unlisted);
struct span unlisted_new(const struct unlisted *unlisted, uint32_t index);

// The commit is durable: what is new is known from now on.
void unlisted_keep(struct unlisted *unlisted);

// The commit failed: what was new is forgotten.
void unlisted_undo(struct unlisted *unlisted);
