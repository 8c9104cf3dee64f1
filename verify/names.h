// names.h: a set of objects' names, eight bytes each: which log files digests name.
//
// A name is kept as a hash under a secret of the set's own, so that nobody can choose a file's name
// to look like one that is named. One thread.

#pragma once

#include <stdbool.h>
#include <stdint.h>

#include "base/span.h"

struct names;

// An empty set. NULL if memory runs out.
struct names *names_create(void);

// Frees it. NULL is allowed.
void names_destroy(struct names *names);

// Empties it.
void names_reset(struct names *names);

// Adds an object. False if memory runs out.
bool names_add(struct names *names, struct span bucket, struct span key);

// Whether it was added.
bool names_have(const struct names *names, struct span bucket, struct span key);
