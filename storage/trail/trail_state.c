// What the trail keeps beside events: agents, streams, quarantine and gaps. Agents and streams are
// all in memory (a stream takes 400 bytes, and an agent has one or two); what a commit changes is
// staged beside what is on the disk, so that a failed commit leaves no trace.

#include <assert.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#include "storage/trail/trail_state_internal.h"

enum {
    LIST_MIN = 64,
    INDEX_MIN = 256,
};

bool trail_state_no_memory(struct fault *fault) {
    return fault_set(fault, FAULT_FULL, "trail: out of memory for agents and streams");
}

bool trail_state_reserve(void **items, uint32_t count, uint32_t *capacity, size_t item_size) {
    if (count < *capacity) return true;
    uint32_t larger = *capacity == 0 ? LIST_MIN : *capacity * 2;
    void *grown = realloc(*items, larger * item_size);
    if (grown == NULL) return false;
    *items = grown;
    *capacity = larger;
    return true;
}

static bool add_agent(struct trail_state *state, struct span uri, struct fault *fault) {
    if (!trail_state_reserve((void **)&state->agents, state->agents_count, &state->agents_capacity,
                             sizeof *state->agents)) {
        return trail_state_no_memory(fault);
    }
    char *text = strndup((const char *)uri.bytes, uri.size);
    if (text == NULL) return trail_state_no_memory(fault);
    state->agents[state->agents_count++] = (struct agent){.uri = text};
    return true;
}

static uint64_t hash_stream(uint32_t agent, const uint8_t stream_id[TRAIL_STREAM_ID_SIZE]) {
    uint8_t key[TRAIL_STREAM_KEY_SIZE];
    trail_codec_stream_key(agent, stream_id, key);
    return hash_plain(span_of(key, sizeof key));
}

// The slot of a stream in the index, or the free one where it belongs.
static uint32_t *find_slot(struct trail_state *state, uint32_t agent,
                           const uint8_t stream_id[TRAIL_STREAM_ID_SIZE]) {
    uint32_t mask = state->stream_index_size - 1;
    uint32_t at = (uint32_t)hash_stream(agent, stream_id) & mask;
    for (;; at = (at + 1) & mask) {
        uint32_t place = state->stream_index[at];
        if (place == 0) return &state->stream_index[at];
        const struct trail_stream *stream = &state->streams[place - 1].staged;
        if (stream->agent == agent &&
            memcmp(stream->stream_id, stream_id, TRAIL_STREAM_ID_SIZE) == 0) {
            return &state->stream_index[at];
        }
    }
}

static void index_streams(struct trail_state *state) {
    memset(state->stream_index, 0, state->stream_index_size * sizeof *state->stream_index);
    for (uint32_t index = 0; index < state->streams_count; index++) {
        const struct trail_stream *stream = &state->streams[index].staged;
        *find_slot(state, stream->agent, stream->stream_id) = index + 1;
    }
}

static bool add_stream(struct trail_state *state, const struct trail_stream *stream,
                       struct stream **added, struct fault *fault) {
    if (!trail_state_reserve((void **)&state->streams, state->streams_count,
                             &state->streams_capacity, sizeof *state->streams)) {
        return trail_state_no_memory(fault);
    }
    if ((state->streams_count + 1) * 2 > state->stream_index_size) {
        uint32_t size = state->stream_index_size == 0 ? INDEX_MIN : state->stream_index_size * 2;
        uint32_t *grown = realloc(state->stream_index, size * sizeof *grown);
        if (grown == NULL) return trail_state_no_memory(fault);
        state->stream_index = grown;
        state->stream_index_size = size;
        index_streams(state);
    }
    struct stream *place = &state->streams[state->streams_count++];
    *place = (struct stream){.staged = *stream};
    *find_slot(state, stream->agent, stream->stream_id) = state->streams_count;
    *added = place;
    return true;
}

static struct stream *find_stream(struct trail_state *state, uint32_t agent,
                                  const uint8_t stream_id[TRAIL_STREAM_ID_SIZE]) {
    if (state->stream_index_size == 0) return NULL;
    uint32_t place = *find_slot(state, agent, stream_id);
    return place == 0 ? NULL : &state->streams[place - 1];
}

static bool load_agent(struct trail *trail, struct span key, struct span value,
                       struct fault *fault) {
    struct trail_state *state = trail->state;
    struct trail_agent agent;
    struct fault reason;
    if (trail_walk_number(key) != state->agents_count + 1)
        return fault_set(fault, FAULT_CORRUPT, "trail: an agent is missing");
    if (!trail_codec_take_agent(value, &agent, &reason)) {
        if (!trail_pass_over(trail, &reason, fault)) return false;
        // Its number stays taken: events name it. The agent gets a new one.
        agent = (struct trail_agent){.uri = SPAN_LITERAL("")};
    }
    if (!add_agent(state, agent.uri, fault)) return false;
    struct agent *added = &state->agents[state->agents_count - 1];
    added->quarantine_size = agent.quarantine_size;
    added->quarantine_staged = agent.quarantine_size;
    return true;
}

static bool load_stream(struct trail *trail, struct span key, struct span value,
                        struct fault *fault) {
    struct trail_stream stream;
    struct stream *added = NULL;
    struct fault reason;
    // A stream that is not known begins anew: its agent sends all it has, and copies are told.
    if (!trail_codec_take_stream(key, value, &stream, &reason))
        return trail_pass_over(trail, &reason, fault);
    if (!add_stream(trail->state, &stream, &added, fault)) return false;
    added->kept = stream;
    return true;
}

static bool load_all(struct trail *trail, enum trail_database database,
                     bool (*load)(struct trail *, struct span, struct span, struct fault *),
                     struct fault *fault) {
    struct trail_walk walk;
    if (!trail_environment_walk(trail->environment, trail->reading, database, 0, &walk, fault))
        return false;
    bool found = true;
    bool good = true;
    while (good && found) {
        struct span key;
        struct span value;
        good = trail_walk_next(&walk, &found, &key, &value, fault);
        if (good && found) good = load(trail, key, value, fault);
    }
    trail_walk_end(&walk);
    return good;
}

bool trail_state_open(struct trail *trail, struct fault *fault) {
    trail->state = calloc(1, sizeof *trail->state);
    if (trail->state == NULL) return trail_state_no_memory(fault);
    struct trail_state *state = trail->state;
    if (!load_all(trail, TRAIL_DATABASE_AGENT, load_agent, fault)) return false;
    if (!load_all(trail, TRAIL_DATABASE_STREAM, load_stream, fault)) return false;
    state->agents_kept = state->agents_count;
    state->streams_kept = state->streams_count;
    return true;
}

void trail_state_close(struct trail_state *state) {
    if (state == NULL) return;
    for (uint32_t index = 0; index < state->agents_count; index++) free(state->agents[index].uri);
    free(state->agents);
    free(state->streams);
    free(state->stream_index);
    free(state->changed_streams);
    free(state->refusals);
    free(state->removals);
    free(state->gaps);
    free(state);
}

bool trail_agent_number(struct trail *trail, struct span uri, uint32_t *agent,
                        struct fault *fault) {
    struct trail_state *state = trail->state;
    if (uri.size == 0 || uri.size >= TRAIL_URI_SIZE) {
        return fault_set(fault, FAULT_INPUT, "trail: an agent's URI has %zu bytes, 1 to %d allowed",
                         uri.size, TRAIL_URI_SIZE - 1);
    }
    for (uint32_t index = 0; index < state->agents_count; index++) {
        if (!span_is(uri, state->agents[index].uri)) continue;
        *agent = index + 1;
        return true;
    }
    assert(trail->is_committing);
    if (!add_agent(state, uri, fault)) return false;
    state->are_agents_changed = true;
    *agent = state->agents_count;
    return true;
}

bool trail_stream_find(struct trail *trail, uint32_t agent,
                       const uint8_t stream_id[TRAIL_STREAM_ID_SIZE], struct trail_stream *stream,
                       bool *found, struct fault *fault) {
    (void)fault;
    const struct stream *known = find_stream(trail->state, agent, stream_id);
    *found = known != NULL;
    if (known != NULL) {
        *stream = known->staged;
        return true;
    }
    *stream = (struct trail_stream){.agent = agent};
    memcpy(stream->stream_id, stream_id, TRAIL_STREAM_ID_SIZE);
    return true;
}

int64_t trail_state_newest_s(const struct trail_state *state) {
    int64_t newest_s = 0;
    for (uint32_t index = 0; index < state->streams_count; index++) {
        int64_t time_s = state->streams[index].kept.last_event_time_s;
        if (time_s > newest_s) newest_s = time_s;
    }
    return newest_s;
}

uint32_t trail_streams_count(const struct trail *trail, uint32_t agent) {
    uint32_t count = 0;
    for (uint32_t index = 0; index < trail->state->streams_count; index++) {
        count += trail->state->streams[index].staged.agent == agent;
    }
    return count;
}

void trail_streams_walk(const struct trail *trail,
                        bool (*on_stream)(void *user, const struct trail_stream *stream),
                        void *user) {
    const struct trail_state *state = trail->state;
    for (uint32_t index = 0; index < state->streams_count; index++) {
        if (!on_stream(user, &state->streams[index].staged)) return;
    }
}

struct span trail_agent_uri(const struct trail *trail, uint32_t agent) {
    if (agent == 0 || agent > trail->state->agents_count) return (struct span){NULL, 0};
    return span_text(trail->state->agents[agent - 1].uri);
}

bool trail_stream_put(struct trail *trail, const struct trail_stream *stream, struct fault *fault) {
    assert(trail->is_committing);
    struct trail_state *state = trail->state;
    if (!trail_state_reserve((void **)&state->changed_streams, state->changed_streams_count,
                             &state->changed_streams_capacity, sizeof *state->changed_streams)) {
        return trail_state_no_memory(fault);
    }
    struct stream *known = find_stream(state, stream->agent, stream->stream_id);
    if (known == NULL && !add_stream(state, stream, &known, fault)) return false;
    known->staged = *stream;
    if (known->is_changed) return true;
    known->is_changed = true;
    state->changed_streams[state->changed_streams_count++] = (uint32_t)(known - state->streams);
    return true;
}

bool trail_gap_put(struct trail *trail, const struct trail_gap *gap, bool *is_new,
                   struct fault *fault) {
    assert(trail->is_committing);
    struct trail_state *state = trail->state;
    uint8_t key[TRAIL_GAP_KEY_SIZE];
    trail_codec_gap_key(gap, key);
    for (uint32_t index = 0; index < state->gaps_count; index++) {
        uint8_t other[TRAIL_GAP_KEY_SIZE];
        trail_codec_gap_key(&state->gaps[index], other);
        if (memcmp(key, other, sizeof key) != 0) continue;
        *is_new = false;
        return true;
    }
    bool found = false;
    struct span value;
    if (!trail_environment_get(trail->environment, trail->reading, TRAIL_DATABASE_GAP,
                               span_of(key, sizeof key), &found, &value, fault)) {
        return false;
    }
    if (!found) {
        if (!trail_state_reserve((void **)&state->gaps, state->gaps_count, &state->gaps_capacity,
                                 sizeof *state->gaps)) {
            return trail_state_no_memory(fault);
        }
        state->gaps[state->gaps_count++] = *gap;
    }
    *is_new = !found;
    return true;
}

bool trail_state_is_changed(const struct trail_state *state) {
    return state->are_agents_changed || state->changed_streams_count > 0 ||
           state->refusals_count > 0 || state->removals_count > 0 || state->gaps_count > 0;
}

static bool write_agents(struct trail *trail, struct fault *fault) {
    const struct trail_state *state = trail->state;
    for (uint32_t index = 0; index < state->agents_count; index++) {
        const struct agent *agent = &state->agents[index];
        if (index < state->agents_kept && agent->quarantine_size == agent->quarantine_staged)
            continue;
        size_t offset = trail->values.size;
        const struct trail_agent value = {span_text(agent->uri), agent->quarantine_staged};
        trail_codec_append_agent(&trail->values, &value);
        uint64_t number = index + 1;
        if (!trail_add_change(trail, TRAIL_DATABASE_AGENT, span_of(&number, sizeof number), offset,
                              false, fault)) {
            return false;
        }
    }
    return true;
}

static bool write_streams(struct trail *trail, struct fault *fault) {
    const struct trail_state *state = trail->state;
    for (uint32_t index = 0; index < state->changed_streams_count; index++) {
        const struct trail_stream *stream = &state->streams[state->changed_streams[index]].staged;
        uint8_t key[TRAIL_STREAM_KEY_SIZE];
        trail_codec_stream_key(stream->agent, stream->stream_id, key);
        size_t offset = trail->values.size;
        trail_codec_append_stream(&trail->values, stream);
        if (!trail_add_change(trail, TRAIL_DATABASE_STREAM, span_of(key, sizeof key), offset, false,
                              fault)) {
            return false;
        }
    }
    return true;
}

static bool write_gaps(struct trail *trail, struct fault *fault) {
    const struct trail_state *state = trail->state;
    for (uint32_t index = 0; index < state->gaps_count; index++) {
        const struct trail_gap *gap = &state->gaps[index];
        uint8_t key[TRAIL_GAP_KEY_SIZE];
        trail_codec_gap_key(gap, key);
        size_t offset = trail->values.size;
        trail_codec_append_gap(&trail->values, gap);
        if (!trail_add_change(trail, TRAIL_DATABASE_GAP, span_of(key, sizeof key), offset, false,
                              fault)) {
            return false;
        }
    }
    return true;
}

bool trail_state_write(struct trail *trail, struct trail_head *head, struct fault *fault) {
    const struct trail_state *state = trail->state;
    head->gaps += state->gaps_count;
    return write_agents(trail, fault) && write_streams(trail, fault) &&
           trail_state_write_quarantine(trail, head, fault) && write_gaps(trail, fault);
}

void trail_state_keep(struct trail_state *state) {
    for (uint32_t index = 0; index < state->changed_streams_count; index++) {
        struct stream *stream = &state->streams[state->changed_streams[index]];
        stream->kept = stream->staged;
        stream->is_changed = false;
    }
    if (state->are_agents_changed) {
        for (uint32_t index = 0; index < state->agents_count; index++)
            state->agents[index].quarantine_size = state->agents[index].quarantine_staged;
    }
    state->agents_kept = state->agents_count;
    state->streams_kept = state->streams_count;
    state->changed_streams_count = 0;
    state->refusals_count = 0;
    state->removals_count = 0;
    state->gaps_count = 0;
    state->are_agents_changed = false;
}

void trail_state_forget(struct trail_state *state) {
    for (uint32_t index = 0; index < state->changed_streams_count; index++) {
        struct stream *stream = &state->streams[state->changed_streams[index]];
        stream->staged = stream->kept;
        stream->is_changed = false;
    }
    if (state->streams_count > state->streams_kept) {
        state->streams_count = state->streams_kept;
        index_streams(state);
    }
    if (state->are_agents_changed) {
        for (uint32_t index = state->agents_kept; index < state->agents_count; index++)
            free(state->agents[index].uri);
        state->agents_count = state->agents_kept;
        for (uint32_t index = 0; index < state->agents_count; index++)
            state->agents[index].quarantine_staged = state->agents[index].quarantine_size;
    }
    state->changed_streams_count = 0;
    state->refusals_count = 0;
    state->removals_count = 0;
    state->gaps_count = 0;
    state->are_agents_changed = false;
}
