#include "tests/kit/traffic.h"

#include <assert.h>
#include <math.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#include "base/arena.h"
#include "base/clock.h"
#include "tests/kit/traffic_model.h"

enum {
    MODEL_SIZE_MAX = 256 * 1024 * 1024,
    TEXT_SIZE_MAX = 512 * 1024,
    ACCOUNTS_DEFAULT = 100,
    PRINCIPALS_MAX = 70,
    ADDRESSES = 16,    // of one account
    RESOURCES = 256,   // ids of one kind in one account
    LATE_MAX_S = 600,  // how late a late event is at most
    RUN = 4,           // events in a row that one principal makes
    RESEND_BACK = 1000,
    USER_SIZE_MAX = 80,
};

// Which draw of an event decides what (model.json names 0 to 4).
enum draw {
    DRAW_EVENT_ID = 0,
    DRAW_REQUEST_ID = 2,
    DRAW_TEMPLATE = 4,
    DRAW_ARCHETYPE,
    DRAW_OPERATION,
    DRAW_ERROR,
    DRAW_PRINCIPAL,
    DRAW_ADDRESS,
    DRAW_LATE,
    DRAW_RESEND,
    DRAW_COPIES,
    DRAW_SLOTS,
    DRAW_PHASE,
};

static const uint64_t GOLDEN = UINT64_C(0x9E3779B97F4A7C15);

struct account {
    char id[13];
    uint64_t key;  // its own random values are drawn from here
    uint32_t users;
    uint32_t roles;
    uint32_t role_index;
    double share;
};

struct shard {
    uint32_t account;
    uint32_t region;
    uint64_t key;
    uint64_t next;   // index of the next event
    double rate;     // events a second
    double next_at;  // seconds after the start
    bool resent;     // the resend before the next event is done
};

struct traffic {
    struct arena *arena;
    struct traffic_model model;
    int64_t start_s;
    bool repeats;
    struct account *accounts;
    uint32_t accounts_count;
    double zipf_end[PRINCIPALS_MAX];
    struct shard *shards;  // a heap by next_at
    uint32_t shards_count;
    uint8_t *text;
    size_t text_size;

    struct traffic_event last;
    uint32_t copies_left;
    uint32_t copy_region;
};

// What one event is made of, while it is written.
struct making {
    const struct traffic *traffic;
    const struct shard *shard;
    const struct account *account;
    uint64_t index;
    uint64_t principal;  // key of the principal's own values
    uint32_t principal_number;
    bool is_global;
    bool is_role;
    int64_t time_s;
};

static uint64_t draw_of(const struct shard *shard, uint64_t index, uint32_t draw) {
    return traffic_mix(shard->key + (index * 64 + draw + 1) * GOLDEN);
}

static uint64_t combine(uint64_t key, uint64_t value) {
    return traffic_mix(key ^ traffic_mix((value + 1) * GOLDEN));
}

// The first of count ends that is over the number.
static uint32_t pick(const double *ends, uint32_t count, double number) {
    uint32_t low = 0, high = count - 1;
    while (low < high) {
        uint32_t middle = (low + high) / 2;
        if (number < ends[middle]) {
            high = middle;
        } else {
            low = middle + 1;
        }
    }
    return low;
}

static void copy_hex(uint8_t *to, size_t size, uint64_t value) {
    for (size_t index = 0; index < size; index++) {
        if (index % 16 == 0 && index > 0) value = traffic_mix(value + GOLDEN);
        to[index] = (uint8_t) "0123456789abcdef"[(value >> (index % 16 * 4)) & 15];
    }
}

static void copy_uuid(uint8_t *to, uint64_t high, uint64_t low) {
    static const char digits[] = "0123456789abcdef";
    high = (high & ~UINT64_C(0xF000)) | UINT64_C(0x4000);
    low = (low & ~(UINT64_C(3) << 62)) | (UINT64_C(2) << 62);
    size_t at = 0;
    for (uint32_t nibble = 0; nibble < 32; nibble++) {
        if (nibble == 8 || nibble == 12 || nibble == 16 || nibble == 20) to[at++] = '-';
        uint64_t half = nibble < 16 ? high : low;
        to[at++] = (uint8_t)digits[(half >> (60 - nibble % 16 * 4)) & 15];
    }
}

static void copy_upper(uint8_t *to, size_t size, uint64_t value) {
    for (size_t index = 0; index < size; index++) {
        if (index == 10) value = traffic_mix(value + GOLDEN);
        to[index] = (uint8_t) "0123456789ABCDEFGHIJKLMNOPQRSTUVWXYZ"[value % 36];
        value /= 36;
    }
}

static void copy_token(uint8_t *to, size_t size, uint64_t value) {
    static const char digits[] = "ABCDEFGHIJKLMNOPQRSTUVWXYZabcdefghijklmnopqrstuvwxyz0123456789+/";
    uint64_t bits = 0;
    for (size_t index = 0; index < size; index++) {
        if (index % 10 == 0) {
            value += GOLDEN;
            bits = traffic_mix(value);
        }
        to[index] = (uint8_t)digits[bits & 63];
        bits >>= 6;
    }
}

static void copy_filler(const struct traffic_words *words, uint8_t *to, size_t size,
                        uint64_t value) {
    // Values that stood together in a real record come together here too.
    double unit = traffic_unit(value);
    size_t next = (size_t)(unit * unit * words->count);
    size_t at = 0;
    while (at < size) {
        struct span word = words->items[next++ % words->count];
        size_t part = word.size < size - at ? word.size : size - at;
        memcpy(to + at, word.bytes, part);
        at += part;
        if (at < size) to[at++] = ',';
    }
}

static void copy_time(uint8_t *to, int64_t seconds) {
    char text[TIME_TEXT_SIZE];
    time_print(seconds, text);
    memcpy(to, text, 20);
}

static size_t copy_user(const struct making *making, uint8_t *to) {
    const struct traffic_words *users = &making->traffic->model.users;
    struct span name = users->items[making->principal % users->count];
    size_t size = name.size < USER_SIZE_MAX - 8 ? name.size : USER_SIZE_MAX - 8;
    memcpy(to, name.bytes, size);
    to[size++] = '-';
    if (making->principal_number >= 10) to[size++] = (uint8_t)('0' + making->principal_number / 10);
    to[size++] = (uint8_t)('0' + making->principal_number % 10);
    return size;
}

// One of the account's addresses; most events of a principal come from the same one.
static size_t copy_address(const struct making *making, uint8_t *to) {
    uint64_t draw = draw_of(making->shard, making->index, DRAW_ADDRESS);
    uint64_t which = draw % 8 == 0 ? draw / 8 % ADDRESSES : making->principal % ADDRESSES;
    uint64_t value = combine(making->account->key, 0x1000 + which);
    char text[16];
    int size = snprintf(text, sizeof text, "%u.%u.%u.%u", (unsigned)(value & 127) + 11,
                        (unsigned)(value >> 8 & 255), (unsigned)(value >> 16 & 255),
                        (unsigned)(value >> 24 & 255));
    memcpy(to, text, (size_t)size);
    return (size_t)size;
}

// An id of a resource: the account has RESOURCES of each kind and uses the first ones more.
static uint64_t resource_value(const struct making *making, const struct traffic_slot *slot) {
    uint64_t draw = combine(draw_of(making->shard, making->index, DRAW_SLOTS), slot->group);
    double unit = traffic_unit(draw);
    return combine(making->account->key + slot->size, (uint64_t)(unit * unit * RESOURCES));
}

static struct span region_of(const struct making *making) {
    const struct traffic_model *model = &making->traffic->model;
    return model->regions[making->is_global ? 0 : making->shard->region];
}

static size_t fill_slot(const struct making *making, const struct traffic_slot *slot, uint8_t *to) {
    const struct shard *shard = making->shard;
    uint64_t index = making->index;
    struct span region;
    uint64_t value;
    switch ((enum traffic_slot_kind)slot->kind) {
        case TRAFFIC_ACCOUNT:
            memcpy(to, making->account->id, 12);
            return 12;
        case TRAFFIC_REGION:
            region = region_of(making);
            memcpy(to, region.bytes, region.size);
            return region.size;
        case TRAFFIC_TIME:
            copy_time(to, making->time_s);
            return 20;
        case TRAFFIC_SESSION_TIME:
            value = making->principal % 3600;
            copy_time(to, (making->time_s - (int64_t)value) / 3600 * 3600 + (int64_t)value);
            return 20;
        case TRAFFIC_EVENT_ID:
            copy_uuid(to, draw_of(shard, index, DRAW_EVENT_ID),
                      draw_of(shard, index, DRAW_EVENT_ID + 1));
            return 36;
        case TRAFFIC_REQUEST_ID:
            copy_uuid(to, draw_of(shard, index, DRAW_REQUEST_ID),
                      draw_of(shard, index, DRAW_REQUEST_ID + 1));
            return 36;
        case TRAFFIC_REQUEST_ID_S3:
            copy_upper(to, 16, draw_of(shard, index, DRAW_REQUEST_ID));
            return 16;
        case TRAFFIC_ACCESS_KEY:
            value = slot->is_session ? (uint64_t)(making->time_s / 3600) : 0;
            copy_upper(to, 16, combine(making->principal, value));
            return 16;
        case TRAFFIC_PRINCIPAL:
            copy_upper(to, 17, combine(making->principal, UINT64_MAX / 2));
            return 17;
        case TRAFFIC_USER:
            return copy_user(making, to);
        case TRAFFIC_ADDRESS:
            return copy_address(making, to);
        case TRAFFIC_HEX:
            copy_hex(to, slot->size, resource_value(making, slot));
            return slot->size;
        case TRAFFIC_UUID:
            value = resource_value(making, slot);
            copy_uuid(to, value, traffic_mix(value + GOLDEN));
            return 36;
        case TRAFFIC_TOKEN:
            copy_token(to, slot->size, combine(draw_of(shard, index, DRAW_SLOTS), slot->group));
            return slot->size;
        case TRAFFIC_FILLER:
            copy_filler(&making->traffic->model.filler, to, slot->size,
                        combine(draw_of(shard, index, DRAW_SLOTS), slot->group));
            return slot->size;
    }
    return 0;
}

static size_t fill_template(const struct making *making, const struct traffic_template *template,
                            uint8_t *to) {
    const uint8_t *from = template->text.bytes;
    size_t offset = 0, size = 0;
    for (uint32_t index = 0; index < template->slots_count; index++) {
        const struct traffic_slot *slot = &template->slots[index];
        memcpy(to + size, from + offset, slot->offset - offset);
        size += slot->offset - offset;
        size += fill_slot(making, slot, to + size);
        offset = slot->offset + slot->size;
    }
    memcpy(to + size, from + offset, template->text.size - offset);
    return size + template->text.size - offset;
}

static const struct traffic_operation *choose_operation(const struct traffic *traffic,
                                                        const struct shard *shard, uint64_t index) {
    const struct traffic_model *model = &traffic->model;
    const struct traffic_role *role = &model->roles[traffic->accounts[shard->account].role_index];
    double unit = traffic_unit(draw_of(shard, index - index % RUN, DRAW_ARCHETYPE));
    const struct traffic_archetype *archetype =
        &model->archetypes[pick(role->archetype_end, model->archetypes_count, unit)];
    unit = traffic_unit(draw_of(shard, index, DRAW_OPERATION));
    uint32_t low = 0, high = archetype->operations_count - 1;
    while (low < high) {
        uint32_t middle = (low + high) / 2;
        if (unit < archetype->operations[middle].weight_end) {
            high = middle;
        } else {
            low = middle + 1;
        }
    }
    return &archetype->operations[low];
}

static const struct traffic_template *choose_template(const struct traffic *traffic,
                                                      const struct shard *shard, uint64_t index,
                                                      const struct traffic_operation *operation) {
    double unit = traffic_unit(draw_of(shard, index, DRAW_ERROR));
    bool failed =
        operation->failed_count > 0 &&
        (operation->good_count == 0 || unit < operation->error_share * traffic->model.error_scale);
    uint64_t draw = draw_of(shard, index, DRAW_TEMPLATE);
    return failed ? &operation->failed[draw % operation->failed_count]
                  : &operation->good[draw % operation->good_count];
}

static void choose_principal(struct making *making) {
    const struct traffic *traffic = making->traffic;
    uint32_t count = making->is_role ? making->account->roles : making->account->users;
    uint64_t run = making->index - making->index % RUN;
    double unit = traffic_unit(draw_of(making->shard, run, DRAW_PRINCIPAL));
    unit *= traffic->zipf_end[count - 1];
    making->principal_number = pick(traffic->zipf_end, count, unit);
    making->principal =
        combine(making->account->key, making->principal_number + (making->is_role ? 1000 : 0));
}

// Seconds after the start at which an event of a shard happens.
static double happens_at(const struct shard *shard, uint64_t index) {
    double phase = traffic_unit(draw_of(shard, index, DRAW_PHASE));
    return ((double)index + phase) / shard->rate;
}

// Writes event `index` of a shard into the text buffer.
static void make_event(struct traffic *traffic, const struct shard *shard, uint64_t index) {
    const struct traffic_operation *operation = choose_operation(traffic, shard, index);
    const struct traffic_template *template = choose_template(traffic, shard, index, operation);
    struct making making = {
        .traffic = traffic,
        .shard = shard,
        .account = &traffic->accounts[shard->account],
        .index = index,
        .is_global = operation->is_global,
        .is_role = template->is_role,
        .time_s = traffic->start_s + (int64_t)happens_at(shard, index),
    };
    uint64_t late = draw_of(shard, index, DRAW_LATE);
    if (late % 50 == 0) making.time_s -= (int64_t)(late / 50 % LATE_MAX_S);
    choose_principal(&making);
    traffic->text_size = fill_template(&making, template, traffic->text);
    assert(traffic->text_size <= TEXT_SIZE_MAX);
    traffic->last = (struct traffic_event){
        .record = span_of(traffic->text, traffic->text_size),
        .account = span_text(making.account->id),
        .region = region_of(&making),
        .agent_region = traffic->model.regions[shard->region],
        .account_index = shard->account,
        .agent_region_index = shard->region,
        .event_time_s = making.time_s,
        .is_global = operation->is_global,
    };
}

static void sift_down(struct traffic *traffic, uint32_t at) {
    struct shard moved = traffic->shards[at];
    for (;;) {
        uint32_t child = 2 * at + 1;
        if (child >= traffic->shards_count) break;
        if (child + 1 < traffic->shards_count &&
            traffic->shards[child + 1].next_at < traffic->shards[child].next_at) {
            child++;
        }
        if (moved.next_at <= traffic->shards[child].next_at) break;
        traffic->shards[at] = traffic->shards[child];
        at = child;
    }
    traffic->shards[at] = moved;
}

// How many agents besides its own report an event.
static uint32_t count_copies(const struct traffic *traffic, const struct shard *shard,
                             uint64_t index) {
    const struct traffic_model *model = &traffic->model;
    if (!traffic->last.is_global || model->copies_count == 0) return 0;
    double unit = traffic_unit(draw_of(shard, index, DRAW_COPIES));
    uint32_t copies = model->copies[pick(model->copies_end, model->copies_count, unit)];
    return (copies < model->regions_count ? copies : model->regions_count) - 1;
}

void traffic_next(struct traffic *traffic, struct traffic_event *event) {
    if (traffic->copies_left > 0) {
        traffic->copies_left--;
        traffic->copy_region = (traffic->copy_region + 1) % traffic->model.regions_count;
        traffic->last.agent_region_index = traffic->copy_region;
        traffic->last.agent_region = traffic->model.regions[traffic->copy_region];
        traffic->last.is_repeat = true;
        *event = traffic->last;
        return;
    }
    struct shard *shard = &traffic->shards[0];
    uint64_t index = shard->next;
    uint64_t resend = draw_of(shard, index, DRAW_RESEND);
    bool is_resend =
        traffic->repeats && index > 0 && traffic_unit(resend) < traffic->model.resend_share;
    if (is_resend && !shard->resent) {
        // The resend comes before the event whose draw asked for it.
        uint64_t back = index < RESEND_BACK ? index : RESEND_BACK;
        make_event(traffic, shard, index - 1 - traffic_mix(resend) % back);
        traffic->last.is_repeat = true;
        shard->resent = true;
        *event = traffic->last;
        return;
    }
    make_event(traffic, shard, index);
    traffic->copies_left = traffic->repeats ? count_copies(traffic, shard, index) : 0;
    traffic->copy_region = shard->region;
    *event = traffic->last;
    shard->resent = false;
    shard->next = index + 1;
    shard->next_at = happens_at(shard, shard->next);
    sift_down(traffic, 0);
}

static bool id_is_taken(const struct traffic *traffic, uint32_t count, uint64_t number) {
    for (uint32_t index = 0; index < count; index++) {
        if (strtoull(traffic->accounts[index].id, NULL, 10) == number) return true;
    }
    return false;
}

// The first accounts have the rare roles, the rest the last one.
static uint32_t role_of(const struct traffic_model *model, uint32_t index) {
    for (uint32_t role = 0; role + 1 < model->roles_count; role++) {
        if (index < model->roles[role].accounts) return role;
        index -= model->roles[role].accounts;
    }
    return model->roles_count - 1;
}

static void make_account(struct traffic *traffic, uint64_t seed, uint32_t index) {
    struct account *account = &traffic->accounts[index];
    uint64_t number = UINT64_C(100000000000) + traffic_mix(seed + index) % UINT64_C(899999999999);
    while (id_is_taken(traffic, index, number)) number++;
    snprintf(account->id, sizeof account->id, "%012llu", (unsigned long long)number);
    account->key = combine(seed, number);
    double users = traffic_unit(combine(account->key, 1));
    account->users = 2 + (uint32_t)(30 * users * users);
    account->roles = 10 + (uint32_t)(59 * traffic_unit(combine(account->key, 2)));
    account->role_index = role_of(&traffic->model, index);
    account->share = 1 / pow(index + 2, 1.05);
}

static double region_share(const struct traffic *traffic, uint32_t account, uint32_t region) {
    const struct traffic_model *model = &traffic->model;
    uint64_t key = traffic->accounts[account].key;
    uint32_t count = model->regions_count;
    uint32_t home = pick(model->home_region_end, count, traffic_unit(combine(key, 3)));
    uint32_t second = (home + 1 + (uint32_t)(combine(key, 4) % (count - 1))) % count;
    if (region == home) return model->share_home;
    if (region == second) return model->share_second;
    return (1 - model->share_home - model->share_second) / (count - 2);
}

static bool make_shards(struct traffic *traffic, const struct traffic_options *options,
                        uint64_t seed, struct fault *fault) {
    uint32_t regions = traffic->model.regions_count;
    double rate = options->rate > 0 ? options->rate : 1000;
    double total = 0;
    for (uint32_t index = 0; index < traffic->accounts_count; index++) {
        total += traffic->accounts[index].share;
    }
    for (uint32_t account = 0; account < traffic->accounts_count; account++) {
        if (options->account >= 0 && account != (uint32_t)options->account) continue;
        for (uint32_t region = 0; region < regions; region++) {
            if (options->region >= 0 && region != (uint32_t)options->region) continue;
            struct shard *shard = &traffic->shards[traffic->shards_count++];
            *shard = (struct shard){
                .account = account,
                .region = region,
                .key = traffic_mix(seed ^ traffic_mix(account * UINT64_C(17) + region)),
                .rate = rate * traffic->accounts[account].share / total *
                        region_share(traffic, account, region),
            };
            shard->next_at = happens_at(shard, 0);
        }
    }
    if (traffic->shards_count == 0) {
        return fault_set(fault, FAULT_INPUT, "no account %d of %u or no region %d of %u",
                         options->account, traffic->accounts_count, options->region, regions);
    }
    for (uint32_t at = traffic->shards_count / 2; at-- > 0;) sift_down(traffic, at);
    return true;
}

static bool make_population(struct traffic *traffic, const struct traffic_options *options,
                            struct fault *fault) {
    uint64_t seed = options->seed != 0 ? options->seed : TRAFFIC_SEED;
    traffic->start_s = options->start_s;
    traffic->repeats = options->repeats;
    traffic->accounts_count = options->accounts > 0 ? options->accounts : ACCOUNTS_DEFAULT;
    size_t shards = (size_t)traffic->accounts_count * traffic->model.regions_count;
    traffic->accounts =
        arena_allocate_array(traffic->arena, traffic->accounts_count, sizeof *traffic->accounts);
    traffic->shards = arena_allocate_array(traffic->arena, shards, sizeof *traffic->shards);
    traffic->text = arena_allocate(traffic->arena, TEXT_SIZE_MAX);
    if (traffic->accounts == NULL || traffic->shards == NULL || traffic->text == NULL) {
        return fault_set(fault, FAULT_FULL, "no memory for %u accounts", traffic->accounts_count);
    }
    double end = 0;
    for (uint32_t rank = 0; rank < PRINCIPALS_MAX; rank++) {
        end += 1 / pow(rank + 1, 1.3);
        traffic->zipf_end[rank] = end;
    }
    for (uint32_t index = 0; index < traffic->accounts_count; index++) {
        make_account(traffic, seed, index);
    }
    return make_shards(traffic, options, seed, fault);
}

bool traffic_create(const struct traffic_options *options, struct traffic **traffic,
                    struct fault *fault) {
    struct traffic *made = calloc(1, sizeof *made);
    if (made == NULL) return fault_set(fault, FAULT_FULL, "no memory for traffic");
    made->arena = arena_create(MODEL_SIZE_MAX);
    bool created = made->arena != NULL
                       ? traffic_model_read(options->directory, made->arena, &made->model, fault) &&
                             make_population(made, options, fault)
                       : fault_set(fault, FAULT_FULL, "no memory for traffic");
    if (!created) {
        traffic_destroy(made);
        return false;
    }
    *traffic = made;
    return true;
}

void traffic_destroy(struct traffic *traffic) {
    if (traffic == NULL) return;
    arena_destroy(traffic->arena);
    free(traffic);
}

uint32_t traffic_accounts(const struct traffic *traffic) {
    return traffic->accounts_count;
}

uint32_t traffic_regions(const struct traffic *traffic) {
    return traffic->model.regions_count;
}

struct span traffic_account_id(const struct traffic *traffic, uint32_t account) {
    assert(account < traffic->accounts_count);
    return span_text(traffic->accounts[account].id);
}

struct span traffic_region_name(const struct traffic *traffic, uint32_t region) {
    assert(region < traffic->model.regions_count);
    return traffic->model.regions[region];
}
