#include "tests/sim/ledger.h"

#include <assert.h>
#include <inttypes.h>
#include <stdlib.h>
#include <string.h>

#include "base/buffer.h"
#include "base/clock.h"
#include "tests/sim/set.h"
#include "tests/sim/timeline.h"

enum {
    RECORD_SIZE = 64 * 1024,
    DAYS = 32,  // a run knows of, the first one DAYS_BEFORE its begin
    DAYS_BEFORE = 16,
};

struct ledger {
    uint64_t seed;
    ledger_on_gap on_gap;
    void *context;
    struct trail_reader *reader;
    struct buffer buffer;
    uint64_t sequence;
    uint64_t seen;        // rows
    uint64_t days[DAYS];  // rows seen of each day
    int64_t retained_from_s;
    struct set *keys;         // of stored rows
    struct set *stored;       // hashes of their texts
    struct set *quarantined;  // hashes of the bytes in quarantine
    struct set *made;         // hashes of all records that agents read
    struct feed_place *accepted;
    uint64_t accepted_count;
    uint64_t accepted_room;
    struct set *accepted_places;
    struct set *gaps;  // hashes of those that were taken
    struct set *excused[LEDGER_EXCUSES];
    uint64_t rewound;  // agents, a bit each
    struct ledger_totals totals;
    struct fault broken;
};

static uint64_t hash_bytes(struct span bytes) {
    uint64_t hash = 0xcbf29ce484222325 ^ bytes.size;
    for (size_t index = 0; index < bytes.size; index++) {
        hash = (hash ^ bytes.bytes[index]) * 0x100000001b3;
    }
    return hash;
}

static uint64_t hash_place(const struct feed_place *place) {
    uint64_t parts[] = {place->agent, place->account, place->fork, place->place};
    return hash_bytes(span_of(parts, sizeof parts));
}

static uint64_t hash_key(const struct key *key) {
    struct span id = span_of(key->id, sizeof key->id);
    struct span account = span_of(key->account, key->account_size);
    return hash_bytes(id) * 31 + hash_bytes(account) * 17 + (uint64_t)key->event_time_s;
}

// What is read of a trail.
static void begin_trail(struct ledger *ledger) {
    ledger->sequence = 0;
    ledger->keys = set_create();
    ledger->stored = set_create();
    ledger->quarantined = set_create();
    ledger->gaps = set_create();
    ledger->excused[LEDGER_DAMAGED] = set_create();
    ledger->excused[LEDGER_DROPPED] = set_create();
    ledger->totals.stored = 0;
    ledger->totals.own = 0;
    ledger->seen = 0;
    memset(ledger->days, 0, sizeof ledger->days);
    ledger->retained_from_s = 0;
}

static void end_trail(struct ledger *ledger) {
    set_destroy(ledger->keys);
    set_destroy(ledger->stored);
    set_destroy(ledger->quarantined);
    set_destroy(ledger->gaps);
    set_destroy(ledger->excused[LEDGER_DAMAGED]);
    set_destroy(ledger->excused[LEDGER_DROPPED]);
}

struct ledger *ledger_create(uint64_t seed, ledger_on_gap on_gap, void *context) {
    struct ledger *ledger = calloc(1, sizeof *ledger);
    assert(ledger != NULL);
    ledger->seed = seed;
    ledger->on_gap = on_gap;
    ledger->context = context;
    begin_trail(ledger);
    ledger->made = set_create();
    ledger->accepted_places = set_create();
    ledger->excused[LEDGER_TOLD] = set_create();
    ledger->excused[LEDGER_RELEASED] = set_create();
    buffer_init(&ledger->buffer, RECORD_SIZE);
    return ledger;
}

void ledger_destroy(struct ledger *ledger) {
    if (ledger == NULL) return;
    if (ledger->reader != NULL) trail_reader_close(ledger->reader);
    end_trail(ledger);
    set_destroy(ledger->made);
    set_destroy(ledger->accepted_places);
    set_destroy(ledger->excused[LEDGER_TOLD]);
    set_destroy(ledger->excused[LEDGER_RELEASED]);
    buffer_done(&ledger->buffer);
    free(ledger->accepted);
    free(ledger);
}

bool ledger_attach(struct ledger *ledger, const char *directory, struct fault *fault) {
    if (ledger->reader != NULL) trail_reader_close(ledger->reader);
    ledger->reader = NULL;
    return directory == NULL || trail_reader_open(directory, &ledger->reader, fault);
}

void ledger_restart(struct ledger *ledger) {
    assert(ledger->reader == NULL);
    end_trail(ledger);
    begin_trail(ledger);
}

void ledger_excuse(struct ledger *ledger, const struct feed_place *place,
                   enum ledger_excuse excuse) {
    set_add(ledger->excused[excuse], hash_place(place));
}

void ledger_set_rewound(struct ledger *ledger, uint32_t agent, bool has_rewound) {
    assert(agent < 64);
    uint64_t bit = UINT64_C(1) << agent;
    ledger->rewound = has_rewound ? ledger->rewound | bit : ledger->rewound & ~bit;
}

static struct feed_event make(struct ledger *ledger, const struct feed_place *place) {
    struct feed_event event;
    feed_make(ledger->seed, place, &ledger->buffer, &event);
    return event;
}

void ledger_accept(struct ledger *ledger, const struct feed_place *place) {
    // A place that is read again after a crash or a rollback is still one obligation.
    if (!set_add(ledger->accepted_places, hash_place(place))) return;
    if (ledger->accepted_count == ledger->accepted_room) {
        ledger->accepted_room = ledger->accepted_room == 0 ? 1024 : 2 * ledger->accepted_room;
        ledger->accepted =
            realloc(ledger->accepted, ledger->accepted_room * sizeof *ledger->accepted);
        assert(ledger->accepted != NULL);
    }
    ledger->accepted[ledger->accepted_count++] = *place;
    ledger->totals.accepted++;
    struct feed_event event = make(ledger, place);
    set_add(ledger->made, hash_bytes(event.record));
}

static bool breach(struct ledger *ledger, const char *text, uint64_t number, struct span bytes) {
    if (ledger->broken.kind == FAULT_NONE) {
        fault_set(&ledger->broken, FAULT_CORRUPT, "%s %" PRIu64 ": %.*s", text, number,
                  SPAN_PRINT(bytes));
    }
    return false;
}

static bool on_row(void *user, const struct trail_row *row) {
    struct ledger *ledger = user;
    if (row->sequence <= ledger->sequence)
        return breach(ledger, "the sequence repeats before", row->sequence, row->text);
    if (row->key.event_time_s < ledger->retained_from_s)
        return breach(ledger, "an event of a dropped day: sequence", row->sequence, row->text);
    int64_t day = time_day(row->key.event_time_s) - time_day(TIMELINE_EPOCH_S) + DAYS_BEFORE;
    assert(day >= 0 && day < DAYS);
    ledger->days[day]++;
    ledger->seen++;
    if (!set_add(ledger->keys, hash_key(&row->key))) {
        return breach(ledger, "an event is stored twice: sequence", row->sequence, row->text);
    }
    ledger->sequence = row->sequence;
    if ((row->flags & BLOCK_OWN) != 0) {
        ledger->totals.own++;
        return true;
    }
    uint64_t hash = hash_bytes(row->text);
    if (!set_has(ledger->made, hash)) {
        return breach(ledger, "stored bytes that no agent has sent: sequence", row->sequence,
                      row->text);
    }
    if (!set_add(ledger->stored, hash)) {
        return breach(ledger, "bytes stored under two keys: sequence", row->sequence, row->text);
    }
    ledger->totals.stored++;
    return true;
}

static bool on_quarantined(void *user, const struct trail_quarantined *entry) {
    struct ledger *ledger = user;
    if (entry->reason[0] == 0)
        return breach(ledger, "quarantined without a reason", entry->count, entry->bytes);
    ledger->totals.quarantined++;
    set_add(ledger->quarantined, hash_bytes(entry->bytes));
    return true;
}

static bool on_stream(void *user, const struct trail_stream *stream) {
    struct ledger *ledger = user;
    uint64_t ended = stream->stored + stream->duplicates + stream->variants + stream->quarantined +
                     stream->expired;
    ledger->totals.duplicates += stream->duplicates + stream->variants;
    ledger->totals.expired += stream->expired;
    if (stream->received != ended) {
        return breach(ledger, "received is not the sum of what became of it: agent", stream->agent,
                      SPAN_LITERAL("no bytes"));
    }
    return true;
}

// What is there, what went with its day, and what was seen of each day must agree.
static bool check_facts(struct ledger *ledger, struct fault *fault) {
    struct trail_facts facts;
    if (!trail_reader_facts(ledger->reader, &facts, fault)) return false;
    uint64_t retained = 0;
    for (int64_t day = 0; day < DAYS; day++) {
        int64_t from_s = (time_day(TIMELINE_EPOCH_S) - DAYS_BEFORE + day) * 86400;
        if (from_s >= facts.retained_from_s) retained += ledger->days[day];
    }
    if (facts.retained_from_s < ledger->retained_from_s)
        return fault_set(fault, FAULT_CORRUPT, "retained_from goes back");
    if (facts.events + facts.dropped != facts.sequence_last || facts.events != retained ||
        facts.sequence_last - ledger->seen > facts.dropped) {
        return fault_set(fault, FAULT_CORRUPT,
                         "of %" PRIu64 " events %" PRIu64 " are there and %" PRIu64
                         " were dropped; seen were %" PRIu64 ", of retained days %" PRIu64,
                         facts.sequence_last, facts.events, facts.dropped, ledger->seen, retained);
    }
    ledger->retained_from_s = facts.retained_from_s;
    ledger->totals.dropped = facts.dropped;
    return true;
}

static bool on_gap(void *user, const struct trail_gap *gap) {
    struct ledger *ledger = user;
    ledger->totals.gaps++;
    uint64_t parts[] = {gap->agent, gap->first_seq, gap->last_seq,
                        hash_bytes(span_of(gap->stream_id, sizeof gap->stream_id))};
    if (!set_add(ledger->gaps, hash_bytes(span_of(parts, sizeof parts)))) return true;
    struct ledger_gap told = {
        .stream_id = gap->stream_id, .first = gap->first_seq, .last = gap->last_seq};
    struct fault fault = {.kind = FAULT_NONE};
    if (trail_reader_agent(ledger->reader, gap->agent, &told.uri, &fault) &&
        ledger->on_gap(ledger->context, &told, &fault)) {
        return true;
    }
    if (ledger->broken.kind == FAULT_NONE) ledger->broken = fault;
    return false;
}

bool ledger_read(struct ledger *ledger, struct fault *fault) {
    if (ledger->reader == NULL) return true;
    uint64_t last = 0;
    if (!trail_reader_follow(ledger->reader, ledger->sequence, on_row, ledger, &last, fault)) {
        return false;
    }
    ledger->totals.quarantined = 0;
    ledger->totals.duplicates = 0;
    ledger->totals.expired = 0;
    ledger->totals.gaps = 0;
    bool read = trail_reader_quarantine(ledger->reader, on_quarantined, ledger, fault) &&
                trail_reader_streams(ledger->reader, on_stream, ledger, fault) &&
                trail_reader_gaps(ledger->reader, on_gap, ledger, fault);
    if (!read) return false;
    if (ledger->broken.kind == FAULT_NONE) return check_facts(ledger, fault);
    *fault = ledger->broken;
    return false;
}

// A Notice is quarantined by the head of what it tells of.
static bool is_quarantined(struct ledger *ledger, const struct feed_event *event) {
    if (set_has(ledger->quarantined, hash_bytes(event->record))) return true;
    if (!event->is_notice) return false;
    // The head is what the feed wrote as place: it stands in the serialized Notice twice.
    const uint8_t *head = memmem(event->record.bytes, event->record.size, "file-", 5);
    const uint8_t *end = memmem(event->record.bytes, event->record.size, "byte 0", 6);
    assert(head != NULL && end != NULL);
    return set_has(ledger->quarantined, hash_bytes(span_of(head, (size_t)(end + 6 - head))));
}

// The same event in the other spelling.
static bool is_stored_otherwise(struct ledger *ledger, const struct feed_place *place) {
    struct feed_place other = *place;
    for (uint32_t agent = 0; agent < 2; agent++) {
        other.agent = agent;
        struct feed_event event = make(ledger, &other);
        if (set_has(ledger->stored, hash_bytes(event.record))) return true;
    }
    return false;
}

static bool is_done(struct ledger *ledger, const struct feed_place *place) {
    struct feed_event event = make(ledger, place);
    bool stored = set_has(ledger->stored, hash_bytes(event.record));
    // What is quarantined is decided before its time matters.
    bool may_expire = event.fate != FEED_QUARANTINED;
    if (may_expire && event.time_s < ledger->retained_from_s) return true;
    switch (event.fate) {
        case FEED_STORED:
            return stored;
        case FEED_EITHER:
            return stored || is_quarantined(ledger, &event);
        case FEED_VARIANT:
            return stored || is_stored_otherwise(ledger, place);
        case FEED_QUARANTINED:
            return !stored && is_quarantined(ledger, &event);
    }
    return false;
}

static bool is_excused(struct ledger *ledger, const struct feed_place *place, bool at_end) {
    bool is_read_again =
        at_end && place->fork == 0 && (ledger->rewound >> place->agent & UINT64_C(1)) != 0;
    for (uint32_t excuse = 0; excuse < LEDGER_EXCUSES; excuse++) {
        bool holds = !is_read_again || (excuse != LEDGER_DROPPED && excuse != LEDGER_TOLD);
        if (holds && set_has(ledger->excused[excuse], hash_place(place))) {
            ledger->totals.excused[excuse] += at_end;
            return true;
        }
    }
    return false;
}

static bool expect_done(struct ledger *ledger, const struct feed_place *place, bool at_end,
                        struct fault *fault) {
    if (is_done(ledger, place) || is_excused(ledger, place, at_end)) return true;
    struct feed_event event = make(ledger, place);
    return fault_set(fault, FAULT_CORRUPT,
                     "acknowledged and neither stored, nor quarantined, nor named in a gap: agent"
                     " %u fork %u place %" PRIu64 ": %.*s",
                     place->agent, place->fork, place->place,
                     event.is_notice ? 0 : (int)event.record.size,
                     (const char *)event.record.bytes);
}

bool ledger_expect_done(struct ledger *ledger, const struct feed_place *place,
                        struct fault *fault) {
    return expect_done(ledger, place, false, fault);
}

bool ledger_expect_all_done(struct ledger *ledger, struct fault *fault) {
    for (uint64_t index = 0; index < ledger->accepted_count; index++) {
        if (!expect_done(ledger, &ledger->accepted[index], true, fault)) return false;
    }
    return true;
}

void ledger_count(const struct ledger *ledger, struct ledger_totals *totals) {
    *totals = ledger->totals;
}
