#include "tests/sim/station.h"

#include <assert.h>
#include <inttypes.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#include "tests/sim/station_harm.h"

enum {
    RECORD_SIZE = 64 * 1024,
    EXTRA_EVERY = 3,  // after a fork, every third event is one beside the line
};

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

static void copy_history(struct station *station, const struct station *clone) {
    station->frames_room = clone->frames_room;
    station->frames = malloc(clone->frames_room * sizeof *clone->frames + 1);
    station->damages_room = station->damages_count = clone->damages_count;
    station->damages = malloc(clone->damages_count * sizeof *clone->damages + 1);
    assert(station->frames != NULL && station->damages != NULL);
    if (clone->frames_room > 0) {
        memcpy(station->frames, clone->frames, clone->frames_room * sizeof *clone->frames);
    }
    if (clone->damages_count > 0) {
        memcpy(station->damages, clone->damages, clone->damages_count * sizeof *clone->damages);
    }
    memcpy(station->streams, clone->streams, sizeof station->streams);
    station->streams_count = clone->streams_count;
    station->synced = clone->synced;
    station->checked = clone->checked;
    station->acknowledged = clone->acknowledged;
    station->dropped = clone->dropped;
    // A full disk is copied full, and gets its room back like the other one.
    station->room_at_ms = clone->room_at_ms;
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
        copy_history(station, clone);
    }
    assert(station->files != NULL);
    return station;
}

void station_destroy(struct station *station) {
    if (station == NULL) return;
    if (station->spool != NULL) station_crash(station);
    fake_files_destroy(station->files);
    fake_files_destroy(station->copy.files);
    free(station->copy.frames);
    buffer_done(&station->buffer);
    free(station->frames);
    free(station->damages);
    free(station);
}

static bool open_spool(struct station *station, struct fault *fault) {
    static const struct spool_source source = {.name = "line", .kind = "simulated"};
    const struct files *files = fake_files_interface(station->files);
    if (!files_make_directory(files, STATION_DIRECTORY, fault)) return false;
    if (!files_sync_directory(files, ".", fault)) return false;
    struct spool_options options = {
        .files = files,
        .clock = &station->options.timeline->clock,
        .random = &station->options.timeline->random,
        .directory = STATION_DIRECTORY,
        .size_max = station->options.spool_size,
        .sources = &source,
        .sources_count = 1,
    };
    return spool_open(&options, &station->spool, fault);
}

static struct station_frame *frame_of(struct station *station, uint64_t number) {
    if (number > station->frames_room) {
        uint64_t room = station->frames_room == 0 ? 256 : 2 * station->frames_room;
        station->frames = realloc(station->frames, room * sizeof *station->frames);
        assert(station->frames != NULL);
        station->frames_room = room;
    }
    return &station->frames[number - 1];
}

// Appends the event of a place with the source's position as it is now.
static bool append_place(struct station *station, const struct feed_place *place, bool is_urgent,
                         struct fault *fault) {
    struct position position = {station->main_next, station->extra_next};
    struct feed_event event;
    feed_make(station->options.seed, place, &station->buffer, &event);
    struct spool_item item = {
        .kind = event.is_notice ? SPOOL_NOTICE : SPOOL_RECORD,
        .source = spool_source_index(station->spool, "line"),
        .record = event.record,
        .position = span_of(&position, sizeof position),
        .is_urgent = is_urgent,
    };
    uint64_t number = 0;
    if (!spool_append(station->spool, &item, &number, fault)) return false;
    *frame_of(station, number) = (struct station_frame){.place = *place};
    return true;
}

// What the ledger must know of frames that a crash did not take although nobody had synced them.
static void accept_until(struct station *station, uint64_t synced) {
    for (; station->synced < synced; station->synced++) {
        ledger_accept(station->options.ledger, &station->frames[station->synced].place);
    }
}

// Takes note of a new stream id.
static void take_stream(struct station *station, const struct spool_facts *facts) {
    if (station->streams_count > 0) {
        const struct station_stream *last = &station->streams[station->streams_count - 1];
        if (memcmp(last->id, facts->stream_id, SPOOL_ID_SIZE) == 0) return;
    }
    assert(station->streams_count < STATION_STREAMS_MAX);
    struct station_stream *stream = &station->streams[station->streams_count++];
    memcpy(stream->id, facts->stream_id, SPOOL_ID_SIZE);
    stream->base = facts->base;
}

// Takes note of how the spool stands, after everything that may have changed it. FAULT_CORRUPT: it
// gave up what was not acknowledged.
static bool observe(struct station *station, struct fault *fault) {
    struct spool_facts facts;
    spool_describe(station->spool, &facts);
    accept_until(station, facts.synced);
    take_stream(station, &facts);
    uint64_t allowed = station->acknowledged;
    if (allowed < facts.acknowledged) allowed = facts.acknowledged;
    if (allowed < station->dropped) allowed = station->dropped;
    if (facts.first > allowed + 1) {
        return fault_set(fault, FAULT_CORRUPT,
                         "agent %u: the spool dropped %" PRIu64 " and only %" PRIu64
                         " is acknowledged",
                         station->options.agent, facts.first - 1, allowed);
    }
    if (station->dropped < facts.first - 1) station->dropped = facts.first - 1;
    // A restored collector acknowledges once more what lies behind; what the spool has no longer is
    // owed a gap, and looked for at the end.
    if (facts.acknowledged < station->acknowledged) station->checked = facts.acknowledged;
    station->acknowledged = facts.acknowledged;
    return true;
}

// What the spool kept after the last crash. Only what lies behind damage may be cut off.
static bool take_ending(struct station *station, struct fault *fault) {
    struct spool_facts facts;
    spool_describe(station->spool, &facts);
    if (facts.synced < station->synced && !station->frames[facts.synced].is_damaged) {
        return fault_set(fault, FAULT_CORRUPT,
                         "agent %u: its spool has %" PRIu64 " frames and had synced %" PRIu64,
                         station->options.agent, facts.synced, station->synced);
    }
    for (; station->synced > facts.synced; station->synced--) {
        struct station_frame *frame = &station->frames[station->synced - 1];
        frame->is_damaged = false;
        if (frame->place.fork == 0 || frame->place.fork == station->options.fork) continue;
        // Read beside the line by a history that is over: nobody can read it again.
        ledger_excuse(station->options.ledger, &frame->place, LEDGER_RELEASED);
    }
    return observe(station, fault);
}

// The collector was restored and the spool has not all that it lacks: what agent/gather does.
static bool on_rewind(void *context, int64_t backup_time_ms, struct fault *fault) {
    (void)backup_time_ms;
    struct station *station = context;
    if (station->options.rewinds) {
        station->main_next = 0;
        station->extra_next = 0;
    }
    struct feed_place place = {
        .agent = station->options.agent,
        .account = station->options.account,
        .fork = FEED_RESTORED,
        .place = station->restored++,
    };
    if (!append_place(station, &place, true, fault)) return false;
    if (!spool_sync(station->spool, fault)) return false;
    station_tell_lost(station);
    return observe(station, fault);
}

bool station_start(struct station *station, struct fault *fault) {
    assert(station->spool == NULL);
    if (!open_spool(station, fault)) return false;
    if (!take_ending(station, fault)) return false;
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
        .context = station,
        .rewind = on_rewind,
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
    // Or the process alone ends, and the system still shows the next one what was not synced.
    struct timeline *timeline = station->options.timeline;
    if (timeline_draw(timeline, 4) > 0) {
        uint64_t kept = timeline_draw(timeline, 4) == 0 ? 0 : 1 + timeline_draw(timeline, 1 << 30);
        fake_files_crash(station->files, kept);
    }
    station->is_crashing = false;
    station->crashes++;
    station->restart_at_ms = timeline->now_ms + (int64_t)timeline_draw(timeline, 5000);
}

static bool read_one(struct station *station, struct fault *fault) {
    struct spool_facts facts;
    spool_describe(station->spool, &facts);
    bool is_at_end = station->main_next >= station->options.events;
    bool extra =
        station->options.fork > 0 && (is_at_end || (facts.appended + 1) % EXTRA_EVERY == 0);
    struct feed_place place = {
        .agent = station->options.agent,
        .account = station->options.account,
        .fork = extra ? station->options.fork : 0,
        .place = extra ? station->extra_next : station->main_next,
    };
    station->main_next += !extra;
    station->extra_next += extra;
    if (append_place(station, &place, false, fault)) {
        // Not the position that another fork left behind: who reads the line alone would look for
        // more beside it after a rewind, and read on behind the line's end for ever.
        if (extra && station->extra_seen < station->extra_next) {
            station->extra_seen = station->extra_next;
        }
        return true;
    }
    station->main_next -= !extra;
    station->extra_next -= extra;
    return false;
}

// Whether its source has more: of its line, or of what it has read beside it before.
static bool has_more(const struct station *station) {
    return station->main_next < station->options.events ||
           station->extra_next < station->extra_seen;
}

bool station_read(struct station *station, uint64_t count, struct fault *fault) {
    bool good = true;
    for (; good && count > 0 && has_more(station); count--) {
        good = read_one(station, fault);
    }
    if (!good && fault->kind != FAULT_FULL) return false;
    station->full += !good;
    return observe(station, fault);
}

bool station_sync(struct station *station, struct fault *fault) {
    bool waits = timeline_draw(station->options.timeline, 2) == 0;
    bool is_good =
        waits ? spool_sync(station->spool, fault) : spool_sync_begin(station->spool, fault);
    if (!is_good && fault->kind != FAULT_FULL) return false;
    return observe(station, fault);
}

bool station_step(struct station *station, struct fault *fault) {
    int64_t wait_ms = 0;
    if (!observe(station, fault)) return false;
    if (!uplink_step(station->uplink, &wait_ms, fault) && fault->kind != FAULT_FULL) return false;
    if (!observe(station, fault)) return false;
    if (timeline_happens(station->options.timeline, 100)) {
        return spool_save(station->spool, fault) || fault->kind == FAULT_FULL;
    }
    return true;
}

// Whether it has a session with the collector as it is after so many restores.
static bool has_met(const struct station *station, uint32_t restores) {
    if (restores == 0) return true;
    struct uplink_status status;
    uplink_describe(station->uplink, &status);
    return status.state == UPLINK_STREAMING && station->connection != NULL &&
           station->connection->restores == restores;
}

bool station_check(struct station *station, uint32_t restores, struct fault *fault) {
    if (station->spool == NULL || !has_met(station, restores)) return true;
    // What an earlier collector acknowledged, perhaps after the restore and before they met, and
    // the spool gave up is owed a gap that is yet to come: it is looked for at the end, as in
    // observe.
    bool is_first = station->met_restores != restores;
    if (is_first && station->checked < station->dropped) station->checked = station->dropped;
    station->met_restores = restores;
    struct spool_facts facts;
    spool_describe(station->spool, &facts);
    if (facts.acknowledged > station->synced) {
        return fault_set(fault, FAULT_CORRUPT,
                         "agent %u: %" PRIu64
                         " is acknowledged and was"
                         " never synced",
                         station->options.agent, facts.acknowledged);
    }
    for (; station->checked < facts.acknowledged; station->checked++) {
        const struct feed_place *place = &station->frames[station->checked].place;
        if (!ledger_expect_done(station->options.ledger, place, fault)) {
            return fault_add(fault, "frame %" PRIu64, station->checked + 1);
        }
    }
    return true;
}

bool station_is_done(const struct station *station, uint32_t restores) {
    if (station->spool == NULL || has_more(station)) return false;
    if (station->met_restores != restores) return false;
    struct spool_facts facts;
    spool_describe(station->spool, &facts);
    return facts.acknowledged == facts.appended;
}
