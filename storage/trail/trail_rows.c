#include <assert.h>
#include <stdlib.h>
#include <string.h>

#include "event/attribute.h"
#include "storage/trail/trail_internal.h"

static uint32_t flags_of(const struct trail_entry *entry) {
    const struct record *record = entry->record;
    uint32_t flags = (uint32_t)record->category << BLOCK_CATEGORY_SHIFT;
    if (record->is_read_only) flags |= BLOCK_READ_ONLY;
    if (record->is_global) flags |= BLOCK_GLOBAL;
    if (record->is_error) flags |= BLOCK_ERROR;
    if (entry->is_own) flags |= BLOCK_OWN;
    return flags;
}

static bool no_memory(struct fault *fault) {
    return fault_set(fault, FAULT_FULL, "trail: out of memory for the rows of a commit");
}

// Copies bytes to *place, moves it on and lets the span point there.
static void move_span(struct span *span, uint8_t **place) {
    if (span->size > 0) memcpy(*place, span->bytes, span->size);
    span->bytes = *place;
    *place += span->size;
}

bool trail_make_row(struct arena *arena, const struct trail_entry *entry, const struct key *key,
                    struct block_row *row, struct fault *fault) {
    uint32_t count = 0;
    struct attribute *attributes = attribute_extract(entry->record, entry->account, arena, &count);
    if (attributes == NULL) return no_memory(fault);
    struct span user = record_display_user(entry->record);
    if (user.size > ATTRIBUTE_VALUE_SIZE_MAX) user.size = ATTRIBUTE_VALUE_SIZE_MAX;

    // Side by side, also what lies in the text: all rows' values are compared before texts are
    // looked at again.
    size_t size = user.size;
    for (uint32_t index = 0; index < count; index++) size += attributes[index].value.size;
    uint8_t *place = arena_allocate(arena, size);
    if (place == NULL) return no_memory(fault);
    for (uint32_t index = 0; index < count; index++) move_span(&attributes[index].value, &place);
    move_span(&user, &place);
    *row = (struct block_row){
        .key = *key,
        .agent = entry->agent,
        .flags = flags_of(entry),
        .received_ms = entry->received_ms,
        .user = user,
        .text = entry->record->text,
        .attributes = attributes,
        .attributes_count = count,
    };
    return true;
}

static size_t row_size(const struct block_row *row) {
    size_t size = row->attributes_count * sizeof *row->attributes + row->user.size + row->text.size;
    for (uint32_t index = 0; index < row->attributes_count; index++)
        size += row->attributes[index].value.size;
    return size;
}

// Copies a row; attributes go to *attributes, bytes to *place.
static void copy_row(struct block_row *to, const struct block_row *from,
                     struct attribute **attributes, uint8_t **place) {
    *to = *from;
    if (from->attributes_count > 0)
        memcpy(*attributes, from->attributes, from->attributes_count * sizeof **attributes);
    to->attributes = *attributes;
    for (uint32_t index = 0; index < from->attributes_count; index++)
        move_span(&(*attributes)[index].value, place);
    *attributes += from->attributes_count;
    move_span(&to->user, place);
    move_span(&to->text, place);
}

bool trail_mirror_add(struct trail_tail_mirror *mirror, const struct block_row *rows,
                      uint32_t rows_count, struct fault *fault) {
    assert(rows_count > 0);
    if (mirror->chunks_count == mirror->chunks_capacity) {
        uint32_t capacity = mirror->chunks_capacity == 0 ? 64 : mirror->chunks_capacity * 2;
        struct trail_waiting *grown = realloc(mirror->chunks, capacity * sizeof *grown);
        if (grown == NULL) return no_memory(fault);
        mirror->chunks = grown;
        mirror->chunks_capacity = capacity;
    }
    size_t size = 1;
    uint32_t attributes_count = 0;
    for (uint32_t index = 0; index < rows_count; index++) {
        size += row_size(&rows[index]);
        attributes_count += rows[index].attributes_count;
    }
    struct trail_waiting chunk = {
        .key = rows[0].sequence,
        .day = time_day(rows[0].key.event_time_s),
        .oldest_ms = rows[0].received_ms,
        .rows_count = rows_count,
        .rows = malloc(rows_count * sizeof *chunk.rows),
        .memory = malloc(size),
    };
    if (chunk.rows == NULL || chunk.memory == NULL) {
        free(chunk.rows);
        free(chunk.memory);
        return no_memory(fault);
    }
    struct attribute *attributes = (struct attribute *)(void *)chunk.memory;
    uint8_t *place = chunk.memory + attributes_count * sizeof *attributes;
    for (uint32_t index = 0; index < rows_count; index++) {
        copy_row(&chunk.rows[index], &rows[index], &attributes, &place);
        chunk.text_size += rows[index].text.size;
        if (rows[index].received_ms < chunk.oldest_ms) chunk.oldest_ms = rows[index].received_ms;
    }
    mirror->chunks[mirror->chunks_count++] = chunk;
    mirror->rows_count += rows_count;
    mirror->text_size += chunk.text_size;
    return true;
}

static void free_chunk(struct trail_waiting *chunk) {
    free(chunk->rows);
    free(chunk->memory);
}

void trail_mirror_remove(struct trail_tail_mirror *mirror, uint32_t index) {
    assert(index < mirror->chunks_count);
    struct trail_waiting *chunk = &mirror->chunks[index];
    assert(chunk->rows != NULL);
    mirror->rows_count -= chunk->rows_count;
    mirror->text_size -= chunk->text_size;
    free_chunk(chunk);
    chunk->rows = NULL;
    chunk->memory = NULL;
}

void trail_mirror_close_up(struct trail_tail_mirror *mirror) {
    uint32_t kept = 0;
    for (uint32_t index = 0; index < mirror->chunks_count; index++) {
        if (mirror->chunks[index].rows == NULL) continue;
        mirror->chunks[kept++] = mirror->chunks[index];
    }
    mirror->chunks_count = kept;
}

void trail_mirror_done(struct trail_tail_mirror *mirror) {
    for (uint32_t index = 0; index < mirror->chunks_count; index++)
        free_chunk(&mirror->chunks[index]);
    free(mirror->chunks);
    *mirror = (struct trail_tail_mirror){0};
}
