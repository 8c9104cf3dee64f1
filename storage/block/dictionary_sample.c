#include <assert.h>
#include <stdlib.h>
#include <string.h>

#include "storage/block/dictionary_pages.h"
#include "storage/block/dictionary_state.h"

enum {
    WAYS = DICTIONARY_SAMPLE_WAYS,
    PLACES = DICTIONARY_SAMPLE_PLACES / WAYS,
    ANCHOR_SIZE = DICTIONARY_ANCHOR_SIZE,
    PLACE_MAX = 2 * DICTIONARY_SAMPLE_SIZE_MAX - 1,
    STEP_MIN = 8,   // bytes between anchors
    STEP_MAX = 64,  // the same where there are no separators
};

bool dictionary_make_sample(struct dictionary *dictionary) {
    if (dictionary->sample == NULL) dictionary->sample = malloc(DICTIONARY_SAMPLE_SIZE_MAX);
    return dictionary->sample != NULL;
}

// What stands between the parts of joined values, policy documents, user agents and paths.
static bool is_separator(uint8_t byte) {
    return byte == ',' || byte == ' ' || byte == ';' || byte == '&' || byte == '/';
}

size_t dictionary_anchor_next(struct span text, size_t at) {
    size_t most = text.size - at < STEP_MAX ? text.size : at + STEP_MAX;
    for (at += STEP_MIN - 1; at < most; at++) {
        if (is_separator(text.bytes[at])) return at + 1;
    }
    return most;
}

uint64_t dictionary_anchor_hash(const uint8_t *text) {
    uint64_t first, second;
    uint32_t third;
    static_assert(ANCHOR_SIZE == sizeof first + sizeof second + sizeof third, "other sizes");
    memcpy(&first, text, sizeof first);
    memcpy(&second, text + sizeof first, sizeof second);
    memcpy(&third, text + sizeof first + sizeof second, sizeof third);
    uint64_t hash = first * 0x9E3779B97F4A7C15u + second;
    hash = (hash ^ hash >> 29) * 0xBF58476D1CE4E5B9u + third;
    hash = (hash ^ hash >> 32) * 0x94D049BB133111EBu;
    return hash ^ hash >> 29;
}

// Above a place stand bits of the anchor's hash, so that few others are looked at.
static uint32_t tag_of(uint64_t hash) {
    return (uint32_t)(hash >> 32) & ~(uint32_t)PLACE_MAX;
}

// The newest places of a hash.
static uint32_t *places_of(const struct dictionary *dictionary, uint64_t hash) {
    return &dictionary->search->places[(hash & (PLACES - 1)) * WAYS];
}

void dictionary_enter_sample(struct dictionary *dictionary, uint32_t from) {
    struct span sample = span_of(dictionary->sample, dictionary->now.sample);
    for (size_t at = from; sample.size - at >= ANCHOR_SIZE;
         at = dictionary_anchor_next(sample, at)) {
        uint64_t hash = dictionary_anchor_hash(sample.bytes + at);
        uint32_t *places = places_of(dictionary, hash);
        memmove(places + 1, places, (WAYS - 1) * sizeof *places);
        places[0] = tag_of(hash) | ((uint32_t)at + 1);
    }
}

// How many bytes two runs have in common from their beginnings.
static size_t common_size(const uint8_t *left, const uint8_t *right, size_t most) {
    size_t size = 0;
    uint64_t left_word, right_word;
    for (; most - size >= sizeof left_word; size += sizeof left_word) {
        memcpy(&left_word, left + size, sizeof left_word);
        memcpy(&right_word, right + size, sizeof right_word);
        uint64_t differing = left_word ^ right_word;
        if (differing != 0) return size + (size_t)__builtin_ctzll(differing) / 8;
    }
    while (size < most && left[size] == right[size]) size++;
    return size;
}

void dictionary_prefetch_sample(const struct dictionary *dictionary, const uint8_t *anchor) {
    __builtin_prefetch(places_of(dictionary, dictionary_anchor_hash(anchor)));
}

size_t dictionary_find_sample(const struct dictionary *dictionary, struct span text, uint64_t hash,
                              uint32_t *offset) {
    const uint32_t *places = places_of(dictionary, hash);
    size_t best = 0;
    for (uint32_t way = 0; way < WAYS; way++) {
        uint32_t place = (places[way] & PLACE_MAX) - 1;
        // Places beyond the end are of text that was taken back.
        if (((places[way] ^ tag_of(hash)) & ~(uint32_t)PLACE_MAX) != 0 ||
            place >= dictionary->now.sample) {
            continue;
        }
        size_t most = dictionary->now.sample - place;
        if (most > text.size) most = text.size;
        size_t size = common_size(dictionary->sample + place, text.bytes, most);
        if (size <= best) continue;
        best = size;
        *offset = place;
    }
    return best;
}

void dictionary_add_sample(struct dictionary *dictionary, struct span text) {
    uint32_t from = dictionary->now.sample;
    size_t room = DICTIONARY_SAMPLE_SIZE_MAX - from;
    if (text.size > room) text.size = room;
    if (text.size < ANCHOR_SIZE) return;
    memcpy(dictionary->sample + from, text.bytes, text.size);
    dictionary->now.sample += (uint32_t)text.size;
    dictionary_enter_sample(dictionary, from);
}

bool dictionary_sample(const struct dictionary *dictionary, uint32_t size, struct span *sample) {
    if (size > dictionary->now.sample) return false;
    if (dictionary->pages != NULL)
        return dictionary_pages_sample(dictionary->pages, dictionary->asker, size, sample);
    *sample = span_of(size == 0 ? NULL : dictionary->sample, size);
    return true;
}

uint32_t dictionary_sample_size(const struct dictionary *dictionary) {
    return dictionary->now.sample;
}
