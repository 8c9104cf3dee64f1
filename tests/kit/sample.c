#include "tests/kit/sample.h"

#include <inttypes.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/wait.h>
#include <unistd.h>

#include "base/clock.h"
#include "base/random.h"
#include "storage/trail/trail.h"
#include "storage/trail/trail_followers.h"
#include "storage/trail/trail_retention.h"
#include "tests/kit/cases.h"

enum { ARENA_SIZE = 4 * 1024 * 1024 };

static const char *const accounts[] = {"111111111111", "222222222222", "333333333333"};
static const char *const regions[] = {"us-east-1", "eu-west-1", "ap-south-1", ""};
static const char *const names[] = {"AssumeRole", "PutObject", "GetObject", "ConsoleLogin",
                                    "DescribeInstances"};
static const char *const sources[] = {"sts", "s3", "s3", "signin", "ec2"};
static const char *const users[] = {"alice", "bob", "J\\u00fcrgen", "evil\\u001b[31m"};
static const char *const categories[] = {"Management", "Data", "Insight", "NetworkActivity"};

static uint64_t pick(uint64_t *state, uint64_t below) {
    return random_splitmix64(state) % below;
}

static void print_event(struct sample_event *event, uint64_t seed, uint32_t index) {
    uint64_t state = seed * 1000003 + index;
    char time[TIME_TEXT_SIZE];
    char region[64] = "";
    char error[64] = "";
    char shared[96] = "";
    char resources[256] = "";
    uint64_t what = pick(&state, 5);
    const char *region_name = regions[pick(&state, 12) % 4];
    time_print(SAMPLE_TIME_S + (int64_t)pick(&state, 3) * 86400 + (int64_t)pick(&state, 400), time);
    if (region_name[0] != 0) snprintf(region, sizeof region, "\"awsRegion\":\"%s\",", region_name);
    if (pick(&state, 5) == 0) snprintf(error, sizeof error, "\"errorCode\":\"AccessDenied\",");
    if (pick(&state, 9) == 0) {
        snprintf(shared, sizeof shared,
                 "\"sharedEventID\":\"00000000-0000-4000-8000-%012" PRIu64 "\",", pick(&state, 5));
    }
    if (what == 1 || what == 2) {
        snprintf(
            resources, sizeof resources,
            "\"resources\":[{\"type\":\"AWS::S3::Bucket\",\"ARN\":\"arn:aws:s3:::bucket%" PRIu64
            "\"}],",
            pick(&state, 6));
    }
    const char *account = accounts[pick(&state, 3)];
    // Some records have line breaks and blanks between tokens, and numbers that must not change.
    const char *space = pick(&state, 4) == 0 ? "\r\n  " : "";
    int size = snprintf(
        event->text, sizeof event->text,
        "{%s\"eventVersion\":\"1.08\",\"userIdentity\":{\"type\":\"IAMUser\",\"userName\":\"%s\","
        "\"accessKeyId\":\"AKIA%04" PRIu64
        "\",\"arn\":\"arn:aws:iam::%s:user/u\"},"
        "\"eventTime\":\"%s\",%s\"eventSource\":\"%s.amazonaws.com\",\"eventName\":\"%s\",%s%s%s%s"
        "\"sourceIPAddress\":\"192.0.2.%" PRIu64
        "\",\"additionalEventData\":{\"bytes\":500.0},"
        "\"requestParameters\":{\"index\":%" PRIu32
        "},\"readOnly\":%s,"
        "\"eventID\":\"%08" PRIx64 "-0000-4000-8000-%012" PRIx32
        "\",\"eventType\":\"AwsApiCall\","
        "\"eventCategory\":\"%s\",\"recipientAccountId\":\"%s\"}",
        space, users[pick(&state, 4)], pick(&state, 8), account, time, space, sources[what],
        names[what], region, error, shared, resources, pick(&state, 9), index,
        pick(&state, 3) == 0 ? "false" : "true", pick(&state, UINT32_MAX), index,
        categories[pick(&state, 16) % 4], account);
    assert_true(size > 0 && (size_t)size < sizeof event->text);
    event->account = span_text(account);
}

void sample_create(struct sample *sample, uint64_t seed, uint32_t count) {
    *sample = (struct sample){
        .events = calloc(count, sizeof *sample->events),
        .count = count,
        .json = json_reader_create(),
        .arena = arena_create(ARENA_SIZE),
    };
    assert_non_null(sample->events);
    assert_non_null(sample->json);
    assert_non_null(sample->arena);
    for (uint32_t index = 0; index < count; index++) {
        struct record record;
        print_event(&sample->events[index], seed, index);
        sample_read(sample, index, &record);
        sample->events[index].key = key_of(&record, sample->events[index].account);
    }
}

void sample_destroy(struct sample *sample) {
    free(sample->events);
    json_reader_destroy(sample->json);
    arena_destroy(sample->arena);
}

void sample_read(struct sample *sample, uint32_t index, struct record *record) {
    enum record_refusal refusal;
    struct fault fault;
    arena_reset(sample->arena);
    if (!record_read(sample->json, sample->arena, span_text(sample->events[index].text), record,
                     &refusal, &fault)) {
        fail_msg("sample %u: %s", index, fault.text);
    }
}

static void must(bool is_good, const struct fault *fault) {
    if (is_good) return;
    fprintf(stderr, "sample: %s\n", fault->text);
    _exit(1);
}

static void append(struct sample *sample, const char *directory, uint32_t first, uint32_t count,
                   const uint32_t *order, uint32_t commit_size) {
    struct fault fault = {0};
    struct trail *trail = NULL;
    struct trail_options options = {
        .directory = directory,
        .map_size = UINT64_C(1) << 30,
        .no_sync = true,
        .clock = clock_system(),
        .random = random_system(),
    };
    must(trail_open(&options, &trail, &fault), &fault);
    struct trail_receipt receipt;
    for (uint32_t done = 0; done < count; done++) {
        uint32_t index = order != NULL ? order[done] : first + done;
        struct record record;
        enum trail_outcome outcome;
        char uri[64];
        struct trail_entry entry = {
            .record = &record,
            .account = sample->events[index].account,
            .received_ms = (SAMPLE_TIME_S + 300000) * 1000 + done,
        };
        if (done % commit_size == 0) must(trail_begin(trail, &fault), &fault);
        sample_read(sample, index, &record);
        snprintf(uri, sizeof uri, "spiffe://o-sample/account/%.*s/agent/a%u",
                 SPAN_PRINT(entry.account), done % SAMPLE_AGENTS);
        must(trail_agent_number(trail, span_text(uri), &entry.agent, &fault), &fault);
        must(trail_add(trail, &entry, &outcome, &fault), &fault);
        if (done % commit_size == commit_size - 1 || done + 1 == count)
            must(trail_commit(trail, &receipt, &fault), &fault);
    }
    trail_close(trail);
}

// A process of its own: LMDB takes no second handle on one trail, and the test may be reading it.
void sample_append(struct sample *sample, const char *directory, uint32_t first, uint32_t count,
                   const uint32_t *order, uint32_t commit_size) {
    fflush(NULL);
    pid_t child = fork();
    assert_true(child >= 0);
    if (child == 0) {
        append(sample, directory, first, count, order, commit_size);
        _exit(0);
    }
    int status;
    assert_int_equal(waitpid(child, &status, 0), child);
    assert_int_equal(status, 0);
}

void sample_follow(const char *directory, const char *name) {
    const struct trail_options options = {
        .directory = directory,
        .clock = clock_system(),
        .random = random_system(),
    };
    struct fault fault = {0};
    struct trail *trail = NULL;
    struct trail_receipt receipt;
    must(trail_open(&options, &trail, &fault), &fault);
    must(trail_begin(trail, &fault), &fault);
    must(trail_follower_move(trail, name, 0, 1, &fault), &fault);
    must(trail_commit(trail, &receipt, &fault), &fault);
    trail_close(trail);
}

static bool drop(const char *directory, int64_t from_s, struct fault *fault) {
    const struct trail_options options = {
        .directory = directory,
        .clock = clock_system(),
        .random = random_system(),
    };
    struct trail *trail = NULL;
    struct trail_receipt receipt;
    bool is_good = trail_open(&options, &trail, fault) && trail_begin_reserved(trail, fault) &&
                   trail_retain(trail, from_s, fault) && trail_commit(trail, &receipt, fault);
    trail_close(trail);
    return is_good;
}

void sample_drop(const char *directory, int64_t from_s) {
    pid_t child = fork();
    assert_true(child >= 0);
    if (child == 0) {
        struct fault fault;
        bool is_good = drop(directory, from_s, &fault);
        if (!is_good) fprintf(stderr, "%s\n", fault.text);
        _exit(is_good ? 0 : 1);
    }
    int status = 0;
    assert_int_equal(waitpid(child, &status, 0), child);
    assert_int_equal(status, 0);
}

uint32_t *sample_shuffle(uint64_t seed, uint32_t count) {
    uint32_t *order = calloc(count, sizeof *order);
    assert_non_null(order);
    for (uint32_t index = 0; index < count; index++) order[index] = index;
    for (uint32_t index = count; index > 1; index--) {
        uint32_t other = (uint32_t)pick(&seed, index);
        uint32_t kept = order[index - 1];
        order[index - 1] = order[other];
        order[other] = kept;
    }
    return order;
}

int sample_compare_keys(const struct key *left, const struct key *right) {
    if (left->event_time_s != right->event_time_s)
        return left->event_time_s < right->event_time_s ? -1 : 1;
    int order = memcmp(left->id, right->id, sizeof left->id);
    if (order != 0) return order;
    return span_compare(span_of(left->account, left->account_size),
                        span_of(right->account, right->account_size));
}

// --- trouble

static void put_stream(struct trail *trail, int64_t now_s, uint32_t agent, uint8_t id,
                       uint64_t stored, uint64_t lost) {
    struct fault fault = {0};
    struct trail_stream stream = {
        .agent = agent,
        .stream_id = {id},
        .durable_seq = stored + 9,
        .first_seen_ms = (now_s - 5000 - id) * INT64_C(1000),
        .last_seen_ms = (now_s - 40 + id) * INT64_C(1000),
        .last_event_time_s = now_s - 7200 - 60,
        .received = stored + 4 + lost,
        .stored = stored,
        .duplicates = 1,
        .variants = 1,
        .quarantined = 1,
        .expired = 1,
    };
    must(trail_stream_put(trail, &stream, &fault), &fault);
}

static void refuse(struct trail *trail, int64_t now_s, uint32_t agent, struct span bytes,
                   const char *reason) {
    struct fault fault = {0};
    bool is_new;
    struct trail_refused refused = {
        .bytes = bytes,
        .reason = reason,
        .detail = SPAN_LITERAL("line 1: \x1b[2J"),
        .agent = agent,
        .received_ms = now_s * INT64_C(1000),
    };
    must(trail_quarantine(trail, &refused, &is_new, &fault), &fault);
}

static void make_troubled(const char *directory, int64_t now_s) {
    struct fault fault = {0};
    struct trail *trail = NULL;
    struct trail_receipt receipt;
    uint32_t first;
    uint32_t second;
    bool is_new;
    struct trail_options options = {
        .directory = directory,
        .map_size = UINT64_C(1) << 30,
        .no_sync = true,
        .clock = clock_system(),
        .random = random_system(),
    };
    struct span one = SPAN_LITERAL("spiffe://o-x/account/1");
    struct span two = SPAN_LITERAL("spiffe://o-x/account/2/agent/b");
    must(trail_open(&options, &trail, &fault), &fault);
    must(trail_begin(trail, &fault), &fault);
    must(trail_agent_number(trail, two, &second, &fault), &fault);
    must(trail_agent_number(trail, one, &first, &fault), &fault);
    put_stream(trail, now_s, first, 1, 100, 0);
    put_stream(trail, now_s, first, 2, 200, 0);
    put_stream(trail, now_s, second, 1, 50, 7);
    refuse(trail, now_s, first, SPAN_LITERAL("{\"a\":\x1b}"), "invalid_json");
    refuse(trail, now_s, first, SPAN_LITERAL("{\"a\":\x1b}"), "invalid_json");
    refuse(trail, now_s - 20, first, SPAN_LITERAL("{\"a\":2"), "invalid_json");
    refuse(trail, now_s - 10, second, SPAN_LITERAL("{}"), "no_event_time");
    for (uint64_t index = 0; index < 30; index++) {
        struct trail_gap gap = {
            .agent = first,
            .stream_id = {1},
            .first_seq = index * 10 + 1,
            .last_seq = index * 10 + 5,
            .reported_ms = now_s * INT64_C(1000),
            .reason = "spool_corrupt",
        };
        must(trail_gap_put(trail, &gap, &is_new, &fault), &fault);
    }
    must(trail_commit(trail, &receipt, &fault), &fault);
    trail_close(trail);
}

void sample_make_troubled(const char *directory, int64_t now_s) {
    fflush(NULL);
    pid_t child = fork();
    assert_true(child >= 0);
    if (child == 0) {
        make_troubled(directory, now_s);
        _exit(0);
    }
    int status;
    assert_int_equal(waitpid(child, &status, 0), child);
    assert_int_equal(status, 0);
}
