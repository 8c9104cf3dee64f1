#include "tests/sim/station.h"

#include <assert.h>
#include <inttypes.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

enum {
    RECORD_SIZE = 64 * 1024,
    EXTRA_EVERY = 3,  // after a fork, every third event is one beside the line
};

static const char *const DIRECTORY = "spool";

// The source's position: the next event of the line and beside it.
struct position {
    uint64_t main_next;
    uint64_t extra_next;
};

static void link_connect(void *context) {
    struct station *station = context;
    station->connection = wire_connect(station->options.wire, station);
    assert(station->connection != NULL);
}

static bool link_send(void *context, struct span message) {
    struct station *station = context;
    if (station->connection == NULL) return false;
    return wire_send_up(station->options.wire, station->connection, message);
}

static void link_close(void *context, enum fault_kind kind, const char *text) {
    struct station *station = context;
    if (station->connection == NULL || station->is_crashing) return;
    struct fault reason = {.kind = FAULT_NONE};
    fault_set(&reason, kind == FAULT_NONE ? FAULT_RETRY : kind, "closed by the agent: %s", text);
    wire_break(station->options.wire, station->connection, &reason);
}

void station_on_connected(void *context) {
    struct station *station = context;
    uplink_on_connected(station->uplink);
}

void station_on_message(void *context, struct span message) {
    struct station *station = context;
    uplink_on_message(station->uplink, message);
}

void station_on_sent(void *context) {
    struct station *station = context;
    uplink_on_sent(station->uplink);
}

void station_on_closed(void *context, const struct fault *reason) {
    struct station *station = context;
    station->connection = NULL;
    uplink_on_closed(station->uplink, reason);
}

struct station *station_create(const struct station_options *options, const struct station *clone) {
    struct station *station = calloc(1, sizeof *station);
    assert(station != NULL);
    station->options = *options;
    char account[FEED_ACCOUNT_SIZE];
    feed_account(options->account, account);
    snprintf(station->uri, sizeof station->uri, "spiffe://o-sim/account/%s/agent/sim-%u", account,
             options->agent);
    buffer_init(&station->buffer, RECORD_SIZE);
    if (clone == NULL) {
        station->files = fake_files_create();
    } else {
        station->files = fake_files_copy(clone->files);
        station->places_room = clone->places_room;
        station->places = malloc(clone->places_room * sizeof *clone->places);
        assert(station->places != NULL);
        memcpy(station->places, clone->places, clone->places_room * sizeof *clone->places);
    }
    assert(station->files != NULL);
    return station;
}

void station_destroy(struct station *station) {
    if (station == NULL) return;
    if (station->spool != NULL) station_crash(station);
    fake_files_destroy(station->files);
    buffer_done(&station->buffer);
    free(station->places);
    free(station);
}

static bool open_spool(struct station *station, struct fault *fault) {
    static const struct spool_source source = {.name = "line", .kind = "simulated"};
    const struct files *files = fake_files_interface(station->files);
    if (!files_make_directory(files, DIRECTORY, fault)) return false;
    if (!files_sync_directory(files, ".", fault)) return false;
    struct spool_options options = {
        .files = files,
        .clock = &station->options.timeline->clock,
        .random = &station->options.timeline->random,
        .directory = DIRECTORY,
        .size_max = station->options.spool_size,
        .sources = &source,
        .sources_count = 1,
    };
    return spool_open(&options, &station->spool, fault);
}

// What the ledger must know of frames that a crash did not take although nobody had synced them.
static void accept_until(struct station *station, uint64_t synced) {
    for (; station->synced < synced; station->synced++) {
        ledger_accept(station->options.ledger, &station->places[station->synced]);
    }
}

bool station_start(struct station *station, struct fault *fault) {
    assert(station->spool == NULL);
    if (!open_spool(station, fault)) return false;
    struct spool_facts facts;
    spool_describe(station->spool, &facts);
    if (facts.synced < station->synced) {
        return fault_set(fault, FAULT_CORRUPT,
                         "agent %u: its spool has %" PRIu64 " frames and had synced %" PRIu64,
                         station->options.agent, facts.synced, station->synced);
    }
    accept_until(station, facts.synced);

    struct position position = {0, 0};
    struct span kept = spool_position(station->spool, spool_source_index(station->spool, "line"));
    assert(kept.size == 0 || kept.size == sizeof position);
    if (kept.size > 0) memcpy(&position, kept.bytes, sizeof position);
    station->main_next = position.main_next;
    station->extra_next = position.extra_next;

    struct uplink_options options = {
        .spool = station->spool,
        .clock = &station->options.timeline->clock,
        .random = &station->options.timeline->random,
        .link = {station, link_connect, link_send, link_close},
        .organization = "o-sim",
        .agent_version = "0",
        .host_name = "sim",
    };
    station->uplink = uplink_create(&options);
    assert(station->uplink != NULL);
    return true;
}

void station_crash(struct station *station) {
    assert(station->spool != NULL);
    station->is_crashing = true;
    wire_forget_agent(station->options.wire, station);
    station->connection = NULL;
    uplink_destroy(station->uplink);
    station->uplink = NULL;
    // A sync under way does not come to its end.
    fake_files_fail(station->files, 1, FAULT_IO);
    spool_close(station->spool);
    station->spool = NULL;
    fake_files_fail(station->files, 0, FAULT_NONE);
    fake_files_crash(station->files, timeline_draw(station->options.timeline, 4) == 0
                                         ? 0
                                         : 1 + timeline_draw(station->options.timeline, 1 << 30));
    station->is_crashing = false;
    station->crashes++;
    station->restart_at_ms =
        station->options.timeline->now_ms + (int64_t)timeline_draw(station->options.timeline, 5000);
}

void station_roll_back(struct station *station, struct fake_files *copy, uint64_t synced,
                       uint32_t fork) {
    assert(station->spool == NULL);
    fake_files_destroy(station->files);
    station->files = copy;
    station->synced = synced;
    station->checked = 0;
    station->options.fork = fork;
    station->extra_next = 0;
}

static struct feed_place *place_of(struct station *station, uint64_t number) {
    if (number > station->places_room) {
        station->places_room = station->places_room == 0 ? 256 : 2 * station->places_room;
        station->places = realloc(station->places, station->places_room * sizeof *station->places);
        assert(station->places != NULL);
    }
    return &station->places[number - 1];
}

static bool read_one(struct station *station, struct fault *fault) {
    struct spool_facts facts;
    spool_describe(station->spool, &facts);
    bool extra = station->options.fork > 0 && (facts.appended + 1) % EXTRA_EVERY == 0;
    struct feed_place place = {
        .agent = station->options.agent,
        .account = station->options.account,
        .fork = extra ? station->options.fork : 0,
        .place = extra ? station->extra_next : station->main_next,
    };
    struct position position = {station->main_next + !extra, station->extra_next + extra};
    struct feed_event event;
    feed_make(station->options.seed, &place, &station->buffer, &event);
    struct spool_item item = {
        .kind = event.is_notice ? SPOOL_NOTICE : SPOOL_RECORD,
        .source = spool_source_index(station->spool, "line"),
        .record = event.record,
        .position = span_of(&position, sizeof position),
    };
    uint64_t number = 0;
    if (!spool_append(station->spool, &item, &number, fault)) return false;
    assert(number == facts.appended + 1);
    *place_of(station, number) = place;
    station->main_next = position.main_next;
    station->extra_next = position.extra_next;
    return true;
}

bool station_read(struct station *station, uint64_t count, struct fault *fault) {
    bool good = true;
    for (; good && count > 0 && station->main_next < station->options.events; count--) {
        good = read_one(station, fault);
    }
    // Beginning a new segment makes the one before durable.
    struct spool_facts facts;
    spool_describe(station->spool, &facts);
    accept_until(station, facts.synced);
    if (good) return true;
    station->full += fault->kind == FAULT_FULL;
    return fault->kind == FAULT_FULL;
}

bool station_sync(struct station *station, struct fault *fault) {
    bool waits = timeline_draw(station->options.timeline, 2) == 0;
    bool is_good =
        waits ? spool_sync(station->spool, fault) : spool_sync_begin(station->spool, fault);
    if (!is_good && fault->kind != FAULT_FULL) return false;
    struct spool_facts facts;
    spool_describe(station->spool, &facts);
    accept_until(station, facts.synced);
    return true;
}

bool station_step(struct station *station, struct fault *fault) {
    int64_t wait_ms = 0;
    if (!uplink_step(station->uplink, &wait_ms, fault) && fault->kind != FAULT_FULL) return false;
    if (timeline_happens(station->options.timeline, 100)) {
        return spool_save(station->spool, fault) || fault->kind == FAULT_FULL;
    }
    return true;
}

bool station_check(struct station *station, struct fault *fault) {
    if (station->spool == NULL) return true;
    struct spool_facts facts;
    spool_describe(station->spool, &facts);
    if (facts.first > facts.acknowledged + 1) {
        return fault_set(fault, FAULT_CORRUPT,
                         "agent %u: the spool dropped %" PRIu64 " and only %" PRIu64
                         " is acknowledged",
                         station->options.agent, facts.first - 1, facts.acknowledged);
    }
    if (facts.acknowledged > station->synced) {
        return fault_set(fault, FAULT_CORRUPT,
                         "agent %u: %" PRIu64
                         " is acknowledged and was"
                         " never synced",
                         station->options.agent, facts.acknowledged);
    }
    for (; station->checked < facts.acknowledged; station->checked++) {
        const struct feed_place *place = &station->places[station->checked];
        if (!ledger_expect_done(station->options.ledger, place, fault)) {
            return fault_add(fault, "frame %" PRIu64, station->checked + 1);
        }
    }
    return true;
}

bool station_is_done(const struct station *station) {
    if (station->spool == NULL || station->main_next < station->options.events) return false;
    struct spool_facts facts;
    spool_describe(station->spool, &facts);
    return facts.acknowledged == facts.appended;
}
