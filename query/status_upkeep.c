#include "query/status_upkeep.h"

#include <inttypes.h>
#include <stdio.h>
#include <string.h>

#include "base/clock.h"
#include "base/files.h"
#include "base/json.h"

enum {
    FREE_SHARE = 50,  // 2 %
    DAY_S = 24 * 60 * 60,
    DAY_MS = DAY_S * 1000,
};

static const uint64_t free_size_max = (uint64_t)1 << 30;

// The days that a forecast is made from.
struct counting {
    int64_t today;
    uint64_t size;
    uint64_t days;
};

static bool on_day(void *user, const struct trail_day_facts *facts) {
    struct counting *counting = user;
    int64_t age = counting->today - facts->day;
    if (age >= 1 && age <= STATUS_FORECAST_DAYS) {
        counting->size += facts->size;
        // A week that has only begun is not counted as a whole one.
        if ((uint64_t)age > counting->days) counting->days = (uint64_t)age;
    }
    return true;
}

static void forecast(struct status_upkeep *upkeep) {
    if (upkeep->day_size == 0) return;
    bool has_room = upkeep->free_size > upkeep->free_min;
    upkeep->days_left =
        has_room ? (int64_t)((upkeep->free_size - upkeep->free_min) / upkeep->day_size) : 0;
}

static bool measure_disk(struct trail_reader *reader, const struct trail_facts *facts,
                         int64_t now_ms, struct status_upkeep *upkeep, struct fault *fault) {
    struct counting counting = {.today = time_day(now_ms / 1000)};
    uint64_t total_size = 0;
    if (!trail_reader_days(reader, on_day, &counting, fault) ||
        !files_measure_free(files_system(), trail_reader_directory(reader), &upkeep->free_size,
                            &total_size, fault)) {
        return false;
    }
    uint64_t share = total_size / FREE_SHARE;
    upkeep->free_min = share < free_size_max ? share : free_size_max;
    upkeep->days_left = -1;
    if (counting.days == 0 || facts->block_size == 0) return true;
    // Beside its blocks a store has dictionaries and tables.
    double beside = (double)facts->file_size / (double)facts->block_size;
    upkeep->day_size = (uint64_t)((double)counting.size / (double)counting.days * beside);
    forecast(upkeep);
    return true;
}

void status_upkeep_set_free_min(struct status_upkeep *upkeep, uint64_t free_min) {
    upkeep->free_min = free_min;
    forecast(upkeep);
}

static bool on_follower(void *user, const struct trail_follower *follower) {
    struct status_upkeep *upkeep = user;
    upkeep->followers[upkeep->followers_count++] = *follower;
    return upkeep->followers_count < TRAIL_FOLLOWERS_MAX;
}

static bool on_document(void *user, struct span name, struct span value) {
    struct status_upkeep *upkeep = user;
    char text[96];
    if (!span_is(name, "id-scan") || value.size >= sizeof text) return true;
    memcpy(text, value.bytes, value.size);
    text[value.size] = '\0';
    upkeep->has_scan = sscanf(text, "%" SCNu64 " %" SCNu64 " %" SCNd64, &upkeep->scanned,
                              &upkeep->conflicts, &upkeep->scan_ended_ms) == 3;
    return false;
}

static void find_readers(struct trail_reader *reader, struct status_upkeep *upkeep) {
    struct trail_reading all[512];
    uint32_t count = trail_reader_readings(reader, all, 512);
    for (uint32_t index = 0; index < count; index++) {
        if (all[index].behind < STATUS_READER_BEHIND_MIN) continue;
        if (upkeep->readers_count < STATUS_READERS_MAX)
            upkeep->readers[upkeep->readers_count++] = all[index];
    }
}

bool status_upkeep_collect(struct trail_reader *reader, const struct trail_facts *facts,
                           int64_t now_ms, struct status_upkeep *upkeep, struct fault *fault) {
    *upkeep = (struct status_upkeep){0};
    find_readers(reader, upkeep);
    return measure_disk(reader, facts, now_ms, upkeep, fault) &&
           trail_reader_followers(reader, on_follower, upkeep, fault) &&
           trail_reader_documents(reader, SPAN_LITERAL("id-scan"), on_document, upkeep, fault);
}

static void print_megabytes(uint64_t size, struct buffer *output) {
    buffer_print(output, "%.1f MiB", (double)size / (1024 * 1024));
}

void status_upkeep_print(const struct status_upkeep *upkeep, const struct trail_facts *facts,
                         int64_t now_ms, struct buffer *output) {
    char time[TIME_TEXT_SIZE];
    buffer_append_text(output, "disk         ");
    print_megabytes(upkeep->free_size, output);
    buffer_append_text(output, " free");
    if (upkeep->days_left >= 0) {
        buffer_append_text(output, "; a day takes ");
        print_megabytes(upkeep->day_size, output);
        buffer_print(output, ": enough for %" PRId64 " days%s", upkeep->days_left,
                     facts->retained_from_s > 0 ? ", without those that are dropped" : "");
    }
    buffer_append_byte(output, '\n');
    if (facts->retained_from_s > 0) {
        time_print(facts->retained_from_s, time);
        buffer_print(output, "retained     from %.10s; %" PRIu64 " events went with their days\n",
                     time, facts->dropped);
    }
    if (upkeep->has_scan) {
        time_print_ms(upkeep->scan_ended_ms, time);
        buffer_print(output, "ids scanned  to #%" PRIu64 " at %.16s: %" PRIu64 " at two times\n",
                     upkeep->scanned, time, upkeep->conflicts);
    }
    for (uint32_t index = 0; index < upkeep->followers_count; index++) {
        const struct trail_follower *follower = &upkeep->followers[index];
        uint64_t behind = facts->sequence_last > follower->sequence
                              ? facts->sequence_last - follower->sequence
                              : 0;
        buffer_print(output,
                     "follower     %s has finished #%" PRIu64 ", %" PRIu64 " behind, moved %" PRId64
                     " s ago\n",
                     follower->name, follower->sequence, behind,
                     (now_ms - follower->moved_ms) / 1000);
    }
    for (uint32_t index = 0; index < upkeep->readers_count; index++) {
        const struct trail_reading *reading = &upkeep->readers[index];
        buffer_print(output,
                     "READER       process %" PRId64 " holds the store's room: %" PRIu64
                     " commits behind. A backup? Otherwise end it\n",
                     reading->process, reading->behind);
    }
}

void status_upkeep_print_alarms(const struct status_upkeep *upkeep, const struct trail_facts *facts,
                                int64_t now_ms, struct buffer *output) {
    if (upkeep->conflicts > 0) {
        buffer_print(output,
                     "ALARM        %" PRIu64
                     " %s the id of another and another time: lookup "
                     "--event-name EventTimeConflict\n",
                     upkeep->conflicts, upkeep->conflicts == 1 ? "event has" : "events have");
    }
    for (uint32_t index = 0; index < upkeep->followers_count; index++) {
        const struct trail_follower *follower = &upkeep->followers[index];
        int64_t days = (now_ms - follower->moved_ms) / DAY_MS;
        if (days < 1 || follower->sequence >= facts->sequence_last) continue;
        buffer_print(output,
                     "ALARM        follower %s has not moved for %" PRId64
                     " %s: no day that it "
                     "has not read is dropped\n",
                     follower->name, days, days == 1 ? "day" : "days");
    }
}

void status_upkeep_print_json(const struct status_upkeep *upkeep, const struct trail_facts *facts,
                              struct buffer *output) {
    buffer_print(output,
                 ",\"upkeep\":{\"disk_free\":%" PRIu64 ",\"disk_min_free\":%" PRIu64
                 ",\"day_size\":%" PRIu64 ",\"days_left\":%" PRId64 ",\"retained_from_s\":%" PRId64
                 ",\"dropped_events\":%" PRIu64 ",\"ids_scanned\":%" PRIu64
                 ",\"time_conflicts\":%" PRIu64 ",\"followers\":[",
                 upkeep->free_size, upkeep->free_min, upkeep->day_size, upkeep->days_left,
                 facts->retained_from_s, facts->dropped, upkeep->scanned, upkeep->conflicts);
    for (uint32_t index = 0; index < upkeep->followers_count; index++) {
        const struct trail_follower *follower = &upkeep->followers[index];
        buffer_append_text(output, index > 0 ? ",{\"name\":" : "{\"name\":");
        json_append_string(output, span_text(follower->name));
        buffer_print(output, ",\"sequence\":%" PRIu64 ",\"moved_ms\":%" PRId64 "}",
                     follower->sequence, follower->moved_ms);
    }
    buffer_append_text(output, "],\"stuck_readers\":[");
    for (uint32_t index = 0; index < upkeep->readers_count; index++) {
        buffer_print(output, "%s{\"process\":%" PRId64 ",\"commits_behind\":%" PRIu64 "}",
                     index > 0 ? "," : "", upkeep->readers[index].process,
                     upkeep->readers[index].behind);
    }
    buffer_append_text(output, "]}");
}
