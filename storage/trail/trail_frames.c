#include "storage/trail/trail_frames.h"

#include <assert.h>
#include <stdlib.h>
#include <string.h>

enum {
    INDEX_SIZE = 4096,  // slots, a power of two, at a quarter's load at most
    NO_ROW = 255,
};

struct frame {
    uint32_t block_index;
    uint32_t frame;
    uint64_t used;
    size_t size;
    struct trail_row *rows;
    uint8_t *memory;
    uint8_t place[BLOCK_FRAME_ROWS];  // of a row in rows, or NO_ROW
};

struct trail_frames {
    struct frame *items[TRAIL_FRAMES_MAX];
    uint32_t count;
    size_t size;
    uint64_t uses;
    uint16_t index[INDEX_SIZE];  // open addressing: place in items + 1
};

struct trail_frames *trail_frames_create(void) {
    return calloc(1, sizeof(struct trail_frames));
}

static void free_frame(struct frame *frame) {
    if (frame == NULL) return;
    free(frame->rows);
    free(frame->memory);
    free(frame);
}

void trail_frames_destroy(struct trail_frames *frames) {
    if (frames == NULL) return;
    for (uint32_t index = 0; index < frames->count; index++) free_frame(frames->items[index]);
    free(frames);
}

static uint32_t first_slot(uint32_t block_index, uint32_t frame) {
    uint64_t mixed = ((uint64_t)block_index << 8 | frame) * 0x9E3779B97F4A7C15U;
    return (uint32_t)(mixed >> 52);
}

static uint16_t *find_slot(struct trail_frames *frames, uint32_t block_index, uint32_t frame) {
    static_assert(INDEX_SIZE == 1 << 12, "first_slot gives 12 bits");
    uint32_t at = first_slot(block_index, frame);
    for (;; at = (at + 1) % INDEX_SIZE) {
        uint16_t place = frames->index[at];
        if (place == 0) return &frames->index[at];
        const struct frame *item = frames->items[place - 1];
        if (item->block_index == block_index && item->frame == frame) return &frames->index[at];
    }
}

static struct frame *find(const struct trail_frames *frames, uint32_t block_index, uint32_t frame) {
    uint16_t place = *find_slot((struct trail_frames *)(uintptr_t)frames, block_index, frame);
    return place == 0 ? NULL : frames->items[place - 1];
}

const struct trail_row *trail_frames_find(struct trail_frames *frames, uint32_t block_index,
                                          uint32_t frame, uint32_t row) {
    assert(row < BLOCK_FRAME_ROWS);
    struct frame *item = find(frames, block_index, frame);
    if (item == NULL) return NULL;
    item->used = ++frames->uses;
    return item->place[row] == NO_ROW ? NULL : &item->rows[item->place[row]];
}

static void index_all(struct trail_frames *frames) {
    memset(frames->index, 0, sizeof frames->index);
    for (uint32_t place = 0; place < frames->count; place++) {
        const struct frame *item = frames->items[place];
        *find_slot(frames, item->block_index, item->frame) = (uint16_t)(place + 1);
    }
}

static int compare_use(const void *left, const void *right) {
    const struct frame *first = *(struct frame *const *)left;
    const struct frame *second = *(struct frame *const *)right;
    return (first->used < second->used) - (first->used > second->used);
}

// Makes room by halves, so that sorting by use costs little per frame.
static void make_room(struct trail_frames *frames, size_t size) {
    if (frames->count < TRAIL_FRAMES_MAX && frames->size + size <= TRAIL_FRAMES_SIZE_MAX) return;
    qsort(frames->items, frames->count, sizeof frames->items[0], compare_use);
    size_t kept_size = 0;
    uint32_t kept = 0;
    while (kept < frames->count && kept < TRAIL_FRAMES_MAX / 2 &&
           kept_size + frames->items[kept]->size + size <= TRAIL_FRAMES_SIZE_MAX / 4 * 3) {
        kept_size += frames->items[kept]->size;
        kept++;
    }
    for (uint32_t place = kept; place < frames->count; place++) free_frame(frames->items[place]);
    frames->count = kept;
    frames->size = kept_size;
    index_all(frames);
}

static bool no_memory(struct fault *fault) {
    return fault_set(fault, FAULT_FULL, "trail: out of memory for rows");
}

static bool has_row(const uint64_t rows[2], uint32_t row) {
    return (rows[row / 64] >> (row % 64) & 1) != 0;
}

// What a frame gives before it is copied.
struct source {
    struct block_columns columns;
    struct span texts[BLOCK_FRAME_ROWS];
    struct span accounts[BLOCK_FRAME_ROWS];
};

static void copy_row(struct frame *item, const struct source *source, uint32_t row,
                     struct trail_row *to, uint8_t **place) {
    const struct block_columns *columns = &source->columns;
    *to = (struct trail_row){
        .sequence = columns->sequence[row],
        .key = {.event_time_s = columns->time_s[row]},
        .agent = columns->agent[row],
        .flags = columns->flags[row],
        .received_ms = columns->received_ms[row],
        .text = span_of(*place, source->texts[row].size),
    };
    memcpy(to->key.id, columns->id[row], RECORD_ID_SIZE);
    struct span account = source->accounts[row];
    if (account.size > KEY_ACCOUNT_SIZE_MAX) account.size = KEY_ACCOUNT_SIZE_MAX;
    to->key.account_size = (uint8_t)account.size;
    if (account.size > 0) memcpy(to->key.account, account.bytes, account.size);
    if (source->texts[row].size > 0)
        memcpy(*place, source->texts[row].bytes, source->texts[row].size);
    *place += source->texts[row].size;
    item->place[row] = (uint8_t)(to - item->rows);
}

static struct frame *make_frame(const struct source *source, const uint64_t rows[2]) {
    size_t text_size = 1;
    uint32_t count = 0;
    for (uint32_t row = 0; row < source->columns.rows; row++) {
        if (!has_row(rows, row)) continue;
        text_size += source->texts[row].size;
        count++;
    }
    struct frame *item = calloc(1, sizeof *item);
    if (item == NULL) return NULL;
    item->rows = malloc((count + 1) * sizeof *item->rows);
    item->memory = malloc(text_size);
    item->size = text_size + count * sizeof *item->rows + sizeof *item;
    if (item->rows == NULL || item->memory == NULL) {
        free_frame(item);
        return NULL;
    }
    memset(item->place, NO_ROW, sizeof item->place);
    uint8_t *place = item->memory;
    uint32_t next = 0;
    for (uint32_t row = 0; row < source->columns.rows; row++) {
        if (has_row(rows, row)) copy_row(item, source, row, &item->rows[next++], &place);
    }
    return item;
}

bool trail_frames_load(struct trail_frames *frames, struct trail_reader *reader,
                       const struct block *block, uint32_t block_index, uint32_t frame,
                       const uint64_t rows[2], struct fault *fault) {
    struct source source;
    if (!block_read_columns(block, reader->scratch, frame, BLOCK_COLUMN_PROVENANCE, &source.columns,
                            fault) ||
        !trail_reader_read_texts(reader, block, frame, rows, source.texts, source.accounts,
                                 fault)) {
        return trail_reader_blame(reader, block_index, fault);
    }
    struct frame *made = make_frame(&source, rows);
    if (made == NULL) return no_memory(fault);
    make_room(frames, made->size);
    made->block_index = block_index;
    made->frame = frame;
    made->used = ++frames->uses;

    uint16_t *slot = find_slot(frames, block_index, frame);
    if (*slot == 0) {
        frames->items[frames->count++] = made;
        *slot = (uint16_t)frames->count;
        frames->size += made->size;
    } else {
        struct frame *old = frames->items[*slot - 1];
        frames->size += made->size;
        frames->size -= old->size;
        frames->items[*slot - 1] = made;
        free_frame(old);
    }
    return true;
}
