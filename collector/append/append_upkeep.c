#include "collector/append/append_upkeep.h"

#include <stdlib.h>
#include <string.h>

#include "base/log.h"
#include "collector/append/append_readers.h"
#include "collector/append/append_scan.h"
#include "collector/metrics.h"
#include "storage/trail/trail_followers.h"
#include "storage/trail/trail_retention.h"

struct append_upkeep {
    struct append_upkeep_options options;
    int64_t due_ms;        // monotonic
    int64_t retention_ms;  // when to look for a day next
    int64_t sweep_ms;      // when to give back room of dropped days next, needed or not
    bool is_short;         // there was no room for the last unit
    bool has_told_origin;
    struct append_scan *scan;
    struct append_readers *readers;
    char told_follower[TRAIL_FOLLOWER_NAME_SIZE];  // whose holding back was told last
    int64_t told_ms;
};

static int64_t monotonic_ms(const struct append_upkeep *upkeep) {
    return upkeep->options.clock->monotonic_ms(upkeep->options.clock->context);
}

static int64_t now_ms(const struct append_upkeep *upkeep) {
    return upkeep->options.clock->now_ms(upkeep->options.clock->context);
}

struct append_upkeep *append_upkeep_create(const struct append_upkeep_options *options) {
    struct append_upkeep *upkeep = calloc(1, sizeof *upkeep);
    if (upkeep == NULL) return NULL;
    upkeep->options = *options;
    upkeep->scan = append_scan_create(options->trail, options->commit, options->clock);
    upkeep->readers = append_readers_create(options->trail, options->commit, options->clock);
    if (upkeep->scan == NULL || upkeep->readers == NULL) {
        append_upkeep_destroy(upkeep);
        return NULL;
    }
    metric_set(&metrics_table[METRICS_RETAINED_FROM], 0, trail_retained_from(options->trail));
    return upkeep;
}

void append_upkeep_destroy(struct append_upkeep *upkeep) {
    if (upkeep == NULL) return;
    append_scan_destroy(upkeep->scan);
    append_readers_destroy(upkeep->readers);
    free(upkeep);
}

// Events before this second are to go; 0: none are.
static int64_t choose_target(const struct append_upkeep *upkeep) {
    int64_t days = upkeep->options.retention_days;
    int64_t today_s = trail_newest_received_s(upkeep->options.trail);
    if (now_ms(upkeep) / 1000 < today_s) today_s = now_ms(upkeep) / 1000;
    if (days == 0 || today_s < days * TRAIL_DAY_S) return 0;
    return (time_day(today_s) - days) * TRAIL_DAY_S;
}

// Tells when there is no room for upkeep itself, and when there is again.
static void set_short(struct append_upkeep *upkeep, const struct fault *reason) {
    bool is_short = reason != NULL;
    if (upkeep->is_short == is_short) return;
    upkeep->is_short = is_short;
    if (is_short) LOG(LOG_ERROR, "the store has no room for its own upkeep", log_fault(reason));
}

// The day as people write it, "2026-01-31".
static struct span print_day(const struct trail_day *day, char text[TIME_TEXT_SIZE]) {
    time_print(day->from_s, text);
    return span_of(text, TIME_DAY_TEXT_SIZE);
}

static bool tell_dropped(struct append_upkeep *upkeep, const struct trail_day *day,
                         struct fault *fault) {
    char text[TIME_TEXT_SIZE];
    const struct own_event_detail details[] = {
        {"day", print_day(day, text), 0},
        {"events", {NULL, 0}, day->events},
        {"blocks", {NULL, 0}, day->blocks},
        {"bytes", {NULL, 0}, day->size},
        {"retentionDays", {NULL, 0}, upkeep->options.retention_days},
    };
    return append_commit_add_own_event(upkeep->options.commit, "DayDropped", details,
                                       sizeof details / sizeof details[0], fault);
}

static bool try_retain(struct append_upkeep *upkeep, int64_t from_s, const struct trail_day *day,
                       struct append_commit_counts *counts, struct fault *fault) {
    struct append_commit *commit = upkeep->options.commit;
    if (!append_commit_begin(commit, true, fault)) return false;
    if (!trail_retain(upkeep->options.trail, from_s, fault) ||
        (day != NULL && !tell_dropped(upkeep, day, fault))) {
        return append_commit_abort(commit);
    }
    return append_commit_finish(commit, counts, fault);
}

// Moves retained_from in a commit of its own, which tells of the day with events that goes, if one
// does. *is_done false: there was no room.
static bool retain(struct append_upkeep *upkeep, int64_t from_s, const struct trail_day *day,
                   bool *is_done, struct fault *fault) {
    struct append_commit_counts counts;
    struct fault reason;
    *is_done = try_retain(upkeep, from_s, day, &counts, &reason);
    if (!*is_done) {
        if (reason.kind != FAULT_FULL) return fault_set(fault, reason.kind, "%s", reason.text);
        set_short(upkeep, &reason);
        return true;
    }
    metric_add(&metrics_table[METRICS_OWN_EVENTS], 0, (int64_t)counts.own_events);
    metric_set(&metrics_table[METRICS_RETAINED_FROM], 0, from_s);
    return true;
}

static void report_dropped(const struct trail_day *day) {
    char text[TIME_TEXT_SIZE];
    metric_add(&metrics_table[METRICS_DROPPED_DAYS], 0, 1);
    metric_add(&metrics_table[METRICS_DROPPED_EVENTS], 0, (int64_t)day->events);
    LOG(LOG_INFO, "a day was dropped, as retention_days says",
        (struct log_field){"day", print_day(day, text), 0},
        log_number("events", (int64_t)day->events), log_number("bytes", (int64_t)day->size));
}

// Tells of a stuck follower in a commit of its own. Without room it is told later.
static bool tell_held(struct append_upkeep *upkeep, const struct trail_follower *holder,
                      const struct trail_day *day, bool *is_told, struct fault *fault) {
    struct append_commit *commit = upkeep->options.commit;
    struct append_commit_counts counts;
    char text[TIME_TEXT_SIZE];
    char moved[TIME_TEXT_SIZE];
    time_print_ms(holder->moved_ms, moved);
    const struct own_event_detail details[] = {
        {"follower", span_text(holder->name), 0},
        {"day", print_day(day, text), 0},
        {"behind", {NULL, 0}, day->sequence_last - holder->sequence},
        {"movedTime", span_text(moved), 0},
    };
    struct fault reason;
    bool is_begun = append_commit_begin(commit, true, &reason);
    *is_told =
        is_begun && append_commit_add_own_event(commit, "FollowerStuck", details, 4, &reason);
    if (is_begun && !*is_told) append_commit_abort(commit);
    *is_told = *is_told && append_commit_finish(commit, &counts, &reason);
    if (!*is_told)
        return reason.kind == FAULT_FULL || fault_set(fault, reason.kind, "%s", reason.text);
    metric_add(&metrics_table[METRICS_OWN_EVENTS], 0, (int64_t)counts.own_events);
    LOG(LOG_WARNING, "a day that should be dropped waits for a follower that does not move",
        log_text("follower", holder->name), (struct log_field){"day", details[1].text, 0},
        log_number("behind_events", (int64_t)details[2].number));
    return true;
}

// A day that should go waits for a follower: told once a day if that has not moved for as long.
static bool report_held(struct append_upkeep *upkeep, const struct trail_follower *holder,
                        const struct trail_day *day, struct fault *fault) {
    metric_set(&metrics_table[METRICS_HELD], 0, 1);
    int64_t now = now_ms(upkeep);
    if (now - holder->moved_ms < APPEND_UPKEEP_FOLLOWER_MS) return true;
    bool was_told = strcmp(upkeep->told_follower, holder->name) == 0 &&
                    now - upkeep->told_ms < APPEND_UPKEEP_FOLLOWER_MS;
    if (was_told) return true;
    // A copy: what it borrows lives until the next commit.
    const struct trail_follower held = *holder;
    bool is_told;
    if (!tell_held(upkeep, &held, day, &is_told, fault)) return false;
    if (!is_told) return true;
    memcpy(upkeep->told_follower, held.name, sizeof held.name);
    upkeep->told_ms = now;
    return true;
}

// Tells once that the trail was restored. Without room it is told later.
static bool tell_origin(struct append_upkeep *upkeep, struct fault *fault) {
    const struct trail_origin *origin = trail_get_origin(upkeep->options.trail);
    if (upkeep->has_told_origin || origin->backup_ms == 0 || origin->is_told) return true;
    struct append_commit *commit = upkeep->options.commit;
    struct append_commit_counts counts;
    char backup[TIME_TEXT_SIZE];
    char restored[TIME_TEXT_SIZE];
    time_print_ms(origin->backup_ms, backup);
    time_print_ms(origin->restored_ms, restored);
    const struct own_event_detail details[] = {
        {"backupTime", span_text(backup), 0},
        {"restoreTime", span_text(restored), 0},
    };
    struct fault reason;
    bool is_begun = append_commit_begin(commit, true, &reason);
    bool is_good = is_begun &&
                   append_commit_add_own_event(commit, "StoreRestored", details, 2, &reason) &&
                   trail_tell_origin(upkeep->options.trail, &reason);
    if (is_begun && !is_good) append_commit_abort(commit);
    is_good = is_good && append_commit_finish(commit, &counts, &reason);
    if (!is_good)
        return reason.kind == FAULT_FULL || fault_set(fault, reason.kind, "%s", reason.text);
    upkeep->has_told_origin = true;
    metric_add(&metrics_table[METRICS_OWN_EVENTS], 0, (int64_t)counts.own_events);
    LOG(LOG_WARNING, "the store was restored from a backup: agents send again what they have",
        log_text("backup_time", backup), log_text("restore_time", restored));
    return true;
}

// Lets one day go, or moves retained_from over days without events. *more: look again soon.
static bool keep_days(struct append_upkeep *upkeep, bool *more, struct fault *fault) {
    struct trail *trail = upkeep->options.trail;
    int64_t target_s = choose_target(upkeep);
    metric_set(&metrics_table[METRICS_HELD], 0, 0);
    if (target_s <= trail_retained_from(trail)) return true;
    struct trail_day day;
    bool is_done = false;
    if (!trail_retention_oldest(trail, &day) || day.from_s >= target_s)
        return retain(upkeep, target_s, NULL, &is_done, fault);
    const struct trail_follower *holder = trail_retention_holder(trail, &day);
    if (holder != NULL) return report_held(upkeep, holder, &day, fault);
    if (!retain(upkeep, day.from_s + TRAIL_DAY_S, &day, &is_done, fault)) return false;
    if (is_done) report_dropped(&day);
    *more = is_done;
    return true;
}

// Gives back room of dropped days, as commits need it. What they do not need goes slowly.
static bool give_room_back(struct append_upkeep *upkeep, int64_t now, struct fault *fault) {
    struct trail *trail = upkeep->options.trail;
    if (!trail_needs_room(trail) && now < upkeep->sweep_ms) return true;
    bool more = false;
    bool good = trail_sweep(trail, &more, fault);
    upkeep->sweep_ms = now + trail_sweep_pause_ms(trail);
    return good;
}

bool append_upkeep_step(struct append_upkeep *upkeep, bool is_busy, struct fault *fault) {
    int64_t now = monotonic_ms(upkeep);
    bool is_due = now >= upkeep->due_ms + (is_busy ? APPEND_UPKEEP_LATE_MS : 0);
    bool more = false;
    struct fault reason;
    if (is_due && !tell_origin(upkeep, fault)) return false;
    bool good = give_room_back(upkeep, now, &reason) &&
                (!is_due || trail_upkeep(upkeep->options.trail, &reason));
    if (good && is_due) set_short(upkeep, NULL);
    if (!good) {
        // Upkeep can wait for room.
        if (reason.kind != FAULT_FULL) return fault_set(fault, reason.kind, "%s", reason.text);
        set_short(upkeep, &reason);
    }
    if (!is_due) return true;
    if (now >= upkeep->retention_ms) {
        if (!keep_days(upkeep, &more, fault)) return false;
        upkeep->retention_ms = more ? now : now + APPEND_UPKEEP_RETENTION_MS;
    }
    if (!more && !is_busy && !append_scan_step(upkeep->scan, fault)) return false;
    if (!append_readers_step(upkeep->readers, fault)) return false;
    upkeep->due_ms = more ? now : now + APPEND_UPKEEP_MS;
    return true;
}
