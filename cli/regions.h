// regions.h: what is said on standard error of a region that nobody has heard of, mostly a typing
// error. A private cloud's regions are named anyhow, so nothing is refused.

#pragma once

#include "cli/settings.h"

// Warns if a region is neither one of AWS's that this version knows nor expected by the roster nor
// the home region of the settings, which may be NULL; names those most like it.
void regions_warn(const struct settings *settings, const char *region);
