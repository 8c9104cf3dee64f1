#include "storage/trail/trail_reader.h"

#include <assert.h>
#include <inttypes.h>
#include <stdlib.h>
#include <string.h>

#include "base/clock.h"
#include "storage/trail/trail_reader_internal.h"

enum {
    SNAPSHOT_MS = 500,  // a snapshot that is older is renewed: the writer cannot reuse its pages
    ARENA_SIZE_MAX = 64 * 1024 * 1024,
};

// What is known of a group's table.
enum { GROUP_UNKNOWN, GROUP_GOOD, GROUP_DAMAGED };

static int64_t monotonic_ms(void) {
    const struct clock *clock = clock_system();
    return clock->monotonic_ms(clock->context);
}

static bool no_memory(struct fault *fault) {
    return fault_set(fault, FAULT_FULL, "trail: out of memory for reading");
}

static bool load_format(struct trail_reader *reader, struct fault *fault) {
    bool found = false;
    struct span value;
    if (!trail_environment_get(reader->environment, reader->reading, TRAIL_DATABASE_META,
                               SPAN_LITERAL("format"), &found, &value, fault)) {
        return false;
    }
    if (!found) return fault_set(fault, FAULT_INPUT, "trail: it has not been made to its end");
    return trail_codec_take_format(value, &reader->format, fault);
}

bool trail_reader_load_head(struct trail_reader *reader, struct trail_head *head,
                            struct fault *fault) {
    bool found = false;
    struct span value;
    if (!trail_environment_get(reader->environment, reader->reading, TRAIL_DATABASE_META,
                               SPAN_LITERAL("head"), &found, &value, fault)) {
        return false;
    }
    if (!found) return fault_set(fault, FAULT_CORRUPT, "trail: the head is missing");
    return trail_codec_take_head(value, head, fault);
}

static bool load_summaries(struct trail_reader *reader, const struct trail_head *head,
                           struct fault *fault) {
    uint32_t known = trail_catalog_count(reader->catalog);
    uint64_t from = known == 0 ? 0 : trail_catalog_at(reader->catalog, known - 1)->number + 1;
    if (from >= head->block_next) return true;
    const struct trail_summaries wanted = {from, head->retained_from_s, NULL, NULL};
    return trail_summaries_load(reader->environment, reader->reading, &wanted, reader->catalog,
                                fault);
}

static bool add_chunk(struct trail_reader *reader, struct trail_tail_chunk *chunk,
                      struct fault *fault) {
    if (reader->chunks_count == reader->chunks_capacity) {
        uint32_t capacity = reader->chunks_capacity == 0 ? 64 : reader->chunks_capacity * 2;
        struct trail_tail_chunk **grown = realloc(reader->chunks, capacity * sizeof(*grown));
        if (grown == NULL) return no_memory(fault);
        reader->chunks = grown;
        reader->chunks_capacity = capacity;
    }
    reader->chunks[reader->chunks_count++] = chunk;
    return true;
}

static void release_chunks(struct trail_reader *reader, uint32_t from) {
    for (uint32_t index = from; index < reader->chunks_count; index++)
        trail_tail_release(reader->chunks[index]);
    reader->chunks_count = from;
}

// Reads a chunk. A damaged one is listed too: whoever would need its rows says so.
static bool read_chunk(struct trail_reader *reader, uint64_t key, struct span value,
                       struct trail_tail_chunk **chunk, struct fault *fault) {
    struct fault reason;
    if (trail_tail_decode(reader->zstd, key, value, chunk, &reason)) return true;
    if (reason.kind != FAULT_CORRUPT) return fault_set(fault, reason.kind, "%s", reason.text);
    *chunk = trail_tail_make_damaged(key);
    return *chunk != NULL || no_memory(fault);
}

// Lists the chunks of the tail again, taking over those that are known. Both lists are in order.
static bool load_tail(struct trail_reader *reader, struct fault *fault) {
    struct trail_tail_chunk **old = reader->chunks;
    uint32_t old_count = reader->chunks_count;
    reader->chunks = NULL;
    reader->chunks_count = 0;
    reader->chunks_capacity = 0;

    struct trail_walk walk;
    bool good = trail_environment_walk(reader->environment, reader->reading, TRAIL_DATABASE_TAIL, 0,
                                       &walk, fault);
    uint32_t at = 0;
    bool found = good;
    bool walking = good;
    while (good && found) {
        struct span key;
        struct span value;
        good = trail_walk_next(&walk, &found, &key, &value, fault);
        if (!good || !found) break;
        uint64_t number = trail_walk_number(key);
        while (at < old_count && old[at]->key < number) at++;
        struct trail_tail_chunk *chunk = NULL;
        if (at < old_count && old[at]->key == number) {
            chunk = trail_tail_share(old[at]);
        } else {
            good = read_chunk(reader, number, value, &chunk, fault);
        }
        if (good && !add_chunk(reader, chunk, fault)) {
            trail_tail_release(chunk);
            good = false;
        }
    }
    if (walking) trail_walk_end(&walk);
    for (uint32_t index = 0; index < old_count; index++) trail_tail_release(old[index]);
    free(old);
    return good;
}

static bool load_agents(struct trail_reader *reader, struct fault *fault) {
    struct trail_walk walk;
    if (!trail_environment_walk(reader->environment, reader->reading, TRAIL_DATABASE_AGENT,
                                reader->agents_count + 1, &walk, fault)) {
        return false;
    }
    bool good = true;
    bool found = true;
    while (good) {
        struct span key;
        struct span value;
        struct trail_agent agent;
        good = trail_walk_next(&walk, &found, &key, &value, fault);
        if (!good || !found) break;
        struct fault ignored;
        // A damaged one has no name: the events of all others still have theirs.
        if (!trail_codec_take_agent(value, &agent, &ignored))
            agent = (struct trail_agent){.uri = SPAN_LITERAL("")};
        if (reader->agents_count == reader->agents_capacity) {
            uint32_t capacity = reader->agents_capacity == 0 ? 64 : reader->agents_capacity * 2;
            char **grown = realloc(reader->agents, capacity * sizeof *grown);
            if (grown == NULL) {
                good = no_memory(fault);
                break;
            }
            reader->agents = grown;
            reader->agents_capacity = capacity;
        }
        char *text = strndup((const char *)agent.uri.bytes, agent.uri.size);
        if (text == NULL) {
            good = no_memory(fault);
            break;
        }
        reader->agents[reader->agents_count++] = text;
    }
    trail_walk_end(&walk);
    return good;
}

static bool begin_snapshot(struct trail_reader *reader, struct fault *fault) {
    if (!trail_environment_begin(reader->environment, &reader->reading, fault)) return false;
    reader->is_reading = true;
    reader->begun++;
    reader->entered_ms = monotonic_ms();
    return true;
}

static bool refresh(struct trail_reader *reader, struct fault *fault) {
    struct trail_head head;
    reader->is_fresh = false;
    if (!trail_reader_load_head(reader, &head, fault)) return false;
    if (head.retained_from_s != 0)
        trail_catalog_drop(reader->catalog, time_day(head.retained_from_s));
    if (!load_summaries(reader, &head, fault)) return false;
    if (!load_tail(reader, fault)) return false;
    reader->head = head;
    reader->is_fresh = true;
    return true;
}

bool trail_reader_enter(struct trail_reader *reader, struct fault *fault) {
    assert(!reader->is_reading);
    if (!begin_snapshot(reader, fault)) return false;
    size_t id = mdb_txn_id(reader->reading);
    if (reader->is_fresh && id == reader->snapshot_id) return true;
    reader->snapshot_id = id;
    if (refresh(reader, fault)) return true;
    trail_reader_leave(reader);
    return false;
}

void trail_reader_leave(struct trail_reader *reader) {
    assert(reader->is_reading);
    trail_environment_end(reader->environment, reader->reading);
    reader->is_reading = false;
}

bool trail_reader_commit(struct trail_reader *reader, uint64_t *commit, struct fault *fault) {
    assert(!reader->is_reading);
    // The lists in memory stay as they are: it may be that nobody needs them.
    if (!begin_snapshot(reader, fault)) return false;
    *commit = mdb_txn_id(reader->reading);
    trail_reader_leave(reader);
    return true;
}

bool trail_reader_is_due(const struct trail_reader *reader) {
    return monotonic_ms() - reader->entered_ms >= SNAPSHOT_MS;
}

bool trail_reader_renew(struct trail_reader *reader, struct fault *fault) {
    if (!trail_reader_is_due(reader)) return true;
    trail_reader_leave(reader);
    if (!begin_snapshot(reader, fault)) return false;
    // The lists are brought up by the next enter.
    if (mdb_txn_id(reader->reading) != reader->snapshot_id) reader->is_fresh = false;
    return true;
}

bool trail_reader_blame(const struct trail_reader *reader, uint32_t index, struct fault *fault) {
    const struct trail_catalog_block *entry = trail_catalog_at(reader->catalog, index);
    char text[TIME_TEXT_SIZE];
    time_print(entry->summary.time_min_s, text);
    return fault_add(fault, "trail: block %" PRIu64 " of %.10s", entry->number, text);
}

bool trail_reader_open_block(struct trail_reader *reader, uint32_t index, bool *found,
                             struct block *block, struct fault *fault) {
    assert(reader->is_reading);
    // The frames of a block are asked for one by one, between those of others.
    struct trail_reader_block *open = &reader->open[index % OPEN_BLOCKS];
    *found = open->snapshot == reader->begun && open->index == index;
    if (*found) {
        *block = open->block;
        return true;
    }
    struct trail_catalog_block *entry = trail_catalog_at(reader->catalog, index);
    struct span value;
    if (!trail_environment_get_number(reader->environment, reader->reading, TRAIL_DATABASE_BLOCK,
                                      trail_catalog_key(entry), found, &value, fault)) {
        return trail_reader_blame(reader, index, fault);
    }
    if (!*found) return true;
    bool is_good = entry->is_checked
                       ? block_open_known(value, block, fault)
                       : block_open(value, false, block, fault) && block_check_index(block, fault);
    if (!is_good) return trail_reader_blame(reader, index, fault);
    entry->is_checked = true;
    block->good_frames = &entry->good_frames;
    *open = (struct trail_reader_block){reader->begun, index, *block};
    return true;
}

static bool reserve_groups(struct trail_reader *reader, uint32_t group, struct fault *fault) {
    if (group < reader->groups_count) return true;
    uint32_t count = 2 * group + 64;
    uint8_t *grown = realloc(reader->groups, count);
    if (grown == NULL) return no_memory(fault);
    memset(grown + reader->groups_count, GROUP_UNKNOWN, count - reader->groups_count);
    reader->groups = grown;
    reader->groups_count = count;
    return true;
}

bool trail_reader_group(struct trail_reader *reader, uint32_t group, bool *found,
                        struct span *table, struct fault *fault) {
    assert(reader->is_reading);
    if (!reserve_groups(reader, group, fault)) return false;
    if (!trail_environment_get_number(reader->environment, reader->reading, TRAIL_DATABASE_GROUP,
                                      group, found, table, fault)) {
        return false;
    }
    if (!*found) return true;
    struct fault ignored;
    if (reader->groups[group] == GROUP_UNKNOWN)
        reader->groups[group] = block_group_check(*table, &ignored) ? GROUP_GOOD : GROUP_DAMAGED;
    *found = reader->groups[group] == GROUP_GOOD;
    return true;
}

bool trail_reader_read_texts(struct trail_reader *reader, const struct block *block, uint32_t frame,
                             const uint64_t rows[2], struct span texts[BLOCK_FRAME_ROWS],
                             struct span accounts[BLOCK_FRAME_ROWS], struct fault *fault) {
    const struct dictionary *dictionary = NULL;
    if (!trail_dictionaries_get(reader->dictionaries, reader->reading, block->summary.epoch,
                                &dictionary, fault)) {
        return false;
    }
    bool is_good =
        block_read_texts(block, reader->scratch, dictionary, frame, rows, texts, accounts, fault);
    trail_dictionaries_put(reader->dictionaries);
    return is_good;
}

struct trail_row trail_reader_tail_row(const struct trail_tail_row *row) {
    return (struct trail_row){
        .sequence = row->sequence,
        .key = row->key,
        .agent = row->agent,
        .flags = row->flags,
        .received_ms = row->received_ms,
        .text = row->text,
    };
}

static bool create_parts(struct trail_reader *reader, struct fault *fault) {
    reader->cursor_rows_max = CURSOR_ROWS_MAX;
    reader->catalog = trail_catalog_create();
    reader->dictionaries = trail_dictionaries_create(reader->environment, true);
    reader->ids = trail_ids_create();
    reader->scratch = block_scratch_create();
    reader->zstd = zstd_create();
    reader->json = json_reader_create();
    reader->arena = arena_create(ARENA_SIZE_MAX);
    if (reader->catalog == NULL || reader->dictionaries == NULL || reader->ids == NULL ||
        reader->scratch == NULL || reader->zstd == NULL || reader->json == NULL ||
        reader->arena == NULL) {
        return no_memory(fault);
    }
    return true;
}

static bool open_all(struct trail_reader *reader, const char *directory, struct fault *fault) {
    const struct trail_environment_options options = {.directory = directory, .read_only = true};
    if (!trail_environment_open(&options, &reader->environment, fault)) return false;
    if (!create_parts(reader, fault) || !begin_snapshot(reader, fault)) return false;
    bool loaded = load_format(reader, fault);
    trail_reader_leave(reader);
    return loaded;
}

bool trail_reader_open(const char *directory, struct trail_reader **result, struct fault *fault) {
    struct trail_reader *reader = calloc(1, sizeof *reader);
    if (reader == NULL) return no_memory(fault);
    if (!open_all(reader, directory, fault)) {
        trail_reader_close(reader);
        return false;
    }
    *result = reader;
    return true;
}

void trail_reader_close(struct trail_reader *reader) {
    if (reader == NULL) return;
    assert(!reader->is_reading);
    trail_environment_free(reader->reading);
    trail_dictionaries_destroy(reader->dictionaries);
    trail_ids_destroy(reader->ids);
    trail_environment_close(reader->environment);
    release_chunks(reader, 0);
    free(reader->chunks);
    free(reader->groups);
    for (uint32_t index = 0; index < reader->agents_count; index++) free(reader->agents[index]);
    free(reader->agents);
    trail_catalog_destroy(reader->catalog);
    block_scratch_destroy(reader->scratch);
    zstd_destroy(reader->zstd);
    json_reader_destroy(reader->json);
    arena_destroy(reader->arena);
    free(reader);
}

const char *trail_reader_directory(const struct trail_reader *reader) {
    return trail_environment_directory(reader->environment);
}

uint32_t trail_reader_readings(struct trail_reader *reader, struct trail_reading *list,
                               uint32_t list_max) {
    return trail_environment_readings(reader->environment, list, list_max);
}

bool trail_reader_facts(struct trail_reader *reader, struct trail_facts *facts,
                        struct fault *fault) {
    if (!trail_reader_enter(reader, fault)) return false;
    const struct trail_head *head = &reader->head;
    *facts = (struct trail_facts){
        .format_major = reader->format.major,
        .format_minor = reader->format.minor,
        .sequence_last = head->sequence_last,
        .events = head->events,
        .blocks = head->blocks,
        .tail_rows = head->events - head->block_rows,
        .file_size = trail_environment_size(reader->environment),
        .text_size = head->text_size,
        .time_min_s = head->time_min_s,
        .time_max_s = head->time_max_s,
        .quarantined = head->quarantined,
        .quarantined_count = head->quarantined_count,
        .gaps = head->gaps,
        .retained_from_s = head->retained_from_s,
        .dropped = head->dropped,
        .block_size = head->block_size,
    };
    memcpy(facts->epoch, reader->format.epoch, sizeof facts->epoch);
    trail_reader_leave(reader);
    return true;
}

bool trail_reader_agent(struct trail_reader *reader, uint32_t agent, struct span *uri,
                        struct fault *fault) {
    if (agent > reader->agents_count) {
        // A list being given out has its snapshot, which holds every agent that the list names.
        bool is_inside = reader->is_reading;
        if (!is_inside && !trail_reader_enter(reader, fault)) return false;
        bool loaded = load_agents(reader, fault);
        if (!is_inside) trail_reader_leave(reader);
        if (!loaded) return false;
    }
    *uri = agent == 0 || agent > reader->agents_count ? (struct span){NULL, 0}
                                                      : span_text(reader->agents[agent - 1]);
    return true;
}
