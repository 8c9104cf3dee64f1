// The trail's quarantine, the writing side: refused bytes come in, are counted, and are taken out.

#include <assert.h>
#include <stdio.h>
#include <string.h>

#include "storage/trail/trail_state_internal.h"

// Finds an entry that is on the disk already; detail is copied into the commit's arena.
static bool find_refused(struct trail *trail, const uint8_t hash[SHA256_SIZE], bool *found,
                         struct trail_quarantined *entry, struct fault *fault) {
    uint8_t key[TRAIL_QUARANTINE_KEY_SIZE];
    memcpy(key, hash, SHA256_SIZE);
    key[SHA256_SIZE] = TRAIL_QUARANTINE_ENTRY;
    struct span value;
    if (!trail_environment_get(trail->environment, trail->reading, TRAIL_DATABASE_QUARANTINE,
                               span_of(key, sizeof key), found, &value, fault)) {
        return false;
    }
    if (!*found) return true;
    if (!trail_codec_take_quarantined(span_of(key, sizeof key), value, entry, fault)) return false;
    if (!arena_copy(trail->arena, entry->detail, &entry->detail))
        return trail_state_no_memory(fault);
    return true;
}

static bool make_refusal(struct trail *trail, const struct trail_refused *refused,
                         const uint8_t hash[SHA256_SIZE], struct refusal *refusal,
                         struct fault *fault) {
    bool found = false;
    struct trail_quarantined entry;
    if (!find_refused(trail, hash, &found, &entry, fault)) return false;
    if (!found) {
        entry = (struct trail_quarantined){
            .agent = refused->agent,
            .first_ms = refused->received_ms,
        };
        memcpy(entry.key, hash, SHA256_SIZE);
        snprintf(entry.reason, sizeof entry.reason, "%s", refused->reason);
        struct span detail = refused->detail;
        if (detail.size > TRAIL_DETAIL_SIZE_MAX) detail.size = TRAIL_DETAIL_SIZE_MAX;
        if (!arena_copy(trail->arena, detail, &entry.detail)) return trail_state_no_memory(fault);
        if (!arena_copy(trail->arena, refused->bytes, &entry.bytes))
            return trail_state_no_memory(fault);
    }
    *refusal = (struct refusal){.entry = entry, .is_new = !found};
    return true;
}

bool trail_quarantine(struct trail *trail, const struct trail_refused *refused, bool *is_new,
                      struct fault *fault) {
    assert(trail->is_committing);
    struct trail_state *state = trail->state;
    assert(refused->agent >= 1 && refused->agent <= state->agents_count);
    assert(strlen(refused->reason) < TRAIL_REASON_SIZE);
    uint8_t hash[SHA256_SIZE];
    trail_codec_hash_refused(refused->agent, refused->reason, refused->bytes, hash);

    struct refusal *refusal = NULL;
    for (uint32_t index = 0; index < state->refusals_count && refusal == NULL; index++) {
        if (memcmp(state->refusals[index].entry.key, hash, sizeof hash) == 0)
            refusal = &state->refusals[index];
    }
    bool first = refusal == NULL;
    if (first) {
        if (!trail_state_reserve((void **)&state->refusals, state->refusals_count,
                                 &state->refusals_capacity, sizeof *state->refusals)) {
            return trail_state_no_memory(fault);
        }
        refusal = &state->refusals[state->refusals_count];
        if (!make_refusal(trail, refused, hash, refusal, fault)) return false;
        state->refusals_count++;
    }
    refusal->entry.last_ms = refused->received_ms;
    uint64_t count = refused->count == 0 ? 1 : refused->count;
    refusal->entry.count += count;
    refusal->repeats += count;
    *is_new = first && refusal->is_new;
    if (*is_new) {
        state->agents[refused->agent - 1].quarantine_staged += refused->bytes.size;
        state->are_agents_changed = true;
    }
    return true;
}

bool trail_quarantine_get(struct trail *trail, const uint8_t hash[SHA256_SIZE], bool *found,
                          struct trail_quarantined *entry, struct fault *fault) {
    assert(trail->is_committing);
    if (!find_refused(trail, hash, found, entry, fault)) return false;
    if (!*found) return true;
    uint8_t key[TRAIL_QUARANTINE_KEY_SIZE];
    memcpy(key, hash, SHA256_SIZE);
    key[SHA256_SIZE] = TRAIL_QUARANTINE_BYTES;
    struct span bytes;
    bool has_bytes = false;
    if (!trail_environment_get(trail->environment, trail->reading, TRAIL_DATABASE_QUARANTINE,
                               span_of(key, sizeof key), &has_bytes, &bytes, fault)) {
        return false;
    }
    if (!has_bytes) return fault_set(fault, FAULT_CORRUPT, "trail: quarantined bytes are missing");
    return arena_copy(trail->arena, bytes, &entry->bytes) || trail_state_no_memory(fault);
}

bool trail_quarantine_remove(struct trail *trail, const struct trail_quarantined *entry,
                             struct fault *fault) {
    assert(trail->is_committing);
    struct trail_state *state = trail->state;
    assert(entry->agent >= 1 && entry->agent <= state->agents_count);
    for (uint32_t index = 0; index < state->refusals_count; index++)
        assert(memcmp(state->refusals[index].entry.key, entry->key, SHA256_SIZE) != 0);
    if (!trail_state_reserve((void **)&state->removals, state->removals_count,
                             &state->removals_capacity, sizeof *state->removals)) {
        return trail_state_no_memory(fault);
    }
    struct removal *removal = &state->removals[state->removals_count++];
    memcpy(removal->key, entry->key, SHA256_SIZE);
    removal->count = entry->count;
    struct agent *agent = &state->agents[entry->agent - 1];
    uint64_t size = entry->bytes.size;
    agent->quarantine_staged -= size < agent->quarantine_staged ? size : agent->quarantine_staged;
    state->are_agents_changed = true;
    return true;
}

uint64_t trail_quarantine_size(const struct trail *trail, uint32_t agent) {
    if (agent == 0 || agent > trail->state->agents_count) return 0;
    return trail->state->agents[agent - 1].quarantine_staged;
}

static bool write_refusals(struct trail *trail, struct fault *fault) {
    const struct trail_state *state = trail->state;
    for (uint32_t index = 0; index < state->refusals_count; index++) {
        const struct refusal *refusal = &state->refusals[index];
        uint8_t key[TRAIL_QUARANTINE_KEY_SIZE];
        memcpy(key, refusal->entry.key, SHA256_SIZE);
        key[SHA256_SIZE] = TRAIL_QUARANTINE_ENTRY;
        size_t offset = trail->values.size;
        trail_codec_append_quarantined(&trail->values, &refusal->entry);
        if (!trail_add_change(trail, TRAIL_DATABASE_QUARANTINE, span_of(key, sizeof key), offset,
                              false, fault)) {
            return false;
        }
        if (!refusal->is_new) continue;
        key[SHA256_SIZE] = TRAIL_QUARANTINE_BYTES;
        offset = trail->values.size;
        buffer_append(&trail->values, refusal->entry.bytes);
        if (!trail_add_change(trail, TRAIL_DATABASE_QUARANTINE, span_of(key, sizeof key), offset,
                              false, fault)) {
            return false;
        }
    }
    return true;
}

static bool write_removals(struct trail *trail, struct fault *fault) {
    const struct trail_state *state = trail->state;
    for (uint32_t index = 0; index < state->removals_count; index++) {
        uint8_t key[TRAIL_QUARANTINE_KEY_SIZE];
        memcpy(key, state->removals[index].key, SHA256_SIZE);
        for (uint8_t part = TRAIL_QUARANTINE_ENTRY; part <= TRAIL_QUARANTINE_BYTES; part++) {
            key[SHA256_SIZE] = part;
            if (!trail_add_delete(trail, TRAIL_DATABASE_QUARANTINE, span_of(key, sizeof key),
                                  fault)) {
                return false;
            }
        }
    }
    return true;
}

bool trail_state_write_quarantine(struct trail *trail, struct trail_head *head,
                                  struct fault *fault) {
    const struct trail_state *state = trail->state;
    for (uint32_t index = 0; index < state->refusals_count; index++) {
        if (state->refusals[index].is_new) head->quarantined++;
        head->quarantined_count += state->refusals[index].repeats;
    }
    for (uint32_t index = 0; index < state->removals_count; index++) {
        head->quarantined--;
        head->quarantined_count -= state->removals[index].count;
    }
    return write_removals(trail, fault) && write_refusals(trail, fault);
}
