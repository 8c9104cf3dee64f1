#include "agent/uplink.h"

#include <inttypes.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#include "agent/fake_files.h"
#include "proto/orgtrail.pb-c.h"
#include "tests/kit/cases.h"

// An uplink on fake files, a clock that only moves when told, and a collector played by hand.
// One file because every case plays that collector.
struct bench {
    struct fake_files *fake;
    uint64_t random_state;
    struct random random;
    int64_t now_ms;
    struct clock clock;
    uint64_t size_max;
    struct spool *spool;
    struct uplink *uplink;
    const char *organization;
    const char *collector;  // the organization a Welcome tells; NULL: o-good
    int64_t wait_ms;

    uint32_t connects;
    uint32_t closes;
    struct fault closed;  // what the link was closed with last
    bool refuses_send;
    Orgtrail__V1__AgentMessage *message;  // what was sent last
    size_t message_size;
    uint32_t messages;
    uint64_t appended;
    uint32_t rewinds;
    int64_t rewound_to_ms;
    enum fault_kind rewind_fails;
};

static int64_t now_of(void *context) {
    const struct bench *bench = context;
    return bench->now_ms;
}

static void link_connect(void *context) {
    struct bench *bench = context;
    bench->connects++;
}

static bool link_send(void *context, struct span message) {
    struct bench *bench = context;
    if (bench->refuses_send) return false;
    if (bench->message != NULL) {
        orgtrail__v1__agent_message__free_unpacked(bench->message, NULL);
    }
    bench->message = orgtrail__v1__agent_message__unpack(NULL, message.size, message.bytes);
    assert_non_null(bench->message);
    bench->message_size = message.size;
    bench->messages++;
    return true;
}

static void link_close(void *context, enum fault_kind kind, const char *text) {
    struct bench *bench = context;
    bench->closes++;
    bench->closed.kind = kind;
    snprintf(bench->closed.text, sizeof bench->closed.text, "%s", text);
}

static bool on_rewind(void *context, int64_t backup_time_ms, struct fault *fault) {
    struct bench *bench = context;
    if (bench->rewind_fails != FAULT_NONE) {
        return fault_set(fault, bench->rewind_fails, "told to fail");
    }
    bench->rewinds++;
    bench->rewound_to_ms = backup_time_ms;
    return true;
}

static void on_report(void *context, struct uplink_report *report) {
    (void)context;
    report->rss_size = 12345;
    report->sources_count = 1;
    report->sources[0].source = 1;
    report->sources[0].status.state = SOURCE_STATE_DEGRADED;
    report->sources[0].status.events_read = 77;
    snprintf(report->sources[0].status.last_error, SOURCE_TEXT_SIZE, "cannot read");
}

static void open_bench(struct bench *bench) {
    static const struct spool_source sources[] = {{"one", "directory"}, {"two", "tail"}};
    struct spool_options options = {
        .files = fake_files_interface(bench->fake),
        .clock = &bench->clock,
        .random = &bench->random,
        .directory = "/spool",
        .size_max = bench->size_max,
        .sources = sources,
        .sources_count = 2,
    };
    struct fault fault;
    if (!spool_open(&options, &bench->spool, &fault)) fail_msg("open: %s", fault.text);
    bench->uplink = uplink_create(&(struct uplink_options){
        .spool = bench->spool,
        .clock = &bench->clock,
        .random = &bench->random,
        .link = {bench, link_connect, link_send, link_close},
        .organization = bench->organization,
        .agent_version = "1.0",
        .host_name = "host",
        .with_objects = true,
        .context = bench,
        .report = on_report,
        .rewind = on_rewind,
    });
    assert_non_null(bench->uplink);
}

static void begin(struct bench *bench) {
    *bench = (struct bench){
        .fake = fake_files_create(), .random_state = 5, .now_ms = 1000000, .size_max = 16 << 20};
    bench->random = random_seeded(&bench->random_state);
    bench->clock = (struct clock){now_of, now_of, bench};
    open_bench(bench);
}

static void close_bench(struct bench *bench) {
    uplink_destroy(bench->uplink);
    spool_close(bench->spool);
    if (bench->message != NULL) {
        orgtrail__v1__agent_message__free_unpacked(bench->message, NULL);
    }
    bench->message = NULL;
}

static void end(struct bench *bench) {
    close_bench(bench);
    fake_files_destroy(bench->fake);
}

static void append_sized(struct bench *bench, uint32_t count, size_t size) {
    char *record = malloc(size + 32);
    assert_non_null(record);
    struct fault fault;
    for (uint32_t index = 0; index < count; index++) {
        memset(record, 'x', size);
        int head = snprintf(record, 32, "{\"n\":%" PRIu64 "}", bench->appended + 1);
        record[head] = ' ';
        struct spool_item item = {
            .kind = (bench->appended + 1) % 7 == 0 ? SPOOL_NOTICE : SPOOL_RECORD,
            .source = (uint32_t)(bench->appended % 2),
            .record = span_of(record, size),
            .object = SPAN_LITERAL("folder/object"),
            .position = SPAN_LITERAL("position"),
        };
        uint64_t number;
        if (!spool_append(bench->spool, &item, &number, &fault)) fail_msg("%s", fault.text);
        bench->appended = number;
    }
    free(record);
    assert_true(spool_sync(bench->spool, &fault));
}

static void append(struct bench *bench, uint32_t count) {
    append_sized(bench, count, 100);
}

static void step(struct bench *bench) {
    struct fault fault;
    if (!uplink_step(bench->uplink, &bench->wait_ms, &fault)) fail_msg("%s", fault.text);
}

static enum uplink_state state_of(const struct bench *bench) {
    struct uplink_status status;
    uplink_describe(bench->uplink, &status);
    return status.state;
}

static struct uplink_status status_of(const struct bench *bench) {
    struct uplink_status status;
    uplink_describe(bench->uplink, &status);
    return status;
}

static struct spool_facts facts_of(const struct bench *bench) {
    struct spool_facts facts;
    spool_describe(bench->spool, &facts);
    return facts;
}

// Steps until something is sent; the last message is marked as on its way.
static const Orgtrail__V1__AgentMessage *next_message(struct bench *bench) {
    uint32_t before = bench->messages;
    for (uint32_t turn = 0; turn < 4 && bench->messages == before; turn++) step(bench);
    if (bench->messages == before) return NULL;
    assert_int_equal(bench->messages, before + 1);
    uplink_on_sent(bench->uplink);
    return bench->message;
}

static void receive(struct bench *bench, const Orgtrail__V1__CollectorMessage *message) {
    uint8_t bytes[1024];
    assert_true(orgtrail__v1__collector_message__get_packed_size(message) <= sizeof bytes);
    size_t size = orgtrail__v1__collector_message__pack(message, bytes);
    uplink_on_message(bench->uplink, span_of(bytes, size));
}

static void chain_at(struct bench *bench, uint64_t frame, uint8_t chain[SPOOL_CHAIN_SIZE]) {
    bool known;
    struct fault fault;
    assert_true(spool_chain_after(bench->spool, frame, &known, chain, &fault));
    assert_true(known);
}

// Sends a Welcome; chain NULL: none.
static void welcome(struct bench *bench, uint64_t resume, const uint8_t *chain) {
    Orgtrail__V1__Welcome body = ORGTRAIL__V1__WELCOME__INIT;
    body.protocol = 1;
    body.resume_seq = resume;
    body.collector_epoch = (ProtobufCBinaryData){5, (uint8_t *)(uintptr_t) "epoch"};
    body.heartbeat_ms = 10000;
    body.organization_id =
        (char *)(uintptr_t)(bench->collector == NULL ? "o-good" : bench->collector);
    body.backup_time_ms = 4711;
    uint8_t copy[SPOOL_CHAIN_SIZE];
    if (chain != NULL) {
        memcpy(copy, chain, sizeof copy);
        body.chain = (ProtobufCBinaryData){sizeof copy, copy};
    }
    Orgtrail__V1__CollectorMessage message = ORGTRAIL__V1__COLLECTOR_MESSAGE__INIT;
    message.body_case = ORGTRAIL__V1__COLLECTOR_MESSAGE__BODY_WELCOME;
    message.welcome = &body;
    receive(bench, &message);
}

static void ack(struct bench *bench, uint64_t durable) {
    Orgtrail__V1__Ack body = ORGTRAIL__V1__ACK__INIT;
    body.durable_seq = durable;
    body.duplicates = durable / 2;
    Orgtrail__V1__CollectorMessage message = ORGTRAIL__V1__COLLECTOR_MESSAGE__INIT;
    message.body_case = ORGTRAIL__V1__COLLECTOR_MESSAGE__BODY_ACK;
    message.ack = &body;
    receive(bench, &message);
}

// Connects and returns the Hello.
static const Orgtrail__V1__Hello *greet(struct bench *bench) {
    uint32_t connects = bench->connects;
    step(bench);
    assert_int_equal(bench->connects, connects + 1);
    uplink_on_connected(bench->uplink);
    uplink_on_sent(bench->uplink);
    assert_int_equal(bench->message->body_case, ORGTRAIL__V1__AGENT_MESSAGE__BODY_HELLO);
    return bench->message->hello;
}

// Takes a session to the point where batches flow: the first heartbeat is done with.
static void stream(struct bench *bench, uint64_t resume, const uint8_t *chain) {
    greet(bench);
    welcome(bench, resume, chain);
    const Orgtrail__V1__AgentMessage *message = next_message(bench);
    assert_non_null(message);
    assert_int_equal(message->body_case, ORGTRAIL__V1__AGENT_MESSAGE__BODY_HEARTBEAT);
    assert_int_equal(state_of(bench), UPLINK_STREAMING);
}

static void close_link(struct bench *bench) {
    struct fault fault;
    fault_set(&fault, FAULT_RETRY, "connection lost");
    uplink_on_closed(bench->uplink, &fault);
}

// The next message is a batch of these wire numbers; its records and chain are the spool's.
static void expect_batch(struct bench *bench, uint64_t first, uint64_t last) {
    const Orgtrail__V1__AgentMessage *message = next_message(bench);
    assert_non_null(message);
    assert_int_equal(message->body_case, ORGTRAIL__V1__AGENT_MESSAGE__BODY_BATCH);
    const Orgtrail__V1__EventBatch *batch = message->batch;
    assert_int_equal(batch->first_seq, first);
    assert_int_equal(batch->n_events, last - first + 1);
    uint64_t base = facts_of(bench).base;
    struct spool_reader *reader = spool_reader_create(bench->spool);
    spool_reader_seek(reader, base + first);
    for (size_t index = 0; index < batch->n_events; index++) {
        struct spool_frame frame;
        struct spool_gap gap;
        struct fault fault;
        assert_int_equal(spool_reader_next(reader, &frame, &gap, &fault), SPOOL_NEXT_FRAME);
        assert_int_equal(frame.number, base + first + index);
        if (index == 0) assert_memory_equal(batch->chain.data, frame.chain, SPOOL_CHAIN_SIZE);
        const Orgtrail__V1__Event *event = batch->events[index];
        assert_true(span_equal(span_of(event->record.data, event->record.len), frame.record));
        assert_int_equal(event->source, frame.source);
        assert_int_equal(event->kind, frame.kind);
        assert_string_equal(event->object, "folder/object");
    }
    assert_int_equal(batch->chain.len, SPOOL_CHAIN_SIZE);
    spool_reader_destroy(reader);
}

static void expect_gap(struct bench *bench, uint64_t first, uint64_t last, const char *reason) {
    const Orgtrail__V1__AgentMessage *message = next_message(bench);
    assert_non_null(message);
    assert_int_equal(message->body_case, ORGTRAIL__V1__AGENT_MESSAGE__BODY_GAP);
    assert_int_equal(message->gap->first_seq, first);
    assert_int_equal(message->gap->last_seq, last);
    assert_string_equal(message->gap->reason, reason);
    assert_int_equal(message->gap->chain.len, SPOOL_CHAIN_SIZE);
}

static void test_hello_and_first_batch(void **state) {
    (void)state;
    struct bench bench;
    begin(&bench);
    append(&bench, 3);
    const Orgtrail__V1__Hello *hello = greet(&bench);
    assert_int_equal(hello->protocol, 1);
    assert_int_equal(hello->first_seq, 1);
    assert_int_equal(hello->next_seq, 4);
    assert_int_equal(hello->acked_seq, 0);
    assert_int_equal(hello->stream_id.len, 16);
    assert_memory_equal(hello->stream_id.data, facts_of(&bench).stream_id, 16);
    assert_int_equal(hello->n_sources, 2);
    assert_string_equal(hello->sources[1]->name, "two");
    assert_string_equal(hello->sources[1]->kind, "tail");
    assert_string_equal(hello->host_name, "host");
    assert_null(next_message(&bench));
    welcome(&bench, 1, NULL);
    const Orgtrail__V1__AgentMessage *message = next_message(&bench);
    assert_int_equal(message->body_case, ORGTRAIL__V1__AGENT_MESSAGE__BODY_HEARTBEAT);
    assert_int_equal(message->heartbeat->spool_events, 3);
    assert_int_equal(message->heartbeat->rss_bytes, 12345);
    assert_int_equal(message->heartbeat->n_sources, 1);
    assert_string_equal(message->heartbeat->sources[0]->last_error, "cannot read");
    assert_int_equal(message->heartbeat->sources[0]->state,
                     ORGTRAIL__V1__SOURCE_STATUS__STATE__DEGRADED);
    expect_batch(&bench, 1, 3);
    // Something is under way: what comes now waits for more, or for the acknowledgement.
    append(&bench, 2);
    assert_null(next_message(&bench));
    ack(&bench, 3);
    assert_int_equal(facts_of(&bench).acknowledged, 3);
    assert_int_equal(status_of(&bench).duplicates, 1);
    expect_batch(&bench, 4, 5);
    ack(&bench, 5);
    assert_int_equal(status_of(&bench).unacknowledged_size, 0);
    assert_null(next_message(&bench));
    end(&bench);
}

static void test_full_batches_go_while_others_are_under_way(void **state) {
    (void)state;
    struct bench bench;
    begin(&bench);
    append(&bench, 1);
    stream(&bench, 1, NULL);
    expect_batch(&bench, 1, 1);
    append(&bench, 1201);
    expect_batch(&bench, 2, 501);
    expect_batch(&bench, 502, 1001);
    assert_null(next_message(&bench));
    ack(&bench, 501);
    assert_null(next_message(&bench));
    ack(&bench, 1001);
    expect_batch(&bench, 1002, 1202);
    end(&bench);
}

static void test_batches_are_limited_in_bytes(void **state) {
    (void)state;
    struct bench bench;
    begin(&bench);
    append_sized(&bench, 10, 100 * 1024);
    append_sized(&bench, 1, SPOOL_RECORD_SIZE_MAX);
    append_sized(&bench, 1, 100);
    stream(&bench, 1, NULL);
    expect_batch(&bench, 1, 5);
    assert_true(bench.message_size <= UPLINK_BATCH_SIZE_MAX + 64);
    expect_batch(&bench, 6, 10);
    expect_batch(&bench, 11, 11);
    assert_null(next_message(&bench));
    ack(&bench, 11);
    expect_batch(&bench, 12, 12);
    end(&bench);
}

static void test_unacknowledged_bytes_are_limited(void **state) {
    (void)state;
    struct bench bench;
    begin(&bench);
    append_sized(&bench, 100, 100 * 1024);
    stream(&bench, 1, NULL);
    uint64_t next = 1;
    for (; next <= 80; next += 5) expect_batch(&bench, next, next + 4);
    assert_true(status_of(&bench).unacknowledged_size <= UPLINK_UNACKNOWLEDGED_MAX);
    assert_null(next_message(&bench));
    ack(&bench, 5);
    expect_batch(&bench, 81, 85);
    assert_null(next_message(&bench));
    end(&bench);
}

static void test_resume_after_a_lost_connection(void **state) {
    (void)state;
    struct bench bench;
    begin(&bench);
    append(&bench, 1500);
    stream(&bench, 1, NULL);
    expect_batch(&bench, 1, 500);
    expect_batch(&bench, 501, 1000);
    ack(&bench, 500);
    close_link(&bench);
    assert_int_equal(state_of(&bench), UPLINK_WAITING);
    bench.now_ms += UPLINK_BACKOFF_MIN_MS;
    // The acknowledgement of 501 to 700 was lost, the collector has them.
    uint8_t chain[SPOOL_CHAIN_SIZE];
    chain_at(&bench, 700, chain);
    const Orgtrail__V1__Hello *hello = greet(&bench);
    assert_int_equal(hello->acked_seq, 500);
    assert_int_equal(hello->collector_epoch.len, 5);
    welcome(&bench, 701, chain);
    (void)next_message(&bench);
    assert_int_equal(facts_of(&bench).acknowledged, 700);
    expect_batch(&bench, 701, 1200);
    assert_null(next_message(&bench));
    ack(&bench, 1200);
    expect_batch(&bench, 1201, 1500);
    end(&bench);
}

static void test_backoff_grows_and_is_reset_by_use(void **state) {
    (void)state;
    struct bench bench;
    begin(&bench);
    int64_t least_ms = UPLINK_BACKOFF_MIN_MS / 2, most_ms = UPLINK_BACKOFF_MIN_MS;
    for (uint32_t attempt = 0; attempt < 10; attempt++) {
        step(&bench);
        assert_int_equal(bench.connects, attempt + 1);
        close_link(&bench);
        assert_int_equal(status_of(&bench).endings, attempt + 1);
        step(&bench);
        assert_true(bench.wait_ms >= least_ms);
        assert_true(bench.wait_ms <= most_ms);
        bench.now_ms += bench.wait_ms - 1;
        step(&bench);
        assert_int_equal(bench.connects, attempt + 1);
        bench.now_ms += 1;
        least_ms *= 2;
        most_ms *= 2;
        if (most_ms > UPLINK_BACKOFF_MAX_MS) most_ms = UPLINK_BACKOFF_MAX_MS;
        if (least_ms > UPLINK_BACKOFF_MAX_MS / 2) least_ms = UPLINK_BACKOFF_MAX_MS / 2;
    }
    append(&bench, 1);
    stream(&bench, 1, NULL);
    expect_batch(&bench, 1, 1);
    ack(&bench, 1);
    close_link(&bench);
    step(&bench);
    assert_true(bench.wait_ms <= UPLINK_BACKOFF_MIN_MS);
    end(&bench);
}

static void test_heartbeats_and_silence(void **state) {
    (void)state;
    struct bench bench;
    begin(&bench);
    stream(&bench, 1, NULL);
    assert_null(next_message(&bench));
    assert_int_equal(bench.wait_ms, 10000);
    for (uint32_t beat = 0; beat < 2; beat++) {
        bench.now_ms += 10000;
        const Orgtrail__V1__AgentMessage *message = next_message(&bench);
        assert_non_null(message);
        assert_int_equal(message->body_case, ORGTRAIL__V1__AGENT_MESSAGE__BODY_HEARTBEAT);
    }
    ack(&bench, 0);
    bench.now_ms += 30000;
    (void)next_message(&bench);
    assert_int_equal(state_of(&bench), UPLINK_STREAMING);
    bench.now_ms += 1;
    step(&bench);
    assert_int_equal(state_of(&bench), UPLINK_CLOSING);
    assert_non_null(strstr(bench.closed.text, "silent"));
    close_link(&bench);
    assert_non_null(strstr(status_of(&bench).last_fault.text, "silent"));
    end(&bench);
}

static void test_no_welcome_in_time(void **state) {
    (void)state;
    struct bench bench;
    begin(&bench);
    greet(&bench);
    bench.now_ms += UPLINK_GREETING_MS;
    step(&bench);
    assert_int_equal(state_of(&bench), UPLINK_CLOSING);
    close_link(&bench);
    bench.now_ms += UPLINK_BACKOFF_MIN_MS;
    // Connecting itself is limited too.
    step(&bench);
    assert_int_equal(state_of(&bench), UPLINK_CONNECTING);
    bench.now_ms += UPLINK_GREETING_MS;
    step(&bench);
    assert_int_equal(state_of(&bench), UPLINK_CLOSING);
    end(&bench);
}

static void expect_protocol_error(struct bench *bench) {
    step(bench);
    assert_int_equal(state_of(bench), UPLINK_CLOSING);
    assert_non_null(strstr(bench->closed.text, "protocol error"));
    close_link(bench);
    bench->now_ms += UPLINK_BACKOFF_MAX_MS;
}

static void test_protocol_errors_end_the_session(void **state) {
    (void)state;
    struct bench bench;
    begin(&bench);
    append(&bench, 3);
    greet(&bench);
    uplink_on_message(bench.uplink, SPAN_LITERAL("\xff\xff\xff"));
    expect_protocol_error(&bench);
    greet(&bench);
    ack(&bench, 0);
    expect_protocol_error(&bench);
    greet(&bench);
    welcome(&bench, 0, NULL);
    expect_protocol_error(&bench);
    greet(&bench);
    welcome(&bench, 2, NULL);
    expect_protocol_error(&bench);
    greet(&bench);
    welcome(&bench, 1, NULL);
    welcome(&bench, 1, NULL);
    expect_protocol_error(&bench);
    stream(&bench, 1, NULL);
    ack(&bench, 1);
    expect_protocol_error(&bench);
    stream(&bench, 1, NULL);
    expect_batch(&bench, 1, 3);
    ack(&bench, 4);
    expect_protocol_error(&bench);
    assert_int_equal(facts_of(&bench).acknowledged, 0);
    stream(&bench, 1, NULL);
    expect_batch(&bench, 1, 3);
    ack(&bench, UINT64_MAX);
    expect_protocol_error(&bench);
    end(&bench);
}

static void test_unknown_messages_are_ignored(void **state) {
    (void)state;
    struct bench bench;
    begin(&bench);
    append(&bench, 1);
    stream(&bench, 1, NULL);
    uplink_on_message(bench.uplink, SPAN_LITERAL("\x82\x01\x00"));
    expect_batch(&bench, 1, 1);
    end(&bench);
}

static void test_a_collector_of_another_organization(void **state) {
    (void)state;
    struct bench bench;
    begin(&bench);
    close_bench(&bench);
    bench.organization = "o-mine";
    open_bench(&bench);
    greet(&bench);
    welcome(&bench, 1, NULL);
    step(&bench);
    assert_int_equal(state_of(&bench), UPLINK_CLOSING);
    close_link(&bench);
    struct fault fault = status_of(&bench).last_fault;
    assert_int_equal(fault.kind, FAULT_DENIED);
    assert_non_null(strstr(fault.text, "o-good"));
    assert_non_null(strstr(fault.text, "o-mine"));
    end(&bench);
}

static void test_a_long_organization(void **state) {
    (void)state;
    static const char longest[] =
        "o-34567890123456789012345678901234567890123456789012345678901234";
    struct bench bench;
    begin(&bench);
    close_bench(&bench);
    bench.organization = longest;
    bench.collector = longest;
    assert_int_equal(strlen(longest), UPLINK_ORGANIZATION_SIZE_MAX);
    open_bench(&bench);
    stream(&bench, 1, NULL);
    close_link(&bench);
    bench.now_ms += UPLINK_BACKOFF_MIN_MS;
    // A longer one is not taken for its beginning.
    bench.collector = "o-34567890123456789012345678901234567890123456789012345678901234x";
    greet(&bench);
    welcome(&bench, 1, NULL);
    expect_protocol_error(&bench);
    end(&bench);
}

// A rolled-back spool: the collector has more than it.
static void test_a_collector_ahead_of_the_spool(void **state) {
    (void)state;
    struct bench bench;
    begin(&bench);
    append(&bench, 3);
    const Orgtrail__V1__Hello *hello = greet(&bench);
    uint8_t old_id[16], chain[SPOOL_CHAIN_SIZE] = {1};
    memcpy(old_id, hello->stream_id.data, 16);
    welcome(&bench, 9, chain);
    step(&bench);
    assert_int_equal(state_of(&bench), UPLINK_CLOSING);
    close_link(&bench);
    // At once, without a pause, with a new id and everything unacknowledged.
    hello = greet(&bench);
    assert_memory_not_equal(hello->stream_id.data, old_id, 16);
    assert_int_equal(hello->first_seq, 1);
    assert_int_equal(hello->next_seq, 4);
    assert_int_equal(status_of(&bench).restreams, 1);
    welcome(&bench, 1, NULL);
    (void)next_message(&bench);
    expect_batch(&bench, 1, 3);
    end(&bench);
}

// A cloned spool, or one rolled back that read on: same numbers, other events.
static void test_another_history_under_our_numbers(void **state) {
    (void)state;
    struct bench bench;
    begin(&bench);
    append(&bench, 10);
    stream(&bench, 1, NULL);
    expect_batch(&bench, 1, 10);
    ack(&bench, 10);
    append(&bench, 5);
    close_link(&bench);
    bench.now_ms += UPLINK_BACKOFF_MIN_MS;
    uint8_t chain[SPOOL_CHAIN_SIZE];
    chain_at(&bench, 12, chain);
    chain[0] ^= 1;
    greet(&bench);
    welcome(&bench, 13, chain);
    step(&bench);
    assert_int_equal(state_of(&bench), UPLINK_CLOSING);
    close_link(&bench);
    greet(&bench);
    welcome(&bench, 1, NULL);
    (void)next_message(&bench);
    expect_batch(&bench, 1, 15);
    // A collector that never agrees is not asked in a tight loop.
    close_link(&bench);
    bench.now_ms += UPLINK_BACKOFF_MAX_MS;
    for (uint32_t turn = 0; turn < 2; turn++) {
        greet(&bench);
        welcome(&bench, 1000, chain);
        step(&bench);
        close_link(&bench);
    }
    step(&bench);
    assert_true(bench.wait_ms > 0);
    end(&bench);
}

static void test_a_new_stream_begins_at_the_oldest_frame(void **state) {
    (void)state;
    struct bench bench;
    begin(&bench);
    close_bench(&bench);
    bench.size_max = 64 * 1024;
    open_bench(&bench);
    stream(&bench, 1, NULL);
    while (facts_of(&bench).first == 1) {
        uint64_t first = bench.appended + 1;
        append(&bench, 20);
        expect_batch(&bench, first, bench.appended);
        ack(&bench, bench.appended);
    }
    struct spool_facts before = facts_of(&bench);
    close_link(&bench);
    bench.now_ms += UPLINK_BACKOFF_MIN_MS;
    uint8_t chain[SPOOL_CHAIN_SIZE] = {9};
    greet(&bench);
    welcome(&bench, before.synced + 1, chain);
    step(&bench);
    close_link(&bench);
    const Orgtrail__V1__Hello *hello = greet(&bench);
    assert_int_equal(hello->first_seq, 1);
    assert_int_equal(hello->next_seq, before.synced - before.first + 2);
    welcome(&bench, 1, NULL);
    (void)next_message(&bench);
    uint64_t count = before.synced - before.first + 1;
    assert_true(count < 500);
    expect_batch(&bench, 1, count);
    ack(&bench, count);
    assert_int_equal(facts_of(&bench).acknowledged, before.synced);
    end(&bench);
}

static void test_a_number_older_than_the_spool_is_no_difference(void **state) {
    (void)state;
    struct bench bench;
    begin(&bench);
    close_bench(&bench);
    bench.size_max = 64 * 1024;
    open_bench(&bench);
    stream(&bench, 1, NULL);
    while (facts_of(&bench).first < 300) {
        uint64_t first = bench.appended + 1;
        append(&bench, 20);
        expect_batch(&bench, first, bench.appended);
        ack(&bench, bench.appended);
    }
    append(&bench, 3);
    struct spool_facts facts = facts_of(&bench);
    close_link(&bench);
    bench.now_ms += UPLINK_BACKOFF_MIN_MS;
    // The collector was restored to a time long before: a refill with a gap, no new stream.
    uint8_t chain[SPOOL_CHAIN_SIZE] = {9};
    greet(&bench);
    welcome(&bench, 100, chain);
    bench.rewind_fails = FAULT_FULL;
    struct fault fault;
    assert_false(uplink_step(bench.uplink, &bench.wait_ms, &fault));
    assert_int_equal(fault.kind, FAULT_FULL);
    bench.rewind_fails = FAULT_NONE;
    (void)next_message(&bench);
    assert_int_equal(bench.rewinds, 1);
    assert_int_equal(bench.rewound_to_ms, 4711);
    assert_int_equal(status_of(&bench).restreams, 0);
    assert_int_equal(status_of(&bench).refills, 1);
    assert_int_equal(facts_of(&bench).acknowledged, facts.first - 1);
    expect_gap(&bench, 100, facts.first - 1, "spool_overwritten");
    uint8_t expected[SPOOL_CHAIN_SIZE];
    chain_at(&bench, facts.first - 1, expected);
    assert_memory_equal(bench.message->gap->chain.data, expected, SPOOL_CHAIN_SIZE);
    ack(&bench, facts.first - 1);
    expect_batch(&bench, facts.first, facts.synced);
    end(&bench);
}

// Restored to a time before it knew this stream: what went under the stream before is lost to it,
// and no number tells.
static void test_a_restore_to_before_a_new_stream(void **state) {
    (void)state;
    struct bench bench;
    begin(&bench);
    close_bench(&bench);
    bench.size_max = 64 * 1024;
    open_bench(&bench);
    stream(&bench, 1, NULL);
    while (facts_of(&bench).first == 1) {
        uint64_t first = bench.appended + 1;
        append(&bench, 20);
        expect_batch(&bench, first, bench.appended);
        ack(&bench, bench.appended);
    }
    struct fault fault;
    assert_true(spool_restream(bench.spool, &fault));
    assert_true(facts_of(&bench).base > 0);
    close_link(&bench);
    bench.now_ms += UPLINK_BACKOFF_MIN_MS;
    // A collector that only never heard of the stream: nothing is lost.
    greet(&bench);
    welcome(&bench, 1, NULL);
    (void)next_message(&bench);
    assert_int_equal(bench.rewinds, 0);
    close_link(&bench);
    bench.now_ms += UPLINK_BACKOFF_MAX_MS;
    // The same after a restore.
    spool_set_epoch(bench.spool, SPAN_LITERAL("older"));
    greet(&bench);
    welcome(&bench, 1, NULL);
    (void)next_message(&bench);
    assert_int_equal(bench.rewinds, 1);
    assert_int_equal(status_of(&bench).refills, 1);
    // It also has acknowledged something of the new stream by now, and is restored once more.
    struct spool_facts facts = facts_of(&bench);
    expect_batch(&bench, 1, facts.synced - facts.base);
    ack(&bench, 3);
    close_link(&bench);
    bench.now_ms += UPLINK_BACKOFF_MAX_MS;
    greet(&bench);
    welcome(&bench, 1, NULL);
    (void)next_message(&bench);
    assert_int_equal(bench.rewinds, 2);
    assert_int_equal(facts_of(&bench).acknowledged, facts.base);
    expect_batch(&bench, 1, facts.synced - facts.base);
    end(&bench);
}

static void test_a_restored_collector_is_refilled(void **state) {
    (void)state;
    struct bench bench;
    begin(&bench);
    append(&bench, 20);
    stream(&bench, 1, NULL);
    expect_batch(&bench, 1, 20);
    ack(&bench, 20);
    close_link(&bench);
    bench.now_ms += UPLINK_BACKOFF_MIN_MS;
    uint8_t chain[SPOOL_CHAIN_SIZE];
    chain_at(&bench, 8, chain);
    greet(&bench);
    welcome(&bench, 9, chain);
    (void)next_message(&bench);
    assert_int_equal(facts_of(&bench).acknowledged, 8);
    // The spool has everything: nothing need be read again.
    assert_int_equal(bench.rewinds, 0);
    expect_batch(&bench, 9, 20);
    ack(&bench, 20);
    assert_int_equal(facts_of(&bench).acknowledged, 20);
    end(&bench);
}

static void test_damage_becomes_a_gap(void **state) {
    (void)state;
    struct bench bench;
    begin(&bench);
    append(&bench, 10);
    append(&bench, 5);
    uint64_t size, found = 0;
    uint8_t *bytes = fake_files_bytes(bench.fake, "/spool/00000000000000000001.segment", &size);
    for (uint64_t at = 0; at + 8 < size && found < 2; at++) {
        if (memcmp(bytes + at, "{\"n\":4} ", 8) == 0 || memcmp(bytes + at, "{\"n\":5} ", 8) == 0) {
            bytes[at] ^= 1;
            found++;
        }
    }
    assert_int_equal(found, 2);
    stream(&bench, 1, NULL);
    expect_batch(&bench, 1, 3);
    expect_gap(&bench, 4, 5, "spool_corrupt");
    ack(&bench, 5);
    assert_int_equal(facts_of(&bench).acknowledged, 5);
    expect_batch(&bench, 6, 15);
    end(&bench);
}

static void test_throttle_and_pause(void **state) {
    (void)state;
    struct bench bench;
    begin(&bench);
    append(&bench, 1);
    stream(&bench, 1, NULL);
    expect_batch(&bench, 1, 1);
    Orgtrail__V1__Throttle throttle = ORGTRAIL__V1__THROTTLE__INIT;
    throttle.pause_ms = 3000;
    Orgtrail__V1__CollectorMessage message = ORGTRAIL__V1__COLLECTOR_MESSAGE__INIT;
    message.body_case = ORGTRAIL__V1__COLLECTOR_MESSAGE__BODY_THROTTLE;
    message.throttle = &throttle;
    receive(&bench, &message);
    append(&bench, 1);
    ack(&bench, 1);
    assert_null(next_message(&bench));
    assert_int_equal(bench.wait_ms, 3000);
    bench.now_ms += 3000;
    expect_batch(&bench, 2, 2);
    end(&bench);
}

static void test_drain(void **state) {
    (void)state;
    struct bench bench;
    begin(&bench);
    append(&bench, 1);
    stream(&bench, 1, NULL);
    expect_batch(&bench, 1, 1);
    Orgtrail__V1__Drain drain = ORGTRAIL__V1__DRAIN__INIT;
    drain.reconnect_after_ms = 2000;
    drain.jitter_ms = 500;
    Orgtrail__V1__CollectorMessage message = ORGTRAIL__V1__COLLECTOR_MESSAGE__INIT;
    message.body_case = ORGTRAIL__V1__COLLECTOR_MESSAGE__BODY_DRAIN;
    message.drain = &drain;
    receive(&bench, &message);
    append(&bench, 1);
    step(&bench);
    assert_int_equal(state_of(&bench), UPLINK_STREAMING);
    ack(&bench, 1);
    step(&bench);
    assert_int_equal(state_of(&bench), UPLINK_CLOSING);
    assert_int_equal(facts_of(&bench).acknowledged, 1);
    close_link(&bench);
    step(&bench);
    assert_true(bench.wait_ms >= 2000);
    assert_true(bench.wait_ms <= 2500);
    end(&bench);
}

static void test_stop_says_goodbye(void **state) {
    (void)state;
    struct bench bench;
    begin(&bench);
    stream(&bench, 1, NULL);
    uplink_stop(bench.uplink, "removed", true);
    const Orgtrail__V1__AgentMessage *message = next_message(&bench);
    assert_non_null(message);
    assert_int_equal(message->body_case, ORGTRAIL__V1__AGENT_MESSAGE__BODY_GOODBYE);
    assert_true(message->goodbye->final);
    assert_string_equal(message->goodbye->reason, "removed");
    assert_false(uplink_is_stopped(bench.uplink));
    close_link(&bench);
    assert_true(uplink_is_stopped(bench.uplink));
    end(&bench);
}

static void test_reconnect_does_not_wait(void **state) {
    (void)state;
    struct bench bench;
    begin(&bench);
    stream(&bench, 1, NULL);
    uplink_reconnect(bench.uplink);
    assert_int_equal(state_of(&bench), UPLINK_CLOSING);
    close_link(&bench);
    uint32_t connects = bench.connects;
    step(&bench);
    assert_int_equal(bench.connects, connects + 1);
    end(&bench);
}

static void test_full_disk_while_taking_a_new_stream_id(void **state) {
    (void)state;
    struct bench bench;
    begin(&bench);
    append(&bench, 3);
    greet(&bench);
    uint8_t chain[SPOOL_CHAIN_SIZE] = {1};
    welcome(&bench, 9, chain);
    fake_files_fail(bench.fake, 3, FAULT_FULL);
    struct fault fault;
    assert_false(uplink_step(bench.uplink, &bench.wait_ms, &fault));
    assert_int_equal(fault.kind, FAULT_FULL);
    step(&bench);
    assert_int_equal(state_of(&bench), UPLINK_CLOSING);
    assert_int_equal(status_of(&bench).restreams, 1);
    end(&bench);
}

int main(void) {
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(test_hello_and_first_batch),
        cmocka_unit_test(test_full_batches_go_while_others_are_under_way),
        cmocka_unit_test(test_batches_are_limited_in_bytes),
        cmocka_unit_test(test_unacknowledged_bytes_are_limited),
        cmocka_unit_test(test_resume_after_a_lost_connection),
        cmocka_unit_test(test_backoff_grows_and_is_reset_by_use),
        cmocka_unit_test(test_heartbeats_and_silence),
        cmocka_unit_test(test_no_welcome_in_time),
        cmocka_unit_test(test_protocol_errors_end_the_session),
        cmocka_unit_test(test_unknown_messages_are_ignored),
        cmocka_unit_test(test_a_collector_of_another_organization),
        cmocka_unit_test(test_a_long_organization),
        cmocka_unit_test(test_a_collector_ahead_of_the_spool),
        cmocka_unit_test(test_another_history_under_our_numbers),
        cmocka_unit_test(test_a_new_stream_begins_at_the_oldest_frame),
        cmocka_unit_test(test_a_number_older_than_the_spool_is_no_difference),
        cmocka_unit_test(test_a_restore_to_before_a_new_stream),
        cmocka_unit_test(test_a_restored_collector_is_refilled),
        cmocka_unit_test(test_damage_becomes_a_gap),
        cmocka_unit_test(test_throttle_and_pause),
        cmocka_unit_test(test_drain),
        cmocka_unit_test(test_stop_says_goodbye),
        cmocka_unit_test(test_reconnect_does_not_wait),
        cmocka_unit_test(test_full_disk_while_taking_a_new_stream_id),
    };
    return cases_run("uplink_test", tests, sizeof tests / sizeof tests[0]);
}
