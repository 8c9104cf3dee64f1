// key.h: what makes two records the same event: (account, id, eventTime to the second).

#pragma once

#include <stdbool.h>
#include <stdint.h>

#include "base/fault.h"
#include "base/span.h"
#include "event/record.h"

enum {
    KEY_ACCOUNT_SIZE_MAX = 64,  // bytes; AWS accounts have 12 digits, private clouds what they like
};

struct key {
    uint8_t id[RECORD_ID_SIZE];
    int64_t event_time_s;
    uint8_t account_size;
    char account[KEY_ACCOUNT_SIZE_MAX];  // zero-filled behind account_size
};

// Whether both name the same event.
bool key_equal(const struct key *left, const struct key *right);

// The order people and files see: (eventTime, id, account): <0, 0, >0.
int key_compare(const struct key *left, const struct key *right);

// Whether text can be an account's id: 1 to KEY_ACCOUNT_SIZE_MAX bytes, and 12 digits if it has
// only digits, since that is an AWS account and any other number of them a slip. FAULT_INPUT.
MUST_CHECK bool key_check_account(const char *text, struct fault *fault);

// Builds a key. The account is at most KEY_ACCOUNT_SIZE_MAX bytes.
struct key key_of(const struct record *record, struct span account);
