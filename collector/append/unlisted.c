#include "collector/append/unlisted.h"

#include <assert.h>
#include <stdlib.h>
#include <string.h>

#include "event/key.h"

struct account {
    uint8_t bytes[KEY_ACCOUNT_SIZE_MAX];
    size_t size;
};

struct unlisted {
    struct account accounts[UNLISTED_ACCOUNTS_MAX];
    uint32_t known_count;  // told in commits that are durable
    uint32_t count;        // with those of this commit
};

struct unlisted *unlisted_create(void) {
    return calloc(1, sizeof(struct unlisted));
}

void unlisted_destroy(struct unlisted *unlisted) {
    free(unlisted);
}

void unlisted_note(struct unlisted *unlisted, struct span account) {
    assert(account.size <= KEY_ACCOUNT_SIZE_MAX);
    for (uint32_t index = 0; index < unlisted->count; index++) {
        const struct account *known = &unlisted->accounts[index];
        if (span_equal(span_of(known->bytes, known->size), account)) return;
    }
    if (unlisted->count == UNLISTED_ACCOUNTS_MAX) return;
    if (unlisted_new_count(unlisted) == UNLISTED_NEW_MAX) return;
    struct account *added = &unlisted->accounts[unlisted->count++];
    memcpy(added->bytes, account.bytes, account.size);
    added->size = account.size;
}

uint32_t unlisted_new_count(const struct unlisted *unlisted) {
    return unlisted->count - unlisted->known_count;
}

struct span unlisted_new(const struct unlisted *unlisted, uint32_t index) {
    assert(index < unlisted_new_count(unlisted));
    const struct account *account = &unlisted->accounts[unlisted->known_count + index];
    return span_of(account->bytes, account->size);
}

void unlisted_keep(struct unlisted *unlisted) {
    unlisted->known_count = unlisted->count;
}

void unlisted_undo(struct unlisted *unlisted) {
    unlisted->count = unlisted->known_count;
}
