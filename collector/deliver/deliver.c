#include "collector/deliver/deliver.h"

#include <stdio.h>
#include <stdlib.h>

#include "base/json.h"
#include "base/log.h"
#include "collector/api/trail_document.h"
#include "collector/deliver/state.h"
#include "collector/deliver/trail.h"
#include "collector/follow/seat.h"

enum { LOOK_MS = 1000 };

struct deliver {
    struct follower base;  // first: it is found from it
    struct deliver_options options;
    struct json_reader *json;
    // Ids that a follower was made for and that were there at the last look.
    char known[FOLLOWERS_MAX][TRAIL_ID_SIZE];
    bool seen[FOLLOWERS_MAX];
    uint32_t known_count;
    bool is_full;  // told once
};

static bool is_known(struct deliver *deliver, struct span id) {
    for (uint32_t index = 0; index < deliver->known_count; index++) {
        if (!span_is(id, deliver->known[index])) continue;
        deliver->seen[index] = true;
        return true;
    }
    return false;
}

static void add(struct deliver *deliver, struct span id, const struct trail *trail) {
    struct follower *follower = NULL;
    struct fault fault;
    if (is_known(deliver, id)) return;
    if (deliver->known_count == FOLLOWERS_MAX) {
        if (!deliver->is_full)
            LOG(LOG_ERROR, "too many trails log: one more does not deliver",
                (struct log_field){"trail", trail->name, 0});
        deliver->is_full = true;
        return;
    }
    if (!deliver_trail_create(&deliver->options, id, trail->name, trail->account, trail->region,
                              &follower, &fault)) {
        return;
    }
    if (!followers_add(deliver->options.followers, follower)) {
        follower->end(follower);
        return;
    }
    uint32_t place = deliver->known_count++;
    snprintf(deliver->known[place], TRAIL_ID_SIZE, "%.*s", SPAN_PRINT(id));
    deliver->seen[place] = true;
}

static bool on_trail(void *user, struct span name, struct span value) {
    struct deliver *deliver = user;
    struct fault ignored;
    const struct yyjson_val *root;
    char id[TRAIL_ID_SIZE];
    (void)name;
    if (!json_read(deliver->json, value, &root, &ignored)) return true;
    const struct trail trail = trail_document_read(root);
    // One that never logged has nothing to deliver.
    if (trail.started_ms == 0) return true;
    trail_document_id(&trail, id);
    add(deliver, span_text(id), &trail);
    return true;
}

// What is left of a trail that may be gone.
static bool on_state(void *user, struct span name, struct span value) {
    struct deliver *deliver = user;
    struct fault ignored;
    const struct yyjson_val *root;
    struct state state;
    struct span id = span_from(name, strlen(STATE_DOCUMENTS));
    if (id.size != TRAIL_ID_SIZE - 1 || is_known(deliver, id)) return true;
    if (!json_read(deliver->json, value, &root, &ignored) || !state_read(root, &state, &ignored)) {
        return true;
    }
    struct json_reader *json = json_reader_create();
    if (json != NULL && json_read(json, state.trail, &root, &ignored)) {
        const struct trail trail = trail_document_read(root);
        add(deliver, id, &trail);
    }
    json_reader_destroy(json);
    return true;
}

// Those that have no document any more are over: their followers have ended themselves.
static void forget_unseen(struct deliver *deliver) {
    uint32_t kept = 0;
    for (uint32_t index = 0; index < deliver->known_count; index++) {
        if (!deliver->seen[index]) continue;
        if (kept != index) {
            memcpy(deliver->known[kept], deliver->known[index], TRAIL_ID_SIZE);
        }
        deliver->seen[kept++] = false;
    }
    deliver->known_count = kept;
}

static bool on_step(struct follower *follower, struct seat *seat, int64_t *wait_ms,
                    struct fault *fault) {
    struct deliver *deliver = (struct deliver *)follower;
    *wait_ms = LOOK_MS;
    for (uint32_t index = 0; index < deliver->known_count; index++) deliver->seen[index] = false;
    if (!trail_reader_documents(seat->reader, SPAN_LITERAL(TRAIL_DOCUMENTS), on_trail, deliver,
                                fault) ||
        !trail_reader_documents(seat->reader, SPAN_LITERAL(STATE_DOCUMENTS), on_state, deliver,
                                fault)) {
        return false;
    }
    forget_unseen(deliver);
    return true;
}

static void on_end(struct follower *follower) {
    struct deliver *deliver = (struct deliver *)follower;
    json_reader_destroy(deliver->json);
    free(deliver);
}

bool deliver_start(const struct deliver_options *options, struct fault *fault) {
    struct deliver *deliver = calloc(1, sizeof *deliver);
    if (deliver == NULL) return fault_set(fault, FAULT_FULL, "no memory for deliveries");
    deliver->base.step = on_step;
    deliver->base.end = on_end;
    deliver->options = *options;
    deliver->json = json_reader_create();
    snprintf(deliver->base.name, sizeof deliver->base.name, "deliver");
    if (deliver->json != NULL && followers_add(options->followers, &deliver->base)) return true;
    on_end(&deliver->base);
    return fault_set(fault, FAULT_FULL, "no memory for deliveries");
}
