#include "verify/finding.h"

#include <assert.h>
#include <stdlib.h>
#include <string.h>

// In the order of the enum.
static const struct {
    const char *name;
    enum finding_weight weight;
    const char *title;
    const char *meaning;
} kinds[] = {
    {"log-changed", FINDING_FAULT, "log file changed",
     "Its text has another hash than its digest says: it was changed after delivery."},
    {"log-missing", FINDING_FAULT, "log file missing",
     "A digest names it and it is not there: it was deleted or moved after delivery."},
    {"log-damaged", FINDING_FAULT, "log file damaged",
     "It is no whole gzip file any more: it was cut short, overwritten, or its disk fails."},
    {"unnamed", FINDING_FAULT, "file that no digest names",
     "It was put there by somebody else than the trail, or by a trail without digests."},
    {"digest-changed", FINDING_FAULT, "digest changed",
     "Its signature is not that of its text: it was changed after delivery, and what it says of "
     "log files is worth nothing."},
    {"digest-unsigned", FINDING_FAULT, "digest without signature",
     "The metadata with its signature are gone: it was copied without them, or put there by "
     "somebody else."},
    {"digest-damaged", FINDING_FAULT, "digest damaged",
     "It cannot be read as a digest: it was cut short or overwritten. Its log files cannot be "
     "checked."},
    {"digest-misplaced", FINDING_FAULT, "digest at the wrong place",
     "It says that it belongs elsewhere: it was copied or moved, perhaps in place of another."},
    {"digests-missing", FINDING_FAULT, "digests missing",
     "They were delivered, since the chain goes on behind them, and are not there: they were "
     "deleted."},
    {"digest-replaced", FINDING_FAULT, "another digest than was known",
     "What stands at its place is not what was delivered there."},
    {"digest-double", FINDING_FAULT, "two digests for one time",
     "Only one of them can belong to the chain: one was put there, or two collectors wrote."},
    {"key-unknown", FINDING_FAULT, "digest signed with an unknown key",
     "It was signed by somebody else, or the list of keys is not whole."},
    {"key-outdated", FINDING_FAULT, "digest signed with a key out of its time",
     "Somebody who has an old key may have made it."},
    {"link-hash", FINDING_FAULT, "digest names another text of the digest before it",
     "The digest before it was replaced by another one that is signed too."},
    {"link-signature", FINDING_FAULT, "digest names another signature of the digest before it",
     "The digest before it was signed anew."},
    {"time-gap", FINDING_FAULT, "time that no digest covers",
     "A digest does not begin where the one before it ends: what was delivered between is "
     "proven by nothing."},
    {"chain-ends", FINDING_FAULT, "chain ends too early",
     "The newest digests were deleted, or logging was stopped, or the collector does not deliver. "
     "--store or the collector's status tell which; --to says until when there should be any."},
    {"rolled-back", FINDING_FAULT, "older state than was known",
     "The newest files were deleted, or all was put back to an older copy."},
    {"chain-gone", FINDING_FAULT, "chain gone",
     "It was known and nothing of it is there: it was deleted, or this is another folder."},
    {"no-digests", FINDING_FAULT, "log files without any digest",
     "All digests of this account and region were deleted, or the trail makes none "
     "(EnableLogFileValidation)."},
    {"nothing-found", FINDING_FAULT, "nothing found",
     "No digest is there that was to be checked: nothing was verified."},
    {"record-missing", FINDING_FAULT, "event that no delivered file has",
     "The store has it, the trail selects it, and its time has been delivered: its file was "
     "deleted or changed."},
    {"record-unknown", FINDING_FAULT, "delivered event that the store does not have",
     "It was put into the file, or it was taken from the store, or this is not the store that "
     "the trail delivers from."},
    {"unproven", FINDING_UNCHECKED, "log files whose digests are missing",
     "No digest that is whole names them: they may be as they were delivered, changed, or put "
     "there."},
    {"unreadable", FINDING_UNCHECKED, "could not be read",
     "Nothing can be said of it until it can be."},
    {"elsewhere", FINDING_UNCHECKED, "in a bucket that is not at hand",
     "Verify a folder that holds both buckets."},
    {"restarted", FINDING_NOTE, "a chain begins anew",
     "Logging was stopped and started again, which the events StopLogging and StartLogging "
     "tell; or digests before it were deleted, which --store tells."},
    {"stands-still", FINDING_NOTE, "no new digests",
     "The store knows none behind it either: logging was stopped, or the collector does not "
     "deliver (its status and log tell)."},
};

static_assert(sizeof kinds / sizeof kinds[0] == FINDING_KINDS_COUNT, "one line a kind");

static bool grow(struct findings *findings) {
    uint32_t capacity = findings->capacity == 0 ? 16 : 2 * findings->capacity;
    struct finding *list = reallocarray(findings->list, capacity, sizeof *list);
    if (list == NULL) return false;
    findings->list = list;
    findings->capacity = capacity;
    return true;
}

static bool copy(struct arena *arena, struct finding *finding) {
    finding->detail = arena_copy_text(arena, span_text(finding->detail));
    return finding->detail != NULL && arena_copy(arena, finding->account, &finding->account) &&
           arena_copy(arena, finding->region, &finding->region) &&
           arena_copy(arena, finding->trail, &finding->trail) &&
           arena_copy(arena, finding->bucket, &finding->bucket) &&
           arena_copy(arena, finding->object, &finding->object);
}

void findings_add(struct findings *findings, const struct finding *finding) {
    struct finding kept = *finding;
    if (kept.count == 0) kept.count = 1;
    bool is_kept = findings->totals[kept.kind]++ < FINDINGS_KEPT_MAX;
    is_kept = is_kept && (findings->count < findings->capacity || grow(findings));
    // What there is no room for is counted all the same.
    if (is_kept && copy(findings->arena, &kept)) {
        findings->list[findings->count++] = kept;
    } else {
        findings->is_cut = true;
    }
}

void findings_done(struct findings *findings) {
    free(findings->list);
    findings->list = NULL;
    findings->count = findings->capacity = 0;
}

const char *finding_name(enum finding_kind kind) {
    return kinds[kind].name;
}

const char *finding_title(enum finding_kind kind) {
    return kinds[kind].title;
}

const char *finding_meaning(enum finding_kind kind) {
    return kinds[kind].meaning;
}

enum finding_weight finding_weigh(enum finding_kind kind) {
    return kinds[kind].weight;
}
