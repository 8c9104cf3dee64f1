#include "tests/deliver/life.h"

#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#include "base/clock.h"
#include "base/crypto.h"
#include "base/crypto_rsa.h"
#include "base/gzip.h"
#include "base/json.h"
#include "collector/append/append_documents.h"
#include "collector/deliver/digest_keys.h"
#include "collector/deliver/state.h"
#include "collector/deliver/trail.h"
#include "tests/kit/cases.h"

enum {
    EVENTS = 6,  // of one life of a trail
    STEPS_MAX = 400,
    TEXT_SIZE_MAX = 1 << 20,
    ARENA_SIZE = 64 << 20,
};

static void *write_trail(void *context) {
    struct life *life = context;
    struct fault fault;
    while (!atomic_load(&life->is_over)) {
        if (!append_step(life->rig->append, 1, &fault)) abort();
    }
    return NULL;
}

// ---- what the API would do

void life_change(struct life *life, const char *name, const char *value, const char *record) {
    struct fault fault;
    struct buffer before;
    bool is_current = false;
    buffer_init(&before, TEXT_SIZE_MAX);
    if (name != NULL) {
        assert_true(seat_document(&life->seat, span_text(name), &before, &fault));
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
    assert_true(append_documents_change(life->rig->append, &options, 10000, &is_current, &fault));
    assert_true(is_current);
    buffer_done(&before);
}

// Puts the trail's document; the name is that of this life.
static void put_trail(struct life *life, bool is_logging, const char *record) {
    char name[32], document[TRAIL_NAME_SIZE_MAX + 1], value[1024];
    snprintf(name, sizeof name, "life-%u", (unsigned)life->number);
    trail_document_name(SPAN_LITERAL("999999999999"), SPAN_LITERAL("us-east-1"), span_text(name),
                        document);
    snprintf(value, sizeof value,
             "{\"version\":1,\"account\":\"999999999999\",\"region\":\"us-east-1\",\"name\":\"%s\","
             "\"bucket\":\"bucket\",\"prefix\":\"in/here\",\"global\":true,\"multi_region\":true,"
             "\"organization\":true,\"validated\":true,\"logging\":%s,\"created_ms\":%u,"
             "\"started_ms\":%lld}",
             name, is_logging ? "true" : "false", (unsigned)life->number + 1,
             (long long)life->rig->now_ms);
    life_change(life, document, value, record);
}

void life_add_event(struct life *life) {
    char record[512], time[TIME_TEXT_SIZE];
    time_print(life->rig->now_ms / 1000, time);
    snprintf(record, sizeof record,
             "{\"eventVersion\":\"1.11\",\"eventTime\":\"%s\",\"eventSource\":\"orgtrail.local\","
             "\"eventName\":\"Thing\",\"awsRegion\":\"%s\",\"eventID\":\"00000000-0000-4000-8000-"
             "%012llu\",\"recipientAccountId\":\"999999999999\",\"eventType\":\"AwsServiceEvent\"}",
             time, life->next_event % 2 == 0 ? "eu-west-1" : "us-east-1",
             (unsigned long long)life->next_event);
    life->next_event++;
    life_change(life, NULL, NULL, record);
}

static void stop_logging(struct life *life) {
    char record[768], time[TIME_TEXT_SIZE];
    time_print(life->rig->now_ms / 1000, time);
    snprintf(
        record, sizeof record,
        "{\"eventVersion\":\"1.11\",\"eventTime\":\"%s\",\"eventSource\":\"orgtrail.local\","
        "\"eventName\":\"StopLogging\",\"awsRegion\":\"us-east-1\",\"eventID\":\"00000000-0000-"
        "4000-8000-%012llu\",\"recipientAccountId\":\"999999999999\",\"eventType\":"
        "\"AwsApiCall\",\"userIdentity\":{\"accountId\":\"999999999999\"},"
        "\"requestParameters\":{\"name\":\"life-%u\"},\"additionalEventData\":{\"region\":"
        "\"us-east-1\"}}",
        time, (unsigned long long)life->next_event, (unsigned)life->number);
    life->next_event++;
    put_trail(life, false, record);
}

// ---- a life

static void make_follower(struct life *life) {
    struct fault fault;
    char name[32], id[TRAIL_ID_SIZE];
    snprintf(name, sizeof name, "life-%u", (unsigned)life->number);
    const struct trail trail = {.account = SPAN_LITERAL("999999999999"),
                                .region = SPAN_LITERAL("us-east-1"),
                                .name = span_text(name),
                                .created_ms = life->number + 1};
    trail_document_id(&trail, id);
    assert_true(deliver_trail_create(&life->options, span_text(id), trail.name, trail.account,
                                     trail.region, &life->follower, &fault));
}

// From the failure on a process that dies notes nothing: as one that is stopping.
static bool is_dead(void *context) {
    const struct life *life = context;
    return life->is_crash && !life->has_crashed && life->place->has_failed(life->place->context);
}

// A step; what fails happens once. If the process dies there, another one goes on.
static void step(struct life *life) {
    const struct life_place *place = life->place;
    struct fault fault;
    int64_t wait_ms;
    if (life->follower->step(life->follower, &life->seat, &wait_ms, &fault)) return;
    place->mend(place->context);
    if (!life->is_crash || life->has_crashed) return;
    life->has_crashed = true;
    // It takes a while: names of another minute, and digests that are late.
    life->rig->now_ms += 61000;
    place->crash(place->context, life->number % 3);
    life->follower->end(life->follower);
    make_follower(life);
}

bool life_has_place(struct life *life) {
    struct fault fault;
    bool found;
    uint64_t sequence;
    assert_true(seat_place(&life->seat, life->follower->name, &found, &sequence, &fault));
    return found;
}

void life_start_trail(struct life *life) {
    life->number++;
    life->place->begin(life->place->context);
    life->rig->now_ms += 60000;
    life->first_event = life->next_event;
    put_trail(life, true, NULL);
    make_follower(life);
}

void life_end_trail(struct life *life) {
    life->follower->end(life->follower);
    life->place->end(life->place->context);
}

// Runs a trail from StartLogging to the end of its session while the nth operation fails. False: it
// had no nth.
static bool live(struct life *life, uint64_t nth, bool is_crash) {
    const struct life_place *place = life->place;
    life->is_crash = is_crash;
    life->has_crashed = false;
    life_start_trail(life);
    place->break_at(place->context, nth);
    uint32_t steps = 0;
    for (uint32_t count = 0; count < EVENTS; count++) {
        life_add_event(life);
        for (uint32_t more = 0; more < 3; more++, steps++) {
            life->rig->now_ms += 1000;
            step(life);
        }
    }
    stop_logging(life);
    while (life_has_place(life)) {
        life->rig->now_ms += 1000;
        step(life);
        assert_true(steps++ < STEPS_MAX);
    }
    bool has_failed = place->has_failed(place->context);
    place->break_at(place->context, 0);
    return has_failed;
}

// ---- what lies there then

void life_found_add(struct life_found *found, const char *key, struct span bytes,
                    struct span signature) {
    assert_true(found->count < LIFE_OBJECTS_MAX);
    struct span name;
    struct life_object *object = &found->objects[found->count++];
    *object = (struct life_object){0};
    assert_true(arena_copy(found->arena, span_of(key, strlen(key) + 1), &name));
    object->key = (const char *)name.bytes;
    assert_true(bytes.size == 0 || arena_copy(found->arena, bytes, &object->bytes));
    assert_true(signature.size == 0 || arena_copy(found->arena, signature, &object->signature));
}

static struct span inflate(const struct life_found *found, struct span bytes) {
    size_t written = 0;
    uint8_t *text = arena_allocate(found->arena, TEXT_SIZE_MAX);
    assert_non_null(text);
    assert_true(gzip_inflate_whole(bytes, text, TEXT_SIZE_MAX, &written));
    return span_of(text, written);
}

static bool on_key(void *user, struct span name, struct span value) {
    (void)name;
    buffer_append(user, value);
    return false;
}

static void check_signature(struct life *life, const struct life_found *found,
                            const struct life_object *object, const struct yyjson_val *root,
                            struct span text) {
    struct fault fault;
    struct buffer key, der, signed_text;
    const struct yyjson_val *document;
    uint8_t hash[SHA256_SIZE], signature[CRYPTO_RSA_SIGNATURE_SIZE];
    char hex[SHA256_HEX_SIZE];
    buffer_init(&key, TEXT_SIZE_MAX);
    buffer_init(&der, TEXT_SIZE_MAX);
    buffer_init(&signed_text, TEXT_SIZE_MAX);
    assert_true(trail_reader_documents(life->seat.reader, SPAN_LITERAL(STATE_DIGEST_KEYS), on_key,
                                       &key, &fault));
    assert_true(json_read_into(found->arena, buffer_span(&key), &document, &fault));
    assert_true(crypto_parse_base64(digest_key_read(document).public_key, &der));
    assert_true(crypto_parse_hex(object->signature, signature, sizeof signature));
    crypto_sha256(&text, 1, hash);
    crypto_print_hex(span_of(hash, sizeof hash), hex);
    assert_true(span_is(json_member_string(root, SPAN_LITERAL("digestS3Object")), object->key));
    struct span before = json_member_string(root, SPAN_LITERAL("previousDigestSignature"));
    buffer_print(&signed_text, "%.*s\n%.*s/%s\n%s\n",
                 SPAN_PRINT(json_member_string(root, SPAN_LITERAL("digestEndTime"))),
                 SPAN_PRINT(json_member_string(root, SPAN_LITERAL("digestS3Bucket"))), object->key,
                 hex);
    buffer_append(&signed_text, before.bytes == NULL ? SPAN_LITERAL("null") : before);
    assert_true(crypto_rsa_verify(buffer_span(&der), buffer_span(&signed_text),
                                  span_of(signature, sizeof signature)));
    buffer_done(&key);
    buffer_done(&der);
    buffer_done(&signed_text);
}

static const struct life_object *find_object(const struct life_found *found, struct span key) {
    for (uint32_t index = 0; index < found->count; index++) {
        if (span_is(key, found->objects[index].key)) return &found->objects[index];
    }
    fail_msg("%.*s is not there", SPAN_PRINT(key));
    return NULL;
}

// That the digest before is there with the signature that this one says it has.
static void check_chain(const struct life_found *found, const struct yyjson_val *root) {
    struct span before = json_member_string(root, SPAN_LITERAL("previousDigestS3Object"));
    if (before.bytes == NULL) return;
    const struct life_object *object = find_object(found, before);
    assert_true(span_equal(json_member_string(root, SPAN_LITERAL("previousDigestSignature")),
                           object->signature));
}

// That the digest is good; how many files it names.
static uint32_t check_digest(struct life *life, const struct life_found *found,
                             const struct life_object *object) {
    struct fault fault;
    const struct yyjson_val *root;
    struct span text = inflate(found, object->bytes);
    size_t index, count;
    yyjson_val *item;
    assert_true(json_read_into(found->arena, text, &root, &fault));
    check_signature(life, found, object, root, text);
    check_chain(found, root);
    yyjson_val *list = (yyjson_val *)(uintptr_t)json_member(root, SPAN_LITERAL("logFiles"));
    yyjson_arr_foreach(list, index, count, item) {
        char hex[SHA256_HEX_SIZE];
        uint8_t hash[SHA256_SIZE];
        struct span key = json_member_string(item, SPAN_LITERAL("s3Object"));
        struct span log = inflate(found, find_object(found, key)->bytes);
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

static void check(struct life *life) {
    static struct life_found found;
    uint32_t logs = 0, digests = 0, named = 0;
    uint32_t seen[EVENTS + 1] = {0};
    found = (struct life_found){.arena = arena_create(ARENA_SIZE)};
    assert_non_null(found.arena);
    life->place->find(life->place->context, &found);
    for (uint32_t index = 0; index < found.count; index++) {
        const struct life_object *object = &found.objects[index];
        if (strstr(object->key, "/CloudTrail-Digest/") != NULL) {
            digests++;
            named += check_digest(life, &found, object);
        } else {
            struct span text = inflate(&found, object->bytes);
            logs++;
            for (uint64_t event = 0; event <= EVENTS; event++) {
                char id[64];
                snprintf(id, sizeof id, "%012llu\"",
                         (unsigned long long)(life->first_event + event));
                seen[event] += count_in(text, id);
            }
        }
    }
    // Each event once, the one that stopped it among them; each file in one digest.
    for (uint32_t event = 0; event <= EVENTS; event++) assert_int_equal(seen[event], 1);
    assert_int_equal(named, logs);
    assert_true(digests > 4);
    arena_destroy(found.arena);
}

// ---- all lives

void life_begin(struct life *life, struct rig *rig, const struct life_place *place) {
    struct fault fault;
    *life = (struct life){.rig = rig, .place = place};
    life->options = (struct deliver_options){
        .objects = place->objects,
        .organization = "o-abc",
        .secret = life->secret,
        .interval_s = 2,
        .digest_interval_s = 5,
        .key_lifetime_ms = INT64_C(1) << 40,
        .file_size_max = 1 << 20,
        .level = STATE_LEVEL,
    };
    life->seat = (struct seat){.append = rig->append,
                               .clock = &rig->clock,
                               .random = &rig->random,
                               .is_stopping = is_dead,
                               .context = life};
    assert_true(trail_reader_open(rig->directory, &life->seat.reader, &fault));
    assert_int_equal(pthread_create(&life->writer, NULL, write_trail, life), 0);
}

void life_end(struct life *life) {
    atomic_store(&life->is_over, true);
    assert_int_equal(pthread_join(life->writer, NULL), 0);
    trail_reader_close(life->seat.reader);
}

uint64_t life_run_all(struct life *life, bool is_crash) {
    uint64_t nth = 0;
    bool has_failed;
    do {
        has_failed = live(life, nth, is_crash);
        check(life);
        life_end_trail(life);
        nth++;
    } while (has_failed || nth == 1);
    return nth - 2;
}
