// dictionary_state.h: what a dictionary is made of, shared by its files. Internal.

#pragma once

#include "storage/block/dictionary_internal.h"

enum {
    DICTIONARY_SEGMENT_SIZE = 2 * 1024 * 1024,
    DICTIONARY_SEGMENTS_MAX =
        2 * DICTIONARY_SIZE_MAX / DICTIONARY_SEGMENT_SIZE,  // with what is lost at their ends
    DICTIONARY_STRING_SLOTS = 2 * DICTIONARY_STRINGS_MAX,
    DICTIONARY_SHAPE_SLOTS = 2 * DICTIONARY_SHAPES_MAX,
    DICTIONARY_TAGS = 1024 * 1024,
    DICTIONARY_SAMPLE_WAYS = 4,
    DICTIONARY_SAMPLE_PLACES = 128 * 1024,
};

// How much of everything there is, so that the dictionary can go back.
struct dictionary_mark {
    uint32_t strings;
    uint32_t shapes;
    uint32_t segment;  // in use
    size_t used;       // bytes of that segment
    size_t size;       // bytes of all strings and shapes
    uint32_t sample;   // bytes of the sample
    uint32_t head;     // bytes of the head
};

struct dictionary_slot {
    uint64_t key;
    const uint8_t *bytes;
};

// What is needed for writing only, and reached at places nobody can foresee: one table. A slot is
// the hash's upper half and number + 1; 0 is free. Strings have their size in it and where they lie
// beside it, so that a search touches nothing else.
struct dictionary_search {
    struct dictionary_slot strings[DICTIONARY_STRING_SLOTS];
    uint64_t shapes[DICTIONARY_SHAPE_SLOTS];
    uint16_t tags[DICTIONARY_TAGS];             // strings remembered as seen once, one place each
    uint32_t places[DICTIONARY_SAMPLE_PLACES];  // offset + 1 of the sample's anchors, by hash
};

struct dictionary_pages;

// Who reads by pages: where their chunks come from, and why something could not be had.
struct dictionary_asker {
    struct dictionary_source source;
    uint32_t page_last;  // the page found last
    bool has_failed;
    struct fault fault;
};

struct dictionary {
    uint32_t epoch;
    struct span *strings;
    uint32_t strings_room;
    struct dictionary_shape *shapes;
    uint32_t shapes_room;
    uint8_t *segments[DICTIONARY_SEGMENTS_MAX];
    struct dictionary_mark now;
    struct dictionary_mark taken;  // what take_pending has given out
    struct dictionary_mark kept;

    struct dictionary_search *search;  // NULL before dictionary_prepare
    struct zstd *zstd;

    uint8_t *sample;  // DICTIONARY_SAMPLE_SIZE_MAX

    uint8_t *head;                    // DICTIONARY_HEAD_ROOM: the first pages of strings
    struct zstd_shared *head_shared;  // only for writing

    bool lacks_memory;  // something could not be added for that, and not at a limit

    struct dictionary_pages *pages;  // a reader's: strings and shapes are inflated when used
    bool is_view;                    // the pages are another's
    struct dictionary_asker *asker;  // of a reader or view
};

// Whether nothing was added between the two.
bool dictionary_mark_equal(const struct dictionary_mark *left, const struct dictionary_mark *right);

// Why something of a chunk could not be added: `damage`, or that memory ran out. Returns false.
bool dictionary_refuse(const struct dictionary *dictionary, const char *damage,
                       struct fault *fault);

// Adds a string or shape as the next number. False at a limit or if memory runs out.
bool dictionary_add_string(struct dictionary *dictionary, struct span string);
bool dictionary_add_shape(struct dictionary *dictionary, const struct dictionary_shape *shape);

// Appends a page to the head, until that is long enough. False if memory runs out.
bool dictionary_add_head(struct dictionary *dictionary, struct span page);

// Bytes that a shape takes, and its copy there (aligned to 2), with keys and slack.
size_t dictionary_shape_size(const struct dictionary_shape *shape);
struct dictionary_shape dictionary_shape_copy(const struct dictionary_shape *shape,
                                              uint8_t *memory);

// Enters what was loaded from `from` on into the search tables. What finds no slot is readable all
// the same.
void dictionary_enter(struct dictionary *dictionary, struct dictionary_mark from);

// Room for the sample. False if memory runs out.
bool dictionary_make_sample(struct dictionary *dictionary);

// Enters the sample from an offset on into its search table.
void dictionary_enter_sample(struct dictionary *dictionary, uint32_t from);
