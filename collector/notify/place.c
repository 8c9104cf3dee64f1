#include "collector/notify/place.h"

#include <stdio.h>

#include "base/crypto.h"
#include "base/json_writer.h"
#include "collector/deliver/state.h"

static int64_t number_of(const struct yyjson_val *object, const char *name) {
    return yyjson_get_sint((yyjson_val *)(uintptr_t)json_member(object, span_text(name)));
}

bool place_read(const struct yyjson_val *root, struct place *place, struct fault *fault) {
    struct span name = json_member_string(root, SPAN_LITERAL("name"));
    struct span error = json_member_string(root, SPAN_LITERAL("error"));
    int64_t to = number_of(root, "to"), in = number_of(root, "in");
    int64_t index = number_of(root, "index");
    if (name.size == 0 || name.size >= PLACE_NAME_SIZE || error.size >= PLACE_ERROR_SIZE ||
        to < 0 || in < 0 || index < 0 || index > UINT32_MAX) {
        return fault_set(fault, FAULT_CORRUPT, "the place of a target cannot be read");
    }
    struct place read = {
        .to = (uint64_t)to,
        .in = (uint64_t)in,
        .index = (uint32_t)index,
        .attempted_ms = number_of(root, "attempted_ms"),
        .told_ms = number_of(root, "told_ms"),
    };
    snprintf(read.name, sizeof read.name, "%.*s", SPAN_PRINT(name));
    if (error.size > 0) snprintf(read.error, sizeof read.error, "%.*s", SPAN_PRINT(error));
    *place = read;
    return true;
}

void place_print(const struct place *place, struct buffer *buffer) {
    struct json_writer writer = json_writer_begin(buffer);
    json_write_object(&writer, NULL);
    json_write_string(&writer, "name", span_text(place->name));
    json_write_integer(&writer, "to", (int64_t)place->to);
    json_write_integer(&writer, "in", (int64_t)place->in);
    json_write_integer(&writer, "index", place->index);
    json_write_integer(&writer, "attempted_ms", place->attempted_ms);
    json_write_integer(&writer, "told_ms", place->told_ms);
    json_write_string(&writer, "error", span_text(place->error));
    json_write_end(&writer);
}

// A number of 16 hex digits.
static bool take_number(const uint8_t *text, uint64_t *number) {
    uint8_t bytes[8];
    uint64_t taken = 0;
    if (!crypto_parse_hex(span_of(text, 2 * sizeof bytes), bytes, sizeof bytes)) return false;
    for (size_t index = 0; index < sizeof bytes; index++) taken = taken << 8 | bytes[index];
    *number = taken;
    return true;
}

bool place_parse_queue(struct span name, struct span *id, uint64_t *to, int64_t *time_s) {
    enum { ID = TRAIL_ID_SIZE - 1, NUMBER = 16 };
    uint64_t round, seconds;
    struct span prefix = SPAN_LITERAL(STATE_QUEUES);
    if (!span_starts(name, prefix) || name.size != prefix.size + ID + 1 + NUMBER + 1 + NUMBER) {
        return false;
    }
    const uint8_t *rest = name.bytes + prefix.size;
    if (!take_number(rest + ID + 1, &round) || !take_number(rest + ID + 1 + NUMBER + 1, &seconds)) {
        return false;
    }
    *id = span_of(rest, ID);
    *to = round;
    *time_s = (int64_t)seconds;
    return true;
}
