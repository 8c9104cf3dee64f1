#include "collector/deliver/round.h"

#include <assert.h>
#include <stdlib.h>
#include <string.h>

#include "base/arena.h"
#include "base/bytes.h"
#include "base/clock.h"
#include "base/gzip_writer.h"
#include "base/hash.h"
#include "base/json_writer.h"
#include "collector/deliver/selection.h"
#include "collector/deliver/text.h"
#include "collector/metrics.h"
#include "event/file.h"

enum {
    SLOTS = 4 * ROUND_FILES_MAX,
    REGION_SIZE_MAX = 256,
    KEY_SIZE = 2 * FILE_NAME_SIZE,  // a prefix and a name; what is too long is refused as a key
    TEXT_SIZE_MAX = ROUND_TEXT_SIZE_MAX + 4 * 1024 * 1024,
    BEFORE_SIZE_MAX = 256,
    PLACE_SIZE = 64 * 1024,  // of a file, beside its text: names, and what its last piece has free
    // It grows by half of what it is, so that a third of it may have no use.
    ARENA_SIZE = (TEXT_SIZE_MAX + ROUND_FILES_MAX * PLACE_SIZE) / 2 * 3,
    PACK_SIZE = 16 * 1024 * 1024,  // compressed bytes; then they are written
    PACK_SIZE_MAX = PACK_SIZE + 2 * TEXT_SIZE_MAX,
};

// A file that is being filled, or is full.
struct part {
    struct file_place place;  // without its day; texts lie in the arena
    struct text text;
    uint64_t events;
    uint64_t first;  // sequence number
    int64_t newest_s;
    int64_t oldest_s;
};

// Files that are written together.
struct pack {
    struct gzip_writer *gzip;
    int level;            // of it
    struct buffer text;   // of the one that is being compressed
    struct buffer bytes;  // of all, compressed
    uint32_t count;
    uint64_t events;
    size_t ends[OBJECTS_WRITE_MAX];  // in bytes
    char keys[OBJECTS_WRITE_MAX][KEY_SIZE];
};

struct round {
    struct round_options options;
    struct arena *arena;
    struct selection *selection;
    struct part *parts;
    uint32_t parts_count;
    uint32_t *table;  // index and 1 of the part of a place that is being filled
    struct pack pack;
    struct buffer before;  // what stands before a record in its file
    uint64_t size;         // of all texts
    uint64_t events;       // looked at
    uint64_t text_size_max;
    uint64_t events_max;
    uint64_t to;
    int64_t session_ms;
    bool is_stopped;
    bool is_full;
    bool has_failed;
    struct fault fault;
};

bool round_create(struct round **round, struct fault *fault) {
    struct round *made = calloc(1, sizeof *made);
    if (made == NULL) return fault_set(fault, FAULT_FULL, "no memory for a round");
    buffer_init(&made->before, BEFORE_SIZE_MAX);
    buffer_init(&made->pack.text, TEXT_SIZE_MAX);
    buffer_init(&made->pack.bytes, PACK_SIZE_MAX);
    made->arena = arena_create(ARENA_SIZE);
    made->parts = calloc(ROUND_FILES_MAX, sizeof *made->parts);
    made->table = calloc(SLOTS, sizeof *made->table);
    if (made->arena == NULL || made->parts == NULL || made->table == NULL) {
        round_destroy(made);
        return fault_set(fault, FAULT_FULL, "no memory for a round");
    }
    *round = made;
    return true;
}

void round_destroy(struct round *round) {
    if (round == NULL) return;
    buffer_done(&round->before);
    buffer_done(&round->pack.text);
    buffer_done(&round->pack.bytes);
    gzip_writer_destroy(round->pack.gzip);
    selection_destroy(round->selection);
    arena_destroy(round->arena);
    free(round->parts);
    free(round->table);
    free(round);
}

bool round_begin(struct round *round, const struct round_options *options, struct fault *fault) {
    selection_destroy(round->selection);
    round->selection = NULL;
    round->options = *options;
    arena_reset(round->arena);
    // In one piece, of which only what is used gets memory: several would be made one for the next
    // round, and all of them be new to the process once more. What a larger share took is given
    // back.
    size_t expected = (size_t)(options->text_size_max / 8 * 9);
    if (arena_kept(round->arena) / 2 > expected) arena_release(round->arena);
    if (arena_kept(round->arena) == 0) arena_expect(round->arena, expected);
    memset(round->table, 0, SLOTS * sizeof *round->table);
    round->parts_count = 0;
    round->size = 0;
    round->events = 0;
    round->is_stopped = false;
    round->is_full = false;
    round->has_failed = false;
    return selection_create(options->trail, &round->selection, fault);
}

// ---- which file

static bool is_place(const struct part *part, const struct file_place *place) {
    return span_equal(part->place.account, place->account) &&
           span_equal(part->place.region, place->region) &&
           file_category_folder(part->place.category) == file_category_folder(place->category);
}

static uint32_t find_slot(const struct round *round, const struct file_place *place) {
    uint64_t hash = hash_plain(place->account) * 31 + hash_plain(place->region) * 7 +
                    hash_plain(span_text(file_category_folder(place->category)));
    uint32_t slot = (uint32_t)(hash % SLOTS);
    while (round->table[slot] != 0 && !is_place(&round->parts[round->table[slot] - 1], place)) {
        slot = (slot + 1) % SLOTS;
    }
    return slot;
}

// Begins a file; false: no memory.
static bool begin_part(struct round *round, uint32_t slot, const struct file_place *place) {
    struct part *part = &round->parts[round->parts_count];
    struct part made = {.place = *place, .newest_s = INT64_MIN, .oldest_s = INT64_MAX};
    if (!arena_copy(round->arena, place->account, &made.place.account) ||
        !arena_copy(round->arena, place->region, &made.place.region)) {
        return false;
    }
    *part = made;
    round->parts_count++;
    round->table[slot] = round->parts_count;
    return true;
}

// Adds a record to a file's text; false: no memory.
static bool add_text(struct round *round, struct part *part, struct span record) {
    struct span nothing = {NULL, 0};
    buffer_reset(&round->before);
    if (part->events == 0) file_begin(&round->before);
    file_add(&round->before, nothing, part->events == 0);
    round->size += round->before.size + record.size;
    return !buffer_overflowed(&round->before) &&
           text_append(&part->text, round->arena, buffer_span(&round->before)) &&
           text_append(&part->text, round->arena, record);
}

// Adds an event; false: no memory.
static bool add(struct round *round, const struct record *record, const struct trail_row *row) {
    struct file_place place = {
        .organization =
            span_text(round->options.trail->is_organization ? round->options.organization : ""),
        .account = selection_account(row),
        .region = record->region,
        .category = record->category,
    };
    if (place.region.size > REGION_SIZE_MAX) place.region.size = REGION_SIZE_MAX;
    uint32_t slot = find_slot(round, &place);
    struct part *part = round->table[slot] == 0 ? NULL : &round->parts[round->table[slot] - 1];
    bool is_new = part == NULL || (part->events > 0 && part->text.size + record->text.size + 3 >
                                                           round->options.file_size_max);
    if (is_new) {
        if (!begin_part(round, slot, &place)) return false;
        part = &round->parts[round->parts_count - 1];
        part->first = row->sequence;
    }
    if (!add_text(round, part, row->text)) return false;
    part->events++;
    if (row->key.event_time_s > part->newest_s) part->newest_s = row->key.event_time_s;
    if (row->key.event_time_s < part->oldest_s) part->oldest_s = row->key.event_time_s;
    return true;
}

static bool skim(void *user, const struct trail_row *row, struct record *record) {
    const struct round *round = user;
    return selection_skim(round->selection, row, record);
}

static bool on_event(void *user, const struct record *record, const struct trail_row *row) {
    struct round *round = user;
    if (row->sequence > round->to) return false;
    round->events++;
    if (selection_has(round->selection, record, row) && !add(round, record, row)) {
        round->has_failed = true;
        fault_set(&round->fault, FAULT_FULL, "no memory for a round's files");
        return false;
    }
    round->is_stopped = selection_is_end(round->selection, round->session_ms, record, row);
    round->is_full = round->size >= round->text_size_max || round->parts_count == ROUND_FILES_MAX ||
                     round->events == round->events_max;
    return !round->is_stopped && !round->is_full && row->sequence < round->to;
}

bool round_gather(struct round *round, struct seat *seat, uint64_t from, uint64_t to,
                  int64_t session_ms, uint64_t *place, bool *is_stopped, bool *is_full,
                  struct fault *fault) {
    const struct follow_sink sink = {.on_event = on_event, .user = round, .skim = skim};
    assert(round->parts_count == 0);
    // A plan is carried out as it was made, whatever the limits are now.
    bool is_planned = to != UINT64_MAX;
    round->text_size_max = is_planned ? UINT64_MAX : round->options.text_size_max;
    round->events_max = is_planned ? UINT64_MAX : ROUND_EVENTS_MAX;
    round->to = to;
    round->session_ms = session_ms;
    if (!seat_read(seat, round->options.follower, from, &sink, place, fault)) return false;
    if (round->has_failed) {
        *fault = round->fault;
        return false;
    }
    *is_stopped = round->is_stopped;
    *is_full = round->is_full;
    return true;
}

bool round_is_empty(const struct round *round) {
    return round->parts_count == 0;
}

// ---- writing

// Where a file goes: its name depends on the store's epoch, its first event and its text.
static void print_key(const struct round *round, const struct part *part,
                      const struct state_round *plan, const uint8_t hash[SHA256_SIZE],
                      char key[KEY_SIZE]) {
    uint8_t sequence[8];
    uint8_t digest[SHA256_SIZE];
    char name[FILE_NAME_SIZE];
    struct file_place place = part->place;
    bytes_put_64(sequence, part->first);
    const struct span parts[] = {span_of(plan->epoch, sizeof plan->epoch),
                                 span_of(sequence, sizeof sequence), span_of(hash, SHA256_SIZE)};
    crypto_sha256(parts, 3, digest);
    place.day = time_day(plan->time_s);
    file_print_name(&place, plan->time_s, digest, name);
    struct span prefix = round->options.trail->prefix;
    snprintf(key, KEY_SIZE, "%.*s%s%s", SPAN_PRINT(prefix), prefix.size > 0 ? "/" : "", name);
}

static void list_file(const struct part *part, const char *key, const uint8_t hash[SHA256_SIZE],
                      struct json_writer *writer) {
    char hex[SHA256_HEX_SIZE];
    crypto_print_hex(span_of(hash, SHA256_SIZE), hex);
    json_write_object(writer, NULL);
    json_write_string(writer, "account", part->place.account);
    json_write_string(writer, "region", part->place.region);
    json_write_string(writer, "object", span_text(key));
    json_write_string(writer, "hash", span_text(hex));
    json_write_integer(writer, "newest_s", part->newest_s);
    json_write_integer(writer, "oldest_s", part->oldest_s);
    json_write_end(writer);
}

static void count(const struct round *round, uint64_t files, uint64_t events, size_t size) {
    const struct {
        enum metrics_index index;
        uint64_t value;
    } counts[] = {{METRICS_DELIVERED_FILES, files},
                  {METRICS_DELIVERED_EVENTS, events},
                  {METRICS_DELIVERED_BYTES, size}};
    for (size_t index = 0; index < sizeof counts / sizeof counts[0]; index++) {
        struct metric *metric = &metrics_table[counts[index].index];
        metric_add(metric, metric_label(metric, span_text(round->options.follower)),
                   (int64_t)counts[index].value);
    }
}

static bool begin_pack(struct pack *pack, int level, struct fault *fault) {
    buffer_reset(&pack->bytes);
    pack->count = 0;
    pack->events = 0;
    if (pack->gzip != NULL && pack->level == level) return true;
    gzip_writer_destroy(pack->gzip);
    pack->gzip = gzip_writer_create(level);
    pack->level = level;
    return pack->gzip != NULL || fault_set(fault, FAULT_FULL, "no memory for a round's files");
}

static bool pack_part(struct round *round, struct part *part, const struct state_round *plan,
                      struct json_writer *list, struct fault *fault) {
    struct pack *pack = &round->pack;
    uint8_t hash[SHA256_SIZE];
    char *key = pack->keys[pack->count];
    buffer_reset(&pack->text);
    text_copy(&part->text, &pack->text);
    file_end(&pack->text);
    if (buffer_overflowed(&pack->text)) {
        return fault_set(fault, FAULT_FULL, "no memory for the text of a file");
    }
    struct span text = buffer_span(&pack->text);
    crypto_sha256(&text, 1, hash);
    print_key(round, part, plan, hash, key);
    if (!gzip_writer_write(pack->gzip, text, &pack->bytes, fault)) return false;
    list_file(part, key, hash, list);
    pack->ends[pack->count++] = pack->bytes.size;
    pack->events += part->events;
    return true;
}

static bool write_pack(struct round *round, const struct objects *objects, struct fault *fault) {
    struct pack *pack = &round->pack;
    struct object_write writes[OBJECTS_WRITE_MAX] = {0};
    size_t begin = 0;
    if (pack->count == 0) return true;
    for (uint32_t index = 0; index < pack->count; index++) {
        writes[index].name =
            (struct object_name){round->options.trail->bucket, span_text(pack->keys[index])};
        writes[index].bytes = span_of(pack->bytes.bytes + begin, pack->ends[index] - begin);
        begin = pack->ends[index];
    }
    bool is_good = round->options.is_repeat
                       ? objects_write_again(objects, writes, pack->count, fault)
                       : objects_write(objects, writes, pack->count, fault);
    if (!is_good) return false;
    count(round, pack->count, pack->events, pack->bytes.size);
    buffer_reset(&pack->bytes);
    pack->count = 0;
    pack->events = 0;
    return true;
}

static bool write_parts(struct round *round, struct seat *seat, const struct objects *objects,
                        const struct state_round *plan, struct json_writer *list,
                        struct fault *fault) {
    const struct pack *pack = &round->pack;
    if (!begin_pack(&round->pack, plan->level, fault)) return false;
    for (uint32_t index = 0; index < round->parts_count; index++) {
        if (seat_is_stopping(seat)) {
            return fault_set(fault, FAULT_RETRY, "the collector is stopping");
        }
        if (!pack_part(round, &round->parts[index], plan, list, fault)) return false;
        bool is_full = pack->count == OBJECTS_WRITE_MAX || pack->bytes.size >= PACK_SIZE;
        if (is_full && !write_pack(round, objects, fault)) return false;
    }
    return write_pack(round, objects, fault);
}

bool round_write(struct round *round, struct seat *seat, const struct objects *objects,
                 const struct state_round *plan, struct buffer *list, struct fault *fault) {
    struct json_writer writer = json_writer_begin(list);
    json_write_object(&writer, NULL);
    json_write_integer(&writer, "time_s", plan->time_s);
    json_write_string(&writer, "bucket", round->options.trail->bucket);
    json_write_list(&writer, "files");
    if (!write_parts(round, seat, objects, plan, &writer, fault)) return false;
    json_write_end(&writer);
    json_write_end(&writer);
    return !buffer_overflowed(list) ||
           fault_set(fault, FAULT_FULL, "no memory for a list of files");
}
