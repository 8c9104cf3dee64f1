#include "collector/intake/intake.h"

#include "collector/intake/test_messages.h"
#include "tests/kit/cases.h"

enum { SENT_MAX = 64, SUBMITTED_MAX = 64, HEARTBEAT_MS = 15000 };
enum { SHARE_SIZE = 8 * 2 * BATCH_WEIGHT_MIN };

static const char RECORD[] =
    "{\"eventTime\":\"2023-11-14T22:00:00Z\",\"eventSource\":\"ec2.amazonaws.com\","
    "\"eventName\":\"RunInstances\"}";

// A link that keeps what intake does, and answers for append.
struct bench {
    struct intake_settings settings;
    struct intake_link link;
    struct clock clock;
    int64_t time_ms;
    struct roster *roster;
    struct roster_live live;
    struct intake *intake;
    struct arena *arena;  // of decoded messages

    Orgtrail__V1__CollectorMessage *sent[SENT_MAX];
    uint32_t sent_count;
    struct batch *submitted[SUBMITTED_MAX];
    uint32_t submitted_count;
    bool is_full;   // no room for another batch
    bool is_ended;  // append takes none for good
    uint32_t resumes;
    bool is_closed;
    enum fault_kind closed_kind;
    char closed_text[FAULT_TEXT_SIZE];
};

static int64_t bench_time(void *context) {
    return ((struct bench *)context)->time_ms;
}

static bool on_send(void *context, struct span message) {
    struct bench *bench = context;
    assert_true(bench->sent_count < SENT_MAX);
    bench->sent[bench->sent_count] = test_unpack(bench->arena, message);
    bench->sent_count++;
    return true;
}

static void on_resume(void *context) {
    ((struct bench *)context)->resumes++;
}

static void on_close(void *context, enum fault_kind kind, const char *text) {
    struct bench *bench = context;
    assert_false(bench->is_closed);
    bench->is_closed = true;
    bench->closed_kind = kind;
    (void)snprintf(bench->closed_text, sizeof bench->closed_text, "%s", text);
}

static bool on_has_room(void *context) {
    const struct bench *bench = context;
    return !bench->is_full;
}

static bool on_submit(void *context, struct batch *batch) {
    struct bench *bench = context;
    if (bench->is_ended) return false;
    assert_true(bench->submitted_count < SUBMITTED_MAX);
    bench->submitted[bench->submitted_count++] = batch;
    return true;
}

static void begin(struct bench *bench, const char *uri) {
    static const struct roster_account accounts[] = {{.id = "111111111111"}};
    struct fault fault = {0};
    *bench = (struct bench){.time_ms = 1700000000000};
    bench->arena = arena_create(16 << 20);
    bench->clock = (struct clock){bench_time, bench_time, bench};
    assert_true(roster_create(accounts, 1, ROSTER_UNKNOWN_DEFAULT, &bench->roster, &fault));
    roster_live_init(&bench->live, bench->roster);
    bench->settings = (struct intake_settings){
        .organization_id = "o-abc",
        .epoch = {1, 2, 3},
        .heartbeat_ms = HEARTBEAT_MS,
        .future_max_s = 86400,
        .share_size = SHARE_SIZE,
        .roster = &bench->live,
        .clock = &bench->clock,
        .pool = batch_pool_create(),
    };
    bench->link = (struct intake_link){on_send, on_resume, on_close, on_has_room, on_submit, bench};
    assert_true(
        intake_create(&bench->settings, &bench->link, span_text(uri), &bench->intake, &fault));
}

// Lets what was sent be on its way.
static void flush(struct bench *bench) {
    for (uint32_t flushed = 0; flushed < bench->sent_count; flushed++) intake_sent(bench->intake);
}

static void finish(struct bench *bench) {
    intake_closed(bench->intake);
    for (uint32_t index = 0; index < bench->submitted_count; index++) {
        struct batch *batch = bench->submitted[index];
        fault_set(&batch->fault, FAULT_RETRY, "the end");
        intake_report(bench->intake, batch);
    }
    assert_true(intake_is_idle(bench->intake));
    intake_destroy(bench->intake);
    batch_pool_destroy(bench->settings.pool);
    roster_destroy(bench->roster);
    arena_destroy(bench->arena);
}

// Answers the oldest submitted batch as append would. durable: the number it made durable.
static void answer(struct bench *bench, uint64_t durable, bool is_throttled) {
    assert_true(bench->submitted_count > 0);
    struct batch *batch = bench->submitted[0];
    bench->submitted_count--;
    memmove(bench->submitted, bench->submitted + 1,
            bench->submitted_count * sizeof bench->submitted[0]);
    if (batch->kind == BATCH_HELLO) {
        batch->session = 77;
        batch->slot = 3;
    } else {
        assert_int_equal(batch->session, 77);
        assert_int_equal(batch->slot, 3);
        memcpy(batch->durable_chain, batch->chain, TRAIL_CHAIN_SIZE);
    }
    batch->durable_seq = durable;
    batch->is_throttled = is_throttled;
    intake_report(bench->intake, batch);
}

static bool say_hello(struct bench *bench) {
    return intake_message(bench->intake, test_hello(bench->arena, 9));
}

// Hello, and append's answer that so much is durable.
static void open_stream(struct bench *bench, uint64_t durable) {
    assert_true(say_hello(bench));
    answer(bench, durable, false);
    assert_int_equal(bench->sent_count, 1);
    assert_int_equal(bench->sent[0]->body_case, ORGTRAIL__V1__COLLECTOR_MESSAGE__BODY_WELCOME);
    bench->sent_count = 0;
    intake_sent(bench->intake);
}

// Records first to last, all alike, and moves the chain over them.
static bool say_events(struct bench *bench, uint64_t first, uint64_t last, const char *record,
                       uint8_t chain[TRAIL_CHAIN_SIZE]) {
    uint32_t count = (uint32_t)(last - first + 1);
    return intake_message(bench->intake, test_records(bench->arena, first, record, count, chain));
}

static bool say_gap(struct bench *bench, uint64_t first, uint64_t last, const uint8_t *chain) {
    return intake_message(bench->intake, test_gap(bench->arena, first, last, chain));
}

static bool say_heartbeat(struct bench *bench) {
    return intake_message(bench->intake, test_heartbeat(bench->arena));
}

static bool say_goodbye(struct bench *bench) {
    return intake_message(bench->intake, test_goodbye(bench->arena));
}

#define ONE "spiffe://o-abc/account/111111111111"

static void assert_closed(const struct bench *bench, enum fault_kind kind, const char *text) {
    assert_true(bench->is_closed);
    if (strstr(bench->closed_text, text) == NULL) fail_msg("%s", bench->closed_text);
    assert_int_equal(bench->closed_kind, kind);
}

static void test_welcome_says_where_to_resume(void **state) {
    (void)state;
    struct bench bench;
    begin(&bench, ONE);
    assert_true(say_hello(&bench));
    assert_int_equal(bench.submitted[0]->kind, BATCH_HELLO);
    assert_true(span_is(bench.submitted[0]->uri, ONE));
    memset(bench.submitted[0]->durable_chain, 5, TRAIL_CHAIN_SIZE);
    answer(&bench, 41, false);
    const Orgtrail__V1__Welcome *welcome = bench.sent[0]->welcome;
    assert_int_equal(welcome->resume_seq, 42);
    assert_int_equal(welcome->session, 77);
    assert_int_equal(welcome->chain.len, TRAIL_CHAIN_SIZE);
    assert_int_equal(welcome->chain.data[0], 5);
    assert_int_equal(welcome->heartbeat_ms, HEARTBEAT_MS);
    assert_int_equal(welcome->collector_epoch.data[2], 3);
    assert_string_equal(welcome->organization_id, "o-abc");
    finish(&bench);
}

static void test_welcome_to_an_unknown_stream_has_no_chain(void **state) {
    (void)state;
    struct bench bench;
    begin(&bench, ONE);
    assert_true(say_hello(&bench));
    answer(&bench, 0, false);
    assert_int_equal(bench.sent[0]->welcome->resume_seq, 1);
    assert_int_equal(bench.sent[0]->welcome->chain.len, 0);
    finish(&bench);
}

static void test_batches_are_numbered_and_acked_once(void **state) {
    (void)state;
    struct bench bench;
    uint8_t chain[TRAIL_CHAIN_SIZE] = {0};
    begin(&bench, ONE);
    open_stream(&bench, 0);
    assert_true(say_events(&bench, 1, 3, RECORD, chain));
    assert_true(say_events(&bench, 4, 4, RECORD, chain));
    assert_int_equal(bench.submitted_count, 2);
    const struct batch *batch = bench.submitted[0];
    assert_int_equal(batch->first_seq, 1);
    assert_int_equal(batch->last_seq, 3);
    assert_int_equal(batch->events_count, 3);
    assert_int_equal(batch->events[0].reason, ADMIT_GOOD);
    assert_true(span_is(batch->events[2].text, RECORD));
    assert_true(span_is(batch->events[2].account, "111111111111"));
    assert_memory_equal(bench.submitted[1]->chain, chain, sizeof chain);
    assert_int_equal(bench.sent_count, 0);

    // Two answers while the wire is taken make one more Ack, with the later number.
    answer(&bench, 3, false);
    answer(&bench, 4, false);
    assert_int_equal(bench.sent_count, 1);
    assert_int_equal(bench.sent[0]->ack->durable_seq, 3);
    intake_sent(bench.intake);
    assert_int_equal(bench.sent_count, 2);
    assert_int_equal(bench.sent[1]->ack->durable_seq, 4);
    assert_memory_equal(bench.sent[1]->ack->chain.data, chain, sizeof chain);
    intake_sent(bench.intake);
    assert_int_equal(bench.sent_count, 2);
    finish(&bench);
}

static void test_overlap_is_dropped(void **state) {
    (void)state;
    struct bench bench;
    uint8_t chain[TRAIL_CHAIN_SIZE] = {0};
    begin(&bench, ONE);
    open_stream(&bench, 0);
    assert_true(say_events(&bench, 1, 3, RECORD, chain));
    memset(chain, 0, sizeof chain);
    assert_true(say_events(&bench, 1, 5, RECORD, chain));
    assert_int_equal(bench.submitted_count, 2);
    assert_int_equal(bench.submitted[1]->first_seq, 4);
    assert_int_equal(bench.submitted[1]->last_seq, 5);
    assert_int_equal(bench.submitted[1]->events_count, 2);

    // All of it known: nothing for append, an Ack for the agent.
    memset(chain, 0, sizeof chain);
    assert_true(say_events(&bench, 1, 5, RECORD, chain));
    assert_int_equal(bench.submitted_count, 2);
    assert_int_equal(bench.sent_count, 1);
    assert_int_equal(bench.sent[0]->ack->durable_seq, 0);
    assert_false(bench.is_closed);
    finish(&bench);
}

static void test_hole_ends_the_stream(void **state) {
    (void)state;
    struct bench bench;
    uint8_t chain[TRAIL_CHAIN_SIZE] = {0};
    begin(&bench, ONE);
    open_stream(&bench, 10);
    assert_false(say_events(&bench, 12, 13, RECORD, chain));
    assert_closed(&bench, FAULT_INPUT, "begins with 12, expected 11");
    assert_int_equal(bench.submitted_count, 0);
    finish(&bench);
}

static void test_wrong_chain_ends_the_stream(void **state) {
    (void)state;
    struct bench bench;
    uint8_t chain[TRAIL_CHAIN_SIZE] = {0};
    begin(&bench, ONE);
    open_stream(&bench, 10);
    chain[0] = 1;
    assert_false(say_events(&bench, 11, 11, RECORD, chain));
    assert_closed(&bench, FAULT_CORRUPT, "the chain before number 11 differs");
    finish(&bench);

    // Also when the difference lies in what was received before.
    memset(chain, 0, sizeof chain);
    begin(&bench, ONE);
    open_stream(&bench, 0);
    assert_true(say_events(&bench, 1, 2, RECORD, chain));
    memset(chain, 0, sizeof chain);
    assert_false(say_events(&bench, 1, 3, "{\"other\":1}", chain));
    assert_closed(&bench, FAULT_CORRUPT, "the chain before number 3 differs");
    finish(&bench);
}

static void test_first_chain_of_a_new_stream_is_taken(void **state) {
    (void)state;
    struct bench bench;
    uint8_t chain[TRAIL_CHAIN_SIZE] = {42};
    begin(&bench, ONE);
    open_stream(&bench, 0);
    assert_true(say_events(&bench, 1, 1, RECORD, chain));
    assert_true(say_events(&bench, 2, 2, RECORD, chain));
    assert_int_equal(bench.submitted_count, 2);
    finish(&bench);
}

static void test_gap_moves_the_numbers(void **state) {
    (void)state;
    struct bench bench;
    uint8_t chain[TRAIL_CHAIN_SIZE] = {0};
    uint8_t after[TRAIL_CHAIN_SIZE] = {7};
    begin(&bench, ONE);
    open_stream(&bench, 0);
    assert_true(say_gap(&bench, 1, 9, after));
    assert_int_equal(bench.submitted[0]->kind, BATCH_GAP);
    assert_int_equal(bench.submitted[0]->last_seq, 9);
    assert_true(span_is(bench.submitted[0]->gap_reason, "spool_corrupt"));
    // Again: nothing but an Ack.
    assert_true(say_gap(&bench, 1, 9, after));
    assert_int_equal(bench.submitted_count, 1);
    assert_true(say_events(&bench, 10, 10, RECORD, after));
    assert_int_equal(bench.submitted_count, 2);
    assert_false(say_gap(&bench, 12, 13, chain));
    assert_closed(&bench, FAULT_INPUT, "begins with 12, expected 11");
    finish(&bench);
}

static void test_refused_records_say_where(void **state) {
    (void)state;
    struct bench bench;
    uint8_t chain[TRAIL_CHAIN_SIZE] = {0};
    begin(&bench, ONE);
    open_stream(&bench, 0);
    assert_true(say_events(&bench, 1, 1, "{\"eventTime\":}", chain));
    const struct batch_event *event = &bench.submitted[0]->events[0];
    assert_int_equal(event->reason, ADMIT_INVALID_JSON);
    char text[512];
    (void)snprintf(text, sizeof text, "%.*s", SPAN_PRINT(event->detail));
    assert_non_null(strstr(text, "at byte 13"));
    assert_non_null(strstr(text, "number 1, batch 2 of session 77"));
    finish(&bench);
}

static void test_limits_of_a_batch(void **state) {
    (void)state;
    static char large[300 * 1024];
    memset(large, 'x', sizeof large - 1);
    struct bench bench;
    uint8_t chain[TRAIL_CHAIN_SIZE] = {0};
    begin(&bench, ONE);
    bench.settings.share_size = 1 << 30;
    open_stream(&bench, 0);
    assert_true(say_events(&bench, 1, 500, RECORD, chain));
    assert_false(say_events(&bench, 501, 1001, RECORD, chain));
    assert_closed(&bench, FAULT_INPUT, "501 events, at most 500");
    finish(&bench);

    begin(&bench, ONE);
    open_stream(&bench, 0);
    assert_false(say_events(&bench, 1, 2, large, chain));
    assert_closed(&bench, FAULT_INPUT, "at most 524288");
    finish(&bench);

    // One record alone may be larger than a batch; too large a record is quarantined.
    static char huge[RECORD_SIZE_MAX + 2];
    memset(huge, 'x', sizeof huge - 1);
    begin(&bench, ONE);
    open_stream(&bench, 0);
    assert_false(say_events(&bench, 1, 1, huge, chain));  // share_size is small here
    assert_false(bench.is_closed);
    assert_int_equal(bench.submitted[0]->events[0].reason, ADMIT_TOO_LARGE);
    finish(&bench);
}

static void test_garbage_and_disorder(void **state) {
    (void)state;
    struct bench bench;
    uint8_t chain[TRAIL_CHAIN_SIZE] = {0};
    begin(&bench, ONE);
    assert_false(intake_message(bench.intake, SPAN_LITERAL("\xff\xff\xff garbage")));
    assert_closed(&bench, FAULT_INPUT, "11 bytes that cannot be decoded");
    finish(&bench);

    begin(&bench, ONE);
    assert_false(say_events(&bench, 1, 1, RECORD, chain));
    assert_closed(&bench, FAULT_INPUT, "the first message is no Hello");
    finish(&bench);

    begin(&bench, ONE);
    assert_true(say_hello(&bench));
    assert_false(say_heartbeat(&bench));
    assert_closed(&bench, FAULT_INPUT, "before Welcome");
    finish(&bench);

    begin(&bench, ONE);
    open_stream(&bench, 0);
    assert_false(say_hello(&bench));
    assert_closed(&bench, FAULT_INPUT, "a second Hello");
    finish(&bench);

    // An empty message is one of a later version: ignored.
    begin(&bench, ONE);
    open_stream(&bench, 0);
    assert_true(intake_message(bench.intake, SPAN_LITERAL("")));
    assert_false(bench.is_closed);
    finish(&bench);
}

// A number near the end of all numbers would leave its stream none to go on with.
static void test_numbers_have_an_end(void **state) {
    (void)state;
    const uint8_t after[TRAIL_CHAIN_SIZE] = {1};
    uint8_t chain[TRAIL_CHAIN_SIZE] = {0};
    struct bench bench;
    begin(&bench, ONE);
    open_stream(&bench, 0);
    assert_false(say_gap(&bench, 1, BATCH_NUMBER_MAX + 1, after));
    assert_closed(&bench, FAULT_INPUT, "a gap from number 1 to 281474976710657");
    finish(&bench);

    begin(&bench, ONE);
    open_stream(&bench, BATCH_NUMBER_MAX);
    assert_false(say_events(&bench, BATCH_NUMBER_MAX + 1, BATCH_NUMBER_MAX + 1, RECORD, chain));
    assert_closed(&bench, FAULT_INPUT, "begins with number 281474976710657");
    finish(&bench);

    begin(&bench, ONE);
    open_stream(&bench, 0);
    assert_true(say_gap(&bench, 1, BATCH_NUMBER_MAX, after));
    finish(&bench);
}

static void test_share_pauses_and_resumes(void **state) {
    (void)state;
    struct bench bench;
    uint8_t chain[TRAIL_CHAIN_SIZE] = {0};
    begin(&bench, ONE);
    bench.settings.share_size = 2 * BATCH_WEIGHT_MIN;
    open_stream(&bench, 0);
    assert_false(say_events(&bench, 1, 100, RECORD, chain));
    // While it is not read, its silence is not its fault.
    bench.time_ms += 10 * HEARTBEAT_MS;
    intake_tick(bench.intake);
    assert_false(bench.is_closed);
    answer(&bench, 100, false);
    assert_int_equal(bench.resumes, 1);
    intake_tick(bench.intake);
    assert_false(bench.is_closed);
    assert_true(say_events(&bench, 101, 101, RECORD, chain));
    finish(&bench);
}

// More than a share is what the others leave free.
static void test_more_than_a_share_while_there_is_room(void **state) {
    (void)state;
    struct bench bench;
    uint8_t chain[TRAIL_CHAIN_SIZE] = {0};
    begin(&bench, ONE);
    bench.settings.share_size = 2 * BATCH_WEIGHT_MIN;
    bench.settings.spare_size = SHARE_SIZE;
    open_stream(&bench, 0);
    uint64_t number = 1;
    while (say_events(&bench, number, number, RECORD, chain)) number++;
    assert_true(batch_pool_weight(bench.settings.pool) >= SHARE_SIZE);
    assert_true(number > 3);
    answer(&bench, 1, false);
    assert_int_equal(bench.resumes, 1);
    // Others have it all: the share is left.
    struct batch *other = batch_take(bench.settings.pool, SHARE_SIZE);
    batch_weigh(bench.settings.pool, other);
    for (uint64_t at = 2; at <= number; at++) answer(&bench, at, false);
    number++;
    assert_true(say_events(&bench, number, number, "{}", chain));
    while (say_events(&bench, number + 1, number + 1, "{}", chain)) number++;
    assert_in_range(bench.submitted_count, 2, 4);
    batch_give(bench.settings.pool, other);
    finish(&bench);
}

// What a small batch holds beside its message counts too.
static void test_small_batches_use_up_the_share(void **state) {
    (void)state;
    struct bench bench;
    uint8_t chain[TRAIL_CHAIN_SIZE] = {0};
    begin(&bench, ONE);
    open_stream(&bench, 0);
    uint64_t number = 1;
    while (say_events(&bench, number, number, "{}", chain)) number++;
    assert_in_range(number, SHARE_SIZE / (3 * BATCH_WEIGHT_MIN), SHARE_SIZE / BATCH_WEIGHT_MIN);
    assert_false(bench.is_closed);
    answer(&bench, 1, false);
    assert_int_equal(bench.resumes, 1);
    finish(&bench);
}

// A message that comes when there is no room waits unread.
static void test_full_queue_is_tried_again(void **state) {
    (void)state;
    struct bench bench;
    uint8_t chain[TRAIL_CHAIN_SIZE] = {0};
    begin(&bench, ONE);
    open_stream(&bench, 0);
    bench.is_full = true;
    assert_false(say_events(&bench, 1, 2, RECORD, chain));
    assert_int_equal(batch_pool_weight(bench.settings.pool), 0);
    intake_retry(bench.intake);
    assert_int_equal(bench.resumes, 0);
    assert_int_equal(bench.submitted_count, 0);
    bench.is_full = false;
    intake_retry(bench.intake);
    assert_int_equal(bench.resumes, 1);
    assert_int_equal(bench.submitted_count, 1);
    assert_true(say_events(&bench, 3, 3, RECORD, chain));
    bench.is_full = true;
    assert_false(say_events(&bench, 4, 4, RECORD, chain));
    finish(&bench);  // what waited was never promised
}

// Who could send a message only to have it wait is not read.
static void test_no_room_pauses_reading(void **state) {
    (void)state;
    struct bench bench;
    uint8_t chain[TRAIL_CHAIN_SIZE] = {0};
    begin(&bench, ONE);
    open_stream(&bench, 0);
    assert_true(say_events(&bench, 1, 1, RECORD, chain));
    answer(&bench, 1, false);
    flush(&bench);
    bench.is_full = true;
    assert_false(say_heartbeat(&bench));
    bench.time_ms += 10 * HEARTBEAT_MS;
    intake_tick(bench.intake);
    assert_false(bench.is_closed);
    bench.is_full = false;
    intake_retry(bench.intake);
    assert_int_equal(bench.resumes, 1);
    finish(&bench);
}

static void test_ended_queue_ends_the_stream(void **state) {
    (void)state;
    struct bench bench;
    uint8_t chain[TRAIL_CHAIN_SIZE] = {0};
    begin(&bench, ONE);
    open_stream(&bench, 0);
    bench.is_ended = true;
    assert_false(say_events(&bench, 1, 2, RECORD, chain));
    assert_closed(&bench, FAULT_RETRY, "the collector is stopping");
    assert_int_equal(batch_pool_weight(bench.settings.pool), 0);
    finish(&bench);
}

static uint32_t welcome_batch_size(uint32_t known, uint32_t open, uint32_t *unacked) {
    struct bench bench;
    atomic_uint streams;
    atomic_init(&streams, open);
    begin(&bench, ONE);
    bench.settings.arrive_size = 64 << 20;
    bench.settings.agents_count = known;
    bench.settings.streams_count = &streams;
    assert_true(say_hello(&bench));
    answer(&bench, 0, false);
    uint32_t size = bench.sent[0]->welcome->max_batch_bytes;
    *unacked = bench.sent[0]->welcome->max_unacked_bytes;
    finish(&bench);
    return size;
}

// Many agents are told to send small batches, so that one of each fits into memory.
static void test_batches_are_smaller_where_agents_are_many(void **state) {
    (void)state;
    uint32_t unacked;
    assert_int_equal(welcome_batch_size(0, 1, &unacked), BATCH_BYTES_MAX);
    assert_int_equal(unacked, INTAKE_UNACKED_SIZE_MAX);
    assert_int_equal(welcome_batch_size(128, 1, &unacked), BATCH_BYTES_MAX);
    assert_int_equal(welcome_batch_size(0, 512, &unacked), 128 * 1024);
    assert_int_equal(unacked, 512 * 1024);
    // Right after a restart as well, when few are back.
    assert_int_equal(welcome_batch_size(512, 1, &unacked), 128 * 1024);
    assert_int_equal(welcome_batch_size(100000, 1, &unacked), INTAKE_BATCH_SIZE_MIN);
}

static void test_full_quarantine_throttles(void **state) {
    (void)state;
    struct bench bench;
    uint8_t chain[TRAIL_CHAIN_SIZE] = {0};
    begin(&bench, ONE);
    open_stream(&bench, 0);
    assert_true(say_events(&bench, 1, 1, "{", chain));
    answer(&bench, 1, true);
    assert_int_equal(bench.sent[0]->body_case, ORGTRAIL__V1__COLLECTOR_MESSAGE__BODY_THROTTLE);
    assert_int_equal(bench.sent[0]->throttle->pause_ms, INTAKE_THROTTLE_MS);
    flush(&bench);
    assert_false(say_events(&bench, 2, 2, "{", chain));
    assert_int_equal(bench.submitted_count, 1);
    answer(&bench, 2, true);
    assert_int_equal(bench.resumes, 0);
    flush(&bench);
    uint32_t before = bench.sent_count;
    intake_unthrottled(bench.intake);
    assert_int_equal(bench.resumes, 1);
    assert_int_equal(bench.sent[before]->throttle->pause_ms, 0);
    finish(&bench);
}

static void test_silence_and_own_heartbeat(void **state) {
    (void)state;
    struct bench bench;
    begin(&bench, ONE);
    open_stream(&bench, 5);
    bench.time_ms += HEARTBEAT_MS / 2;
    intake_tick(bench.intake);
    assert_int_equal(bench.sent_count, 0);
    bench.time_ms += HEARTBEAT_MS / 2;
    intake_tick(bench.intake);
    assert_int_equal(bench.sent_count, 1);
    assert_int_equal(bench.sent[0]->ack->durable_seq, 5);
    flush(&bench);
    assert_true(say_heartbeat(&bench));
    bench.time_ms += 3 * HEARTBEAT_MS - 1;
    intake_tick(bench.intake);
    assert_false(bench.is_closed);
    bench.time_ms += 1;
    intake_tick(bench.intake);
    assert_closed(&bench, FAULT_RETRY, "three heartbeats");
    finish(&bench);

    begin(&bench, ONE);
    bench.time_ms += INTAKE_HELLO_MS;
    intake_tick(bench.intake);
    assert_closed(&bench, FAULT_INPUT, "no Hello");
    finish(&bench);
}

static void test_silent_agent_is_seen(void **state) {
    (void)state;
    struct bench bench;
    begin(&bench, ONE);
    open_stream(&bench, 5);
    assert_true(say_heartbeat(&bench));
    assert_int_equal(bench.submitted_count, 0);
    bench.time_ms += INTAKE_SEEN_MS;
    assert_true(say_heartbeat(&bench));
    assert_int_equal(bench.submitted_count, 1);
    assert_int_equal(bench.submitted[0]->kind, BATCH_SEEN);
    assert_true(say_heartbeat(&bench));
    assert_int_equal(bench.submitted_count, 1);
    finish(&bench);
}

static void test_superseded_ends(void **state) {
    (void)state;
    struct bench bench;
    uint8_t chain[TRAIL_CHAIN_SIZE] = {0};
    begin(&bench, ONE);
    open_stream(&bench, 0);
    intake_superseded(bench.intake);
    assert_closed(&bench, FAULT_RETRY, "a newer stream");
    assert_false(say_events(&bench, 1, 1, RECORD, chain));
    assert_int_equal(bench.submitted_count, 0);
    finish(&bench);
}

static void test_refused_hello_ends(void **state) {
    (void)state;
    struct bench bench;
    begin(&bench, ONE);
    assert_true(say_hello(&bench));
    fault_set(&bench.submitted[0]->fault, FAULT_FULL, "the disk is full");
    answer(&bench, 0, false);
    assert_closed(&bench, FAULT_FULL, "the disk is full");
    assert_int_equal(bench.sent_count, 0);
    finish(&bench);
}

static void test_drain_ends_after_the_last_ack(void **state) {
    (void)state;
    struct bench bench;
    uint8_t chain[TRAIL_CHAIN_SIZE] = {0};
    begin(&bench, ONE);
    open_stream(&bench, 0);
    assert_true(say_events(&bench, 1, 1, RECORD, chain));
    intake_drain(bench.intake);
    assert_int_equal(bench.sent[0]->body_case, ORGTRAIL__V1__COLLECTOR_MESSAGE__BODY_DRAIN);
    intake_sent(bench.intake);
    assert_false(bench.is_closed);
    answer(&bench, 1, false);
    assert_int_equal(bench.sent[1]->ack->durable_seq, 1);
    assert_false(bench.is_closed);
    intake_sent(bench.intake);
    assert_closed(&bench, FAULT_NONE, "");
    finish(&bench);
}

static void test_goodbye_ends_after_the_last_ack(void **state) {
    (void)state;
    struct bench bench;
    uint8_t chain[TRAIL_CHAIN_SIZE] = {0};
    begin(&bench, ONE);
    open_stream(&bench, 0);
    assert_true(say_events(&bench, 1, 1, RECORD, chain));
    assert_true(say_goodbye(&bench));
    assert_false(bench.is_closed);
    answer(&bench, 1, false);
    assert_int_equal(bench.sent[0]->ack->durable_seq, 1);
    intake_sent(bench.intake);
    assert_closed(&bench, FAULT_NONE, "");
    finish(&bench);
}

static void test_foreign_certificates_are_refused(void **state) {
    (void)state;
    struct bench bench;
    struct fault fault = {0};
    struct intake *intake = NULL;
    begin(&bench, ONE);
    assert_false(intake_create(&bench.settings, &bench.link,
                               SPAN_LITERAL("spiffe://o-xyz/account/111111111111"), &intake,
                               &fault));
    assert_int_equal(fault.kind, FAULT_DENIED);
    assert_null(intake);
    finish(&bench);
}

int main(void) {
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(test_welcome_says_where_to_resume),
        cmocka_unit_test(test_welcome_to_an_unknown_stream_has_no_chain),
        cmocka_unit_test(test_batches_are_numbered_and_acked_once),
        cmocka_unit_test(test_overlap_is_dropped),
        cmocka_unit_test(test_hole_ends_the_stream),
        cmocka_unit_test(test_wrong_chain_ends_the_stream),
        cmocka_unit_test(test_first_chain_of_a_new_stream_is_taken),
        cmocka_unit_test(test_gap_moves_the_numbers),
        cmocka_unit_test(test_refused_records_say_where),
        cmocka_unit_test(test_limits_of_a_batch),
        cmocka_unit_test(test_garbage_and_disorder),
        cmocka_unit_test(test_numbers_have_an_end),
        cmocka_unit_test(test_share_pauses_and_resumes),
        cmocka_unit_test(test_more_than_a_share_while_there_is_room),
        cmocka_unit_test(test_small_batches_use_up_the_share),
        cmocka_unit_test(test_full_queue_is_tried_again),
        cmocka_unit_test(test_no_room_pauses_reading),
        cmocka_unit_test(test_ended_queue_ends_the_stream),
        cmocka_unit_test(test_batches_are_smaller_where_agents_are_many),
        cmocka_unit_test(test_full_quarantine_throttles),
        cmocka_unit_test(test_silence_and_own_heartbeat),
        cmocka_unit_test(test_silent_agent_is_seen),
        cmocka_unit_test(test_superseded_ends),
        cmocka_unit_test(test_refused_hello_ends),
        cmocka_unit_test(test_drain_ends_after_the_last_ack),
        cmocka_unit_test(test_goodbye_ends_after_the_last_ack),
        cmocka_unit_test(test_foreign_certificates_are_refused),
    };
    return cases_run("collector/intake", tests, sizeof tests / sizeof tests[0]);
}
