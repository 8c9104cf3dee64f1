#include "base/json.h"

#include <assert.h>
#include <stdio.h>
#include <stdlib.h>

#include "base/json_internal.h"
#include "base/json_track_internal.h"

enum {
    CAPACITY_MIN = 64 * 1024,     // the pool of a new reader's first document: 4.9 KB of text
    SMALL_OBJECT_COUNT_MAX = 64,  // members; above, names are sorted instead of searched
    MARKS = 256,                  // of the names of one object
    MISTAKE_TEXT_SIZE_MAX = 100,  // bytes of yyjson's message that are shown
    HELD_SIZE = 512,              // bytes of a string that are appended at a time
    ESCAPED_SIZE_MAX = 6,         // bytes of one character: "\u001f"
    EXPONENT_MAX = 1000000000,    // of a number; beyond it only equal spelling is equal
};

// yyjson's accessors take pointers to non-const and change nothing.
static yyjson_val *unconst(const struct yyjson_val *value) {
    return (yyjson_val *)(uintptr_t)value;
}

static struct span name_of(const yyjson_val *key) {
    return span_of(unsafe_yyjson_get_str(unconst(key)), unsafe_yyjson_get_len(unconst(key)));
}

struct json_reader *json_reader_create(void) {
    return calloc(1, sizeof(struct json_reader));
}

void json_reader_destroy(struct json_reader *reader) {
    if (reader == NULL) return;
    json_track_destroy(reader->track);
    arena_destroy(reader->strings);
    free(reader->picks);
    free(reader->pool);
    free(reader);
}

void json_reader_trim(struct json_reader *reader, size_t size_max) {
    if (reader->capacity <= size_max) return;
    free(reader->pool);
    reader->pool = NULL;
    reader->capacity = 0;
}

size_t json_reader_size(const struct json_reader *reader) {
    return reader->capacity;
}

// A container's values lie behind it in one array, so its end is known when it begins: depth is
// the number of ends not yet reached. False as soon as it passes JSON_DEPTH_MAX.
static bool depth_is_allowed(const yyjson_val *root, size_t values_count) {
    const yyjson_val *ends[JSON_DEPTH_MAX];
    const yyjson_val *end = root + values_count;
    size_t depth = 0;
    for (const yyjson_val *value = root; value < end; value++) {
        while (depth > 0 && value >= ends[depth - 1]) depth--;
        if (!unsafe_yyjson_is_ctn(unconst(value))) continue;
        if (depth == JSON_DEPTH_MAX) return false;
        ends[depth++] = unsafe_yyjson_get_next(unconst(value));
    }
    return true;
}

// The offset of the first container that is too deep, in text that is known to be valid.
static size_t find_depth_offset(struct span text) {
    size_t depth = 0;
    bool quoted = false;
    for (size_t at = 0; at < text.size; at++) {
        uint8_t byte = text.bytes[at];
        if (quoted) {
            if (byte == '\\') at++;
            if (byte == '"') quoted = false;
        } else if (byte == '"') {
            quoted = true;
        } else if (byte == '{' || byte == '[') {
            if (++depth > JSON_DEPTH_MAX) return at;
        } else if (byte == '}' || byte == ']') {
            depth--;
        }
    }
    return text.size;
}

// The pool is as large as yyjson can need, so that a read never runs out of it half-way.
static bool grow_pool(struct json_reader *reader, size_t text_size, struct fault *fault) {
    size_t wanted = yyjson_read_max_memory_usage(text_size, YYJSON_READ_BIGNUM_AS_RAW);
    // yyjson answers 0 when the product overflows.
    if (wanted > 0 && wanted <= reader->capacity) return true;
    if (wanted < CAPACITY_MIN && wanted > 0) wanted = CAPACITY_MIN;
    uint8_t *pool = wanted == 0 ? NULL : malloc(wanted);
    if (pool == NULL) {
        return fault_set(fault, FAULT_FULL, "no memory to read %zu bytes of JSON", text_size);
    }
    free(reader->pool);
    reader->pool = pool;
    reader->capacity = wanted;
    return true;
}

static bool read_with(void *pool, size_t capacity, struct span text, const struct yyjson_val **root,
                      struct fault *fault) {
    yyjson_alc allocator;
    if (!yyjson_alc_pool_init(&allocator, pool, capacity)) {
        return fault_set(fault, FAULT_FULL, "no memory to read %zu bytes of JSON", text.size);
    }
    yyjson_read_err mistake = {0};
    yyjson_doc *document = yyjson_read_opts((char *)(uintptr_t)text.bytes, text.size,
                                            YYJSON_READ_BIGNUM_AS_RAW, &allocator, &mistake);
    if (document == NULL) {
        // The pool holds whatever a document of this size can be: one that needs more (nothing but
        // openings) is none.
        if (mistake.code == YYJSON_READ_ERROR_MEMORY_ALLOCATION) {
            return fault_set(fault, FAULT_INPUT, "invalid JSON at byte %zu: it has no end",
                             text.size);
        }
        return fault_set(fault, FAULT_INPUT, "invalid JSON at byte %zu: %.*s", mistake.pos,
                         MISTAKE_TEXT_SIZE_MAX, mistake.msg);
    }
    yyjson_val *top = yyjson_doc_get_root(document);
    if (!depth_is_allowed(top, yyjson_doc_get_val_count(document))) {
        return fault_set(fault, FAULT_INPUT,
                         "invalid JSON at byte %zu: more than %d objects and arrays in one another",
                         find_depth_offset(text), JSON_DEPTH_MAX);
    }
    *root = top;
    return true;
}

bool json_read(struct json_reader *reader, struct span text, const struct yyjson_val **root,
               struct fault *fault) {
    if (text.size == 0) return fault_set(fault, FAULT_INPUT, "invalid JSON at byte 0: no text");
    return grow_pool(reader, text.size, fault) &&
           read_with(reader->pool, reader->capacity, text, root, fault);
}

bool json_read_into(struct arena *arena, struct span text, const struct yyjson_val **root,
                    struct fault *fault) {
    if (text.size == 0) return fault_set(fault, FAULT_INPUT, "invalid JSON at byte 0: no text");
    size_t capacity = yyjson_read_max_memory_usage(text.size, YYJSON_READ_BIGNUM_AS_RAW);
    void *pool = capacity == 0 ? NULL : arena_allocate(arena, capacity);
    if (pool == NULL) {
        return fault_set(fault, FAULT_FULL, "no memory to read %zu bytes of JSON", text.size);
    }
    return read_with(pool, capacity, text, root, fault);
}

// Cheap and good enough to tell apart the names of one object: size, first and last bytes, as a
// number below MARKS.
static uint32_t mark_of(struct span name) {
    uint64_t head = 0, tail = 0;
    if (name.size >= 8) {
        memcpy(&head, name.bytes, 8);
        memcpy(&tail, name.bytes + name.size - 8, 8);
    } else if (name.size > 0) {
        memcpy(&head, name.bytes, name.size);
    }
    uint64_t hash = (head ^ (tail << 1 | tail >> 63) ^ name.size) * 0x9E3779B97F4A7C15u;
    return (uint32_t)(hash >> 56);
}

// Whether one of the keys before this one has its name.
static bool is_repeated(const yyjson_val *object, const yyjson_val *key) {
    struct span name = name_of(key);
    for (const yyjson_val *before = unsafe_yyjson_get_first(unconst(object)); before < key;
         before = unsafe_yyjson_get_next(unconst(before + 1))) {
        if (unsafe_yyjson_equals_strn(unconst(before), (const char *)name.bytes, name.size)) {
            return true;
        }
    }
    return false;
}

// Keys by name, those of one name in the order of the text.
static int compare_keys(const void *left, const void *right) {
    const yyjson_val *const *one = left, *const *other = right;
    int order = span_compare(name_of(*one), name_of(*other));
    if (order != 0) return order;
    return (*one > *other) - (*one < *other);
}

// The keys of an object, sorted; the caller frees them. NULL if memory runs out.
static const yyjson_val **sort_keys(const yyjson_val *object) {
    size_t count = unsafe_yyjson_get_len(unconst(object));
    const yyjson_val **keys = malloc(count * sizeof *keys);
    if (keys == NULL) return NULL;
    const yyjson_val *key = unsafe_yyjson_get_first(unconst(object));
    for (size_t index = 0; index < count; index++) {
        keys[index] = key;
        key = unsafe_yyjson_get_next(unconst(key + 1));
    }
    qsort(keys, count, sizeof *keys, compare_keys);
    return keys;
}

// The key that repeats the name of another one of this object, or NULL.
static const yyjson_val *find_repeated_key(const yyjson_val *object) {
    size_t count = unsafe_yyjson_get_len(unconst(object));
    const yyjson_val **keys = count > SMALL_OBJECT_COUNT_MAX ? sort_keys(object) : NULL;
    if (keys != NULL) {
        const yyjson_val *found = NULL;
        for (size_t index = 1; index < count && found == NULL; index++) {
            if (span_equal(name_of(keys[index - 1]), name_of(keys[index]))) found = keys[index];
        }
        free(keys);
        return found;
    }
    // Also the slow but sure way if there was no memory to sort in. A name that shares its mark
    // with one before it has to be compared with all of them, so there are far more marks than
    // names.
    uint64_t marks[MARKS / 64] = {0};
    const yyjson_val *key = unsafe_yyjson_get_first(unconst(object));
    for (size_t index = 0; index < count; index++) {
        uint32_t mark = mark_of(name_of(key));
        uint64_t bit = (uint64_t)1 << (mark % 64);
        if ((marks[mark / 64] & bit) != 0 && is_repeated(object, key)) return key;
        marks[mark / 64] |= bit;
        key = unsafe_yyjson_get_next(unconst(key + 1));
    }
    return NULL;
}

bool json_find_duplicate(const struct yyjson_val *root, struct span *name) {
    if (root == NULL) return false;
    const yyjson_val *end = unsafe_yyjson_get_next(unconst(root));
    for (const yyjson_val *value = root; value < end; value++) {
        if (!unsafe_yyjson_is_obj(unconst(value))) continue;
        const yyjson_val *key = find_repeated_key(value);
        if (key != NULL) {
            *name = name_of(key);
            return true;
        }
    }
    return false;
}

// A number's spelling taken apart: value = digits * 10^exponent, with neither leading nor trailing
// zeros among the digits. A digit is text[at], but for the point, which is left out.
struct decimal {
    bool negative;
    bool is_wild;  // the exponent is too large to reckon with
    struct span digits;
    int64_t exponent;  // of the last digit
};

static void parse_decimal(struct span text, struct decimal *decimal) {
    *decimal = (struct decimal){.negative = text.size > 0 && text.bytes[0] == '-'};
    size_t at = decimal->negative ? 1 : 0;
    size_t first = text.size, last = 0, point = text.size;
    for (; at < text.size && text.bytes[at] != 'e' && text.bytes[at] != 'E'; at++) {
        if (text.bytes[at] == '.') point = at;
        if (text.bytes[at] < '1' || text.bytes[at] > '9') continue;
        if (first == text.size) first = at;
        last = at;
    }
    size_t mantissa_end = at;
    if (point > mantissa_end) point = mantissa_end;
    if (first < text.size) decimal->digits = span_of(text.bytes + first, last - first + 1);

    int64_t exponent = 0;
    bool exponent_negative = false;
    for (at++; at < text.size; at++) {
        if (text.bytes[at] == '-') exponent_negative = true;
        if (text.bytes[at] < '0' || text.bytes[at] > '9') continue;
        if (exponent < EXPONENT_MAX) exponent = exponent * 10 + (text.bytes[at] - '0');
    }
    decimal->is_wild = exponent >= EXPONENT_MAX;
    decimal->exponent = exponent_negative ? -exponent : exponent;
    decimal->exponent += last < point ? (int64_t)(point - last) - 1 : -(int64_t)(last - point);
}

// The index of the next digit at or after this one, past a point.
static size_t skip_point(struct span digits, size_t at) {
    return at < digits.size && digits.bytes[at] == '.' ? at + 1 : at;
}

// Two numbers that fit no machine type, by value: 1e400 = 10e399.
static bool equal_spelled(struct span left, struct span right) {
    if (span_equal(left, right)) return true;
    struct decimal one, other;
    parse_decimal(left, &one);
    parse_decimal(right, &other);
    if (one.is_wild || other.is_wild || one.negative != other.negative ||
        one.exponent != other.exponent) {
        return false;
    }
    size_t at = 0, to = 0;
    for (;;) {
        at = skip_point(one.digits, at);
        to = skip_point(other.digits, to);
        if (at == one.digits.size || to == other.digits.size) break;
        if (one.digits.bytes[at++] != other.digits.bytes[to++]) return false;
    }
    return at == one.digits.size && to == other.digits.size;
}

// Whether a real is this whole number. The bounds are the powers of two that a double can hold.
static bool equal_real_to_integer(double real, const yyjson_val *integer) {
    if (yyjson_get_subtype(unconst(integer)) == YYJSON_SUBTYPE_UINT) {
        if (!(real >= 0 && real < 18446744073709551616.0)) return false;
        uint64_t whole = (uint64_t)real;
        return (double)whole == real && whole == unsafe_yyjson_get_uint(unconst(integer));
    }
    if (!(real >= -9223372036854775808.0 && real < 9223372036854775808.0)) return false;
    int64_t whole = (int64_t)real;
    return (double)whole == real && whole == unsafe_yyjson_get_sint(unconst(integer));
}

static bool equal_numbers(const yyjson_val *left, const yyjson_val *right) {
    bool left_is_real = yyjson_is_real(unconst(left));
    bool right_is_real = yyjson_is_real(unconst(right));
    if (left_is_real && right_is_real) {
        double one = unsafe_yyjson_get_real(unconst(left));
        double other = unsafe_yyjson_get_real(unconst(right));
        return one <= other && one >= other;
    }
    if (left_is_real) return equal_real_to_integer(unsafe_yyjson_get_real(unconst(left)), right);
    if (right_is_real) return equal_real_to_integer(unsafe_yyjson_get_real(unconst(right)), left);
    if (unsafe_yyjson_get_uint(unconst(left)) != unsafe_yyjson_get_uint(unconst(right))) {
        return false;
    }
    // The same 64 bits are the same number unless only one of the two is read as negative.
    bool left_is_negative =
        yyjson_is_sint(unconst(left)) && unsafe_yyjson_get_sint(unconst(left)) < 0;
    bool right_is_negative =
        yyjson_is_sint(unconst(right)) && unsafe_yyjson_get_sint(unconst(right)) < 0;
    return left_is_negative == right_is_negative;
}

// Whether an integer too large for 64 bits is the number that this real stands for.
static bool equal_spelled_to_real(const yyjson_val *spelled, const yyjson_val *real) {
    char text[320];  // the largest double has 309 digits, and all of them are printed
    int length = snprintf(text, sizeof text, "%.0f", unsafe_yyjson_get_real(unconst(real)));
    assert(length > 0 && (size_t)length < sizeof text);
    return equal_spelled(name_of(spelled), span_of(text, (size_t)length));
}

static bool equal_values(const yyjson_val *left, const yyjson_val *right, uint32_t depth);

static bool equal_arrays(const yyjson_val *left, const yyjson_val *right, uint32_t depth) {
    size_t count = unsafe_yyjson_get_len(unconst(left));
    const yyjson_val *one = unsafe_yyjson_get_first(unconst(left));
    const yyjson_val *other = unsafe_yyjson_get_first(unconst(right));
    for (size_t index = 0; index < count; index++) {
        if (!equal_values(one, other, depth)) return false;
        one = unsafe_yyjson_get_next(unconst(one));
        other = unsafe_yyjson_get_next(unconst(other));
    }
    return true;
}

// At most SMALL_OBJECT_COUNT_MAX members. Each is sought from the first one that has no partner
// yet, so equal order costs one comparison a member, and equal names pair up in order.
static bool equal_small_objects(const yyjson_val *left, const yyjson_val *right, uint32_t depth) {
    const yyjson_val *keys[SMALL_OBJECT_COUNT_MAX];
    size_t count = unsafe_yyjson_get_len(unconst(left));
    const yyjson_val *key = unsafe_yyjson_get_first(unconst(right));
    for (size_t index = 0; index < count; index++) {
        keys[index] = key;
        key = unsafe_yyjson_get_next(unconst(key + 1));
    }
    uint64_t taken = 0;
    size_t from = 0;
    key = unsafe_yyjson_get_first(unconst(left));
    for (size_t index = 0; index < count; index++) {
        while (from < count && (taken >> from & 1) != 0) from++;
        size_t at = from;
        while (at < count &&
               ((taken >> at & 1) != 0 || !span_equal(name_of(key), name_of(keys[at])))) {
            at++;
        }
        if (at == count || !equal_values(key + 1, keys[at] + 1, depth)) return false;
        taken |= (uint64_t)1 << at;
        key = unsafe_yyjson_get_next(unconst(key + 1));
    }
    return true;
}

static bool equal_large_objects(const yyjson_val *left, const yyjson_val *right, uint32_t depth) {
    size_t count = unsafe_yyjson_get_len(unconst(left));
    const yyjson_val **ones = sort_keys(left);
    const yyjson_val **others = sort_keys(right);
    bool equal = ones != NULL && others != NULL;
    for (size_t index = 0; equal && index < count; index++) {
        equal = span_equal(name_of(ones[index]), name_of(others[index])) &&
                equal_values(ones[index] + 1, others[index] + 1, depth);
    }
    free(ones);
    free(others);
    return equal;
}

// Recursion is bounded: json_read refuses what is deeper than JSON_DEPTH_MAX.
static bool equal_values(const yyjson_val *left, const yyjson_val *right, uint32_t depth) {
    assert(depth <= JSON_DEPTH_MAX);
    yyjson_type type = unsafe_yyjson_get_type(unconst(left));
    if (type == YYJSON_TYPE_RAW && yyjson_is_real(unconst(right))) {
        return equal_spelled_to_real(left, right);
    }
    if (yyjson_is_real(unconst(left)) && yyjson_is_raw(unconst(right))) {
        return equal_spelled_to_real(right, left);
    }
    if (type != unsafe_yyjson_get_type(unconst(right))) return false;
    switch (type) {
        case YYJSON_TYPE_NUM:
            return equal_numbers(left, right);
        case YYJSON_TYPE_RAW:
            return equal_spelled(name_of(left), name_of(right));
        case YYJSON_TYPE_STR:
            return span_equal(name_of(left), name_of(right));
        case YYJSON_TYPE_BOOL:
            return unsafe_yyjson_get_bool(unconst(left)) == unsafe_yyjson_get_bool(unconst(right));
        case YYJSON_TYPE_ARR:
        case YYJSON_TYPE_OBJ:
            break;
        default:
            return true;
    }
    size_t count = unsafe_yyjson_get_len(unconst(left));
    if (count != unsafe_yyjson_get_len(unconst(right))) return false;
    if (type == YYJSON_TYPE_ARR) return equal_arrays(left, right, depth + 1);
    if (count <= SMALL_OBJECT_COUNT_MAX) return equal_small_objects(left, right, depth + 1);
    return equal_large_objects(left, right, depth + 1);
}

bool json_equal(const struct yyjson_val *left, const struct yyjson_val *right) {
    if (left == NULL || right == NULL) return left == right;
    return equal_values(left, right, 0);
}

// How many bytes the UTF-8 character at the start of the bytes has; 0 if they begin with none.
static size_t measure_character(struct span bytes) {
    uint8_t first = bytes.bytes[0];
    if (first < 0x80) return 1;
    size_t size = first >= 0xC2 && first <= 0xDF ? 2 : first >= 0xE0 && first <= 0xEF ? 3 : 4;
    if (first < 0xC2 || first > 0xF4 || bytes.size < size) return 0;
    for (size_t index = 1; index < size; index++) {
        if ((bytes.bytes[index] & 0xC0) != 0x80) return 0;
    }
    uint8_t second = bytes.bytes[1];
    // Spelled too long, a surrogate, or beyond U+10FFFF.
    if ((first == 0xE0 && second < 0xA0) || (first == 0xED && second > 0x9F) ||
        (first == 0xF0 && second < 0x90) || (first == 0xF4 && second > 0x8F)) {
        return 0;
    }
    return size;
}

// The letter behind the backslash for a byte, 'u' for one that has none of its own; 0: it goes out
// as it is, if it is a character.
static uint8_t escape_of(uint8_t byte) {
    switch (byte) {
        case '"':
        case '\\':
            return byte;
        case '\b':
            return 'b';
        case '\f':
            return 'f';
        case '\n':
            return 'n';
        case '\r':
            return 'r';
        case '\t':
            return 't';
        default:
            return byte < 0x20 ? 'u' : 0;
    }
}

// Puts what stands for the first character of the bytes at `to` (ESCAPED_SIZE_MAX at most); returns
// how many bytes of it that are, and in *used how many of the text.
static size_t put_character(struct span bytes, uint8_t *to, size_t *used) {
    static const char digits[] = "0123456789abcdef";
    uint8_t byte = bytes.bytes[0];
    uint8_t escape = escape_of(byte);
    *used = 1;
    if (escape != 0) {
        to[0] = '\\';
        to[1] = escape;
        if (escape != 'u') return 2;
        memcpy(to + 2, "00", 2);
        to[4] = (uint8_t)digits[byte >> 4];
        to[5] = (uint8_t)digits[byte & 15];
        return 6;
    }
    size_t size = byte < 0x80 ? 1 : measure_character(bytes);
    if (size == 0) {
        memcpy(to, "\xEF\xBF\xBD", 3);
        return 3;
    }
    memcpy(to, bytes.bytes, size);
    *used = size;
    return size;
}

// Records are quoted whole, and every eighth byte of one is a quote itself: bytes are gathered here
// and appended many at a time.
void json_append_string(struct buffer *output, struct span text) {
    uint8_t held[HELD_SIZE];
    size_t count = 0;
    held[count++] = '"';
    for (size_t at = 0; at < text.size;) {
        if (count > HELD_SIZE - ESCAPED_SIZE_MAX) {
            buffer_append(output, span_of(held, count));
            count = 0;
        }
        uint8_t byte = text.bytes[at];
        if (byte >= 0x20 && byte < 0x80 && byte != '"' && byte != '\\') {
            held[count++] = byte;
            at++;
            continue;
        }
        size_t used;
        count += put_character(span_from(text, at), held + count, &used);
        at += used;
    }
    buffer_append(output, span_of(held, count));
    buffer_append_byte(output, '"');
}

void json_append_value(struct buffer *output, const struct yyjson_val *value) {
    if (value == NULL) {
        buffer_append_text(output, "null");
        return;
    }
    size_t size = 0;
    char *text = yyjson_val_write((yyjson_val *)(uintptr_t)value, YYJSON_WRITE_NOFLAG, &size);
    if (text == NULL) {
        output->overflowed = true;
        return;
    }
    buffer_append(output, span_of(text, size));
    free(text);
}
