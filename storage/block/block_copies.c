#include <assert.h>

#include "storage/block/block_encoder.h"
#include "storage/block/bytes.h"

enum {
    COPY_SIZE_MIN = 12,    // bytes; a shorter copy takes as much as it saves
    SCATTERED_SIZE = 128,  // bytes of a copy, as a mean, below which a value is put together badly
    SCATTERED_MIN = 256,   // bytes of a value for which that is worth mending
    GAP_MAX = 256,         // bytes met for the first time between others that came again
};

// A value while it is cut.
struct cutting {
    struct span text;
    uint32_t literal;  // where the bytes begin that no copy holds
    uint32_t again;    // of them, where those begin that were met before; UINT32_MAX: none
    uint32_t again_end;
    uint32_t copies;
};

// Adds to the sample what came again.
static void add_again(struct tokens_encoder *encoder, struct cutting *cutting) {
    if (cutting->again == UINT32_MAX) return;
    dictionary_add_sample(encoder->dictionary, span_of(cutting->text.bytes + cutting->again,
                                                       cutting->again_end - cutting->again));
    cutting->again = UINT32_MAX;
}

// Notes an anchor that the sample does not know, with the bytes up to the next one.
static void note_anchor(struct tokens_encoder *encoder, struct cutting *cutting, uint32_t at,
                        uint32_t end, uint64_t hash) {
    if (cutting->again != UINT32_MAX && at - cutting->again_end > GAP_MAX) {
        add_again(encoder, cutting);
    }
    if (!dictionary_was_seen(encoder->dictionary, hash)) return;
    if (cutting->again == UINT32_MAX) cutting->again = at;
    cutting->again_end = end;
}

static void put_copy(struct tokens_encoder *encoder, struct cutting *cutting, uint32_t at,
                     uint32_t offset, uint32_t size) {
    uint32_t literal = at - cutting->literal;
    encoder_push_inline(encoder, cutting->text.bytes + cutting->literal, literal);
    uint8_t *to = encoder->copies.bytes + encoder->copies.size;
    to = bytes_put_varint(to, literal);
    to = bytes_put_varint(to, size);
    to = bytes_put_varint(to, offset);
    encoder->copies.size = (size_t)(to - encoder->copies.bytes);
    cutting->literal = at + size;
    cutting->copies++;
}

uint32_t encoder_put_copies(struct tokens_encoder *encoder, struct span text) {
    struct cutting cutting = {text, 0, UINT32_MAX, 0, 0};
    for (size_t at = 0; text.size - at >= DICTIONARY_ANCHOR_SIZE;) {
        uint64_t hash = dictionary_anchor_hash(text.bytes + at);
        uint32_t offset;
        size_t size =
            dictionary_find_sample(encoder->dictionary, span_from(text, at), hash, &offset);
        if (size >= COPY_SIZE_MIN) {
            add_again(encoder, &cutting);
            put_copy(encoder, &cutting, (uint32_t)at, offset, (uint32_t)size);
            at += size;
            continue;
        }
        size_t next = dictionary_anchor_next(text, at);
        note_anchor(encoder, &cutting, (uint32_t)at, (uint32_t)next, hash);
        at = next;
    }
    add_again(encoder, &cutting);
    if (cutting.copies == 0) return 0;
    // What came together before but in pieces may come together again.
    if (cutting.copies * SCATTERED_SIZE > text.size && text.size >= SCATTERED_MIN) {
        dictionary_add_sample(encoder->dictionary, text);
    }
    uint32_t literal = (uint32_t)text.size - cutting.literal;
    encoder_push_inline(encoder, text.bytes + cutting.literal, literal);
    uint8_t *to = encoder->copies.bytes + encoder->copies.size;
    encoder->copies.size = (size_t)(bytes_put_varint(to, literal) - encoder->copies.bytes);
    return cutting.copies;
}
