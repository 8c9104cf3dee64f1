#include "collector/admit/admit.h"

#include <assert.h>
#include <strings.h>

#include "base/clock.h"
#include "event/key.h"

static const struct span OWN_SOURCE = {(const uint8_t *)"orgtrail.local", 14};

const char *admit_reason_name(enum admit_reason reason) {
    switch (reason) {
        case ADMIT_GOOD:
            return "good";
        case ADMIT_INVALID_JSON:
        case ADMIT_NOT_AN_OBJECT:
        case ADMIT_DUPLICATE_MEMBER:
        case ADMIT_TOO_LARGE:
        case ADMIT_NO_EVENT_TIME:
        case ADMIT_NO_EVENT_SOURCE:
        case ADMIT_NO_EVENT_NAME:
        case ADMIT_BAD_EVENT_ID:
        case ADMIT_WRONG_TYPE:
            return record_refusal_name((enum record_refusal)reason);
        case ADMIT_RESERVED_SOURCE:
            return "reserved_source";
        case ADMIT_FUTURE:
            return "future";
        case ADMIT_NO_ACCOUNT:
            return "no_account";
        case ADMIT_BAD_ACCOUNT:
            return "bad_account";
        case ADMIT_IDENTITY:
            return "identity";
        case ADMIT_UNKNOWN_ACCOUNT:
            return "unknown_account";
        case ADMIT_CONFLICT:
            return "conflict";
        case ADMIT_UNDECIDED:
            return "undecided";
        case ADMIT_NOTICE:
            return "notice";
        case ADMIT_BAD_NOTICE:
            return "bad_notice";
        case ADMIT_REASONS:
            break;
    }
    assert(false);
    return "";
}

struct span admit_object_account(struct span object) {
    const struct span none = {NULL, 0};
    bool is_after = false;
    while (object.size > 0) {
        size_t size = span_find(object, '/');
        struct span part = span_of(object.bytes, size);
        // A folder has something behind it: the object's own name is no account.
        if (size == object.size) return none;
        object = span_from(object, size + 1);
        if (!is_after) {
            is_after = span_is(part, "AWSLogs");
        } else if (!span_starts(part, SPAN_LITERAL("o-"))) {
            return part.size == 0 ? none : part;
        }
    }
    return none;
}

// The account rule: the record's own word, then the certificate's, then the object's folder, then
// the caller's account. docs/collector.md has the reasons.
static struct span find_account(const struct grant *grant, const struct record *record,
                                struct span object) {
    if (record->recipient_account.size > 0) return record->recipient_account;
    if (!grant->is_organization) return span_text(grant->account);
    struct span folder = admit_object_account(object);
    if (folder.size > 0) return folder;
    return record->identity_account;
}

// Whether a text reads as the name of our own events: case, and what cannot be seen at its ends,
// make no difference.
static bool is_own(struct span text) {
    while (text.size > 0 && (text.bytes[0] <= ' ' || text.bytes[0] >= 0x7f)) {
        text = span_from(text, 1);
    }
    while (text.size > 0 &&
           (text.bytes[text.size - 1] <= ' ' || text.bytes[text.size - 1] >= 0x7f)) {
        text.size--;
    }
    return text.size == OWN_SOURCE.size &&
           strncasecmp((const char *)text.bytes, (const char *)OWN_SOURCE.bytes, text.size) == 0;
}

static const char *check_source_and_time(const struct admit_rules *rules,
                                         const struct record *record, int64_t now_s,
                                         struct arena *arena, enum admit_reason *reason) {
    // Whoever reads the record later may look at either source.
    if (is_own(record->event_source) || is_own(record->other_source)) {
        *reason = ADMIT_RESERVED_SOURCE;
        return "eventSource orgtrail.local is reserved for the collector's own events";
    }
    if (is_own(record->identity_invoked_by)) {
        *reason = ADMIT_RESERVED_SOURCE;
        return "userIdentity.invokedBy orgtrail.local is reserved for the collector's own events";
    }
    if (record->event_time_s > now_s + rules->future_max_s) {
        char time[TIME_TEXT_SIZE], now[TIME_TEXT_SIZE];
        time_print(record->event_time_s, time);
        time_print(now_s, now);
        *reason = ADMIT_FUTURE;
        return arena_print(arena,
                           "eventTime %s is more than %lld s ahead of the collector's clock, "
                           "%s",
                           time, (long long)rules->future_max_s, now);
    }
    *reason = ADMIT_GOOD;
    return "";
}

static const char *check_grant(const struct grant *grant, const struct record *record,
                               struct span account, struct arena *arena,
                               enum admit_reason *reason) {
    *reason = ADMIT_IDENTITY;
    if (!grant->is_organization && !span_is(account, grant->account)) {
        return arena_print(arena,
                           "the record is of account %.*s, the certificate is for account %s",
                           SPAN_PRINT(account), grant->account);
    }
    bool is_elsewhere = grant->region[0] != '\0' && record->region.size > 0 &&
                        !span_is(record->region, grant->region);
    if (is_elsewhere && !record->is_global) {
        struct span region = record->region;
        if (region.size > GRANT_REGION_SIZE) region.size = GRANT_REGION_SIZE;
        return arena_print(arena,
                           "the record is of region %.*s and of no global service, the certificate "
                           "is for region %s",
                           SPAN_PRINT(region), grant->region);
    }
    *reason = ADMIT_GOOD;
    return "";
}

static const char *check_account(const struct admit_rules *rules, const struct record *record,
                                 struct span object, struct arena *arena,
                                 struct admit_answer *answer) {
    struct span account = find_account(rules->grant, record, object);
    if (account.size == 0) {
        answer->reason = ADMIT_NO_ACCOUNT;
        return "no recipientAccountId, no account folder in the object's key and no "
               "userIdentity.accountId";
    }
    if (account.size > KEY_ACCOUNT_SIZE_MAX) {
        answer->reason = ADMIT_BAD_ACCOUNT;
        return arena_print(arena, "the account has %zu bytes, more than %d", account.size,
                           KEY_ACCOUNT_SIZE_MAX);
    }
    const char *detail = check_grant(rules->grant, record, account, arena, &answer->reason);
    if (answer->reason != ADMIT_GOOD) return detail;

    answer->is_unlisted = roster_find(rules->roster, account) == NULL;
    if (answer->is_unlisted &&
        !roster_admits_unknown(rules->roster, rules->grant->is_organization)) {
        answer->reason = ADMIT_UNKNOWN_ACCOUNT;
        return arena_print(arena, "account %.*s is not in the roster: add it to roster.accounts",
                           SPAN_PRINT(account));
    }
    answer->account = account;
    return "";
}

bool admit_record(const struct admit_rules *rules, const struct record *record, struct span object,
                  int64_t now_s, struct arena *arena, struct admit_answer *answer,
                  struct fault *fault) {
    struct admit_answer made = {0};
    const char *detail = check_source_and_time(rules, record, now_s, arena, &made.reason);
    if (made.reason == ADMIT_GOOD) detail = check_account(rules, record, object, arena, &made);
    if (detail == NULL) return fault_set(fault, FAULT_FULL, "no memory to say what is refused");
    if (made.reason != ADMIT_GOOD) made.detail = detail;
    *answer = made;
    return true;
}
