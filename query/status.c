#include "query/status.h"

#include <assert.h>
#include <inttypes.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#include "base/clock.h"
#include "base/crypto.h"
#include "base/json.h"
#include "query/format.h"
#include "query/status_names.h"

// What goes through the reader's callbacks.
struct collecting {
    struct status *status;
    uint32_t *places;    // of an agent's number: 1 and its index, 0 if it was not met yet
    uint32_t gaps_next;  // a ring: the oldest listed gap
};

static uint64_t count_decided(const struct status_agent *agent) {
    return agent->stored + agent->duplicates + agent->variants + agent->quarantined +
           agent->expired;
}

static bool is_balanced(const struct status_agent *agent) {
    return agent->received == count_decided(agent);
}

static void add_counts(struct status_agent *to, const struct status_agent *from) {
    to->streams += from->streams;
    to->received += from->received;
    to->stored += from->stored;
    to->duplicates += from->duplicates;
    to->variants += from->variants;
    to->quarantined += from->quarantined;
    to->expired += from->expired;
    to->conflicts += from->conflicts;
    to->global_reported += from->global_reported;
    to->notices += from->notices;
    to->gaps += from->gaps;
    to->gap_numbers += from->gap_numbers;
}

static struct status_agent from_stream(const struct trail_stream *stream) {
    return (struct status_agent){
        .agent = stream->agent,
        .streams = 1,
        .durable_seq = stream->durable_seq,
        .first_seen_ms = stream->first_seen_ms,
        .last_seen_ms = stream->last_seen_ms,
        .spool_ms = stream->first_seen_ms,
        .last_event_time_s = stream->last_event_time_s,
        .received = stream->received,
        .stored = stream->stored,
        .duplicates = stream->duplicates,
        .variants = stream->variants,
        .quarantined = stream->quarantined,
        .expired = stream->expired,
        .conflicts = stream->conflicts,
        .global_reported = stream->global_reported,
        .notices = stream->notices,
        .gaps = stream->gaps,
        .gap_numbers = stream->gap_numbers,
    };
}

// The agent's line, a new one at its first stream. NULL past the limits.
static struct status_agent *get_agent(struct collecting *collecting, uint32_t number) {
    struct status *status = collecting->status;
    if (number >= STATUS_AGENTS_MAX) return NULL;
    uint32_t *place = &collecting->places[number];
    if (*place == 0) {
        *place = ++status->agents_count;
        status->agents[*place - 1] = (struct status_agent){
            .agent = number, .first_seen_ms = INT64_MAX, .last_seen_ms = INT64_MIN};
    }
    return &status->agents[*place - 1];
}

static bool on_stream(void *user, const struct trail_stream *stream) {
    struct collecting *collecting = user;
    struct status_agent added = from_stream(stream);
    struct status_agent *agent = get_agent(collecting, added.agent);
    add_counts(&collecting->status->total, &added);
    if (agent == NULL) return true;
    add_counts(agent, &added);
    if (added.last_seen_ms >= agent->last_seen_ms) {
        agent->last_seen_ms = added.last_seen_ms;
        agent->durable_seq = added.durable_seq;
    }
    if (added.spool_ms > agent->spool_ms) agent->spool_ms = added.spool_ms;
    if (added.first_seen_ms < agent->first_seen_ms) agent->first_seen_ms = added.first_seen_ms;
    if (added.last_event_time_s > agent->last_event_time_s)
        agent->last_event_time_s = added.last_event_time_s;
    return true;
}

static bool on_gap(void *user, const struct trail_gap *gap) {
    struct collecting *collecting = user;
    struct status *status = collecting->status;
    status->gaps[collecting->gaps_next % STATUS_GAPS_MAX] = *gap;
    collecting->gaps_next++;
    if (status->gaps_count < STATUS_GAPS_MAX) status->gaps_count++;
    return true;
}

static bool on_quarantined(void *user, const struct trail_quarantined *entry) {
    struct status *status = ((struct collecting *)user)->status;
    uint32_t index = 0;
    while (index < status->reasons_count &&
           strncmp(status->reasons[index].name, entry->reason, TRAIL_REASON_SIZE) != 0) {
        index++;
    }
    if (index == status->reasons_count) {
        // More reasons than there can be share the last line.
        if (index == STATUS_REASONS_MAX) {
            index--;
        } else {
            status->reasons_count++;
            snprintf(status->reasons[index].name, TRAIL_REASON_SIZE, "%.*s", TRAIL_REASON_SIZE - 1,
                     entry->reason);
        }
    }
    status->reasons[index].entries++;
    status->reasons[index].count += entry->count;
    return true;
}

static int compare_agents(const void *left, const void *right) {
    const struct status_agent *a = left;
    const struct status_agent *b = right;
    int order = strcmp(a->uri, b->uri);
    return order != 0 ? order : (a->agent > b->agent) - (a->agent < b->agent);
}

static bool name_agents(struct trail_reader *reader, struct arena *arena, struct status *status,
                        struct fault *fault) {
    for (uint32_t index = 0; index < status->agents_count; index++) {
        struct status_agent *agent = &status->agents[index];
        struct span uri;
        if (!trail_reader_agent(reader, agent->agent, &uri, fault)) return false;
        agent->uri = arena_copy_text(arena, uri.size > 0 ? uri : SPAN_LITERAL("(unknown)"));
        if (agent->uri == NULL) return fault_set(fault, FAULT_FULL, "no memory");
        agent->is_balanced = is_balanced(agent);
        agent->silent_ms = status_coverage_silent_ms(&status->coverage, agent->agent);
    }
    qsort(status->agents, status->agents_count, sizeof *status->agents, compare_agents);
    return true;
}

bool status_collect(struct trail_reader *reader, int64_t now_ms, struct arena *arena,
                    struct status *status, struct fault *fault) {
    struct status made = {.now_ms = now_ms};
    struct collecting collecting = {.status = &made};
    made.agents = arena_allocate_array(arena, STATUS_AGENTS_MAX, sizeof *made.agents);
    collecting.places = arena_allocate_array(arena, STATUS_AGENTS_MAX, sizeof *collecting.places);
    if (made.agents == NULL || collecting.places == NULL)
        return fault_set(fault, FAULT_FULL, "no memory");
    if (!trail_reader_facts(reader, &made.facts, fault) ||
        !trail_reader_streams(reader, on_stream, &collecting, fault) ||
        !trail_reader_gaps(reader, on_gap, &collecting, fault) ||
        !trail_reader_quarantine(reader, on_quarantined, &collecting, fault) ||
        !status_coverage_collect(reader, arena, &made.coverage, fault) ||
        !name_agents(reader, arena, &made, fault) ||
        !seen_table_collect(reader, arena, &made.certificates, fault) ||
        !status_upkeep_collect(reader, &made.facts, now_ms, &made.upkeep, fault)) {
        return false;
    }
    made.total.uri = "total";
    made.total.is_balanced = is_balanced(&made.total);
    *status = made;
    return true;
}

static bool check_live(const struct status_live *live, struct fault *fault) {
    if (live == NULL || live->down == NULL) return true;
    return fault_set(fault, FAULT_IO, "the collector does not run (control socket %s)", live->down);
}

bool status_check(const struct status *status, struct fault *fault) {
    const struct status_agent *first = NULL;
    uint32_t count = 0;
    for (uint32_t index = 0; index < status->agents_count; index++) {
        if (status->agents[index].is_balanced) continue;
        if (first == NULL) first = &status->agents[index];
        count++;
    }
    if (first == NULL && !status->total.is_balanced) first = &status->total;
    if (first == NULL) return check_live(status->live, fault);
    uint64_t decided = count_decided(first);
    bool is_more = first->received > decided;
    fault_set(fault, FAULT_CORRUPT,
              "%s: received %" PRIu64 ", but %" PRIu64 " are accounted for: %" PRIu64 " too %s",
              first->uri, first->received, decided,
              is_more ? first->received - decided : decided - first->received,
              is_more ? "few" : "many");
    if (count > 1) fault_add(fault, "the counts of %" PRIu32 " agents do not balance", count);
    return false;
}

// --- for people

enum { SHORT_SIZE = STATUS_AGE_SIZE };

static const char *print_size(uint64_t size, char text[SHORT_SIZE]) {
    static const char *const units[] = {"B", "KiB", "MiB", "GiB", "TiB"};
    double value = (double)size;
    size_t unit = 0;
    while (value >= 1024 && unit < 4) {
        value /= 1024;
        unit++;
    }
    snprintf(text, SHORT_SIZE, unit == 0 ? "%.0f %s" : "%.1f %s", value, units[unit]);
    return text;
}

static void print_facts(const struct status *status, struct buffer *output) {
    const struct trail_facts *facts = &status->facts;
    char epoch[2 * TRAIL_EPOCH_SIZE + 1];
    char size[SHORT_SIZE];
    char text_size[SHORT_SIZE];
    crypto_print_hex(span_of(facts->epoch, TRAIL_EPOCH_SIZE), epoch);
    buffer_print(output, "events       %" PRIu64 ", the last is #%" PRIu64 "\n", facts->events,
                 facts->sequence_last);
    if (facts->events > 0) {
        char oldest[TIME_TEXT_SIZE];
        char newest[TIME_TEXT_SIZE];
        time_print(facts->time_min_s, oldest);
        time_print(facts->time_max_s, newest);
        buffer_print(output, "from         %s to %s\n", oldest, newest);
    }
    buffer_print(output,
                 "store        %s in use: %" PRIu64 " %s with %s of records, %" PRIu64
                 " %s in the tail\n",
                 print_size(facts->file_size, size), facts->blocks,
                 facts->blocks == 1 ? "block" : "blocks", print_size(facts->text_size, text_size),
                 facts->tail_rows, facts->tail_rows == 1 ? "event" : "events");
    buffer_print(output, "format       %u.%u, epoch %s\n", facts->format_major, facts->format_minor,
                 epoch);
    buffer_print(output, "quarantine   %" PRIu64 " %s for %" PRIu64 " %s\n", facts->quarantined,
                 facts->quarantined == 1 ? "entry" : "entries", facts->quarantined_count,
                 facts->quarantined_count == 1 ? "refusal" : "refusals");
    if (status->coverage.discarded_entries > 0) {
        buffer_print(output, "discarded    %" PRIu64 " entries for %" PRIu64 " refusals, ever\n",
                     status->coverage.discarded_entries, status->coverage.discarded_records);
    }
    buffer_print(output, "gaps         %" PRIu64 "\n", facts->gaps);
    status_upkeep_print(&status->upkeep, facts, status->now_ms, output);
    seen_table_print(&status->certificates, status->now_ms / 1000, output);
}

static void print_agent(const struct status *status, const struct status_agent *agent,
                        const struct status_names *names, struct buffer *output) {
    char seen[SHORT_SIZE] = "";
    char lag[SHORT_SIZE] = "";
    bool is_total = agent == &status->total;
    if (!is_total) status_print_age((status->now_ms - agent->last_seen_ms) / 1000, seen);
    if (!is_total && agent->last_event_time_s > 0)
        status_print_age(status->now_ms / 1000 - agent->last_event_time_s, lag);
    status_names_print(names, agent->uri, output);
    buffer_print(output,
                 " %8s %8s %10" PRIu64 " %10" PRIu64 " %10" PRIu64 " %8" PRIu64 " %8" PRIu64
                 " %7" PRIu64 " %5" PRIu64,
                 seen, lag, agent->received, agent->stored, agent->duplicates, agent->variants,
                 agent->quarantined, agent->expired, agent->gaps);
    if (is_total) {
        buffer_append_text(output, "           ");
    } else {
        buffer_print(output, " %10" PRIu64, agent->durable_seq);
    }
    if (agent->silent_ms != 0) {
        status_print_age((status->now_ms - agent->silent_ms) / 1000, seen);
        buffer_print(output, "  SILENT for %s", seen);
    }
    buffer_append_text(output, agent->is_balanced ? "\n" : "  DOES NOT BALANCE\n");
}

// Whether somebody should look at one agent rather than at the other: where counts do not balance,
// who is silent, the longest first, who lost something, whose records are refused, who was not
// heard of for longer.
static bool is_worse(const struct status_agent *one, const struct status_agent *other) {
    if (one->is_balanced != other->is_balanced) return !one->is_balanced;
    if ((one->silent_ms != 0) != (other->silent_ms != 0)) return one->silent_ms != 0;
    if (one->silent_ms != other->silent_ms) return one->silent_ms < other->silent_ms;
    if (one->gap_numbers != other->gap_numbers) return one->gap_numbers > other->gap_numbers;
    if (one->quarantined != other->quarantined) return one->quarantined > other->quarantined;
    return one->last_seen_ms < other->last_seen_ms;
}

// The worst agents, in that order.
static uint32_t find_worst(const struct status *status,
                           const struct status_agent *worst[STATUS_LINES_SHOWN]) {
    uint32_t count = 0;
    for (uint32_t index = 0; index < status->agents_count; index++) {
        const struct status_agent *agent = &status->agents[index];
        if (count == STATUS_LINES_SHOWN && !is_worse(agent, worst[count - 1])) continue;
        uint32_t at = count < STATUS_LINES_SHOWN ? count++ : count - 1;
        for (; at > 0 && is_worse(agent, worst[at - 1]); at--) worst[at] = worst[at - 1];
        worst[at] = agent;
    }
    return count;
}

static void print_agents(const struct status *status, uint32_t width, struct buffer *output) {
    enum { NUMBERS_WIDTH = 97 };
    const struct status_agent *worst[STATUS_LINES_SHOWN];
    bool is_short = !status->is_whole && status->agents_count > STATUS_LINES_SHOWN;
    uint32_t shown = is_short ? find_worst(status, worst) : status->agents_count;
    struct status_names names = {.room = status_names_room(width, NUMBERS_WIDTH)};
    for (uint32_t index = 0; index < shown; index++) {
        status_names_add(&names, is_short ? worst[index]->uri : status->agents[index].uri);
    }
    buffer_append_byte(output, '\n');
    status_names_begin(&names, output);
    buffer_print(output, " %8s %8s %10s %10s %10s %8s %8s %7s %5s %10s\n", "SEEN", "LAG",
                 "RECEIVED", "STORED", "DUPLICATE", "VARIANT", "QUARANT.", "EXPIRED", "GAPS",
                 "DURABLE");
    for (uint32_t index = 0; index < shown; index++) {
        print_agent(status, is_short ? worst[index] : &status->agents[index], &names, output);
    }
    if (is_short) {
        buffer_print(output, "... and %" PRIu32 " agents more: --all\n",
                     status->agents_count - shown);
    }
    print_agent(status, &status->total, &names, output);
    buffer_print(output,
                 "received %" PRIu64 " = stored %" PRIu64 " + duplicates %" PRIu64
                 " + variants %" PRIu64 " + quarantined %" PRIu64 " + expired %" PRIu64 "%s\n",
                 status->total.received, status->total.stored, status->total.duplicates,
                 status->total.variants, status->total.quarantined, status->total.expired,
                 status->total.is_balanced ? "" : ": DOES NOT BALANCE");
}

static const char *find_uri(const struct status *status, uint32_t agent) {
    for (uint32_t index = 0; index < status->agents_count; index++) {
        if (status->agents[index].agent == agent) return status->agents[index].uri;
    }
    return "(unknown)";
}

static void print_live(const struct status *status, struct buffer *output) {
    const struct status_live *live = status->live;
    char age[SHORT_SIZE];
    char time[TIME_TEXT_SIZE];
    if (live->absence != NULL) {
        buffer_append_text(output, "collector    not asked, what only it knows is missing: ");
        format_cell(span_text(live->absence), FAULT_TEXT_SIZE, false, output);
        buffer_append_byte(output, '\n');
        if (live->down != NULL) {
            buffer_append_text(output, "ALARM        the collector does not run (control socket ");
            format_cell(span_text(live->down), FAULT_TEXT_SIZE, false, output);
            buffer_append_text(output, ")\n");
        }
        return;
    }
    status_print_age((status->now_ms - live->started_ms) / 1000, age);
    time_print(live->certificate_expires_s, time);
    buffer_print(output, "collector    %s, up %s, %" PRIu32 " %s, certificate until %s\n",
                 live->version, age, live->streams, live->streams == 1 ? "stream" : "streams",
                 time);
    if (live->complaint != NULL) buffer_print(output, "ALARM        %s\n", live->complaint);
    if (live->denied.bytes != NULL) status_denied_print(live->denied, output);
}

static void print_alarm(uint64_t count, const char *one, const char *many, struct buffer *output) {
    if (count == 0) return;
    buffer_print(output, "ALARM        %" PRIu64 " %s\n", count, count == 1 ? one : many);
}

// What the collector says in words of its own.
static void print_lines(const char *word, const char *const *texts, uint32_t count,
                        struct buffer *output) {
    for (uint32_t index = 0; index < count; index++) {
        buffer_print(output, "%-12s ", word);
        format_cell(span_text(texts[index]), UINT32_MAX, false, output);
        buffer_append_byte(output, '\n');
    }
}

static void print_other_spools(const struct status *status, struct buffer *output) {
    uint32_t count = 0;
    for (uint32_t index = 0; index < status->agents_count; index++) {
        const struct status_agent *agent = &status->agents[index];
        count += agent->streams > 1 && status->now_ms - agent->spool_ms < STATUS_SPOOL_MS;
    }
    if (count == 0) return;
    buffer_print(output,
                 "WARNING      %" PRIu32
                 " %s another spool within a day: lookup --event-name SpoolBegun\n",
                 count, count == 1 ? "agent began" : "agents began");
}

// What somebody should look at, in the order of how bad it is.
static void print_alarms(const struct status *status, struct buffer *output) {
    static const struct status_live none;
    const struct status_live *live = status->live == NULL ? &none : status->live;
    const struct status_coverage *coverage = &status->coverage;
    print_alarm(live->damaged_parts, "part of the store cannot be read: store check",
                "parts of the store cannot be read: store check", output);
    print_alarm(status->total.conflicts, "conflict: quarantine list --reason conflict",
                "conflicts: quarantine list --reason conflict", output);
    if (status->facts.gaps > 0) {
        buffer_print(output, "ALARM        %" PRIu64 " gaps: %" PRIu64 " events are lost\n",
                     status->facts.gaps, status->total.gap_numbers);
    }
    print_alarm(live->lost_own_events, "own event is lost: the writer stood still",
                "own events are lost: the writer stood still", output);
    print_lines("ALARM", live->alarms, live->alarms_count, output);
    status_agents_print_alarms(live->agents, live->agents_count, output);
    status_upkeep_print_alarms(&status->upkeep, &status->facts, status->now_ms, output);
    print_alarm(live->stuck_readers,
                "process holds the store's room: lookup --event-name ReaderStuck",
                "processes hold the store's room: lookup --event-name ReaderStuck", output);
    print_alarm(live->mismatched_texts, "record did not come back compressed: stored as it is",
                "records did not come back compressed: stored as they are", output);
    print_alarm(live->throttled, "stream is throttled: quarantine is full",
                "streams are throttled: quarantine is full", output);
    print_alarm(coverage->silent_agents_count, "agent is silent", "agents are silent", output);
    print_alarm(coverage->silent_count, "region is silent that the roster expects",
                "regions are silent that the roster expects", output);
    print_lines("WARNING", live->warnings, live->warnings_count, output);
    print_other_spools(status, output);
}

void status_print(const struct status *status, uint32_t width, struct buffer *output) {
    if (status->live != NULL) print_live(status, output);
    print_facts(status, output);
    print_alarms(status, output);
    print_agents(status, width, output);
    if (status->live != NULL && status->live->absence == NULL) {
        status_agents_print(status->live->agents, status->live->agents_count, status->now_ms, width,
                            status->is_whole, output);
    }
    status_coverage_print(&status->coverage, status->now_ms,
                          status->is_coverage_whole || status->is_whole, output);
    if (status->reasons_count > 0)
        buffer_append_text(output, "\nQUARANTINE            ENTRIES REFUSALS\n");
    for (uint32_t index = 0; index < status->reasons_count; index++) {
        const struct status_reason *reason = &status->reasons[index];
        format_cell(span_text(reason->name), 20, true, output);
        buffer_print(output, " %8" PRIu64 " %8" PRIu64 "\n", reason->entries, reason->count);
    }
    if (status->gaps_count > 0) buffer_append_text(output, "\nGAPS (newest)\n");
    for (uint32_t index = 0; index < status->gaps_count; index++) {
        const struct trail_gap *gap = &status->gaps[index];
        char time[TIME_TEXT_SIZE];
        time_print_ms(gap->reported_ms, time);
        buffer_print(output, "%s %" PRIu64 " to %" PRIu64 " ", time, gap->first_seq, gap->last_seq);
        format_cell(span_text(gap->reason), TRAIL_REASON_SIZE, false, output);
        buffer_append_byte(output, ' ');
        format_cell(span_text(find_uri(status, gap->agent)), TRAIL_URI_SIZE, false, output);
        buffer_append_byte(output, '\n');
    }
}

// --- JSON

static void print_agent_json(const struct status_agent *agent, struct buffer *output) {
    char first[TIME_TEXT_SIZE];
    char last[TIME_TEXT_SIZE];
    char newest[TIME_TEXT_SIZE];
    time_print_ms(agent->first_seen_ms, first);
    time_print_ms(agent->last_seen_ms, last);
    time_print(agent->last_event_time_s, newest);
    buffer_append_text(output, "{\"agent\":");
    json_append_string(output, span_text(agent->uri));
    buffer_print(output,
                 ",\"streams\":%" PRIu32 ",\"durable\":%" PRIu64
                 ",\"first_seen\":\"%s\","
                 "\"last_seen\":\"%s\",\"newest_event\":\"%s\"",
                 agent->streams, agent->durable_seq, first, last, newest);
    buffer_print(output,
                 ",\"received\":%" PRIu64 ",\"stored\":%" PRIu64 ",\"duplicates\":%" PRIu64
                 ",\"variants\":%" PRIu64 ",\"quarantined\":%" PRIu64 ",\"expired\":%" PRIu64,
                 agent->received, agent->stored, agent->duplicates, agent->variants,
                 agent->quarantined, agent->expired);
    buffer_print(output,
                 ",\"conflicts\":%" PRIu64 ",\"global_reported\":%" PRIu64 ",\"notices\":%" PRIu64
                 ",\"gaps\":%" PRIu64 ",\"gap_numbers\":%" PRIu64 ",\"balanced\":%s",
                 agent->conflicts, agent->global_reported, agent->notices, agent->gaps,
                 agent->gap_numbers, agent->is_balanced ? "true" : "false");
    if (agent->silent_ms != 0) {
        time_print_ms(agent->silent_ms, last);
        buffer_print(output, ",\"silent_since\":\"%s\"", last);
    }
    buffer_append_byte(output, '}');
}

static void print_facts_json(const struct status *status, struct buffer *output) {
    const struct trail_facts *facts = &status->facts;
    char now[TIME_TEXT_SIZE];
    char epoch[2 * TRAIL_EPOCH_SIZE + 1];
    time_print_ms(status->now_ms, now);
    crypto_print_hex(span_of(facts->epoch, TRAIL_EPOCH_SIZE), epoch);
    buffer_print(output,
                 "{\"time\":\"%s\",\"epoch\":\"%s\",\"format\":\"%u.%u\",\"events\":%" PRIu64
                 ",\"sequence_last\":%" PRIu64 ",\"blocks\":%" PRIu64 ",\"tail_events\":%" PRIu64
                 ",\"file_size\":%" PRIu64 ",\"text_size\":%" PRIu64,
                 now, epoch, facts->format_major, facts->format_minor, facts->events,
                 facts->sequence_last, facts->blocks, facts->tail_rows, facts->file_size,
                 facts->text_size);
    if (facts->events > 0) {
        char oldest[TIME_TEXT_SIZE];
        char newest[TIME_TEXT_SIZE];
        time_print(facts->time_min_s, oldest);
        time_print(facts->time_max_s, newest);
        buffer_print(output, ",\"oldest_event\":\"%s\",\"newest_event\":\"%s\"", oldest, newest);
    }
    buffer_print(output,
                 ",\"quarantine_entries\":%" PRIu64 ",\"quarantine_refusals\":%" PRIu64
                 ",\"gaps\":%" PRIu64,
                 facts->quarantined, facts->quarantined_count, facts->gaps);
}

static void print_lines_json(const char *name, const char *const *texts, uint32_t count,
                             struct buffer *output) {
    buffer_print(output, ",\"%s\":[", name);
    for (uint32_t index = 0; index < count; index++) {
        if (index > 0) buffer_append_byte(output, ',');
        json_append_string(output, span_text(texts[index]));
    }
    buffer_append_byte(output, ']');
}

static void print_live_json(const struct status_live *live, struct buffer *output) {
    if (live->absence != NULL) {
        buffer_append_text(output, ",\"collector\":null,\"collector_absence\":");
        json_append_string(output, span_text(live->absence));
        buffer_print(output, ",\"collector_down\":%s", live->down != NULL ? "true" : "false");
        return;
    }
    char started[TIME_TEXT_SIZE];
    char expires[TIME_TEXT_SIZE];
    time_print_ms(live->started_ms, started);
    time_print(live->certificate_expires_s, expires);
    buffer_print(output,
                 ",\"collector\":{\"version\":\"%s\",\"pid\":%" PRIu64
                 ",\"started\":\"%s\",\"streams\":%" PRIu32 ",\"queued_batches\":%" PRIu32
                 ",\"queued_bytes\":%" PRIu64
                 ",\"certificate_expires\":\"%s\",\"throttled\":%" PRIu32
                 ",\"stuck_readers\":%" PRIu32 ",\"damaged_parts\":%" PRIu32
                 ",\"mismatched_texts\":%" PRIu64 ",\"lost_own_events\":%" PRIu64 ",\"complaint\":",
                 live->version, live->pid, started, live->streams, live->queued_batches,
                 live->queued_bytes, expires, live->throttled, live->stuck_readers,
                 live->damaged_parts, live->mismatched_texts, live->lost_own_events);
    if (live->complaint == NULL) {
        buffer_append_text(output, "null");
    } else {
        json_append_string(output, span_text(live->complaint));
    }
    print_lines_json("alarms", live->alarms, live->alarms_count, output);
    print_lines_json("warnings", live->warnings, live->warnings_count, output);
    if (live->denied.bytes != NULL) {
        buffer_append_text(output, ",\"denied\":");
        status_denied_print_json(live->denied, output);
    }
    buffer_append_text(output, ",\"agents\":");
    status_agents_print_json(live->agents, live->agents_count, output);
    buffer_append_byte(output, '}');
}

void status_print_json(const struct status *status, struct buffer *output) {
    print_facts_json(status, output);
    if (status->live != NULL) print_live_json(status->live, output);
    status_upkeep_print_json(&status->upkeep, &status->facts, output);
    status_coverage_print_json(&status->coverage, output);
    buffer_append_text(output, ",\"agents\":[");
    for (uint32_t index = 0; index < status->agents_count; index++) {
        if (index > 0) buffer_append_byte(output, ',');
        print_agent_json(&status->agents[index], output);
    }
    buffer_append_text(output, "],\"certificates\":");
    seen_table_print_json(&status->certificates, status->now_ms / 1000, output);
    buffer_append_text(output, ",\"total\":");
    print_agent_json(&status->total, output);
    buffer_append_text(output, ",\"quarantine\":{");
    for (uint32_t index = 0; index < status->reasons_count; index++) {
        const struct status_reason *reason = &status->reasons[index];
        if (index > 0) buffer_append_byte(output, ',');
        json_append_string(output, span_text(reason->name));
        buffer_print(output, ":{\"entries\":%" PRIu64 ",\"refusals\":%" PRIu64 "}", reason->entries,
                     reason->count);
    }
    buffer_append_text(output, "},\"newest_gaps\":[");
    for (uint32_t index = 0; index < status->gaps_count; index++) {
        const struct trail_gap *gap = &status->gaps[index];
        char time[TIME_TEXT_SIZE];
        time_print_ms(gap->reported_ms, time);
        buffer_append_text(output, index > 0 ? ",{\"agent\":" : "{\"agent\":");
        json_append_string(output, span_text(find_uri(status, gap->agent)));
        buffer_print(output,
                     ",\"first\":%" PRIu64 ",\"last\":%" PRIu64 ",\"reported\":\"%s\",\"reason\":",
                     gap->first_seq, gap->last_seq, time);
        json_append_string(output, span_text(gap->reason));
        buffer_append_byte(output, '}');
    }
    buffer_append_text(output, "]}\n");
}
