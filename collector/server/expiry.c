#include "collector/server/expiry.h"

#include <inttypes.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#include "base/clock.h"
#include "base/log.h"
#include "collector/metrics.h"

enum { GROWTH = 64, VALUE_SIZE_MAX = 4096 };

struct entry {
    struct seen seen;
    bool is_present;        // CAs: among those accepted
    int64_t changed_at_ms;  // monotonic: when a change was told last; 0: not in this process
};

struct expiry {
    struct notes *notes;
    struct entry *entries;
    uint32_t count;
    uint32_t capacity;
    bool was_own_seen;
};

// Days before an end at which it is told, nearest last.
static const int32_t marks[] = {SEEN_WARN_DAYS, 7, 1, 0};

struct expiry *expiry_create(struct notes *notes) {
    struct expiry *expiry = calloc(1, sizeof *expiry);
    if (expiry != NULL) expiry->notes = notes;
    return expiry;
}

void expiry_destroy(struct expiry *expiry) {
    if (expiry == NULL) return;
    free(expiry->entries);
    free(expiry);
}

// A place for another subject, or NULL.
static struct entry *add_entry(struct expiry *expiry) {
    if (expiry->count == EXPIRY_SUBJECTS_MAX) return NULL;
    if (expiry->count == expiry->capacity) {
        uint32_t larger = expiry->capacity + GROWTH;
        struct entry *grown = realloc(expiry->entries, larger * sizeof *grown);
        if (grown == NULL) return NULL;
        expiry->entries = grown;
        expiry->capacity = larger;
    }
    struct entry *entry = &expiry->entries[expiry->count++];
    *entry = (struct entry){0};
    return entry;
}

static struct entry *find_entry(struct expiry *expiry, enum seen_kind kind, const char *subject) {
    for (uint32_t index = 0; index < expiry->count; index++) {
        struct entry *entry = &expiry->entries[index];
        if (entry->seen.kind == kind && strcmp(entry->seen.subject, subject) == 0) return entry;
    }
    return NULL;
}

static bool on_loaded(void *user, const struct seen *seen) {
    struct expiry *expiry = user;
    struct entry *entry = add_entry(expiry);
    if (entry != NULL) entry->seen = *seen;
    return entry != NULL;
}

bool expiry_load(struct expiry *expiry, struct trail_reader *reader, struct fault *fault) {
    return seen_list(reader, on_loaded, expiry, fault);
}

// --- telling

// Notes an event, unless it is NULL, and what is to be kept with it, or that it is not any more.
static void tell(struct expiry *expiry, const char *event, const struct own_event_detail *details,
                 uint32_t details_count, const struct seen *seen, bool is_kept) {
    char name[SEEN_NAME_SIZE];
    struct buffer value;
    buffer_init(&value, VALUE_SIZE_MAX);
    seen_print_name(seen, name);
    if (is_kept) seen_print(seen, &value);
    const struct note_document document = {span_text(name), buffer_span(&value)};
    // What is lost is counted; the next start sees it again.
    (void)notes_add_kept(expiry->notes, event, details, details_count, &document);
    buffer_done(&value);
}

static struct own_event_detail detail(const char *name, const char *text) {
    return (struct own_event_detail){name, span_text(text), 0};
}

// Keeps what is known of a subject now, and tells the change unless change is NULL.
static void tell_change(struct expiry *expiry, const struct seen *seen, const char *change,
                        const char *before, bool is_kept) {
    char not_after[TIME_TEXT_SIZE];
    time_print(seen->not_after_s, not_after);
    const struct own_event_detail details[] = {
        detail("change", change == NULL ? "" : change),
        detail("subject", seen->subject),
        detail("serial", seen->serial),
        detail("fingerprint", seen->fingerprint),
        detail("notAfter", not_after),
        detail("serialBefore", before),
    };
    tell(expiry, change == NULL ? NULL : "CertificateChanged", details, before[0] == 0 ? 5 : 6,
         seen, is_kept);
    if (change == NULL) return;
    LOG(LOG_INFO, "a certificate changed", log_text("change", change),
        log_text("subject", seen->subject), log_text("serial", seen->serial),
        log_text("fingerprint", seen->fingerprint), log_text("not_after", not_after));
}

static void tell_end(struct expiry *expiry, const struct seen *seen, int64_t now_s) {
    char not_after[TIME_TEXT_SIZE];
    time_print(seen->not_after_s, not_after);
    int64_t left_s = seen->not_after_s - now_s;
    const struct own_event_detail details[] = {
        detail("kind", seen_kind_name(seen->kind)),
        detail("subject", seen->subject),
        detail("serial", seen->serial),
        detail("fingerprint", seen->fingerprint),
        detail("notAfter", not_after),
        {"daysBefore", {NULL, 0}, (uint64_t)seen->told_days},
    };
    tell(expiry, "CertificateExpires", details, sizeof details / sizeof details[0], seen, true);
    LOG(seen->told_days > 1 ? LOG_WARNING : LOG_ERROR,
        left_s > 0 ? "a certificate expires soon" : "a certificate has expired",
        log_text("kind", seen_kind_name(seen->kind)), log_text("subject", seen->subject),
        log_text("not_after", not_after), log_number("seconds_left", left_s));
}

// --- seeing

// Whether a change of a subject is to be told: not its first certificate, and not one that comes
// and goes every other second.
static bool is_change(struct entry *entry, int64_t monotonic_ms) {
    if (entry->seen.serial[0] == 0) return false;
    bool is_told =
        entry->changed_at_ms == 0 || monotonic_ms - entry->changed_at_ms >= EXPIRY_CHANGE_MS;
    if (is_told) entry->changed_at_ms = monotonic_ms;
    return is_told;
}

static struct entry *see(struct expiry *expiry, enum seen_kind kind, const char *subject,
                         const struct certificate_facts *facts) {
    struct entry *entry = find_entry(expiry, kind, subject);
    if (entry == NULL) entry = add_entry(expiry);
    if (entry == NULL) return NULL;
    entry->seen = (struct seen){.kind = kind, .not_after_s = facts->not_after_s, .told_days = -1};
    snprintf(entry->seen.subject, sizeof entry->seen.subject, "%s", subject);
    snprintf(entry->seen.serial, sizeof entry->seen.serial, "%s", facts->serial);
    certificate_print_fingerprint(facts, entry->seen.fingerprint);
    return entry;
}

static bool is_known(struct expiry *expiry, enum seen_kind kind, const char *subject,
                     const struct certificate_facts *facts) {
    char fingerprint[CERTIFICATE_FINGERPRINT_TEXT_SIZE];
    const struct entry *entry = find_entry(expiry, kind, subject);
    certificate_print_fingerprint(facts, fingerprint);
    return entry != NULL && strcmp(entry->seen.fingerprint, fingerprint) == 0;
}

// Lets go of the entry at this place; the last one takes it.
static void forget(struct expiry *expiry, uint32_t index, const char *change) {
    tell_change(expiry, &expiry->entries[index].seen, change, "", false);
    expiry->entries[index] = expiry->entries[--expiry->count];
}

void expiry_see_agent(struct expiry *expiry, const struct certificate_facts *facts,
                      int64_t monotonic_ms) {
    if (is_known(expiry, SEEN_AGENT, facts->uri, facts)) return;
    char before[SEEN_SERIAL_SIZE] = "";
    struct entry *entry = find_entry(expiry, SEEN_AGENT, facts->uri);
    bool is_told = entry != NULL && is_change(entry, monotonic_ms);
    if (entry != NULL) snprintf(before, sizeof before, "%s", entry->seen.serial);
    entry = see(expiry, SEEN_AGENT, facts->uri, facts);
    if (entry != NULL) tell_change(expiry, &entry->seen, is_told ? "agent" : NULL, before, true);
}

static void see_ca(struct expiry *expiry, const struct certificate_facts *ca, const char *change) {
    char subject[SEEN_SUBJECT_SIZE];
    snprintf(subject, sizeof subject, "%s %.8s", ca->common_name, ca->serial);
    bool is_new = !is_known(expiry, SEEN_CA, subject, ca);
    struct entry *entry =
        is_new ? see(expiry, SEEN_CA, subject, ca) : find_entry(expiry, SEEN_CA, subject);
    if (entry == NULL) return;
    entry->is_present = true;
    if (is_new) tell_change(expiry, &entry->seen, change, "", true);
}

void expiry_see_own(struct expiry *expiry, const struct certificate_facts *own,
                    const struct certificate_facts *cas, uint32_t cas_count) {
    const struct entry *known = find_entry(expiry, SEEN_COLLECTOR, "collector");
    // At a reload whoever asked for it is told with the change (reload.h).
    bool is_told = known != NULL && !expiry->was_own_seen;
    expiry->was_own_seen = true;
    if (!is_known(expiry, SEEN_COLLECTOR, "collector", own)) {
        char before[SEEN_SERIAL_SIZE] = "";
        if (known != NULL) snprintf(before, sizeof before, "%s", known->seen.serial);
        const struct entry *entry = see(expiry, SEEN_COLLECTOR, "collector", own);
        if (entry == NULL) return;
        tell_change(expiry, &entry->seen, is_told ? "collector" : NULL, before, true);
    }
    for (uint32_t index = 0; index < expiry->count; index++) {
        expiry->entries[index].is_present = false;
    }
    for (uint32_t index = 0; index < cas_count; index++) {
        see_ca(expiry, &cas[index], is_told ? "ca_added" : NULL);
    }
    for (uint32_t index = expiry->count; index > 0; index--) {
        const struct entry *entry = &expiry->entries[index - 1];
        if (entry->seen.kind != SEEN_CA || entry->is_present) continue;
        forget(expiry, index - 1, is_told ? "ca_removed" : NULL);
    }
}

// --- the passing of time

// The nearest mark that is reached, or -1.
static int32_t find_mark(int64_t left_s) {
    int32_t found = -1;
    for (size_t index = 0; index < sizeof marks / sizeof marks[0]; index++) {
        if (left_s <= marks[index] * (int64_t)CERTIFICATE_DAY_S) found = marks[index];
    }
    return found;
}

static void measure(const struct seen *seen, int64_t left_s, int64_t *ca_left_s) {
    struct metric *gauge = &metrics_table[METRICS_CERTIFICATE_LEFT];
    if (seen->kind == SEEN_CA) {
        if (left_s < *ca_left_s) *ca_left_s = left_s;
    } else {
        metric_set(gauge, metric_label(gauge, span_text(seen->subject)), left_s);
    }
}

void expiry_step(struct expiry *expiry, int64_t now_s) {
    int64_t ca_left_s = INT64_MAX;
    for (uint32_t index = expiry->count; index > 0; index--) {
        struct seen *seen = &expiry->entries[index - 1].seen;
        int64_t left_s = seen->not_after_s - now_s;
        int32_t mark = find_mark(left_s);
        measure(seen, left_s, &ca_left_s);
        if (mark >= 0 && (seen->told_days < 0 || mark < seen->told_days)) {
            seen->told_days = mark;
            tell_end(expiry, seen, now_s);
        }
        bool is_gone = left_s < -EXPIRY_FORGET_DAYS * (int64_t)CERTIFICATE_DAY_S;
        if (is_gone && seen->kind == SEEN_AGENT) forget(expiry, index - 1, NULL);
    }
    struct metric *gauge = &metrics_table[METRICS_CERTIFICATE_LEFT];
    // Of several CAs the one that ends first.
    if (ca_left_s != INT64_MAX) {
        metric_set(gauge, metric_label(gauge, SPAN_LITERAL("ca")), ca_left_s);
    }
}
