#include "collector/notes/own_event.h"

#include <inttypes.h>

#include "base/buffer.h"
#include "base/clock.h"
#include "base/crypto.h"
#include "base/json.h"
#include "event/record.h"

enum {
    // A Notice's texts come from outside: a record stays far below RECORD_SIZE_MAX, even with each
    // byte escaped as six.
    TEXT_SIZE_MAX = 8 * 1024,
    OWN_RECORD_SIZE_MAX = 256 * 1024,
    SHOWN_HASH_SIZE = SHA256_SIZE,
};

// Marks 16 bytes as a UUID of this version (RFC 9562).
static void mark_uuid(uint8_t id[OWN_EVENT_ID_SIZE], uint8_t version) {
    id[6] = (uint8_t)((id[6] & 0x0f) | (version << 4));
    id[8] = (uint8_t)((id[8] & 0x3f) | 0x80);
}

void own_event_make_id(const struct random *random, uint8_t id[OWN_EVENT_ID_SIZE]) {
    random_fill(random, id, OWN_EVENT_ID_SIZE);
    mark_uuid(id, 4);
}

static void append_member(struct buffer *buffer, const char *name, struct span text) {
    if (text.size > TEXT_SIZE_MAX) text.size = TEXT_SIZE_MAX;
    buffer_print(buffer, "\"%s\":", name);
    json_append_string(buffer, text);
}

struct span own_event_print(const struct own_event_place *place, const char *name,
                            const uint8_t id[OWN_EVENT_ID_SIZE], int64_t time_s,
                            const struct own_event_detail *details, uint32_t details_count,
                            struct arena *arena) {
    char uuid[RECORD_UUID_TEXT_SIZE];
    char time[TIME_TEXT_SIZE];
    record_print_uuid(id, uuid);
    time_print(time_s, time);
    struct buffer buffer;
    buffer_init(&buffer, OWN_RECORD_SIZE_MAX);
    buffer_append_text(&buffer,
                       "{\"eventVersion\":\"1.11\",\"userIdentity\":{\"type\":\"AWSService\","
                       "\"invokedBy\":\"orgtrail.local\"},");
    buffer_print(&buffer, "\"eventTime\":\"%s\",\"eventSource\":\"orgtrail.local\",", time);
    buffer_print(&buffer, "\"eventName\":\"%s\",", name);
    append_member(&buffer, "awsRegion", span_text(place->region));
    buffer_append_text(&buffer,
                       ",\"sourceIPAddress\":\"orgtrail.local\",\"userAgent\":\"orgtrail.local\","
                       "\"requestParameters\":null,\"responseElements\":null,");
    buffer_print(&buffer, "\"eventID\":\"%s\",\"readOnly\":false,", uuid);
    buffer_append_text(&buffer, "\"eventType\":\"AwsServiceEvent\",\"managementEvent\":true,");
    append_member(&buffer, "recipientAccountId", span_text(place->account));
    buffer_append_text(&buffer, ",\"serviceEventDetails\":{");
    for (uint32_t index = 0; index < details_count; index++) {
        const struct own_event_detail *detail = &details[index];
        if (index > 0) buffer_append_byte(&buffer, ',');
        if (detail->text.bytes == NULL) {
            buffer_print(&buffer, "\"%s\":%" PRIu64, detail->name, detail->number);
        } else {
            append_member(&buffer, detail->name, detail->text);
        }
    }
    buffer_append_text(&buffer, "},\"eventCategory\":\"Management\"}");

    struct span copy = {NULL, 0};
    if (!buffer_overflowed(&buffer)) (void)arena_copy(arena, buffer_span(&buffer), &copy);
    buffer_done(&buffer);
    return copy;
}

struct span own_event_print_notice(const struct own_event_place *place, struct span uri,
                                   struct span bytes, const struct batch_notice *notice,
                                   struct arena *arena) {
    const struct span parts[] = {uri, SPAN_LITERAL("\n"), bytes};
    uint8_t digest[SHA256_SIZE];
    crypto_sha256(parts, 3, digest);
    mark_uuid(digest, 8);

    char hash[2 * SHOWN_HASH_SIZE + 1] = "";
    if (notice->sha256.size == SHOWN_HASH_SIZE) crypto_print_hex(notice->sha256, hash);
    const struct own_event_detail details[] = {
        {"agent", uri, 0},
        {"reason", notice->reason, 0},
        {"source", notice->source, 0},
        {"place", notice->place, 0},
        {"detail", notice->detail, 0},
        {"refusedBytes", {NULL, 0}, notice->size},
        {"keptBytes", {NULL, 0}, notice->head.size},
        {"sha256", span_text(hash), 0},
    };
    return own_event_print(place, "AgentNotice", digest, notice->time_ms / 1000, details,
                           sizeof details / sizeof details[0], arena);
}
