// json_track_internal.h: the structure of documents that were parsed before, to follow it again.
//
// A track is an automaton that is learnt from documents which yyjson accepted, none too deep and
// without a name twice in an object. Its places are where a document can be between two values:
// which containers are open and, for each open object, the names that came so far. A step is the
// bytes between one value and the next (ends of containers, comma, name, colon) with what opens
// that value, or all of true, false or null. How a document may go on depends on nothing but the
// place it is at. So a text that can be followed from the first place to the end is one that yyjson
// would accept too, if its strings and numbers are good: plain ones are checked on the way, those
// with escapes, other than ASCII or an exponent are given to yyjson, each as a document.
//
// Steps are compared byte for byte: a hash only tells which to compare first, so that no sender can
// make two structures look alike. Where a place has several steps the one that followed the same
// step last is tried first, then the one last found by these first bytes, then all of them, the
// last used first. What a text may cost is bounded by its size, and what is learnt by a credit that
// every text adds to. A track that is full forgets everything. One thread.

#pragma once

#include "base/json_internal.h"

// A track that knows nothing yet, of documents of which this is wanted. NULL if memory runs out.
struct json_track *json_track_create(const struct json_want *root);
void json_track_destroy(struct json_track *track);

// Forgets everything.
void json_track_forget(struct json_track *track);

// Follows a text and fills reader->picks. False if that is not possible, whatever the reason: then
// nothing is known about the text.
bool json_track_follow(struct json_reader *reader, struct span text);

// Learns the structure of a text that could not be followed, which was then parsed and is good.
// Learns part of it or nothing if there is no credit or no room.
void json_track_learn(struct json_track *track, struct span text);
