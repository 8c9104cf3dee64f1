// Record reading: one record of any bytes, its attributes, its key and what skimming it tells.

#include "event/record.h"

#include <assert.h>

#include "base/arena.h"
#include "base/json.h"
#include "event/attribute.h"
#include "event/key.h"
#include "event/record_skim.h"
#include "tests/fuzz/fuzz.h"

enum { ARENA_SIZE_MAX = 16 * 1024 * 1024 };

// Skimming tells the same, or nothing.
static void check_skim(const struct record *record) {
    struct record skimmed;
    if (record->category == RECORD_INSIGHT || !record_skim(record->text, &skimmed)) return;
    assert(span_equal(skimmed.text, record->text));
    assert(span_equal(skimmed.region, record->region));
    assert(span_equal(skimmed.event_source, record->event_source));
    assert(span_equal(skimmed.event_name, record->event_name));
}

int LLVMFuzzerTestOneInput(const uint8_t *data, size_t size) {
    static struct arena *arena;
    static struct json_reader *reader;
    if (arena == NULL) arena = arena_create(ARENA_SIZE_MAX);
    if (reader == NULL) reader = json_reader_create();
    assert(arena != NULL && reader != NULL);
    arena_reset(arena);

    struct record record;
    enum record_refusal refusal;
    struct fault fault = {.kind = FAULT_NONE};
    if (!record_read(reader, arena, span_of(data, size), &record, &refusal, &fault)) {
        assert(fault.kind == FAULT_INPUT || fault.kind == FAULT_FULL);
        assert((refusal == RECORD_GOOD) == (fault.kind == FAULT_FULL));
        (void)!record_skim(span_of(data, size), &record);
        return 0;
    }
    assert(record.text.size == size);
    assert(record.event_source.size > 0);
    assert(record.event_name.size > 0 || record.category == RECORD_AGGREGATED);
    (void)record_display_user(&record);
    check_skim(&record);

    struct span account = SPAN_LITERAL("123456789012");
    uint32_t count = 0;
    struct attribute *attributes = attribute_extract(&record, account, arena, &count);
    if (attributes == NULL) return 0;
    assert(count <= ATTRIBUTE_COUNT_MAX);
    for (uint32_t index = 0; index < count; index++) {
        assert(attributes[index].value.size <= ATTRIBUTE_VALUE_SIZE_MAX);
        assert(attribute_matches(&record, account, &attributes[index]));
    }
    struct key key = key_of(&record, account);
    assert(key_equal(&key, &key));
    return 0;
}
