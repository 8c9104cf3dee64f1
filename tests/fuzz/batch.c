// Batch decoding: messages of any bytes at a collector's stream that has been greeted.

#include "collector/intake/batch.h"

#include <assert.h>
#include <string.h>

#include "base/arena.h"
#include "base/json.h"
#include "collector/admit/roster_live.h"
#include "collector/intake/intake.h"
#include "collector/metrics.h"
#include "tests/fuzz/fuzz.h"

enum { PENDING_MAX = 64 };

// What append would hold.
struct append_stand_in {
    struct batch *pending[PENDING_MAX];
    uint32_t count;
    bool is_closed;
};

static int64_t now_ms(void *context) {
    (void)context;
    return 1767225600000;
}

static const struct clock CLOCK = {now_ms, now_ms, NULL};

static bool link_send(void *context, struct span message) {
    (void)context;
    assert(message.size > 0);
    return true;
}

static void link_resume(void *context) {
    (void)context;
}

static void link_close(void *context, enum fault_kind kind, const char *text) {
    struct append_stand_in *append = context;
    assert(kind == FAULT_NONE || text != NULL);
    append->is_closed = true;
}

static bool link_has_room(void *context) {
    const struct append_stand_in *append = context;
    return append->count < PENDING_MAX;
}

static bool link_submit(void *context, struct batch *batch) {
    struct append_stand_in *append = context;
    if (append->count == PENDING_MAX) return false;
    append->pending[append->count++] = batch;
    return true;
}

static void report_all(struct append_stand_in *append, struct intake *intake) {
    while (append->count > 0) {
        struct batch *batch = append->pending[--append->count];
        assert(batch->owner == intake);
        assert(batch->kind == BATCH_HELLO || batch->events_count <= BATCH_EVENTS_MAX);
        batch->fault.kind = FAULT_NONE;
        batch->session = 1;
        batch->durable_seq = batch->kind == BATCH_HELLO ? 0 : batch->last_seq;
        memcpy(batch->durable_chain, batch->chain, sizeof batch->durable_chain);
        intake_report(intake, batch);
        intake_sent(intake);
    }
}

int LLVMFuzzerTestOneInput(const uint8_t *data, size_t size) {
    static const struct roster_account account = {.id = "123456789012"};
    static struct roster *roster;
    static struct roster_live live;
    static struct batch_pool *pool;
    struct fault fault = {.kind = FAULT_NONE};
    if (pool == NULL) {
        pool = batch_pool_create();
        metrics_start();
        bool made = roster_create(&account, 1, ROSTER_UNKNOWN_DEFAULT, &roster, &fault);
        assert(pool != NULL && made);
        roster_live_init(&live, roster);
    }
    struct intake_settings settings = {
        .organization_id = "o-fuzz",
        .heartbeat_ms = 10000,
        .future_max_s = 86400,
        .share_size = 4 << 20,
        .roster = &live,
        .clock = &CLOCK,
        .pool = pool,
    };
    struct append_stand_in append = {.count = 0};
    struct intake_link link = {link_send,     link_resume, link_close,
                               link_has_room, link_submit, &append};
    struct intake *intake = NULL;
    bool made = intake_create(
        &settings, &link, SPAN_LITERAL("spiffe://o-fuzz/account/123456789012"), &intake, &fault);
    assert(made);

    // Messages, each behind two bytes of its size.
    struct span input = span_of(data, size);
    while (input.size > 2 && !append.is_closed) {
        size_t part = (size_t)(input.bytes[0] | input.bytes[1] << 8);
        input = span_from(input, 2);
        if (part > input.size) part = input.size;
        bool go_on = intake_message(intake, span_of(input.bytes, part));
        input = span_from(input, part);
        report_all(&append, intake);
        if (!go_on) intake_retry(intake);
    }
    intake_closed(intake);
    report_all(&append, intake);
    assert(intake_is_idle(intake));
    intake_destroy(intake);
    return 0;
}
