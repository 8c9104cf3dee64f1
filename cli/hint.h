// hint.h: what is said on standard error to who asks for an account or a region that the trail
// does not know: mostly a typing error, which otherwise looks like "nothing happened".

#pragma once

#include "base/fault.h"
#include "query/filter.h"
#include "storage/trail/trail_reader.h"

// Names each account and region of the filter that no event of the trail has, and those most alike
// that are in it. Says nothing if there are none such.
MUST_CHECK bool hint_unknown(struct trail_reader *reader, const struct filter *filter,
                             struct fault *fault);
