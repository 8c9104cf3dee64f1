// dictionary_pages.h: a reader's dictionary: an index of its chunks, inflated where it is used.
//
// A page of strings is inflated when one of them is asked for and kept until a release finds that
// nobody asked since the one before; shapes, sample and head stay. What cannot be had is false or
// NULL, and the fault of who asked says why. Internal. Any number of threads may ask at a time:
// what is there is found without a lock. Index, release and destroy are for one thread while nobody
// asks.

#pragma once

#include "storage/block/dictionary_state.h"

// An empty index. NULL if memory runs out.
struct dictionary_pages *dictionary_pages_create(uint32_t epoch);
void dictionary_pages_destroy(struct dictionary_pages *pages);

// As dictionary_index; `now` says how much there is before and becomes how much there is after.
MUST_CHECK bool dictionary_pages_index(struct dictionary_pages *pages, uint32_t number,
                                       struct span bytes, struct dictionary_mark *now,
                                       struct fault *fault);

// As dictionary_find_loaded.
void dictionary_pages_find_loaded(struct dictionary_pages *pages, struct dictionary_asker *asker,
                                  const uint32_t *numbers, uint32_t count, struct span *strings);

// As dictionary_string, dictionary_shape, dictionary_sample and dictionary_head. What is not there
// yet is inflated with the asker's source.
bool dictionary_pages_string(struct dictionary_pages *pages, struct dictionary_asker *asker,
                             uint32_t number, struct span *string);
const struct dictionary_shape *dictionary_pages_shape(struct dictionary_pages *pages,
                                                      struct dictionary_asker *asker,
                                                      uint32_t number);
bool dictionary_pages_sample(struct dictionary_pages *pages, struct dictionary_asker *asker,
                             uint32_t size, struct span *sample);
bool dictionary_pages_head(struct dictionary_pages *pages, struct dictionary_asker *asker,
                           struct span *head);

// As dictionary_memory and dictionary_release.
size_t dictionary_pages_memory(const struct dictionary_pages *pages);
void dictionary_pages_release(struct dictionary_pages *pages);
