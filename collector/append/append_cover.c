// What a commit notes for coverage: of which account and region each record was, and what became of
// it.

#include <string.h>

#include "collector/append/append_commit_internal.h"

// Whose certificate it is: its account and region, as far as it names them.
static void read_certificate(const struct session *session, struct span *account,
                             struct span *region) {
    static const char account_mark[] = "/account/";
    static const char region_mark[] = "/region/";
    *account = (struct span){NULL, 0};
    *region = (struct span){NULL, 0};
    // The host is the organization: the path begins behind it, and parts hold no slash.
    const char *found = strstr(session->uri, account_mark);
    if (found == NULL) return;
    const char *name = found + sizeof account_mark - 1;
    *account = span_of(name, strcspn(name, "/"));
    found = strstr(name, region_mark);
    if (found == NULL) return;
    name = found + sizeof region_mark - 1;
    *region = span_of(name, strcspn(name, "/"));
}

void append_cover_record(struct append_commit *commit, const struct session *session,
                         const struct batch_event *event, enum trail_outcome outcome,
                         int64_t received_ms) {
    struct coverage_change change = {.received_ms = received_ms};
    char region[COVERAGE_REGION_SIZE];
    struct span account = event->account;
    struct span named = event->record.region;
    if (commit->options.coverage == NULL) return;
    if (event->reason == ADMIT_GOOD && outcome != TRAIL_CONFLICT) {
        change.event_time_s = event->record.event_time_s;
        change.stored = outcome == TRAIL_STORED;
        change.duplicates = outcome == TRAIL_DUPLICATE || outcome == TRAIL_VARIANT;
    } else {
        change.quarantined = 1;
        change.received_ms = 0;
        // What a record says of itself counts only if its agent may speak for that account.
        bool is_its = event->reason == ADMIT_GOOD || event->reason == ADMIT_UNDECIDED ||
                      event->reason == ADMIT_UNKNOWN_ACCOUNT;
        if (event->reason == ADMIT_UNKNOWN_ACCOUNT) account = event->record.recipient_account;
        if (!is_its || account.size == 0) read_certificate(session, &account, &named);
    }
    bool is_global = change.quarantined == 0 && event->record.is_global;
    coverage_name_region(named, is_global, region);
    coverage_note(commit->options.coverage, account, region, &change);
}

void append_cover_gap(struct append_commit *commit, const struct session *session,
                      uint64_t numbers) {
    const struct coverage_change change = {.gap_numbers = numbers};
    char region[COVERAGE_REGION_SIZE];
    struct span account;
    struct span named;
    if (commit->options.coverage == NULL) return;
    read_certificate(session, &account, &named);
    coverage_name_region(named, false, region);
    coverage_note(commit->options.coverage, account, region, &change);
}
