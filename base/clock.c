#include "base/clock.h"

#include <stdio.h>
#include <time.h>

static int64_t read_clock_ms(clockid_t id) {
    struct timespec time;
    if (clock_gettime(id, &time) != 0) return 0;
    return (int64_t)time.tv_sec * 1000 + time.tv_nsec / 1000000;
}

static int64_t system_now_ms(void *context) {
    (void)context;
    return read_clock_ms(CLOCK_REALTIME);
}

static int64_t system_monotonic_ms(void *context) {
    (void)context;
    return read_clock_ms(CLOCK_MONOTONIC);
}

const struct clock *clock_system(void) {
    static const struct clock system = {system_now_ms, system_monotonic_ms, NULL};
    return &system;
}

// Reads exactly `count` decimal digits at an offset. False if there are others.
static bool read_digits(struct span text, size_t offset, size_t count, int64_t *value) {
    if (text.size < offset + count) return false;
    int64_t sum = 0;
    for (size_t index = 0; index < count; index++) {
        uint8_t byte = text.bytes[offset + index];
        if (byte < '0' || byte > '9') return false;
        sum = sum * 10 + (byte - '0');
    }
    *value = sum;
    return true;
}

// Days since 1970-01-01 of a date in the proleptic Gregorian calendar: Howard Hinnant's
// days_from_civil, https://howardhinnant.github.io/date_algorithms.html.
static int64_t days_from_date(int64_t year, int64_t month, int64_t day) {
    if (month <= 2) year--;
    int64_t era = year / 400;
    int64_t year_of_era = year - era * 400;
    int64_t day_of_year = (153 * (month + (month > 2 ? -3 : 9)) + 2) / 5 + day - 1;
    int64_t day_of_era = year_of_era * 365 + year_of_era / 4 - year_of_era / 100 + day_of_year;
    return era * 146097 + day_of_era - 719468;
}

static int64_t month_days(int64_t year, int64_t month) {
    static const int8_t days[] = {31, 28, 31, 30, 31, 30, 31, 31, 30, 31, 30, 31};
    bool leap = (year % 4 == 0 && year % 100 != 0) || year % 400 == 0;
    return days[month - 1] + (month == 2 && leap ? 1 : 0);
}

// What may follow the seconds: a fraction, then Z or +hh:mm or -hh:mm. offset_s is east of UTC.
static bool read_zone(struct span rest, int64_t *offset_s) {
    size_t at = 0;
    if (at < rest.size && rest.bytes[at] == '.') {
        at++;
        size_t digits = 0;
        while (at < rest.size && rest.bytes[at] >= '0' && rest.bytes[at] <= '9') at++, digits++;
        if (digits == 0) return false;
    }
    if (rest.size == at + 1 && rest.bytes[at] == 'Z') {
        *offset_s = 0;
        return true;
    }
    int64_t hours, minutes;
    if (rest.size != at + 6 || (rest.bytes[at] != '+' && rest.bytes[at] != '-') ||
        rest.bytes[at + 3] != ':' || !read_digits(rest, at + 1, 2, &hours) ||
        !read_digits(rest, at + 4, 2, &minutes) || hours > 14 || minutes > 59) {
        return false;
    }
    *offset_s = (rest.bytes[at] == '-' ? -1 : 1) * (hours * 3600 + minutes * 60);
    return true;
}

bool time_parse(struct span text, int64_t *seconds, struct fault *fault) {
    int64_t year, month, day, hour, minute, second, offset_s;
    bool shaped = text.size >= 20 && text.size <= 40 && read_digits(text, 0, 4, &year) &&
                  text.bytes[4] == '-' && read_digits(text, 5, 2, &month) && text.bytes[7] == '-' &&
                  read_digits(text, 8, 2, &day) && text.bytes[10] == 'T' &&
                  read_digits(text, 11, 2, &hour) && text.bytes[13] == ':' &&
                  read_digits(text, 14, 2, &minute) && text.bytes[16] == ':' &&
                  read_digits(text, 17, 2, &second) && read_zone(span_from(text, 19), &offset_s);
    // A leap second is written as :60 and counted as the next second, as POSIX does.
    if (!shaped || year < 1970 || month < 1 || month > 12 || day < 1 ||
        day > month_days(year, month) || hour > 23 || minute > 59 || second > 60) {
        size_t shown = text.size < 40 ? text.size : 40;
        return fault_set(fault, FAULT_INPUT, "not a time like 2026-01-31T23:59:59Z: \"%.*s\"",
                         (int)shown, (const char *)text.bytes);
    }
    *seconds =
        days_from_date(year, month, day) * 86400 + hour * 3600 + minute * 60 + second - offset_s;
    return true;
}

void time_print(int64_t seconds, char text[TIME_TEXT_SIZE]) {
    time_t time = (time_t)seconds;
    struct tm parts;
    if (gmtime_r(&time, &parts) == NULL ||
        strftime(text, TIME_TEXT_SIZE, "%Y-%m-%dT%H:%M:%SZ", &parts) == 0) {
        snprintf(text, TIME_TEXT_SIZE, "?");
    }
}

void time_print_ms(int64_t ms, char text[TIME_TEXT_SIZE]) {
    int64_t seconds = ms >= 0 ? ms / 1000 : (ms - 999) / 1000;
    time_print(seconds, text);
    size_t length = strlen(text);
    if (length > 1) {
        snprintf(text + length - 1, TIME_TEXT_SIZE - length + 1, ".%03dZ",
                 (int)(ms - seconds * 1000));
    }
}

int64_t time_day(int64_t seconds) {
    return seconds >= 0 ? seconds / 86400 : -((86399 - seconds) / 86400);
}
