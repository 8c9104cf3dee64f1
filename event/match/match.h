// match.h: whether a set of event selectors selects an event.
//
// Selectors are translated once; deciding an event then takes a few comparisons, however many
// values there are. Basic selectors become advanced ones on the way, so both are decided alike.
//
// A condition on a field that an event lacks selects nothing and deselects nothing. Conditions on
// resources.ARN look at the event's resources of the selector's resources.type: one that is
// selected is enough, one that is deselected removes the event. Immutable once made: any thread.

#pragma once

#include <stdbool.h>

#include "base/fault.h"
#include "event/match/selector.h"
#include "event/record.h"

struct match;

// Copies what it needs of the set. The caller destroys it. FAULT_FULL if memory runs out.
MUST_CHECK bool match_create(const struct selector_set *set, struct match **match,
                             struct fault *fault);

// Frees it. NULL is allowed.
void match_destroy(struct match *match);

// Whether any selector selects the event. Events of a category that no selector names are not
// selected.
bool match_selects(const struct match *match, const struct record *record);

// Whether deciding an event of this category takes more of it than the category, whether it reads,
// its source and its name.
bool match_looks_deep(const struct match *match, enum record_category category);
