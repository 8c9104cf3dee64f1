#include "collector/append/append_quarantine.h"

#include <assert.h>
#include <inttypes.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#include "collector/append/append_commit_internal.h"
#include "collector/metrics.h"

struct job {
    struct append_job base;  // first: a job is found from it
    struct append_quarantine_options options;
    char *user;
    uint32_t keys_next;  // decided in commits that are durable
    uint32_t keys_step;  // of the commit at hand
    struct append_quarantine_counts counts;
    struct append_quarantine_counts step;
    uint8_t keys[][TRAIL_REFUSED_KEY_SIZE];
};

// What a retried entry became: the reason it is refused for now, or what the trail did with it.
struct verdict {
    enum admit_reason reason;
    enum trail_outcome outcome;  // if ADMIT_GOOD or ADMIT_CONFLICT
    struct record record;
    struct span detail;
};

// The object a refused record came from, as it stands in the entry's detail: ", object KEY)".
static struct span find_object(struct span detail) {
    static const char mark[] = ", object ";
    for (size_t size = detail.size; size >= sizeof mark - 1; size--) {
        const uint8_t *at = detail.bytes + size - (sizeof mark - 1);
        if (memcmp(at, mark, sizeof mark - 1) != 0) continue;
        struct span object = span_from(detail, size);
        if (object.size > 0 && object.bytes[object.size - 1] == ')') object.size--;
        return object;
    }
    return (struct span){NULL, 0};
}

// Judges an entry's bytes as if they came now. False: no memory.
static bool judge(const struct job *job, struct append_commit *commit,
                  const struct trail_quarantined *entry, struct verdict *verdict,
                  struct span *account, struct fault *fault) {
    struct grant grant;
    struct fault mistake = {.kind = FAULT_NONE};
    struct span uri = trail_agent_uri(commit->options.trail, entry->agent);
    *verdict = (struct verdict){.reason = ADMIT_IDENTITY};
    if (!grant_parse(uri, job->options.organization, &grant, &mistake)) {
        verdict->detail = SPAN_LITERAL("its agent's certificate is not of this organization");
        return true;
    }
    enum record_refusal refusal;
    if (!record_read(commit->reader, commit->arena, entry->bytes, &verdict->record, &refusal,
                     &mistake)) {
        if (refusal == RECORD_GOOD) return fault_set(fault, mistake.kind, "%s", mistake.text);
        verdict->reason = (enum admit_reason)refusal;
        char *text = arena_print(commit->arena, "%s", mistake.text);
        verdict->detail = span_text(text == NULL ? "" : text);
        return true;
    }
    uint32_t place;
    struct admit_answer answer;
    const struct admit_rules rules = {&grant, roster_live_enter(job->options.roster, &place),
                                      job->options.future_max_s};
    bool is_good = admit_record(&rules, &verdict->record, find_object(entry->detail),
                                commit->now_ms / 1000, commit->arena, &answer, fault);
    roster_live_leave(job->options.roster, place);
    if (!is_good) return false;
    verdict->reason = answer.reason;
    verdict->detail = span_text(answer.reason == ADMIT_GOOD ? "" : answer.detail);
    // Out of the grant, which does not outlive this function.
    return answer.reason != ADMIT_GOOD || arena_copy(commit->arena, answer.account, account) ||
           fault_set(fault, FAULT_FULL, "no memory for an account");
}

// Offers an admitted record to the trail.
static bool offer(struct append_commit *commit, const struct trail_quarantined *entry,
                  struct verdict *verdict, struct span account, struct fault *fault) {
    const struct trail_entry offered = {
        .record = &verdict->record,
        .account = account,
        .agent = entry->agent,
        .is_own = entry->agent == TRAIL_AGENT_OWN,
        .received_ms = commit->now_ms,
    };
    if (!trail_add(commit->options.trail, &offered, &verdict->outcome, fault)) {
        if (fault->kind != FAULT_CORRUPT) return false;
        verdict->reason = ADMIT_UNDECIDED;
        char *text = arena_print(commit->arena, "%s", fault->text);
        verdict->detail = span_text(text == NULL ? "a damaged block" : text);
    } else if (verdict->outcome == TRAIL_CONFLICT) {
        verdict->reason = ADMIT_CONFLICT;
        verdict->detail = SPAN_LITERAL("another record is stored under its key (after a retry)");
    }
    return true;
}

// ---- the agent's counts

// Moves up to `count` records of a stream from quarantined to what the trail said. Returns how
// many.
static uint64_t move_counts(struct trail_stream *stream, const struct verdict *verdict,
                            uint64_t count, bool is_first) {
    uint64_t moved = stream->quarantined < count ? stream->quarantined : count;
    if (moved == 0) return 0;
    stream->quarantined -= moved;
    if (verdict->record.is_global) stream->global_reported += moved;
    if (verdict->record.event_time_s > stream->last_event_time_s) {
        stream->last_event_time_s = verdict->record.event_time_s;
    }
    uint64_t copies = moved;
    if (is_first && verdict->outcome == TRAIL_STORED) {
        stream->stored++;
        copies--;
    }
    if (verdict->outcome == TRAIL_VARIANT) {
        stream->variants += copies;
    } else if (verdict->outcome == TRAIL_EXPIRED) {
        stream->expired += copies;
    } else {
        stream->duplicates += copies;
    }
    return moved;
}

// Streams of one agent that no session has, found in a walk.
struct idle_streams {
    const struct append_commit *commit;
    uint32_t agent;
    struct trail_stream found[APPEND_COMMIT_AGENT_STREAMS_MAX];
    uint32_t count;
};

static bool on_stream(void *user, const struct trail_stream *stream) {
    struct idle_streams *idle = user;
    if (stream->agent != idle->agent || stream->quarantined == 0) return true;
    const struct sessions *sessions = idle->commit->options.sessions;
    struct span uri = trail_agent_uri(idle->commit->options.trail, idle->agent);
    if (sessions_find(sessions, uri, stream->stream_id) < sessions_count_max(sessions)) return true;
    idle->found[idle->count++] = *stream;
    return idle->count < APPEND_COMMIT_AGENT_STREAMS_MAX;
}

// An entry does not know its stream: its records are taken from the agent's streams one after the
// other, those that are open first, so that each stream stays balanced.
static bool settle_counts(struct append_commit *commit, uint32_t agent,
                          const struct verdict *verdict, uint64_t count, struct fault *fault) {
    struct sessions *sessions = commit->options.sessions;
    uint64_t left = count;
    for (uint32_t slot = 0; slot < sessions_count(sessions) && left > 0; slot++) {
        const struct session *session = sessions_get(sessions, slot);
        if (!session->is_used || session->stream.agent != agent) continue;
        if (session->stream.quarantined == 0) continue;
        struct trail_stream *stream = &sessions_touch(sessions, slot)->stream;
        left -= move_counts(stream, verdict, left, left == count);
    }
    if (left == 0) return true;
    struct idle_streams *idle = calloc(1, sizeof *idle);
    if (idle == NULL) return fault_set(fault, FAULT_FULL, "no memory for an agent's streams");
    idle->commit = commit;
    idle->agent = agent;
    trail_streams_walk(commit->options.trail, on_stream, idle);
    bool is_good = true;
    for (uint32_t index = 0; index < idle->count && left > 0 && is_good; index++) {
        left -= move_counts(&idle->found[index], verdict, left, left == count);
        is_good = trail_stream_put(commit->options.trail, &idle->found[index], fault);
    }
    free(idle);
    return is_good;
}

// What the commit's own counts say: the records are received again.
static void count_again(struct append_commit *commit, const struct verdict *verdict,
                        uint64_t count) {
    struct append_commit_counts *counts = &commit->counts;
    counts->received += count;
    if (verdict->reason != ADMIT_GOOD) {
        counts->quarantined += count;
        return;
    }
    uint64_t copies = count;
    if (verdict->outcome == TRAIL_STORED) {
        counts->stored++;
        copies--;
    }
    if (verdict->outcome == TRAIL_VARIANT) {
        counts->variants += copies;
    } else if (verdict->outcome == TRAIL_EXPIRED) {
        counts->expired += copies;
    } else {
        counts->duplicates += copies;
    }
    if (verdict->record.is_global) counts->globals += count;
}

// ---- one entry

static bool is_record(const struct trail_quarantined *entry) {
    return strcmp(entry->reason, admit_reason_name(ADMIT_NOTICE)) != 0 &&
           strcmp(entry->reason, admit_reason_name(ADMIT_BAD_NOTICE)) != 0;
}

// Quarantines it for the reason that holds now, as often as it was refused.
static bool refuse_again(struct append_commit *commit, const struct trail_quarantined *entry,
                         const struct verdict *verdict, struct fault *fault) {
    const struct trail_refused refused = {
        .bytes = entry->bytes,
        .reason = admit_reason_name(verdict->reason),
        .detail = verdict->detail,
        .agent = entry->agent,
        .received_ms = commit->now_ms,
        .count = entry->count,
    };
    bool is_new;
    commit->counts.reasons[verdict->reason] += entry->count;
    return trail_quarantine(commit->options.trail, &refused, &is_new, fault);
}

// An event of our own that a damaged block kept from being decided. It is in no agent's counts.
static bool retry_own(struct job *job, struct append_commit *commit,
                      const struct trail_quarantined *entry, struct fault *fault) {
    struct verdict verdict = {.reason = ADMIT_GOOD};
    enum record_refusal refusal;
    struct fault mistake;
    bool is_read = record_read(commit->reader, commit->arena, entry->bytes, &verdict.record,
                               &refusal, &mistake);
    struct span account = span_text(commit->options.place.account);
    if (is_read && !offer(commit, entry, &verdict, account, fault)) return false;
    if (!is_read || verdict.reason != ADMIT_GOOD) {
        job->step.unchanged++;
        return true;
    }
    job->step.admitted++;
    job->step.records += entry->count;
    job->step.bytes += entry->bytes.size;
    if (verdict.outcome == TRAIL_STORED) {
        job->step.stored++;
        commit->counts.own_events++;
    }
    return trail_quarantine_remove(commit->options.trail, entry, fault);
}

static bool retry(struct job *job, struct append_commit *commit,
                  const struct trail_quarantined *entry, struct fault *fault) {
    struct verdict verdict;
    struct span account = {NULL, 0};
    if (!is_record(entry)) {
        job->step.unchanged++;
        return true;
    }
    if (entry->agent == TRAIL_AGENT_OWN) return retry_own(job, commit, entry, fault);
    if (!judge(job, commit, entry, &verdict, &account, fault)) return false;
    if (verdict.reason == ADMIT_GOOD && !offer(commit, entry, &verdict, account, fault)) {
        return false;
    }
    if (strcmp(admit_reason_name(verdict.reason), entry->reason) == 0) {
        job->step.unchanged++;
        return true;
    }
    if (!trail_quarantine_remove(commit->options.trail, entry, fault)) return false;
    job->step.records += entry->count;
    job->step.bytes += entry->bytes.size;
    count_again(commit, &verdict, entry->count);
    if (verdict.reason != ADMIT_GOOD) {
        job->step.other++;
        return refuse_again(commit, entry, &verdict, fault);
    }
    job->step.admitted++;
    job->step.stored += verdict.outcome == TRAIL_STORED;
    return settle_counts(commit, entry->agent, &verdict, entry->count, fault);
}

static bool discard(struct job *job, struct append_commit *commit,
                    const struct trail_quarantined *entry, struct fault *fault) {
    job->step.discarded++;
    job->step.records += entry->count;
    job->step.bytes += entry->bytes.size;
    return trail_quarantine_remove(commit->options.trail, entry, fault);
}

// ---- the job

// How much was ever discarded, for status.
static bool keep_discarded(struct append_commit *commit,
                           const struct append_quarantine_counts *step, struct fault *fault) {
    const struct span name = SPAN_LITERAL(APPEND_QUARANTINE_DISCARDED);
    struct trail *trail = commit->options.trail;
    uint64_t entries = 0;
    uint64_t records = 0;
    bool found = false;
    struct span value;
    if (!trail_document_get(trail, name, &found, &value, fault)) return false;
    char text[64] = "";
    if (found) snprintf(text, sizeof text, "%.*s", SPAN_PRINT(value));
    // Ours; one that cannot be read begins anew.
    (void)sscanf(text, "%" SCNu64 " %" SCNu64, &entries, &records);
    snprintf(text, sizeof text, "%" PRIu64 " %" PRIu64, entries + step->discarded,
             records + step->records);
    return trail_document_put(trail, name, span_text(text), fault);
}

static bool tell(struct job *job, struct append_commit *commit, struct fault *fault) {
    const struct append_quarantine_counts *step = &job->step;
    struct span user = span_text(job->user);
    if (step->discarded > 0) {
        const struct own_event_detail details[] = {
            {"user", user, 0},
            {"entries", {NULL, 0}, step->discarded},
            {"records", {NULL, 0}, step->records},
            {"bytes", {NULL, 0}, step->bytes},
        };
        return keep_discarded(commit, step, fault) &&
               append_commit_add_own_event(commit, "QuarantineDiscarded", details, 4, fault);
    }
    if (step->admitted + step->other == 0) return true;
    const struct own_event_detail details[] = {
        {"user", user, 0},
        {"entries", {NULL, 0}, step->admitted + step->other},
        {"records", {NULL, 0}, step->records},
        {"admitted", {NULL, 0}, step->admitted},
        {"stored", {NULL, 0}, step->stored},
        {"refusedForAnotherReason", {NULL, 0}, step->other},
    };
    return append_commit_add_own_event(commit, "QuarantineRetried", details, 6, fault);
}

// An entry that is listed twice is there only once.
static bool is_repeated(const struct job *job, uint32_t index) {
    for (uint32_t before = job->keys_next; before < index; before++) {
        if (memcmp(job->keys[before], job->keys[index], TRAIL_REFUSED_KEY_SIZE) == 0) return true;
    }
    return false;
}

static bool on_apply(struct append_job *base, struct append_commit *commit, struct fault *fault) {
    struct job *job = (struct job *)base;
    job->step = (struct append_quarantine_counts){0};
    job->keys_step = 0;
    uint64_t size = 0;
    for (uint32_t index = job->keys_next; index < job->options.keys_count; index++) {
        if (job->keys_step == APPEND_QUARANTINE_STEP || size >= APPEND_QUARANTINE_STEP_SIZE) break;
        struct trail_quarantined entry;
        bool found = false;
        job->keys_step++;
        job->step.entries++;
        if (!is_repeated(job, index) &&
            !trail_quarantine_get(commit->options.trail, job->keys[index], &found, &entry, fault)) {
            return false;
        }
        if (!found) {
            job->step.missing++;
            continue;
        }
        size += entry.bytes.size;
        bool is_good = job->options.is_discard ? discard(job, commit, &entry, fault)
                                               : retry(job, commit, &entry, fault);
        if (!is_good) return fault_add(fault, "quarantine");
    }
    return tell(job, commit, fault);
}

static void add(struct append_quarantine_counts *sum, const struct append_quarantine_counts *step) {
    sum->entries += step->entries;
    sum->missing += step->missing;
    sum->unchanged += step->unchanged;
    sum->other += step->other;
    sum->admitted += step->admitted;
    sum->discarded += step->discarded;
    sum->records += step->records;
    sum->stored += step->stored;
    sum->bytes += step->bytes;
}

static void end(struct job *job, const struct fault *fault) {
    job->options.done(job->options.context, &job->counts, fault);
    free(job->user);
    free(job);
}

static bool on_committed(struct append_job *base) {
    struct job *job = (struct job *)base;
    job->keys_next += job->keys_step;
    add(&job->counts, &job->step);
    metric_add(&metrics_table[job->options.is_discard ? METRICS_DISCARDED : METRICS_RETRIED], 0,
               (int64_t)job->step.records);
    if (job->keys_next < job->options.keys_count) return true;
    end(job, NULL);
    return false;
}

static void on_failed(struct append_job *base, const struct fault *fault) {
    end((struct job *)base, fault);
}

bool append_quarantine_submit(struct append *append,
                              const struct append_quarantine_options *options,
                              struct fault *fault) {
    assert(options->keys_count <= APPEND_QUARANTINE_KEYS_MAX);
    size_t keys_size = options->keys_count * sizeof options->keys[0];
    struct job *job = calloc(1, sizeof *job + keys_size);
    char *user = strdup(options->user);
    if (job == NULL || user == NULL) {
        free(job);
        free(user);
        return fault_set(fault, FAULT_FULL, "no memory for this");
    }
    job->base = (struct append_job){on_apply, on_committed, on_failed};
    job->options = *options;
    job->user = user;
    if (keys_size > 0) memcpy(job->keys, options->keys, keys_size);
    if (append_submit(append, &job->base)) return true;
    free(user);
    free(job);
    return fault_set(fault, FAULT_FULL, "too many changes wait: try again");
}
