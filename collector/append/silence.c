#include "collector/append/silence.h"

#include <inttypes.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#include "base/buffer.h"
#include "collector/metrics.h"

enum { AGENTS_MAX = 65536, NAMED_SIZE_MAX = 2048, DOCUMENT_SIZE_MAX = 4 << 20 };

struct agent {
    int64_t heard_ms;   // monotonic; 0: not since the start
    int64_t silent_ms;  // since the Unix epoch; 0: it is not silent
    bool has_stream;    // at the check under way
    bool is_known;      // it has brought something, or was silent
    bool is_gone;       // said that it does not come back
};

// Those of one check that are not told one by one.
struct others {
    uint32_t told;
    uint32_t count;
    struct buffer names;
};

struct silence {
    struct silence_options options;
    struct agent *agents;  // by number
    uint32_t agents_count;
    int64_t begun_ms;  // monotonic
    int64_t checked_ms;
    bool is_changed;
    bool is_saving;
    struct buffer text;
};

static int64_t monotonic_ms(const struct silence *silence) {
    return silence->options.clock->monotonic_ms(silence->options.clock->context);
}

static int64_t now_ms(const struct silence *silence) {
    return silence->options.clock->now_ms(silence->options.clock->context);
}

struct silence *silence_create(const struct silence_options *options) {
    struct silence *silence = calloc(1, sizeof *silence);
    if (silence == NULL) return NULL;
    silence->options = *options;
    silence->agents = calloc(AGENTS_MAX, sizeof *silence->agents);
    buffer_init(&silence->text, DOCUMENT_SIZE_MAX);
    silence->begun_ms = monotonic_ms(silence);
    silence->checked_ms = silence->begun_ms;
    if (silence->agents != NULL) return silence;
    free(silence);
    return NULL;
}

void silence_destroy(struct silence *silence) {
    if (silence == NULL) return;
    buffer_done(&silence->text);
    free(silence->agents);
    free(silence);
}

static struct agent *agent_of(struct silence *silence, uint32_t number) {
    if (number >= AGENTS_MAX) return NULL;
    if (number >= silence->agents_count) silence->agents_count = number + 1;
    return &silence->agents[number];
}

static bool on_document(void *user, struct span name, struct span value) {
    struct silence *silence = user;
    if (!span_is(name, COVERAGE_SILENT)) return true;
    while (value.size > 0) {
        char text[64] = "";
        uint32_t number;
        int64_t since_ms;
        size_t size = span_find(value, '\n');
        snprintf(text, sizeof text, "%.*s", (int)(size < 63 ? size : 63), value.bytes);
        if (sscanf(text, "%" SCNu32 " %" SCNd64, &number, &since_ms) == 2) {
            struct agent *agent = agent_of(silence, number);
            // Since 0: it has gone for good.
            if (agent != NULL) agent->silent_ms = since_ms;
            if (agent != NULL) agent->is_gone = since_ms == 0;
        }
        value = span_from(value, size < value.size ? size + 1 : size);
    }
    return true;
}

bool silence_load(struct silence *silence, struct trail_reader *reader, struct fault *fault) {
    return trail_reader_documents(reader, SPAN_LITERAL(COVERAGE_SILENT), on_document, silence,
                                  fault);
}

void silence_part(struct silence *silence, uint32_t number, int64_t heard_ms, bool is_final) {
    struct agent *agent = agent_of(silence, number);
    if (agent == NULL) return;
    if (heard_ms > agent->heard_ms) agent->heard_ms = heard_ms;
    if (agent->is_gone != is_final) silence->is_changed = true;
    agent->is_gone = is_final;
}

// ---- telling

static void print_time(int64_t since_ms, char text[TIME_TEXT_SIZE]) {
    time_print(since_ms / 1000, text);
}

static bool is_told_alone(struct others *others, struct span name) {
    if (others->told++ < SILENCE_TOLD_MAX) return true;
    if (others->count++ > 0) buffer_append_byte(&others->names, ' ');
    buffer_append(&others->names, name);
    return false;
}

static void tell_others(struct silence *silence, const char *name, struct others *others) {
    if (others->count > 0) {
        const struct own_event_detail details[] = {
            {"count", {NULL, 0}, others->count},
            {"detail", buffer_span(&others->names), 0},
        };
        notes_add(silence->options.notes, name, (struct span){NULL, 0}, details, 2);
    }
    buffer_done(&others->names);
}

static void tell_agent(struct silence *silence, const char *name, uint32_t number,
                       const char *member, int64_t time_ms, struct others *others) {
    char time[TIME_TEXT_SIZE];
    struct span uri = trail_agent_uri(silence->options.trail, number);
    if (!is_told_alone(others, uri)) return;
    print_time(time_ms, time);
    const struct own_event_detail details[] = {{"agent", uri, 0}, {member, span_text(time), 0}};
    notes_add(silence->options.notes, name, (struct span){NULL, 0}, details, 2);
}

static void tell_region(struct silence *silence, const char *name, const struct coverage_row *row,
                        const char *member, int64_t time_ms, struct others *others) {
    char time[TIME_TEXT_SIZE] = "never";
    char both[COVERAGE_ACCOUNT_SIZE + COVERAGE_REGION_SIZE];
    snprintf(both, sizeof both, "%s/%s", row->account, row->region);
    if (!is_told_alone(others, span_text(both))) return;
    if (time_ms > 0) print_time(time_ms, time);
    const struct own_event_detail details[] = {
        {"account", span_text(row->account), 0},
        {"region", span_text(row->region), 0},
        {member, span_text(time), 0},
    };
    notes_add(silence->options.notes, name, (struct span){NULL, 0}, details, 3);
}

// ---- agents

static bool on_stream(void *user, const struct trail_stream *stream) {
    struct agent *agent = agent_of(user, stream->agent);
    if (agent != NULL) agent->is_known = true;
    return true;
}

static void mark_streams(struct silence *silence) {
    const struct sessions *sessions = silence->options.sessions;
    for (uint32_t number = 0; number < silence->agents_count; number++) {
        silence->agents[number].has_stream = false;
    }
    trail_streams_walk(silence->options.trail, on_stream, silence);
    for (uint32_t slot = 0; slot < sessions_count(sessions); slot++) {
        const struct session *session = sessions_get(sessions, slot);
        struct agent *agent = session->is_used ? agent_of(silence, session->stream.agent) : NULL;
        if (agent == NULL) continue;
        agent->has_stream = true;
        if (agent->is_gone) silence->is_changed = true;
        agent->is_gone = false;
    }
}

static void check_agents(struct silence *silence, int64_t monotonic) {
    int64_t patience_ms = (int64_t)SILENCE_HEARTBEATS * silence->options.heartbeat_ms;
    struct others silent = {0};
    struct others heard = {0};
    int64_t silent_count = 0;
    buffer_init(&silent.names, NAMED_SIZE_MAX);
    buffer_init(&heard.names, NAMED_SIZE_MAX);
    mark_streams(silence);
    for (uint32_t number = TRAIL_AGENT_OWN + 1; number < silence->agents_count; number++) {
        struct agent *agent = &silence->agents[number];
        int64_t last_ms = agent->heard_ms != 0 ? agent->heard_ms : silence->begun_ms;
        bool is_late = agent->is_known && !agent->has_stream && !agent->is_gone &&
                       monotonic - last_ms >= patience_ms;
        if (is_late && agent->silent_ms == 0) {
            agent->silent_ms = now_ms(silence) - (monotonic - last_ms);
            silence->is_changed = true;
            tell_agent(silence, "AgentSilent", number, "since", agent->silent_ms, &silent);
        } else if (agent->silent_ms != 0 && (agent->has_stream || agent->is_gone)) {
            tell_agent(silence, "AgentHeard", number, "silentSince", agent->silent_ms, &heard);
            agent->silent_ms = 0;
            silence->is_changed = true;
        }
        silent_count += agent->silent_ms != 0;
    }
    tell_others(silence, "AgentsSilent", &silent);
    tell_others(silence, "AgentsHeard", &heard);
    metric_set(&metrics_table[METRICS_SILENT_AGENTS], 0, silent_count);
}

bool silence_forget(struct silence *silence, struct span uri, struct fault *fault) {
    mark_streams(silence);
    uint32_t number = TRAIL_AGENT_OWN + 1;
    while (number < silence->agents_count &&
           !span_equal(trail_agent_uri(silence->options.trail, number), uri)) {
        number++;
    }
    if (number >= silence->agents_count) {
        return fault_set(fault, FAULT_INPUT,
                         "no agent %.*s was ever here: orgtrail status lists their names",
                         SPAN_PRINT(uri));
    }
    struct agent *agent = &silence->agents[number];
    if (agent->has_stream) {
        return fault_set(fault, FAULT_INPUT,
                         "%.*s is connected: stop it, or refuse it with orgtrail deny add",
                         SPAN_PRINT(uri));
    }
    agent->is_gone = true;
    agent->silent_ms = 0;
    silence->is_changed = true;
    return true;
}

// ---- regions

// Sees to it that there is a row for each region that the roster expects. Says which they are.
static void mark_expected(struct silence *silence, bool *is_expected) {
    uint32_t place;
    const struct roster *roster = roster_live_enter(silence->options.roster, &place);
    struct coverage *coverage = silence->options.coverage;
    for (uint32_t index = 0; index < roster_count(roster); index++) {
        const struct roster_account *account = roster_get(roster, index);
        for (uint32_t region = 0; region < account->regions_count; region++) {
            char name[COVERAGE_REGION_SIZE];
            coverage_name_region(span_text(account->regions[region]), false, name);
            uint32_t row = coverage_find(coverage, span_text(account->id), name);
            if (row < COVERAGE_ROWS_MAX) is_expected[row] = true;
        }
    }
    roster_live_leave(silence->options.roster, place);
}

static void check_region(struct silence *silence, uint32_t index, bool is_expected,
                         struct others *silent, struct others *heard) {
    const struct coverage_row *row = coverage_get(silence->options.coverage, index);
    int64_t now = now_ms(silence);
    int64_t expected_ms = !is_expected ? 0 : row->expected_ms == 0 ? now : row->expected_ms;
    int64_t last_ms = row->last_received_ms > expected_ms ? row->last_received_ms : expected_ms;
    bool is_silent = is_expected && now - last_ms >= silence->options.region_ms;
    int64_t silent_ms = !is_silent ? 0 : row->silent_ms == 0 ? last_ms : row->silent_ms;
    if (is_silent && row->silent_ms == 0) {
        tell_region(silence, "RegionSilent", row, "lastReceived", row->last_received_ms, silent);
    } else if (!is_silent && row->silent_ms != 0) {
        tell_region(silence, "RegionHeard", row, "silentSince", row->silent_ms, heard);
    }
    coverage_set(silence->options.coverage, index, expected_ms, silent_ms);
}

static void check_regions(struct silence *silence) {
    struct coverage *coverage = silence->options.coverage;
    bool *is_expected = calloc(COVERAGE_ROWS_MAX, sizeof *is_expected);
    // Without memory this check is left out; the next one comes.
    if (is_expected == NULL) return;
    struct others silent = {0};
    struct others heard = {0};
    int64_t silent_count = 0;
    int64_t expected_count = 0;
    buffer_init(&silent.names, NAMED_SIZE_MAX);
    buffer_init(&heard.names, NAMED_SIZE_MAX);
    mark_expected(silence, is_expected);
    for (uint32_t index = 0; index < coverage_rows_count(coverage); index++) {
        if (coverage_get(coverage, index)->region[0] == 0) continue;
        check_region(silence, index, is_expected[index], &silent, &heard);
        silent_count += coverage_get(coverage, index)->silent_ms != 0;
        expected_count += is_expected[index];
    }
    free(is_expected);
    tell_others(silence, "RegionsSilent", &silent);
    tell_others(silence, "RegionsHeard", &heard);
    metric_set(&metrics_table[METRICS_SILENT_REGIONS], 0, silent_count);
    metric_set(&metrics_table[METRICS_EXPECTED_REGIONS], 0, expected_count);
}

void silence_check(struct silence *silence) {
    int64_t monotonic = monotonic_ms(silence);
    int64_t pause_ms = silence->options.heartbeat_ms;
    if (silence->options.region_ms / 4 < pause_ms) pause_ms = silence->options.region_ms / 4;
    if (pause_ms > SILENCE_CHECK_MAX_MS) pause_ms = SILENCE_CHECK_MAX_MS;
    if (monotonic - silence->checked_ms < pause_ms) return;
    silence->checked_ms = monotonic;
    check_agents(silence, monotonic);
    check_regions(silence);
}

// ---- what is kept

bool silence_is_due(const struct silence *silence) {
    return silence->is_changed;
}

bool silence_save(struct silence *silence, struct fault *fault) {
    if (!silence->is_changed) return true;
    buffer_reset(&silence->text);
    for (uint32_t number = 0; number < silence->agents_count; number++) {
        const struct agent *agent = &silence->agents[number];
        if (agent->silent_ms == 0 && !agent->is_gone) continue;
        buffer_print(&silence->text, "%" PRIu32 " %" PRId64 "\n", number, agent->silent_ms);
    }
    silence->is_saving = true;
    return trail_document_put(silence->options.trail, SPAN_LITERAL(COVERAGE_SILENT),
                              buffer_span(&silence->text), fault);
}

void silence_keep(struct silence *silence) {
    if (silence->is_saving) silence->is_changed = false;
    silence->is_saving = false;
}

void silence_undo(struct silence *silence) {
    silence->is_saving = false;
}
