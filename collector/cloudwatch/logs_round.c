#include "collector/cloudwatch/logs_round.h"

#include <assert.h>
#include <stdio.h>
#include <stdlib.h>

#include "base/arena.h"
#include "base/hash.h"
#include "base/log.h"
#include "collector/deliver/selection.h"
#include "collector/metrics.h"
#include "event/file.h"

enum {
    SLOTS = 4 * LOGS_ROUND_STREAMS_MAX,
    // Texts, an item for each, and the names of streams.
    ARENA_SIZE = LOGS_ROUND_SIZE_MAX + RECORD_SIZE_MAX + LOGS_ROUND_EVENTS_MAX * 48 +
                 LOGS_ROUND_STREAMS_MAX * 1024,
    REGION_SIZE_MAX = 256,
};

struct item {
    struct span text;
    struct item *next;
};

struct stream {
    struct span account;
    struct span region;
    struct item *next;  // to put
    struct item *last;
};

struct logs_round {
    struct logs_round_options options;
    struct logs_round_facts facts;
    struct arena *arena;
    struct stream *streams;
    uint32_t streams_count;
    uint32_t *table;  // index and 1 of a stream
    bool is_organization;
    int64_t session_ms;
    struct selection *selection;  // while it gathers
    uint64_t size;
    uint64_t events;  // looked at
    bool has_failed;
};

bool logs_round_create(const struct logs_round_options *options, struct logs_round **round,
                       struct fault *fault) {
    struct logs_round *made = calloc(1, sizeof *made);
    if (made != NULL) {
        made->options = *options;
        made->arena = arena_create(ARENA_SIZE);
        made->streams = calloc(LOGS_ROUND_STREAMS_MAX, sizeof *made->streams);
        made->table = calloc(SLOTS, sizeof *made->table);
        if (made->arena != NULL && made->streams != NULL && made->table != NULL) {
            *round = made;
            return true;
        }
        logs_round_destroy(made);
    }
    return fault_set(fault, FAULT_FULL, "NoMemory: for a round of events");
}

void logs_round_destroy(struct logs_round *round) {
    if (round == NULL) return;
    arena_destroy(round->arena);
    free(round->streams);
    free(round->table);
    free(round);
}

const struct logs_round_facts *logs_round_facts(const struct logs_round *round) {
    return &round->facts;
}

// ---- gathering

static uint32_t find_slot(const struct logs_round *round, struct span account, struct span region) {
    uint32_t slot = (uint32_t)((hash_plain(account) * 31 + hash_plain(region)) % SLOTS);
    while (round->table[slot] != 0) {
        const struct stream *stream = &round->streams[round->table[slot] - 1];
        if (span_equal(stream->account, account) && span_equal(stream->region, region)) break;
        slot = (slot + 1) % SLOTS;
    }
    return slot;
}

// The stream of an account and region; NULL: no memory.
static struct stream *find_stream(struct logs_round *round, struct span account,
                                  struct span region) {
    if (region.size > REGION_SIZE_MAX) region.size = REGION_SIZE_MAX;
    uint32_t slot = find_slot(round, account, region);
    if (round->table[slot] != 0) return &round->streams[round->table[slot] - 1];
    struct stream *stream = &round->streams[round->streams_count];
    if (!arena_copy(round->arena, account, &stream->account) ||
        !arena_copy(round->arena, region, &stream->region)) {
        return NULL;
    }
    round->table[slot] = ++round->streams_count;
    return stream;
}

// Adds an event; false: no memory.
static bool add(struct logs_round *round, const struct record *record,
                const struct trail_row *row) {
    struct stream *stream = find_stream(round, selection_account(row), record->region);
    struct item *item = arena_allocate(round->arena, sizeof *item);
    if (stream == NULL || item == NULL) return false;
    *item = (struct item){.next = NULL};
    if (!arena_copy(round->arena, row->text, &item->text)) return false;
    if (stream->next == NULL) {
        stream->next = item;
    } else {
        stream->last->next = item;
    }
    stream->last = item;
    round->size += row->text.size;
    round->facts.gathered++;
    return true;
}

static void leave_out(struct logs_round *round, const struct trail_row *row) {
    round->facts.left_out++;
    if (row->text.size <= round->facts.large) return;
    round->facts.large = row->text.size;
    round->facts.sequence = row->sequence;
}

static bool skim(void *user, const struct trail_row *row, struct record *record) {
    const struct logs_round *round = user;
    return selection_skim(round->selection, row, record);
}

static bool on_event(void *user, const struct record *record, const struct trail_row *row) {
    struct logs_round *round = user;
    struct logs_round_facts *facts = &round->facts;
    round->events++;
    if (selection_has(round->selection, record, row)) {
        if (row->text.size > round->options.event_size_max) {
            leave_out(round, row);
        } else if (!add(round, record, row)) {
            round->has_failed = true;
            return false;
        }
    }
    facts->is_last = selection_is_end(round->selection, round->session_ms, record, row);
    facts->is_full = round->size >= round->options.size_max ||
                     round->events == LOGS_ROUND_EVENTS_MAX ||
                     round->streams_count == LOGS_ROUND_STREAMS_MAX;
    return !facts->is_last && !facts->is_full;
}

static void count(const struct logs_round *round, enum metrics_index index, uint64_t events) {
    struct metric *metric = &metrics_table[index];
    metric_add(metric, metric_label(metric, span_text(round->options.follower)), (int64_t)events);
}

// Once a round: an account may have many of them.
static void tell_large(const struct logs_round *round) {
    if (round->facts.left_out == 0) return;
    LOG(LOG_WARNING, "events are too large for a log group: they are left out",
        log_text("follower", round->options.follower),
        log_number("events", (int64_t)round->facts.left_out),
        log_number("sequence", (int64_t)round->facts.sequence),
        log_number("bytes", (int64_t)round->facts.large));
    count(round, METRICS_LOG_GROUP_LEFT_OUT, round->facts.left_out);
}

bool logs_round_gather(struct logs_round *round, struct seat *seat, const struct trail *trail,
                       uint64_t from, int64_t session_ms, struct fault *fault) {
    assert(round->events == 0);
    round->is_organization = trail->is_organization;
    round->session_ms = session_ms;
    round->facts.from = from;
    round->facts.to = from;
    if (!selection_create(trail, &round->selection, fault)) return false;
    const struct follow_sink sink = {.on_event = on_event, .user = round, .skim = skim};
    bool is_good = seat_read(seat, round->options.follower, from, &sink, &round->facts.to, fault);
    selection_destroy(round->selection);
    round->selection = NULL;
    if (is_good && round->has_failed) {
        return fault_set(fault, FAULT_FULL, "NoMemory: for a round of events");
    }
    if (is_good) tell_large(round);
    return is_good;
}

// ---- putting

// "ACCOUNT_CloudTrail_REGION", of an organization's trail with its id before it. What a stream's
// name cannot have is escaped as in the names of files.
static void print_stream(const struct logs_round *round, const struct stream *stream,
                         char name[LOGS_NAME_SIZE]) {
    char account[FILE_PART_SIZE], region[FILE_PART_SIZE];
    file_print_part(stream->account, account);
    file_print_part(stream->region, region);
    snprintf(name, LOGS_NAME_SIZE, "%s%s%s_CloudTrail_%s",
             round->is_organization ? round->options.organization : "",
             round->is_organization ? "_" : "", account, region);
}

// What became of a batch. All of its events have one time: if the store takes none of them, a clock
// is wrong, and they wait until it is right.
static bool judge(struct logs_round *round, const struct logs_batch *batch,
                  const struct logs_refused *refused, struct fault *fault) {
    uint32_t old = refused->too_old > refused->expired ? refused->too_old : refused->expired;
    uint64_t all = (uint64_t)old + refused->too_new;
    if (all >= batch->count) {
        return fault_set(fault, FAULT_RETRY,
                         "RejectedLogEvents: the store takes no event of this time, which is too "
                         "%s: set the clock of the collector's machine, or the store's",
                         old > 0 ? "old" : "new");
    }
    round->facts.left_out += all;
    round->facts.put += batch->count - all;
    count(round, METRICS_LOG_GROUP_EVENTS, batch->count - all);
    if (all == 0) return true;
    count(round, METRICS_LOG_GROUP_LEFT_OUT, all);
    LOG(LOG_WARNING, "a log group refused events for their time: they are left out",
        log_text("follower", round->options.follower), log_number("events", (int64_t)all));
    return true;
}

static bool put_stream(struct logs_round *round, struct stream *stream, struct seat *seat,
                       struct logs *logs, const char *group, struct logs_batch *batch,
                       struct fault *fault) {
    char name[LOGS_NAME_SIZE];
    struct logs_refused refused;
    print_stream(round, stream, name);
    while (stream->next != NULL) {
        if (seat_is_stopping(seat)) {
            return fault_set(fault, FAULT_RETRY, "the collector is stopping");
        }
        struct item *item = stream->next;
        logs_batch_begin(batch, seat_now_ms(seat));
        while (item != NULL && logs_batch_add(batch, item->text)) item = item->next;
        if (!logs_put(logs, group, name, batch, &refused, fault) ||
            !judge(round, batch, &refused, fault)) {
            return false;
        }
        stream->next = item;
    }
    return true;
}

bool logs_round_put(struct logs_round *round, struct seat *seat, struct logs *logs,
                    const char *group, struct fault *fault) {
    struct logs_batch batch;
    bool is_good = true;
    logs_batch_init(&batch);
    for (uint32_t index = 0; is_good && index < round->streams_count; index++) {
        is_good = put_stream(round, &round->streams[index], seat, logs, group, &batch, fault);
    }
    logs_batch_done(&batch);
    return is_good;
}
