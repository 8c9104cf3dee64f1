#include "collector/append/append_fixture.h"

#include <stdio.h>
#include <stdlib.h>
#include <unistd.h>

#include "collector/intake/test_messages.h"
#include "tests/kit/cases.h"

static int64_t rig_time(void *context) {
    struct rig *rig = context;
    rig->clock_calls++;
    return rig->now_ms;
}

static bool on_send(void *context, struct span bytes) {
    struct end *end = context;
    Orgtrail__V1__CollectorMessage *message = test_unpack(end->rig->arena, bytes);
    end->to_send++;
    if (message->body_case == ORGTRAIL__V1__COLLECTOR_MESSAGE__BODY_WELCOME) {
        end->resume = message->welcome->resume_seq;
    } else if (message->body_case == ORGTRAIL__V1__COLLECTOR_MESSAGE__BODY_ACK) {
        assert_true(message->ack->durable_seq >= end->acked);
        end->acked = message->ack->durable_seq;
        end->duplicates = message->ack->duplicates;
        end->quarantined = message->ack->quarantined;
    } else if (message->body_case == ORGTRAIL__V1__COLLECTOR_MESSAGE__BODY_THROTTLE) {
        end->throttles++;
    }
    return true;
}

static void on_resume(void *context) {
    (void)context;
}

static void on_close(void *context, enum fault_kind kind, const char *text) {
    (void)text;
    struct end *end = context;
    end->is_closed = true;
    end->closed_kind = kind;
}

static bool on_has_room(void *context) {
    (void)context;
    return true;
}

static bool on_submit(void *context, struct batch *batch) {
    struct end *end = context;
    return queue_push(end->rig->queue, batch, batch->weight);
}

static void on_report(void *context, struct batch *batch) {
    (void)context;
    intake_report(batch->owner, batch);
}

static void on_superseded(void *context, void *owner) {
    (void)context;
    intake_superseded(owner);
}

static void on_unthrottled(void *context, void *owner) {
    (void)context;
    intake_unthrottled(owner);
}

void rig_open_store(struct rig *rig) {
    static const struct append_callbacks callbacks = {on_report, on_superseded, on_unthrottled};
    struct fault fault = {0};
    const struct trail_options trail_options = {
        .directory = rig->directory,
        .map_size = 1 << 28,
        .size_max = rig->size_max,
        .block_rows_min = rig->block_rows_min,
        .no_sync = true,
        .clock = &rig->clock,
        .random = &rig->random,
    };
    if (!trail_open(&trail_options, &rig->trail, &fault)) fail_msg("%s", fault.text);
    const struct append_options options = {
        .trail = rig->trail,
        .queue = rig->queue,
        .clock = &rig->clock,
        .random = &rig->random,
        .management_account = "999999999999",
        .home_region = "us-east-1",
        .quarantine_max = rig->quarantine_max,
        .retention_days = rig->retention_days,
        .streams_max = RIG_ENDS,
        .callbacks = &callbacks,
        .context = rig,
    };
    assert_true(append_create(&options, &rig->append, &fault));
}

int rig_make(void **state) {
    static struct rig rig;
    static const struct roster_account accounts[] = {{.id = "111111111111"},
                                                     {.id = "222222222222"}};
    struct fault fault = {0};
    rig = (struct rig){.now_ms = RIG_NOW_MS, .seed = 1, .quarantine_max = 1 << 20};
    const char *base = getenv("TEST_TMPDIR");
    (void)snprintf(rig.directory, sizeof rig.directory, "%s/append_XXXXXX",
                   base == NULL ? "/tmp" : base);
    if (mkdtemp(rig.directory) == NULL) return 1;
    rig.clock = (struct clock){rig_time, rig_time, &rig};
    rig.random = random_seeded(&rig.seed);
    rig.arena = arena_create(256 << 20);
    rig.pool = batch_pool_create();
    rig.queue = queue_create(4096, UINT64_MAX);
    if (!roster_create(accounts, 2, ROSTER_UNKNOWN_DEFAULT, &rig.roster, &fault)) return 1;
    roster_live_init(&rig.live, rig.roster);
    rig.settings = (struct intake_settings){
        .organization_id = "o-abc",
        .heartbeat_ms = 15000,
        .future_max_s = 86400,
        .share_size = 64 << 20,
        .roster = &rig.live,
        .clock = &rig.clock,
        .pool = rig.pool,
    };
    rig_open_store(&rig);
    *state = &rig;
    return 0;
}

void rig_leave(struct rig *rig, uint32_t index) {
    struct end *end = &rig->ends[index];
    intake_closed(end->intake);
    assert_true(intake_is_idle(end->intake));
    if (rig->append != NULL) append_forget(rig->append, end->intake, 0, false);
    intake_destroy(end->intake);
    end->intake = NULL;
}

void rig_close_store(struct rig *rig) {
    append_destroy(rig->append);
    rig->append = NULL;
    for (uint32_t index = 0; index < RIG_ENDS; index++) {
        if (rig->ends[index].intake != NULL) rig_leave(rig, index);
    }
    trail_close(rig->trail);
    rig->trail = NULL;
}

int rig_end(void **state) {
    struct rig *rig = *state;
    rig_close_store(rig);
    queue_destroy(rig->queue);
    batch_pool_destroy(rig->pool);
    roster_destroy(rig->roster);
    arena_destroy(rig->arena);
    char command[300];
    (void)snprintf(command, sizeof command, "rm -r '%s'", rig->directory);
    return system(command) == 0 ? 0 : 1;
}

// Lets append work at this moment, and all messages arrive.
void rig_step(struct rig *rig) {
    struct fault fault = {0};
    if (!append_step(rig->append, 0, &fault)) fail_msg("%s", fault.text);
    bool has_more = true;
    while (has_more) {
        has_more = false;
        for (uint32_t index = 0; index < RIG_ENDS; index++) {
            struct end *end = &rig->ends[index];
            if (end->intake == NULL || end->to_send == 0) continue;
            end->to_send--;
            intake_sent(end->intake);
            has_more = true;
        }
    }
}

void rig_pass(struct rig *rig, int64_t ms) {
    rig->now_ms += ms;
    rig_step(rig);
}

struct end *rig_begin(struct rig *rig, uint32_t index, const char *uri) {
    struct end *end = &rig->ends[index];
    struct fault fault = {0};
    *end = (struct end){.rig = rig};
    const struct intake_link link = {on_send, on_resume, on_close, on_has_room, on_submit, end};
    assert_true(intake_create(&rig->settings, &link, span_text(uri), &end->intake, &fault));
    return end;
}

struct end *rig_enter(struct rig *rig, uint32_t index, const char *uri, uint8_t stream) {
    struct end *end = rig_begin(rig, index, uri);
    assert_true(intake_message(end->intake, test_hello(rig->arena, stream)));
    rig_pass(rig, APPEND_COMMIT_MS);
    return end;
}

const char *rig_make_record(struct rig *rig, const char *id, const char *more) {
    char *text = arena_print(rig->arena,
                             "{\"eventTime\":\"2023-11-14T22:00:00Z\",\"eventSource\":\"ec2."
                             "amazonaws.com\",\"eventName\":\"RunInstances\",\"eventID\":\"%s\"%s}",
                             id, more);
    assert_non_null(text);
    return text;
}

// Sends one record of this id.
void rig_say(struct end *end, uint64_t number, const char *id, const char *more,
             uint8_t chain[TRAIL_CHAIN_SIZE]) {
    struct rig *rig = end->rig;
    (void)intake_message(
        end->intake, test_records(rig->arena, number, rig_make_record(rig, id, more), 1, chain));
}

static bool on_row(void *user, const struct trail_row *row) {
    struct own *own = user;
    char text[2048];
    (void)snprintf(text, sizeof text, "%.*s", SPAN_PRINT(row->text));
    const char before[] = "\"eventSource\":\"orgtrail.local\",\"eventName\":\"";
    const char *name = strstr(text, before);
    if (name == NULL) return true;
    assert_true(own->count < RIG_OWN_MAX);
    assert_int_equal(row->agent, TRAIL_AGENT_OWN);
    assert_int_equal(sscanf(name + sizeof before - 1, "%31[A-Za-z]", own->names[own->count]), 1);
    memcpy(own->texts[own->count], text, sizeof text);
    own->count++;
    return true;
}

struct trail_facts rig_read_facts(struct rig *rig, struct own *own) {
    struct trail_reader *reader;
    struct trail_facts facts;
    struct fault fault = {0};
    uint64_t last;
    if (!trail_reader_open(rig->directory, &reader, &fault)) fail_msg("%s", fault.text);
    assert_true(trail_reader_facts(reader, &facts, &fault));
    *own = (struct own){.count = 0};
    assert_true(trail_reader_follow(reader, 0, on_row, own, &last, &fault));
    trail_reader_close(reader);
    return facts;
}

uint32_t rig_count_own(const struct own *own, const char *name) {
    uint32_t count = 0;
    for (uint32_t index = 0; index < own->count; index++) {
        count += strcmp(own->names[index], name) == 0;
    }
    return count;
}

struct trail_stream rig_find_stream(struct rig *rig, uint32_t agent, uint8_t byte) {
    uint8_t id[TRAIL_STREAM_ID_SIZE];
    memset(id, byte, sizeof id);
    struct trail_stream stream;
    bool is_found = false;
    struct fault fault = {0};
    assert_true(trail_stream_find(rig->trail, agent, id, &stream, &is_found, &fault));
    assert_true(is_found);
    assert_int_equal(stream.received, stream.stored + stream.duplicates + stream.variants +
                                          stream.quarantined + stream.expired);
    return stream;
}
