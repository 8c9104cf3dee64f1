#include "query/status_agents.h"

#include <inttypes.h>
#include <stdlib.h>
#include <string.h>

#include "base/clock.h"
#include "base/json.h"
#include "query/format.h"
#include "query/status_coverage.h"
#include "query/status_names.h"

enum {
    DEGRADED = 3,
    OTHERS_WIDTH = 57,  // columns of the rest, with a few for the sources
};

const char *status_source_state(uint32_t state) {
    static const char *const names[] = {"unknown", "ok", "idle", "degraded", "failed"};
    return names[state < sizeof names / sizeof names[0] ? state : 0];
}

static const struct status_source *find_trouble(const struct status_connected *agent) {
    const struct status_source *worst = NULL;
    for (uint32_t index = 0; index < agent->sources_count; index++) {
        const struct status_source *source = &agent->sources[index];
        if (source->state >= DEGRADED && (worst == NULL || source->state > worst->state)) {
            worst = source;
        }
    }
    return worst;
}

static int compare(const void *left, const void *right) {
    const struct status_connected *a = left;
    const struct status_connected *b = right;
    bool is_troubled = find_trouble(a) != NULL;
    bool is_other_troubled = find_trouble(b) != NULL;
    if (is_troubled != is_other_troubled) return is_troubled ? -1 : 1;
    if (a->spool_events != b->spool_events) return a->spool_events > b->spool_events ? -1 : 1;
    return strcmp(a->agent, b->agent);
}

void status_agents_sort(struct status_connected *agents, uint32_t count) {
    if (count > 0) qsort(agents, count, sizeof *agents, compare);
}

void status_agents_print(const struct status_connected *agents, uint32_t count, int64_t now_ms,
                         uint32_t width, bool is_all, struct buffer *output) {
    if (count == 0) return;
    uint32_t shown = is_all || count < STATUS_AGENTS_SHOWN ? count : STATUS_AGENTS_SHOWN;
    buffer_print(output, "\nCONNECTED: %" PRIu32 "\n", count);
    struct status_names names = {.room = status_names_room(width, OTHERS_WIDTH)};
    for (uint32_t index = 0; index < shown; index++) status_names_add(&names, agents[index].agent);
    status_names_begin(&names, output);
    buffer_print(output, " %8s %10s %14s  %s\n", "HEARD", "WAITING", "SPOOL BYTES", "SOURCES");
    for (uint32_t index = 0; index < shown; index++) {
        const struct status_connected *agent = &agents[index];
        const struct status_source *trouble = find_trouble(agent);
        char heard[STATUS_AGE_SIZE];
        status_print_age((now_ms - agent->heard_ms) / 1000, heard);
        status_names_print(&names, agent->agent, output);
        buffer_print(output, " %8s %10" PRIu64 " %14" PRIu64 "  ", heard, agent->spool_events,
                     agent->spool_bytes);
        if (trouble == NULL) {
            buffer_print(output, "%" PRIu32 " good", agent->sources_count);
        } else {
            format_cell(span_text(trouble->name), UINT32_MAX, false, output);
            buffer_print(output, " %s: ", status_source_state(trouble->state));
            format_cell(span_text(trouble->last_error), UINT32_MAX, false, output);
        }
        if (agent->left_out > 0) {
            buffer_print(output, "; %" PRIu64 " records left out", agent->left_out);
        }
        buffer_append_byte(output, '\n');
    }
    if (shown < count) {
        buffer_print(output, "... and %" PRIu32 " more, all good as far as they say: --all\n",
                     count - shown);
    }
}

static int64_t measure_off(const struct status_connected *agent) {
    return agent->skew_ms < 0 ? -agent->skew_ms : agent->skew_ms;
}

void status_agents_print_alarms(const struct status_connected *agents, uint32_t count,
                                struct buffer *output) {
    const struct status_connected *worst = NULL;
    uint32_t others = 0;
    for (uint32_t index = 0; index < count; index++) {
        if (measure_off(&agents[index]) <= STATUS_SKEW_MAX_MS) continue;
        others += worst != NULL;
        if (worst == NULL || measure_off(&agents[index]) > measure_off(worst))
            worst = &agents[index];
    }
    if (worst == NULL) return;
    buffer_append_text(output, "ALARM        the clock of ");
    format_cell(span_text(worst->agent), UINT32_MAX, false, output);
    buffer_print(output, " is %" PRId64 " s %s ours", measure_off(worst) / 1000,
                 worst->skew_ms < 0 ? "ahead of" : "behind");
    if (others > 0) buffer_print(output, ", and those of %" PRIu32 " more are wrong", others);
    buffer_append_byte(output, '\n');
}

static void print_source(const struct status_source *source, struct buffer *output) {
    buffer_append_text(output, "{\"name\":");
    json_append_string(output, span_text(source->name));
    buffer_print(output,
                 ",\"state\":\"%s\",\"records\":%" PRIu64 ",\"errors\":%" PRIu64
                 ",\"bytes_behind\":%" PRIu64 ",\"last_error\":",
                 status_source_state(source->state), source->records, source->errors,
                 source->bytes_behind);
    json_append_string(output, span_text(source->last_error));
    buffer_append_byte(output, '}');
}

void status_agents_print_json(const struct status_connected *agents, uint32_t count,
                              struct buffer *output) {
    buffer_append_byte(output, '[');
    for (uint32_t index = 0; index < count; index++) {
        const struct status_connected *agent = &agents[index];
        char heard[TIME_TEXT_SIZE];
        time_print_ms(agent->heard_ms, heard);
        buffer_append_text(output, index > 0 ? ",{\"agent\":" : "{\"agent\":");
        json_append_string(output, span_text(agent->agent));
        buffer_append_text(output, ",\"version\":");
        json_append_string(output, span_text(agent->version));
        buffer_append_text(output, ",\"host\":");
        json_append_string(output, span_text(agent->host));
        buffer_print(output,
                     ",\"heard\":\"%s\",\"spool_events\":%" PRIu64 ",\"spool_bytes\":%" PRIu64
                     ",\"left_out\":%" PRIu64 ",\"clock_behind_ms\":%" PRId64 ",\"sources\":[",
                     heard, agent->spool_events, agent->spool_bytes, agent->left_out,
                     agent->skew_ms);
        for (uint32_t source = 0; source < agent->sources_count; source++) {
            if (source > 0) buffer_append_byte(output, ',');
            print_source(&agent->sources[source], output);
        }
        buffer_append_text(output, "]}");
    }
    buffer_append_byte(output, ']');
}
