#include "collector/deliver/objects_s3.h"

#include <stdatomic.h>
#include <stdio.h>
#include <stdlib.h>

#include "base/aws/s3_pool.h"

enum { BUCKET_SIZE = 256 };

struct objects_s3 {
    struct s3_pool *pool;
    enum s3_encryption encryption;
    const char *kms_key;
    const char *acl;
    atomic_bool has_no_condition;  // the store refuses conditional puts
};

// Names with their final zero.
struct names {
    char bucket[BUCKET_SIZE];
    char key[OBJECT_KEY_SIZE_MAX + 1];
};

// ---- life

bool objects_s3_create(const struct objects_s3_options *options, struct objects_s3 **objects,
                       struct fault *fault) {
    struct objects_s3 *made = calloc(1, sizeof *made);
    if (made == NULL) return fault_set(fault, FAULT_FULL, "no memory for deliveries");
    made->encryption = options->encryption;
    made->kms_key = options->kms_key;
    made->acl = options->acl;
    if (!s3_pool_create(&options->s3, OBJECTS_S3_CLIENTS, &made->pool, fault)) {
        free(made);
        return false;
    }
    *objects = made;
    return true;
}

void objects_s3_destroy(struct objects_s3 *objects) {
    if (objects == NULL) return;
    s3_pool_destroy(objects->pool);
    free(objects);
}

void objects_s3_stop(struct objects_s3 *objects) {
    s3_pool_stop(objects->pool);
}

// Puts a word before a fault that has no code of the store.
static bool name_fault(const struct s3 *client, struct fault *fault) {
    if (s3_failure(client)->error != S3_ERROR_NONE) return false;
    switch (fault->kind) {
        case FAULT_RETRY:
            return fault_add(fault, "Unreachable");
        case FAULT_FULL:
            return fault_add(fault, "NoMemory");
        default:
            return fault_add(fault, "WrongSettings");
    }
}

// ---- calls

static bool copy_name(struct span from, char *text, size_t text_size) {
    if (from.size >= text_size || span_find(from, 0) < from.size) return false;
    if (from.size > 0) memcpy(text, from.bytes, from.size);
    text[from.size] = 0;
    return true;
}

static bool copy_names(const struct object_name *name, struct names *names, struct fault *fault) {
    if (objects_is_key(name->key) && copy_name(name->bucket, names->bucket, BUCKET_SIZE) &&
        copy_name(name->key, names->key, sizeof names->key)) {
        return true;
    }
    return fault_set(fault, FAULT_INPUT,
                     "InvalidKey: s3://%.*s/%.*s cannot be the name of an object",
                     SPAN_PRINT(name->bucket), SPAN_PRINT(name->key));
}

static bool find_bucket(void *context, struct span bucket, bool *found, struct fault *fault) {
    char name[BUCKET_SIZE];
    char region[S3_REGION_SIZE];
    struct objects_s3 *objects = context;
    if (!copy_name(bucket, name, sizeof name)) {
        *found = false;
        return true;
    }
    struct s3 *client = s3_pool_take(objects->pool, fault);
    if (client == NULL) return false;
    bool is_good = s3_find_bucket(client, name, found, region, fault) || name_fault(client, fault);
    s3_pool_give(objects->pool, client);
    return is_good;
}

// What the store has under the name. The SHA-256 of its bytes is told, or read.
static bool stands_there(struct s3 *client, const struct names *names, struct span bytes,
                         enum objects_held *held, struct fault *fault) {
    struct span read;
    struct s3_object object;
    uint8_t hash[SHA256_SIZE];
    if (!s3_head(client, names->bucket, names->key, &object, fault)) return false;
    // What is larger is none of ours: its size says so.
    if (object.exists && !object.has_sha256 && object.size <= OBJECTS_S3_READ_MAX) {
        if (!s3_get(client, names->bucket, names->key, OBJECTS_S3_READ_MAX, &object, &read,
                    fault)) {
            return false;
        }
        if (object.exists) crypto_sha256(&read, 1, object.sha256);
    }
    crypto_sha256(&bytes, 1, hash);
    *held = object.exists ? OBJECTS_HOLD_OTHER : OBJECTS_HOLD_NOTHING;
    if (object.exists && object.size == bytes.size &&
        memcmp(hash, object.sha256, sizeof hash) == 0) {
        *held = OBJECTS_HOLD_SAME;
    }
    return true;
}

static bool holds(void *context, const struct object_write *write, enum objects_held *held,
                  struct fault *fault) {
    struct names names;
    struct objects_s3 *objects = context;
    if (!copy_names(&write->name, &names, fault)) return false;
    struct s3 *client = s3_pool_take(objects->pool, fault);
    if (client == NULL) return false;
    bool is_good;
    struct s3_attempts attempts = s3_attempts_begin(objects->pool, OBJECTS_S3_ATTEMPTS);
    do {
        is_good =
            stands_there(client, &names, write->bytes, held, fault) || name_fault(client, fault);
    } while (!is_good && s3_attempts_again(&attempts, fault));
    s3_pool_give(objects->pool, client);
    return is_good;
}

// As the first of its name if the store can do that. What stands there already is compared: the
// same bytes are as good as written, others are replaced.
static bool put_with(struct objects_s3 *objects, struct s3 *client, const struct names *names,
                     struct s3_put *put, struct fault *fault) {
    enum objects_held held = OBJECTS_HOLD_NOTHING;
    put->is_first = !atomic_load(&objects->has_no_condition);
    if (s3_put(client, put, fault)) return true;
    enum s3_error error = s3_failure(client)->error;
    if (!put->is_first || (error != S3_ERROR_EXISTS && error != S3_ERROR_MISSING)) return false;
    if (error == S3_ERROR_EXISTS && !stands_there(client, names, put->bytes, &held, fault)) {
        return false;
    }
    if (held == OBJECTS_HOLD_SAME) return true;
    put->is_first = false;
    if (!s3_put(client, put, fault)) return false;
    // It was the condition that the store did not have.
    if (error == S3_ERROR_MISSING) atomic_store(&objects->has_no_condition, true);
    return true;
}

static bool put(void *context, const struct object_write *write, struct fault *fault) {
    struct names names;
    struct objects_s3 *objects = context;
    struct s3_metadata copies[OBJECT_METADATA_MAX] = {0};
    bool is_good = copy_names(&write->name, &names, fault);
    bool is_packed = span_ends(write->name.key, SPAN_LITERAL(".json.gz"));
    struct s3_put order = {.bucket = names.bucket,
                           .key = names.key,
                           .bytes = write->bytes,
                           .content_type = is_packed ? "application/json" : NULL,
                           .content_encoding = is_packed ? "gzip" : NULL,
                           .metadata = copies,
                           .encryption = objects->encryption,
                           .kms_key = objects->kms_key,
                           .acl = objects->acl};
    for (uint32_t index = 0; is_good && index < write->metadata_count; index++) {
        const struct object_metadata *metadata = &write->metadata[index];
        copies[index].name = metadata->name;
        copies[index].value = strndup((const char *)metadata->value.bytes, metadata->value.size);
        order.metadata_count++;
        if (copies[index].value == NULL) {
            is_good = fault_set(fault, FAULT_FULL, "NoMemory: for an object's metadata");
        }
    }
    struct s3 *client = is_good ? s3_pool_take(objects->pool, fault) : NULL;
    if (client != NULL) {
        struct s3_attempts attempts = s3_attempts_begin(objects->pool, OBJECTS_S3_ATTEMPTS);
        do {
            is_good = put_with(objects, client, &names, &order, fault) || name_fault(client, fault);
        } while (!is_good && s3_attempts_again(&attempts, fault));
        s3_pool_give(objects->pool, client);
    }
    for (uint32_t index = 0; index < order.metadata_count; index++) {
        free((char *)(uintptr_t)copies[index].value);
    }
    return client != NULL && is_good;
}

struct objects objects_in_s3(struct objects_s3 *objects) {
    static const struct objects_operations operations = {
        .find_bucket = find_bucket, .put = put, .holds = holds};
    return (struct objects){&operations, objects};
}
