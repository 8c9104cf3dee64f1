// Where a store comes from: made new, or restored from a backup with a new epoch.

#include <assert.h>
#include <string.h>

#include "storage/trail/trail_internal.h"

static const char document_name[] = "restored";

const char *trail_directory(const struct trail *trail) {
    return trail->options.directory;
}

uint32_t trail_readings(struct trail *trail, struct trail_reading *list, uint32_t list_max) {
    return trail_environment_readings(trail->environment, list, list_max);
}

void trail_epoch(const struct trail *trail, uint8_t epoch[TRAIL_EPOCH_SIZE]) {
    memcpy(epoch, trail->format.epoch, TRAIL_EPOCH_SIZE);
}

bool trail_origin_open(struct trail *trail, struct fault *fault) {
    bool found = false;
    struct span value;
    if (!trail_environment_get(trail->environment, trail->reading, TRAIL_DATABASE_DOCUMENT,
                               span_text(document_name), &found, &value, fault)) {
        return false;
    }
    if (!found) return true;
    return trail_codec_take_origin(value, &trail->origin, fault);
}

const struct trail_origin *trail_get_origin(const struct trail *trail) {
    return &trail->origin;
}

bool trail_tell_origin(struct trail *trail, struct fault *fault) {
    assert(trail->is_committing);
    struct trail_origin told = trail->origin;
    struct buffer value;
    told.is_told = true;
    buffer_init(&value, 64);
    trail_codec_append_origin(&value, &told);
    bool is_put = trail_document_put(trail, span_text(document_name), buffer_span(&value), fault);
    buffer_done(&value);
    return is_put;
}

bool trail_renew_epoch(struct trail *trail, int64_t backup_ms, struct fault *fault) {
    assert(!trail->is_committing);
    struct trail_format format = trail->format;
    const struct trail_origin origin = {
        .backup_ms = backup_ms,
        .restored_ms = trail->options.clock->now_ms(trail->options.clock->context),
    };
    random_fill(trail->options.random, format.epoch, sizeof format.epoch);
    trail->changes_count = 0;
    buffer_reset(&trail->values);
    trail_codec_append_format(&trail->values, &format);
    if (!trail_add_change(trail, TRAIL_DATABASE_META, SPAN_LITERAL("format"), 0, false, fault))
        return false;
    size_t offset = trail->values.size;
    trail_codec_append_origin(&trail->values, &origin);
    if (!trail_add_change(trail, TRAIL_DATABASE_DOCUMENT, span_text(document_name), offset, false,
                          fault) ||
        !trail_environment_commit(trail->environment, trail->changes, trail->changes_count,
                                  buffer_span(&trail->values), false, fault)) {
        return false;
    }
    trail->format = format;
    trail->origin = origin;
    return true;
}
