#include "collector/control/roster_reload.h"

#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#include "base/buffer.h"
#include "base/log.h"
#include "collector/admit/admit.h"
#include "collector/append/append_quarantine.h"
#include "collector/control/settings_kept.h"
#include "collector/settings/settings_sums.h"
#include "storage/trail/trail_reader.h"

enum {
    NAMED_SIZE_MAX = 2048,      // bytes of the account ids that an own event names
    SUMS_SIZE_MAX = 16 * 1024,  // bytes of all settings' sums
};

bool roster_reload_init(struct roster_reload *reload, const char *path,
                        const struct settings *settings, struct fault *fault) {
    *reload = (struct roster_reload){.path = path, .started = settings};
    if (!roster_create(settings->accounts, settings->accounts_count, settings->unknown,
                       &reload->roster, fault)) {
        return false;
    }
    roster_live_init(&reload->live, reload->roster);
    return true;
}

void roster_reload_done(struct roster_reload *reload) {
    roster_destroy(reload->roster);
    settings_destroy(reload->settings);
}

// ---- what differs

static bool is_same_text(const char *left, const char *right) {
    return strcmp(left == NULL ? "" : left, right == NULL ? "" : right) == 0;
}

static bool is_same(const struct roster_account *left, const struct roster_account *right) {
    if (!is_same_text(left->name, right->name) || !is_same_text(left->unit, right->unit) ||
        left->regions_count != right->regions_count) {
        return false;
    }
    for (uint32_t index = 0; index < left->regions_count; index++) {
        if (strcmp(left->regions[index], right->regions[index]) != 0) return false;
    }
    return true;
}

static void name_account(struct buffer *named, char sign, const char *id) {
    if (named->size > 0) buffer_append_byte(named, ' ');
    buffer_print(named, "%c%s", sign, id);
}

// Counts what differs and names it: "+333333333333 -444444444444 *555555555555".
static void compare(const struct settings *old, const struct roster *old_roster,
                    const struct settings *new, const struct roster *new_roster,
                    struct roster_changes *changes, struct buffer *named) {
    *changes = (struct roster_changes){.accounts = new->accounts_count};
    for (uint32_t index = 0; index < new->accounts_count; index++) {
        const struct roster_account *account = &new->accounts[index];
        const struct roster_account *before = roster_find(old_roster, span_text(account->id));
        if (before == NULL) {
            changes->added++;
            name_account(named, '+', account->id);
        } else if (!is_same(before, account)) {
            changes->changed++;
            name_account(named, '*', account->id);
        }
    }
    for (uint32_t index = 0; index < old->accounts_count; index++) {
        const char *id = old->accounts[index].id;
        if (roster_find(new_roster, span_text(id)) != NULL) continue;
        changes->removed++;
        name_account(named, '-', id);
    }
}

// ---- records of accounts that were unknown

struct unknown {
    uint8_t (*keys)[TRAIL_REFUSED_KEY_SIZE];
    uint32_t count;
};

static bool on_entry(void *user, const struct trail_quarantined *entry) {
    struct unknown *unknown = user;
    if (strcmp(entry->reason, admit_reason_name(ADMIT_UNKNOWN_ACCOUNT)) != 0) return true;
    memcpy(unknown->keys[unknown->count++], entry->key, TRAIL_REFUSED_KEY_SIZE);
    return unknown->count < APPEND_QUARANTINE_KEYS_MAX;
}

static void on_retried(void *context, const struct append_quarantine_counts *counts,
                       const struct fault *fault) {
    (void)context;
    if (fault != NULL) {
        LOG(LOG_WARNING, "records of unknown accounts could not be received again",
            log_fault(fault), log_kind(fault));
        return;
    }
    LOG(LOG_INFO, "records of unknown accounts were received again",
        log_number("entries", (int64_t)counts->entries),
        log_number("admitted", (int64_t)counts->admitted),
        log_number("refused", (int64_t)(counts->unchanged + counts->other)));
}

// At most so many as one job takes; the others with the next reload, or by hand.
static bool retry_unknown(struct roster_reload *reload, struct server *server, const char *user,
                          uint64_t *retried, struct fault *fault) {
    struct trail_reader *reader = NULL;
    struct unknown unknown = {.keys = malloc(APPEND_QUARANTINE_KEYS_MAX * sizeof *unknown.keys)};
    if (unknown.keys == NULL) return fault_set(fault, FAULT_FULL, "no memory for a retry");
    bool is_good = trail_reader_open(reload->started->store_directory, &reader, fault) &&
                   trail_reader_quarantine(reader, on_entry, &unknown, fault);
    trail_reader_close(reader);
    if (is_good && unknown.count > 0) {
        const struct append_quarantine_options options = {
            .keys = (const uint8_t(*)[TRAIL_REFUSED_KEY_SIZE])unknown.keys,
            .keys_count = unknown.count,
            .user = user,
            .organization = reload->started->organization,
            .roster = &reload->live,
            .future_max_s = (int64_t)reload->started->future_max_hours * 3600,
            .done = on_retried,
        };
        is_good = append_quarantine_submit(server_append(server), &options, fault);
    }
    if (is_good) *retried = unknown.count;
    free(unknown.keys);
    return is_good;
}

// ---- the reload

// Names the settings that differ from those of the start, the roster's apart.
static void name_waiting(const struct roster_reload *reload, const struct settings *settings,
                         const char *user, struct roster_changes *changes) {
    struct buffer before, now, names;
    buffer_init(&before, SUMS_SIZE_MAX);
    buffer_init(&now, SUMS_SIZE_MAX);
    buffer_init(&names, sizeof changes->waiting - 1);
    settings_sums_print(reload->started, settings, &before);
    settings_sums_print(settings, settings, &now);
    settings_sums_compare(buffer_span(&before), buffer_span(&now), &names);
    snprintf(changes->waiting, sizeof changes->waiting, "%.*s", (int)names.size,
             names.size == 0 ? "" : (const char *)names.bytes);
    buffer_done(&names);
    buffer_done(&now);
    buffer_done(&before);
    if (changes->waiting[0] == '\0') return;
    LOG(LOG_WARNING, "settings changed that take effect only at the next start",
        log_text("settings", changes->waiting), log_text("user", user));
}

static void tell(struct server *server, const char *user, const struct roster_changes *changes,
                 const struct buffer *named) {
    if (changes->added + changes->removed + changes->changed == 0) return;
    const struct own_event_detail details[] = {
        {"user", span_text(user), 0},
        {"accounts", {NULL, 0}, changes->accounts},
        {"added", {NULL, 0}, changes->added},
        {"removed", {NULL, 0}, changes->removed},
        {"changed", {NULL, 0}, changes->changed},
        {"detail", buffer_span(named), 0},
    };
    notes_add(server_notes(server), "RosterChanged", (struct span){NULL, 0}, details, 6);
}

static void replace(struct roster_reload *reload, struct settings *settings,
                    struct roster *roster) {
    const struct roster *old = roster_live_replace(&reload->live, roster);
    if (old != reload->roster) abort();
    roster_destroy(reload->roster);
    settings_destroy(reload->settings);
    reload->roster = roster;
    reload->settings = settings;
}

bool roster_reload_now(struct roster_reload *reload, struct server *server, const char *user,
                       struct roster_changes *changes, struct fault *fault) {
    struct settings *settings = NULL;
    struct roster *roster = NULL;
    if (!settings_load(reload->path, &settings, fault)) return false;
    if (!roster_create(settings->accounts, settings->accounts_count, settings->unknown, &roster,
                       fault)) {
        settings_destroy(settings);
        return fault_add(fault, "%s", reload->path);
    }
    struct buffer named;
    buffer_init(&named, NAMED_SIZE_MAX);
    compare(reload->settings == NULL ? reload->started : reload->settings, reload->roster, settings,
            roster, changes, &named);
    replace(reload, settings, roster);
    tell(server, user, changes, &named);
    settings_kept_save(reload->started, settings, server);
    buffer_done(&named);
    LOG(LOG_INFO, "roster reloaded", log_text("user", user),
        log_number("accounts", changes->accounts), log_number("added", changes->added),
        log_number("removed", changes->removed), log_number("changed", changes->changed));
    name_waiting(reload, settings, user, changes);
    struct fault reason;
    if (!retry_unknown(reload, server, user, &changes->retried, &reason)) {
        LOG(LOG_WARNING, "records of unknown accounts could not be received again",
            log_fault(&reason), log_kind(&reason));
    }
    return true;
}
