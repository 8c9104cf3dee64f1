// validity.h: how long a certificate is to be good, as an argument says it.

#pragma once

#include <argp.h>
#include <stdint.h>

enum { VALIDITY_SIZE = 32 };

// "397", "397d", "12h", "15m" or "90s", in seconds. Anything else ends the program as argp does.
int64_t validity_parse(const char *text, struct argp_state *state);

// "397 days", "12 h", "90 s"; whole days where there are more than two.
const char *validity_print(int64_t valid_s, char text[VALIDITY_SIZE]);
