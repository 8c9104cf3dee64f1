#include "event/file.h"

#include <assert.h>
#include <stdio.h>
#include <string.h>
#include <time.h>

static const char text_begin[] = "{\"Records\":[";
static const char text_end[] = "]}";

static bool is_plain(uint8_t byte) {
    return (byte >= '0' && byte <= '9') || (byte >= 'A' && byte <= 'Z') ||
           (byte >= 'a' && byte <= 'z') || (byte != 0 && strchr("-_.~", byte) != NULL);
}

// Escapes as much of the text as fits; true if that was all.
static bool escape(struct span text, char *part, size_t size) {
    size_t used = 0;
    for (size_t index = 0; index < text.size; index++) {
        uint8_t byte = text.bytes[index];
        size_t needed = is_plain(byte) ? 1 : 3;
        if (used + needed >= size) {
            part[used] = 0;
            return false;
        }
        if (needed == 1) {
            part[used] = (char)byte;
        } else {
            snprintf(part + used, size - used, "%%%02X", byte);
        }
        used += needed;
    }
    part[used] = 0;
    return true;
}

void file_print_part(struct span text, char part[FILE_PART_SIZE]) {
    if (text.size == 0) text = SPAN_LITERAL("none");
    bool is_whole = escape(text, part, FILE_PART_SIZE);
    if (is_whole && strcmp(part, ".") != 0 && strcmp(part, "..") != 0) return;
    uint8_t digest[SHA256_SIZE];
    char random[FILE_RANDOM_SIZE + 1];
    crypto_sha256(&text, 1, digest);
    file_print_random(digest, random);
    size_t kept = strlen(part);
    size_t room = FILE_PART_SIZE - 2 - FILE_RANDOM_SIZE;
    if (kept > room) kept = room;
    snprintf(part + kept, FILE_PART_SIZE - kept, "~%s", random);
}

const char *file_category_folder(enum record_category category) {
    switch (category) {
        case RECORD_INSIGHT:
            return "CloudTrail-Insight";
        case RECORD_NETWORK_ACTIVITY:
            return "CloudTrail-NetworkActivity";
        case RECORD_AGGREGATED:
            return "CloudTrail-Aggregated";
        case RECORD_MANAGEMENT:
        case RECORD_DATA:
        case RECORD_OTHER:
            break;
    }
    return "CloudTrail";
}

static struct tm split_time(int64_t seconds) {
    time_t moment = seconds;
    struct tm parts;
    struct tm *split = gmtime_r(&moment, &parts);
    assert(split != NULL);
    return parts;
}

void file_print_folder(const struct file_place *place, char name[FILE_NAME_SIZE]) {
    char organization[FILE_PART_SIZE] = "";
    char account[FILE_PART_SIZE];
    char region[FILE_PART_SIZE];
    bool has_organization = place->organization.size > 0;
    if (has_organization) file_print_part(place->organization, organization);
    file_print_part(place->account, account);
    file_print_part(place->region, region);
    struct tm day = split_time(place->day * 86400);
    int size = snprintf(name, FILE_NAME_SIZE, "AWSLogs/%s%s%s/%s/%s/%04d/%02d/%02d/", organization,
                        has_organization ? "/" : "", account, file_category_folder(place->category),
                        region, day.tm_year + 1900, day.tm_mon + 1, day.tm_mday);
    assert(size > 0 && size < FILE_NAME_SIZE);
}

void file_print_name(const struct file_place *place, int64_t newest_s,
                     const uint8_t digest[SHA256_SIZE], char name[FILE_NAME_SIZE]) {
    char account[FILE_PART_SIZE];
    char region[FILE_PART_SIZE];
    char random[FILE_RANDOM_SIZE + 1];
    file_print_folder(place, name);
    file_print_part(place->account, account);
    file_print_part(place->region, region);
    file_print_random(digest, random);
    struct tm newest = split_time(newest_s);
    size_t used = strlen(name);
    int size =
        snprintf(name + used, FILE_NAME_SIZE - used, "%s_%s_%s_%04d%02d%02dT%02d%02dZ_%s.json.gz",
                 account, file_category_folder(place->category), region, newest.tm_year + 1900,
                 newest.tm_mon + 1, newest.tm_mday, newest.tm_hour, newest.tm_min, random);
    assert(size > 0 && (size_t)size < FILE_NAME_SIZE - used);
}

void file_begin(struct buffer *text) {
    buffer_append(text, SPAN_LITERAL(text_begin));
}

bool file_fits(size_t text_size, size_t record_size, bool is_first) {
    if (is_first) return true;
    return text_size + 1 + record_size + sizeof text_end - 1 <= FILE_TEXT_SIZE_MAX;
}

void file_add(struct buffer *text, struct span record, bool is_first) {
    if (!is_first) buffer_append_byte(text, ',');
    buffer_append(text, record);
}

void file_end(struct buffer *text) {
    buffer_append(text, SPAN_LITERAL(text_end));
}

void file_print_random(const uint8_t digest[SHA256_SIZE], char text[FILE_RANDOM_SIZE + 1]) {
    static const char letters[] = "0123456789ABCDEFGHIJKLMNOPQRSTUVWXYZabcdefghijklmnopqrstuvwxyz";
    // 16 letters are 95.3 bits: long division of the digest's first 16 bytes.
    uint8_t number[16];
    memcpy(number, digest, sizeof number);
    for (int letter = FILE_RANDOM_SIZE - 1; letter >= 0; letter--) {
        uint32_t rest = 0;
        for (size_t index = 0; index < sizeof number; index++) {
            uint32_t value = rest << 8 | number[index];
            number[index] = (uint8_t)(value / 62);
            rest = value % 62;
        }
        text[letter] = letters[rest];
    }
    text[FILE_RANDOM_SIZE] = 0;
}
