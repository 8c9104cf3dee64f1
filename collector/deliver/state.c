#include "collector/deliver/state.h"

#include <stdio.h>

#include "base/crypto.h"
#include "base/json_writer.h"

static bool flag_of(const struct yyjson_val *object, const char *name) {
    return yyjson_is_true((yyjson_val *)(uintptr_t)json_member(object, span_text(name)));
}

static int64_t number_of(const struct yyjson_val *object, const char *name) {
    return yyjson_get_sint((yyjson_val *)(uintptr_t)json_member(object, span_text(name)));
}

static bool read_round(const struct yyjson_val *object, struct state_round *round) {
    if (object == NULL) return true;
    *round = (struct state_round){
        .is_planned = true,
        .is_last = flag_of(object, "last"),
        .from = (uint64_t)number_of(object, "from"),
        .to = (uint64_t)number_of(object, "to"),
        .time_s = number_of(object, "time_s"),
        .file_size = (uint64_t)number_of(object, "file_size"),
        .level = (int)number_of(object, "level"),
    };
    if (round->level == 0) round->level = STATE_LEVEL;  // plans of before there was a choice
    return crypto_parse_hex(json_member_string(object, SPAN_LITERAL("epoch")), round->epoch,
                            sizeof round->epoch) &&
           round->from < round->to && round->level >= 1 && round->level <= STATE_LEVEL_MAX;
}

static void read_digest(const struct yyjson_val *object, struct state_digest *digest) {
    if (object == NULL) return;
    *digest = (struct state_digest){
        .is_planned = true,
        .is_first = flag_of(object, "first"),
        .is_backfill = flag_of(object, "backfill"),
        .is_last = flag_of(object, "last"),
        .start_s = number_of(object, "start_s"),
        .end_s = number_of(object, "end_s"),
        .made_ms = number_of(object, "made_ms"),
    };
}

static void read_error(const struct yyjson_val *root, const char *name,
                       char text[STATE_ERROR_SIZE]) {
    snprintf(text, STATE_ERROR_SIZE, "%.*s", SPAN_PRINT(json_member_string(root, span_text(name))));
}

bool state_read(const struct yyjson_val *root, struct state *state, struct fault *fault) {
    struct state read = {
        .trail = json_member_string(root, SPAN_LITERAL("trail")),
        .is_active = flag_of(root, "active"),
        .is_ending = flag_of(root, "ending"),
        .session_ms = number_of(root, "session_ms"),
        .round_s = number_of(root, "round_s"),
        .digest_s = number_of(root, "digest_s"),
        .attempted_ms = number_of(root, "attempted_ms"),
        .delivered_ms = number_of(root, "delivered_ms"),
        .digest_delivered_ms = number_of(root, "digest_delivered_ms"),
    };
    read_digest(json_member(root, SPAN_LITERAL("digest")), &read.digest);
    read_error(root, "error", read.error);
    read_error(root, "digest_error", read.digest_error);
    if (!read_round(json_member(root, SPAN_LITERAL("round")), &read.round) ||
        read.trail.size == 0) {
        return fault_set(fault, FAULT_CORRUPT, "the state of a delivery cannot be read");
    }
    *state = read;
    return true;
}

static void print_round(const struct state_round *round, struct json_writer *writer) {
    char epoch[2 * TRAIL_EPOCH_SIZE + 1];
    crypto_print_hex(span_of(round->epoch, sizeof round->epoch), epoch);
    json_write_object(writer, "round");
    json_write_string(writer, "epoch", span_text(epoch));
    json_write_integer(writer, "from", (int64_t)round->from);
    json_write_integer(writer, "to", (int64_t)round->to);
    json_write_integer(writer, "time_s", round->time_s);
    json_write_integer(writer, "file_size", (int64_t)round->file_size);
    json_write_integer(writer, "level", round->level);
    json_write_bool(writer, "last", round->is_last);
    json_write_end(writer);
}

static void print_digest(const struct state_digest *digest, struct json_writer *writer) {
    json_write_object(writer, "digest");
    json_write_integer(writer, "start_s", digest->start_s);
    json_write_integer(writer, "end_s", digest->end_s);
    json_write_integer(writer, "made_ms", digest->made_ms);
    json_write_bool(writer, "first", digest->is_first);
    json_write_bool(writer, "backfill", digest->is_backfill);
    json_write_bool(writer, "last", digest->is_last);
    json_write_end(writer);
}

void state_print(const struct state *state, struct buffer *buffer) {
    struct json_writer writer = json_writer_begin(buffer);
    const struct {
        const char *name;
        int64_t value;
    } numbers[] = {
        {"session_ms", state->session_ms},     {"round_s", state->round_s},
        {"digest_s", state->digest_s},         {"attempted_ms", state->attempted_ms},
        {"delivered_ms", state->delivered_ms}, {"digest_delivered_ms", state->digest_delivered_ms},
    };
    json_write_object(&writer, NULL);
    json_write_bool(&writer, "active", state->is_active);
    json_write_bool(&writer, "ending", state->is_ending);
    for (size_t index = 0; index < sizeof numbers / sizeof numbers[0]; index++) {
        json_write_integer(&writer, numbers[index].name, numbers[index].value);
    }
    if (state->round.is_planned) print_round(&state->round, &writer);
    if (state->digest.is_planned) print_digest(&state->digest, &writer);
    json_write_string(&writer, "error", span_text(state->error));
    json_write_string(&writer, "digest_error", span_text(state->digest_error));
    json_write_string(&writer, "trail", state->trail);
    json_write_end(&writer);
}
