// Picking out of documents one after another: a reader that knows the ones before gives the answer
// of one that knows none. The documents are the input's lines, each read twice.

#include <assert.h>
#include <stdlib.h>

#include "base/json_pick.h"
#include "tests/fuzz/fuzz.h"

enum { LINES_MAX = 64 };

static const struct json_want of_entry[] = {{"ARN", 3, 4, 0, NULL}};
static const struct json_want of_list[] = {{NULL, 0, 3, 1, of_entry}};
static const struct json_want of_identity[] = {{"arn", 3, 2, 0, NULL}};
static const struct json_want of_root[] = {
    {"a", 1, 1, 0, NULL},
    {"eventID", 7, 1, 0, NULL},
    {"resources", 9, 0, 1, of_list},
    {"userIdentity", 12, 5, 1, of_identity},
};
static const struct json_want root = {"", 0, 0, 4, of_root};

static bool is_same(const struct json_picks *left, const struct json_picks *right) {
    if (left->count != right->count) return false;
    for (uint32_t index = 0; index < left->count; index++) {
        const struct json_pick *one = &left->items[index], *other = &right->items[index];
        if (one->field != other->field || one->kind != other->kind) return false;
        if ((one->string.bytes == NULL) != (other->string.bytes == NULL)) return false;
        if (!span_equal(one->string, other->string)) return false;
    }
    return true;
}

static void compare(struct json_reader *reader, struct span line) {
    // A copy of exactly its size, so that the address sanitizer sees reads past its end.
    uint8_t *bytes = malloc(line.size == 0 ? 1 : line.size);
    static struct json_reader *stranger;
    if (stranger == NULL) stranger = json_reader_create();
    assert(bytes != NULL && stranger != NULL);
    if (line.size > 0) memcpy(bytes, line.bytes, line.size);
    struct json_picks picks, parsed;
    enum json_refusal refusal, parsed_refusal;
    struct fault fault = {.kind = FAULT_NONE}, parsed_fault = {.kind = FAULT_NONE};
    bool is_good = json_pick(reader, &root, span_of(bytes, line.size), &picks, &refusal, &fault);
    json_reader_forget(stranger);
    bool is_parsed = json_pick(stranger, &root, line, &parsed, &parsed_refusal, &parsed_fault);
    assert(is_good == is_parsed && refusal == parsed_refusal && fault.kind == parsed_fault.kind);
    assert(!is_good || is_same(&picks, &parsed));
    assert(is_good || strcmp(fault.text, parsed_fault.text) == 0);
    free(bytes);
}

int LLVMFuzzerTestOneInput(const uint8_t *data, size_t size) {
    static struct json_reader *reader;
    if (reader == NULL) reader = json_reader_create();
    assert(reader != NULL);
    json_reader_forget(reader);
    struct span left = span_of(data, size);
    for (uint32_t count = 0; count < LINES_MAX && left.size > 0; count++) {
        size_t end = span_find(left, '\n');
        compare(reader, span_of(left.bytes, end));
        compare(reader, span_of(left.bytes, end));
        left = span_from(left, end < left.size ? end + 1 : end);
    }
    return 0;
}
