#include "collector/intake/receive.h"

#include <assert.h>
#include <inttypes.h>

#include "base/clock.h"
#include "collector/intake/wire.h"

enum {
    OBJECT_SIZE_SHOWN = 200,  // bytes of an object's key in a refusal's detail
};

static const int64_t YEAR_9999_END_S = 253402300799;

bool receive_check(const Orgtrail__V1__EventBatch *message, struct fault *fault) {
    if (message->zstd_events.len > 0) {
        return fault_set(fault, FAULT_INPUT,
                         "compressed events are not understood here: upgrade the collector first");
    }
    if (message->n_events == 0) return fault_set(fault, FAULT_INPUT, "a batch without events");
    if (message->n_events > BATCH_EVENTS_MAX) {
        return fault_set(fault, FAULT_INPUT, "a batch of %zu events, at most %d are allowed",
                         message->n_events, BATCH_EVENTS_MAX);
    }
    if (message->first_seq == 0 || message->first_seq > BATCH_NUMBER_MAX) {
        return fault_set(fault, FAULT_INPUT, "a batch that begins with number %" PRIu64,
                         message->first_seq);
    }
    if (message->chain.len != TRAIL_CHAIN_SIZE) {
        return fault_set(fault, FAULT_INPUT, "a batch with a chain of %zu bytes, %d are expected",
                         message->chain.len, TRAIL_CHAIN_SIZE);
    }
    size_t size = 0;
    for (size_t index = 0; index < message->n_events; index++) {
        size += message->events[index]->record.len;
    }
    if (message->n_events > 1 && size > BATCH_BYTES_MAX) {
        return fault_set(fault, FAULT_INPUT,
                         "a batch of %zu bytes in %zu events, at most %d are allowed", size,
                         message->n_events, BATCH_BYTES_MAX);
    }
    return true;
}

// What and where, for people who look into quarantine.
static bool explain(struct batch *batch, struct batch_event *event, uint64_t number,
                    struct span object, const char *what, struct fault *fault) {
    const char *separator = object.size > 0 ? ", object " : "";
    const char *cut = "";
    if (object.size > OBJECT_SIZE_SHOWN) {
        object.size = OBJECT_SIZE_SHOWN;
        cut = "...";
    }
    char *text = arena_print(
        batch->arena, "%s (number %" PRIu64 ", batch %" PRIu64 " of session %" PRIu64 "%s%.*s%s)",
        what, number, batch->id, batch->session, separator, SPAN_PRINT(object), cut);
    if (text == NULL) return fault_set(fault, FAULT_FULL, "no memory to say what is refused");
    event->detail = span_text(text);
    return true;
}

static bool receive_record(const struct admit_rules *rules, struct json_reader *reader,
                           struct batch *batch, struct batch_event *event, uint64_t number,
                           struct span object, struct fault *fault) {
    enum record_refusal refusal;
    struct fault mistake = {0};
    if (!record_read(reader, batch->arena, event->text, &event->record, &refusal, &mistake)) {
        if (refusal == RECORD_GOOD) return fault_set(fault, mistake.kind, "%s", mistake.text);
        event->reason = (enum admit_reason)refusal;
        return explain(batch, event, number, object, mistake.text, fault);
    }
    struct admit_answer answer;
    if (!admit_record(rules, &event->record, object, batch->received_ms / 1000, batch->arena,
                      &answer, fault)) {
        return false;
    }
    event->reason = answer.reason;
    event->account = answer.account;
    event->is_unlisted = answer.is_unlisted;
    if (answer.reason == ADMIT_GOOD) return true;
    return explain(batch, event, number, object, answer.detail, fault);
}

// What is wrong with a Notice, or NULL.
static const char *judge_notice(const struct admit_rules *rules, const struct batch *batch,
                                const Orgtrail__V1__Notice *notice) {
    if (notice == NULL) return "a Notice that cannot be decoded";
    int64_t time_s = notice->time_ms / 1000;
    if (notice->time_ms < 0 || time_s > YEAR_9999_END_S) return "a Notice with an impossible time";
    if (time_s > batch->received_ms / 1000 + rules->future_max_s) {
        return "a Notice with a time too far ahead of the collector's clock";
    }
    if (notice->head.len > BATCH_NOTICE_HEAD_MAX) return "a Notice with more than 64 KiB of head";
    return NULL;
}

static bool receive_notice(const struct admit_rules *rules, struct batch *batch,
                           struct batch_event *event, uint64_t number, struct span object,
                           struct fault *fault) {
    const Orgtrail__V1__Notice *notice = wire_unpack_notice(batch->arena, event->text);
    const char *mistake = judge_notice(rules, batch, notice);
    event->is_notice = true;
    if (mistake != NULL) {
        event->reason = ADMIT_BAD_NOTICE;
        return explain(batch, event, number, object, mistake, fault);
    }
    event->reason = ADMIT_NOTICE;
    event->notice = (struct batch_notice){
        .reason = span_text(notice->reason),
        .source = span_text(notice->source),
        .place = span_text(notice->place),
        .detail = span_text(notice->detail),
        .head = wire_span(notice->head),
        .sha256 = wire_span(notice->sha256),
        .size = notice->size,
        .time_ms = notice->time_ms,
    };
    char *what = arena_print(batch->arena, "%.256s: %.1024s at %.1024s of source %.256s",
                             notice->reason, notice->detail, notice->place, notice->source);
    if (what == NULL) return fault_set(fault, FAULT_FULL, "no memory for a Notice");
    return explain(batch, event, number, object, what, fault);
}

bool receive_events(const struct admit_rules *rules, const Orgtrail__V1__EventBatch *message,
                    uint32_t skip, struct json_reader *reader, struct batch *batch,
                    struct fault *fault) {
    assert(skip < message->n_events);
    assert(batch->first_seq == message->first_seq + skip);

    uint32_t count = (uint32_t)message->n_events - skip;
    struct batch_event *events = arena_allocate_array(batch->arena, count, sizeof *events);
    if (events == NULL) return fault_set(fault, FAULT_FULL, "no memory for %u events", count);

    for (uint32_t index = 0; index < count; index++) {
        const Orgtrail__V1__Event *from = message->events[skip + index];
        struct batch_event *event = &events[index];
        uint64_t number = batch->first_seq + index;
        struct span object = span_text(from->object);
        event->text = wire_span(from->record);
        bool is_notice = from->kind == ORGTRAIL__V1__EVENT__KIND__NOTICE;
        bool is_good = is_notice
                           ? receive_notice(rules, batch, event, number, object, fault)
                           : receive_record(rules, reader, batch, event, number, object, fault);
        if (!is_good) return fault_add(fault, "number %" PRIu64, number);
    }
    batch->events = events;
    batch->events_count = count;
    return true;
}
