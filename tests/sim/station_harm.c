#include "tests/sim/station_harm.h"

#include <assert.h>
#include <inttypes.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#include "agent/frame.h"
#include "base/bytes.h"

enum {
    PATH_SIZE = 128,
    DAMAGE_SIZE_MAX = 1500,    // bytes: a few frames
    HEADER_THOUSANDTHS = 100,  // of damages hit a segment's header
    ROOM_MAX = 8 * 1024,       // bytes left on a full disk
};

static void drop_copy(struct station *station) {
    fake_files_destroy(station->copy.files);
    free(station->copy.frames);
    station->copy = (struct station_copy){.files = NULL};
}

void station_keep_copy(struct station *station) {
    drop_copy(station);
    station->copy.files = fake_files_copy(station->files);
    station->copy.synced = station->synced;
    station->copy.room_at_ms = station->room_at_ms;
    size_t size = station->frames_room * sizeof *station->frames;
    station->copy.frames_room = station->frames_room;
    station->copy.frames = malloc(size + 1);
    assert(station->copy.frames != NULL);
    if (size > 0) memcpy(station->copy.frames, station->frames, size);
}

static bool copy_has(const struct station_copy *copy, const struct feed_place *place) {
    for (uint64_t index = 0; index < copy->synced; index++) {
        const struct feed_place *kept = &copy->frames[index].place;
        if (kept->fork == place->fork && kept->place == place->place) return true;
    }
    return false;
}

// The line is read again; what stood beside it is gone with the disk.
static void release(struct station *station, const struct feed_place *place) {
    if (place->fork != 0) ledger_excuse(station->options.ledger, place, LEDGER_RELEASED);
}

void station_roll_back(struct station *station, uint32_t fork) {
    assert(station->spool == NULL);
    assert(station->copy.files != NULL);
    struct station_copy *copy = &station->copy;
    for (uint64_t index = copy->synced; index < station->synced; index++) {
        release(station, &station->frames[index].place);
    }
    // Also what damage had cut off and was not read again yet.
    struct feed_place place = {station->options.agent, station->options.account,
                               station->options.fork, 0};
    for (; place.place < station->extra_seen; place.place++) {
        if (!copy_has(copy, &place)) release(station, &place);
    }
    fake_files_destroy(station->files);
    free(station->frames);
    station->files = copy->files;
    station->frames = copy->frames;
    station->frames_room = copy->frames_room;
    station->synced = copy->synced;
    station->room_at_ms = copy->room_at_ms;
    // What the copy knows as acknowledged was checked when it was.
    station->checked = copy->synced;
    station->acknowledged = copy->synced;
    station->extra_seen = 0;
    station->options.fork = fork;
    *copy = (struct station_copy){.files = NULL};
    // That it had read its line again may be gone as well.
    ledger_set_rewound(station->options.ledger, station->options.agent, false);
}

// --- damage

struct search {
    uint64_t number;
    uint64_t first;  // of the segment found; 0: none
};

static bool on_file(void *user, const struct files_entry *entry) {
    struct search *search = user;
    uint64_t first = 0;
    char end = 0;
    bool is_segment = sscanf(entry->name, "%20" SCNu64 ".segmen%c", &first, &end) == 2;
    if (is_segment && first <= search->number && first > search->first) search->first = first;
    return true;
}

// Where the frame of a number lies in its segment. False if its beginning is damaged.
static bool find_frame(const uint8_t *bytes, uint64_t size, uint64_t number, uint64_t *offset,
                       uint64_t *frame_size) {
    static const uint8_t magic[] = {0xf7, 0x6f, 0x74, 0xf1};
    for (uint64_t at = 0; at + FRAME_HEADER_SIZE <= size; at++) {
        if (memcmp(bytes + at, magic, sizeof magic) != 0) continue;
        uint64_t length = bytes_get_32(bytes + at + 4);
        if (bytes_get_64(bytes + at + 16) != number || at + length > size) continue;
        *offset = at;
        *frame_size = length;
        return true;
    }
    return false;
}

static void mark_damaged(struct station *station, uint64_t number) {
    struct station_frame *frame = &station->frames[number - 1];
    frame->is_damaged = true;
    if (station->damages_count == station->damages_room) {
        station->damages_room = station->damages_room == 0 ? 64 : 2 * station->damages_room;
        station->damages =
            realloc(station->damages, station->damages_room * sizeof *station->damages);
        assert(station->damages != NULL);
    }
    station->damages[station->damages_count++] = (struct station_damage){number, frame->place};
}

// The bytes of the segment that holds a frame, and its path. NULL if there is none.
static const uint8_t *find_segment(struct station *station, uint64_t number, char path[PATH_SIZE],
                                   uint64_t *size) {
    struct search search = {.number = number};
    struct fault fault;
    const struct files *files = fake_files_interface(station->files);
    if (!files_list(files, STATION_DIRECTORY, on_file, &search, &fault)) return NULL;
    if (search.first == 0) return NULL;
    snprintf(path, PATH_SIZE, STATION_DIRECTORY "/%020" PRIu64 ".segment", search.first);
    return fake_files_bytes(station->files, path, size);
}

// Damages frames from somewhere inside the first one on, `length` bytes or up to the last frame
// whose beginning can be seen, so that it is known which ones are hit.
static void damage_frames(struct station *station, uint64_t number, uint64_t length) {
    char path[PATH_SIZE];
    uint64_t size, offset, frame_size;
    const uint8_t *bytes = find_segment(station, number, path, &size);
    // The size of a damaged one may be damaged.
    if (bytes == NULL || station->frames[number - 1].is_damaged) return;
    if (!find_frame(bytes, size, number, &offset, &frame_size)) return;
    uint64_t begin = offset + timeline_draw(station->options.timeline, frame_size);
    uint64_t last = offset + frame_size;
    mark_damaged(station, number);
    while (last < begin + length && number < station->synced) {
        uint64_t next;
        if (station->frames[number].is_damaged) break;
        if (!find_frame(bytes, size, number + 1, &next, &frame_size) || next != last) break;
        mark_damaged(station, ++number);
        last += frame_size;
    }
    if (length > last - begin) length = last - begin;
    fake_files_damage(station->files, path, begin, length);
}

void station_damage_frame(struct station *station, uint64_t number) {
    assert(number > 0 && number <= station->synced);
    damage_frames(station, number, 1);
}

void station_damage(struct station *station) {
    struct timeline *timeline = station->options.timeline;
    if (station->synced == 0) return;
    uint64_t range = station->synced > station->dropped ? station->synced - station->dropped : 1;
    uint64_t number = station->synced - timeline_draw(timeline, range);
    if (!timeline_happens(timeline, HEADER_THOUSANDTHS)) {
        uint64_t more =
            timeline_happens(timeline, 500) ? timeline_draw(timeline, DAMAGE_SIZE_MAX) : 0;
        damage_frames(station, number, 1 + more);
        return;
    }
    char path[PATH_SIZE];
    uint64_t size;
    if (find_segment(station, number, path, &size) == NULL || size < SEGMENT_HEADER_SIZE) return;
    fake_files_damage(station->files, path, timeline_draw(timeline, SEGMENT_HEADER_SIZE), 1);
}

// --- full disks

void station_fill_disk(struct station *station, int64_t until_ms) {
    uint64_t free_size, total_size;
    struct fault fault;
    const struct files *files = fake_files_interface(station->files);
    if (!files_measure_free(files, STATION_DIRECTORY, &free_size, &total_size, &fault)) return;
    uint64_t used = total_size - free_size;
    fake_files_limit(station->files, used + timeline_draw(station->options.timeline, ROOM_MAX));
    station->room_at_ms = until_ms;
}

void station_relieve(struct station *station, bool at_once) {
    if (station->room_at_ms == 0) return;
    if (!at_once && station->options.timeline->now_ms < station->room_at_ms) return;
    fake_files_limit(station->files, UINT64_MAX);
    station->room_at_ms = 0;
}

// --- what is lost

void station_tell_lost(struct station *station) {
    struct ledger *ledger = station->options.ledger;
    struct spool_facts facts;
    spool_describe(station->spool, &facts);
    for (uint64_t number = 1; number <= facts.base; number++) {
        ledger_excuse(ledger, &station->frames[number - 1].place, LEDGER_TOLD);
    }
    for (uint64_t index = 0; index < station->damages_count; index++) {
        const struct station_damage *damage = &station->damages[index];
        if (damage->number <= facts.base) ledger_excuse(ledger, &damage->place, LEDGER_DAMAGED);
    }
    if (station->options.rewinds) ledger_set_rewound(ledger, station->options.agent, true);
}

bool station_excuse(struct station *station, const struct ledger_gap *gap, uint64_t number) {
    struct ledger *ledger = station->options.ledger;
    if (!span_is(gap->uri, station->uri)) return false;
    bool is_right = false;
    for (uint32_t index = 0; index < station->streams_count; index++) {
        const struct station_stream *stream = &station->streams[index];
        if (memcmp(stream->id, gap->stream_id, SPOOL_ID_SIZE) != 0) continue;
        uint64_t frame = stream->base + number;
        if (frame <= station->dropped) {
            ledger_excuse(ledger, &station->frames[frame - 1].place, LEDGER_DROPPED);
            is_right = true;
        }
        for (uint64_t at = 0; at < station->damages_count; at++) {
            if (station->damages[at].number != frame) continue;
            ledger_excuse(ledger, &station->damages[at].place, LEDGER_DAMAGED);
            is_right = true;
        }
    }
    return is_right;
}

static bool inspect_frame(struct station *station, uint64_t expected,
                          const struct spool_frame *frame, struct fault *fault) {
    const struct station_frame *known = &station->frames[frame->number - 1];
    struct feed_event event;
    feed_make(station->options.seed, &known->place, &station->buffer, &event);
    bool is_same = !known->is_damaged && span_equal(event.record, frame->record);
    if (is_same && frame->number == expected) return true;
    return fault_set(fault, FAULT_CORRUPT,
                     "agent %u: frame %" PRIu64 " is read in the place of %" PRIu64
                     ", or with other bytes than it was given",
                     station->options.agent, frame->number, expected);
}

static bool inspect_gap(const struct station *station, uint64_t expected,
                        const struct spool_gap *gap, struct fault *fault) {
    for (uint64_t number = expected; number <= gap->last; number++) {
        if (station->frames[number - 1].is_damaged) continue;
        return fault_set(fault, FAULT_CORRUPT,
                         "agent %u: the spool gives frames %" PRIu64 " to %" PRIu64
                         " as lost, and %" PRIu64 " is not damaged",
                         station->options.agent, gap->first, gap->last, number);
    }
    return true;
}

bool station_inspect(struct station *station, struct fault *fault) {
    struct spool_reader *reader = spool_reader_create(station->spool);
    assert(reader != NULL);
    struct spool_facts facts;
    spool_describe(station->spool, &facts);
    uint64_t expected = facts.first;
    bool good = true;
    while (good && expected <= facts.synced) {
        struct spool_frame frame;
        struct spool_gap gap;
        switch (spool_reader_next(reader, &frame, &gap, fault)) {
            case SPOOL_NEXT_FRAME:
                good = inspect_frame(station, expected, &frame, fault);
                expected = frame.number + 1;
                break;
            case SPOOL_NEXT_GAP:
                good = inspect_gap(station, expected, &gap, fault);
                expected = gap.last + 1;
                break;
            case SPOOL_NEXT_END:
                good = fault_set(fault, FAULT_CORRUPT, "agent %u: the spool ends before %" PRIu64,
                                 station->options.agent, expected);
                break;
            case SPOOL_NEXT_FAULT:
                good = false;
                break;
        }
    }
    spool_reader_destroy(reader);
    return good;
}
