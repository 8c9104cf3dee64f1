#include "storage/trail/trail_frames.h"

#include <assert.h>
#include <stdlib.h>
#include <string.h>

enum {
    INDEX_SIZE = 4096,  // slots, a power of two, at a quarter's load at most
    NO_ROW = 255,
    // What is dropped at once, so that who reads on has it again.
    SPARE_SIZE_MAX = TRAIL_FRAMES_SIZE_MAX / 4,
};

struct frame {
    uint32_t block_index;
    uint32_t frame;
    uint64_t used;
    size_t size;
    struct trail_row *rows;
    struct buffer texts;
    uint8_t place[BLOCK_FRAME_ROWS];  // of a row in rows, or NO_ROW
};

struct trail_frames {
    struct frame *items[TRAIL_FRAMES_MAX];
    uint32_t count;
    size_t size;
    // What texts of dropped frames lay in: to write into memory that is new to the process costs
    // more than to rebuild what is written.
    struct buffer spare[TRAIL_FRAMES_MAX];
    uint32_t spare_count;
    size_t spare_size;
    uint64_t uses;
    uint16_t index[INDEX_SIZE];  // open addressing: place in items + 1
};

struct trail_frames *trail_frames_create(void) {
    return calloc(1, sizeof(struct trail_frames));
}

static void free_frame(struct frame *frame) {
    if (frame == NULL) return;
    free(frame->rows);
    buffer_done(&frame->texts);
    free(frame);
}

void trail_frames_destroy(struct trail_frames *frames) {
    if (frames == NULL) return;
    for (uint32_t index = 0; index < frames->count; index++) free_frame(frames->items[index]);
    for (uint32_t index = 0; index < frames->spare_count; index++)
        buffer_done(&frames->spare[index]);
    free(frames);
}

static void keep_spare(struct trail_frames *frames, struct buffer *texts) {
    size_t size = texts->capacity;
    if (frames->spare_count < TRAIL_FRAMES_MAX && frames->spare_size + size <= SPARE_SIZE_MAX) {
        frames->spare[frames->spare_count++] = *texts;
        frames->spare_size += size;
        *texts = (struct buffer){0};
    }
    buffer_done(texts);
}

static void drop_frame(struct trail_frames *frames, struct frame *frame) {
    keep_spare(frames, &frame->texts);
    free_frame(frame);
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
    for (uint32_t place = kept; place < frames->count; place++)
        drop_frame(frames, frames->items[place]);
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

static void fill_row(const struct source *source, uint32_t row, struct trail_row *to) {
    const struct block_columns *columns = &source->columns;
    *to = (struct trail_row){
        .key = {.event_time_s = columns->time_s[row]},
        .text = source->texts[row],
    };
    if (columns->sequence != NULL) {
        to->sequence = columns->sequence[row];
        to->agent = columns->agent[row];
        to->flags = columns->flags[row];
        to->received_ms = columns->received_ms[row];
    }
    memcpy(to->key.id, columns->id[row], RECORD_ID_SIZE);
    struct span account = source->accounts[row];
    if (account.size > KEY_ACCOUNT_SIZE_MAX) account.size = KEY_ACCOUNT_SIZE_MAX;
    to->key.account_size = (uint8_t)account.size;
    if (account.size > 0) memcpy(to->key.account, account.bytes, account.size);
}

static size_t measure_texts(const struct frame *item, uint32_t count) {
    size_t size = 0;
    for (uint32_t index = 0; index < count; index++) size += item->rows[index].text.size;
    return size;
}

// Copies the texts of a frame's rows to memory of their own size.
static bool copy_texts(struct frame *item, uint32_t count) {
    size_t size = measure_texts(item, count) + 1;
    buffer_init(&item->texts, size);
    if (buffer_reserve(&item->texts, size) == NULL) return false;
    for (uint32_t index = 0; index < count; index++) {
        struct span *text = &item->rows[index].text;
        const uint8_t *copy = item->texts.bytes + item->texts.size;
        buffer_append(&item->texts, *text);
        text->bytes = copy;
    }
    return true;
}

// Takes the texts of all rows as they lie, and gives for the next what others lay in. Where they
// use less than half of it they are copied: else few small frames would take the room of many.
static bool take_texts(struct trail_frames *frames, struct block_scratch *scratch,
                       struct frame *item, uint32_t count) {
    if (frames->spare_count > 0) {
        item->texts = frames->spare[--frames->spare_count];
        frames->spare_size -= item->texts.capacity;
    }
    block_swap_texts(scratch, &item->texts);
    if (measure_texts(item, count) >= item->texts.capacity / 2) return true;
    struct buffer large = item->texts;
    bool is_copied = copy_texts(item, count);
    keep_spare(frames, &large);
    return is_copied;
}

static struct frame *make_frame(struct trail_frames *frames, struct block_scratch *scratch,
                                const struct source *source, const uint64_t rows[2]) {
    struct frame *item = calloc(1, sizeof *item);
    if (item == NULL) return NULL;
    uint32_t room = (uint32_t)(__builtin_popcountll(rows[0]) + __builtin_popcountll(rows[1]));
    item->rows = malloc((room + 1) * sizeof *item->rows);
    if (item->rows == NULL) {
        free_frame(item);
        return NULL;
    }
    memset(item->place, NO_ROW, sizeof item->place);
    uint32_t count = 0;
    for (uint32_t row = 0; row < source->columns.rows; row++) {
        if (!has_row(rows, row)) continue;
        fill_row(source, row, &item->rows[count]);
        item->place[row] = (uint8_t)count++;
    }
    // What some rows were rebuilt in has room for all.
    bool is_whole = count == source->columns.rows;
    if (is_whole ? !take_texts(frames, scratch, item, count) : !copy_texts(item, count)) {
        free_frame(item);
        return NULL;
    }
    item->size = item->texts.capacity + count * sizeof *item->rows + sizeof *item;
    return item;
}

bool trail_frames_load(struct trail_frames *frames, struct trail_reader *reader,
                       const struct block *block, uint32_t block_index, uint32_t frame,
                       const uint64_t rows[2], bool is_bare, struct fault *fault) {
    struct source source;
    uint32_t which = is_bare ? 0 : BLOCK_COLUMN_PROVENANCE;
    if (!block_read_columns(block, reader->scratch, frame, which, &source.columns, fault) ||
        !trail_reader_read_texts(reader, block, frame, rows, source.texts, source.accounts,
                                 fault)) {
        return trail_reader_blame(reader, block_index, fault);
    }
    struct frame *made = make_frame(frames, reader->scratch, &source, rows);
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
