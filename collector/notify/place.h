// place.h: what the store keeps of notifications: how far each target is.
//
// What a trail delivers in a round is a document deliver/queue/ID/<to>/<time>, the list of its
// files, made in the commit that ends the round. A target's place is the document
// deliver/target/ID/HASH: it is moved after the target said that it has what comes before. Pure.

#pragma once

#include <stdbool.h>
#include <stdint.h>

#include "base/buffer.h"
#include "base/fault.h"
#include "base/json.h"
#include "base/span.h"

enum {
    PLACE_SIZE_MAX = 4 * 1024,  // bytes of the document
    PLACE_ERROR_SIZE = 300,     // of an error's text with its final zero
    PLACE_NAME_SIZE = 17,       // of a target's name with its final zero
};

struct place {
    char name[PLACE_NAME_SIZE];    // of the target
    uint64_t to;                   // the round whose files it was told of; 0: none
    uint64_t in;                   // a round behind it
    uint32_t index;                // it was told of so many files of that one
    int64_t attempted_ms;          // the last attempt; 0: none
    int64_t told_ms;               // the last one that was good; 0: none
    char error[PLACE_ERROR_SIZE];  // of the last attempt; empty: none
};

// Reads a document. FAULT_CORRUPT.
MUST_CHECK bool place_read(const struct yyjson_val *root, struct place *place, struct fault *fault);

// Appends the document.
void place_print(const struct place *place, struct buffer *buffer);

// A trail's id, the round and its time in seconds, from the name of a list's document. False if it
// is no such name.
bool place_parse_queue(struct span name, struct span *id, uint64_t *to, int64_t *time_s);
