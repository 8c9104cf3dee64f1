// json_internal.h: the reader, as the files of this door see it.

#pragma once

#include "base/arena.h"
#include "base/json.h"
#include "base/json_pick.h"

struct json_track;

struct json_reader {
    uint8_t *pool;
    size_t capacity;

    // Made by the first json_pick.
    struct json_track *track;
    struct arena *strings;    // that the track had to unescape
    struct json_pick *picks;  // and room for one more than the capacity
    uint32_t picks_count;
    uint32_t picks_capacity;
    uint64_t followed;
};
