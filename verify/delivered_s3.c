#include "verify/delivered_s3.h"

#include <stdio.h>
#include <string.h>

// Which keys are to be listed for a prefix that is asked for.
enum reach {
    REACH_NONE,   // none of ours
    REACH_ABOVE,  // ours are below it
    REACH_INSIDE,
};

static enum reach find_reach(const struct delivered_s3 *s3, struct span bucket,
                             struct span prefix) {
    struct span ours = span_text(s3->prefix);
    if (!span_is(bucket, s3->bucket) || prefix.size > S3_KEY_SIZE_MAX ||
        span_find(prefix, 0) < prefix.size) {
        return REACH_NONE;
    }
    if (span_starts(prefix, ours)) return REACH_INSIDE;
    return span_starts(ours, prefix) ? REACH_ABOVE : REACH_NONE;
}

static void copy_key(struct span key, char text[S3_KEY_SIZE_MAX + 1]) {
    snprintf(text, S3_KEY_SIZE_MAX + 1, "%.*s", SPAN_PRINT(key));
}

struct naming {
    delivered_on_name *on_name;
    void *user;
    size_t prefix_size;  // of keys, that names are without
    bool has_folders;    // that these are wanted, not objects
};

static bool on_entry(void *user, const struct s3_entry *entry) {
    const struct naming *naming = user;
    struct span name = entry->key;
    if (naming->has_folders != entry->is_folder || name.size <= naming->prefix_size) return true;
    name = span_from(name, naming->prefix_size);
    if (entry->is_folder) name.size--;
    return name.size == 0 || naming->on_name(naming->user, name);
}

static bool buckets(void *context, delivered_on_name *on_bucket, void *user, struct fault *fault) {
    const struct delivered_s3 *s3 = context;
    (void)fault;
    (void)on_bucket(user, span_text(s3->bucket));
    return true;
}

static bool folders(void *context, struct span bucket, struct span prefix,
                    delivered_on_name *on_folder, void *user, struct fault *fault) {
    const struct delivered_s3 *s3 = context;
    struct naming naming = {on_folder, user, prefix.size, true};
    char text[S3_KEY_SIZE_MAX + 1];
    enum reach reach = find_reach(s3, bucket, prefix);
    if (reach == REACH_NONE) return true;
    if (reach == REACH_ABOVE) {
        struct span below = span_from(span_text(s3->prefix), prefix.size);
        (void)on_folder(user, span_of(below.bytes, span_find(below, '/')));
        return true;
    }
    copy_key(prefix, text);
    return s3_pool_list(s3->pool, true, s3->bucket, text, NULL, on_entry, &naming, fault);
}

static bool list(void *context, struct span bucket, struct span prefix, struct span after,
                 delivered_on_name *on_object, void *user, struct fault *fault) {
    const struct delivered_s3 *s3 = context;
    struct naming naming = {on_object, user, 0, false};
    char text[S3_KEY_SIZE_MAX + 1], behind[S3_KEY_SIZE_MAX + 1];
    enum reach reach = find_reach(s3, bucket, prefix);
    if (reach == REACH_NONE || after.size > S3_KEY_SIZE_MAX) return true;
    copy_key(reach == REACH_ABOVE ? span_text(s3->prefix) : prefix, text);
    copy_key(after, behind);
    return s3_pool_list(s3->pool, false, s3->bucket, text, behind[0] == 0 ? NULL : behind, on_entry,
                        &naming, fault);
}

// ---- reading

static void keep(const struct s3 *client, const char *name, char *kept, size_t size) {
    struct span value;
    kept[0] = 0;
    if (s3_find_metadata(client, name, &value) && span_find(value, 0) == value.size)
        snprintf(kept, size, "%.*s", SPAN_PRINT(value));
}

// Of a client's answer what outlives it.
static bool take(const struct s3 *client, struct span read, struct buffer *bytes,
                 struct delivered_metadata *metadata, struct fault *fault) {
    buffer_append(bytes, read);
    if (buffer_overflowed(bytes)) return fault_set(fault, FAULT_FULL, "no memory for an object");
    if (metadata == NULL) return true;
    keep(client, "signature", metadata->signature, sizeof metadata->signature);
    keep(client, "signature-algorithm", metadata->algorithm, sizeof metadata->algorithm);
    keep(client, "backfill-generation-timestamp", metadata->backfill_time,
         sizeof metadata->backfill_time);
    return true;
}

// What the store refuses is no damage of the object, unless that is too large.
static bool name_fault(const struct s3 *client, const char *key, struct fault *fault) {
    bool is_too_large = fault->kind == FAULT_FULL && s3_failure(client)->error == S3_ERROR_NONE;
    if (is_too_large) {
        return fault_set(fault, FAULT_INPUT, "%s is larger than %d bytes", key,
                         DELIVERED_OBJECT_SIZE_MAX);
    }
    if (fault->kind == FAULT_INPUT) fault->kind = FAULT_IO;
    return false;
}

static bool get(void *context, struct span bucket, struct span key, struct buffer *bytes,
                struct delivered_metadata *metadata, enum delivered_presence *presence,
                struct fault *fault) {
    const struct delivered_s3 *s3 = context;
    char text[S3_KEY_SIZE_MAX + 1];
    struct s3_object object;
    struct span read;
    if (!span_is(bucket, s3->bucket)) {
        *presence = DELIVERED_NO_BUCKET;
        return true;
    }
    *presence = DELIVERED_MISSING;
    if (key.size == 0 || key.size > S3_KEY_SIZE_MAX || span_find(key, 0) < key.size) return true;
    copy_key(key, text);
    struct s3 *client = s3_pool_take(s3->pool, fault);
    if (client == NULL) return false;
    struct s3_attempts attempts = s3_attempts_begin(s3->pool, S3_POOL_ATTEMPTS);
    bool is_good;
    do {
        is_good =
            s3_get(client, s3->bucket, text, DELIVERED_OBJECT_SIZE_MAX, &object, &read, fault);
    } while (!is_good && s3_attempts_again(&attempts, fault));
    if (!is_good) {
        (void)name_fault(client, text, fault);
    } else if (object.exists) {
        is_good = take(client, read, bytes, metadata, fault);
        *presence = DELIVERED_FOUND;
    }
    s3_pool_give(s3->pool, client);
    return is_good;
}

struct delivered delivered_in_s3(struct delivered_s3 *s3) {
    static const struct delivered_operations operations = {buckets, folders, list, get};
    return (struct delivered){&operations, s3};
}
