#include "verify/records.h"

#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#include "base/clock.h"
#include "base/hash.h"
#include "base/random.h"
#include "base/table.h"
#include "event/file.h"
#include "event/split.h"
#include "verify/object.h"
#include "verify/region.h"

enum {
    CAPACITY_MIN = 64 * 1024,             // slots, a power of two
    ARENA_SIZE = 1024 * 1024 * 1024,      // folders
    RECORD_ARENA_SIZE = 8 * 1024 * 1024,  // a record's fields
    TEXT_SIZE_MAX = 256 * 1024 * 1024,    // bytes of a log file's text
    DAY_S = 86400,
    MET = 1,  // the lowest bit of a slot, which is no part of the hash
};

struct records {
    struct records_range range;
    struct hash_key key;
    uint32_t part, parts;
    uint64_t *slots;  // 0: free
    uint64_t capacity, count, met;
    struct object_reader *objects;
    struct split *split;
    struct json_reader *json;
    struct arena *arena;
    struct arena *record_arena;
};

uint32_t records_parts(uint64_t text_size) {
    return (uint32_t)(text_size / RECORDS_SIZE_MIN / RECORDS_OF_PART) + 1;
}

struct records *records_create(const struct records_range *range) {
    uint8_t secret[HASH_SECRET_SIZE];
    struct records *records = calloc(1, sizeof *records);
    if (records == NULL) return NULL;
    random_fill(random_system(), secret, sizeof secret);
    hash_key_make(secret, 0, &records->key);
    records->range = *range;
    records->objects = object_reader_create(range->delivered);
    records->split = split_create(RECORD_SIZE_MAX, false);
    records->json = json_reader_create();
    records->arena = arena_create(ARENA_SIZE);
    records->record_arena = arena_create(RECORD_ARENA_SIZE);
    if (records->objects != NULL && records->split != NULL && records->json != NULL &&
        records->arena != NULL && records->record_arena != NULL) {
        return records;
    }
    records_destroy(records);
    return NULL;
}

void records_destroy(struct records *records) {
    if (records == NULL) return;
    object_reader_destroy(records->objects);
    if (records->split != NULL) split_destroy(records->split);
    json_reader_destroy(records->json);
    arena_destroy(records->arena);
    arena_destroy(records->record_arena);
    free(records->slots);
    free(records);
}

uint64_t records_count(const struct records *records) {
    return records->count;
}

uint64_t records_unmet(const struct records *records) {
    return records->count - records->met;
}

// ---- the set

// Never 0, its lowest bit clear.
static uint64_t hash_of(const struct records *records, struct span account,
                        const uint8_t id[RECORD_ID_SIZE], int64_t time_s) {
    uint8_t bytes[RECORD_ID_SIZE + sizeof time_s + FILE_PART_SIZE];
    char part[FILE_PART_SIZE];
    // As folders have it.
    file_print_part(account, part);
    size_t size = strlen(part);
    memcpy(bytes, id, RECORD_ID_SIZE);
    memcpy(bytes + RECORD_ID_SIZE, &time_s, sizeof time_s);
    memcpy(bytes + RECORD_ID_SIZE + sizeof time_s, part, size);
    uint64_t hash =
        hash_with_key(&records->key, span_of(bytes, RECORD_ID_SIZE + sizeof time_s + size));
    return hash < 2 ? 2 : hash & ~(uint64_t)MET;
}

static bool is_of_part(const struct records *records, uint64_t hash) {
    return (hash >> 32) % records->parts == records->part;
}

static uint64_t find(const uint64_t *slots, uint64_t capacity, uint64_t hash) {
    uint64_t at = (hash >> 1) & (capacity - 1);
    while (slots[at] != 0 && (slots[at] & ~(uint64_t)MET) != hash) at = (at + 1) & (capacity - 1);
    return at;
}

static bool grow(struct records *records) {
    uint64_t capacity = records->capacity == 0 ? CAPACITY_MIN : 2 * records->capacity;
    uint64_t *slots = table_allocate(capacity * sizeof *slots);
    if (slots == NULL) return false;
    for (uint64_t index = 0; index < records->capacity; index++) {
        uint64_t slot = records->slots[index];
        if (slot != 0) slots[find(slots, capacity, slot & ~(uint64_t)MET)] = slot;
    }
    free(records->slots);
    records->slots = slots;
    records->capacity = capacity;
    return true;
}

static bool add(struct records *records, uint64_t hash) {
    if (2 * records->count >= records->capacity && !grow(records)) return false;
    uint64_t at = find(records->slots, records->capacity, hash);
    if (records->slots[at] == 0) {
        records->slots[at] = hash;
        records->count++;
    }
    return true;
}

bool records_meet(struct records *records, struct span account, const uint8_t id[RECORD_ID_SIZE],
                  int64_t event_time_s) {
    uint64_t hash = hash_of(records, account, id, event_time_s);
    if (!is_of_part(records, hash)) return true;
    if (records->capacity == 0) return false;
    uint64_t *slot = &records->slots[find(records->slots, records->capacity, hash)];
    if (*slot == 0) return false;
    records->met += (*slot & MET) == 0;
    *slot |= MET;
    return true;
}

// ---- the files

struct reading {
    struct records *records;
    const struct region_place *place;
    void (*on_entry)(void *user, const struct records_entry *entry);  // NULL: records are added
    void *user;
    struct fault *fault;
    bool is_good;
};

static bool take(struct reading *reading, struct span key, struct span text) {
    struct records *records = reading->records;
    struct record record;
    enum record_refusal refusal;
    struct fault ignored;
    arena_reset(records->record_arena);
    // What is no record is told of by its hash, or was delivered so.
    if (!record_read(records->json, records->record_arena, text, &record, &refusal, &ignored))
        return true;
    const struct region_place *place = reading->place;
    uint64_t hash = hash_of(records, place->account, record.id, record.event_time_s);
    if (!is_of_part(records, hash)) return true;
    if (reading->on_entry == NULL) {
        return add(records, hash) ||
               fault_set(reading->fault, FAULT_FULL, "no memory to compare records");
    }
    uint64_t slot = records->slots[find(records->slots, records->capacity, hash)];
    const struct records_entry entry = {place->account, place->region, place->bucket, key, &record};
    // A file that came meanwhile was not read before.
    bool is_left = slot != 0 && (slot & MET) == 0;
    if (is_left) reading->on_entry(reading->user, &entry);
    return true;
}

static bool on_object(void *user, struct span key) {
    struct reading *reading = user;
    struct records *records = reading->records;
    struct object_facts facts;
    struct fault ignored;
    object_read(records->objects, reading->place->bucket, key, TEXT_SIZE_MAX, NULL, &facts);
    if (facts.state != OBJECT_GOOD) return true;
    struct span input = facts.text, text;
    uint64_t offset;
    split_reset(records->split, 0);
    enum split_result result;
    do {
        result = split_step(records->split, &input, &text, &offset, &ignored);
        if (result == SPLIT_RECORD) reading->is_good = take(reading, key, text);
    } while (reading->is_good && (result == SPLIT_RECORD || result == SPLIT_OVERSIZE));
    return reading->is_good;
}

static bool on_kind(void *user, struct span name) {
    struct reading *reading = user;
    struct records *records = reading->records;
    const struct region_place *place = reading->place;
    int64_t from_s = records->range.from_s;
    char day[TIME_TEXT_SIZE];
    if (!span_starts(name, SPAN_LITERAL("CloudTrail")) || span_is(name, "CloudTrail-Digest"))
        return true;
    time_print(from_s > DAY_S ? from_s - DAY_S : 0, day);
    const char *prefix = arena_print(records->arena, "%.*s%.*s/%.*s/", SPAN_PRINT(place->folder),
                                     SPAN_PRINT(name), SPAN_PRINT(place->region));
    const char *after = prefix == NULL ? NULL
                                       : arena_print(records->arena, "%s%.4s/%.2s/%.2s", prefix,
                                                     day, day + 5, day + 8);
    if (after == NULL) {
        reading->is_good = fault_set(reading->fault, FAULT_FULL, "no memory to compare records");
    } else {
        reading->is_good = delivered_list(records->range.delivered, place->bucket,
                                          span_text(prefix), span_text(from_s == 0 ? "" : after),
                                          on_object, reading, reading->fault) &&
                           reading->is_good;
    }
    return reading->is_good;
}

static bool read_all(struct reading *reading) {
    struct records *records = reading->records;
    const struct records_range *range = &records->range;
    struct regions regions = {0};
    arena_reset(records->arena);
    if (!regions_find(range->delivered, range->account, range->region, records->arena, &regions,
                      reading->fault)) {
        return false;
    }
    for (uint32_t index = 0; reading->is_good && index < regions.count; index++) {
        const struct region *region = &regions.list[index];
        for (uint32_t at = 0; reading->is_good && at < region->places_count; at++) {
            reading->place = &region->places[at];
            reading->is_good =
                delivered_folders(range->delivered, reading->place->bucket, reading->place->folder,
                                  on_kind, reading, reading->fault) &&
                reading->is_good;
        }
    }
    regions_done(&regions);
    return reading->is_good;
}

bool records_read(struct records *records, uint32_t part, uint32_t parts, struct fault *fault) {
    records->part = part;
    records->parts = parts;
    records->count = records->met = 0;
    if (records->capacity > 0)
        memset(records->slots, 0, records->capacity * sizeof *records->slots);
    return read_all(&(struct reading){.records = records, .fault = fault, .is_good = true});
}

bool records_left(struct records *records,
                  void (*on_entry)(void *user, const struct records_entry *entry), void *user,
                  struct fault *fault) {
    if (records->count == 0) return true;
    return read_all(&(struct reading){
        .records = records, .on_entry = on_entry, .user = user, .fault = fault, .is_good = true});
}
