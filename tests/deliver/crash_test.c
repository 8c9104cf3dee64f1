// Deliveries whose files fail at any one operation, or lose power there: everything is delivered
// once, and every digest verifies (laws 1 to 5 of collector/deliver/README.md).

#include <pthread.h>
#include <stdatomic.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#include "agent/fake_files.h"
#include "base/arena.h"
#include "base/clock.h"
#include "base/crypto.h"
#include "base/crypto_rsa.h"
#include "base/gzip.h"
#include "base/json.h"
#include "collector/append/append_documents.h"
#include "collector/append/append_fixture.h"
#include "collector/deliver/digest_keys.h"
#include "collector/deliver/objects_directory.h"
#include "collector/deliver/state.h"
#include "collector/deliver/trail.h"
#include "collector/follow/seat.h"
#include "collector/metrics.h"
#include "tests/kit/cases.h"

enum {
    EVENTS = 6,  // of one life of a trail
    STEPS_MAX = 400,
    TEXT_SIZE_MAX = 1 << 20,
    FILES_MAX = 64,
};

// The writer on a thread of its own, as in the collector.
struct world {
    struct rig *rig;
    pthread_t writer;
    atomic_bool is_over;
    struct fake_files *fake;
    struct objects_directory directory;
    struct objects objects;
    struct deliver_options options;
    struct seat seat;
    struct follower *follower;
    uint8_t secret[CRYPTO_SEAL_KEY_SIZE];
    uint32_t life;
    uint64_t next_event;
    uint64_t first_event;
    uint32_t whole_min;  // objects, from which on all is synced at once
    bool is_crash;       // the power goes where an operation fails
    bool has_crashed;
};

static void *write_trail(void *context) {
    struct world *world = context;
    struct fault fault;
    while (!atomic_load(&world->is_over)) {
        if (!append_step(world->rig->append, 1, &fault)) abort();
    }
    return NULL;
}

// ---- what the API would do

static void change(struct world *world, const char *name, const char *value, const char *record) {
    struct fault fault;
    struct buffer before;
    bool is_current = false;
    buffer_init(&before, TEXT_SIZE_MAX);
    if (name != NULL) {
        assert_true(seat_document(&world->seat, span_text(name), &before, &fault));
    }
    const struct append_document document = {
        name == NULL ? (struct span){NULL, 0} : span_text(name), buffer_span(&before),
        value == NULL ? (struct span){NULL, 0} : span_text(value)};
    const struct span text = span_text(record == NULL ? "" : record);
    const struct append_documents_options options = {
        .documents = &document,
        .documents_count = name == NULL ? 0 : 1,
        .records = &text,
        .records_count = record == NULL ? 0 : 1,
    };
    assert_true(append_documents_change(world->rig->append, &options, 10000, &is_current, &fault));
    assert_true(is_current);
    buffer_done(&before);
}

// Puts the trail's document; the name is that of this life.
static void put_trail(struct world *world, bool is_logging, const char *record) {
    char name[32], document[TRAIL_NAME_SIZE_MAX + 1], value[1024];
    snprintf(name, sizeof name, "life-%u", (unsigned)world->life);
    trail_document_name(SPAN_LITERAL("999999999999"), SPAN_LITERAL("us-east-1"), span_text(name),
                        document);
    snprintf(value, sizeof value,
             "{\"version\":1,\"account\":\"999999999999\",\"region\":\"us-east-1\",\"name\":\"%s\","
             "\"bucket\":\"bucket\",\"prefix\":\"in/here\",\"global\":true,\"multi_region\":true,"
             "\"organization\":true,\"validated\":true,\"logging\":%s,\"created_ms\":%u,"
             "\"started_ms\":%lld}",
             name, is_logging ? "true" : "false", (unsigned)world->life + 1,
             (long long)world->rig->now_ms);
    change(world, document, value, record);
}

static void add_event(struct world *world) {
    char record[512], time[TIME_TEXT_SIZE];
    time_print(world->rig->now_ms / 1000, time);
    snprintf(record, sizeof record,
             "{\"eventVersion\":\"1.11\",\"eventTime\":\"%s\",\"eventSource\":\"orgtrail.local\","
             "\"eventName\":\"Thing\",\"awsRegion\":\"%s\",\"eventID\":\"00000000-0000-4000-8000-"
             "%012llu\",\"recipientAccountId\":\"999999999999\",\"eventType\":\"AwsServiceEvent\"}",
             time, world->next_event % 2 == 0 ? "eu-west-1" : "us-east-1",
             (unsigned long long)world->next_event);
    world->next_event++;
    change(world, NULL, NULL, record);
}

static void stop_logging(struct world *world) {
    char record[768], time[TIME_TEXT_SIZE];
    time_print(world->rig->now_ms / 1000, time);
    snprintf(
        record, sizeof record,
        "{\"eventVersion\":\"1.11\",\"eventTime\":\"%s\",\"eventSource\":\"orgtrail.local\","
        "\"eventName\":\"StopLogging\",\"awsRegion\":\"us-east-1\",\"eventID\":\"00000000-0000-"
        "4000-8000-%012llu\",\"recipientAccountId\":\"999999999999\",\"eventType\":"
        "\"AwsApiCall\",\"userIdentity\":{\"accountId\":\"999999999999\"},"
        "\"requestParameters\":{\"name\":\"life-%u\"},\"additionalEventData\":{\"region\":"
        "\"us-east-1\"}}",
        time, (unsigned long long)world->next_event, (unsigned)world->life);
    world->next_event++;
    put_trail(world, false, record);
}

// ---- a life

static void make_follower(struct world *world) {
    struct fault fault;
    char name[32], id[TRAIL_ID_SIZE];
    snprintf(name, sizeof name, "life-%u", (unsigned)world->life);
    const struct trail trail = {.account = SPAN_LITERAL("999999999999"),
                                .region = SPAN_LITERAL("us-east-1"),
                                .name = span_text(name),
                                .created_ms = world->life + 1};
    trail_document_id(&trail, id);
    assert_true(deliver_trail_create(&world->options, span_text(id), trail.name, trail.account,
                                     trail.region, &world->follower, &fault));
}

// From the failure on a process whose power went notes nothing: as one that is stopping.
static bool is_dead(void *context) {
    const struct world *world = context;
    return world->is_crash && !world->has_crashed && fake_files_has_failed(world->fake);
}

// A step; what fails happens once. If the power goes there, another process goes on.
static void step(struct world *world) {
    struct fault fault;
    int64_t wait_ms;
    if (world->follower->step(world->follower, &world->seat, &wait_ms, &fault)) return;
    if (!world->is_crash || world->has_crashed) return;
    world->has_crashed = true;
    // It takes a while: names of another minute, and digests that are late.
    world->rig->now_ms += 61000;
    fake_files_crash(world->fake, world->life % 3);
    world->follower->end(world->follower);
    make_follower(world);
}

static bool has_place(struct world *world) {
    struct fault fault;
    bool found;
    uint64_t sequence;
    assert_true(seat_place(&world->seat, world->follower->name, &found, &sequence, &fault));
    return found;
}

static void make_bucket(struct world *world) {
    struct fault fault;
    const char *const folders[] = {"/", "/top", "/top/bucket"};
    for (size_t index = 1; index < 3; index++) {
        assert_true(files_make_directory(world->directory.files, folders[index], &fault));
        assert_true(files_sync_directory(world->directory.files, folders[index - 1], &fault));
    }
}

// Runs a trail from StartLogging to the end of its session while the nth operation fails. False: it
// had no nth.
static bool live(struct world *world, uint64_t nth, bool is_crash) {
    world->life++;
    world->is_crash = is_crash;
    world->has_crashed = false;
    world->fake = fake_files_create();
    world->directory =
        (struct objects_directory){fake_files_interface(world->fake), "/top", world->whole_min};
    make_bucket(world);
    world->rig->now_ms += 60000;
    world->first_event = world->next_event;
    put_trail(world, true, NULL);
    make_follower(world);
    fake_files_fail(world->fake, nth, FAULT_IO);
    uint32_t steps = 0;
    for (uint32_t count = 0; count < EVENTS; count++) {
        add_event(world);
        for (uint32_t more = 0; more < 3; more++, steps++) {
            world->rig->now_ms += 1000;
            step(world);
        }
    }
    stop_logging(world);
    while (has_place(world)) {
        world->rig->now_ms += 1000;
        step(world);
        assert_true(steps++ < STEPS_MAX);
    }
    bool has_failed = fake_files_has_failed(world->fake);
    fake_files_fail(world->fake, 0, FAULT_IO);
    return has_failed;
}

// ---- what lies there then

struct found {
    struct world *world;
    char paths[FILES_MAX][512];
    uint32_t count;
    const char *folder;
};

static void walk(struct found *found, const char *folder);

static bool on_entry(void *user, const struct files_entry *entry) {
    struct found *found = user;
    const char *folder = found->folder;
    char path[512];
    snprintf(path, sizeof path, "%s/%s", folder, entry->name);
    if (entry->is_directory) {
        walk(found, path);
        found->folder = folder;
    } else if (entry->name[0] != '.') {
        assert_true(found->count < FILES_MAX);
        snprintf(found->paths[found->count++], sizeof found->paths[0], "%s", path);
    }
    return true;
}

static void walk(struct found *found, const char *folder) {
    struct fault fault;
    found->folder = folder;
    if (!files_list(found->world->directory.files, folder, on_entry, found, &fault)) {
        fail_msg("%s", fault.text);
    }
}

static struct span inflate(struct world *world, const char *path, struct arena *arena) {
    uint64_t size = 0;
    size_t written = 0;
    uint8_t *bytes = fake_files_bytes(world->fake, path, &size);
    uint8_t *text = arena_allocate(arena, TEXT_SIZE_MAX);
    assert_non_null(bytes);
    assert_non_null(text);
    assert_true(gzip_inflate_whole(span_of(bytes, size), text, TEXT_SIZE_MAX, &written));
    return span_of(text, written);
}

static bool on_key(void *user, struct span name, struct span value) {
    (void)name;
    buffer_append(user, value);
    return false;
}

static void check_signature(struct world *world, const char *path, const struct yyjson_val *root,
                            struct span text, struct arena *arena) {
    struct fault fault;
    struct buffer key, der, metadata, signed_text;
    const struct yyjson_val *document, *meta;
    uint8_t hash[SHA256_SIZE], signature[CRYPTO_RSA_SIGNATURE_SIZE];
    char hex[SHA256_HEX_SIZE];
    buffer_init(&key, TEXT_SIZE_MAX);
    buffer_init(&der, TEXT_SIZE_MAX);
    buffer_init(&metadata, TEXT_SIZE_MAX);
    buffer_init(&signed_text, TEXT_SIZE_MAX);
    assert_true(trail_reader_documents(world->seat.reader, SPAN_LITERAL(STATE_DIGEST_KEYS), on_key,
                                       &key, &fault));
    assert_true(json_read_into(arena, buffer_span(&key), &document, &fault));
    assert_true(crypto_parse_base64(digest_key_read(document).public_key, &der));
    const struct object_name name = {SPAN_LITERAL("bucket"),
                                     span_text(path + strlen("/top/bucket/"))};
    assert_true(objects_directory_metadata(&world->directory, &name, &metadata, &fault));
    assert_true(json_read_into(arena, buffer_span(&metadata), &meta, &fault));
    assert_true(crypto_parse_hex(json_member_string(meta, SPAN_LITERAL("signature")), signature,
                                 sizeof signature));
    crypto_sha256(&text, 1, hash);
    crypto_print_hex(span_of(hash, sizeof hash), hex);
    struct span before = json_member_string(root, SPAN_LITERAL("previousDigestSignature"));
    buffer_print(&signed_text, "%.*s\n%.*s/%.*s\n%s\n",
                 SPAN_PRINT(json_member_string(root, SPAN_LITERAL("digestEndTime"))),
                 SPAN_PRINT(json_member_string(root, SPAN_LITERAL("digestS3Bucket"))),
                 SPAN_PRINT(json_member_string(root, SPAN_LITERAL("digestS3Object"))), hex);
    buffer_append(&signed_text, before.bytes == NULL ? SPAN_LITERAL("null") : before);
    assert_true(crypto_rsa_verify(buffer_span(&der), buffer_span(&signed_text),
                                  span_of(signature, sizeof signature)));
    buffer_done(&key);
    buffer_done(&der);
    buffer_done(&metadata);
    buffer_done(&signed_text);
}

// That the digest is good; how many files it names.
static uint32_t check_digest(struct world *world, const char *path, struct arena *arena) {
    struct fault fault;
    const struct yyjson_val *root;
    struct span text = inflate(world, path, arena);
    size_t index, count;
    yyjson_val *item;
    assert_true(json_read_into(arena, text, &root, &fault));
    check_signature(world, path, root, text, arena);
    yyjson_val *list = (yyjson_val *)(uintptr_t)json_member(root, SPAN_LITERAL("logFiles"));
    yyjson_arr_foreach(list, index, count, item) {
        char file[600], hex[SHA256_HEX_SIZE];
        uint8_t hash[SHA256_SIZE];
        snprintf(file, sizeof file, "/top/bucket/%.*s",
                 SPAN_PRINT(json_member_string(item, SPAN_LITERAL("s3Object"))));
        struct span log = inflate(world, file, arena);
        crypto_sha256(&log, 1, hash);
        crypto_print_hex(span_of(hash, sizeof hash), hex);
        assert_true(span_is(json_member_string(item, SPAN_LITERAL("hashValue")), hex));
    }
    return (uint32_t)count;
}

static uint32_t count_in(struct span text, const char *what) {
    uint32_t count = 0;
    const uint8_t *at = text.bytes;
    while ((at = memmem(at, text.size - (size_t)(at - text.bytes), what, strlen(what))) != NULL) {
        count++;
        at++;
    }
    return count;
}

static void check(struct world *world) {
    static struct found found;
    uint32_t logs = 0, digests = 0, named = 0;
    uint32_t seen[EVENTS + 1] = {0};
    found = (struct found){.world = world};
    walk(&found, "/top/bucket");
    for (uint32_t index = 0; index < found.count; index++) {
        struct arena *arena = arena_create(64 << 20);
        assert_non_null(arena);
        const char *path = found.paths[index];
        if (strstr(path, "/CloudTrail-Digest/") != NULL) {
            digests++;
            named += check_digest(world, path, arena);
        } else {
            struct span text = inflate(world, path, arena);
            logs++;
            for (uint64_t event = 0; event <= EVENTS; event++) {
                char id[64];
                snprintf(id, sizeof id, "%012llu\"",
                         (unsigned long long)(world->first_event + event));
                seen[event] += count_in(text, id);
            }
        }
        arena_destroy(arena);
    }
    // Each event once, the one that stopped it among them; each file in one digest.
    for (uint32_t event = 0; event <= EVENTS; event++) assert_int_equal(seen[event], 1);
    assert_int_equal(named, logs);
    assert_true(digests > 4);
}

static void end_life(struct world *world) {
    world->follower->end(world->follower);
    fake_files_destroy(world->fake);
}

// ---- the tests

static void begin(struct world *world, struct rig *rig) {
    struct fault fault;
    *world = (struct world){.rig = rig};
    world->objects = objects_in_directory(&world->directory);
    world->options = (struct deliver_options){
        .objects = &world->objects,
        .organization = "o-abc",
        .secret = world->secret,
        .interval_s = 2,
        .digest_interval_s = 5,
        .key_lifetime_ms = INT64_C(1) << 40,
        .file_size_max = 1 << 20,
        .level = STATE_LEVEL,
    };
    world->seat = (struct seat){.append = rig->append,
                                .clock = &rig->clock,
                                .random = &rig->random,
                                .is_stopping = is_dead,
                                .context = world};
    assert_true(trail_reader_open(rig->directory, &world->seat.reader, &fault));
    assert_int_equal(pthread_create(&world->writer, NULL, write_trail, world), 0);
}

static void end(struct world *world) {
    atomic_store(&world->is_over, true);
    assert_int_equal(pthread_join(world->writer, NULL), 0);
    trail_reader_close(world->seat.reader);
}

static void run_all(struct rig *rig, bool is_crash, uint32_t whole_min) {
    static struct world world;
    begin(&world, rig);
    world.whole_min = whole_min;
    assert_false(live(&world, 0, false));
    check(&world);
    end_life(&world);
    uint64_t nth = 1;
    while (live(&world, nth, is_crash)) {
        check(&world);
        end_life(&world);
        nth++;
    }
    check(&world);
    end_life(&world);
    // A round of two files, several digests: there are many operations, and each has failed.
    assert_true(nth > 100);
    print_message("%u operations\n", (unsigned)nth);
    end(&world);
}

static void test_every_operation_fails_once(void **state) {
    run_all(*state, false, UINT32_MAX);
    run_all(*state, false, 1);
}

static void test_power_goes_at_every_operation(void **state) {
    run_all(*state, true, UINT32_MAX);
    run_all(*state, true, 1);
}

// What the state of the trail's delivery says of its last error.
static void read_error(struct world *world, char error[STATE_ERROR_SIZE], bool *is_active) {
    struct fault fault;
    struct buffer value;
    char id[TRAIL_ID_SIZE], name[TRAIL_NAME_SIZE_MAX + 1];
    const char *dash = strrchr(world->follower->name, '-');
    snprintf(id, sizeof id, "%s", dash + 1);
    snprintf(name, sizeof name, STATE_DOCUMENTS "%s", id);
    buffer_init(&value, TEXT_SIZE_MAX);
    assert_true(seat_document(&world->seat, span_text(name), &value, &fault));
    struct json_reader *json = json_reader_create();
    const struct yyjson_val *root;
    struct state state;
    assert_true(json_read(json, buffer_span(&value), &root, &fault));
    assert_true(state_read(root, &state, &fault));
    snprintf(error, STATE_ERROR_SIZE, "%s", state.error);
    *is_active = state.is_active;
    json_reader_destroy(json);
    buffer_done(&value);
}

static void place_other(struct world *world, uint32_t number, bool is_dropped) {
    struct fault fault;
    bool is_current = false;
    struct append_documents_options options = {.follower = {.is_dropped = is_dropped}};
    snprintf(options.follower.name, sizeof options.follower.name, "other-%u", (unsigned)number);
    assert_true(append_documents_change(world->rig->append, &options, APPEND_DOCUMENTS_WAIT_MS,
                                        &is_current, &fault));
}

// A trail that begins when all places are taken says so, and goes on when there is one.
static void test_too_many_followers_are_told(void **state) {
    static struct world world;
    struct fault fault;
    char error[STATE_ERROR_SIZE];
    bool is_active;
    int64_t wait_ms;
    begin(&world, *state);
    for (uint32_t number = 0; number < TRAIL_FOLLOWERS_MAX; number++) {
        place_other(&world, number, false);
    }
    world.life = 1;
    world.fake = fake_files_create();
    world.directory =
        (struct objects_directory){fake_files_interface(world.fake), "/top", world.whole_min};
    make_bucket(&world);
    world.rig->now_ms += 60000;
    put_trail(&world, true, NULL);
    make_follower(&world);
    assert_false(world.follower->step(world.follower, &world.seat, &wait_ms, &fault));
    read_error(&world, error, &is_active);
    assert_false(is_active);
    assert_non_null(strstr(error, "256 followers, which is the limit"));
    place_other(&world, 7, true);
    world.rig->now_ms += 1000;
    assert_true(world.follower->step(world.follower, &world.seat, &wait_ms, &fault));
    read_error(&world, error, &is_active);
    assert_true(is_active);
    assert_string_equal(error, "");
    assert_true(has_place(&world));
    end_life(&world);
    end(&world);
}

int main(void) {
    metrics_start();
    const struct CMUnitTest tests[] = {
        cmocka_unit_test_setup_teardown(test_every_operation_fails_once, rig_make, rig_end),
        cmocka_unit_test_setup_teardown(test_power_goes_at_every_operation, rig_make, rig_end),
        cmocka_unit_test_setup_teardown(test_too_many_followers_are_told, rig_make, rig_end),
    };
    return cases_run("crash_test", tests, sizeof tests / sizeof tests[0]);
}
