#include "event/key.h"

#include <assert.h>
#include <string.h>

enum { AWS_ACCOUNT_DIGITS = 12 };

bool key_equal(const struct key *left, const struct key *right) {
    return left->event_time_s == right->event_time_s &&
           memcmp(left->id, right->id, sizeof left->id) == 0 &&
           left->account_size == right->account_size &&
           memcmp(left->account, right->account, left->account_size) == 0;
}

int key_compare(const struct key *left, const struct key *right) {
    if (left->event_time_s != right->event_time_s) {
        return left->event_time_s < right->event_time_s ? -1 : 1;
    }
    int order = memcmp(left->id, right->id, sizeof left->id);
    if (order != 0) return order;
    return span_compare(span_of(left->account, left->account_size),
                        span_of(right->account, right->account_size));
}

bool key_check_account(const char *text, struct fault *fault) {
    size_t size = strlen(text);
    size_t digits = strspn(text, "0123456789");
    if (size == 0 || size > KEY_ACCOUNT_SIZE_MAX) {
        return fault_set(fault, FAULT_INPUT, "account \"%.80s\": 1 to %d bytes are allowed", text,
                         KEY_ACCOUNT_SIZE_MAX);
    }
    if (digits < size || digits == AWS_ACCOUNT_DIGITS) return true;
    return fault_set(fault, FAULT_INPUT,
                     "account \"%s\": an AWS account has %d digits, this has %zu", text,
                     AWS_ACCOUNT_DIGITS, digits);
}

struct key key_of(const struct record *record, struct span account) {
    assert(account.size <= KEY_ACCOUNT_SIZE_MAX);
    struct key key = {.event_time_s = record->event_time_s, .account_size = (uint8_t)account.size};
    memcpy(key.id, record->id, sizeof key.id);
    if (account.size > 0) memcpy(key.account, account.bytes, account.size);
    return key;
}
