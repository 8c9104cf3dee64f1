#include "collector/deliver/trail.h"

#include <stdio.h>
#include <stdlib.h>

#include "base/arena.h"
#include "base/json.h"
#include "base/log.h"
#include "collector/deliver/digests.h"
#include "collector/deliver/present.h"
#include "collector/deliver/round.h"
#include "collector/deliver/state.h"

enum {
    ARENA_SIZE = 32 * 1024 * 1024,
    MORE_MAX = 2,  // documents that are saved with the state
};

struct deliver_trail {
    struct follower base;  // first: it is found from it
    const struct deliver_options *options;
    char id[TRAIL_ID_SIZE];
    char document[TRAIL_NAME_SIZE_MAX + 1];  // the trail's
    char state[TRAIL_NAME_SIZE_MAX + 1];     // the state's
    int64_t round_ms;                        // when the next round is due, by the clock; 0: at once
    struct round *round;  // while there is more at once: its memory is large; otherwise NULL
};

// One step: what is there, read anew, and what is made of it. All lies in the arena.
struct step {
    struct deliver_trail *self;
    struct seat *seat;
    struct arena *arena;
    struct span saved;  // the state as it is stored; empty: none
    struct state state;
    struct span present;  // the trail's document now; empty: it is gone
    struct trail trail;   // of state.trail
    bool is_logging;
    int64_t started_ms;
    uint64_t place;
    bool has_place;
    int64_t now_ms;
    int64_t *wait_ms;
};

// ---- reading and saving

static bool parse(struct step *step, struct span text, const struct yyjson_val **root,
                  struct fault *fault) {
    if (json_read_into(step->arena, text, root, fault)) return true;
    if (fault->kind == FAULT_INPUT) fault->kind = FAULT_CORRUPT;
    return false;
}

static bool read_present(struct step *step, struct fault *fault) {
    struct trail trail = {0};
    if (!present_read(step->seat, step->arena, step->self->document, step->self->id, &step->present,
                      &trail, fault)) {
        return false;
    }
    if (step->present.size == 0) return true;
    step->is_logging = trail.is_logging;
    step->started_ms = trail.started_ms;
    return true;
}

static bool read_state(struct step *step, struct fault *fault) {
    const struct yyjson_val *root;
    if (!present_document(step->seat, step->arena, step->self->state, &step->saved, fault)) {
        return false;
    }
    if (step->saved.size == 0) {
        step->state = (struct state){.trail = step->present};
        return true;
    }
    return parse(step, step->saved, &root, fault) && state_read(root, &step->state, fault);
}

// Reads the trail that the step works by: that of the plan if there is one, otherwise the newest.
static bool choose_trail(struct step *step, struct fault *fault) {
    bool is_planned = step->state.round.is_planned || step->state.digest.is_planned;
    if (!is_planned && step->present.size > 0) step->state.trail = step->present;
    return step->state.trail.size == 0 ||
           present_parse(step->arena, step->state.trail, &step->trail, fault);
}

static bool load(struct step *step, struct fault *fault) {
    // The document first: what it says has happened is in the log that is read after it.
    return read_present(step, fault) && read_state(step, fault) && choose_trail(step, fault) &&
           seat_place(step->seat, step->self->base.name, &step->has_place, &step->place, fault);
}

// Saves the state with other documents and the follower's place, one commit. Both may be absent.
static bool save_with(struct step *step, const struct append_document *more, uint32_t more_count,
                      const struct append_follower *follower, struct fault *fault) {
    struct buffer buffer;
    struct append_document documents[1 + MORE_MAX];
    buffer_init(&buffer, STATE_SIZE_MAX);
    state_print(&step->state, &buffer);
    documents[0] =
        (struct append_document){span_text(step->self->state), step->saved, buffer_span(&buffer)};
    for (uint32_t index = 0; index < more_count; index++) documents[1 + index] = more[index];
    bool is_good = buffer_overflowed(&buffer)
                       ? fault_set(fault, FAULT_FULL, "the state of a delivery is too large")
                       : seat_save(step->seat, documents, 1 + more_count, follower, fault);
    // Whatever follows in this step compares with what is stored now.
    if (is_good && !arena_copy(step->arena, buffer_span(&buffer), &step->saved)) {
        is_good = fault_set(fault, FAULT_FULL, "no memory for a trail");
    }
    buffer_done(&buffer);
    return is_good;
}

static bool save(struct step *step, const struct append_follower *follower, struct fault *fault) {
    return save_with(step, NULL, 0, follower, fault);
}

static struct append_follower follower_to(const struct step *step, uint64_t to) {
    struct append_follower follower = {.from = step->has_place ? step->place : 0, .to = to};
    memcpy(follower.name, step->self->base.name, sizeof follower.name);
    return follower;
}

// Notes for GetTrailStatus why a delivery failed, and when: of the same failure again at most once
// a minute. What cannot be noted is noted with the next attempt; the fault is told in any case.
static bool note_failure(struct step *step, bool is_digest, const struct fault *why,
                         struct fault *fault) {
    struct fault ignored;
    struct state *state = &step->state;
    int64_t now_ms = seat_now_ms(step->seat);  // digests have no time of their attempt
    *fault = *why;
    bool is_new = seat_note(step->seat, why, is_digest ? state->digest_error : state->error,
                            STATE_ERROR_SIZE, is_digest ? &now_ms : &state->attempted_ms);
    return is_new && save(step, NULL, &ignored) && false;
}

// ---- rounds

// What a round may hold: so that many trails whose destinations hang hold no more than a few do.
static uint64_t share(const struct step *step) {
    uint32_t count = followers_count(step->self->options->followers);
    uint64_t size = ROUND_SHARED_SIZE / (count > 0 ? count : 1);
    if (size > ROUND_TEXT_SIZE_MAX) return ROUND_TEXT_SIZE_MAX;
    return size < ROUND_TEXT_SIZE_MIN ? ROUND_TEXT_SIZE_MIN : size;
}

static bool begin_round(struct step *step, uint64_t file_size_max, struct fault *fault) {
    struct deliver_trail *self = step->self;
    const struct round_options options = {
        .follower = self->base.name,
        .organization = self->options->organization,
        .trail = &step->trail,
        .file_size_max = file_size_max,
        .text_size_max = share(step),
        .is_repeat = step->state.round.is_planned,
    };
    return (self->round != NULL || round_create(&self->round, fault)) &&
           round_begin(self->round, &options, fault);
}

// A round's effect is there: what it wrote is listed for the next digest and for those who are told
// of files, and the place saved.
static bool end_round(struct step *step, const struct buffer *list, struct fault *fault) {
    struct state *state = &step->state;
    const struct deliver_options *options = step->self->options;
    const struct state_round plan = state->round;
    const struct append_follower follower = follower_to(step, plan.to);
    struct append_document lists[MORE_MAX] = {0};
    char names[MORE_MAX][TRAIL_NAME_SIZE_MAX];
    uint32_t count = 0;
    if (step->trail.is_validated) {
        snprintf(names[count++], TRAIL_NAME_SIZE_MAX, STATE_FILES "%s/%016llx", step->self->id,
                 (unsigned long long)plan.to);
    }
    if (options->is_told != NULL && options->is_told(options->context, &step->trail)) {
        snprintf(names[count++], TRAIL_NAME_SIZE_MAX, STATE_QUEUES "%s/%016llx/%016llx",
                 step->self->id, (unsigned long long)plan.to, (unsigned long long)plan.time_s);
    }
    for (uint32_t index = 0; index < count; index++) {
        lists[index].name = span_text(names[index]);
        lists[index].after = buffer_span(list);
    }
    state->round = (struct state_round){0};
    state->round_s = plan.time_s;
    state->is_ending = plan.is_last;
    state->attempted_ms = seat_now_ms(step->seat);
    state->delivered_ms = state->attempted_ms;
    state->error[0] = 0;
    return save_with(step, lists, count, &follower, fault);
}

// Writes what the plan says, which is saved.
static bool write_round(struct step *step, struct fault *fault) {
    struct round *round = step->self->round;
    struct buffer list;
    struct fault why;
    buffer_init(&list, ROUND_DOCUMENT_SIZE_MAX);
    bool is_good = round_write(round, step->seat, step->self->options->objects, &step->state.round,
                               &list, &why);
    if (!is_good && seat_is_stopping(step->seat)) {
        *fault = why;
    } else if (!is_good) {
        (void)note_failure(step, false, &why, fault);
    } else {
        is_good = end_round(step, &list, fault);
    }
    buffer_done(&list);
    return is_good;
}

// Carries out a plan that was saved and perhaps begun.
static bool repeat_round(struct step *step, struct fault *fault) {
    uint64_t place;
    bool is_stopped, is_full;
    const struct state_round *plan = &step->state.round;
    *step->wait_ms = 0;
    return begin_round(step, plan->file_size, fault) &&
           round_gather(step->self->round, step->seat, plan->from, plan->to, step->state.session_ms,
                        &place, &is_stopped, &is_full, fault) &&
           write_round(step, fault);
}

// Nothing of these events is the trail's.
static bool pass_events(struct step *step, uint64_t to, bool is_last, struct fault *fault) {
    const struct append_follower follower = follower_to(step, to);
    if (to == step->place && !is_last) return true;
    step->state.is_ending = is_last;
    return save(step, &follower, fault);
}

// When files written now are said to be: never in the time of a digest that is made.
static int64_t round_time(const struct step *step) {
    int64_t time_s = step->now_ms / 1000;
    if (time_s < step->state.round_s) time_s = step->state.round_s;
    if (time_s <= step->state.digest_s) time_s = step->state.digest_s + 1;
    return time_s;
}

static bool plan_round(struct step *step, uint64_t to, bool is_last, struct fault *fault) {
    struct trail_facts facts;
    if (!trail_reader_facts(step->seat->reader, &facts, fault)) return false;
    step->state.round = (struct state_round){
        .is_planned = true,
        .is_last = is_last,
        .from = step->place,
        .to = to,
        .time_s = round_time(step),
        .file_size = step->self->options->file_size_max,
        .level = step->self->options->level,
    };
    memcpy(step->state.round.epoch, facts.epoch, sizeof facts.epoch);
    return save(step, NULL, fault) && write_round(step, fault);
}

static bool run_round(struct step *step, struct fault *fault) {
    struct deliver_trail *self = step->self;
    uint64_t to = step->place;
    bool is_stopped, is_full;
    if (!begin_round(step, self->options->file_size_max, fault) ||
        !round_gather(self->round, step->seat, step->place, UINT64_MAX, step->state.session_ms, &to,
                      &is_stopped, &is_full, fault)) {
        return false;
    }
    // The call that stopped logging is in the log if the document says that it was made.
    bool is_last = is_stopped || (!is_full && !step->is_logging);
    bool is_more = is_full || is_last;
    self->round_ms = is_more ? 0 : step->now_ms + (int64_t)self->options->interval_s * 1000;
    if (is_more) *step->wait_ms = 0;
    return round_is_empty(self->round) ? pass_events(step, to, is_last, fault)
                                       : plan_round(step, to, is_last, fault);
}

// ---- digests

static bool write_digests(struct step *step, bool is_repeat, struct fault *fault) {
    struct state *state = &step->state;
    const struct deliver_options *options = step->self->options;
    const struct digests_options digests = {
        .id = step->self->id,
        .follower = step->self->base.name,
        .organization = options->organization,
        .trail = &step->trail,
        .objects = options->objects,
        .roster = options->roster,
        .secret = options->secret,
        .key_lifetime_ms = options->key_lifetime_ms,
        .is_repeat = is_repeat,
    };
    struct fault why;
    *step->wait_ms = 0;
    if (!digests_write(&digests, &state->digest, step->seat, &why)) {
        if (!seat_is_stopping(step->seat)) return note_failure(step, true, &why, fault);
        *fault = why;
        return false;
    }
    const struct state_digest plan = state->digest;
    state->digest = (struct state_digest){0};
    state->digest_s = plan.is_last ? 0 : plan.end_s;
    state->digest_delivered_ms = seat_now_ms(step->seat);
    state->digest_error[0] = 0;
    if (plan.is_last) state->is_active = false;
    struct append_follower follower = follower_to(step, step->place);
    follower.is_dropped = true;
    return save(step, plan.is_last ? &follower : NULL, fault);
}

static bool plan_digests(struct step *step, const struct state_digest *plan, struct fault *fault) {
    step->state.digest = *plan;
    step->state.digest.is_planned = true;
    step->state.digest.made_ms = step->now_ms;
    return save(step, NULL, fault) && write_digests(step, false, fault);
}

// Which digests are due; false: none are.
static bool choose_digests(const struct step *step, struct state_digest *plan) {
    const struct state *state = &step->state;
    int64_t interval_s = step->self->options->digest_interval_s;
    int64_t now_s = step->now_ms / 1000;
    *plan = (struct state_digest){.start_s = state->digest_s};
    if (!step->trail.is_validated) return false;
    if (state->digest_s == 0) {
        // Chains begin with a digest of the time before, which has no files.
        plan->is_first = true;
        plan->is_last = state->is_ending;
        plan->end_s = now_s > state->round_s ? now_s : state->round_s;
        plan->start_s = plan->end_s - interval_s;
        return true;
    }
    if (state->is_ending) {
        plan->is_last = true;
        plan->end_s = now_s > state->round_s ? now_s : state->round_s;
        if (plan->end_s <= state->digest_s) plan->end_s = state->digest_s + 1;
        return true;
    }
    int64_t passed = (now_s - 1 - state->digest_s) / interval_s;
    if (passed < 1) return false;
    plan->end_s = state->digest_s + interval_s;
    int64_t late_s = now_s - plan->end_s;
    plan->is_backfill = late_s > interval_s + TRAIL_DIGEST_LATE_S;
    if (plan->is_backfill) plan->end_s = state->digest_s + passed * interval_s;
    return true;
}

// ---- sessions

static bool begin_session(struct step *step, struct fault *fault) {
    uint64_t after;
    struct state *state = &step->state;
    if (!seat_find_received(step->seat, step->started_ms, &after, fault)) return false;
    if (step->has_place && after < step->place) after = step->place;
    const struct append_follower follower = follower_to(step, after);
    const struct state before = *state;
    state->is_active = true;
    state->is_ending = false;
    state->session_ms = step->started_ms;
    state->digest_s = 0;
    state->error[0] = 0;
    *step->wait_ms = 0;
    step->self->round_ms = 0;
    struct fault why;
    if (!save(step, &follower, &why)) {
        // There may be too many followers, for hours: whoever asks for the status is to know.
        *state = before;
        return note_failure(step, false, &why, fault);
    }
    LOG(LOG_INFO, "a trail delivers", log_text("follower", step->self->base.name),
        (struct log_field){"trail", step->trail.name, 0},
        (struct log_field){"bucket", step->trail.bucket, 0},
        log_number("sequence", (int64_t)after));
    return true;
}

// Ends a session that has no digests.
static bool end_session(struct step *step, struct fault *fault) {
    struct append_follower follower = follower_to(step, step->place);
    follower.is_dropped = true;
    step->state.is_active = false;
    step->state.digest_s = 0;
    *step->wait_ms = 0;
    return save(step, &follower, fault);
}

// Somebody dropped the follower: what it had not delivered is not delivered.
static bool resume_dropped(struct step *step, struct fault *fault) {
    uint64_t last;
    if (!seat_last(step->seat, &last, fault)) return false;
    const struct append_follower follower = follower_to(step, last);
    LOG(LOG_WARNING, "a trail's follower was dropped: it goes on with what comes",
        log_text("follower", step->self->base.name));
    step->state.round = (struct state_round){0};
    *step->wait_ms = 0;
    return save(step, &follower, fault);
}

// The trail is no more: nothing is kept of its delivery.
static bool forget(struct step *step, struct fault *fault) {
    char name[TRAIL_NAME_SIZE_MAX];
    const char *const prefixes[] = {STATE_FILES, STATE_CHAINS};
    for (size_t index = 0; index < sizeof prefixes / sizeof prefixes[0]; index++) {
        snprintf(name, sizeof name, "%s%s/", prefixes[index], step->self->id);
        if (!digests_remove_documents(step->seat, span_text(name), fault)) return false;
    }
    const struct append_document state = {span_text(step->self->state), step->saved, {NULL, 0}};
    struct append_follower follower = follower_to(step, step->place);
    follower.is_dropped = true;
    *step->wait_ms = -1;
    return seat_save(step->seat, &state, 1, &follower, fault);
}

static bool run_session(struct step *step, struct fault *fault) {
    struct state *state = &step->state;
    struct state_digest digest;
    seat_show_place(step->seat, step->self->base.name, step->place);
    if (!step->has_place) return resume_dropped(step, fault);
    if (state->round.is_planned) return repeat_round(step, fault);
    if (state->digest.is_planned) return write_digests(step, true, fault);
    // What validation was off for is not made up for.
    if (!step->trail.is_validated) state->digest_s = 0;
    if (choose_digests(step, &digest)) return plan_digests(step, &digest, fault);
    if (state->is_ending) return end_session(step, fault);
    int64_t interval_ms = (int64_t)step->self->options->interval_s * 1000;
    int64_t due_ms = step->self->round_ms;
    // After a start, and for a clock that was set back.
    if (due_ms == 0) due_ms = state->round_s * 1000 + interval_ms;
    if (due_ms > step->now_ms + interval_ms) due_ms = step->now_ms;
    if (step->now_ms < due_ms && step->is_logging) {
        int64_t left_ms = due_ms - step->now_ms;
        if (left_ms < *step->wait_ms) *step->wait_ms = left_ms;
        return true;
    }
    return run_round(step, fault);
}

static bool run(struct step *step, struct fault *fault) {
    if (!load(step, fault)) return false;
    if (step->state.is_active) return run_session(step, fault);
    seat_show_lag(step->self->base.name, 0);
    if (step->present.size == 0) return forget(step, fault);
    bool is_new = step->is_logging && step->started_ms > step->state.session_ms;
    return !is_new || begin_session(step, fault);
}

static void forget_round(struct deliver_trail *self) {
    round_destroy(self->round);
    self->round = NULL;
}

static bool on_step(struct follower *follower, struct seat *seat, int64_t *wait_ms,
                    struct fault *fault) {
    struct deliver_trail *self = (struct deliver_trail *)follower;
    *wait_ms = TRAIL_LOOK_MS;
    struct step step = {.self = self,
                        .seat = seat,
                        .arena = arena_create(ARENA_SIZE),
                        .now_ms = seat_now_ms(seat),
                        .wait_ms = wait_ms};
    if (step.arena == NULL) return fault_set(fault, FAULT_FULL, "no memory for a trail");
    bool is_good = run(&step, fault);
    arena_destroy(step.arena);
    if (!is_good || *wait_ms != 0) forget_round(self);
    return is_good;
}

static void on_end(struct follower *follower) {
    forget_round((struct deliver_trail *)follower);
    free(follower);
}

bool deliver_trail_create(const struct deliver_options *options, struct span id, struct span name,
                          struct span account, struct span region, struct follower **follower,
                          struct fault *fault) {
    struct deliver_trail *self = calloc(1, sizeof *self);
    if (self == NULL) return fault_set(fault, FAULT_FULL, "no memory for a trail");
    self->base.step = on_step;
    self->base.end = on_end;
    self->options = options;
    snprintf(self->id, sizeof self->id, "%.*s", SPAN_PRINT(id));
    trail_document_name(account, region, name, self->document);
    snprintf(self->state, sizeof self->state, STATE_DOCUMENTS "%s", self->id);
    present_print_follower("deliver", name, self->id, self->base.name);
    *follower = &self->base;
    return true;
}
