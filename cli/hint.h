// hint.h: what is said on standard error to who asks for a value that the trail does not know:
// mostly a typing error, which otherwise looks like "nothing happened".

#pragma once

#include "base/fault.h"
#include "query/coverage.h"
#include "query/filter.h"
#include "storage/trail/trail_reader.h"

enum { HINT_NAME_SIZE = COVERAGE_ACCOUNT_SIZE };  // larger than a region or a command

// The letters to insert, delete or replace to make `name` of `wanted`. Both are looked at as far as
// HINT_NAME_SIZE.
uint32_t hint_distance(struct span wanted, const char *name);

// Names each event name, source, user, error code, account and region of the filter that no event
// of the trail has, and of accounts and regions those most alike that are in it. Says nothing if
// there are none such.
MUST_CHECK bool hint_unknown(struct trail_reader *reader, const struct filter *filter,
                             struct fault *fault);
