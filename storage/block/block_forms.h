// block_forms.h: values in a spelling that can be stored as a number. Internal.

#pragma once

#include <stdbool.h>
#include <stdint.h>

#include "base/span.h"
#include "event/record.h"

enum {
    FORMS_UUID_SIZE = 36,
    FORMS_TIME_SIZE = 20,
};

// Prints YYYY-MM-DDTHH:MM:SSZ, for years 0 to 9999; false for others.
bool forms_print_time(int64_t time_s, uint8_t text[FORMS_TIME_SIZE]);

// Reads exactly what forms_print_time prints.
bool forms_parse_time(const uint8_t text[FORMS_TIME_SIZE], int64_t *time_s);

// Prints a UUID in lower case, without a final zero.
void forms_print_uuid(const uint8_t id[RECORD_ID_SIZE], uint8_t text[FORMS_UUID_SIZE]);

// Reads exactly what forms_print_uuid prints; id is undefined on false.
bool forms_parse_uuid(const uint8_t text[FORMS_UUID_SIZE], uint8_t id[RECORD_ID_SIZE]);

// Alphabets of values that look drawn at random, in which nothing repeats.
enum forms_alphabet {
    FORMS_NONE,
    FORMS_HEX,     // 0-9 a-f: two in a byte
    FORMS_BASE36,  // 0-9 A-Z: three in two bytes
    FORMS_BASE64,  // A-Z a-z 0-9 + / and up to three = at the end: four in three bytes
};

// The smallest of them that has all bytes of a text which does look so; *tail is the number of =
// at its end that stand behind the alphabet's bytes.
enum forms_alphabet forms_find_alphabet(struct span text, uint32_t *tail);

// The bytes that this many characters take.
size_t forms_packed_size(enum forms_alphabet alphabet, size_t size);

// Packs a text of the alphabet into forms_packed_size bytes.
void forms_pack(enum forms_alphabet alphabet, struct span text, uint8_t *packed);

// Unpacks `size` characters. Any packed bytes give some text.
void forms_unpack(enum forms_alphabet alphabet, const uint8_t *packed, size_t size, uint8_t *text);
