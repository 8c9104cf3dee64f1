#include "collector/admit/roster.h"

#include <assert.h>
#include <stdlib.h>

#include "base/hash.h"
#include "event/key.h"

struct roster {
    const struct roster_account *accounts;
    uint32_t accounts_count;
    enum roster_unknown unknown;
    uint32_t mask;
    uint32_t slots[];  // index + 1 of an account, at its hash or behind; 0: free
};

// The slot that holds the id, or the free one where it belongs.
static uint32_t find_slot(const struct roster *roster, struct span id) {
    uint32_t slot = (uint32_t)hash_plain(id) & roster->mask;
    while (roster->slots[slot] != 0 && !span_is(id, roster->accounts[roster->slots[slot] - 1].id)) {
        slot = (slot + 1) & roster->mask;
    }
    return slot;
}

bool roster_create(const struct roster_account *accounts, uint32_t accounts_count,
                   enum roster_unknown unknown, struct roster **roster, struct fault *fault) {
    if (accounts_count > ROSTER_ACCOUNTS_MAX) {
        return fault_set(fault, FAULT_INPUT, "the roster has more than %d accounts",
                         ROSTER_ACCOUNTS_MAX);
    }
    uint32_t slots_count = 16;
    while (slots_count < accounts_count * 2) slots_count *= 2;
    struct roster *made = calloc(1, sizeof *made + slots_count * sizeof made->slots[0]);
    if (made == NULL) return fault_set(fault, FAULT_FULL, "no memory for the roster");
    made->accounts = accounts;
    made->accounts_count = accounts_count;
    made->unknown = unknown;
    made->mask = slots_count - 1;

    for (uint32_t index = 0; index < accounts_count; index++) {
        struct span id = span_text(accounts[index].id);
        uint32_t slot = find_slot(made, id);
        bool is_good = true;
        if (id.size == 0) {
            is_good = fault_set(fault, FAULT_INPUT, "account %u of the roster has an empty id",
                                index + 1);
        } else if (id.size > KEY_ACCOUNT_SIZE_MAX) {
            is_good = fault_set(fault, FAULT_INPUT,
                                "account %u of the roster has an id longer than %d bytes",
                                index + 1, KEY_ACCOUNT_SIZE_MAX);
        } else if (made->slots[slot] != 0) {
            is_good = fault_set(fault, FAULT_INPUT, "the roster lists account %s twice",
                                accounts[index].id);
        }
        if (!is_good) {
            free(made);
            return false;
        }
        made->slots[slot] = index + 1;
    }
    *roster = made;
    return true;
}

void roster_destroy(struct roster *roster) {
    free(roster);
}

const struct roster_account *roster_find(const struct roster *roster, struct span id) {
    uint32_t found = roster->slots[find_slot(roster, id)];
    return found == 0 ? NULL : &roster->accounts[found - 1];
}

uint32_t roster_count(const struct roster *roster) {
    return roster->accounts_count;
}

const struct roster_account *roster_get(const struct roster *roster, uint32_t index) {
    assert(index < roster->accounts_count);
    return &roster->accounts[index];
}

bool roster_admits_unknown(const struct roster *roster, bool from_organization) {
    switch (roster->unknown) {
        case ROSTER_UNKNOWN_QUARANTINE:
            return false;
        case ROSTER_UNKNOWN_ADMIT:
            return true;
        case ROSTER_UNKNOWN_DEFAULT:
            return from_organization;
    }
    assert(false);
    return false;
}
