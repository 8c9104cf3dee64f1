// settings_sums.h: sums of the settings' values, to say which are other ones than before.
//
// A line a setting, "NAME SUM": what a setting was cannot be read from it, only whether it is the
// same. Pure.

#pragma once

#include "base/buffer.h"
#include "base/span.h"
#include "collector/settings/settings.h"

// Appends the lines. The roster is taken from settings of its own, as a reload changes it alone;
// the order of its accounts does not count.
void settings_sums_print(const struct settings *settings, const struct settings *roster,
                         struct buffer *text);

// Appends the names of those that stand in both texts with different sums, a space between two.
// What only one of them has is of another version of the collector.
void settings_sums_compare(struct span before, struct span now, struct buffer *names);
