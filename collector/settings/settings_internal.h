// settings_internal.h: what the parts of the settings share: where a value stands, and its checks.

#pragma once

#include "collector/settings/settings.h"

enum { SETTINGS_PATH_SIZE_MAX = 4096 };  // bytes

// The file's text and path, for messages.
struct settings_origin {
    struct span text;
    const char *path;
};

// Adds file and line to the fault of a key, "store.min_free" and the like, and its value. Returns
// false.
bool settings_refuse(const struct settings_origin *origin, const char *key, const char *value,
                     struct fault *fault);

// A size; 0 if it is absent. FAULT_INPUT.
MUST_CHECK bool settings_parse_size(const struct settings_origin *origin, const char *key,
                                    const char *text, uint64_t *size, struct fault *fault);

// The number given, which is not 0, or otherwise another one.
uint32_t settings_choose(uint32_t given, uint32_t otherwise);

// Paths count from the folder of the settings file. FAULT_INPUT, FAULT_FULL.
MUST_CHECK bool settings_resolve(struct settings *settings, const struct settings_origin *origin,
                                 const char *given, const char **resolved, struct fault *fault);
