#include "event/digest.h"

#include <assert.h>
#include <stdio.h>
#include <string.h>

#include "base/clock.h"
#include "base/json_writer.h"

// "2026-01-31T23:59:59Z" as names have it: "20260131T235959Z".
static void print_compact(int64_t seconds, char text[TIME_TEXT_SIZE]) {
    char plain[TIME_TEXT_SIZE];
    size_t used = 0;
    time_print(seconds, plain);
    for (const char *at = plain; *at != 0; at++) {
        if (*at != '-' && *at != ':') text[used++] = *at;
    }
    text[used] = 0;
}

void digest_print_name(const struct digest_place *place, int64_t end_s, bool is_backfill,
                       char name[FILE_NAME_SIZE]) {
    char organization[FILE_PART_SIZE] = "";
    char account[FILE_PART_SIZE], region[FILE_PART_SIZE];
    char day[TIME_TEXT_SIZE], moment[TIME_TEXT_SIZE];
    bool has_organization = place->organization.size > 0;
    if (has_organization) file_print_part(place->organization, organization);
    file_print_part(place->account, account);
    file_print_part(place->region, region);
    time_print(end_s, day);
    print_compact(end_s, moment);
    int size = snprintf(name, FILE_NAME_SIZE,
                        "AWSLogs/%s%s%s/CloudTrail-Digest/%s/%.4s/%.2s/%.2s/"
                        "%s_CloudTrail-Digest_%s_%.*s_%.*s_%s%s.json.gz",
                        organization, has_organization ? "/" : "", account, region, day, day + 5,
                        day + 8, account, region, SPAN_PRINT(place->trail),
                        SPAN_PRINT(place->home_region), moment, is_backfill ? "_backfill" : "");
    assert(size > 0 && size < FILE_NAME_SIZE);
}

static void write_time(struct json_writer *writer, const char *name, int64_t seconds) {
    char text[TIME_TEXT_SIZE];
    time_print(seconds, text);
    json_write_string(writer, name, span_text(text));
}

static void write_previous(struct json_writer *writer, const struct digest_previous *previous) {
    const struct {
        const char *name;
        struct span value;
    } members[] = {
        {"previousDigestS3Bucket", previous->bucket},
        {"previousDigestS3Object", previous->object},
        {"previousDigestHashValue", previous->hash},
        {"previousDigestHashAlgorithm", SPAN_LITERAL("SHA-256")},
        {"previousDigestSignature", previous->signature},
    };
    for (size_t index = 0; index < sizeof members / sizeof members[0]; index++) {
        if (previous->bucket.size > 0) {
            json_write_string(writer, members[index].name, members[index].value);
        } else {
            json_write_value(writer, members[index].name, NULL);
        }
    }
}

// The times of all events in its files; null without files.
static void write_range(struct json_writer *writer, const struct digest *digest) {
    if (digest->files_count == 0) {
        json_write_value(writer, "newestEventTime", NULL);
        json_write_value(writer, "oldestEventTime", NULL);
        return;
    }
    int64_t newest_s = digest->files[0].newest_s, oldest_s = digest->files[0].oldest_s;
    for (uint32_t index = 1; index < digest->files_count; index++) {
        const struct digest_file *file = &digest->files[index];
        if (file->newest_s > newest_s) newest_s = file->newest_s;
        if (file->oldest_s < oldest_s) oldest_s = file->oldest_s;
    }
    write_time(writer, "newestEventTime", newest_s);
    write_time(writer, "oldestEventTime", oldest_s);
}

void digest_print(const struct digest *digest, struct buffer *text) {
    struct json_writer writer = json_writer_begin(text);
    json_write_object(&writer, NULL);
    json_write_string(&writer, "awsAccountId", digest->place.account);
    write_time(&writer, "digestStartTime", digest->start_s);
    write_time(&writer, "digestEndTime", digest->end_s);
    json_write_string(&writer, "digestS3Bucket", digest->bucket);
    json_write_string(&writer, "digestS3Object", digest->object);
    json_write_string(&writer, "digestPublicKeyFingerprint", digest->fingerprint);
    json_write_string(&writer, "digestSignatureAlgorithm",
                      SPAN_LITERAL(DIGEST_SIGNATURE_ALGORITHM));
    write_range(&writer, digest);
    write_previous(&writer, &digest->previous);
    json_write_list(&writer, "logFiles");
    for (uint32_t index = 0; index < digest->files_count; index++) {
        const struct digest_file *file = &digest->files[index];
        json_write_object(&writer, NULL);
        json_write_string(&writer, "s3Bucket", file->bucket);
        json_write_string(&writer, "s3Object", file->object);
        json_write_string(&writer, "hashValue", file->hash);
        json_write_string(&writer, "hashAlgorithm", SPAN_LITERAL("SHA-256"));
        write_time(&writer, "newestEventTime", file->newest_s);
        write_time(&writer, "oldestEventTime", file->oldest_s);
        json_write_end(&writer);
    }
    json_write_end(&writer);
    json_write_end(&writer);
}

void digest_print_signed(const struct digest *digest, const uint8_t hash[SHA256_SIZE],
                         struct buffer *text) {
    char end[TIME_TEXT_SIZE];
    char hex[SHA256_HEX_SIZE];
    const struct digest_previous *previous = &digest->previous;
    time_print(digest->end_s, end);
    crypto_print_hex(span_of(hash, SHA256_SIZE), hex);
    buffer_print(text, "%s\n%.*s/%.*s\n%s\n", end, SPAN_PRINT(digest->bucket),
                 SPAN_PRINT(digest->object), hex);
    buffer_append(text, previous->bucket.size > 0 ? previous->signature : SPAN_LITERAL("null"));
}
