#include "collector/deliver/digests.h"

#include <stdio.h>
#include <stdlib.h>

#include "base/arena.h"
#include "base/clock.h"
#include "base/gzip.h"
#include "base/json.h"
#include "base/json_writer.h"
#include "collector/deliver/digest_keys.h"
#include "collector/metrics.h"
#include "event/digest.h"

enum {
    BATCH = 32,                        // documents of one commit
    BATCH_SIZE_MAX = 8 * 1024 * 1024,  // bytes of them
    CHAIN_SIZE_MAX = 16 * 1024,        // bytes of a chain's document
    CHAIN_HASH_SIZE = 10,              // bytes of a hash of account and region
    GZIP_LEVEL = 6,
    KEY_SIZE = 2 * FILE_NAME_SIZE,
};

// A log file that waits for its digest.
struct file {
    struct span account;
    struct span region;
    struct digest_file file;
};

// Where a chain stands.
struct link {
    int64_t end_s;
    struct digest_previous digest;
};

// The chains of one account and region: of digests in time, and of those that came late.
struct chain {
    struct span account;
    struct span region;
    struct span document;  // as it is stored; empty: there is none
    struct link links[2];  // by is_backfill
};

struct work {
    const struct digests_options *options;
    const struct state_digest *plan;
    struct seat *seat;
    struct arena *arena;
    struct json_reader *json;
    struct digest_key key;
    struct buffer text;
    struct buffer packed;
    struct buffer signed_text;
    struct file *files;
    uint32_t files_count, files_capacity;
    struct chain *chains;
    uint32_t chains_count, chains_capacity;
    struct append_document batch[BATCH];
    uint32_t batch_count;
    bool has_failed;
    struct fault fault;
};

static bool fail(struct work *work, const char *text) {
    work->has_failed = true;
    return fault_set(&work->fault, FAULT_FULL, "%s", text);
}

static int64_t number_of(const struct yyjson_val *object, const char *name) {
    return yyjson_get_sint((yyjson_val *)(uintptr_t)json_member(object, span_text(name)));
}

// A text of an object, copied; false: no memory.
static bool take_text(struct work *work, const struct yyjson_val *object, const char *name,
                      struct span *text) {
    return arena_copy(work->arena, json_member_string(object, span_text(name)), text) ||
           fail(work, "no memory for digests");
}

static bool grow(struct work *work, void **items, uint32_t count, uint32_t *capacity, size_t size) {
    if (count < *capacity) return true;
    uint32_t larger = *capacity == 0 ? 256 : *capacity * 2;
    void *grown = realloc(*items, larger * size);
    if (grown == NULL) return fail(work, "no memory for digests");
    *items = grown;
    *capacity = larger;
    return true;
}

// ---- what there is

static bool read_file(struct work *work, const struct yyjson_val *item, struct span bucket) {
    struct file file = {.file = {.bucket = bucket,
                                 .newest_s = number_of(item, "newest_s"),
                                 .oldest_s = number_of(item, "oldest_s")}};
    if (!grow(work, (void **)&work->files, work->files_count, &work->files_capacity,
              sizeof *work->files) ||
        !take_text(work, item, "account", &file.account) ||
        !take_text(work, item, "region", &file.region) ||
        !take_text(work, item, "object", &file.file.object) ||
        !take_text(work, item, "hash", &file.file.hash)) {
        return false;
    }
    work->files[work->files_count++] = file;
    return true;
}

static bool on_list(void *user, struct span name, struct span value) {
    struct work *work = user;
    const struct yyjson_val *root;
    struct span bucket;
    (void)name;
    if (!json_read(work->json, value, &root, &work->fault)) {
        work->has_failed = true;
        return false;
    }
    if (number_of(root, "time_s") > work->plan->end_s) return true;
    if (!take_text(work, root, "bucket", &bucket)) return false;
    yyjson_val *list = (yyjson_val *)(uintptr_t)json_member(root, SPAN_LITERAL("files"));
    size_t index, count;
    yyjson_val *item;
    yyjson_arr_foreach(list, index, count, item) {
        if (!read_file(work, item, bucket)) return false;
    }
    return true;
}

static bool add_chain(struct work *work, const struct chain *chain) {
    if (work->chains_count == DIGESTS_PAIRS_MAX) {
        return fail(work, "a trail of too many accounts and regions for digests");
    }
    if (!grow(work, (void **)&work->chains, work->chains_count, &work->chains_capacity,
              sizeof *work->chains)) {
        return false;
    }
    work->chains[work->chains_count++] = *chain;
    return true;
}

static bool read_link(struct work *work, const struct yyjson_val *object, struct link *link) {
    if (object == NULL) return true;
    link->end_s = number_of(object, "end_s");
    return take_text(work, object, "bucket", &link->digest.bucket) &&
           take_text(work, object, "object", &link->digest.object) &&
           take_text(work, object, "hash", &link->digest.hash) &&
           take_text(work, object, "signature", &link->digest.signature);
}

static bool on_chain(void *user, struct span name, struct span value) {
    struct work *work = user;
    const struct yyjson_val *root;
    struct chain chain = {0};
    (void)name;
    if (!json_read(work->json, value, &root, &work->fault)) {
        work->has_failed = true;
        return false;
    }
    return (arena_copy(work->arena, value, &chain.document) ||
            fail(work, "no memory for digests")) &&
           take_text(work, root, "account", &chain.account) &&
           take_text(work, root, "region", &chain.region) &&
           read_link(work, json_member(root, SPAN_LITERAL("standard")), &chain.links[0]) &&
           read_link(work, json_member(root, SPAN_LITERAL("backfill")), &chain.links[1]) &&
           add_chain(work, &chain);
}

// Accounts and regions that have a digest though nothing came of them: the trail's own, and those
// that the roster expects.
static bool add_expected(struct work *work) {
    const struct trail *trail = work->options->trail;
    const struct chain home = {.account = trail->account, .region = trail->region};
    if (!add_chain(work, &home)) return false;
    if (!trail->is_organization || work->options->roster == NULL) return true;
    uint32_t place;
    bool is_good = true;
    const struct roster *roster = roster_live_enter(work->options->roster, &place);
    for (uint32_t index = 0; is_good && index < roster_count(roster); index++) {
        const struct roster_account *account = roster_get(roster, index);
        for (uint32_t region = 0; is_good && region < account->regions_count; region++) {
            struct chain chain = {0};
            struct span expected = span_text(account->regions[region]);
            if (!trail->is_multi_region && !span_equal(expected, trail->region)) continue;
            is_good = (arena_copy(work->arena, span_text(account->id), &chain.account) &&
                       arena_copy(work->arena, expected, &chain.region)) ||
                      fail(work, "no memory for digests");
            is_good = is_good && add_chain(work, &chain);
        }
    }
    roster_live_leave(work->options->roster, place);
    return is_good;
}

static int compare_places(struct span account, struct span region, struct span other_account,
                          struct span other_region) {
    int order = span_compare(account, other_account);
    return order != 0 ? order : span_compare(region, other_region);
}

static int compare_files(const void *left, const void *right) {
    const struct file *one = left, *other = right;
    int order = compare_places(one->account, one->region, other->account, other->region);
    return order != 0 ? order : span_compare(one->file.object, other->file.object);
}

// One that is stored comes before one that is not.
static int compare_chains(const void *left, const void *right) {
    const struct chain *one = left, *other = right;
    int order = compare_places(one->account, one->region, other->account, other->region);
    return order != 0 ? order : (one->document.size == 0) - (other->document.size == 0);
}

static bool is_same_place(const struct chain *chain, struct span account, struct span region) {
    return span_equal(chain->account, account) && span_equal(chain->region, region);
}

// Each account and region once, in order, with those of the files among them.
static bool sort(struct work *work) {
    uint32_t kept = 0;
    for (uint32_t index = 0; index < work->files_count; index++) {
        const struct file *file = &work->files[index];
        const struct chain chain = {.account = file->account, .region = file->region};
        bool is_new = index == 0 || !is_same_place(&chain, work->files[index - 1].account,
                                                   work->files[index - 1].region);
        if (is_new && !add_chain(work, &chain)) return false;
    }
    qsort(work->chains, work->chains_count, sizeof *work->chains, compare_chains);
    for (uint32_t index = 0; index < work->chains_count; index++) {
        const struct chain *chain = &work->chains[index];
        if (kept > 0 && is_same_place(&work->chains[kept - 1], chain->account, chain->region)) {
            continue;
        }
        work->chains[kept++] = *chain;
    }
    work->chains_count = kept;
    return true;
}

static bool load(struct work *work, struct fault *fault) {
    char lists[TRAIL_NAME_SIZE_MAX], chains[TRAIL_NAME_SIZE_MAX];
    struct trail_reader *reader = work->seat->reader;
    snprintf(lists, sizeof lists, STATE_FILES "%s/", work->options->id);
    snprintf(chains, sizeof chains, STATE_CHAINS "%s/", work->options->id);
    if (!trail_reader_documents(reader, span_text(lists), on_list, work, fault)) return false;
    if (!work->has_failed &&
        !trail_reader_documents(reader, span_text(chains), on_chain, work, fault)) {
        return false;
    }
    if (work->files_count > 0) {
        qsort(work->files, work->files_count, sizeof *work->files, compare_files);
    }
    if (!work->has_failed && add_expected(work) && sort(work)) return true;
    *fault = work->fault;
    return false;
}

// ---- saving chains

static bool flush(struct work *work, struct fault *fault) {
    bool is_good = work->batch_count == 0 ||
                   seat_save(work->seat, work->batch, work->batch_count, NULL, fault);
    work->batch_count = 0;
    return is_good;
}

static void print_link(const struct link *link, const char *name, struct json_writer *writer) {
    if (link->end_s == 0) return;
    json_write_object(writer, name);
    json_write_integer(writer, "end_s", link->end_s);
    json_write_string(writer, "bucket", link->digest.bucket);
    json_write_string(writer, "object", link->digest.object);
    json_write_string(writer, "hash", link->digest.hash);
    json_write_string(writer, "signature", link->digest.signature);
    json_write_end(writer);
}

static bool save_chain(struct work *work, const struct chain *chain, struct fault *fault) {
    uint8_t hash[SHA256_SIZE];
    char hex[2 * CHAIN_HASH_SIZE + 1];
    const struct span parts[] = {chain->account, SPAN_LITERAL("/"), chain->region};
    struct append_document *document = &work->batch[work->batch_count];
    crypto_sha256(parts, 3, hash);
    crypto_print_hex(span_of(hash, CHAIN_HASH_SIZE), hex);
    const char *name = arena_print(work->arena, STATE_CHAINS "%s/%s", work->options->id, hex);
    buffer_reset(&work->text);
    struct json_writer writer = json_writer_begin(&work->text);
    json_write_object(&writer, NULL);
    json_write_string(&writer, "account", chain->account);
    json_write_string(&writer, "region", chain->region);
    print_link(&chain->links[0], "standard", &writer);
    print_link(&chain->links[1], "backfill", &writer);
    json_write_end(&writer);
    document->before = chain->document;
    if (name == NULL || buffer_overflowed(&work->text) ||
        !arena_copy(work->arena, buffer_span(&work->text), &document->after)) {
        return fault_set(fault, FAULT_FULL, "no memory for digests");
    }
    document->name = span_text(name);
    work->batch_count++;
    return work->batch_count < BATCH || flush(work, fault);
}

// ---- one digest

static bool sign(struct work *work, const struct digest *digest, const uint8_t hash[SHA256_SIZE],
                 char signature[DIGEST_SIGNATURE_TEXT_SIZE], struct fault *fault) {
    uint8_t bytes[CRYPTO_RSA_SIGNATURE_SIZE];
    buffer_reset(&work->signed_text);
    digest_print_signed(digest, hash, &work->signed_text);
    if (buffer_overflowed(&work->signed_text)) {
        return fault_set(fault, FAULT_FULL, "no memory for digests");
    }
    if (!crypto_rsa_sign(work->key.rsa, buffer_span(&work->signed_text), bytes, fault))
        return false;
    crypto_print_hex(span_of(bytes, sizeof bytes), signature);
    return true;
}

static bool write_object(struct work *work, const struct object_name *name, const char *signature,
                         struct fault *fault) {
    char made[TIME_TEXT_SIZE];
    time_print_ms(work->plan->made_ms, made);
    const struct object_metadata metadata[] = {
        {"signature", span_text(signature)},
        {"signature-algorithm", SPAN_LITERAL(DIGEST_SIGNATURE_ALGORITHM)},
        {"backfill-generation-timestamp", span_text(made)},
    };
    buffer_reset(&work->packed);
    if (!gzip_write(buffer_span(&work->text), GZIP_LEVEL, &work->packed, fault)) return false;
    const struct object_write write = {*name, buffer_span(&work->packed), metadata,
                                       work->plan->is_backfill ? 3 : 2};
    return work->options->is_repeat ? objects_write_again(work->options->objects, &write, 1, fault)
                                    : objects_write(work->options->objects, &write, 1, fault);
}

// Keeps in the arena what the next digest says of this one.
static bool link_digest(struct work *work, struct link *link, const struct digest *digest,
                        const uint8_t hash[SHA256_SIZE], const char *signature,
                        struct fault *fault) {
    char hex[SHA256_HEX_SIZE];
    crypto_print_hex(span_of(hash, SHA256_SIZE), hex);
    struct link made = {.end_s = digest->end_s};
    if (!arena_copy(work->arena, digest->bucket, &made.digest.bucket) ||
        !arena_copy(work->arena, digest->object, &made.digest.object) ||
        !arena_copy(work->arena, span_text(hex), &made.digest.hash) ||
        !arena_copy(work->arena, span_text(signature), &made.digest.signature)) {
        return fault_set(fault, FAULT_FULL, "no memory for digests");
    }
    *link = made;
    return true;
}

static bool write_digest(struct work *work, struct chain *chain, const struct digest_file *files,
                         uint32_t files_count, struct fault *fault) {
    const struct trail *trail = work->options->trail;
    const struct state_digest *plan = work->plan;
    struct link *link = &chain->links[plan->is_backfill];
    uint8_t hash[SHA256_SIZE];
    char name[FILE_NAME_SIZE], key[KEY_SIZE], signature[DIGEST_SIGNATURE_TEXT_SIZE];
    struct digest digest = {
        .place = {.organization =
                      span_text(trail->is_organization ? work->options->organization : ""),
                  .account = chain->account,
                  .region = chain->region.size == 0 ? SPAN_LITERAL("none") : chain->region,
                  .trail = trail->name,
                  .home_region = trail->region},
        .bucket = trail->bucket,
        .fingerprint = span_text(work->key.fingerprint),
        .start_s = plan->start_s,
        .end_s = plan->end_s,
        .files = files,
        .files_count = files_count,
    };
    if (!plan->is_first) digest.previous = link->digest;
    digest_print_name(&digest.place, plan->end_s, plan->is_backfill, name);
    snprintf(key, sizeof key, "%.*s%s%s", SPAN_PRINT(trail->prefix),
             trail->prefix.size > 0 ? "/" : "", name);
    digest.object = span_text(key);
    buffer_reset(&work->text);
    digest_print(&digest, &work->text);
    if (buffer_overflowed(&work->text)) {
        return fault_set(fault, FAULT_FULL, "no memory for a digest of %u files",
                         (unsigned)files_count);
    }
    const struct span text = buffer_span(&work->text);
    const struct object_name object = {digest.bucket, digest.object};
    crypto_sha256(&text, 1, hash);
    return sign(work, &digest, hash, signature, fault) &&
           write_object(work, &object, signature, fault) &&
           link_digest(work, link, &digest, hash, signature, fault) &&
           save_chain(work, chain, fault);
}

// The files of a chain's account and region, side by side in the arena.
static bool choose_files(struct work *work, const struct chain *chain, uint32_t *next,
                         struct digest_file **files, uint32_t *count, struct fault *fault) {
    uint32_t begin = *next;
    while (*next < work->files_count &&
           is_same_place(chain, work->files[*next].account, work->files[*next].region)) {
        (*next)++;
    }
    *count = *next - begin;
    *files = arena_allocate_array(work->arena, *count, sizeof **files);
    if (*files == NULL) return fault_set(fault, FAULT_FULL, "no memory for digests");
    for (uint32_t index = 0; index < *count; index++) {
        (*files)[index] = work->files[begin + index].file;
    }
    return true;
}

static bool write_all(struct work *work, struct fault *fault) {
    const struct seat *seat = work->seat;
    struct metric *metric = &metrics_table[METRICS_DELIVERED_DIGESTS];
    uint32_t next = 0;
    for (uint32_t index = 0; index < work->chains_count; index++) {
        struct chain *chain = &work->chains[index];
        struct digest_file *files;
        uint32_t count;
        if (!choose_files(work, chain, &next, &files, &count, fault)) return false;
        if (chain->links[work->plan->is_backfill].end_s >= work->plan->end_s) continue;
        if (seat_is_stopping(seat)) {
            return fault_set(fault, FAULT_RETRY, "the collector is stopping");
        }
        if (!write_digest(work, chain, files, count, fault)) {
            // What is written and not saved is written again, the same.
            return false;
        }
        metric_add(metric, metric_label(metric, span_text(work->options->follower)), 1);
    }
    return flush(work, fault);
}

// ---- forgetting lists of files

struct removal {
    struct seat *seat;
    struct arena *arena;
    struct json_reader *json;  // NULL: all go
    int64_t until_s;
    struct append_document documents[BATCH];
    uint32_t count;
    size_t size;
    bool has_failed;
};

static bool on_removed(void *user, struct span name, struct span value) {
    struct removal *removal = user;
    struct fault ignored;
    const struct yyjson_val *root;
    struct append_document *document = &removal->documents[removal->count];
    if (removal->json != NULL && json_read(removal->json, value, &root, &ignored) &&
        number_of(root, "time_s") > removal->until_s) {
        return true;
    }
    *document = (struct append_document){0};
    removal->has_failed = !arena_copy(removal->arena, name, &document->name) ||
                          !arena_copy(removal->arena, value, &document->before);
    if (removal->has_failed) return false;
    removal->size += value.size;
    removal->count++;
    return removal->count < BATCH && removal->size < BATCH_SIZE_MAX;
}

static bool remove_all(struct removal *removal, struct span prefix, struct fault *fault) {
    bool is_good = true;
    do {
        arena_reset(removal->arena);
        removal->count = 0;
        removal->size = 0;
        is_good = trail_reader_documents(removal->seat->reader, prefix, on_removed, removal, fault);
        if (is_good && removal->has_failed) is_good = fault_set(fault, FAULT_FULL, "no memory");
        if (is_good && removal->count > 0) {
            is_good = seat_save(removal->seat, removal->documents, removal->count, NULL, fault);
        }
    } while (is_good && removal->count > 0);
    return is_good;
}

static bool remove_until(struct seat *seat, struct span prefix, struct json_reader *json,
                         int64_t until_s, struct fault *fault) {
    struct removal removal = {.seat = seat,
                              .arena = arena_create(2 * BATCH_SIZE_MAX + 16 * 1024 * 1024),
                              .json = json,
                              .until_s = until_s};
    if (removal.arena == NULL) return fault_set(fault, FAULT_FULL, "no memory");
    bool is_good = remove_all(&removal, prefix, fault);
    arena_destroy(removal.arena);
    return is_good;
}

bool digests_remove_documents(struct seat *seat, struct span prefix, struct fault *fault) {
    return remove_until(seat, prefix, NULL, 0, fault);
}

// ---- all of it

static bool run(struct work *work, struct fault *fault) {
    char lists[TRAIL_NAME_SIZE_MAX];
    snprintf(lists, sizeof lists, STATE_FILES "%s/", work->options->id);
    // The key of the plan's time, at each attempt the same: a file has one signature.
    return digest_key_get(work->seat, work->options->secret, work->plan->made_ms,
                          work->options->key_lifetime_ms, &work->key, fault) &&
           load(work, fault) && write_all(work, fault) &&
           remove_until(work->seat, span_text(lists), work->json, work->plan->end_s, fault);
}

bool digests_write(const struct digests_options *options, const struct state_digest *plan,
                   struct seat *seat, struct fault *fault) {
    struct work work = {.options = options,
                        .plan = plan,
                        .seat = seat,
                        .arena = arena_create(DIGESTS_ARENA_SIZE),
                        .json = json_reader_create()};
    buffer_init(&work.text, DIGEST_TEXT_SIZE_MAX);
    buffer_init(&work.packed, DIGEST_TEXT_SIZE_MAX);
    buffer_init(&work.signed_text, CHAIN_SIZE_MAX);
    bool is_good = (work.arena != NULL && work.json != NULL) ||
                   fault_set(fault, FAULT_FULL, "no memory for digests");
    is_good = is_good && run(&work, fault);
    crypto_rsa_destroy(work.key.rsa);
    buffer_done(&work.text);
    buffer_done(&work.packed);
    buffer_done(&work.signed_text);
    free(work.files);
    free(work.chains);
    json_reader_destroy(work.json);
    arena_destroy(work.arena);
    return is_good;
}
