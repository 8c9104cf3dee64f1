#include "collector/deliver/deliver.h"

#include <assert.h>
#include <stdio.h>
#include <stdlib.h>

#include "base/json.h"
#include "base/log.h"
#include "collector/api/trail_document.h"
#include "collector/deliver/state.h"
#include "collector/deliver/trail.h"
#include "collector/follow/seat.h"

enum { LOOK_MS = 1000 };

// What a follower was made for.
struct known {
    const struct deliver_kind *kind;
    char id[TRAIL_ID_SIZE];
    bool is_seen;  // at this look
};

struct deliver {
    struct follower base;  // first: it is found from it
    struct deliver_options options;
    struct json_reader *json;
    struct deliver_kind kinds[DELIVER_KINDS_MAX];
    uint32_t kinds_count;
    const struct deliver_kind *kind;  // that is looked for
    struct known known[FOLLOWERS_MAX];
    uint32_t known_count;
    bool is_full;  // told once
};

static bool is_known(struct deliver *deliver, struct span id) {
    for (uint32_t index = 0; index < deliver->known_count; index++) {
        struct known *known = &deliver->known[index];
        if (known->kind != deliver->kind || !span_is(id, known->id)) continue;
        known->is_seen = true;
        return true;
    }
    return false;
}

static void add(struct deliver *deliver, struct span id, const struct trail *trail) {
    struct follower *follower = NULL;
    struct fault fault;
    if (deliver->known_count == FOLLOWERS_MAX) {
        if (!deliver->is_full) {
            LOG(LOG_ERROR, "too many trails log: one more does not deliver",
                (struct log_field){"trail", trail->name, 0});
        }
        deliver->is_full = true;
        return;
    }
    if (!deliver->kind->create(deliver->kind->options, id, trail, &follower, &fault)) return;
    if (!followers_add(deliver->options.followers, follower)) {
        follower->end(follower);
        return;
    }
    struct known *known = &deliver->known[deliver->known_count++];
    *known = (struct known){.kind = deliver->kind, .is_seen = true};
    snprintf(known->id, sizeof known->id, "%.*s", SPAN_PRINT(id));
}

static bool on_trail(void *user, struct span name, struct span value) {
    struct deliver *deliver = user;
    struct fault ignored;
    const struct yyjson_val *root;
    char id[TRAIL_ID_SIZE];
    (void)name;
    if (!json_read(deliver->json, value, &root, &ignored)) return true;
    const struct trail trail = trail_document_read(root);
    trail_document_id(&trail, id);
    // One that never logged has nothing to deliver. One that does not want any more is still known.
    bool is_wanted = trail.started_ms != 0 && deliver->kind->wants(&trail);
    if (!is_known(deliver, span_text(id)) && is_wanted) add(deliver, span_text(id), &trail);
    return true;
}

// What is left of a trail that may be gone.
static bool on_state(void *user, struct span name, struct span value) {
    struct deliver *deliver = user;
    struct fault ignored;
    const struct yyjson_val *root;
    struct span id = span_from(name, strlen(deliver->kind->documents));
    if (id.size != TRAIL_ID_SIZE - 1 || is_known(deliver, id)) return true;
    if (!json_read(deliver->json, value, &root, &ignored)) return true;
    struct span text = json_member_string(root, SPAN_LITERAL("trail"));
    struct json_reader *json = json_reader_create();
    if (json != NULL && json_read(json, text, &root, &ignored)) {
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
        if (deliver->known[index].is_seen) deliver->known[kept++] = deliver->known[index];
    }
    deliver->known_count = kept;
}

static bool on_step(struct follower *follower, struct seat *seat, int64_t *wait_ms,
                    struct fault *fault) {
    struct deliver *deliver = (struct deliver *)follower;
    *wait_ms = LOOK_MS;
    for (uint32_t index = 0; index < deliver->known_count; index++) {
        deliver->known[index].is_seen = false;
    }
    for (uint32_t index = 0; index < deliver->kinds_count; index++) {
        deliver->kind = &deliver->kinds[index];
        if (!trail_reader_documents(seat->reader, SPAN_LITERAL(TRAIL_DOCUMENTS), on_trail, deliver,
                                    fault) ||
            !trail_reader_documents(seat->reader, span_text(deliver->kind->documents), on_state,
                                    deliver, fault)) {
            return false;
        }
    }
    forget_unseen(deliver);
    return true;
}

static void on_end(struct follower *follower) {
    struct deliver *deliver = (struct deliver *)follower;
    json_reader_destroy(deliver->json);
    free(deliver);
}

static bool wants_files(const struct trail *trail) {
    (void)trail;
    return true;
}

static bool create_files(const void *options, struct span id, const struct trail *trail,
                         struct follower **follower, struct fault *fault) {
    return deliver_trail_create(options, id, trail->name, trail->account, trail->region, follower,
                                fault);
}

bool deliver_start(const struct deliver_options *options, struct fault *fault) {
    struct deliver *deliver = calloc(1, sizeof *deliver);
    if (deliver == NULL) return fault_set(fault, FAULT_FULL, "no memory for deliveries");
    deliver->base.step = on_step;
    deliver->base.end = on_end;
    deliver->options = *options;
    if (options->objects != NULL) {
        deliver->kinds[deliver->kinds_count++] =
            (struct deliver_kind){STATE_DOCUMENTS, wants_files, create_files, &deliver->options};
    }
    assert(options->more_count < DELIVER_KINDS_MAX);
    for (uint32_t index = 0; index < options->more_count; index++) {
        deliver->kinds[deliver->kinds_count++] = options->more[index];
    }
    deliver->json = json_reader_create();
    snprintf(deliver->base.name, sizeof deliver->base.name, "deliver");
    if (deliver->json != NULL && followers_add(options->followers, &deliver->base)) return true;
    on_end(&deliver->base);
    return fault_set(fault, FAULT_FULL, "no memory for deliveries");
}
