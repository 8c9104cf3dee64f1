// trail_window.h: which events are stored, for the newest ones and for old blocks in use, exactly.
//
// Maps the 64-bit keyed hash of an event's key to what is known of its bytes: their 63-bit keyed
// hash, or the place (block, frame) where they can be had. Two generations; new entries go into the
// younger one; when that is full the older one is dropped, so that the window slides by halves and
// never loses all. The first generation is small and each new one twice as large, up to the limit,
// so that a small store takes little memory. One key may have several entries: the caller decides
// which is meant. Whoever relies on an entry notes the generation it went into: it is held while
// trail_window_holds(generation).
//
// Of the keys of a dropped generation 16 bits each stay for longer, their traces. They tell for
// sure of most keys that they are not among them, which is what a new event wants to know; the
// others have to be looked for where they are stored. One thread.

#pragma once

#include <stdbool.h>
#include <stdint.h>

struct trail_window;

// A window of about ids_count entries, with room for extra_count more that must always fit (one
// commit and the tail), and traces of about traces_count. NULL if memory runs out.
struct trail_window *trail_window_create(uint32_t ids_count, uint32_t extra_count,
                                         uint32_t traces_count);
void trail_window_destroy(struct trail_window *window);

// The values an entry can have. Of a content hash the uppermost bit is not used.
uint64_t trail_window_content(uint64_t hash);
uint64_t trail_window_place(uint64_t block, uint32_t frame);
bool trail_window_is_place(uint64_t value);
uint64_t trail_window_place_block(uint64_t value);
uint32_t trail_window_place_frame(uint64_t value);

// Fetches what the two functions below will touch for a key.
void trail_window_prefetch(const struct trail_window *window, uint64_t key);

// Adds an entry to the younger generation and returns where its value is until the next rotation.
// There must be room: rotate in time.
uint64_t *trail_window_insert(struct trail_window *window, uint64_t key, uint64_t value);

// Walks the entries of a key: begin with a zeroed walk; NULL at the end. Through the pointer the
// value may be changed until the next rotation.
struct trail_window_walk {
    uint32_t generation;
    uint32_t steps;
};
uint64_t *trail_window_next(struct trail_window *window, uint64_t key,
                            struct trail_window_walk *walk);

// Makes the entry at this pointer one that matches no key.
void trail_window_remove(uint64_t *value);

// Whether count entries fit beside the extra ones. One that does not fit makes the window due for
// rotation once it is half full.
bool trail_window_has_room(struct trail_window *window, uint32_t count);

// Whether it is time to rotate: it is full, or more was wanted than fits.
bool trail_window_is_due(const struct trail_window *window);

// Drops the older generation, of which traces stay, and begins a new one.
void trail_window_rotate(struct trail_window *window);

// The number of the younger generation; the first is 2.
uint64_t trail_window_generation(const struct trail_window *window);

// Whether entries of this generation are still there.
bool trail_window_holds(const struct trail_window *window, uint64_t generation);

// Whether all keys of a generation that is not held have their traces.
bool trail_window_recalls(const struct trail_window *window, uint64_t generation);

// Whether a key may be among those of which there are traces. False is sure; true is a mistake for
// one in some thousand keys.
bool trail_window_may_recall(const struct trail_window *window, uint64_t key);

// Fetches what trail_window_may_recall will touch for a key.
void trail_window_prefetch_traces(const struct trail_window *window, uint64_t key);
