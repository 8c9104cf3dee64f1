#include "verify/delivered.h"

bool delivered_buckets(const struct delivered *delivered, delivered_on_name *on_bucket, void *user,
                       struct fault *fault) {
    return delivered->operations->buckets(delivered->context, on_bucket, user, fault);
}

bool delivered_folders(const struct delivered *delivered, struct span bucket, struct span prefix,
                       delivered_on_name *on_folder, void *user, struct fault *fault) {
    return delivered->operations->folders(delivered->context, bucket, prefix, on_folder, user,
                                          fault);
}

bool delivered_list(const struct delivered *delivered, struct span bucket, struct span prefix,
                    struct span after, delivered_on_name *on_object, void *user,
                    struct fault *fault) {
    return delivered->operations->list(delivered->context, bucket, prefix, after, on_object, user,
                                       fault);
}

bool delivered_get(const struct delivered *delivered, struct span bucket, struct span key,
                   struct buffer *bytes, struct delivered_metadata *metadata,
                   enum delivered_presence *presence, struct fault *fault) {
    return delivered->operations->get(delivered->context, bucket, key, bytes, metadata, presence,
                                      fault);
}
