#include "tests/sim/feed.h"

#include <assert.h>
#include <inttypes.h>
#include <stdio.h>
#include <string.h>

#include "base/clock.h"
#include "proto/orgtrail.pb-c.h"
#include "tests/sim/timeline.h"

enum { NOTICE_SIZE_MAX = 4096 };

static uint64_t mix(uint64_t left, uint64_t right) {
    uint64_t state = left ^ (right * 0x9E3779B97F4A7C15);
    random_splitmix64(&state);
    return random_splitmix64(&state);
}

void feed_account(uint32_t account, char text[FEED_ACCOUNT_SIZE]) {
    snprintf(text, FEED_ACCOUNT_SIZE, "%012u", 111111111 + account);
}

static int64_t time_of(uint64_t identity) {
    return TIMELINE_EPOCH_S - (int64_t)(identity % 200000);
}

// Writes the members that every event has. `value` is where copies can differ.
static void print_record(struct buffer *buffer, uint64_t identity, const char *account,
                         uint64_t value, bool swapped, bool with_id) {
    char time[TIME_TEXT_SIZE];
    time_print(time_of(identity), time);
    buffer_print(buffer, "{\"eventVersion\":\"1.08\",\"eventTime\":\"%s\",", time);
    if (swapped) buffer_append_text(buffer, "\"awsRegion\":\"eu-west-1\",");
    buffer_append_text(buffer,
                       "\"eventSource\":\"sim.amazonaws.com\",\"eventName\":\"GetSimulated\",");
    if (!swapped) buffer_append_text(buffer, "\"awsRegion\":\"eu-west-1\",");
    buffer_print(buffer, "\"requestParameters\":{\"value\":\"%" PRIx64 "\"},", value);
    if (with_id) {
        buffer_print(buffer, "\"eventID\":\"%08" PRIx32 "-%04x-4000-8000-%012" PRIx64 "\",",
                     (uint32_t)(identity >> 32), (unsigned)(identity >> 16 & 0xffff),
                     identity & 0xffffffffffff);
    }
    buffer_print(buffer, "\"recipientAccountId\":\"%s\"}", account);
}

static void print_notice(struct buffer *buffer, uint64_t identity) {
    Orgtrail__V1__Notice notice = ORGTRAIL__V1__NOTICE__INIT;
    char place[64];
    snprintf(place, sizeof place, "file-%" PRIx64 ".json.gz byte 0", identity);
    notice.reason = (char *)(uintptr_t) "corrupt_file";
    notice.source = (char *)(uintptr_t) "line";
    notice.place = place;
    notice.detail = (char *)(uintptr_t) "simulated";
    notice.time_ms = TIMELINE_EPOCH_S * INT64_C(1000);
    notice.head.data = (uint8_t *)place;
    notice.head.len = strlen(place);
    notice.size = notice.head.len;
    uint8_t *bytes = buffer_reserve(buffer, NOTICE_SIZE_MAX);
    assert(bytes != NULL && orgtrail__v1__notice__get_packed_size(&notice) <= NOTICE_SIZE_MAX);
    buffer->size += orgtrail__v1__notice__pack(&notice, bytes);
}

// An event that only this agent has.
static void make_own(uint64_t kind, uint64_t identity, const char *account, struct buffer *buffer,
                     struct feed_event *event) {
    event->fate = FEED_QUARANTINED;
    if (kind < 3) {
        buffer_print(buffer, "{\"eventTime\":\"2026-01-01T00:00:00Z\",\"broken\":%" PRIu64,
                     identity);
    } else if (kind < 5) {
        print_record(buffer, identity, "999999999999", identity, false, true);
    } else if (kind < 7) {
        buffer_print(buffer,
                     "{\"eventTime\":\"2099-01-01T00:00:00Z\",\"eventSource\":\"sim\","
                     "\"eventName\":\"Future\",\"recipientAccountId\":\"%s\",\"v\":%" PRIu64 "}",
                     account, identity);
    } else if (kind < 9) {
        event->is_notice = true;
        print_notice(buffer, identity);
    } else {
        event->fate = FEED_STORED;
        print_record(buffer, identity, account, identity, false, kind % 8 != 0);
    }
}

void feed_make(uint64_t seed, const struct feed_place *place, struct buffer *buffer,
               struct feed_event *event) {
    char account[FEED_ACCOUNT_SIZE];
    feed_account(place->account, account);
    uint64_t own = mix(mix(seed, place->agent * 64 + place->fork), place->place);
    uint64_t shared = mix(mix(seed, 1000 + place->account), place->place);
    uint64_t kind = shared % 100;
    buffer_reset(buffer);
    *event = (struct feed_event){.identity = own};
    if (place->fork == FEED_RESTORED) {
        event->fate = FEED_QUARANTINED;
        event->is_notice = true;
        print_notice(buffer, own);
    } else if (place->fork == 0 && kind < 15) {
        // The copy of an event that all agents of the account report, as they do global ones.
        event->identity = shared;
        event->fate = FEED_STORED;
        print_record(buffer, shared, account, shared, false, true);
    } else if (place->fork == 0 && kind < 20) {
        event->identity = shared;
        event->fate = FEED_VARIANT;
        print_record(buffer, shared, account, shared, place->agent % 2 == 1, true);
    } else if (place->fork == 0 && kind < 23) {
        event->identity = shared;
        event->fate = FEED_EITHER;
        print_record(buffer, shared, account, own, false, true);
    } else {
        make_own(own / 100 % 100, own, account, buffer, event);
    }
    assert(!buffer_overflowed(buffer));
    event->record = buffer_span(buffer);
    event->time_s = time_of(event->identity);
}
