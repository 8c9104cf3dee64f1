#include <assert.h>
#include <stdlib.h>

#include "storage/block/block_equal.h"
#include "storage/block/block_internal.h"
#include "storage/block/block_sort.h"

enum {
    ATTRIBUTES_FIRST = 64 * 1024,
    CACHE_LINE = 64,
    PREFETCH_MAX = 1024,  // bytes of a text; the processor sees by itself how that goes on
    PREFETCH_ROWS = 4,    // rows ahead, of texts
    // The same of attributes: rows, lists, values.
    ROW_AHEAD = 12,
    LIST_AHEAD = 7,
    VALUES_AHEAD = 3,
};

// All that encoding needs beside buffers. Made with the first block, so that a scratch that only
// reads stays small.
static bool make_room(struct block_scratch *scratch) {
    if (scratch->id_hashes != NULL) return true;
    if (scratch->encoder == NULL) scratch->encoder = tokens_encoder_create();
    if (scratch->sorting == NULL) {
        scratch->sorting = malloc(2 * BLOCK_ROWS_MAX * sizeof *scratch->sorting);
    }
    if (scratch->attribute_ends == NULL) {
        scratch->attribute_ends = malloc(BLOCK_ROWS_MAX * sizeof *scratch->attribute_ends);
    }
    if (scratch->hints == NULL) scratch->hints = malloc(BLOCK_ROWS_MAX * sizeof *scratch->hints);
    if (scratch->ordered == NULL) {
        scratch->ordered = malloc(BLOCK_ROWS_MAX * sizeof *scratch->ordered);
    }
    if (scratch->places == NULL) {
        scratch->places = malloc(BLOCK_ROWS_MAX * sizeof *scratch->places);
    }
    if (scratch->encoder == NULL || scratch->sorting == NULL || scratch->attribute_ends == NULL ||
        scratch->hints == NULL || scratch->ordered == NULL || scratch->places == NULL) {
        return false;
    }
    scratch->id_hashes = malloc(BLOCK_ROWS_MAX * sizeof *scratch->id_hashes);
    return scratch->id_hashes != NULL;
}

static void prefetch_row(const struct block_row *row) {
    const uint8_t *bytes = (const uint8_t *)row;
    for (size_t offset = 0; offset < sizeof *row; offset += CACHE_LINE) {
        __builtin_prefetch(bytes + offset);
    }
}

// Rows lie in order of arrival: what the next ones are compared by is fetched while this one is,
// each step when the one before it has come.
static void prefetch_attributes(const struct block_row *const *rows, uint32_t left) {
    if (left > ROW_AHEAD) prefetch_row(rows[ROW_AHEAD]);
    if (left > LIST_AHEAD) {
        const uint8_t *list = (const uint8_t *)rows[LIST_AHEAD]->attributes;
        size_t size = rows[LIST_AHEAD]->attributes_count * sizeof(struct attribute);
        for (size_t offset = 0; offset < size; offset += CACHE_LINE) {
            __builtin_prefetch(list + offset);
        }
    }
    if (left > VALUES_AHEAD) {
        const struct block_row *row = rows[VALUES_AHEAD];
        for (uint32_t number = 0; number < row->attributes_count; number++) {
            __builtin_prefetch(row->attributes[number].value.bytes);
        }
    }
}

// Makes room for so many attributes more.
static bool reserve_attributes(struct block_scratch *scratch, uint32_t count) {
    assert(count <= ATTRIBUTE_COUNT_MAX);
    if (count <= scratch->attributes_room - scratch->attributes_count) return true;
    uint32_t room = scratch->attributes_room;
    room = room == 0 ? ATTRIBUTES_FIRST : 2 * room;
    void *grown = realloc(scratch->attributes, room * sizeof *scratch->attributes);
    if (grown == NULL) return false;
    scratch->attributes = grown;
    scratch->attributes_room = room;
    return true;
}

// The last values of a kind: the first ones of rows, the second ones, and so on.
enum { RECENT = 4 };
struct recent {
    struct span value;
    uint32_t entry;
};

// Enters the attributes of a row into the posting table.
static bool collect_row(struct block_scratch *scratch, const struct block_row *row, uint32_t frame,
                        struct recent recent[ATTRIBUTE_KINDS][RECENT]) {
    uint32_t depth = 0;
    if (!reserve_attributes(scratch, row->attributes_count)) return false;
    for (uint32_t number = 0; number < row->attributes_count; number++) {
        const struct attribute *attribute = &row->attributes[number];
        assert(attribute->kind < ATTRIBUTE_KINDS);
        assert(number == 0 || attribute[-1].kind <= attribute->kind);
        depth = number > 0 && attribute[-1].kind == attribute->kind ? depth + 1 : 0;
        // Neighbours have most values in common; the table knows those already.
        struct recent *last = &recent[attribute->kind][depth % RECENT];
        struct span value = attribute->value;
        if (value.size > 0 && last->value.size == value.size &&
            bytes_equal(last->value.bytes, value.bytes, value.size)) {
            scratch->postings.frames[last->entry] |= (uint64_t)1 << frame;
        } else {
            uint32_t hash = attribute_hash(&scratch->keys[attribute->kind], attribute);
            uint32_t entry = postings_add(&scratch->postings, hash, frame);
            if (entry == UINT32_MAX) return false;
            *last = (struct recent){value, entry};
        }
        scratch->attributes[scratch->attributes_count++] =
            (struct block_attribute){last->entry, attribute->kind};
    }
    return true;
}

// What the attributes of a row, from `first` on, tell about its text. Records of one event's name
// have about the same values. Their shapes differ by who calls and by what is there at all: these
// together leave one of them as a rule.
static struct tokens_hint make_hint(const struct block_scratch *scratch, uint32_t first) {
    uint32_t name = 0, type = 0, kinds = 0;
    for (uint32_t index = first; index < scratch->attributes_count; index++) {
        const struct block_attribute *attribute = &scratch->attributes[index];
        uint32_t hash = scratch->postings.hashes[attribute->entry];
        if (attribute->kind == ATTRIBUTE_EVENT_NAME) name = hash;
        if (attribute->kind == ATTRIBUTE_IDENTITY_TYPE) type = hash;
        kinds |= 1U << attribute->kind;
    }
    return (struct tokens_hint){.values = name, .shape = name ^ (type ^ kinds) * 0x9E3779B1u};
}

// Enters the attributes of all rows.
static bool collect_attributes(struct block_scratch *scratch, uint32_t count) {
    struct recent recent[ATTRIBUTE_KINDS][RECENT];
    memset(recent, 0, sizeof recent);
    scratch->attributes_count = 0;
    if (!postings_begin(&scratch->postings)) return false;
    for (uint32_t index = 0; index < count; index++) {
        const struct block_row *row = scratch->ordered[index];
        uint32_t first = scratch->attributes_count;
        prefetch_attributes(&scratch->ordered[index], count - index);
        if (!collect_row(scratch, row, index / BLOCK_FRAME_ROWS, recent)) return false;
        scratch->attribute_ends[index] = scratch->attributes_count;
        scratch->hints[index] = make_hint(scratch, first);
    }
    return true;
}

// Rebuilds the texts of a frame from its tokens; whole[n] is set for those that do not come back.
// Returns how many.
static uint32_t verify_texts(struct block_scratch *scratch, const struct dictionary *dictionary,
                             const struct tokens_frame *frame, const struct block_row *const *rows,
                             uint32_t count, bool *whole) {
    uint32_t wrong = 0;
    struct tokens_frame encoded = *frame;
    encoded.first_string = TOKEN_STRINGS;
    bool good =
        dictionary_sample(dictionary, dictionary_sample_size(dictionary), &encoded.sample) &&
        tokens_decoder_begin(scratch->decoder, dictionary, &encoded);
    for (uint32_t row = 0; row < count; row++) {
        struct tokens_row token_row = {rows[row]->key.id, rows[row]->key.event_time_s};
        struct span text = rows[row]->text;
        buffer_reset(&scratch->output);
        uint8_t *begin = buffer_reserve(&scratch->output, text.size + TOKENS_SLACK);
        if (begin == NULL) return wrong;
        uint8_t *at = begin;
        good = good && tokens_decoder_next(scratch->decoder, &token_row, &at, begin + text.size);
        if (good && span_equal(span_of(begin, (size_t)(at - begin)), text)) continue;
        whole[row] = true;
        wrong++;
    }
    return wrong;
}

// Texts lie in order of arrival, too.
static void prefetch_text(struct span text) {
    size_t size = text.size < PREFETCH_MAX ? text.size : PREFETCH_MAX;
    for (size_t offset = 0; offset < size; offset += CACHE_LINE) {
        __builtin_prefetch(text.bytes + offset);
    }
}

// Makes tokens of the texts of the rows from `first` on, in block order.
static bool tokenize(struct block_scratch *scratch, uint32_t first, uint32_t count,
                     const bool *whole, struct tokens_frame *frame) {
    const struct block_row *const *rows = scratch->ordered + first;
    tokens_encoder_begin(scratch->encoder);
    const struct tokens_hint *hints = scratch->hints + first;
    for (uint32_t row = 0; row < count; row++) {
        if (row + PREFETCH_ROWS < count) prefetch_row(rows[row + PREFETCH_ROWS]);
        if (row + 1 < count) {
            tokens_encoder_prefetch(scratch->encoder, hints[row + 1]);
            prefetch_text(rows[row + 1]->text);
        }
        struct tokens_row token_row = {rows[row]->key.id, rows[row]->key.event_time_s};
        if (!tokens_encoder_add(scratch->encoder, &token_row, rows[row]->text, hints[row],
                                whole[row])) {
            return false;
        }
    }
    return tokens_encoder_end(scratch->encoder, frame);
}

// Appends the texts of one frame, verified if it is its turn.
static bool append_texts(struct block_scratch *scratch, struct dictionary *dictionary,
                         uint32_t first, uint32_t count, struct fault *fault) {
    const struct block_row *const *rows = scratch->ordered + first;
    struct tokens_frame frame;
    bool whole[BLOCK_FRAME_ROWS] = {false};
    if (!tokenize(scratch, first, count, whole, &frame)) {
        return fault_set(fault, FAULT_FULL, "texts: no memory");
    }
    if (scratch->frames_encoded++ % scratch->verify_frames == 0) {
        uint32_t wrong = verify_texts(scratch, dictionary, &frame, rows, count, whole);
        scratch->mismatches += wrong;
        if (wrong > 0 && !tokenize(scratch, first, count, whole, &frame)) {
            return fault_set(fault, FAULT_FULL, "texts: no memory");
        }
    }
    uint64_t text_size = 0;
    for (uint32_t row = 0; row < count; row++) text_size += rows[row]->text.size;
    const struct zstd_shared *head = NULL;
    if (!dictionary_share_head(dictionary, &head))
        return fault_set(fault, FAULT_FULL, "texts: no memory");
    return texts_append(scratch, &frame, head, text_size, &scratch->texts, fault);
}

// Appends the columns of all frames and writes the frames' entries but for the sums.
static bool append_columns(struct block_scratch *scratch, uint32_t count,
                           const size_t texts_ends[BLOCK_FRAMES_MAX], uint8_t *entries) {
    buffer_reset(&scratch->columns);
    for (uint32_t first = 0; first < count; first += BLOCK_FRAME_ROWS) {
        struct block_frame_rows frame = {
            .rows = scratch->ordered + first,
            .places = scratch->places + first,
            .attribute_ends = scratch->attribute_ends + first,
            .attribute_begin = first == 0 ? 0 : scratch->attribute_ends[first - 1],
            .count = count - first < BLOCK_FRAME_ROWS ? count - first : BLOCK_FRAME_ROWS,
        };
        int64_t time_min_s = frame.rows[0]->key.event_time_s;
        int64_t time_max_s = time_min_s;
        for (uint32_t row = 1; row < frame.count; row++) {
            int64_t time_s = frame.rows[row]->key.event_time_s;
            if (time_s < time_min_s) time_min_s = time_s;
            if (time_s > time_max_s) time_max_s = time_s;
        }
        if (!columns_append(scratch, &frame, time_max_s, &scratch->columns)) return false;
        uint8_t *entry = entries + (size_t)first / BLOCK_FRAME_ROWS * BLOCK_FRAME_SIZE;
        bytes_put_64(entry, (uint64_t)time_min_s);
        bytes_put_64(entry + 8, (uint64_t)time_max_s);
        bytes_put_32(entry + 16, (uint32_t)scratch->columns.size);
        bytes_put_32(entry + 20, (uint32_t)texts_ends[first / BLOCK_FRAME_ROWS]);
        bytes_put_64(entry + 24, 0);
    }
    return true;
}

// Fills scratch->places, and scratch->sorting with the rows' indexes in order of sequence.
static void order_by_sequence(struct block_scratch *scratch, uint32_t count,
                              struct block_summary *summary) {
    enum { INDEX_BITS = 13 };
    uint64_t first = scratch->ordered[0]->sequence;
    for (uint32_t row = 1; row < count; row++) {
        if (scratch->ordered[row]->sequence < first) first = scratch->ordered[row]->sequence;
    }
    for (uint32_t row = 0; row < count; row++) {
        uint64_t above = scratch->ordered[row]->sequence - first;
        assert(above >> (64 - INDEX_BITS) == 0);
        scratch->sorting[row] = above << INDEX_BITS | row;
    }
    block_sort(scratch->sorting, scratch->sorting + BLOCK_ROWS_MAX, count);
    for (uint32_t place = 0; place < count; place++) {
        scratch->sorting[place] &= (1 << INDEX_BITS) - 1;
        scratch->places[scratch->sorting[place]] = place;
    }
    summary->sequence_first = first;
    summary->sequence_last = scratch->ordered[scratch->sorting[count - 1]]->sequence;
}

static void append_ids(struct block_scratch *scratch, uint32_t count, struct buffer *output) {
    uint8_t *at = buffer_reserve(output, (size_t)count * RECORD_ID_SIZE);
    if (at == NULL) return;
    for (uint32_t row = 0; row < count; row++) {
        const uint8_t *id = scratch->ordered[row]->key.id;
        memcpy(at + (size_t)row * RECORD_ID_SIZE, id, RECORD_ID_SIZE);
        scratch->id_hashes[row] =
            (uint32_t)hash_with_key(&scratch->keys[0], span_of(id, RECORD_ID_SIZE));
    }
    output->size += (size_t)count * RECORD_ID_SIZE;
}

static void print_header(uint8_t *header, const struct block_summary *summary,
                         const size_t sizes[BLOCK_SECTIONS], const struct dictionary *dictionary) {
    bytes_put_32(header, BLOCK_MAGIC);
    bytes_put_16(header + 4, BLOCK_VERSION);
    bytes_put_16(header + 6, 0);
    bytes_put_32(header + 16, summary->rows);
    bytes_put_32(header + 20, summary->epoch);
    bytes_put_64(header + 24, summary->size);
    bytes_put_64(header + 32, summary->sequence_first);
    bytes_put_64(header + 40, summary->sequence_last);
    bytes_put_64(header + 48, (uint64_t)summary->time_min_s);
    bytes_put_64(header + 56, (uint64_t)summary->time_max_s);
    bytes_put_64(header + 64, summary->text_size);
    for (uint32_t section = 0; section < BLOCK_SECTIONS; section++) {
        bytes_put_32(header + 72 + 4 * section, (uint32_t)sizes[section]);
    }
    bytes_put_32(header + 100, dictionary_has_head(dictionary) ? DICTIONARY_HEAD_SIZE : 0);
    bytes_put_32(header + 104, dictionary_sample_size(dictionary));
}

// Appends all sections behind the header's room.
static bool append_sections(struct block_scratch *scratch, struct dictionary *dictionary,
                            struct block_summary *summary, struct buffer *output,
                            size_t sizes[BLOCK_SECTIONS], struct fault *fault) {
    uint32_t count = summary->rows;
    uint32_t frames = (count + BLOCK_FRAME_ROWS - 1) / BLOCK_FRAME_ROWS;
    size_t texts_ends[BLOCK_FRAMES_MAX];
    uint8_t entries[BLOCK_FRAMES_MAX * BLOCK_FRAME_SIZE];
    buffer_reset(&scratch->texts);
    tokens_encoder_begin_block(scratch->encoder, dictionary);
    for (uint32_t frame = 0; frame < frames; frame++) {
        uint32_t first = frame * BLOCK_FRAME_ROWS;
        uint32_t rows = count - first < BLOCK_FRAME_ROWS ? count - first : BLOCK_FRAME_ROWS;
        if (!append_texts(scratch, dictionary, first, rows, fault)) {
            return fault_add(fault, "frame %u", frame);
        }
        texts_ends[frame] = scratch->texts.size;
    }
    postings_sort(&scratch->postings);
    order_by_sequence(scratch, count, summary);
    if (!append_columns(scratch, count, texts_ends, entries)) {
        return fault_set(fault, FAULT_FULL, "columns: no memory");
    }
    size_t ends[BLOCK_SECTIONS];
    size_t begin = output->size;
    buffer_append(output, span_of(entries, (size_t)frames * BLOCK_FRAME_SIZE));
    ends[BLOCK_FRAMES] = output->size;
    postings_append(&scratch->postings, frames, output);
    ends[BLOCK_POSTINGS] = output->size;
    // The hashes come with the ids, which stand behind; the sizes are known.
    if (!arrivals_append(scratch, count, &scratch->parts, fault)) return false;
    buffer_reset(&scratch->control);
    append_ids(scratch, count, &scratch->control);
    fingerprints_append(scratch->id_hashes, scratch->sorting, count, output);
    ends[BLOCK_FINGERPRINTS] = output->size;
    buffer_append(output, buffer_span(&scratch->parts));
    ends[BLOCK_ARRIVALS] = output->size;
    buffer_append(output, buffer_span(&scratch->control));
    ends[BLOCK_IDS] = output->size;
    buffer_append(output, buffer_span(&scratch->columns));
    ends[BLOCK_COLUMNS] = output->size;
    buffer_append(output, buffer_span(&scratch->texts));
    ends[BLOCK_TEXTS] = output->size;
    for (uint32_t section = 0; section < BLOCK_SECTIONS; section++) {
        sizes[section] = ends[section] - begin;
        begin = ends[section];
    }
    return true;
}

static bool encode(struct block_scratch *scratch, struct dictionary *dictionary,
                   const uint8_t secret[HASH_SECRET_SIZE], const struct block_row *rows,
                   uint32_t count, struct buffer *output, struct block_summary *summary,
                   struct fault *fault) {
    for (uint32_t kind = 0; kind < ATTRIBUTE_KINDS; kind++) {
        hash_key_make(secret, kind, &scratch->keys[kind]);
    }
    if (!make_room(scratch) || !dictionary_prepare(dictionary) ||
        !block_order_rows(scratch, rows, count) || !collect_attributes(scratch, count)) {
        return fault_set(fault, FAULT_FULL, "no memory");
    }
    *summary = (struct block_summary){
        .time_min_s = rows[0].key.event_time_s,
        .time_max_s = rows[0].key.event_time_s,
        .rows = count,
        .epoch = dictionary_epoch(dictionary),
    };
    for (uint32_t row = 0; row < count; row++) {
        int64_t time_s = rows[row].key.event_time_s;
        if (time_s < summary->time_min_s) summary->time_min_s = time_s;
        if (time_s > summary->time_max_s) summary->time_max_s = time_s;
        summary->text_size += rows[row].text.size;
        assert(rows[row].text.size <= BLOCK_RECORD_SIZE_MAX);
    }
    assert(summary->text_size <= BLOCK_TEXT_SIZE_MAX);
    size_t begin = output->size;
    size_t sizes[BLOCK_SECTIONS];
    if (buffer_reserve(output, BLOCK_HEADER_SIZE) == NULL) {
        return fault_set(fault, FAULT_FULL, "no memory");
    }
    output->size += BLOCK_HEADER_SIZE;
    if (!append_sections(scratch, dictionary, summary, output, sizes, fault)) return false;
    if (buffer_overflowed(output)) return fault_set(fault, FAULT_FULL, "no room");
    summary->size = output->size - begin;
    print_header(output->bytes + begin, summary, sizes, dictionary);
    bool is_sealed = block_seal(output->bytes + begin, (size_t)summary->size);
    assert(is_sealed);
    return true;
}

bool block_encode(struct block_scratch *scratch, struct dictionary *dictionary,
                  const uint8_t secret[HASH_SECRET_SIZE], const struct block_row *rows,
                  uint32_t count, struct buffer *output, struct block_summary *summary,
                  struct fault *fault) {
    assert(count > 0);
    assert(count <= BLOCK_ROWS_MAX);
    size_t begin = output->size;
    struct block_summary made;
    if (!encode(scratch, dictionary, secret, rows, count, output, &made, fault)) {
        output->size = begin;
        return fault_add(fault, "encode block of %u rows", count);
    }
    *summary = made;
    return true;
}
