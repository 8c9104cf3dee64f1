#include "query/export_groups.h"

#include <assert.h>
#include <stdlib.h>
#include <string.h>

#include "base/arena.h"
#include "base/clock.h"
#include "base/hash.h"
#include "base/zstd.h"

enum {
    ARENA_SIZE = 64 * 1024 * 1024,       // names of EXPORT_GROUPS_MAX files
    TABLE_SIZE = 4 * EXPORT_GROUPS_MAX,  // slots, so that chains stay short
    PART_SIZE_MAX = 256,                 // bytes of a region's name that tell files apart
    SPILL_LEVEL = 1,                     // zstd
    FRAME_SIZE_MAX = FILE_TEXT_SIZE_MAX + 2 * RECORD_SIZE_MAX,
    TEXT_SIZE_MAX = FILE_TEXT_SIZE_MAX + 2 * RECORD_SIZE_MAX,
};

// A piece of a file's text in the spill file; its frame follows.
struct piece {
    uint64_t previous;  // offset of the piece before it, and 1; 0 if it is the first
    uint64_t text_size;
    uint64_t frame_size;
    uint64_t hash;  // of its text: a bad disk must not get into an export
};

struct group {
    struct file_place place;  // texts lie in the arena
    const char *folder;       // of its kind: what tells kinds apart
    struct buffer text;       // what is not spilled
    uint64_t spilled_size;
    uint64_t last_piece;  // offset and 1; 0: nothing is spilled
    uint64_t events;
    int64_t newest_s;
};

struct export_groups {
    const struct export_plan *plan;
    const char *spill_path;
    struct export_sink sink;
    struct arena *arena;
    struct zstd *zstd;
    struct group *groups;
    uint32_t groups_count;
    uint32_t *table;  // index and 1 of a group, 0 if the slot is free
    uint64_t memory_size;
    uint64_t held_size;  // text in all groups' buffers
    int spill;           // handle, -1 until something is spilled
    uint64_t spill_size;
    struct buffer frame;
    struct buffer whole;
};

bool export_groups_create(const struct export_plan *plan, const char *spill_path,
                          uint64_t memory_size, const struct export_sink *sink,
                          struct export_groups **groups, struct fault *fault) {
    struct export_groups *made = calloc(1, sizeof *made);
    if (made == NULL) return fault_set(fault, FAULT_FULL, "no memory");
    *made = (struct export_groups){
        .plan = plan,
        .spill_path = spill_path,
        .sink = *sink,
        .memory_size = memory_size,
        .spill = -1,
        .arena = arena_create(ARENA_SIZE),
        .zstd = zstd_create(),
        .groups = calloc(EXPORT_GROUPS_MAX + 1, sizeof *made->groups),
        .table = calloc(TABLE_SIZE, sizeof *made->table),
    };
    buffer_init(&made->frame, FRAME_SIZE_MAX);
    buffer_init(&made->whole, TEXT_SIZE_MAX);
    bool is_whole =
        made->arena != NULL && made->zstd != NULL && made->groups != NULL && made->table != NULL;
    if (!is_whole) {
        export_groups_destroy(made);
        return fault_set(fault, FAULT_FULL, "no memory");
    }
    *groups = made;
    return true;
}

static void forget_groups(struct export_groups *groups) {
    for (uint32_t index = 0; index < groups->groups_count; index++) {
        buffer_done(&groups->groups[index].text);
    }
    memset(groups->table, 0, TABLE_SIZE * sizeof *groups->table);
    arena_reset(groups->arena);
    groups->groups_count = 0;
    groups->held_size = 0;
}

void export_groups_destroy(struct export_groups *groups) {
    if (groups == NULL) return;
    if (groups->groups != NULL && groups->table != NULL && groups->arena != NULL)
        forget_groups(groups);
    if (groups->spill >= 0) files_close(groups->plan->files, groups->spill);
    arena_destroy(groups->arena);
    if (groups->zstd != NULL) zstd_destroy(groups->zstd);
    free(groups->groups);
    free(groups->table);
    buffer_done(&groups->frame);
    buffer_done(&groups->whole);
    free(groups);
}

// --- finding a group

static bool is_group(const struct group *group, const struct file_place *place) {
    return span_equal(group->place.account, place->account) &&
           span_equal(group->place.region, place->region) &&
           group->folder == file_category_folder(place->category);
}

static uint32_t find_slot(const struct export_groups *groups, const struct file_place *place) {
    uint64_t hash = hash_plain(place->account) * 31 + hash_plain(place->region) * 7 +
                    hash_plain(span_text(file_category_folder(place->category)));
    uint32_t slot = (uint32_t)(hash % TABLE_SIZE);
    while (groups->table[slot] != 0 && !is_group(&groups->groups[groups->table[slot] - 1], place)) {
        slot = (slot + 1) % TABLE_SIZE;
    }
    return slot;
}

static bool add_group(struct export_groups *groups, uint32_t slot, const struct file_place *place,
                      struct fault *fault) {
    struct group *group = &groups->groups[groups->groups_count];
    struct group made = {
        .place = *place,
        .folder = file_category_folder(place->category),
        .newest_s = INT64_MIN,
    };
    if (!arena_copy(groups->arena, place->account, &made.place.account) ||
        !arena_copy(groups->arena, place->region, &made.place.region)) {
        return fault_set(fault, FAULT_FULL, "no memory for a day's files");
    }
    buffer_init(&made.text, TEXT_SIZE_MAX);
    *group = made;
    groups->groups_count++;
    groups->table[slot] = groups->groups_count;
    return true;
}

// The file an event belongs to. A sender chooses account and region names; past the limit the rest
// of the day shares one file (and its followers), so that names cannot take all memory.
static bool get_group(struct export_groups *groups, const struct record *record,
                      const struct trail_row *row, struct group **group, struct fault *fault) {
    struct file_place place = {
        .organization = span_text(groups->plan->organization),
        .account = span_of(row->key.account, row->key.account_size),
        .region = record->region,
        .category = record->category,
        .day = time_day(row->key.event_time_s),
    };
    if (place.region.size > PART_SIZE_MAX) place.region.size = PART_SIZE_MAX;
    uint32_t slot = find_slot(groups, &place);
    if (groups->table[slot] == 0 && groups->groups_count >= EXPORT_GROUPS_MAX) {
        place.account = SPAN_LITERAL("others");
        place.region = SPAN_LITERAL("others");
        place.category = RECORD_OTHER;
        slot = find_slot(groups, &place);
    }
    if (groups->table[slot] == 0 && !add_group(groups, slot, &place, fault)) return false;
    *group = &groups->groups[groups->table[slot] - 1];
    return true;
}

// --- spilling

static bool open_spill(struct export_groups *groups, struct fault *fault) {
    if (groups->spill >= 0) return true;
    const struct files *files = groups->plan->files;
    return files_remove(files, groups->spill_path, fault) &&
           files_open(files, groups->spill_path, FILES_APPEND, &groups->spill, fault);
}

static bool spill_group(struct export_groups *groups, struct group *group, struct fault *fault) {
    const struct files *files = groups->plan->files;
    struct span text = buffer_span(&group->text);
    buffer_reset(&groups->frame);
    if (!zstd_compress(groups->zstd, text, SPILL_LEVEL, &groups->frame, fault)) return false;
    struct piece piece = {group->last_piece, text.size, groups->frame.size, hash_plain(text)};
    if (!files_append(files, groups->spill, span_of(&piece, sizeof piece), fault) ||
        !files_append(files, groups->spill, buffer_span(&groups->frame), fault)) {
        return false;
    }
    group->last_piece = groups->spill_size + 1;
    group->spilled_size += text.size;
    groups->spill_size += sizeof piece + groups->frame.size;
    groups->held_size -= text.size;
    buffer_done(&group->text);
    buffer_init(&group->text, TEXT_SIZE_MAX);
    return true;
}

static bool spill_all(struct export_groups *groups, struct fault *fault) {
    if (!open_spill(groups, fault)) return false;
    for (uint32_t index = 0; index < groups->groups_count; index++) {
        struct group *group = &groups->groups[index];
        if (group->text.size > 0 && !spill_group(groups, group, fault))
            return fault_add(fault, "spill");
    }
    assert(groups->held_size == 0);
    return true;
}

static bool read_exactly(struct export_groups *groups, uint64_t offset, void *bytes, size_t size,
                         struct fault *fault) {
    size_t got = 0;
    if (!files_read_at(groups->plan->files, groups->spill, offset, bytes, size, &got, fault))
        return false;
    return got == size || fault_set(fault, FAULT_CORRUPT, "%s ends early", groups->spill_path);
}

// Puts the spilled pieces of a file into `whole`, which has room, from the last to the first.
static bool read_pieces(struct export_groups *groups, const struct group *group, uint8_t *whole,
                        struct fault *fault) {
    uint64_t next = group->last_piece;
    uint64_t end = group->spilled_size;
    while (next != 0) {
        struct piece piece;
        uint64_t offset = next - 1;
        if (!read_exactly(groups, offset, &piece, sizeof piece, fault)) return false;
        bool is_sound =
            piece.previous < next && piece.text_size <= end && piece.frame_size <= FRAME_SIZE_MAX;
        if (!is_sound) return fault_set(fault, FAULT_CORRUPT, "%s is damaged", groups->spill_path);
        buffer_reset(&groups->frame);
        uint8_t *frame = buffer_reserve(&groups->frame, piece.frame_size);
        if (frame == NULL) return fault_set(fault, FAULT_FULL, "no memory");
        if (!read_exactly(groups, offset + sizeof piece, frame, piece.frame_size, fault))
            return false;
        end -= piece.text_size;
        if (!zstd_inflate(groups->zstd, span_of(frame, piece.frame_size), whole + end,
                          piece.text_size, fault)) {
            return fault_add(fault, "%s", groups->spill_path);
        }
        if (hash_plain(span_of(whole + end, piece.text_size)) != piece.hash)
            return fault_set(fault, FAULT_CORRUPT, "%s is damaged", groups->spill_path);
        next = piece.previous;
    }
    return end == 0 || fault_set(fault, FAULT_CORRUPT, "%s is damaged", groups->spill_path);
}

// --- closing files

// Gives the group's file to the sink and empties the group.
static bool close_file(struct export_groups *groups, struct group *group, struct fault *fault) {
    struct span text;
    file_end(&group->text);
    if (group->last_piece == 0) {
        text = buffer_span(&group->text);
        groups->held_size -= text.size - 2;  // the end was not counted
    } else {
        buffer_reset(&groups->whole);
        uint8_t *whole = buffer_reserve(&groups->whole, group->spilled_size);
        if (whole == NULL) return fault_set(fault, FAULT_FULL, "no memory");
        if (!read_pieces(groups, group, whole, fault)) return false;
        groups->whole.size += group->spilled_size;
        buffer_append(&groups->whole, buffer_span(&group->text));
        if (buffer_overflowed(&groups->whole)) return fault_set(fault, FAULT_FULL, "no memory");
        text = buffer_span(&groups->whole);
        groups->held_size -= group->text.size - 2;
    }
    if (!groups->sink.on_file(groups->sink.user, &group->place, group->newest_s, text,
                              group->events, fault)) {
        return false;
    }
    buffer_done(&group->text);
    buffer_init(&group->text, TEXT_SIZE_MAX);
    group->spilled_size = 0;
    group->last_piece = 0;
    group->events = 0;
    group->newest_s = INT64_MIN;
    return true;
}

bool export_groups_add(struct export_groups *groups, const struct record *record,
                       const struct trail_row *row, struct fault *fault) {
    struct group *group = NULL;
    if (!get_group(groups, record, row, &group, fault)) return false;
    uint64_t text_size = group->spilled_size + group->text.size;
    if (!file_fits(text_size, row->text.size, group->events == 0) &&
        !close_file(groups, group, fault)) {
        return false;
    }
    bool is_first = group->events == 0;
    size_t before = group->text.size;
    if (is_first) file_begin(&group->text);
    file_add(&group->text, row->text, is_first);
    if (buffer_overflowed(&group->text)) return fault_set(fault, FAULT_FULL, "no memory");
    groups->held_size += group->text.size - before;
    group->events++;
    if (row->key.event_time_s > group->newest_s) group->newest_s = row->key.event_time_s;
    return groups->held_size <= groups->memory_size || spill_all(groups, fault);
}

bool export_groups_end_day(struct export_groups *groups, struct fault *fault) {
    for (uint32_t index = 0; index < groups->groups_count; index++) {
        struct group *group = &groups->groups[index];
        if (group->events > 0 && !close_file(groups, group, fault)) return false;
    }
    assert(groups->held_size == 0);
    forget_groups(groups);
    if (groups->spill < 0) return true;
    groups->spill_size = 0;
    return files_truncate(groups->plan->files, groups->spill, 0, fault);
}
