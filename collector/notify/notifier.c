#include "collector/notify/notifier.h"

#include <stdio.h>
#include <stdlib.h>

#include "base/arena.h"
#include "base/json.h"
#include "base/log.h"
#include "collector/deliver/state.h"
#include "collector/follow/seat.h"
#include "collector/metrics.h"
#include "collector/notify/herald.h"
#include "collector/notify/place.h"

enum {
    LOOK_MS = 1000,
    QUEUES_MAX = 1024,                 // trails with lists that are looked after at a time
    BATCH = 32,                        // documents of one commit
    BATCH_SIZE_MAX = 8 * 1024 * 1024,  // bytes of them
    ARENA_SIZE = 2 * BATCH_SIZE_MAX,
};

struct entry {
    struct herald *herald;
    bool is_follower;
    bool is_refused;  // its topic: it only says so
    bool is_wanted;   // at the present look
    bool is_ending;
};

struct notifier {
    struct follower base;  // first: it is found from it
    struct notifier_options options;
    struct entry entries[NOTIFIER_HERALDS_MAX];
    uint32_t entries_count;
    bool is_short_told;  // that some targets have no herald
    atomic_bool is_stopping;
};

// A trail's lists, or what one that is gone has left.
struct queue_facts {
    struct span id;
    uint64_t size;
    uint64_t to;     // the newest one's
    int64_t time_s;  // the same
    bool has_trail;
    bool lacks_herald;  // a target of it is to be told, and there is no room for it
};

// One look around.
struct look {
    struct notifier *notifier;
    struct seat *seat;
    struct arena *arena;
    struct json_reader *json;
    struct json_reader *trail_json;
    int64_t now_s;
    bool is_unsure;    // a trail could not be read: who is wanted is not known
    uint32_t lacking;  // targets that are to be told, and cannot be yet
    struct queue_facts queues[QUEUES_MAX];
    uint32_t queues_count;
    struct append_document batch[BATCH];
    uint32_t batch_count;
    size_t batch_size;
    bool has_more;  // that is to go, and did not fit into the batch
};

// ---- who is to be told

static bool is_of(const struct target *target, const struct trail *trail) {
    return span_is(trail->name, target->trail) && span_is(trail->account, target->account);
}

bool notifier_wants(const struct notifier *notifier, const struct trail *trail) {
    const struct notifier_options *options = &notifier->options;
    if (trail->topic.size > 0 && options->topics_count > 0) return true;
    for (uint32_t index = 0; index < options->targets_count; index++) {
        if (is_of(&options->targets[index], trail)) return true;
    }
    return false;
}

static struct entry *find_entry(struct notifier *notifier, struct span id,
                                const struct target *target) {
    for (uint32_t index = 0; index < notifier->entries_count; index++) {
        struct entry *entry = &notifier->entries[index];
        bool is_it = !entry->is_ending && herald_is_of(entry->herald, id) &&
                     herald_tells(entry->herald, target);
        if (is_it) return entry;
    }
    return NULL;
}

// Whoever may make a trail may name topics that are not allowed: they do not take all the room.
static uint32_t count_refused(const struct notifier *notifier) {
    uint32_t count = 0;
    for (uint32_t index = 0; index < notifier->entries_count; index++) {
        count += notifier->entries[index].is_refused;
    }
    return count;
}

static struct entry *add_entry(struct look *look, struct span id, const struct trail *trail,
                               const struct target *target) {
    struct notifier *notifier = look->notifier;
    struct fault ignored;
    const struct herald_options options = {.files = notifier->options.files,
                                           .bucket_region = notifier->options.bucket_region,
                                           .stop = &notifier->is_stopping};
    if (notifier->entries_count == NOTIFIER_HERALDS_MAX) return NULL;
    if (target->is_refused && count_refused(notifier) >= NOTIFIER_REFUSED_MAX) return NULL;
    struct entry *entry = &notifier->entries[notifier->entries_count];
    *entry = (struct entry){.is_refused = target->is_refused};
    if (!herald_create(&options, id, trail->name, target, &entry->herald, &ignored)) return NULL;
    notifier->entries_count++;
    return entry;
}

static struct queue_facts *find_queue(struct look *look, struct span id) {
    for (uint32_t index = 0; index < look->queues_count; index++) {
        if (span_equal(look->queues[index].id, id)) return &look->queues[index];
    }
    return NULL;
}

static void want(struct look *look, struct span id, const struct trail *trail,
                 const struct target *target) {
    struct notifier *notifier = look->notifier;
    struct entry *entry = find_entry(notifier, id, target);
    if (entry == NULL) entry = add_entry(look, id, trail, target);
    if (entry != NULL && !entry->is_follower) {
        entry->is_follower =
            followers_add(notifier->options.followers, herald_follower(entry->herald));
    }
    if (entry != NULL) entry->is_wanted = true;
    if (entry != NULL && entry->is_follower) return;
    // Its trail's lists wait; those that others were told of go, and heralds end, which makes room.
    struct queue_facts *queue = find_queue(look, id);
    if (queue != NULL && entry == NULL) queue->lacks_herald = true;
    look->lacking++;
}

// Whether the settings have a topic among those that are published to.
static bool is_allowed(const struct notifier_options *options, struct span arn) {
    for (uint32_t index = 0; index < options->topics_count; index++) {
        if (span_is_like(arn, span_text(options->topics[index]))) return true;
    }
    return false;
}

static void want_all(struct look *look, struct span id, const struct trail *trail) {
    const struct notifier_options *options = &look->notifier->options;
    for (uint32_t index = 0; index < options->targets_count; index++) {
        struct target target = options->targets[index];
        if (!is_of(&target, trail)) continue;
        target.is_refused =
            target.kind == TARGET_TOPIC && !is_allowed(options, span_text(target.address));
        want(look, id, trail, &target);
    }
    if (trail->topic.size == 0 || options->topics_count == 0) return;
    char arn[TRAIL_TOPIC_SIZE];
    trail_document_topic(trail, arn);
    const struct target target = {.kind = TARGET_TOPIC,
                                  .name = TARGET_TOPIC_NAME,
                                  .address = arn,
                                  .is_refused = !is_allowed(options, span_text(arn)),
                                  .service = options->topic_service};
    want(look, id, trail, &target);
}

static bool on_state(void *user, struct span name, struct span value) {
    struct look *look = user;
    struct fault ignored;
    const struct yyjson_val *root;
    struct state state;
    struct span id = span_from(name, strlen(STATE_DOCUMENTS));
    struct queue_facts *queue = find_queue(look, id);
    if (queue != NULL) queue->has_trail = true;
    if (!json_read(look->json, value, &root, &ignored) || !state_read(root, &state, &ignored) ||
        !json_read(look->trail_json, state.trail, &root, &ignored)) {
        // Whoever is told of its files goes on.
        look->is_unsure = true;
        return true;
    }
    const struct trail trail = trail_document_read(root);
    want_all(look, id, &trail);
    return true;
}

// What a deleted trail has left is tried for a while.
static void want_rest(struct look *look) {
    for (uint32_t index = 0; index < look->notifier->entries_count; index++) {
        struct entry *entry = &look->notifier->entries[index];
        for (uint32_t place = 0; place < look->queues_count; place++) {
            const struct queue_facts *queue = &look->queues[place];
            bool is_recent = queue->time_s + NOTIFIER_DELETED_KEEP_S >= look->now_s;
            bool is_rest = !queue->has_trail && is_recent &&
                           herald_is_of(entry->herald, queue->id) &&
                           herald_to(entry->herald) < queue->to;
            entry->is_wanted = entry->is_wanted || is_rest;
        }
    }
}

// ---- what is left of lists

static bool on_list(void *user, struct span name, struct span value) {
    struct look *look = user;
    struct span id;
    uint64_t to;
    int64_t time_s;
    if (!place_parse_queue(name, &id, &to, &time_s)) return true;
    struct queue_facts *queue = find_queue(look, id);
    if (queue == NULL) {
        // Those that there is no room for are looked after when others are done.
        if (look->queues_count == QUEUES_MAX) return true;
        queue = &look->queues[look->queues_count];
        *queue = (struct queue_facts){0};
        if (!arena_copy(look->arena, id, &queue->id)) return true;
        look->queues_count++;
    }
    queue->size += value.size;
    queue->to = to;
    queue->time_s = time_s;
    return true;
}

static bool flush(struct look *look, struct fault *fault) {
    bool is_good = look->batch_count == 0 ||
                   seat_save(look->seat, look->batch, look->batch_count, NULL, fault);
    look->batch_count = 0;
    look->batch_size = 0;
    return is_good;
}

// Notes a document that is to go; false: no more fit into this commit.
static bool remove_later(struct look *look, struct span name, struct span value) {
    struct append_document *document = &look->batch[look->batch_count];
    if (look->batch_count == BATCH ||
        (look->batch_count > 0 && look->batch_size + value.size > BATCH_SIZE_MAX)) {
        look->has_more = true;
        return false;
    }
    *document = (struct append_document){0};
    if (!arena_copy(look->arena, name, &document->name) ||
        !arena_copy(look->arena, value, &document->before)) {
        return false;
    }
    look->batch_count++;
    look->batch_size += value.size;
    return true;
}

// How many of a trail's targets were not told of a round.
static uint32_t count_untold(const struct look *look, struct span id, uint64_t to) {
    uint32_t count = 0;
    for (uint32_t index = 0; index < look->notifier->entries_count; index++) {
        const struct entry *entry = &look->notifier->entries[index];
        count +=
            entry->is_wanted && herald_is_of(entry->herald, id) && herald_to(entry->herald) < to;
    }
    return count;
}

static void count_lost(const char *follower, int64_t files) {
    struct metric *metric = &metrics_table[METRICS_NOTIFICATIONS_LOST];
    metric_add(metric, metric_label(metric, span_text(follower)), files);
    LOG(LOG_ERROR, "notifications are given up: the target did not take them",
        log_text("follower", follower), log_number("files", files));
}

static void give_up(const struct look *look, const struct queue_facts *queue, uint64_t to,
                    struct span value) {
    struct fault ignored;
    const struct yyjson_val *root;
    if (!json_read(look->json, value, &root, &ignored)) return;
    yyjson_val *files = (yyjson_val *)(uintptr_t)json_member(root, SPAN_LITERAL("files"));
    int64_t count = (int64_t)yyjson_arr_size(files);
    for (uint32_t index = 0; index < look->notifier->entries_count; index++) {
        const struct entry *entry = &look->notifier->entries[index];
        bool is_lost = entry->is_wanted && herald_is_of(entry->herald, queue->id) &&
                       herald_to(entry->herald) < to;
        if (is_lost) count_lost(herald_follower(entry->herald)->name, count);
    }
    // What has no herald has no name either.
    if (queue->lacks_herald) count_lost(look->notifier->base.name, count);
}

// Removes the oldest lists: those that all were told of, and those that are given up.
static bool on_told(void *user, struct span name, struct span value) {
    struct look *look = user;
    struct span id;
    uint64_t to;
    int64_t time_s;
    if (!place_parse_queue(name, &id, &to, &time_s)) return true;
    struct queue_facts *queue = find_queue(look, id);
    // What came after the look at trails may be a target's that was not seen yet.
    if (queue == NULL || to > queue->to) return true;
    uint32_t untold = count_untold(look, id, to);
    int64_t keep_s = queue->has_trail ? NOTIFIER_KEEP_S : NOTIFIER_DELETED_KEEP_S;
    bool is_over =
        time_s + keep_s < look->now_s || queue->size > look->notifier->options.queue_size_max;
    bool is_needed = untold > 0 || queue->lacks_herald || look->is_unsure || !queue->has_trail;
    if (is_needed && !is_over) return true;
    if (!remove_later(look, name, value)) return false;
    if (untold > 0 || queue->lacks_herald) give_up(look, queue, to, value);
    queue->size -= value.size;
    return true;
}

// Removes places that are nobody's.
static bool on_place(void *user, struct span name, struct span value) {
    struct look *look = user;
    for (uint32_t index = 0; index < look->notifier->entries_count; index++) {
        if (span_is(name, herald_document(look->notifier->entries[index].herald))) return true;
    }
    return remove_later(look, name, value);
}

// ---- a look

// Ends heralds that nobody wants, and frees those that have ended.
static void end_unwanted(struct notifier *notifier) {
    uint32_t kept = 0;
    for (uint32_t index = 0; index < notifier->entries_count; index++) {
        struct entry entry = notifier->entries[index];
        if (!entry.is_wanted && !entry.is_ending) {
            herald_end(entry.herald);
            entry.is_ending = true;
        }
        if (entry.is_ending && (!entry.is_follower || herald_is_over(entry.herald))) {
            herald_destroy(entry.herald);
            continue;
        }
        notifier->entries[kept++] = entry;
    }
    notifier->entries_count = kept;
}

// Tells once that some wait for room, and once that they do not any more.
static void tell_lacking(const struct look *look) {
    struct notifier *notifier = look->notifier;
    if ((look->lacking > 0) == notifier->is_short_told) return;
    notifier->is_short_told = look->lacking > 0;
    if (look->lacking > 0) {
        LOG(LOG_WARNING, "there is no room for more targets: some wait until others are gone",
            log_number("targets", notifier->entries_count), log_number("waiting", look->lacking));
    } else {
        LOG(LOG_INFO, "there is room for all targets again");
    }
}

static bool run(struct look *look, struct fault *fault) {
    struct notifier *notifier = look->notifier;
    struct trail_reader *reader = look->seat->reader;
    for (uint32_t index = 0; index < notifier->entries_count; index++) {
        notifier->entries[index].is_wanted = false;
    }
    // The lists first: the trail that has left one is among those that are read after it.
    if (!trail_reader_documents(reader, SPAN_LITERAL(STATE_QUEUES), on_list, look, fault) ||
        !trail_reader_documents(reader, SPAN_LITERAL(STATE_DOCUMENTS), on_state, look, fault)) {
        return false;
    }
    want_rest(look);
    tell_lacking(look);
    if (!look->is_unsure) end_unwanted(notifier);
    if (!trail_reader_documents(reader, SPAN_LITERAL(STATE_QUEUES), on_told, look, fault)) {
        return false;
    }
    // The place of one that waits for room is not nobody's.
    if (!look->is_unsure && look->lacking == 0 &&
        !trail_reader_documents(reader, SPAN_LITERAL(STATE_TARGETS), on_place, look, fault)) {
        return false;
    }
    return flush(look, fault);
}

static bool on_step(struct follower *follower, struct seat *seat, int64_t *wait_ms,
                    struct fault *fault) {
    struct notifier *notifier = (struct notifier *)follower;
    struct look *look = calloc(1, sizeof *look);
    *wait_ms = LOOK_MS;
    if (look == NULL) return fault_set(fault, FAULT_FULL, "no memory for notifications");
    look->notifier = notifier;
    look->seat = seat;
    look->now_s = seat_now_ms(seat) / 1000;
    look->arena = arena_create(ARENA_SIZE);
    look->json = json_reader_create();
    look->trail_json = json_reader_create();
    bool is_good = (look->arena != NULL && look->json != NULL && look->trail_json != NULL) ||
                   fault_set(fault, FAULT_FULL, "no memory for notifications");
    is_good = is_good && run(look, fault);
    if (look->has_more) *wait_ms = 0;
    json_reader_destroy(look->json);
    json_reader_destroy(look->trail_json);
    arena_destroy(look->arena);
    free(look);
    return is_good;
}

// ---- life

// What it has goes with notifier_destroy.
static void on_end(struct follower *follower) {
    (void)follower;
}

bool notifier_start(const struct notifier_options *options, struct notifier **notifier,
                    struct fault *fault) {
    struct notifier *made = calloc(1, sizeof *made);
    if (made == NULL) return fault_set(fault, FAULT_FULL, "no memory for notifications");
    made->base.step = on_step;
    made->base.end = on_end;
    made->options = *options;
    if (options->queue_size_max == 0) made->options.queue_size_max = NOTIFIER_QUEUE_SIZE_MAX;
    snprintf(made->base.name, sizeof made->base.name, "notify");
    if (!followers_add(options->followers, &made->base)) {
        free(made);
        return fault_set(fault, FAULT_FULL, "no memory for notifications");
    }
    *notifier = made;
    return true;
}

void notifier_end_soon(struct notifier *notifier) {
    if (notifier != NULL) atomic_store(&notifier->is_stopping, true);
}

void notifier_destroy(struct notifier *notifier) {
    if (notifier == NULL) return;
    for (uint32_t index = 0; index < notifier->entries_count; index++) {
        herald_destroy(notifier->entries[index].herald);
    }
    free(notifier);
}
