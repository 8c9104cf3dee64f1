// public_keys.h: the keys that digest files are signed with.

#pragma once

#include "collector/api/api.h"

// CloudTrail's ListPublicKeys.
bool public_keys_run_list(struct api_call *call);
