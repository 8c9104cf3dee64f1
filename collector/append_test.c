#include "collector/append.h"

#include <stdio.h>
#include <stdlib.h>
#include <unistd.h>

#include "collector/append_commit.h"
#include "collector/intake.h"
#include "collector/metrics.h"
#include "collector/test_messages.h"
#include "storage/trail_reader.h"
#include "tests/kit/cases.h"

enum { ENDS = 6, OWN_MAX = 64 };

static const int64_t NOW_MS = 1700000000000;

#define ONE "spiffe://o-abc/account/111111111111"
#define TWO "spiffe://o-abc/account/222222222222"

struct rig;

// One stream: its intake, and what the agent at its other end has heard.
struct end {
    struct rig *rig;
    struct intake *intake;
    uint64_t resume;
    uint64_t acked;
    uint64_t duplicates;
    uint64_t quarantined;
    uint32_t throttles;
    uint32_t to_send;
    bool is_closed;
    enum fault_kind closed_kind;
};

// A real trail in a folder, append and some intakes in one thread, under a clock of ours.
struct rig {
    char directory[256];
    int64_t now_ms;
    struct clock clock;
    uint64_t seed;
    struct random random;
    struct arena *arena;
    struct roster *roster;
    struct batch_pool *pool;
    struct queue *queue;
    struct trail *trail;
    struct append *append;
    struct intake_settings settings;
    struct end ends[ENDS];
    uint64_t size_max;
    uint64_t quarantine_max;
};

static int64_t rig_time(void *context) {
    return ((struct rig *)context)->now_ms;
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

static bool on_submit(void *context, struct batch *batch) {
    struct end *end = context;
    return queue_push(end->rig->queue, batch, batch->size);
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

static void open_store(struct rig *rig) {
    static const struct append_callbacks callbacks = {on_report, on_superseded, on_unthrottled};
    struct fault fault = {0};
    const struct trail_options trail_options = {
        .directory = rig->directory,
        .map_size = 1 << 28,
        .size_max = rig->size_max,
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
        .streams_max = ENDS,
        .callbacks = &callbacks,
        .context = rig,
    };
    assert_true(append_create(&options, &rig->append, &fault));
}

static int make_rig(void **state) {
    static struct rig rig;
    static const struct roster_account accounts[] = {{.id = "111111111111"},
                                                     {.id = "222222222222"}};
    struct fault fault = {0};
    rig = (struct rig){.now_ms = NOW_MS, .seed = 1, .quarantine_max = 1 << 20};
    const char *base = getenv("TEST_TMPDIR");
    (void)snprintf(rig.directory, sizeof rig.directory, "%s/append_XXXXXX",
                   base == NULL ? "/tmp" : base);
    if (mkdtemp(rig.directory) == NULL) return 1;
    rig.clock = (struct clock){rig_time, rig_time, &rig};
    rig.random = random_seeded(&rig.seed);
    rig.arena = arena_create(256 << 20);
    rig.pool = batch_pool_create();
    rig.queue = queue_create(4096, 64 << 20);
    if (!roster_create(accounts, 2, ROSTER_UNKNOWN_DEFAULT, &rig.roster, &fault)) return 1;
    rig.settings = (struct intake_settings){
        .organization_id = "o-abc",
        .heartbeat_ms = 15000,
        .future_max_s = 86400,
        .share_size = 64 << 20,
        .roster = rig.roster,
        .clock = &rig.clock,
        .pool = rig.pool,
    };
    open_store(&rig);
    *state = &rig;
    return 0;
}

static void leave(struct rig *rig, uint32_t index) {
    struct end *end = &rig->ends[index];
    intake_closed(end->intake);
    assert_true(intake_is_idle(end->intake));
    if (rig->append != NULL) append_forget(rig->append, end->intake);
    intake_destroy(end->intake);
    end->intake = NULL;
}

static void close_store(struct rig *rig) {
    append_destroy(rig->append);
    rig->append = NULL;
    for (uint32_t index = 0; index < ENDS; index++) {
        if (rig->ends[index].intake != NULL) leave(rig, index);
    }
    trail_close(rig->trail);
    rig->trail = NULL;
}

static int end_rig(void **state) {
    struct rig *rig = *state;
    close_store(rig);
    queue_destroy(rig->queue);
    batch_pool_destroy(rig->pool);
    roster_destroy(rig->roster);
    arena_destroy(rig->arena);
    char command[300];
    (void)snprintf(command, sizeof command, "rm -r '%s'", rig->directory);
    return system(command) == 0 ? 0 : 1;
}

// Lets append work at this moment, and all messages arrive.
static void step(struct rig *rig) {
    struct fault fault = {0};
    if (!append_step(rig->append, 0, &fault)) fail_msg("%s", fault.text);
    bool has_more = true;
    while (has_more) {
        has_more = false;
        for (uint32_t index = 0; index < ENDS; index++) {
            struct end *end = &rig->ends[index];
            if (end->intake == NULL || end->to_send == 0) continue;
            end->to_send--;
            intake_sent(end->intake);
            has_more = true;
        }
    }
}

static void pass(struct rig *rig, int64_t ms) {
    rig->now_ms += ms;
    step(rig);
}

static struct end *begin(struct rig *rig, uint32_t index, const char *uri) {
    struct end *end = &rig->ends[index];
    struct fault fault = {0};
    *end = (struct end){.rig = rig};
    const struct intake_link link = {on_send, on_resume, on_close, on_submit, end};
    assert_true(intake_create(&rig->settings, &link, span_text(uri), &end->intake, &fault));
    return end;
}

static struct end *enter(struct rig *rig, uint32_t index, const char *uri, uint8_t stream) {
    struct end *end = begin(rig, index, uri);
    assert_true(intake_message(end->intake, test_hello(rig->arena, stream)));
    pass(rig, APPEND_COMMIT_MS);
    return end;
}

static const char *make_record(struct rig *rig, const char *id, const char *more) {
    char *text = arena_print(rig->arena,
                             "{\"eventTime\":\"2023-11-14T22:00:00Z\",\"eventSource\":\"ec2."
                             "amazonaws.com\",\"eventName\":\"RunInstances\",\"eventID\":\"%s\"%s}",
                             id, more);
    assert_non_null(text);
    return text;
}

// Sends one record of this id.
static void say(struct end *end, uint64_t number, const char *id, const char *more,
                uint8_t chain[TRAIL_CHAIN_SIZE]) {
    struct rig *rig = end->rig;
    (void)intake_message(end->intake,
                         test_records(rig->arena, number, make_record(rig, id, more), 1, chain));
}

struct own {
    char names[OWN_MAX][32];
    char texts[OWN_MAX][2048];
    uint32_t count;
};

static bool on_row(void *user, const struct trail_row *row) {
    struct own *own = user;
    char text[2048];
    (void)snprintf(text, sizeof text, "%.*s", SPAN_PRINT(row->text));
    const char before[] = "\"eventSource\":\"orgtrail.local\",\"eventName\":\"";
    const char *name = strstr(text, before);
    if (name == NULL) return true;
    assert_true(own->count < OWN_MAX);
    assert_int_equal(row->agent, TRAIL_AGENT_OWN);
    assert_int_equal(sscanf(name + sizeof before - 1, "%31[A-Za-z]", own->names[own->count]), 1);
    memcpy(own->texts[own->count], text, sizeof text);
    own->count++;
    return true;
}

static struct trail_facts read_facts(struct rig *rig, struct own *own) {
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

static uint32_t count_own(const struct own *own, const char *name) {
    uint32_t count = 0;
    for (uint32_t index = 0; index < own->count; index++) {
        count += strcmp(own->names[index], name) == 0;
    }
    return count;
}

static struct trail_stream find_stream(struct rig *rig, uint32_t agent, uint8_t byte) {
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

enum { AGENT_ONE = TRAIL_AGENT_OWN + 1 };

static void test_one_commit_answers_all(void **state) {
    struct rig *rig = *state;
    struct own own;
    uint8_t chains[2][TRAIL_CHAIN_SIZE] = {0};
    struct end *one = enter(rig, 0, ONE, 1);
    struct end *two = enter(rig, 1, TWO, 1);
    assert_int_equal(one->resume, 1);
    int64_t commits = metric_get(&metrics_table[METRICS_COMMITS], 0);
    say(one, 1, "a", "", chains[0]);
    say(one, 2, "b", "", chains[0]);
    say(two, 1, "a", "", chains[1]);
    pass(rig, APPEND_COMMIT_MS);
    assert_int_equal(metric_get(&metrics_table[METRICS_COMMITS], 0), commits + 1);
    assert_int_equal(one->acked, 2);
    assert_int_equal(two->acked, 1);
    assert_int_equal(read_facts(rig, &own).events, 3);
    assert_true(append_is_idle(rig->append));
}

static void test_commits_are_not_too_frequent(void **state) {
    struct rig *rig = *state;
    uint8_t chain[TRAIL_CHAIN_SIZE] = {0};
    struct end *one = enter(rig, 0, ONE, 1);
    pass(rig, APPEND_COMMIT_MS);
    say(one, 1, "a", "", chain);
    step(rig);
    assert_int_equal(one->acked, 1);
    say(one, 2, "b", "", chain);
    pass(rig, APPEND_COMMIT_MS - 1);
    assert_int_equal(one->acked, 1);
    pass(rig, 1);
    assert_int_equal(one->acked, 2);
    // Many do not wait.
    const char *record = make_record(rig, "c", "");
    for (uint64_t first = 3; first < 3 + APPEND_COMMIT_EVENTS; first += 256) {
        (void)intake_message(one->intake, test_records(rig->arena, first, record, 256, chain));
    }
    step(rig);
    assert_int_equal(one->acked, 2 + APPEND_COMMIT_EVENTS);
    assert_int_equal(one->duplicates, APPEND_COMMIT_EVENTS - 1);
}

static void test_copies_variants_and_conflicts(void **state) {
    struct rig *rig = *state;
    struct own own;
    uint8_t chain[TRAIL_CHAIN_SIZE] = {0};
    struct end *one = enter(rig, 0, ONE, 1);
    say(one, 1, "a", "", chain);
    say(one, 2, "a", "", chain);
    say(one, 3, "a", " ", chain);
    say(one, 4, "a", ",\"errorCode\":\"AccessDenied\"", chain);
    pass(rig, APPEND_COMMIT_MS);
    say(one, 5, "a", ",\"errorCode\":\"AccessDenied\"", chain);
    pass(rig, APPEND_COMMIT_MS);
    assert_int_equal(one->acked, 5);
    assert_int_equal(one->duplicates, 2);
    assert_int_equal(one->quarantined, 2);
    struct trail_stream stream = find_stream(rig, AGENT_ONE, 1);
    assert_int_equal(stream.received, 5);
    assert_int_equal(stream.stored, 1);
    assert_int_equal(stream.duplicates, 1);
    assert_int_equal(stream.variants, 1);
    assert_int_equal(stream.conflicts, 2);
    struct trail_facts facts = read_facts(rig, &own);
    assert_int_equal(facts.quarantined, 1);
    assert_int_equal(facts.quarantined_count, 2);
    assert_int_equal(count_own(&own, "EventConflict"), 1);
    assert_int_equal(facts.events, 2);
}

static void test_many_conflicts_are_told_together(void **state) {
    struct rig *rig = *state;
    struct own own;
    uint8_t chain[TRAIL_CHAIN_SIZE] = {0};
    struct end *one = enter(rig, 0, ONE, 1);
    struct test_event events[40] = {0};
    say(one, 1, "a", "", chain);
    for (uint32_t index = 0; index < 40; index++) {
        char more[32];
        (void)snprintf(more, sizeof more, ",\"n\":%u", index);
        events[index].text = span_text(make_record(rig, "a", more));
    }
    (void)intake_message(one->intake, test_batch(rig->arena, 2, events, 40, chain));
    pass(rig, APPEND_COMMIT_MS);
    assert_int_equal(one->acked, 41);
    struct trail_facts facts = read_facts(rig, &own);
    assert_int_equal(facts.quarantined, 40);
    assert_int_equal(count_own(&own, "EventConflict"), 16);
    assert_int_equal(count_own(&own, "EventConflicts"), 1);
    assert_non_null(strstr(own.texts[own.count - 1], "\"count\":24"));
}

static void test_identity_violations_once_a_minute(void **state) {
    struct rig *rig = *state;
    struct own own;
    uint8_t chain[TRAIL_CHAIN_SIZE] = {0};
    struct end *one = enter(rig, 0, ONE, 1);
    const char *foreign = ",\"recipientAccountId\":\"222222222222\"";
    say(one, 1, "a", foreign, chain);
    pass(rig, APPEND_COMMIT_MS);
    say(one, 2, "b", foreign, chain);
    say(one, 3, "c", foreign, chain);
    pass(rig, APPEND_COMMIT_MS);
    assert_int_equal(read_facts(rig, &own).quarantined, 3);
    assert_int_equal(count_own(&own, "IdentityViolation"), 1);
    assert_non_null(strstr(own.texts[0], "\"count\":1,"));
    assert_non_null(strstr(own.texts[0], "account 222222222222"));
    // The others are told when their minute is over, though nothing comes.
    pass(rig, 60000 - 2 * APPEND_COMMIT_MS);
    assert_int_equal(read_facts(rig, &own).events, 1);
    pass(rig, APPEND_COMMIT_MS);
    assert_int_equal(read_facts(rig, &own).events, 2);
    assert_non_null(strstr(own.texts[1], "\"count\":2"));
    pass(rig, 120000);
    assert_int_equal(read_facts(rig, &own).events, 2);
}

static void test_gap_is_durable_and_told_once(void **state) {
    struct rig *rig = *state;
    struct own own;
    uint8_t chain[TRAIL_CHAIN_SIZE] = {3};
    struct end *one = enter(rig, 0, ONE, 1);
    assert_true(intake_message(one->intake, test_gap(rig->arena, 1, 9, chain)));
    assert_true(intake_message(one->intake, test_gap(rig->arena, 1, 9, chain)));
    pass(rig, APPEND_COMMIT_MS);
    assert_int_equal(one->acked, 9);
    say(one, 10, "a", "", chain);
    pass(rig, APPEND_COMMIT_MS);
    assert_int_equal(one->acked, 10);
    struct trail_facts facts = read_facts(rig, &own);
    assert_int_equal(facts.gaps, 1);
    assert_int_equal(count_own(&own, "EventsLost"), 1);
    assert_non_null(strstr(own.texts[0], "\"firstNumber\":1,\"lastNumber\":9,\"count\":9"));
    struct trail_stream stream = find_stream(rig, AGENT_ONE, 1);
    assert_int_equal(stream.gap_numbers, 9);
    assert_int_equal(stream.received, 1);
}

static void test_notice_is_one_event_however_often_sent(void **state) {
    struct rig *rig = *state;
    struct own own;
    const struct test_event notice = {
        .text = test_notice(rig->arena, "rotated_away", NOW_MS - 5000, SPAN_LITERAL("{\"lost")),
        .is_notice = true,
    };
    for (uint8_t stream = 1; stream <= 2; stream++) {
        uint8_t chain[TRAIL_CHAIN_SIZE] = {0};
        struct end *one = enter(rig, stream, ONE, stream);
        assert_true(intake_message(one->intake, test_batch(rig->arena, 1, &notice, 1, chain)));
        pass(rig, APPEND_COMMIT_MS);
        assert_int_equal(one->acked, 1);
        struct trail_facts facts = read_facts(rig, &own);
        assert_int_equal(facts.events, 1);
        assert_int_equal(facts.quarantined, 1);
        assert_int_equal(facts.quarantined_count, stream);
        assert_int_equal(count_own(&own, "AgentNotice"), 1);
    }
    struct trail_stream stream = find_stream(rig, AGENT_ONE, 1);
    assert_int_equal(stream.notices, 1);
    assert_int_equal(stream.received, 0);
}

static void test_bad_notices_are_kept(void **state) {
    struct rig *rig = *state;
    struct own own;
    uint8_t chain[TRAIL_CHAIN_SIZE] = {0};
    const struct test_event notices[] = {
        {.text = SPAN_LITERAL("\xff\xff"), .is_notice = true},
        {.text = test_notice(rig->arena, "r", INT64_MAX, SPAN_LITERAL("")), .is_notice = true},
        {.text = test_notice(rig->arena, "r", NOW_MS + 90000000, SPAN_LITERAL("")),
         .is_notice = true},
    };
    struct end *one = enter(rig, 0, ONE, 1);
    assert_true(intake_message(one->intake, test_batch(rig->arena, 1, notices, 3, chain)));
    pass(rig, APPEND_COMMIT_MS);
    assert_int_equal(one->acked, 3);
    struct trail_facts facts = read_facts(rig, &own);
    assert_int_equal(facts.events, 0);
    assert_int_equal(facts.quarantined, 3);
}

static void test_restart_resumes_numbers(void **state) {
    struct rig *rig = *state;
    uint8_t chain[TRAIL_CHAIN_SIZE] = {0};
    struct end *one = enter(rig, 0, ONE, 1);
    for (uint64_t number = 1; number <= 3; number++) say(one, number, "a", "", chain);
    pass(rig, APPEND_COMMIT_MS);
    say(one, 4, "b", "", chain);  // not committed: the process ends
    void *item;
    while (queue_pop(rig->queue, &item, 1, 0) == 1) {
        struct batch *batch = item;
        fault_set(&batch->fault, FAULT_RETRY, "the end");
        on_report(rig, batch);
    }
    close_store(rig);
    open_store(rig);
    one = enter(rig, 0, ONE, 1);
    assert_int_equal(one->resume, 4);
    struct end *other = enter(rig, 1, ONE, 2);
    assert_int_equal(other->resume, 1);
}

static void test_newer_session_takes_over(void **state) {
    struct rig *rig = *state;
    struct own own;
    uint8_t chain[TRAIL_CHAIN_SIZE] = {0};
    struct end *older = enter(rig, 0, ONE, 1);
    say(older, 1, "a", "", chain);
    struct end *newer = begin(rig, 1, ONE);
    assert_true(intake_message(newer->intake, test_hello(rig->arena, 1)));
    say(older, 2, "b", "", chain);
    pass(rig, APPEND_COMMIT_MS);
    // What came before the newer Hello counts, what came behind it does not.
    assert_int_equal(newer->resume, 2);
    assert_true(older->is_closed);
    assert_int_equal(older->closed_kind, FAULT_RETRY);
    assert_int_equal(read_facts(rig, &own).events, 1);
    leave(rig, 0);
    uint8_t again[TRAIL_CHAIN_SIZE] = {0};
    say(newer, 1, "a", "", again);
    say(newer, 2, "b", "", again);
    pass(rig, APPEND_COMMIT_MS);
    assert_int_equal(newer->acked, 2);
    assert_int_equal(read_facts(rig, &own).events, 2);
}

static void test_no_room_for_another_stream(void **state) {
    struct rig *rig = *state;
    for (uint8_t index = 0; index < ENDS; index++) {
        (void)enter(rig, index, index % 2 == 0 ? ONE : TWO, index);
    }
    struct end *first = &rig->ends[0];
    struct end saved = *first;
    struct end *extra = enter(rig, 0, ONE, 99);
    assert_true(extra->is_closed);
    assert_int_equal(extra->closed_kind, FAULT_FULL);
    leave(rig, 0);
    *first = saved;
    intake_destroy(
        (intake_closed(saved.intake), append_forget(rig->append, saved.intake), saved.intake));
    first->intake = NULL;
    extra = enter(rig, 0, ONE, 99);
    assert_false(extra->is_closed);
}

static void test_an_agent_takes_few_places(void **state) {
    struct rig *rig = *state;
    for (uint8_t index = 0; index < APPEND_COMMIT_AGENT_SESSIONS_MAX; index++) {
        assert_false(enter(rig, index, ONE, index)->is_closed);
    }
    struct end *extra = enter(rig, 4, ONE, 99);
    assert_true(extra->is_closed);
    assert_int_equal(extra->closed_kind, FAULT_FULL);
    assert_false(enter(rig, 5, TWO, 99)->is_closed);
    // A stream it has already may be taken over.
    leave(rig, 4);
    assert_false(enter(rig, 4, ONE, 0)->is_closed);
    assert_true(rig->ends[0].is_closed);
}

// Who begins new streams for ever leaves nothing behind.
static void test_hellos_are_not_remembered(void **state) {
    struct rig *rig = *state;
    for (uint8_t stream = 0; stream < 50; stream++) {
        assert_false(enter(rig, 0, ONE, stream)->is_closed);
        leave(rig, 0);
    }
    // The first one says that the agent was seen.
    assert_int_equal(trail_streams_count(rig->trail, AGENT_ONE), 1);
    uint8_t chain[TRAIL_CHAIN_SIZE] = {0};
    struct end *end = enter(rig, 0, ONE, 99);
    say(end, 1, "a", "", chain);
    pass(rig, APPEND_COMMIT_MS);
    assert_int_equal(end->acked, 1);
    assert_int_equal(trail_streams_count(rig->trail, AGENT_ONE), 2);
    leave(rig, 0);
    assert_int_equal(enter(rig, 0, ONE, 99)->resume, 2);
}

static void test_streams_of_an_agent_are_bounded(void **state) {
    struct rig *rig = *state;
    struct fault fault = {0};
    struct trail_receipt receipt;
    (void)enter(rig, 0, ONE, 0);
    leave(rig, 0);
    assert_true(trail_begin(rig->trail, &fault));
    for (uint32_t count = 1; count < APPEND_COMMIT_AGENT_STREAMS_MAX; count++) {
        struct trail_stream stream = {.agent = AGENT_ONE, .durable_seq = 1};
        memcpy(stream.stream_id, &count, sizeof count);
        assert_true(trail_stream_put(rig->trail, &stream, &fault));
    }
    assert_true(trail_commit(rig->trail, &receipt, &fault));
    struct end *extra = enter(rig, 0, ONE, 99);
    assert_true(extra->is_closed);
    assert_int_equal(extra->closed_kind, FAULT_FULL);
    assert_false(enter(rig, 1, ONE, 0)->is_closed);
    assert_false(enter(rig, 2, TWO, 99)->is_closed);
}

static void test_full_disk_acknowledges_nothing(void **state) {
    struct rig *rig = *state;
    close_store(rig);
    rig->size_max = 3 << 20;
    open_store(rig);
    uint8_t chain[TRAIL_CHAIN_SIZE] = {0};
    struct end *one = enter(rig, 0, ONE, 1);
    uint64_t number = 0;
    char filler[3001];
    uint64_t state_random = 7;
    while (!append_is_full(rig->append)) {
        struct test_event events[64] = {0};
        for (uint32_t index = 0; index < 64; index++) {
            for (uint32_t at = 0; at < sizeof filler - 1; at++) {
                filler[at] = (char)('!' + random_splitmix64(&state_random) % 90);
                if (filler[at] == '"' || filler[at] == '\\') filler[at] = '-';
            }
            filler[sizeof filler - 1] = '\0';
            char id[24];
            (void)snprintf(id, sizeof id, "id%llu", (unsigned long long)(number + index));
            char *more = arena_print(rig->arena, ",\"filler\":\"%s\"", filler);
            events[index].text = span_text(make_record(rig, id, more));
        }
        (void)intake_message(one->intake, test_batch(rig->arena, number + 1, events, 64, chain));
        number += 64;
        pass(rig, APPEND_COMMIT_MS);
        assert_true(number < 64 * 200);
    }
    uint64_t acked = one->acked;
    assert_true(acked < number);
    assert_false(one->is_closed);
    assert_int_equal(metric_get(&metrics_table[METRICS_IS_FULL], 0), 1);
    // Nobody else is let in, and nothing is lost or acknowledged by trying again.
    struct end *two = begin(rig, 1, TWO);
    (void)intake_message(two->intake, test_hello(rig->arena, 1));
    pass(rig, APPEND_FULL_RETRY_MS);
    assert_true(two->is_closed);
    assert_int_equal(two->closed_kind, FAULT_FULL);
    assert_int_equal(one->acked, acked);
    assert_false(append_is_idle(rig->append));

    close_store(rig);
    rig->size_max = 0;
    open_store(rig);
    one = enter(rig, 0, ONE, 1);
    assert_int_equal(one->resume, acked + 1);
    struct own own;
    assert_int_equal(read_facts(rig, &own).events, acked);
}

static void test_full_quarantine_throttles_its_agent(void **state) {
    struct rig *rig = *state;
    close_store(rig);
    rig->quarantine_max = 100;
    open_store(rig);
    uint8_t chains[2][TRAIL_CHAIN_SIZE] = {0};
    struct end *one = enter(rig, 0, ONE, 1);
    struct end *two = enter(rig, 1, TWO, 1);
    say(one, 1, "a", ",\"recipientAccountId\":\"222222222222\"", chains[0]);
    say(two, 1, "a", "", chains[1]);
    pass(rig, APPEND_COMMIT_MS);
    assert_int_equal(one->acked, 1);
    assert_int_equal(one->throttles, 1);
    assert_int_equal(two->throttles, 0);
    say(two, 2, "b", "", chains[1]);
    pass(rig, 2000);
    assert_int_equal(two->acked, 2);
    assert_int_equal(metric_get(&metrics_table[METRICS_AGENTS_THROTTLED], 0), 1);
    // It comes back and is throttled from the start.
    leave(rig, 0);
    one = enter(rig, 0, ONE, 1);
    assert_int_equal(one->throttles, 1);
    assert_int_equal(one->resume, 2);
}

static void test_last_seen_rides_or_waits(void **state) {
    struct rig *rig = *state;
    struct end *one = enter(rig, 0, ONE, 1);
    int64_t seen_ms = find_stream(rig, AGENT_ONE, 1).last_seen_ms;
    rig->now_ms += INTAKE_SEEN_MS;
    assert_true(intake_message(one->intake, test_heartbeat(rig->arena)));
    step(rig);
    pass(rig, APPEND_SEEN_MS - 1);
    assert_int_equal(find_stream(rig, AGENT_ONE, 1).last_seen_ms, seen_ms);
    pass(rig, 1);
    assert_true(find_stream(rig, AGENT_ONE, 1).last_seen_ms >= seen_ms + INTAKE_SEEN_MS);
}

static void test_global_reports_are_all_counted(void **state) {
    struct rig *rig = *state;
    struct own own;
    static const char *const uris[] = {ONE "/region/eu-west-1", ONE "/region/us-west-2",
                                       ONE "/region/us-east-1"};
    const char *record =
        "{\"eventTime\":\"2023-11-14T22:00:00Z\",\"eventSource\":\"iam.amazonaws.com\","
        "\"eventName\":\"CreateUser\",\"awsRegion\":\"us-east-1\",\"eventID\":\"g\"}";
    for (uint32_t index = 0; index < 3; index++) {
        uint8_t chain[TRAIL_CHAIN_SIZE] = {0};
        struct end *end = enter(rig, index, uris[index], 1);
        (void)intake_message(end->intake, test_records(rig->arena, 1, record, 1, chain));
        pass(rig, APPEND_COMMIT_MS);
        assert_int_equal(end->acked, 1);
        assert_int_equal(find_stream(rig, AGENT_ONE + index, 1).global_reported, 1);
    }
    assert_int_equal(read_facts(rig, &own).events, 1);
}

int main(void) {
    metrics_start();
    const struct CMUnitTest tests[] = {
        cmocka_unit_test_setup_teardown(test_one_commit_answers_all, make_rig, end_rig),
        cmocka_unit_test_setup_teardown(test_commits_are_not_too_frequent, make_rig, end_rig),
        cmocka_unit_test_setup_teardown(test_copies_variants_and_conflicts, make_rig, end_rig),
        cmocka_unit_test_setup_teardown(test_many_conflicts_are_told_together, make_rig, end_rig),
        cmocka_unit_test_setup_teardown(test_identity_violations_once_a_minute, make_rig, end_rig),
        cmocka_unit_test_setup_teardown(test_gap_is_durable_and_told_once, make_rig, end_rig),
        cmocka_unit_test_setup_teardown(test_notice_is_one_event_however_often_sent, make_rig,
                                        end_rig),
        cmocka_unit_test_setup_teardown(test_bad_notices_are_kept, make_rig, end_rig),
        cmocka_unit_test_setup_teardown(test_restart_resumes_numbers, make_rig, end_rig),
        cmocka_unit_test_setup_teardown(test_newer_session_takes_over, make_rig, end_rig),
        cmocka_unit_test_setup_teardown(test_no_room_for_another_stream, make_rig, end_rig),
        cmocka_unit_test_setup_teardown(test_an_agent_takes_few_places, make_rig, end_rig),
        cmocka_unit_test_setup_teardown(test_hellos_are_not_remembered, make_rig, end_rig),
        cmocka_unit_test_setup_teardown(test_streams_of_an_agent_are_bounded, make_rig, end_rig),
        cmocka_unit_test_setup_teardown(test_full_disk_acknowledges_nothing, make_rig, end_rig),
        cmocka_unit_test_setup_teardown(test_full_quarantine_throttles_its_agent, make_rig,
                                        end_rig),
        cmocka_unit_test_setup_teardown(test_last_seen_rides_or_waits, make_rig, end_rig),
        cmocka_unit_test_setup_teardown(test_global_reports_are_all_counted, make_rig, end_rig),
    };
    return cases_run("collector/append", tests, sizeof tests / sizeof tests[0]);
}
