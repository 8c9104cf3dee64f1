// record_skim.h: what stands at the top of a stored record, without reading the rest of it.

#pragma once

#include <stdbool.h>

#include "base/span.h"
#include "event/record.h"

// Fills text, event_source, event_name and region as record_read does, and nothing else: a tenth of
// its work. For records that record_read has accepted (others give anything, but nothing beside
// them is read), and not for insights, whose source and name lie elsewhere. False: only record_read
// can tell, as with escapes in a name.
MUST_CHECK bool record_skim(struct span text, struct record *record);
