#include "storage/block/block_forms.h"

#include <string.h>
#ifdef __SSE2__
#include <emmintrin.h>
#endif

#include "storage/block/bytes.h"

enum { DAY_S = 24 * 60 * 60 };

// Days since 1970-01-01 of a date of the Gregorian calendar, which here has no beginning. Years are
// counted from March, so that the leap day is a year's last.
static int64_t days_of(int64_t year, int64_t month, int64_t day) {
    year -= month <= 2;
    int64_t era = (year >= 0 ? year : year - 399) / 400;
    int64_t year_of_era = year - era * 400;
    int64_t day_of_year = (153 * (month + (month > 2 ? -3 : 9)) + 2) / 5 + day - 1;
    int64_t day_of_era = year_of_era * 365 + year_of_era / 4 - year_of_era / 100 + day_of_year;
    return era * 146097 + day_of_era - 719468;
}

// The date of a day counted from the first of March of the year 0.
static void date_of(uint32_t days, uint32_t *year, uint32_t *month, uint32_t *day) {
    uint32_t era = days / 146097;
    uint32_t day_of_era = days - era * 146097;
    uint32_t year_of_era =
        (day_of_era - day_of_era / 1460 + day_of_era / 36524 - day_of_era / 146096) / 365;
    uint32_t day_of_year = day_of_era - (365 * year_of_era + year_of_era / 4 - year_of_era / 100);
    uint32_t shifted = (5 * day_of_year + 2) / 153;
    *day = day_of_year - (153 * shifted + 2) / 5 + 1;
    *month = shifted < 10 ? shifted + 3 : shifted - 9;
    *year = year_of_era + era * 400 + (*month <= 2);
}

static void print_two(uint8_t *text, uint32_t number) {
    text[0] = (uint8_t)('0' + number / 10);
    text[1] = (uint8_t)('0' + number % 10);
}

bool forms_print_time(int64_t time_s, uint8_t text[FORMS_TIME_SIZE]) {
    static const int64_t march_s = -62162035200;  // the first of March of the year 0
    static const int64_t year_0_s = -62167219200;
    static const int64_t year_10000_s = 253402300800;
    if (time_s < year_0_s || time_s >= year_10000_s) return false;
    uint32_t year = 0, month, day;
    // January and February of the year 0 are those of the year 400, on other days of the week.
    static const int64_t era_s = (int64_t)146097 * DAY_S;
    bool is_first = time_s < march_s;
    uint64_t since_s = (uint64_t)(time_s - march_s + (is_first ? era_s : 0));
    uint32_t days = (uint32_t)(since_s / DAY_S);
    uint32_t second = (uint32_t)(since_s - (uint64_t)days * DAY_S);
    date_of(days, &year, &month, &day);
    if (is_first) year -= 400;
    memcpy(text, "0000-00-00T00:00:00Z", FORMS_TIME_SIZE);
    print_two(text, year / 100);
    print_two(text + 2, year % 100);
    print_two(text + 5, month);
    print_two(text + 8, day);
    print_two(text + 11, second / 3600);
    print_two(text + 14, second / 60 % 60);
    print_two(text + 17, second % 60);
    return true;
}

bool forms_parse_time(const uint8_t text[FORMS_TIME_SIZE], int64_t *time_s) {
    static const char form[FORMS_TIME_SIZE + 1] = "0000-00-00T00:00:00Z";
    int64_t digits[FORMS_TIME_SIZE];
    for (unsigned index = 0; index < FORMS_TIME_SIZE; index++) {
        digits[index] = text[index] - '0';
        bool is_right = form[index] == '0' ? digits[index] >= 0 && digits[index] <= 9
                                           : text[index] == (uint8_t)form[index];
        if (!is_right) return false;
    }
    int64_t year = digits[0] * 1000 + digits[1] * 100 + digits[2] * 10 + digits[3];
    int64_t month = digits[5] * 10 + digits[6];
    int64_t day = digits[8] * 10 + digits[9];
    int64_t hour = digits[11] * 10 + digits[12];
    int64_t minute = digits[14] * 10 + digits[15];
    int64_t second = digits[17] * 10 + digits[18];
    if (month < 1 || month > 12 || day < 1 || day > 31) return false;
    if (hour > 23 || minute > 59 || second > 59) return false;
    int64_t parsed = days_of(year, month, day) * DAY_S + hour * 3600 + minute * 60 + second;
    // The 31st of February has no spelling of its own.
    uint8_t again[FORMS_TIME_SIZE];
    if (!forms_print_time(parsed, again) || memcmp(again, text, FORMS_TIME_SIZE) != 0) return false;
    *time_s = parsed;
    return true;
}

static const uint64_t each = 0x0101010101010101;  // times a byte: that byte everywhere

// Prints 4 bytes as 8 lower-case hexadecimal digits.
static void print_digits(const uint8_t bytes[4], uint8_t digits[8]) {
    uint64_t spread = bytes_get_32(bytes);
    spread = (spread | spread << 16) & 0x0000ffff0000ffff;
    spread = (spread | spread << 8) & 0x00ff00ff00ff00ff;
    uint64_t numbers = (spread >> 4 | spread << 8) & 0x0f * each;
    uint64_t letters = (numbers + 6 * each) >> 4 & each;
    bytes_put_64(digits, numbers + '0' * each + ('a' - '0' - 10) * letters);
}

// The other way. False if one is no such digit.
static bool parse_digits(const uint8_t digits[8], uint8_t bytes[4]) {
    // With the upper bit free in each byte, a sum shows there whether the byte is large enough.
    const uint64_t upper = 0x80 * each;
    uint64_t text = bytes_get_64(digits);
    uint64_t from_0 = text + (0x80 - '0') * each;
    uint64_t from_colon = text + (0x80 - '9' - 1) * each;
    uint64_t from_a = text + (0x80 - 'a') * each;
    uint64_t from_g = text + (0x80 - 'f' - 1) * each;
    uint64_t good = ((from_0 & ~from_colon) | (from_a & ~from_g)) & ~text & upper;
    uint64_t numbers = (text & 0x0f * each) + 9 * (from_a >> 7 & each);
    uint64_t packed = (numbers << 4 | numbers >> 8) & 0x00ff00ff00ff00ff;
    packed = (packed | packed >> 8) & 0x0000ffff0000ffff;
    bytes_put_32(bytes, (uint32_t)(packed | packed >> 16));
    return good == upper;
}

void forms_print_uuid(const uint8_t id[RECORD_ID_SIZE], uint8_t text[FORMS_UUID_SIZE]) {
    uint8_t digits[2 * RECORD_ID_SIZE];
    for (unsigned at = 0; at < RECORD_ID_SIZE; at += 4) print_digits(id + at, digits + 2 * at);
    memcpy(text, digits, 8);
    memcpy(text + 9, digits + 8, 4);
    memcpy(text + 14, digits + 12, 4);
    memcpy(text + 19, digits + 16, 4);
    memcpy(text + 24, digits + 20, 12);
    text[8] = text[13] = text[18] = text[23] = '-';
}

bool forms_parse_uuid(const uint8_t text[FORMS_UUID_SIZE], uint8_t id[RECORD_ID_SIZE]) {
    if (text[8] != '-' || text[13] != '-' || text[18] != '-' || text[23] != '-') return false;
    uint8_t digits[2 * RECORD_ID_SIZE];
    memcpy(digits, text, 8);
    memcpy(digits + 8, text + 9, 4);
    memcpy(digits + 12, text + 14, 4);
    memcpy(digits + 16, text + 19, 4);
    memcpy(digits + 20, text + 24, 12);
    bool good = true;
    for (unsigned at = 0; at < RECORD_ID_SIZE; at += 4)
        good &= parse_digits(digits + 2 * at, id + at);
    return good;
}

enum {
    STEP = 64,             // bytes looked at together
    RANDOM_SIZE_MIN = 12,  // shorter texts repeat too often to be kept out of compression
};

// A bit for each byte that base 64 has.
static const uint64_t is_in_base64[4] = {0x03ff880000000000, 0x07fffffe07fffffe, 0, 0};

// Which of STEP bytes, up to `count` and a few behind, have a property: one bit each.
struct masks {
    uint64_t digits;
    uint64_t uppers;
    uint64_t lowers;
    uint64_t others;   // + and /
    uint64_t letters;  // a to f
};

#ifdef __SSE2__
static uint32_t range_mask(__m128i bytes, char first, char last) {
    __m128i above = _mm_sub_epi8(bytes, _mm_set1_epi8(first));
    __m128i most = _mm_set1_epi8((char)(last - first));
    return (uint32_t)_mm_movemask_epi8(_mm_cmpeq_epi8(_mm_min_epu8(above, most), above));
}

static struct masks find_masks(const uint8_t bytes[STEP], size_t count) {
    struct masks masks = {0};
    for (unsigned at = 0; at < count; at += 16) {
        __m128i part = _mm_loadu_si128((const __m128i *)(const void *)(bytes + at));
        masks.digits |= (uint64_t)range_mask(part, '0', '9') << at;
        masks.uppers |= (uint64_t)range_mask(part, 'A', 'Z') << at;
        masks.lowers |= (uint64_t)range_mask(part, 'a', 'z') << at;
        masks.letters |= (uint64_t)range_mask(part, 'a', 'f') << at;
        masks.others |= (uint64_t)(range_mask(part, '+', '+') | range_mask(part, '/', '/')) << at;
    }
    return masks;
}
#else
static struct masks find_masks(const uint8_t bytes[STEP], size_t count) {
    struct masks masks = {0};
    for (unsigned at = 0; at < count; at++) {
        uint64_t bit = (uint64_t)1 << at;
        uint8_t byte = bytes[at];
        if (byte >= '0' && byte <= '9') masks.digits |= bit;
        if (byte >= 'A' && byte <= 'Z') masks.uppers |= bit;
        if (byte >= 'a' && byte <= 'z') masks.lowers |= bit;
        if (byte >= 'a' && byte <= 'f') masks.letters |= bit;
        if (byte == '+' || byte == '/') masks.others |= bit;
    }
    return masks;
}
#endif

// The bits of bytes that are of the same kind as the one before them.
static uint64_t follows(uint64_t kind, uint64_t *last) {
    uint64_t result = kind & (kind << 1 | *last);
    *last = kind >> (STEP - 1);
    return result;
}

// Whether the first bytes of a text of at least RANDOM_SIZE_MIN are all in some alphabet; names and
// addresses end here, as a rule.
static bool begins_random(const uint8_t *text) {
    for (unsigned at = 0; at < RANDOM_SIZE_MIN; at++) {
        if ((is_in_base64[text[at] / 64] >> text[at] % 64 & 1) == 0) return false;
    }
    return true;
}

enum forms_alphabet forms_find_alphabet(struct span text, uint32_t *tail) {
    size_t size = text.size;
    *tail = 0;
    while (*tail < 3 && size > 0 && text.bytes[size - 1] == '=') {
        size--;
        (*tail)++;
    }
    if (size < RANDOM_SIZE_MIN || !begins_random(text.bytes)) return FORMS_NONE;
    bool is_hex = true, is_base36 = true;
    uint64_t last[4] = {0};
    size_t changes = 0;
    for (size_t at = 0; at < size; at += STEP) {
        uint8_t bytes[STEP] = {0};
        size_t count = size - at < STEP ? size - at : STEP;
        memcpy(bytes, text.bytes + at, count);
        uint64_t all = UINT64_MAX >> (STEP - count);
        struct masks masks = find_masks(bytes, count);
        uint64_t both = masks.digits | masks.uppers;
        if ((both | masks.lowers | masks.others) != all) return FORMS_NONE;
        is_hex = is_hex && (masks.digits | masks.letters) == all;
        is_base36 = is_base36 && both == all;
        uint64_t same = follows(masks.digits, &last[0]) | follows(masks.uppers, &last[1]) |
                        follows(masks.lowers, &last[2]) | follows(masks.others, &last[3]);
        changes += (size_t)__builtin_popcountll(all & ~same);
    }
    // Of random neighbours two in five or more differ in kind; of words few.
    if (changes * 4 < size) return FORMS_NONE;
    if (is_hex) return FORMS_HEX;
    return is_base36 ? FORMS_BASE36 : FORMS_BASE64;
}

size_t forms_packed_size(enum forms_alphabet alphabet, size_t size) {
    if (alphabet == FORMS_HEX) return (size + 1) / 2;
    if (alphabet == FORMS_BASE36) return size / 3 * 2 + size % 3;
    return (size * 6 + 7) / 8;
}

// The number of each byte in base 64 and base 36.
static const uint8_t numbers[256] = {
    0,  0,  0,  0,  0,  0,  0,  0,  0,  0,  0,  0,  0,  0,  0,  0,  0,  0,  0,  0,  0,  0,
    0,  0,  0,  0,  0,  0,  0,  0,  0,  0,  0,  0,  0,  0,  0,  0,  0,  0,  0,  0,  0,  62,
    0,  0,  0,  63, 0,  1,  2,  3,  4,  5,  6,  7,  8,  9,  0,  0,  0,  0,  0,  0,  0,  10,
    11, 12, 13, 14, 15, 16, 17, 18, 19, 20, 21, 22, 23, 24, 25, 26, 27, 28, 29, 30, 31, 32,
    33, 34, 35, 0,  0,  0,  0,  0,  0,  36, 37, 38, 39, 40, 41, 42, 43, 44, 45, 46, 47, 48,
    49, 50, 51, 52, 53, 54, 55, 56, 57, 58, 59, 60, 61, 0,  0,  0,  0,  0,
};

static uint32_t number_of(enum forms_alphabet alphabet, uint8_t byte) {
    // Lower-case letters follow upper-case ones only outside hexadecimal.
    uint32_t number = numbers[byte];
    return alphabet == FORMS_HEX && number > 15 ? number - 26 : number;
}

// Packs numbers of 4 or 6 bits, the first one lowest.
static void pack_bits(enum forms_alphabet alphabet, struct span text, uint8_t *packed) {
    size_t index = 0;
    if (alphabet == FORMS_BASE64) {
        for (; index + 4 <= text.size; index += 4) {
            const uint8_t *at = text.bytes + index;
            uint32_t bits = numbers[at[0]] | (uint32_t)numbers[at[1]] << 6 |
                            (uint32_t)numbers[at[2]] << 12 | (uint32_t)numbers[at[3]] << 18;
            *packed++ = (uint8_t)bits;
            *packed++ = (uint8_t)(bits >> 8);
            *packed++ = (uint8_t)(bits >> 16);
        }
    }
    uint32_t width = alphabet == FORMS_HEX ? 4 : 6;
    uint32_t bits = 0;
    uint32_t filled = 0;
    for (; index < text.size; index++) {
        bits |= number_of(alphabet, text.bytes[index]) << filled;
        filled += width;
        if (filled < 8) continue;
        *packed++ = (uint8_t)bits;
        bits >>= 8;
        filled -= 8;
    }
    if (filled > 0) *packed = (uint8_t)bits;
}

static void pack_base36(struct span text, uint8_t *packed) {
    size_t index = 0;
    for (; index + 3 <= text.size; index += 3) {
        uint32_t number = number_of(FORMS_BASE36, text.bytes[index]) * 36 * 36 +
                          number_of(FORMS_BASE36, text.bytes[index + 1]) * 36 +
                          number_of(FORMS_BASE36, text.bytes[index + 2]);
        *packed++ = (uint8_t)number;
        *packed++ = (uint8_t)(number >> 8);
    }
    for (; index < text.size; index++) {
        *packed++ = (uint8_t)number_of(FORMS_BASE36, text.bytes[index]);
    }
}

void forms_pack(enum forms_alphabet alphabet, struct span text, uint8_t *packed) {
    if (alphabet == FORMS_BASE36) {
        pack_base36(text, packed);
    } else {
        pack_bits(alphabet, text, packed);
    }
}

static const char characters[] = "0123456789ABCDEFGHIJKLMNOPQRSTUVWXYZabcdefghijklmnopqrstuvwxyz+/";

void forms_unpack(enum forms_alphabet alphabet, const uint8_t *packed, size_t size, uint8_t *text) {
    if (alphabet == FORMS_BASE36) {
        size_t index = 0;
        for (; index + 3 <= size; index += 3, packed += 2) {
            uint32_t number = packed[0] | (uint32_t)packed[1] << 8;
            text[index] = (uint8_t)characters[number / (36 * 36) % 36];
            text[index + 1] = (uint8_t)characters[number / 36 % 36];
            text[index + 2] = (uint8_t)characters[number % 36];
        }
        for (; index < size; index++) text[index] = (uint8_t)characters[*packed++ % 36];
        return;
    }
    size_t index = 0;
    if (alphabet == FORMS_BASE64) {
        for (; index + 4 <= size; index += 4, packed += 3) {
            text[index] = (uint8_t)characters[packed[0] & 63];
            text[index + 1] = (uint8_t)characters[(packed[0] >> 6 | packed[1] << 2) & 63];
            text[index + 2] = (uint8_t)characters[(packed[1] >> 4 | packed[2] << 4) & 63];
            text[index + 3] = (uint8_t)characters[packed[2] >> 2];
        }
    }
    const char *digits = alphabet == FORMS_HEX ? "0123456789abcdef" : characters;
    uint32_t width = alphabet == FORMS_HEX ? 4 : 6;
    uint32_t bits = 0;
    uint32_t filled = 0;
    for (; index < size; index++) {
        if (filled < width) {
            bits |= (uint32_t)*packed++ << filled;
            filled += 8;
        }
        text[index] = (uint8_t)digits[bits & ((1u << width) - 1)];
        bits >>= width;
        filled -= width;
    }
}
