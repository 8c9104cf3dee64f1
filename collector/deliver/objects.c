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

static bool check(const struct objects *objects, const struct object_write *write,
                  struct fault *fault) {
    bool is_same = false;
    const struct object_name *name = &write->name;
    if (!objects->operations->holds(objects->context, write, &is_same, fault)) return false;
    if (is_same) return true;
    return fault_set(fault, FAULT_RETRY,
                     "ChangedObject: s3://%.*s/%.*s is not what was written: does somebody else "
                     "write there?",
                     SPAN_PRINT(name->bucket), SPAN_PRINT(name->key));
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
