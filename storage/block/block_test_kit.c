#include "storage/block/block_test_kit.h"

#include <assert.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <time.h>

#include "event/record.h"

enum { ARENA_SIZE = 256 * 1024 * 1024, TIME_S = 1767225600, TIME_SIZE = 32 };
enum { BUFFER_SIZE_MAX = 256 * 1024 * 1024 };

void kit_init(struct kit *kit, uint64_t seed) {
    memset(kit, 0, sizeof *kit);
    kit->arena = arena_create(ARENA_SIZE);
    assert(kit->arena != NULL);
    kit->state = seed;
    kit->random = random_seeded(&kit->state);
    random_fill(&kit->random, kit->secret, sizeof kit->secret);
}

void kit_done(struct kit *kit) {
    arena_destroy(kit->arena);
}

static uint64_t below(struct kit *kit, uint64_t limit) {
    return random_below(&kit->random, limit);
}

static const char *pick(struct kit *kit, const char *const *texts, uint64_t count) {
    return texts[below(kit, count)];
}

static void append_space(struct kit *kit, struct buffer *output) {
    static const char *const spaces[] = {"", "", "", "", " ", "\n\t", "\r\n  "};
    buffer_append_text(output, pick(kit, spaces, 7));
}

static void append_scalar(struct kit *kit, struct buffer *output) {
    static const char *const scalars[] = {"1E+400",
                                          "500.0",
                                          "-0",
                                          "-1.5e-7",
                                          "0",
                                          "12345678901234567890",
                                          "true",
                                          "false",
                                          "null",
                                          "\"\"",
                                          "\"a\"",
                                          "\"\\\"\"",
                                          "\"\\\\\"",
                                          "\"{[\"",
                                          "\"]}\"",
                                          "\"a:b\"",
                                          "\"\\\\\\\"\"",
                                          "\"\\u00e9\"",
                                          "\"\xc3\xa9\"",
                                          "\"2026-01-01T00:00:00Z\"",
                                          "\"2026-02-30T00:00:00Z\"",
                                          "\"01234567-89ab-cdef-0123-456789abcdef\"",
                                          "\"01234567-89AB-cdef-0123-456789abcdef\""};
    if (below(kit, 3) > 0) {
        buffer_append_text(output, pick(kit, scalars, sizeof scalars / sizeof scalars[0]));
    } else {
        buffer_print(output, "\"v%u\"", (unsigned)below(kit, 50));
    }
}

static void append_value(struct kit *kit, struct buffer *output, uint32_t depth) {
    uint64_t form = depth == 0 ? 0 : below(kit, 4);
    append_space(kit, output);
    if (form < 2) {
        append_scalar(kit, output);
    } else {
        uint64_t members = below(kit, 6);
        buffer_append_byte(output, form == 2 ? '{' : '[');
        for (uint64_t member = 0; member < members; member++) {
            if (member > 0) buffer_append_byte(output, ',');
            append_space(kit, output);
            // Names repeat within an object now and then.
            if (form == 2) buffer_print(output, "\"n%u\"", (unsigned)below(kit, 8));
            append_space(kit, output);
            if (form == 2) buffer_append_byte(output, ':');
            append_value(kit, output, depth - 1);
        }
        append_space(kit, output);
        buffer_append_byte(output, form == 2 ? '}' : ']');
    }
    append_space(kit, output);
}

static void append_record(struct kit *kit, const struct block_row *row, uint64_t user,
                          struct buffer *output) {
    char id[RECORD_UUID_TEXT_SIZE], other[RECORD_UUID_TEXT_SIZE], time[TIME_SIZE];
    uint8_t request[RECORD_ID_SIZE];
    random_fill(&kit->random, request, sizeof request);
    record_print_uuid(row->key.id, id);
    record_print_uuid(request, other);
    time_t seconds = (time_t)row->key.event_time_s;
    struct tm parts;
    strftime(time, sizeof time, "%Y-%m-%dT%H:%M:%SZ", gmtime_r(&seconds, &parts));
    buffer_print(output, "{\"userIdentity\":{\"type\":\"IAMUser\",\"userName\":\"user-%u\",",
                 (unsigned)user);
    buffer_print(output, "\"accountId\":\"%.*s\"},", row->key.account_size, row->key.account);
    buffer_print(output, "\"eventTime\":\"%s\",\"eventName\":\"Event%u\",", time,
                 (unsigned)below(kit, 20));
    buffer_print(output, "\"readOnly\":%s,", below(kit, 2) == 0 ? "true" : "false");
    if (below(kit, 3) == 0) {
        buffer_append_text(output, "\"requestParameters\":");
        append_value(kit, output, 3);
        buffer_append_byte(output, ',');
    }
    buffer_print(output, "\"requestID\":\"%s\",\"eventID\":\"%s\"}", other, id);
}

static void append_garbage(struct kit *kit, struct buffer *output) {
    static const char letters[] =
        "{}[]\":,\\ 1e-\n\x01\xff"
        "ab";
    uint64_t size = below(kit, 200);
    for (uint64_t index = 0; index < size; index++) {
        buffer_append_byte(output, (uint8_t)letters[below(kit, sizeof letters)]);
    }
}

static struct block_row *add_row(struct kit *kit) {
    assert(kit->count < KIT_ROWS_MAX);
    struct block_row *row = &kit->rows[kit->count];
    *row = (struct block_row){
        // Runs with holes between them.
        .sequence = 1000 + kit->count + kit->count / 100 * 7,
        .agent = 2 + kit->count / 50 % 3,
        .flags = (uint32_t)below(kit, 2) | (uint32_t)below(kit, 3) << BLOCK_CATEGORY_SHIFT,
        .received_ms = (int64_t)1000 * (TIME_S + kit->count / 30),
    };
    kit->count++;
    random_fill(&kit->random, row->key.id, sizeof row->key.id);
    row->key.event_time_s = TIME_S + (int64_t)below(kit, 100);
    if (below(kit, 50) == 0) row->key.event_time_s -= (int64_t)below(kit, 100000);
    row->key.account_size = 12;
    snprintf(row->key.account, sizeof row->key.account, "1000000000%02u", (unsigned)below(kit, 3));
    return row;
}

static void add_attribute(struct kit *kit, struct block_row *row, enum attribute_kind kind,
                          const char *stem, uint64_t number) {
    char *value = arena_print(kit->arena, "%s-%u", stem, (unsigned)number);
    assert(value != NULL);
    struct attribute *attributes = (struct attribute *)(uintptr_t)row->attributes;
    attributes[row->attributes_count++] = (struct attribute){kind, span_text(value)};
}

// In order of kind. Some follow from others, as in real records, but not always.
static void add_attributes(struct kit *kit, struct block_row *row, uint64_t user) {
    uint32_t count = (uint32_t)below(kit, 8);
    row->attributes = arena_allocate_array(kit->arena, count + 7, sizeof *row->attributes);
    assert(row->attributes != NULL);
    char *name = arena_print(kit->arena, "user-%u", (unsigned)user);
    assert(name != NULL);
    row->user = span_text(name);
    if (below(kit, 20) == 0) return;
    uint64_t event = below(kit, 20);
    uint64_t key = user + (below(kit, 10) == 0 ? 12 : 0);
    if (below(kit, 30) > 0) add_attribute(kit, row, ATTRIBUTE_EVENT_NAME, "Event", event);
    add_attribute(kit, row, ATTRIBUTE_USER_NAME, "user", user);
    if (user == 3) add_attribute(kit, row, ATTRIBUTE_USER_NAME, "issuer", user);
    add_attribute(kit, row, ATTRIBUTE_EVENT_SOURCE, "source", event / 5);
    if (user > 4) add_attribute(kit, row, ATTRIBUTE_ACCESS_KEY, "key", key);
    add_attribute(kit, row, ATTRIBUTE_READ_ONLY, "true", 0);
    if (user > 2) add_attribute(kit, row, ATTRIBUTE_IDENTITY_ARN, "arn", user);
    for (uint32_t index = 0; index < count; index++) {
        add_attribute(kit, row, ATTRIBUTE_RESOURCE_NAME, "thing", below(kit, 400));
    }
}

void kit_add(struct kit *kit, struct span text) {
    struct block_row *row = add_row(kit);
    bool copied = arena_copy(kit->arena, text, &row->text);
    assert(copied);
    add_attributes(kit, row, 0);
}

void kit_make_rows(struct kit *kit, uint32_t count) {
    arena_reset(kit->arena);
    kit->count = 0;
    struct buffer text;
    buffer_init(&text, ARENA_SIZE);
    while (kit->count < count) {
        struct block_row *row = add_row(kit);
        uint64_t user = below(kit, 12);
        buffer_reset(&text);
        switch (below(kit, 10)) {
            case 0:
                append_value(kit, &text, 5);
                break;
            case 1:
                append_garbage(kit, &text);
                break;
            default:
                append_record(kit, row, user, &text);
        }
        bool copied = arena_copy(kit->arena, buffer_span(&text), &row->text);
        assert(copied);
        add_attributes(kit, row, user);
    }
    buffer_done(&text);
}

uint32_t kit_row_of(const struct kit *kit, uint64_t sequence) {
    for (uint32_t row = 0; row < kit->count; row++) {
        if (kit->rows[row].sequence == sequence) return row;
    }
    assert(false);
    return 0;
}

struct kit_fixture *kit_fixture_create(uint64_t seed, uint32_t epoch) {
    struct kit_fixture *fixture = calloc(1, sizeof *fixture);
    assert(fixture != NULL);
    kit_init(&fixture->kit, seed);
    fixture->scratch = block_scratch_create();
    fixture->dictionary = dictionary_create(epoch);
    assert(fixture->scratch != NULL && fixture->dictionary != NULL);
    block_scratch_verify(fixture->scratch, 1);
    buffer_init(&fixture->bytes, BUFFER_SIZE_MAX);
    buffer_init(&fixture->chunk, BUFFER_SIZE_MAX);
    buffer_init(&fixture->text, BUFFER_SIZE_MAX);
    return fixture;
}

void kit_fixture_destroy(struct kit_fixture *fixture) {
    buffer_done(&fixture->bytes);
    buffer_done(&fixture->chunk);
    buffer_done(&fixture->text);
    dictionary_destroy(fixture->dictionary);
    block_scratch_destroy(fixture->scratch);
    kit_done(&fixture->kit);
    free(fixture);
}
