// Requests to the API as a caller with a good key sends them: any path, content type, target,
// region and body. Each is answered in its own form, never as a fault of ours, and its event is a
// record that the trail takes.
//
// The input's lines: method, blank and path; content type; target; region. The rest is the body.

#include <assert.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <unistd.h>

#include "collector/api/api_fixture.h"
#include "collector/api/gateway.h"
#include "event/record.h"
#include "storage/trail/trail.h"
#include "storage/trail/trail_reader.h"
#include "tests/fuzz/fuzz.h"

// What is made once.
static struct room {
    struct api_fixture fixture;
    struct trail_reader *reader;
    struct api_worker *worker;
    struct gateway *gateway;
    struct gateway_lane *lane;
    struct clock clock;
    struct json_reader *json;
    struct arena *arena;
    struct keys_facts key;
    char folder[32];
} room;

static int64_t now_ms(void *context) {
    (void)context;
    return room.fixture.now_ms;
}

static bool on_event(void *context, struct span text) {
    (void)context;
    struct record record;
    struct fault fault;
    enum record_refusal refusal;
    arena_reset(room.arena);
    bool is_good = record_read(room.json, room.arena, text, &record, &refusal, &fault);
    assert(is_good && span_is(record.event_source, "orgtrail.local"));
    return true;
}

static bool has_room(void *context) {
    (void)context;
    return true;
}

static void on_refused(void *context, const char *code, struct span key_id, struct span source) {
    (void)context;
    (void)key_id;
    assert(code[0] != 0 && source.size > 0);
}

// Documents: none, and none is kept.
static bool on_read(void *context, struct span prefix,
                    bool (*on_document)(void *user, struct span name, struct span value),
                    void *user, struct fault *fault) {
    (void)context;
    (void)prefix;
    (void)on_document;
    (void)user;
    (void)fault;
    return true;
}

static bool on_change(void *context, const struct append_document *documents,
                      uint32_t documents_count, const struct span *records, uint32_t records_count,
                      bool *is_current, struct fault *fault) {
    (void)documents;
    (void)documents_count;
    (void)fault;
    for (uint32_t index = 0; index < records_count; index++) on_event(context, records[index]);
    *is_current = true;
    return true;
}

static void remove_store(void) {
    static const char *const names[] = {"data.mdb", "lock.mdb", "writer.lock"};
    trail_reader_close(room.reader);
    for (size_t index = 0; index < sizeof names / sizeof names[0]; index++) {
        char path[64];
        snprintf(path, sizeof path, "%s/%s", room.folder, names[index]);
        (void)unlink(path);
    }
    (void)rmdir(room.folder);
}

// An empty store to look events up in.
static void make_store(void) {
    struct fault fault;
    struct trail *trail = NULL;
    snprintf(room.folder, sizeof room.folder, "/tmp/fuzz-request-XXXXXX");
    const struct trail_options options = {
        .directory = mkdtemp(room.folder),
        .map_size = 16 << 20,
        .no_sync = true,
        .clock = clock_system(),
        .random = random_system(),
    };
    bool is_good = options.directory != NULL && trail_open(&options, &trail, &fault);
    assert(is_good);
    trail_close(trail);
    is_good = trail_reader_open(room.folder, &room.reader, &fault);
    assert(is_good);
    atexit(remove_store);
}

static void make_key(void) {
    struct fault fault;
    struct buffer document;
    struct keys *keys = room.fixture.keys;
    room.key = (struct keys_facts){.name = SPAN_LITERAL("fuzz"),
                                   .account = SPAN_LITERAL("111111111111"),
                                   .role = API_ADMIN,
                                   .creator = SPAN_LITERAL("test")};
    static struct arena *kept;
    kept = arena_create(1 << 20);
    buffer_init(&document, KEYS_DOCUMENT_SIZE_MAX);
    bool is_good = keys_make(&room.fixture.random, kept, &room.key, &fault) &&
                   keys_print(keys, &room.key, &room.fixture.random, &document, &fault) &&
                   keys_take(keys, room.key.id, buffer_span(&document), &fault);
    assert(is_good);
    buffer_done(&document);
}

static void make_room(void) {
    api_fixture_init(&room.fixture);
    make_store();
    make_key();
    const struct api_store store = {.read = on_read, .change = on_change, .reader = room.reader};
    room.worker = api_worker_create(&room.fixture.world, &store);
    room.clock = (struct clock){now_ms, now_ms, NULL};
    static struct gateway_options options;
    options = (struct gateway_options){
        .clock = &room.clock,
        .random = &room.fixture.random,
        .keys = room.fixture.keys,
        .on_event = on_event,
        .has_room = has_room,
        .on_refused = on_refused,
    };
    room.gateway = gateway_create(&options);
    room.lane = gateway_lane_create(room.gateway, room.worker);
    room.json = json_reader_create();
    room.arena = arena_create(64 << 20);
    assert(room.worker != NULL && room.lane != NULL && room.json != NULL && room.arena != NULL);
}

static struct span take(struct span *text, uint8_t end) {
    size_t at = span_find(*text, end);
    struct span part = span_of(text->bytes, at);
    *text = at < text->size ? span_from(*text, at + 1) : (struct span){NULL, 0};
    return part;
}

static struct span service_of(struct span type, struct span target) {
    if (span_starts(type, SPAN_LITERAL("application/x-www-form"))) return SPAN_LITERAL("sts");
    if (span_starts(target, SPAN_LITERAL("AWSOrg"))) return SPAN_LITERAL("organizations");
    return SPAN_LITERAL("cloudtrail");
}

static void check_answer(const struct gateway_answer *answer) {
    struct fault fault;
    const struct yyjson_val *root;
    assert(answer->status >= 200 && answer->status < 500);
    assert(answer->body.size > 0);
    if (strcmp(answer->content_type, "text/xml") == 0) {
        assert(answer->body.bytes[0] == '<');
        return;
    }
    bool is_json = json_read(room.json, answer->body, &root, &fault);
    assert(is_json && yyjson_is_obj((yyjson_val *)(uintptr_t)root));
}

int LLVMFuzzerTestOneInput(const uint8_t *data, size_t size) {
    struct fault fault;
    char time[SIGV4_TIME_SIZE];
    struct gateway_answer answer;
    struct buffer authorization;
    struct sigv4_header headers[5];
    struct span text = span_of(data, size);
    if (room.lane == NULL) make_room();
    struct span line = take(&text, '\n');
    struct span method = take(&line, ' ');
    struct span type = take(&text, '\n');
    struct span target = take(&text, '\n');
    struct span region = take(&text, '\n');
    sigv4_print_time(room.fixture.now_ms, time);
    headers[0] = (struct sigv4_header){SPAN_LITERAL("host"), SPAN_LITERAL("localhost")};
    headers[1] = (struct sigv4_header){SPAN_LITERAL("x-amz-date"), span_text(time)};
    headers[2] = (struct sigv4_header){SPAN_LITERAL("content-type"), type};
    headers[3] = (struct sigv4_header){SPAN_LITERAL("x-amz-target"), target};
    struct gateway_request request = {
        .wire =
            {.method = method, .path = line, .headers = headers, .headers_count = 4, .body = text},
        .source = SPAN_LITERAL("192.0.2.7"),
    };
    const struct sigv4_signer signer = {room.key.id, room.key.secret, region,
                                        service_of(type, target)};
    buffer_init(&authorization, SIGV4_CANONICAL_SIZE_MAX);
    if (sigv4_sign(&request.wire, &signer, &authorization, &fault)) {
        headers[request.wire.headers_count++] =
            (struct sigv4_header){SPAN_LITERAL("authorization"), buffer_span(&authorization)};
        gateway_run(room.lane, &request, &answer);
        check_answer(&answer);
    }
    buffer_done(&authorization);
    return 0;
}
