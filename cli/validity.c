#include "cli/validity.h"

#include <inttypes.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#include "base/certificate.h"

int64_t validity_parse(const char *text, struct argp_state *state) {
    static const struct {
        const char *unit;
        int64_t s;
    } units[] = {
        {"", CERTIFICATE_DAY_S}, {"d", CERTIFICATE_DAY_S}, {"h", 3600}, {"m", 60}, {"s", 1}};
    char *end = NULL;
    unsigned long number = *text >= '0' && *text <= '9' ? strtoul(text, &end, 10) : 0;
    for (size_t index = 0; end != NULL && index < sizeof units / sizeof units[0]; index++) {
        if (strcmp(end, units[index].unit) != 0) continue;
        if (number < 1 || number > (unsigned long)(CERTIFICATE_VALID_S_MAX / units[index].s)) break;
        return (int64_t)number * units[index].s;
    }
    argp_error(state, "--days %s: must be 1 to %d, or a shorter time such as 12h, 15m, 90s", text,
               CERTIFICATE_VALID_S_MAX / CERTIFICATE_DAY_S);
    return 0;
}

const char *validity_print(int64_t valid_s, char text[VALIDITY_SIZE]) {
    bool is_exact = valid_s % CERTIFICATE_DAY_S == 0;
    if (is_exact || valid_s > 2 * CERTIFICATE_DAY_S) {
        int64_t days = valid_s / CERTIFICATE_DAY_S;
        snprintf(text, VALIDITY_SIZE, "%" PRId64 " %s", days, days == 1 ? "day" : "days");
    } else if (valid_s % 3600 == 0) {
        snprintf(text, VALIDITY_SIZE, "%" PRId64 " h", valid_s / 3600);
    } else {
        snprintf(text, VALIDITY_SIZE, "%" PRId64 " s", valid_s);
    }
    return text;
}
