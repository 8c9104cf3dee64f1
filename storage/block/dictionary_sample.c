#include <stdlib.h>
#include <string.h>

#include "base/hash.h"
#include "storage/block/dictionary_state.h"

enum {
    SAMPLE_SEGMENTS = DICTIONARY_SAMPLE_SEGMENTS,
    SAMPLE_SEGMENT_MIN = 4,      // bytes; shorter ones only continue a run
    SAMPLE_SIZE_MIN = 2 * 1024,  // below, sharing costs more than it saves
    SAMPLE_COUNT = 3,            // what comes twice is a string that was admitted since, as a rule
    SAMPLE_COUNT_MASK = 15,
    SAMPLE_GAP_MAX = 1000,  // bytes within a run that are in the sample already, or came once
    SAMPLE_LEVEL = 1,
};

void dictionary_drop_shared(struct dictionary *dictionary) {
    zstd_shared_destroy(dictionary->shared);
    dictionary->shared = NULL;
    dictionary->shared_size = 0;
}

bool dictionary_make_sample(struct dictionary *dictionary) {
    if (dictionary->sample == NULL) dictionary->sample = malloc(DICTIONARY_SAMPLE_SIZE_MAX);
    return dictionary->sample != NULL;
}

static bool is_separator(uint8_t byte) {
    return byte == ',' || byte == '/' || byte == ' ' || byte == ':' || byte == ';' || byte == '"';
}

// Appends what is new to the sample, as much as fits.
static void add_sample(struct dictionary *dictionary, const uint8_t *text, size_t size) {
    struct dictionary_mark *now = &dictionary->now;
    // The first byte keeps the sample from beginning like a trained dictionary.
    if (now->sample == 0) dictionary->sample[now->sample++] = '\n';
    size_t room = DICTIONARY_SAMPLE_SIZE_MAX - now->sample;
    if (size > room) size = room;
    memcpy(dictionary->sample + now->sample, text, size);
    now->sample += (uint32_t)size;
}

// Counts a segment at its place. Returns whether it has now come often enough to be worth its room;
// after that no more.
static bool count_segment(uint32_t *place, uint64_t hash) {
    uint32_t tag = (uint32_t)(hash >> 32) & ~(uint32_t)SAMPLE_COUNT_MASK;
    if ((*place & ~(uint32_t)SAMPLE_COUNT_MASK) != tag) *place = tag;
    uint32_t count = *place & SAMPLE_COUNT_MASK;
    if (count <= SAMPLE_COUNT) (*place)++;
    return count + 1 == SAMPLE_COUNT;
}

void dictionary_offer(struct dictionary *dictionary, struct span text) {
    if (dictionary->now.sample == DICTIONARY_SAMPLE_SIZE_MAX) return;
    const uint8_t *end = text.bytes + text.size;
    const uint8_t *run = NULL;      // begin of what is worth its room
    const uint8_t *run_end = NULL;  // behind the last segment that is
    for (const uint8_t *at = text.bytes; at < end;) {
        const uint8_t *begin = at;
        while (at < end && !is_separator(*at)) at++;
        if (at < end) at++;
        if (at - begin < SAMPLE_SEGMENT_MIN) continue;
        uint64_t hash = hash_plain(span_of(begin, (size_t)(at - begin)));
        if (count_segment(&dictionary->sample_segments[hash & (SAMPLE_SEGMENTS - 1)], hash)) {
            if (run == NULL) run = begin;
            run_end = at;
        } else if (run != NULL && at - run_end > SAMPLE_GAP_MAX) {
            // What stands together is worth more in one piece, even if some of it is there already.
            add_sample(dictionary, run, (size_t)(run_end - run));
            run = NULL;
        }
    }
    if (run != NULL) add_sample(dictionary, run, (size_t)(run_end - run));
}

uint32_t dictionary_share(struct dictionary *dictionary, const struct zstd_shared **shared) {
    uint32_t size = dictionary->now.sample;
    // Making it ready takes time: only when it has grown by a quarter.
    if (size >= SAMPLE_SIZE_MIN && size > dictionary->shared_size + dictionary->shared_size / 4) {
        dictionary_drop_shared(dictionary);
        dictionary->shared = zstd_shared_create(span_of(dictionary->sample, size), SAMPLE_LEVEL);
        if (dictionary->shared != NULL) dictionary->shared_size = size;
    }
    *shared = dictionary->shared;
    return dictionary->shared_size;
}

bool dictionary_sample(const struct dictionary *dictionary, uint32_t size, struct span *sample) {
    if (size > dictionary->now.sample) return false;
    *sample = span_of(size == 0 ? NULL : dictionary->sample, size);
    return true;
}
