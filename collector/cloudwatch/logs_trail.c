#include "collector/cloudwatch/logs_trail.h"

#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#include "base/arena.h"
#include "base/json.h"
#include "base/log.h"
#include "collector/cloudwatch/logs_round.h"
#include "collector/cloudwatch/logs_state.h"
#include "collector/deliver/present.h"
#include "collector/follow/seat.h"
#include "collector/notes/notes.h"

enum { ARENA_SIZE = 32 * 1024 * 1024 };

struct logs_trail {
    struct follower base;  // first: it is found from it
    const struct logs_trail_options *options;
    char id[TRAIL_ID_SIZE];
    char document[TRAIL_NAME_SIZE_MAX + 1];  // the trail's
    char state[TRAIL_NAME_SIZE_MAX + 1];     // the state's
    struct logs *client;                     // NULL: not needed yet
    struct logs_round *round;                // gathered and not put as a whole; NULL: none
    bool was_logging;                        // the trail, when the round was gathered
    int64_t due_ms;                          // when the next round is, by the clock
};

// One step: what is there, read anew, and what is made of it. All lies in the arena.
struct step {
    struct logs_trail *self;
    struct seat *seat;
    struct arena *arena;
    struct span saved;  // the state as it is stored; empty: none
    struct logs_state state;
    struct span present;  // the trail's document now; empty: it is gone
    struct trail trail;   // as it is now, or as it was when it was seen last
    uint64_t place;
    bool has_place;
    int64_t now_ms;
    int64_t *wait_ms;
};

// ---- reading and saving

static bool load(struct step *step, struct fault *fault) {
    struct logs_trail *self = step->self;
    const struct yyjson_val *root;
    // The document first: what it says has happened is in the log that is read after it.
    if (!present_read(step->seat, step->arena, self->document, self->id, &step->present,
                      &step->trail, fault) ||
        !present_document(step->seat, step->arena, self->state, &step->saved, fault)) {
        return false;
    }
    if (step->saved.size > 0) {
        if (!json_read_into(step->arena, step->saved, &root, fault) ||
            !logs_state_read(root, &step->state, fault)) {
            fault->kind = FAULT_CORRUPT;
            return false;
        }
    }
    if (step->present.size > 0) {
        step->state.trail = step->present;
    } else if (step->state.trail.size > 0) {
        if (!present_parse(step->arena, step->state.trail, &step->trail, fault)) return false;
        step->trail.is_logging = false;
    }
    return seat_place(step->seat, self->base.name, &step->has_place, &step->place, fault);
}

static struct append_follower follower_to(const struct step *step, uint64_t to) {
    struct append_follower follower = {.from = step->has_place ? step->place : 0, .to = to};
    memcpy(follower.name, step->self->base.name, sizeof follower.name);
    return follower;
}

// Saves the state and the follower's place (NULL: it stays), one commit.
static bool save(struct step *step, const struct append_follower *follower, struct fault *fault) {
    struct buffer buffer;
    buffer_init(&buffer, LOGS_STATE_SIZE_MAX);
    logs_state_print(&step->state, &buffer);
    const struct append_document document = {span_text(step->self->state), step->saved,
                                             buffer_span(&buffer)};
    bool is_good = buffer_overflowed(&buffer)
                       ? fault_set(fault, FAULT_FULL, "the state of a delivery is too large")
                       : seat_save(step->seat, &document, 1, follower, fault);
    buffer_done(&buffer);
    return is_good;
}

// Notes for GetTrailStatus why it failed, and when: of the same failure again at most once a
// minute. What cannot be noted is noted with the next attempt; the fault is told in any case.
static bool note_failure(struct step *step, const struct fault *why, struct fault *fault) {
    struct fault ignored;
    struct logs_state *state = &step->state;
    *fault = *why;
    if (seat_is_stopping(step->seat) ||
        !seat_note(step->seat, why, state->error, sizeof state->error, &state->attempted_ms)) {
        return false;
    }
    return save(step, NULL, &ignored) && false;
}

// ---- rounds

static void drop_round(struct logs_trail *self) {
    logs_round_destroy(self->round);
    self->round = NULL;
}

static bool gather(struct step *step, struct fault *fault) {
    struct logs_trail *self = step->self;
    uint32_t count = followers_count(self->options->followers);
    uint64_t size = LOGS_TRAIL_SHARED_SIZE / (count > 0 ? count : 1);
    if (size > LOGS_ROUND_SIZE_MAX) size = LOGS_ROUND_SIZE_MAX;
    if (size < LOGS_TRAIL_SHARE_MIN) size = LOGS_TRAIL_SHARE_MIN;
    const struct logs_round_options options = {.follower = self->base.name,
                                               .organization = self->options->organization,
                                               .size_max = size,
                                               .event_size_max = self->options->event_size_max};
    self->was_logging = step->trail.is_logging;
    if (!logs_round_create(&options, &self->round, fault)) return false;
    if (logs_round_gather(self->round, step->seat, &step->trail, step->place,
                          step->state.session_ms, fault)) {
        return true;
    }
    drop_round(self);
    return false;
}

bool logs_trail_split(struct span arn, struct span *region, struct span *name) {
    struct span parts[7];
    struct span rest = arn;
    for (size_t index = 0; index < sizeof parts / sizeof parts[0]; index++) {
        size_t colon = span_find(rest, ':');
        if (colon == rest.size) return false;
        parts[index] = span_of(rest.bytes, colon);
        rest = span_from(rest, colon + 1);
    }
    if (!span_is(parts[2], "logs") || !span_is(parts[5], "log-group") || !span_is(rest, "*") ||
        parts[6].size == 0 || parts[6].size >= LOGS_NAME_SIZE) {
        return false;
    }
    *region = parts[3];
    *name = parts[6];
    return true;
}

bool logs_trail_allows(const struct logs_trail_options *options, struct span arn) {
    struct span region, name;
    if (options->groups_count == 0) return true;
    if (!logs_trail_split(arn, &region, &name)) return false;
    for (uint32_t index = 0; index < options->groups_count; index++) {
        if (span_is_like(name, span_text(options->groups[index]))) return true;
    }
    return false;
}

static bool put_group(struct step *step, struct fault *fault) {
    struct logs_trail *self = step->self;
    struct span region, name;
    char group[LOGS_NAME_SIZE];
    if (!logs_trail_split(step->trail.logs_group, &region, &name)) {
        return fault_set(fault, FAULT_INPUT, "InvalidLogGroup: %.*s is not the ARN of a log group",
                         SPAN_PRINT(step->trail.logs_group));
    }
    if (!span_is(region, self->options->caller.region)) {
        return fault_set(fault, FAULT_INPUT,
                         "WrongRegion: the log group is in %.*s, and delivery.logs.region is %s",
                         SPAN_PRINT(region), self->options->caller.region);
    }
    snprintf(group, sizeof group, "%.*s", SPAN_PRINT(name));
    if (!logs_trail_allows(self->options, step->trail.logs_group)) {
        return fault_set(fault, FAULT_DENIED,
                         "NotAllowed: delivery.logs.groups does not have the log group %s: add it "
                         "there, or give the trail another",
                         group);
    }
    if (self->client == NULL && !logs_create(&self->options->caller, &self->client, fault)) {
        return fault_add(fault, "WrongSettings");
    }
    if (logs_round_put(self->round, step->seat, self->client, group, fault)) return true;
    if (!logs_lacks_group(self->client)) return false;
    return fault_set(fault, FAULT_INPUT, "ResourceNotFoundException: make the log group %s in %.*s",
                     group, SPAN_PRINT(region));
}

static void note_left_out(struct step *step, const struct logs_round_facts *facts) {
    struct logs_state *state = &step->state;
    if (facts->left_out == 0) return;
    state->left_out += facts->left_out;
    if (facts->large > 0) {
        snprintf(
            state->note, sizeof state->note,
            "EventTooLarge: %llu events were left out since logging began, the last one, event "
            "%llu, of %llu bytes: the log group takes %llu",
            (unsigned long long)state->left_out, (unsigned long long)facts->sequence,
            (unsigned long long)facts->large,
            (unsigned long long)step->self->options->event_size_max);
    } else {
        snprintf(state->note, sizeof state->note,
                 "RejectedLogEvents: %llu events were left out since logging began: the log group "
                 "refused them for their time",
                 (unsigned long long)state->left_out);
    }
}

// Tells in the trail what the state has by now. It is short: not left out itself.
static void tell_left_out(const struct step *step, const struct logs_round_facts *facts) {
    struct span name = span_text(step->self->base.name);
    bool is_large = facts->large > 0;
    const struct own_event_detail details[] = {
        {"follower", name, 0},
        {"reason", span_text(is_large ? "EventTooLarge" : "RejectedLogEvents"), 0},
        {"sinceLoggingBegan", {NULL, 0}, step->state.left_out},
        {"sequence", {NULL, 0}, facts->sequence},
        {"bytes", {NULL, 0}, facts->large},
    };
    if (facts->left_out == 0) return;
    notes_add(step->self->options->notes, "EventsLeftOut", name, details, is_large ? 5 : 3);
}

// All is put: the place moves. The session ends with the call that ended it, which is in what was
// gathered if the document said before that it was made: a round may have waited for its log group,
// and the trail been stopped meanwhile.
static bool end_round(struct step *step, struct fault *fault) {
    struct logs_trail *self = step->self;
    const struct logs_round_facts facts = *logs_round_facts(self->round);
    bool is_last = facts.is_last || (!facts.is_full && !self->was_logging);
    bool is_more = facts.is_full || is_last || !step->trail.is_logging;
    struct append_follower follower = follower_to(step, facts.to);
    if (facts.put > 0) step->state.delivered_ms = seat_now_ms(step->seat);
    bool had_error = step->state.error[0] != 0;
    step->state.error[0] = 0;
    if (facts.gathered > 0) step->state.attempted_ms = seat_now_ms(step->seat);
    note_left_out(step, &facts);
    if (is_last) step->state.is_active = false;
    follower.is_dropped = is_last;
    bool is_same = facts.to == step->place && !is_last && !had_error;
    if (!is_same && !save(step, &follower, fault)) return false;
    tell_left_out(step, &facts);
    drop_round(self);
    self->due_ms = is_more ? 0 : step->now_ms + (int64_t)self->options->interval_s * 1000;
    if (is_more) *step->wait_ms = 0;
    return true;
}

static bool run_round(struct step *step, struct fault *fault) {
    struct logs_trail *self = step->self;
    struct fault why;
    // What was gathered behind another place was put, and saved after all.
    if (self->round != NULL && logs_round_facts(self->round)->from != step->place) {
        drop_round(self);
    }
    if (self->round == NULL && !gather(step, &why)) return note_failure(step, &why, fault);
    bool is_empty = logs_round_facts(self->round)->gathered == 0;
    if (!is_empty && !put_group(step, &why)) return note_failure(step, &why, fault);
    return end_round(step, fault);
}

// ---- sessions

static int64_t begin_of(const struct trail *trail) {
    return trail->logs_ms > trail->started_ms ? trail->logs_ms : trail->started_ms;
}

static bool begin_session(struct step *step, struct fault *fault) {
    uint64_t after;
    struct fault why;
    struct logs_state *state = &step->state;
    if (!seat_find_received(step->seat, begin_of(&step->trail), &after, fault)) return false;
    if (step->has_place && after < step->place) after = step->place;
    const struct append_follower follower = follower_to(step, after);
    const struct logs_state before = *state;
    *state = (struct logs_state){.trail = before.trail,
                                 .is_active = true,
                                 .session_ms = begin_of(&step->trail),
                                 .attempted_ms = before.attempted_ms,
                                 .delivered_ms = before.delivered_ms};
    *step->wait_ms = 0;
    step->self->due_ms = 0;
    if (!save(step, &follower, &why)) {
        *state = before;
        return note_failure(step, &why, fault);
    }
    LOG(LOG_INFO, "a trail delivers to a log group", log_text("follower", step->self->base.name),
        (struct log_field){"trail", step->trail.name, 0},
        (struct log_field){"group", step->trail.logs_group, 0},
        log_number("sequence", (int64_t)after));
    return true;
}

// Ends a session without its last events: there is no group any more to put them to.
static bool end_session(struct step *step, struct fault *fault) {
    uint64_t last;
    struct append_follower follower = follower_to(step, step->place);
    if (!seat_last(step->seat, &last, fault)) return false;
    follower.is_dropped = true;
    step->state.is_active = false;
    step->state.error[0] = 0;
    drop_round(step->self);
    if (!save(step, &follower, fault)) return false;
    LOG(LOG_WARNING, "a trail has no log group any more: what was not delivered is not",
        log_text("follower", step->self->base.name),
        log_number("events", (int64_t)(last - step->place)));
    return true;
}

// Somebody dropped the follower: what it had not delivered is not delivered.
static bool resume_dropped(struct step *step, struct fault *fault) {
    uint64_t last;
    drop_round(step->self);
    *step->wait_ms = 0;
    if (!step->trail.is_logging) {
        step->state.is_active = false;
        return save(step, NULL, fault);
    }
    if (!seat_last(step->seat, &last, fault)) return false;
    const struct append_follower follower = follower_to(step, last);
    LOG(LOG_WARNING, "a trail's follower was dropped: it goes on with what comes",
        log_text("follower", step->self->base.name));
    return save(step, &follower, fault);
}

// The trail is no more: nothing is kept of its delivery.
static bool forget(struct step *step, struct fault *fault) {
    const struct append_document state = {span_text(step->self->state), step->saved, {NULL, 0}};
    struct append_follower follower = follower_to(step, step->place);
    follower.is_dropped = true;
    *step->wait_ms = -1;
    return seat_save(step->seat, &state, 1, &follower, fault);
}

static bool run_session(struct step *step, struct fault *fault) {
    struct logs_trail *self = step->self;
    seat_show_place(step->seat, self->base.name, step->place);
    if (!step->has_place) return resume_dropped(step, fault);
    if (step->trail.logs_group.size == 0) return end_session(step, fault);
    int64_t interval_ms = (int64_t)self->options->interval_s * 1000;
    // For a clock that was set back.
    if (self->due_ms > step->now_ms + interval_ms) self->due_ms = step->now_ms;
    int64_t left_ms = self->due_ms - step->now_ms;
    if (self->round == NULL && left_ms > 0 && step->trail.is_logging) {
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
    bool is_new = step->trail.is_logging && step->trail.logs_group.size > 0 &&
                  begin_of(&step->trail) > step->state.session_ms;
    return !is_new || begin_session(step, fault);
}

static bool on_step(struct follower *follower, struct seat *seat, int64_t *wait_ms,
                    struct fault *fault) {
    struct logs_trail *self = (struct logs_trail *)follower;
    *wait_ms = LOGS_TRAIL_LOOK_MS;
    struct step step = {.self = self,
                        .seat = seat,
                        .arena = arena_create(ARENA_SIZE),
                        .now_ms = seat_now_ms(seat),
                        .wait_ms = wait_ms};
    if (step.arena == NULL) return fault_set(fault, FAULT_FULL, "NoMemory: for a trail");
    bool is_good = run(&step, fault);
    arena_destroy(step.arena);
    return is_good;
}

static void on_end(struct follower *follower) {
    struct logs_trail *self = (struct logs_trail *)follower;
    logs_destroy(self->client);
    logs_round_destroy(self->round);
    free(self);
}

// ---- the destination

static bool wants(const struct trail *trail) {
    return trail->logs_group.size > 0;
}

static bool create(const void *options, struct span id, const struct trail *trail,
                   struct follower **follower, struct fault *fault) {
    struct logs_trail *self = calloc(1, sizeof *self);
    if (self == NULL) return fault_set(fault, FAULT_FULL, "NoMemory: for a trail");
    self->base.step = on_step;
    self->base.end = on_end;
    self->options = options;
    snprintf(self->id, sizeof self->id, "%.*s", SPAN_PRINT(id));
    trail_document_name(trail->account, trail->region, trail->name, self->document);
    snprintf(self->state, sizeof self->state, LOGS_STATE_DOCUMENTS "%s", self->id);
    present_print_follower("logs", trail->name, self->id, self->base.name);
    *follower = &self->base;
    return true;
}

struct deliver_kind logs_trail_kind(const struct logs_trail_options *options) {
    return (struct deliver_kind){LOGS_STATE_DOCUMENTS, wants, create, options};
}
