#include "collector/append/append_readers.h"

#include <inttypes.h>
#include <stdio.h>
#include <stdlib.h>

#include "base/log.h"
#include "collector/metrics.h"

// A snapshot that a reader holds, as it was seen first.
struct held {
    struct trail_reading reading;
    int64_t since_ms;  // monotonic
    int64_t told_ms;
    bool is_told;
};

struct append_readers {
    struct trail *trail;
    struct append_commit *commit;
    const struct clock *clock;
    int64_t look_ms;
    struct held held[APPEND_READERS_MAX];
    uint32_t held_count;
    struct held next[APPEND_READERS_MAX];  // while the list is made anew
};

struct append_readers *append_readers_create(struct trail *trail, struct append_commit *commit,
                                             const struct clock *clock) {
    struct append_readers *readers = calloc(1, sizeof *readers);
    if (readers == NULL) return NULL;
    readers->trail = trail;
    readers->commit = commit;
    readers->clock = clock;
    return readers;
}

void append_readers_destroy(struct append_readers *readers) {
    free(readers);
}

static const struct held *find(const struct append_readers *readers,
                               const struct trail_reading *reading) {
    for (uint32_t index = 0; index < readers->held_count; index++) {
        const struct held *held = &readers->held[index];
        if (held->reading.process == reading->process && held->reading.thread == reading->thread &&
            held->reading.snapshot == reading->snapshot) {
            return held;
        }
    }
    return NULL;
}

// The program's name, for people; empty if the system does not tell.
static struct span name_process(int64_t process, char text[64]) {
    char path[64];
    snprintf(path, sizeof path, "/proc/%" PRId64 "/comm", process);
    FILE *file = fopen(path, "re");
    size_t size = file == NULL ? 0 : fread(text, 1, 63, file);
    if (file != NULL) fclose(file);
    while (size > 0 && text[size - 1] == '\n') size--;
    return span_of(text, size);
}

// Tells of a reader in a commit of its own. *is_told false: there was no room.
static bool tell(struct append_readers *readers, const struct held *held, int64_t age_ms,
                 bool *is_told, struct fault *fault) {
    char name[64];
    const struct own_event_detail details[] = {
        {"process", {NULL, 0}, (uint64_t)held->reading.process},
        {"program", name_process(held->reading.process, name), 0},
        {"seconds", {NULL, 0}, (uint64_t)age_ms / 1000},
        {"commitsBehind", {NULL, 0}, held->reading.behind},
    };
    struct append_commit_counts counts;
    struct fault reason;
    LOG(LOG_WARNING, "a reader holds the store's room: end it, or wait for its backup",
        log_number("process", held->reading.process),
        (struct log_field){"program", details[1].text, 0}, log_number("seconds", age_ms / 1000),
        log_number("commits_behind", (int64_t)held->reading.behind));
    bool is_begun = append_commit_begin(readers->commit, true, &reason);
    *is_told = is_begun &&
               append_commit_add_own_event(readers->commit, "ReaderStuck", details, 4, &reason);
    if (is_begun && !*is_told) append_commit_abort(readers->commit);
    *is_told = *is_told && append_commit_finish(readers->commit, &counts, &reason);
    if (*is_told) metric_add(&metrics_table[METRICS_OWN_EVENTS], 0, (int64_t)counts.own_events);
    return *is_told || reason.kind == FAULT_FULL ||
           fault_set(fault, reason.kind, "%s", reason.text);
}

// Takes over what is known of the snapshots that are still held.
static void update(struct append_readers *readers, int64_t now_ms) {
    struct trail_reading list[APPEND_READERS_MAX];
    struct held *next = readers->next;
    uint32_t count = trail_readings(readers->trail, list, APPEND_READERS_MAX);
    for (uint32_t index = 0; index < count; index++) {
        const struct held *known = find(readers, &list[index]);
        next[index] = known != NULL ? *known : (struct held){.since_ms = now_ms};
        next[index].reading = list[index];
    }
    for (uint32_t index = 0; index < count; index++) readers->held[index] = next[index];
    readers->held_count = count;
}

bool append_readers_step(struct append_readers *readers, struct fault *fault) {
    int64_t now_ms = readers->clock->monotonic_ms(readers->clock->context);
    if (now_ms < readers->look_ms) return true;
    readers->look_ms = now_ms + APPEND_READERS_LOOK_MS;
    update(readers, now_ms);
    int64_t stuck = 0;
    int64_t oldest_ms = 0;
    for (uint32_t index = 0; index < readers->held_count; index++) {
        struct held *held = &readers->held[index];
        int64_t age_ms = now_ms - held->since_ms;
        if (age_ms < APPEND_READERS_STUCK_MS) continue;
        stuck++;
        if (age_ms > oldest_ms) oldest_ms = age_ms;
        if (held->is_told && now_ms - held->told_ms < APPEND_READERS_TELL_MS) continue;
        if (!tell(readers, held, age_ms, &held->is_told, fault)) return false;
        held->told_ms = now_ms;
    }
    metric_set(&metrics_table[METRICS_STUCK_READERS], 0, stuck);
    metric_set(&metrics_table[METRICS_OLDEST_READER], 0, oldest_ms / 1000);
    return true;
}
