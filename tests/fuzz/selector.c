// Event selectors: any JSON as advanced, basic and insight selectors; what is accepted comes out
// as it went in, and decides a record of any kind.

#include "event/match/selector.h"

#include <assert.h>
#include <string.h>

#include "base/arena.h"
#include "base/buffer.h"
#include "base/json.h"
#include "event/match/insight_selector.h"
#include "event/match/match.h"
#include "tests/fuzz/fuzz.h"

static const char record_text[] =
    "{\"eventTime\":\"2026-01-01T00:00:00Z\",\"eventSource\":\"s3.amazonaws.com\",\"eventName\":"
    "\"PutObject\",\"eventCategory\":\"Data\",\"userIdentity\":{\"arn\":\"arn:aws:iam::1:user/x\"},"
    "\"resources\":[{\"type\":\"AWS::S3::Object\",\"ARN\":\"arn:aws:s3:::b/k\"},"
    "{\"type\":\"AWS::S3::Bucket\",\"ARN\":\"arn:aws:s3:::b\"}]}";

static struct arena *arena;
static struct json_reader *reader, *record_reader;
static struct buffer first, second;

static bool parse(const struct yyjson_val *root, uint32_t form, struct selector_set *set) {
    struct fault fault = {.kind = FAULT_NONE};
    bool is_good = form == 0 ? selector_parse_basic(root, arena, set, &fault)
                             : selector_parse_advanced(
                                   root, form == 1 ? SELECTOR_FOR_TRAIL : SELECTOR_FOR_AGENT, arena,
                                   set, &fault);
    assert(is_good || fault.kind == FAULT_INPUT || fault.kind == FAULT_FULL);
    return is_good;
}

static void use(const struct yyjson_val *root, uint32_t form, const struct record *record) {
    struct selector_set set, again;
    struct fault fault;
    struct match *match;
    arena_reset(arena);
    if (!parse(root, form, &set)) return;
    if (match_create(&set, &match, &fault)) {
        (void)match_selects(match, record);
        match_destroy(match);
    }
    buffer_reset(&first);
    buffer_reset(&second);
    selector_print(&set, false, &first);
    if (buffer_overflowed(&first)) return;
    const struct yyjson_val *printed;
    bool is_read = json_read(record_reader, buffer_span(&first), &printed, &fault);
    assert(is_read);
    bool is_good = parse(printed, form, &again);
    // What was read as 8 MiB of it may not fit a second time.
    if (!is_good) return;
    selector_print(&again, false, &second);
    assert(span_equal(buffer_span(&first), buffer_span(&second)));
}

static void use_insights(const struct yyjson_val *root) {
    struct insight_selectors selectors;
    struct fault fault;
    if (!insight_selector_parse(root, &selectors, &fault)) return;
    buffer_reset(&first);
    insight_selector_print(&selectors, &first);
    struct insight_selectors again;
    const struct yyjson_val *printed;
    bool is_read = json_read(record_reader, buffer_span(&first), &printed, &fault);
    assert(is_read);
    is_read = insight_selector_parse(printed, &again, &fault);
    assert(is_read);
    assert(memcmp(&selectors, &again, sizeof again) == 0);
}

int LLVMFuzzerTestOneInput(const uint8_t *data, size_t size) {
    static struct arena *record_arena;
    static struct record record;
    struct fault fault;
    if (arena == NULL) {
        enum record_refusal refusal;
        arena = arena_create(SELECTOR_ARENA_SIZE);
        record_arena = arena_create(64 * 1024);
        reader = json_reader_create();
        record_reader = json_reader_create();
        buffer_init(&first, 32 * 1024 * 1024);
        buffer_init(&second, 32 * 1024 * 1024);
        assert(arena != NULL && reader != NULL && record_reader != NULL && record_arena != NULL);
        bool is_good = record_read(record_reader, record_arena, span_text(record_text), &record,
                                   &refusal, &fault);
        assert(is_good);
    }
    const struct yyjson_val *root;
    if (!json_read(reader, span_of(data, size), &root, &fault)) return 0;
    for (uint32_t form = 0; form < 3; form++) use(root, form, &record);
    use_insights(root);
    return 0;
}
