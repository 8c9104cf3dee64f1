#include <assert.h>

#include "storage/block/block_internal.h"

// The texts of a frame: the numbers of struct header, variable; the lists: for each string of the
// dictionary its number less the one before, the numbers of the shapes, the copies; the UUIDs; the
// packed bytes; control and tokens together; the inline bytes. Lists, tokens and inline bytes are
// each compressed if that is shorter, the last against the dictionary's head once there is one.

struct header {
    uint64_t strings;
    uint64_t shapes;
    uint64_t uuids;
    uint64_t control_size;
    uint64_t tokens_size;
    uint64_t packed_size;
    uint64_t copies_size;
    uint64_t inlined_size;
    uint64_t text_size;      // of all rows
    uint64_t tokens_packed;  // bytes of control and tokens as they lie here; 0: not compressed
    uint64_t lists_size;     // in blocks of version 1 the lists are not compressed
    uint64_t lists_packed;   // as tokens_packed
};

// Appends bytes compressed, against `shared` unless it is NULL, or as they are (*packed 0) if that
// is no longer.
static bool append_packed(struct block_scratch *scratch, struct span bytes,
                          const struct zstd_shared *shared, struct buffer *output, size_t *packed,
                          struct fault *fault) {
    size_t begin = output->size;
    bool compressed = shared == NULL
                          ? zstd_compress(scratch->zstd, bytes, BLOCK_ZSTD_LEVEL, output, fault)
                          : zstd_compress_shared(scratch->zstd, shared, bytes, output, fault);
    if (!compressed) return false;
    *packed = output->size - begin;
    if (*packed < bytes.size) return true;
    output->size = begin;
    buffer_append(output, bytes);
    *packed = 0;
    return true;
}

static void append_lists(const struct tokens_frame *frame, struct buffer *output) {
    uint32_t before = 0;
    for (uint32_t index = 0; index < frame->strings_count; index++) {
        bytes_append_varint(output, frame->strings[index] - before);
        before = frame->strings[index];
    }
    for (uint32_t index = 0; index < frame->shapes_count; index++) {
        bytes_append_varint(output, frame->shapes[index]);
    }
    buffer_append(output, frame->copies);
}

bool texts_append(struct block_scratch *scratch, const struct tokens_frame *frame,
                  const struct zstd_shared *head, uint64_t text_size, struct buffer *output,
                  struct fault *fault) {
    // Lists, then control and tokens, are compressed as one each, into a buffer of their own since
    // their sizes stand before them.
    struct buffer *joined = &scratch->control;
    struct buffer *packed = &scratch->parts;
    size_t lists_packed, tokens_packed, inlined_packed;
    buffer_reset(joined);
    buffer_reset(packed);
    append_lists(frame, joined);
    size_t lists_size = joined->size;
    if (!append_packed(scratch, buffer_span(joined), NULL, packed, &lists_packed, fault))
        return false;
    size_t lists_end = packed->size;
    bool good = !buffer_overflowed(joined);
    buffer_reset(joined);
    buffer_append(joined, frame->control);
    buffer_append(joined, frame->tokens);
    if (!append_packed(scratch, buffer_span(joined), NULL, packed, &tokens_packed, fault))
        return false;

    uint64_t numbers[] = {frame->strings_count,    frame->shapes_count, frame->uuids_count,
                          frame->control.size,     frame->tokens.size,  frame->packed.size,
                          frame->copies.size,      frame->inlined.size, text_size,
                          (uint64_t)tokens_packed, lists_size,          lists_packed};
    for (size_t index = 0; index < sizeof numbers / sizeof numbers[0]; index++) {
        bytes_append_varint(output, numbers[index]);
    }
    buffer_append(output, span_of(packed->bytes, lists_end));
    buffer_append(output, span_of(frame->uuids, (size_t)frame->uuids_count * RECORD_ID_SIZE));
    buffer_append(output, frame->packed);
    buffer_append(output, span_from(buffer_span(packed), lists_end));
    if (!append_packed(scratch, frame->inlined, head, output, &inlined_packed, fault)) return false;
    if (!good || buffer_overflowed(joined) || buffer_overflowed(packed) ||
        buffer_overflowed(output)) {
        return fault_set(fault, FAULT_FULL, "texts: no memory");
    }
    return true;
}

static struct header read_header(struct reader *reader, uint32_t version) {
    bool is_first = version == BLOCK_VERSION_FIRST;
    struct header header;
    header.strings = reader_varint(reader);
    header.shapes = reader_varint(reader);
    header.uuids = reader_varint(reader);
    header.control_size = reader_varint(reader);
    header.tokens_size = reader_varint(reader);
    header.packed_size = reader_varint(reader);
    header.copies_size = is_first ? 0 : reader_varint(reader);
    header.inlined_size = reader_varint(reader);
    header.text_size = reader_varint(reader);
    header.tokens_packed = reader_varint(reader);
    header.lists_size = is_first ? 0 : reader_varint(reader);
    header.lists_packed = is_first ? 0 : reader_varint(reader);
    // Every number that is a count takes at least a byte that must be there.
    if (header.strings > TOKENS_STRINGS_MAX || header.shapes > TOKENS_SHAPES_MAX ||
        header.uuids > reader_left(reader) / RECORD_ID_SIZE ||
        header.control_size > 2 * (uint64_t)BLOCK_TEXT_SIZE_MAX ||
        header.tokens_size > 2 * (uint64_t)BLOCK_TEXT_SIZE_MAX ||
        header.lists_size > 2 * (uint64_t)BLOCK_TEXT_SIZE_MAX ||
        header.inlined_size > BLOCK_TEXT_SIZE_MAX || header.text_size > BLOCK_TEXT_SIZE_MAX) {
        reader->bad = true;
    }
    return header;
}

// Inflates or copies what append_packed wrote into `to`, with TOKENS_SLACK bytes of room behind.
static bool read_packed(struct block_scratch *scratch, struct span shared, struct span bytes,
                        bool is_packed, uint64_t size, struct buffer *to, struct fault *fault) {
    buffer_reset(to);
    uint8_t *at = buffer_reserve(to, (size_t)size + TOKENS_SLACK);
    if (at == NULL) return fault_set(fault, FAULT_FULL, "texts: no memory");
    if (is_packed) {
        if (!zstd_inflate_shared(scratch->zstd, shared, bytes, at, (size_t)size, fault))
            return false;
    } else {
        if (bytes.size != size) return fault_set(fault, FAULT_CORRUPT, "texts: damaged sizes");
        if (size > 0) memcpy(at, bytes.bytes, bytes.size);
    }
    memset(at + size, 0, TOKENS_SLACK);
    to->size = (size_t)size;
    return true;
}

// Reads the strings and shapes that the frame refers to. Marks the reader bad if they are damaged.
static bool read_lists(struct block_scratch *scratch, const struct header *header,
                       struct reader *reader, uint32_t shapes[TOKENS_SHAPES_MAX]) {
    buffer_reset(&scratch->strings);
    uint8_t *room = buffer_reserve(&scratch->strings, (size_t)header->strings * sizeof(uint32_t));
    if (room == NULL) return false;
    uint32_t *strings = (uint32_t *)(void *)room;
    uint64_t string = 0;
    for (uint64_t index = 0; index < header->strings; index++) {
        uint64_t more = reader_varint(reader);
        string += more;
        if (more > UINT32_MAX || string > UINT32_MAX) reader->bad = true;
        strings[index] = (uint32_t)string;
    }
    for (uint64_t index = 0; index < header->shapes; index++) {
        uint64_t shape = reader_varint(reader);
        if (shape > UINT32_MAX) reader->bad = true;
        shapes[index] = (uint32_t)shape;
    }
    return true;
}

// What of the dictionary, besides strings and shapes, a block's texts refer to.
struct common {
    struct span sample;
    struct span shared;  // what inline bytes are compressed against
};

// In blocks of version 1 inline bytes are compressed against the dictionary's sample.
static bool find_common(const struct block *block, const struct dictionary *dictionary,
                        struct common *common, struct fault *fault) {
    common->shared = span_of(NULL, 0);
    if (!dictionary_sample(dictionary, block->sample_size, &common->sample) ||
        (block->has_head && !dictionary_head(dictionary, &common->shared))) {
        if (dictionary_failure(dictionary, fault)) return false;
        return fault_set(fault, FAULT_CORRUPT,
                         "block: refers to a sample or head that is not there");
    }
    if (block->version == BLOCK_VERSION_FIRST) common->shared = common->sample;
    return true;
}

// Takes the lists from the reader, and inflates them.
static bool open_lists(struct block_scratch *scratch, const struct header *header,
                       struct reader *reader, struct reader *lists, struct fault *fault) {
    bool is_packed = header->lists_packed != 0;
    uint64_t size = is_packed ? header->lists_packed : header->lists_size;
    const uint8_t *bytes = reader_take(reader, size);
    if (bytes == NULL) return fault_set(fault, FAULT_CORRUPT, "texts: damaged sizes");
    if (!read_packed(scratch, span_of(NULL, 0), span_of(bytes, (size_t)size), is_packed,
                     header->lists_size, &scratch->lists, fault)) {
        return false;
    }
    *lists = reader_of(buffer_span(&scratch->lists));
    return true;
}

// Reads a frame's texts section up to what the decoder takes. *frame borrows from the scratch.
static bool open_texts(struct block_scratch *scratch, uint32_t version, struct span section,
                       const struct common *common, uint32_t shapes[TOKENS_SHAPES_MAX],
                       struct tokens_frame *frame, uint64_t *text_size, struct fault *fault) {
    struct reader reader = reader_of(section);
    struct header header = read_header(&reader, version);
    if (reader.bad) return fault_set(fault, FAULT_CORRUPT, "texts: damaged header");
    struct reader lists = reader;
    if (version != BLOCK_VERSION_FIRST && !open_lists(scratch, &header, &reader, &lists, fault))
        return false;
    if (!read_lists(scratch, &header, &lists, shapes)) {
        return fault_set(fault, FAULT_FULL, "texts: no memory");
    }
    const uint8_t *copies = reader_take(&lists, header.copies_size);
    if (version == BLOCK_VERSION_FIRST) reader = lists;
    const uint8_t *uuids = reader_take(&reader, header.uuids * RECORD_ID_SIZE);
    const uint8_t *values = reader_take(&reader, header.packed_size);
    uint64_t joined_size = header.control_size + header.tokens_size;
    uint64_t packed_size = header.tokens_packed != 0 ? header.tokens_packed : joined_size;
    const uint8_t *packed = reader_take(&reader, packed_size);
    if (reader.bad || lists.bad) return fault_set(fault, FAULT_CORRUPT, "texts: damaged lists");
    struct span inlined = span_of(reader.at, reader_left(&reader));
    struct span none = span_of(NULL, 0);
    if (!read_packed(scratch, none, span_of(packed, (size_t)packed_size), header.tokens_packed != 0,
                     joined_size, &scratch->control, fault) ||
        !read_packed(scratch, common->shared, inlined, inlined.size != header.inlined_size,
                     header.inlined_size, &scratch->inlined, fault)) {
        return false;
    }
    const uint8_t *joined = scratch->control.bytes;
    *frame = (struct tokens_frame){
        .strings = (const uint32_t *)(const void *)scratch->strings.bytes,
        .strings_count = (uint32_t)header.strings,
        .shapes = shapes,
        .shapes_count = (uint32_t)header.shapes,
        .uuids = uuids,
        .uuids_count = (uint32_t)header.uuids,
        .first_string = version == BLOCK_VERSION_FIRST ? TOKEN_STRINGS_FIRST : TOKEN_STRINGS,
        .control = span_of(joined, (size_t)header.control_size),
        .tokens = span_of(joined + header.control_size, (size_t)header.tokens_size),
        .packed = span_of(values, (size_t)header.packed_size),
        .copies = span_of(copies, (size_t)header.copies_size),
        .sample = common->sample,
        .inlined = buffer_span(&scratch->inlined),
    };
    *text_size = header.text_size;
    return true;
}

static bool is_wanted(const uint64_t rows[2], uint32_t row) {
    return (rows[row / 64] >> row % 64 & 1) != 0;
}

static uint32_t count_rows(const uint64_t rows[2]) {
    return (uint32_t)(__builtin_popcountll(rows[0]) + __builtin_popcountll(rows[1]));
}

bool block_read_texts(const struct block *block, struct block_scratch *scratch,
                      const struct dictionary *dictionary, uint32_t frame, const uint64_t rows[2],
                      struct span texts[BLOCK_FRAME_ROWS], struct span accounts[BLOCK_FRAME_ROWS],
                      struct fault *fault) {
    assert(dictionary_epoch(dictionary) == block->summary.epoch);
    struct block_frame found;
    int64_t times_s[BLOCK_FRAME_ROWS];
    struct span all_accounts[BLOCK_FRAME_ROWS];
    if (!block_frame_open(block, frame, &found) ||
        !columns_read_rows(&found, times_s, all_accounts)) {
        return fault_set(fault, FAULT_CORRUPT, "block: frame %u: damaged columns", frame);
    }
    if (!block_frame_check_texts(block, &found))
        return fault_set(fault, FAULT_CORRUPT, "block: frame %u: wrong checksum of its texts",
                         frame);
    struct common common;
    if (!find_common(block, dictionary, &common, fault)) return false;
    uint32_t shapes[TOKENS_SHAPES_MAX];
    struct tokens_frame tokens;
    uint64_t text_size = 0;
    if (!open_texts(scratch, block->version, found.texts, &common, shapes, &tokens, &text_size,
                    fault)) {
        return fault_add(fault, "block: frame %u", frame);
    }
    buffer_reset(&scratch->output);
    uint8_t *at = buffer_reserve(&scratch->output, (size_t)text_size + TOKENS_SLACK);
    if (at == NULL) return fault_set(fault, FAULT_FULL, "block: frame %u: no memory", frame);
    const uint8_t *end = at + text_size;
    bool good = tokens_decoder_begin(scratch->decoder, dictionary, &tokens);
    uint64_t left[2] = {rows[0], rows[1]};
    if (good && count_rows(rows) == found.rows) tokens_decoder_expect_all(scratch->decoder);
    for (uint32_t row = 0; good && row < found.rows && (left[0] | left[1]) != 0; row++) {
        if (!is_wanted(rows, row)) {
            good = tokens_decoder_skip(scratch->decoder);
            continue;
        }
        left[row / 64] ^= (uint64_t)1 << row % 64;
        struct tokens_row token_row = {
            .id = found.ids.bytes + (size_t)row * RECORD_ID_SIZE,
            .time_s = times_s[row],
        };
        uint8_t *begin = at;
        good = tokens_decoder_next(scratch->decoder, &token_row, &at, end);
        texts[row] = span_of(begin, (size_t)(at - begin));
        accounts[row] = all_accounts[row];
    }
    if (!good && dictionary_failure(dictionary, fault))
        return fault_add(fault, "block: frame %u", frame);
    if (!good) return fault_set(fault, FAULT_CORRUPT, "block: frame %u: damaged texts", frame);
    return true;
}

void block_swap_texts(struct block_scratch *scratch, struct buffer *texts) {
    struct buffer taken = scratch->output;
    scratch->output = *texts;
    scratch->output.size_max = taken.size_max;
    *texts = taken;
}
