#include "storage/block/block_structure.h"

#include <stdlib.h>
#include <string.h>
#ifdef __SSE2__
#include <emmintrin.h>
#endif

enum {
    STEP = 64,    // bytes looked at together: one bit each
    AT_ONCE = 4,  // offsets written without asking how many there are
};

struct masks {
    uint64_t quotes;
    uint64_t backslashes;
    uint64_t opens;
    uint64_t closes;
};

#ifdef __SSE2__
// The bytes of one step. Loops over them are written out, and the functions they are given to
// become part of their callers: compilers at the level of release builds would let these bytes go
// through memory, once for each byte that is looked for.
struct step {
    __m128i parts[4];
};

static inline __m128i load(const uint8_t *text) {
    return _mm_loadu_si128((const __m128i *)(const void *)text);
}

__attribute__((always_inline)) static inline uint64_t equal_mask(struct step step, char byte) {
    const __m128i wanted = _mm_set1_epi8(byte);
    uint32_t first = (uint32_t)_mm_movemask_epi8(_mm_cmpeq_epi8(step.parts[0], wanted));
    uint32_t second = (uint32_t)_mm_movemask_epi8(_mm_cmpeq_epi8(step.parts[1], wanted));
    uint32_t third = (uint32_t)_mm_movemask_epi8(_mm_cmpeq_epi8(step.parts[2], wanted));
    uint32_t fourth = (uint32_t)_mm_movemask_epi8(_mm_cmpeq_epi8(step.parts[3], wanted));
    return (first | second << 16) | (uint64_t)(third | fourth << 16) << 32;
}

__attribute__((always_inline)) static inline bool has_byte(struct step step, char byte) {
    const __m128i wanted = _mm_set1_epi8(byte);
    __m128i low =
        _mm_or_si128(_mm_cmpeq_epi8(step.parts[0], wanted), _mm_cmpeq_epi8(step.parts[1], wanted));
    __m128i high =
        _mm_or_si128(_mm_cmpeq_epi8(step.parts[2], wanted), _mm_cmpeq_epi8(step.parts[3], wanted));
    return _mm_movemask_epi8(_mm_or_si128(low, high)) != 0;
}

__attribute__((always_inline)) static inline struct masks find_masks(const uint8_t *text) {
    // Bit 5 is all that tells '[' from '{' and ']' from '}'.
    const __m128i fold = _mm_set1_epi8(0x20);
    const struct step step = {{load(text), load(text + 16), load(text + 32), load(text + 48)}};
    const struct step folded = {
        {_mm_or_si128(step.parts[0], fold), _mm_or_si128(step.parts[1], fold),
         _mm_or_si128(step.parts[2], fold), _mm_or_si128(step.parts[3], fold)}};
    return (struct masks){
        .quotes = equal_mask(step, '"'),
        // Most steps have none.
        .backslashes = has_byte(step, '\\') ? equal_mask(step, '\\') : 0,
        .opens = equal_mask(folded, '{'),
        .closes = equal_mask(folded, '}'),
    };
}
#else
static struct masks find_masks(const uint8_t *text) {
    struct masks masks = {0};
    for (unsigned index = 0; index < STEP; index++) {
        uint64_t bit = (uint64_t)1 << index;
        uint8_t folded = text[index] | 0x20;
        if (text[index] == '"') masks.quotes |= bit;
        if (text[index] == '\\') masks.backslashes |= bit;
        if (folded == '{') masks.opens |= bit;
        if (folded == '}') masks.closes |= bit;
    }
    return masks;
}
#endif

// The bytes that a backslash before them escapes. *carry: whether the first byte of this step is,
// then of the next one. Runs of backslashes escape one another in pairs.
static uint64_t find_escaped(uint64_t backslashes, uint64_t *carry) {
    const uint64_t even = 0x5555555555555555;
    backslashes &= ~*carry;
    uint64_t follows = backslashes << 1 | *carry;
    uint64_t odd_starts = backslashes & ~even & ~follows;
    uint64_t ends;
    *carry = __builtin_add_overflow(odd_starts, backslashes, &ends) ? 1 : 0;
    return (even ^ ends << 1) & follows;
}

// Bit n becomes the parity of bits 0 to n.
static uint64_t prefix_parity(uint64_t bits) {
    bits ^= bits << 1;
    bits ^= bits << 2;
    bits ^= bits << 4;
    bits ^= bits << 8;
    bits ^= bits << 16;
    bits ^= bits << 32;
    return bits;
}

bool structure_begin(struct structure *structure, size_t text_size) {
    structure->count = 0;
    size_t room = text_size + STEP + AT_ONCE;
    if (room <= structure->room) return true;
    room += room / 2;
    if (room > UINT32_MAX) return false;
    structure_done(structure);
    structure->at = malloc(room * sizeof *structure->at);
    structure->match = malloc(room * sizeof *structure->match);
    if (structure->at == NULL || structure->match == NULL) {
        structure_done(structure);
        return false;
    }
    structure->room = (uint32_t)room;
    return true;
}

void structure_done(struct structure *structure) {
    free(structure->at);
    free(structure->match);
    *structure = (struct structure){0};
}

// A scan between two steps.
struct scan {
    uint32_t stack[STRUCTURE_DEPTH_MAX];  // indexes of brackets that are open
    uint32_t depth;
    uint64_t escape_carry;
    uint64_t inside;  // all ones if the next step begins inside a string
};

// Pairs the brackets of one step; `bits` are all its quotes and brackets. If `one` stops when none
// is open any more: *closed is then the index of the last. False if they do not pair.
static bool pair_brackets(struct structure *structure, struct scan *scan, uint64_t bits,
                          uint64_t opens, uint64_t closes, bool one, uint32_t *closed) {
    uint64_t brackets = opens | closes;
    while (brackets != 0) {
        uint64_t bit = brackets & (0 - brackets);
        brackets ^= bit;
        uint32_t index = structure->count + (uint32_t)__builtin_popcountll(bits & (bit - 1));
        if ((opens & bit) != 0) {
            if (scan->depth == STRUCTURE_DEPTH_MAX) return false;
            scan->stack[scan->depth++] = index;
            continue;
        }
        if (scan->depth == 0) return false;
        structure->match[scan->stack[--scan->depth]] = index;
        if (one && scan->depth == 0) {
            *closed = index;
            return true;
        }
    }
    return true;
}

// Writes the offsets of the bits, and as many as AT_ONCE numbers behind them that mean nothing: a
// loop that ended at the last bit would be mispredicted at nearly every step.
static void write_offsets(uint32_t *at, uint64_t bits, uint32_t offset) {
    const uint64_t last = (uint64_t)1 << 63;  // what lies behind the last bit is written over
    while (bits != 0) {
        at[0] = offset + (uint32_t)__builtin_ctzll(bits);
        bits &= bits - 1;
        at[1] = offset + (uint32_t)__builtin_ctzll(bits | last);
        bits &= bits - 1;
        at[2] = offset + (uint32_t)__builtin_ctzll(bits | last);
        bits &= bits - 1;
        at[3] = offset + (uint32_t)__builtin_ctzll(bits | last);
        bits &= bits - 1;
        at += AT_ONCE;
    }
}

// Scans from an offset to the end, or if `one` until the first bracket is closed; *closed is then
// its index.
static bool scan_text(struct structure *structure, struct span text, size_t offset, bool one,
                      uint32_t *closed) {
    struct scan scan;
    scan.depth = 0;
    scan.escape_carry = 0;
    scan.inside = 0;
    *closed = UINT32_MAX;
    for (; offset < text.size && *closed == UINT32_MAX; offset += STEP) {
        const uint8_t *bytes = text.bytes + offset;
        uint8_t last[STEP];
        if (text.size - offset < STEP) {
            memset(last, 0, sizeof last);
            memcpy(last, bytes, text.size - offset);
            bytes = last;
        }
        struct masks masks = find_masks(bytes);
        if ((masks.backslashes | scan.escape_carry) != 0) {
            masks.quotes &= ~find_escaped(masks.backslashes, &scan.escape_carry);
        }
        uint64_t in_string = prefix_parity(masks.quotes) ^ scan.inside;
        scan.inside = 0 - (in_string >> 63);
        uint64_t opens = masks.opens & ~in_string;
        uint64_t closes = masks.closes & ~in_string;
        uint64_t bits = masks.quotes | opens | closes;
        if ((opens | closes) != 0 &&
            !pair_brackets(structure, &scan, bits, opens, closes, one, closed)) {
            return false;
        }
        write_offsets(structure->at + structure->count, bits, (uint32_t)offset);
        structure->count += (uint32_t)__builtin_popcountll(bits);
    }
    return one ? *closed != UINT32_MAX : scan.depth == 0 && scan.inside == 0;
}

bool structure_scan(struct structure *structure, struct span text) {
    uint32_t closed;
    structure->count = 0;
    return scan_text(structure, text, 0, false, &closed);
}

bool structure_scan_one(struct structure *structure, struct span text, uint32_t offset) {
    uint32_t closed;
    structure->count = 0;
    if (!scan_text(structure, text, offset, true, &closed)) return false;
    structure->count = closed + 1;
    return true;
}

// The same byte by byte.
static uint32_t find_string_end(struct span text, uint32_t at) {
    for (; at < text.size && text.bytes[at] != '"'; at++) {
        if (text.bytes[at] == '\\') at++;
    }
    return at < text.size ? at : (uint32_t)text.size;
}

uint32_t structure_string_end(struct span text, uint32_t offset) {
#ifdef __SSE2__
    const __m128i quote = _mm_set1_epi8('"');
    const __m128i backslash = _mm_set1_epi8('\\');
    for (; text.size - offset >= 2 * sizeof quote; offset += 2 * (uint32_t)sizeof quote) {
        __m128i low = load(text.bytes + offset);
        __m128i high = load(text.bytes + offset + sizeof quote);
        uint32_t quotes = (uint32_t)_mm_movemask_epi8(_mm_cmpeq_epi8(low, quote)) |
                          (uint32_t)_mm_movemask_epi8(_mm_cmpeq_epi8(high, quote)) << sizeof quote;
        uint32_t backslashes = (uint32_t)_mm_movemask_epi8(_mm_cmpeq_epi8(low, backslash)) |
                               (uint32_t)_mm_movemask_epi8(_mm_cmpeq_epi8(high, backslash))
                                   << sizeof quote;
        // A backslash before the first quote, or without one.
        if ((backslashes & (quotes - 1)) != 0) break;
        if (quotes != 0) return offset + (uint32_t)__builtin_ctz(quotes);
    }
#endif
    return find_string_end(text, offset);
}

// The offset of the bracket among these of a step that closes the last one open, or STEP.
static uint32_t find_close(uint64_t opens, uint64_t closes, uint32_t *depth) {
    uint64_t brackets = opens | closes;
    for (; brackets != 0; brackets &= brackets - 1) {
        uint64_t bit = brackets & (0 - brackets);
        if ((opens & bit) != 0) {
            (*depth)++;
        } else if (--*depth == 0) {
            return (uint32_t)__builtin_ctzll(bit);
        }
    }
    return STEP;
}

bool structure_skip(struct span text, uint32_t offset, uint32_t *end) {
    uint64_t escape_carry = 0, inside = 0;
    uint32_t depth = 0;
    for (size_t at = offset; at < text.size; at += STEP) {
        const uint8_t *bytes = text.bytes + at;
        uint8_t last[STEP];
        if (text.size - at < STEP) {
            memset(last, 0, sizeof last);
            memcpy(last, bytes, text.size - at);
            bytes = last;
        }
        struct masks masks = find_masks(bytes);
        if ((masks.backslashes | escape_carry) != 0) {
            masks.quotes &= ~find_escaped(masks.backslashes, &escape_carry);
        }
        uint64_t in_string = prefix_parity(masks.quotes) ^ inside;
        inside = 0 - (in_string >> 63);
        uint64_t opens = masks.opens & ~in_string;
        uint64_t closes = masks.closes & ~in_string;
        if (closes == 0) {
            depth += (uint32_t)__builtin_popcountll(opens);
            continue;
        }
        uint32_t close = find_close(opens, closes, &depth);
        if (close == STEP) continue;
        *end = (uint32_t)at + close + 1;
        return true;
    }
    return false;
}
