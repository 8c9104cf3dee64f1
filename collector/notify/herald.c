#include "collector/notify/herald.h"

#include <stdio.h>
#include <stdlib.h>

#include "base/crypto.h"
#include "base/json.h"
#include "collector/deliver/state.h"
#include "collector/follow/seat.h"
#include "collector/metrics.h"
#include "collector/notify/place.h"
#include "collector/notify/sender.h"

enum {
    LOOK_MS = 500,
    AGAIN_MS = 1000,  // after a failure behind a message that was taken
    STEP_MS = 1000,   // then the place is saved
    HASH_SIZE = 8,    // bytes of a target's hash
    NAME_SHOWN = 16,  // letters of a trail's name in the follower's
    LIST_SIZE_MAX = 16 * 1024 * 1024,
};

struct herald {
    struct follower base;  // first: it is found from it
    struct herald_options options;
    struct target target;  // its texts are ours
    char id[TRAIL_ID_SIZE];
    char *trail;
    char hash[2 * HASH_SIZE + 1];
    char document[TRAIL_NAME_SIZE_MAX + 1];  // of its place
    struct sender sender;
    bool has_sender;
    atomic_ullong to;
    atomic_bool is_unwanted;
    atomic_bool is_over;
};

// ---- a step

struct step {
    struct herald *self;
    struct seat *seat;
    struct buffer saved;  // the place as it is stored; empty: none
    struct place place;
    struct buffer list;  // the next round's
    uint64_t to;         // of it; 0: there is none
    struct json_reader *json;
};

static bool load_place(struct step *step, struct fault *fault) {
    const struct yyjson_val *root;
    struct herald *self = step->self;
    if (!seat_document(step->seat, span_text(self->document), &step->saved, fault)) return false;
    if (step->saved.size > 0 && (!json_read(step->json, buffer_span(&step->saved), &root, fault) ||
                                 !place_read(root, &step->place, fault))) {
        return fault_add(fault, "%s", self->document);
    }
    snprintf(step->place.name, sizeof step->place.name, "%s", self->target.name);
    atomic_store(&self->to, step->place.to);
    return true;
}

static bool save_place(struct step *step, struct fault *fault) {
    struct buffer text;
    buffer_init(&text, PLACE_SIZE_MAX);
    place_print(&step->place, &text);
    const struct append_document document = {span_text(step->self->document),
                                             buffer_span(&step->saved), buffer_span(&text)};
    bool is_good = buffer_overflowed(&text)
                       ? fault_set(fault, FAULT_FULL, "no memory for a target's place")
                       : seat_save(step->seat, &document, 1, NULL, fault);
    if (is_good) atomic_store(&step->self->to, step->place.to);
    buffer_done(&text);
    return is_good;
}

static bool on_list(void *user, struct span name, struct span value) {
    struct step *step = user;
    struct span id;
    uint64_t to;
    int64_t time_s;
    if (!place_parse_queue(name, &id, &to, &time_s) || to <= step->place.to) return true;
    buffer_append(&step->list, value);
    step->to = to;
    return false;
}

// Reads the list of the first round behind the place.
static bool load_list(struct step *step, struct fault *fault) {
    char prefix[TRAIL_NAME_SIZE_MAX];
    snprintf(prefix, sizeof prefix, STATE_QUEUES "%s/", step->self->id);
    buffer_reset(&step->list);
    step->to = 0;
    if (!trail_reader_documents(step->seat->reader, span_text(prefix), on_list, step, fault)) {
        return false;
    }
    if (buffer_overflowed(&step->list)) {
        return fault_set(fault, FAULT_FULL, "no memory for a list of files");
    }
    // Of one that was given up nothing is left to go on with.
    if (step->place.in != step->to) step->place.index = 0;
    step->place.in = step->to;
    return true;
}

static void show_lag(const struct step *step, int64_t time_s) {
    int64_t now_s = seat_now_ms(step->seat) / 1000;
    struct metric *metric = &metrics_table[METRICS_NOTIFY_LAG];
    bool is_late = time_s != 0 && now_s > time_s;
    metric_set(metric, metric_label(metric, span_text(step->self->base.name)),
               is_late ? now_s - time_s : 0);
}

static void count_sent(const struct step *step) {
    struct metric *metric = &metrics_table[METRICS_NOTIFICATIONS];
    metric_add(metric, metric_label(metric, span_text(step->self->base.name)), 1);
}

static bool create_sender(struct step *step, struct fault *fault) {
    struct herald *self = step->self;
    const struct sender_options options = {.target = &self->target,
                                           .clock = step->seat->clock,
                                           .files = self->options.files,
                                           .stop = self->options.stop};
    if (self->has_sender) return true;
    if (!sender_create(&options, &self->sender, fault)) return false;
    self->has_sender = true;
    return true;
}

static bool tell(struct step *step, struct span bucket, int64_t time_s, const yyjson_val *item,
                 struct fault *fault) {
    struct herald *self = step->self;
    char id[MESSAGE_ID_SIZE];
    struct buffer text;
    const struct message_file file = {
        .bucket = bucket,
        .key = json_member_string(item, SPAN_LITERAL("object")),
        .region = span_text(self->options.bucket_region),
        .time_s = time_s,
    };
    buffer_init(&text, MESSAGE_SIZE_MAX);
    message_print_id(&file, id);
    message_print(self->target.form, &file, id, &text);
    const struct message message = {id, buffer_span(&text), span_text(self->trail)};
    bool is_good = buffer_overflowed(&text)
                       ? fault_set(fault, FAULT_FULL, "NoMemory: for a message")
                       : create_sender(step, fault) && sender_send(&self->sender, &message, fault);
    buffer_done(&text);
    if (is_good) count_sent(step);
    return is_good;
}

static bool is_stopping(const struct step *step) {
    return atomic_load(step->self->options.stop) || seat_is_stopping(step->seat);
}

static int64_t read_clock(const struct step *step) {
    const struct clock *clock = step->seat->clock;
    return clock->monotonic_ms(clock->context);
}

// Tells of files until all are told, something fails or the time is over. *is_done: all are told.
static bool tell_list(struct step *step, int64_t until_ms, bool *is_done, struct fault *fault) {
    const struct yyjson_val *root;
    *is_done = false;
    if (!json_read(step->json, buffer_span(&step->list), &root, fault)) return false;
    struct span bucket = json_member_string(root, SPAN_LITERAL("bucket"));
    int64_t time_s =
        yyjson_get_sint((yyjson_val *)(uintptr_t)json_member(root, SPAN_LITERAL("time_s")));
    yyjson_val *files = (yyjson_val *)(uintptr_t)json_member(root, SPAN_LITERAL("files"));
    size_t index, count;
    yyjson_val *item;
    yyjson_arr_foreach(files, index, count, item) {
        if (index < step->place.index) continue;
        if (is_stopping(step)) return true;
        bool is_good = tell(step, bucket, time_s, item, fault);
        show_lag(step, time_s);
        if (!is_good) return false;
        step->place.index++;
        step->place.told_ms = seat_now_ms(step->seat);
        if (read_clock(step) > until_ms) break;
    }
    *is_done = step->place.index >= count;
    return true;
}

// Notes for GetTrailStatus why an attempt failed: of the same failure again at most once a minute.
static bool note_failure(struct step *step, const struct fault *why, bool has_moved,
                         struct fault *fault) {
    struct place *place = &step->place;
    bool is_new =
        seat_note(step->seat, why, place->error, sizeof place->error, &place->attempted_ms);
    if (!is_new && !has_moved) return true;
    if (!is_new) place->attempted_ms = seat_now_ms(step->seat);
    return save_place(step, fault);
}

// A list was not told of to its end. What was told by then is saved.
static bool end_failed(struct step *step, const struct fault *why, bool has_moved, int64_t *wait_ms,
                       struct fault *fault) {
    *fault = *why;
    if (is_stopping(step)) return has_moved && save_place(step, fault);
    if (!note_failure(step, why, has_moved, fault)) return false;
    // One that takes some and refuses others is not asked less and less often.
    *wait_ms = AGAIN_MS;
    return has_moved;
}

// Several lists are one step if they are short: the place is saved once for all of them.
static bool run(struct step *step, int64_t *wait_ms, struct fault *fault) {
    struct fault why;
    int64_t until_ms = read_clock(step) + STEP_MS;
    bool is_good = true, is_done = true, has_moved = false;
    if (!load_place(step, fault)) return false;
    while (is_good && is_done && read_clock(step) < until_ms) {
        if (!load_list(step, fault)) return false;
        if (step->to == 0) break;
        uint32_t before = step->place.index;
        is_good = tell_list(step, until_ms, &is_done, &why);
        has_moved = has_moved || is_done || step->place.index > before;
        if (is_done) step->place.to = step->to;
    }
    if (step->to == 0) {
        show_lag(step, 0);
    } else {
        *wait_ms = 0;
    }
    if (!is_good) return end_failed(step, &why, has_moved, wait_ms, fault);
    if (!has_moved) return true;
    step->place.attempted_ms = step->place.told_ms;
    step->place.error[0] = 0;
    return save_place(step, fault);
}

static bool on_step(struct follower *follower, struct seat *seat, int64_t *wait_ms,
                    struct fault *fault) {
    struct herald *self = (struct herald *)follower;
    *wait_ms = LOOK_MS;
    if (atomic_load(&self->is_unwanted)) {
        *wait_ms = -1;
        return true;
    }
    struct step step = {.self = self, .seat = seat, .json = json_reader_create()};
    if (step.json == NULL) return fault_set(fault, FAULT_FULL, "no memory for a notification");
    buffer_init(&step.saved, PLACE_SIZE_MAX);
    buffer_init(&step.list, LIST_SIZE_MAX);
    bool is_good = run(&step, wait_ms, fault);
    json_reader_destroy(step.json);
    buffer_done(&step.saved);
    buffer_done(&step.list);
    return is_good;
}

// ---- life

static void on_end(struct follower *follower) {
    struct herald *self = (struct herald *)follower;
    atomic_store(&self->is_over, true);
}

// Each has its own place: another address under the name is another target.
static void print_hash(const struct target *target, char hash[2 * HASH_SIZE + 1]) {
    static const char *const kinds[] = {"webhook", "queue", "topic"};
    uint8_t digest[SHA256_SIZE];
    char head[TARGET_NAME_SIZE_MAX + 16];
    snprintf(head, sizeof head, "%s %s ", kinds[target->kind], target->name);
    const struct span parts[] = {span_text(head), span_text(target->address)};
    crypto_sha256(parts, 2, digest);
    crypto_print_hex(span_of(digest, HASH_SIZE), hash);
}

// Letters, digits and '-' that tell people which trail and target it is.
static void print_name(struct herald *self) {
    char shown[NAME_SHOWN + 1];
    size_t size = 0;
    for (; self->trail[size] != 0 && size < NAME_SHOWN; size++) {
        char letter = self->trail[size];
        shown[size] = letter == '.' || letter == '_' ? '-' : letter;
    }
    shown[size] = 0;
    snprintf(self->base.name, sizeof self->base.name, "notify-%s-%.*s-%.6s", shown,
             TARGET_NAME_SIZE_MAX, self->target.name, self->id);
}

bool herald_create(const struct herald_options *options, struct span id, struct span trail,
                   const struct target *target, struct herald **herald, struct fault *fault) {
    struct herald *made = calloc(1, sizeof *made);
    if (made == NULL) return fault_set(fault, FAULT_FULL, "no memory for a target");
    made->base.step = on_step;
    made->base.end = on_end;
    made->base.is_target = true;
    made->options = *options;
    made->target = *target;
    made->target.address = strdup(target->address);
    made->trail = strndup((const char *)trail.bytes, trail.size);
    if (made->trail == NULL || made->target.address == NULL) {
        herald_destroy(made);
        return fault_set(fault, FAULT_FULL, "no memory for a target");
    }
    snprintf(made->id, sizeof made->id, "%.*s", SPAN_PRINT(id));
    print_hash(target, made->hash);
    snprintf(made->document, sizeof made->document, STATE_TARGETS "%s/%s", made->id, made->hash);
    print_name(made);
    *herald = made;
    return true;
}

void herald_destroy(struct herald *herald) {
    if (herald == NULL) return;
    sender_destroy(&herald->sender);
    free((char *)(uintptr_t)herald->target.address);
    free(herald->trail);
    free(herald);
}

struct follower *herald_follower(struct herald *herald) {
    return &herald->base;
}

bool herald_is_of(const struct herald *herald, struct span id) {
    return span_is(id, herald->id);
}

bool herald_tells(const struct herald *herald, const struct target *target) {
    char hash[2 * HASH_SIZE + 1];
    print_hash(target, hash);
    return strcmp(hash, herald->hash) == 0;
}

const char *herald_document(const struct herald *herald) {
    return herald->document;
}

uint64_t herald_to(const struct herald *herald) {
    return atomic_load(&herald->to);
}

void herald_end(struct herald *herald) {
    atomic_store(&herald->is_unwanted, true);
}

bool herald_is_over(const struct herald *herald) {
    return atomic_load(&herald->is_over);
}
