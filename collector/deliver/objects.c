#include "collector/deliver/objects.h"

#include <assert.h>

bool objects_find_bucket(const struct objects *objects, struct span bucket, bool *found,
                         struct fault *fault) {
    return objects->operations->find_bucket(objects->context, bucket, found, fault);
}

bool objects_write(const struct objects *objects, const struct object_name *name, struct span bytes,
                   const struct object_metadata *metadata, uint32_t metadata_count,
                   struct fault *fault) {
    assert(metadata_count <= OBJECT_METADATA_MAX);
    bool found = false;
    uint8_t hash[SHA256_SIZE];
    struct object_facts facts = {0};
    const struct objects_operations *operations = objects->operations;
    if (!operations->put(objects->context, name, bytes, metadata, metadata_count, fault) ||
        !operations->head(objects->context, name, &found, &facts, fault)) {
        return false;
    }
    crypto_sha256(&bytes, 1, hash);
    if (found && facts.size == bytes.size && memcmp(hash, facts.hash, sizeof hash) == 0)
        return true;
    return fault_set(fault, FAULT_RETRY,
                     "ChangedObject: s3://%.*s/%.*s is not what was written: does somebody else "
                     "write there?",
                     SPAN_PRINT(name->bucket), SPAN_PRINT(name->key));
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
