#include "collector/deliver/objects.h"

#include <assert.h>

bool objects_find_bucket(const struct objects *objects, struct span bucket, bool *found,
                         struct fault *fault) {
    return objects->operations->find_bucket(objects->context, bucket, found, fault);
}

static bool put_all(const struct objects *objects, const struct object_write *writes,
                    uint32_t writes_count, struct fault *fault) {
    const struct objects_operations *operations = objects->operations;
    if (operations->put_all != NULL) {
        return operations->put_all(objects->context, writes, writes_count, fault);
    }
    for (uint32_t index = 0; index < writes_count; index++) {
        if (!operations->put(objects->context, &writes[index], fault)) return false;
    }
    return true;
}

static bool tell_changed(const struct object_write *write, struct fault *fault) {
    return fault_set(fault, FAULT_RETRY,
                     "ChangedObject: somebody else writes there, see who may: s3://%.*s/%.*s",
                     SPAN_PRINT(write->name.bucket), SPAN_PRINT(write->name.key));
}

static bool check(const struct objects *objects, const struct object_write *write,
                  struct fault *fault) {
    enum objects_held held = OBJECTS_HOLD_NOTHING;
    if (!objects->operations->holds(objects->context, write, &held, fault)) return false;
    return held == OBJECTS_HOLD_SAME || tell_changed(write, fault);
}

bool objects_write(const struct objects *objects, const struct object_write *writes,
                   uint32_t writes_count, struct fault *fault) {
    assert(writes_count >= 1 && writes_count <= OBJECTS_WRITE_MAX);
    for (uint32_t index = 0; index < writes_count; index++) {
        assert(writes[index].metadata_count <= OBJECT_METADATA_MAX);
    }
    if (!put_all(objects, writes, writes_count, fault)) return false;
    for (uint32_t index = 0; index < writes_count; index++) {
        if (!check(objects, &writes[index], fault)) return false;
    }
    return true;
}

bool objects_write_again(const struct objects *objects, const struct object_write *writes,
                         uint32_t writes_count, struct fault *fault) {
    const struct object_write *changed = NULL;
    struct fault ignored;
    for (uint32_t index = 0; index < writes_count && changed == NULL; index++) {
        enum objects_held held = OBJECTS_HOLD_NOTHING;
        // Why it cannot be asked is said better by the write, which a store answers with a text.
        if (!objects->operations->holds(objects->context, &writes[index], &held, &ignored)) break;
        if (held == OBJECTS_HOLD_OTHER) changed = &writes[index];
    }
    if (!objects_write(objects, writes, writes_count, fault)) return false;
    return changed == NULL || tell_changed(changed, fault);
}

bool objects_is_key(struct span key) {
    bool is_begin = true;
    if (key.size == 0 || key.size > OBJECT_KEY_SIZE_MAX) return false;
    for (size_t at = 0; at < key.size; at++) {
        uint8_t byte = key.bytes[at];
        if (byte < 0x20 || byte == 0x7f) return false;
        if (is_begin && (byte == '/' || byte == '.')) return false;
        is_begin = byte == '/';
    }
    return !is_begin;
}
