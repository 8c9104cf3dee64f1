// What a commit tells in own events beyond single records: identity violations and unlisted
// accounts, which batches cause together, and what other rooms have to say.

#include <assert.h>
#include <stdio.h>
#include <string.h>

#include "collector/append/append_commit_internal.h"

static struct told *get_told(const struct append_commit *commit, uint32_t agent) {
    return &commit->told[agent < APPEND_AGENTS_MAX ? agent : APPEND_AGENTS_MAX - 1];
}

static bool may_tell(const struct told *told, int64_t now_ms) {
    return !told->is_told || now_ms - told->told_ms >= APPEND_COMMIT_IDENTITY_MS;
}

bool append_commit_has_violations(const struct append_commit *commit) {
    if (commit->waiting_count == 0) return false;
    const struct clock *clock = commit->options.clock;
    int64_t now_ms = clock->monotonic_ms(clock->context);
    for (uint32_t index = 0; index < commit->told_max; index++) {
        const struct told *told = &commit->told[index];
        if (told->pending > 0 && may_tell(told, now_ms)) return true;
    }
    return false;
}

static bool is_in_tellings(const struct append_commit *commit, uint32_t agent) {
    for (uint32_t index = 0; index < commit->tellings_count; index++) {
        if (commit->tellings[index].agent == agent) return true;
    }
    return false;
}

// Tells an agent's violations, those of this commit and those that wait, or lets them wait.
static bool tell_violations(struct append_commit *commit, uint32_t agent, uint64_t violations,
                            struct span detail, struct fault *fault) {
    const struct told *told = get_told(commit, agent);
    bool is_told = may_tell(told, commit->monotonic_ms) && !is_in_tellings(commit, agent);
    struct telling *telling = &commit->tellings[commit->tellings_count++];
    *telling = (struct telling){agent, is_told, violations};
    if (!is_told) return true;
    const struct own_event_detail details[] = {
        {"agent", trail_agent_uri(commit->options.trail, agent), 0},
        {"count", {NULL, 0}, told->pending + violations},
        {"detail", detail, 0},
    };
    uint32_t details_count = detail.bytes == NULL ? 2 : 3;
    return append_commit_add_own_event(commit, "IdentityViolation", details, details_count, fault);
}

// Violations of this commit first, then those that have waited their minute, whether their agent
// has a stream or not.
static bool tell_all_violations(struct append_commit *commit, struct fault *fault) {
    struct sessions *sessions = commit->options.sessions;
    uint32_t touched_count;
    const uint32_t *touched = sessions_touched(sessions, &touched_count);
    for (uint32_t index = 0; index < touched_count; index++) {
        const struct session *session = sessions_get(sessions, touched[index]);
        if (session->violations == 0) continue;
        if (!tell_violations(commit, session->stream.agent, session->violations,
                             session->violation_detail, fault)) {
            return false;
        }
    }
    uint32_t rows = 0;
    for (uint32_t index = 0; index < commit->told_max && commit->waiting_count > 0; index++) {
        const struct told *told = &commit->told[index];
        if (told->pending == 0 || !may_tell(told, commit->monotonic_ms)) continue;
        if (is_in_tellings(commit, told->agent)) continue;
        if (rows++ == APPEND_COMMIT_WAITING_MAX) break;
        if (!tell_violations(commit, told->agent, 0, (struct span){NULL, 0}, fault)) return false;
    }
    return true;
}

// Tells of each account that the roster lacks when its first event comes.
static bool tell_unlisted(struct append_commit *commit, struct fault *fault) {
    for (uint32_t index = 0; index < unlisted_new_count(commit->unlisted); index++) {
        const struct own_event_detail details[] = {
            {"account", unlisted_new(commit->unlisted, index), 0},
        };
        if (!append_commit_add_own_event(commit, "AccountUnlisted", details, 1, fault)) {
            return false;
        }
    }
    return true;
}

static bool tell_notes(struct append_commit *commit, struct fault *fault) {
    struct notes *notes = commit->options.notes;
    if (notes == NULL) return true;
    uint32_t count = notes_choose(notes, commit->monotonic_ms);
    for (uint32_t index = 0; index < count; index++) {
        const struct note *note = notes_get(notes, index);
        if (note->name[0] != 0 && !append_commit_add_own_event(commit, note->name, note->details,
                                                               note->details_count, fault)) {
            return false;
        }
        if (note->document.name.size > 0 &&
            !trail_document_put(commit->options.trail, note->document.name, note->document.value,
                                fault)) {
            return false;
        }
    }
    return true;
}

bool append_tell(struct append_commit *commit, struct fault *fault) {
    return tell_all_violations(commit, fault) && tell_unlisted(commit, fault) &&
           tell_notes(commit, fault);
}

static bool is_same(const struct aside *one, const struct aside *other) {
    return one->agent == other->agent && strcmp(one->name, other->name) == 0 &&
           span_equal(one->text, other->text);
}

void append_tell_aside(struct append_commit *commit, const struct aside *aside) {
    for (uint32_t index = 0; index < commit->asides_count; index++) {
        if (is_same(&commit->asides[index], aside)) return;
    }
    if (commit->asides_count == APPEND_ASIDES_MAX) return;
    struct aside *added = &commit->asides[commit->asides_count];
    *added = *aside;
    // Without memory it is told with a later record.
    if (arena_copy(commit->arena, aside->text, &added->text) &&
        arena_copy(commit->arena, aside->detail, &added->detail)) {
        commit->asides_count++;
    }
}

static void note_asides(struct append_commit *commit) {
    for (uint32_t index = 0; index < commit->asides_count; index++) {
        const struct aside *aside = &commit->asides[index];
        struct span uri = trail_agent_uri(commit->options.trail, aside->agent);
        const struct own_event_detail details[] = {
            {"agent", uri, 0},
            {aside->what, aside->text, 0},
            {"detail", aside->detail, 0},
        };
        uint32_t count = aside->detail.size > 0 ? 3 : 2;
        char subject[TRAIL_URI_SIZE + TRAIL_REASON_SIZE];
        snprintf(subject, sizeof subject, "%.*s %.*s", SPAN_PRINT(uri),
                 aside->is_apart ? (int)aside->text.size : 0, (const char *)aside->text.bytes);
        notes_add(commit->options.notes, aside->name, span_text(subject), details, count);
    }
    commit->asides_count = 0;
}

void append_tell_keep(struct append_commit *commit) {
    for (uint32_t index = 0; index < commit->tellings_count; index++) {
        const struct telling *telling = &commit->tellings[index];
        struct told *told = get_told(commit, telling->agent);
        bool was_waiting = told->pending > 0;
        if (telling->is_told) {
            *told = (struct told){.is_told = true, .told_ms = commit->monotonic_ms};
        } else {
            told->pending += telling->pending;
        }
        told->agent = telling->agent;
        if (told->pending > 0 && !was_waiting) commit->waiting_count++;
        if (told->pending == 0 && was_waiting) commit->waiting_count--;
        uint32_t place = (uint32_t)(told - commit->told) + 1;
        if (place > commit->told_max) commit->told_max = place;
    }
    unlisted_keep(commit->unlisted);
    if (commit->options.notes == NULL) return;
    notes_keep(commit->options.notes);
    note_asides(commit);
}
