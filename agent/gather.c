#include "agent/gather.h"

#include <assert.h>
#include <inttypes.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#include "base/buffer.h"
#include "proto/orgtrail.pb-c.h"

enum {
    SOURCES_MAX = 64,
    NOTICE_SIZE_MAX = 256 * 1024,
    STEPS_A_LOOK = 32,  // steps between two looks at the clock
};

struct entry {
    struct source source;
    uint32_t index;  // in the spool
    char name[SPOOL_NAME_SIZE];
    struct source_item item;
    enum source_result held;  // SOURCE_RECORD or SOURCE_NOTICE: the item waits; else SOURCE_MORE
    bool has_ended;
    uint64_t left_out;  // records since it was told
    int64_t told_ms;    // monotonic: when that was
    char detail[SOURCE_TEXT_SIZE];
};

struct gather {
    struct spool *spool;
    const struct clock *clock;
    bool with_objects;
    struct choice *choice;
    gather_on_notice *on_notice;  // or NULL
    void *user;
    struct entry entries[SOURCES_MAX];
    uint32_t count;
    uint32_t next;  // whose turn is first
    uint64_t acknowledged;
    uint64_t unsynced;  // bytes taken since the last sync was begun
    int64_t sync_ms;    // when that was
    bool has_rewound;
    int64_t rewound_to_ms;  // of the last notice about it
    int64_t full_ms;        // monotonic: since when nothing fits; 0: something does
    int64_t full_told_ms;   // how long that was, to be told; 0: nothing is
    struct buffer notice;
};

static int64_t monotonic(const struct gather *gather) {
    return gather->clock->monotonic_ms(gather->clock->context);
}

struct gather *gather_create(struct spool *spool, const struct clock *clock, bool with_objects) {
    struct gather *gather = calloc(1, sizeof *gather);
    if (gather == NULL) return NULL;
    gather->spool = spool;
    gather->clock = clock;
    gather->with_objects = with_objects;
    buffer_init(&gather->notice, NOTICE_SIZE_MAX);
    return gather;
}

void gather_listen(struct gather *gather, gather_on_notice *on_notice, void *user) {
    gather->on_notice = on_notice;
    gather->user = user;
}

void gather_choose(struct gather *gather, struct choice *choice) {
    gather->choice = choice;
}

void gather_destroy(struct gather *gather) {
    if (gather == NULL) return;
    for (uint32_t index = 0; index < gather->count; index++) {
        const struct source *source = &gather->entries[index].source;
        source->operations->close(source->context);
    }
    buffer_done(&gather->notice);
    free(gather);
}

bool gather_add(struct gather *gather, const char *name, struct source source,
                struct fault *fault) {
    uint32_t index = spool_source_index(gather->spool, name);
    assert(index != UINT32_MAX);
    if (gather->count == SOURCES_MAX) {
        return fault_set(fault, FAULT_FULL, "more than %d sources", SOURCES_MAX);
    }
    struct entry *entry = &gather->entries[gather->count++];
    entry->source = source;
    entry->index = index;
    entry->held = SOURCE_MORE;
    entry->told_ms = monotonic(gather);
    strncpy(entry->name, name, sizeof entry->name - 1);
    return true;
}

static struct entry *find_entry(struct gather *gather, uint32_t index) {
    for (uint32_t entry = 0; entry < gather->count; entry++) {
        if (gather->entries[entry].index == index) return &gather->entries[entry];
    }
    return NULL;
}

// Tells each source the positions of the frames from `next` on, in order.
static bool replay(struct gather *gather, uint64_t next, struct fault *fault) {
    struct spool_reader *reader = spool_reader_create(gather->spool);
    if (reader == NULL) return fault_set(fault, FAULT_FULL, "out of memory for a reader");
    spool_reader_seek(reader, next);
    bool done = false, is_good = true;
    while (!done && is_good) {
        struct spool_frame frame;
        struct spool_gap gap;
        switch (spool_reader_next(reader, &frame, &gap, fault)) {
            case SPOOL_NEXT_FRAME: {
                struct entry *entry = find_entry(gather, frame.source);
                if (entry == NULL) break;
                is_good = entry->source.operations->restore(entry->source.context, frame.number,
                                                            frame.position, fault);
                break;
            }
            case SPOOL_NEXT_GAP:
                break;
            case SPOOL_NEXT_END:
                done = true;
                break;
            case SPOOL_NEXT_FAULT:
                is_good = false;
                break;
        }
    }
    spool_reader_destroy(reader);
    return is_good;
}

bool gather_restore(struct gather *gather, struct fault *fault) {
    struct spool_facts facts;
    spool_describe(gather->spool, &facts);
    uint64_t before = facts.acknowledged;
    for (uint32_t index = 0; index < gather->count; index++) {
        struct entry *entry = &gather->entries[index];
        struct span position;
        if (!spool_position_before(gather->spool, facts.acknowledged + 1, entry->index, &before,
                                   &position, fault) ||
            !entry->source.operations->restore(entry->source.context, before, position, fault)) {
            return fault_add(fault, "restore source %s", entry->name);
        }
    }
    if (!replay(gather, before + 1, fault)) return fault_add(fault, "read the spool's positions");
    gather_acknowledge(gather);
    return true;
}

// Packs a notice as it goes on the wire.
static bool pack_notice(struct gather *gather, const char *source, const struct source_notice *from,
                        struct fault *fault) {
    Orgtrail__V1__Notice notice = ORGTRAIL__V1__NOTICE__INIT;
    notice.reason = (char *)(uintptr_t)from->reason;
    notice.source = (char *)(uintptr_t)source;
    notice.place = (char *)(uintptr_t)from->place;
    notice.detail = (char *)(uintptr_t)from->detail;
    notice.time_ms = from->time_ms;
    notice.head.data = (uint8_t *)(uintptr_t)from->head.bytes;
    notice.head.len = from->head.size;
    notice.size = from->size;
    if (from->has_sha256) {
        notice.sha256.data = (uint8_t *)(uintptr_t)from->sha256;
        notice.sha256.len = sizeof from->sha256;
    }
    buffer_reset(&gather->notice);
    size_t size = orgtrail__v1__notice__get_packed_size(&notice);
    uint8_t *bytes = buffer_reserve(&gather->notice, size);
    if (bytes == NULL) return fault_set(fault, FAULT_FULL, "out of memory for a notice");
    gather->notice.size = orgtrail__v1__notice__pack(&notice, bytes);
    return true;
}

// Puts what the source gave into the spool.
static bool append_item(struct gather *gather, struct entry *entry, uint64_t *size,
                        struct fault *fault) {
    bool is_notice = entry->held == SOURCE_NOTICE;
    if (is_notice && !pack_notice(gather, entry->name, &entry->item.notice, fault)) return false;
    struct spool_item item = {
        .kind = is_notice ? SPOOL_NOTICE : SPOOL_RECORD,
        .source = entry->index,
        .record = is_notice ? buffer_span(&gather->notice) : entry->item.record,
        .position = entry->item.position,
    };
    if (gather->with_objects && entry->item.object.size <= SPOOL_OBJECT_SIZE_MAX) {
        item.object = entry->item.object;
    }
    uint64_t number;
    if (!spool_append(gather->spool, &item, &number, fault)) return false;
    entry->source.operations->appended(entry->source.context, number);
    *size += item.record.size;
    return true;
}

static int64_t least(int64_t left, int64_t right) {
    return left < right ? left : right;
}

// A fault that only means "not now".
static bool is_passing(const struct fault *fault) {
    return fault->kind == FAULT_FULL || fault->kind == FAULT_RETRY;
}

// Drops a record that the choice does not keep. Once in a while a Notice takes its place, so that
// the trail says what it does not have and the source's position in the spool moves on.
static void choose(struct gather *gather, struct entry *entry, struct gather_turn *turn) {
    if (gather->choice == NULL || choice_keeps(gather->choice, entry->item.record)) return;
    entry->held = SOURCE_MORE;
    entry->left_out++;
    turn->left_out++;
    int64_t now_ms = monotonic(gather);
    if (now_ms - entry->told_ms < GATHER_LEFT_OUT_MS) return;
    snprintf(entry->detail, sizeof entry->detail,
             "%" PRIu64
             " records were left out since the last such notice or the start: the "
             "agent's event_selectors do not select them",
             entry->left_out);
    entry->item.notice = (struct source_notice){
        .reason = "left_out",
        .place = entry->name,
        .detail = entry->detail,
        .time_ms = gather->clock->now_ms(gather->clock->context),
    };
    entry->held = SOURCE_NOTICE;
    entry->left_out = 0;
    entry->told_ms = now_ms;
}

// Takes from one source until it rests or the turn is used up.
static bool step_entry(struct gather *gather, struct entry *entry, int64_t until_ms, uint64_t *size,
                       struct gather_turn *turn, struct fault *fault) {
    for (uint32_t steps = 1; *size < GATHER_TURN_SIZE; steps++) {
        if (steps % STEPS_A_LOOK == 0 && monotonic(gather) >= until_ms) break;
        if (entry->held == SOURCE_MORE) {
            entry->held = entry->source.operations->step(entry->source.context, &entry->item);
            if (entry->held == SOURCE_RECORD) choose(gather, entry, turn);
        }
        switch (entry->held) {
            case SOURCE_RECORD:
            case SOURCE_NOTICE:
                if (!append_item(gather, entry, size, fault)) return false;
                turn->records += entry->held == SOURCE_RECORD;
                if (entry->held == SOURCE_NOTICE) {
                    turn->notices++;
                    if (gather->on_notice != NULL)
                        gather->on_notice(gather->user, entry->name, &entry->item.notice);
                }
                break;
            case SOURCE_MORE:
                break;
            case SOURCE_IDLE:
                turn->wait_ms = least(turn->wait_ms, entry->item.wait_ms);
                entry->held = SOURCE_MORE;
                return true;
            case SOURCE_END:
                entry->has_ended = true;
                return true;
        }
        entry->held = SOURCE_MORE;
    }
    turn->wait_ms = 0;
    return true;
}

// Notes how long nothing fitted, once something does.
static void measure_full(struct gather *gather, bool is_full, int64_t now_ms) {
    if (is_full) {
        if (gather->full_ms == 0) gather->full_ms = now_ms;
    } else if (gather->full_ms != 0) {
        int64_t took_ms = now_ms - gather->full_ms;
        gather->full_ms = 0;
        if (took_ms >= GATHER_FULL_TOLD_MS) gather->full_told_ms = took_ms;
    }
}

// Says that sources had to wait: only now is there room for it. If it does not fit, with the next
// turn.
static bool append_was_full(struct gather *gather, struct gather_turn *turn, struct fault *fault) {
    struct entry *entry = &gather->entries[0];
    char since[TIME_TEXT_SIZE];
    char detail[128];
    int64_t now_ms = gather->clock->now_ms(gather->clock->context);
    time_print_ms(now_ms - gather->full_told_ms, since);
    snprintf(detail, sizeof detail,
             "nothing fitted into the spool for %" PRId64
             " s: sources waited, and what their files lost meanwhile is lost",
             gather->full_told_ms / 1000);
    const struct source_notice notice = {
        .reason = "spool_was_full", .place = since, .detail = detail, .time_ms = now_ms};
    if (!pack_notice(gather, entry->name, &notice, fault)) return false;
    struct spool_item item = {
        .kind = SPOOL_NOTICE,
        .source = entry->index,
        .record = buffer_span(&gather->notice),
        .position = spool_position(gather->spool, entry->index),
    };
    uint64_t number;
    if (!spool_append(gather->spool, &item, &number, fault)) return is_passing(fault);
    gather->full_told_ms = 0;
    turn->notices++;
    return true;
}

// Makes what was read durable, sooner or later. Who has more to read goes on with it while the disk
// is busy, and gives it enough to do.
static bool sync_turn(struct gather *gather, bool is_busy, int64_t now_ms, struct fault *fault) {
    bool is_early =
        gather->unsynced < GATHER_SYNC_SIZE && now_ms - gather->sync_ms < GATHER_SYNC_MS;
    bool may_wait =
        is_early || (gather->unsynced < GATHER_BEHIND_SIZE && spool_is_syncing(gather->spool));
    if (is_busy && may_wait) return true;
    gather->unsynced = 0;
    gather->sync_ms = now_ms;
    return is_busy ? spool_sync_begin(gather->spool, fault) : spool_sync(gather->spool, fault);
}

bool gather_step(struct gather *gather, struct gather_turn *turn, struct fault *fault) {
    *turn = (struct gather_turn){.wait_ms = 1000, .has_ended = true};
    int64_t now_ms = monotonic(gather);
    int64_t until_ms = now_ms + GATHER_TURN_MS;
    uint64_t size = 0;
    bool is_good = true;
    for (uint32_t count = 0; count < gather->count && is_good; count++) {
        struct entry *entry = &gather->entries[(gather->next + count) % gather->count];
        if (!entry->has_ended) is_good = step_entry(gather, entry, until_ms, &size, turn, fault);
        turn->has_ended = turn->has_ended && entry->has_ended;
    }
    if (gather->count > 0) gather->next = (gather->next + 1) % gather->count;
    gather->unsynced += size;
    measure_full(gather, !is_good && fault->kind == FAULT_FULL, now_ms);
    if (is_good && gather->full_told_ms != 0) is_good = append_was_full(gather, turn, fault);
    if (is_good) is_good = sync_turn(gather, turn->wait_ms == 0, now_ms, fault);
    if (is_good) return true;
    if (!is_passing(fault)) return false;
    turn->is_full = true;
    turn->full = *fault;
    turn->has_ended = false;
    turn->wait_ms = GATHER_FULL_MS;
    // What did go in before may be sent; what the disk has no room for stays in the buffer.
    return spool_sync(gather->spool, fault) || is_passing(fault);
}

void gather_acknowledge(struct gather *gather) {
    struct spool_facts facts;
    spool_describe(gather->spool, &facts);
    if (facts.acknowledged == gather->acknowledged) return;
    gather->acknowledged = facts.acknowledged;
    for (uint32_t index = 0; index < gather->count; index++) {
        const struct source *source = &gather->entries[index].source;
        source->operations->acknowledged(source->context, facts.acknowledged);
    }
}

bool gather_save(struct gather *gather, struct fault *fault) {
    gather_acknowledge(gather);
    for (uint32_t index = 0; index < gather->count; index++) {
        const struct source *source = &gather->entries[index].source;
        if (!source->operations->save(source->context, fault)) return false;
    }
    return spool_save(gather->spool, fault);
}

// Says that the collector lost what no number can tell: once for each backup.
static bool append_rewind(struct gather *gather, int64_t backup_time_ms, struct fault *fault) {
    struct entry *entry = &gather->entries[0];
    char place[TIME_TEXT_SIZE];
    time_print_ms(backup_time_ms > 0 ? backup_time_ms : 0, place);
    const struct source_notice notice = {
        .reason = "collector_restored",
        .place = place,
        .detail =
            "the collector lost what it had acknowledged since this time, and the spool has "
            "not all of it any more; directories are read again",
        .time_ms = gather->clock->now_ms(gather->clock->context),
    };
    if (!pack_notice(gather, entry->name, &notice, fault)) return false;
    struct spool_item item = {
        .kind = SPOOL_NOTICE,
        .source = entry->index,
        .record = buffer_span(&gather->notice),
        .position = spool_position(gather->spool, entry->index),
        // A full spool has no room before it is sent, and it is sent after this alone.
        .is_urgent = true,
    };
    uint64_t number;
    if (!spool_append(gather->spool, &item, &number, fault)) return false;
    gather->has_rewound = true;
    gather->rewound_to_ms = backup_time_ms;
    return true;
}

bool gather_rewind(struct gather *gather, int64_t backup_time_ms, struct fault *fault) {
    for (uint32_t index = 0; index < gather->count; index++) {
        const struct source *source = &gather->entries[index].source;
        if (!source->operations->rewind(source->context, backup_time_ms, fault)) return false;
    }
    bool is_said = gather->has_rewound && gather->rewound_to_ms == backup_time_ms;
    if (gather->count > 0 && !is_said && !append_rewind(gather, backup_time_ms, fault))
        return false;
    // Also when it was said before: its sync may have had no room then.
    return spool_sync(gather->spool, fault);
}

static bool is_in_trouble(const struct source_status *status) {
    return status->state == SOURCE_STATE_DEGRADED || status->state == SOURCE_STATE_FAILED;
}

void gather_report(struct gather *gather, struct uplink_report *report) {
    enum { REPORTED_MAX = sizeof report->sources / sizeof report->sources[0] };
    report->sources_count = 0;
    for (uint32_t pass = 0; pass < 2; pass++) {
        for (uint32_t index = 0; index < gather->count; index++) {
            if (report->sources_count == REPORTED_MAX) return;
            struct entry *entry = &gather->entries[index];
            struct source_status status = {0};
            entry->source.operations->describe(entry->source.context, &status);
            if (is_in_trouble(&status) != (pass == 0)) continue;
            report->sources[report->sources_count].source = entry->index;
            report->sources[report->sources_count].status = status;
            report->sources_count++;
        }
    }
}

bool gather_describe(struct gather *gather, uint32_t index, const char **name,
                     struct source_status *status) {
    if (index >= gather->count) return false;
    struct entry *entry = &gather->entries[index];
    *name = entry->name;
    *status = (struct source_status){0};
    entry->source.operations->describe(entry->source.context, status);
    return true;
}
