// block_forms.h: UUIDs and times in the one spelling that is stored as a number. Internal.

#pragma once

#include <stdbool.h>
#include <stdint.h>

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
