#include "collector/append/sessions.h"

#include <assert.h>
#include <stdlib.h>

struct slot {
    struct session now;
    struct session before;
    bool is_touched;
};

struct sessions {
    struct slot *slots;
    uint32_t *touched;
    uint32_t touched_count;
    uint32_t count_max;
    uint32_t used_max;  // slots from here on were never used
};

struct sessions *sessions_create(uint32_t count_max) {
    assert(count_max > 0);
    struct sessions *sessions = calloc(1, sizeof *sessions);
    if (sessions == NULL) return NULL;
    sessions->slots = calloc(count_max, sizeof *sessions->slots);
    sessions->touched = calloc(count_max, sizeof *sessions->touched);
    sessions->count_max = count_max;
    if (sessions->slots == NULL || sessions->touched == NULL) {
        sessions_destroy(sessions);
        return NULL;
    }
    return sessions;
}

void sessions_destroy(struct sessions *sessions) {
    if (sessions == NULL) return;
    free(sessions->slots);
    free(sessions->touched);
    free(sessions);
}

uint32_t sessions_find(const struct sessions *sessions, struct span uri,
                       const uint8_t stream_id[TRAIL_STREAM_ID_SIZE]) {
    for (uint32_t slot = 0; slot < sessions->used_max; slot++) {
        const struct session *session = &sessions->slots[slot].now;
        if (session->is_used &&
            memcmp(session->stream.stream_id, stream_id, TRAIL_STREAM_ID_SIZE) == 0 &&
            span_is(uri, session->uri)) {
            return slot;
        }
    }
    return sessions->count_max;
}

uint32_t sessions_find_free(const struct sessions *sessions) {
    for (uint32_t slot = 0; slot < sessions->used_max; slot++) {
        if (!sessions->slots[slot].now.is_used) return slot;
    }
    return sessions->used_max;
}

uint32_t sessions_count_of(const struct sessions *sessions, struct span uri) {
    uint32_t count = 0;
    for (uint32_t slot = 0; slot < sessions->used_max; slot++) {
        const struct session *session = &sessions->slots[slot].now;
        if (session->is_used && span_is(uri, session->uri)) count++;
    }
    return count;
}

uint32_t sessions_count_max(const struct sessions *sessions) {
    return sessions->count_max;
}

uint32_t sessions_count(const struct sessions *sessions) {
    return sessions->used_max;
}

const struct session *sessions_get(const struct sessions *sessions, uint32_t slot) {
    assert(slot < sessions->count_max);
    return &sessions->slots[slot].now;
}

struct session *sessions_touch(struct sessions *sessions, uint32_t slot) {
    assert(slot < sessions->count_max);
    struct slot *touched = &sessions->slots[slot];
    if (!touched->is_touched) {
        touched->is_touched = true;
        touched->before = touched->now;
        sessions->touched[sessions->touched_count++] = slot;
        if (slot >= sessions->used_max) sessions->used_max = slot + 1;
    }
    return &touched->now;
}

const uint32_t *sessions_touched(const struct sessions *sessions, uint32_t *count) {
    *count = sessions->touched_count;
    return sessions->touched;
}

void sessions_keep(struct sessions *sessions) {
    for (uint32_t index = 0; index < sessions->touched_count; index++) {
        struct slot *slot = &sessions->slots[sessions->touched[index]];
        slot->is_touched = false;
        slot->now.violations = 0;
        slot->now.violation_detail = (struct span){NULL, 0};
    }
    sessions->touched_count = 0;
}

void sessions_undo(struct sessions *sessions) {
    for (uint32_t index = 0; index < sessions->touched_count; index++) {
        struct slot *slot = &sessions->slots[sessions->touched[index]];
        slot->is_touched = false;
        slot->now = slot->before;
    }
    sessions->touched_count = 0;
}

void sessions_set_throttled(struct sessions *sessions, uint32_t slot, bool is_throttled) {
    assert(slot < sessions->count_max);
    assert(!sessions->slots[slot].is_touched);
    sessions->slots[slot].now.is_throttled = is_throttled;
}

void sessions_forget(struct sessions *sessions, const void *owner) {
    assert(sessions->touched_count == 0);
    for (uint32_t slot = 0; slot < sessions->used_max; slot++) {
        struct session *session = &sessions->slots[slot].now;
        if (session->is_used && session->owner == owner) *session = (struct session){0};
    }
}
