// chain.c: the digests of one trail, account and region, one after the other.

#include <stdlib.h>
#include <string.h>

#include "base/clock.h"
#include "event/file.h"
#include "verify/walk_internal.h"

enum { GRACE_S = 60 };  // beside a quarter of the interval: so late may a digest come

// How a chain stands before its next digest.
struct chain {
    struct walk *walk;
    struct span trail;
    bool is_wanted;
    bool is_backfill;
    bool goes_on;    // digests behind the range are there
    bool is_newest;  // the last one is known to be the newest there is
    // The last digest that was verified.
    bool has_last;
    bool last_is_read;    // its hash is known
    bool last_is_signed;  // so is its signature, and it is good
    const struct walk_entry *last;
    int64_t last_end_s;
    char last_hash[SHA256_HEX_SIZE];
    char last_signature[DELIVERED_SIGNATURE_SIZE];
    int64_t durations[WALK_DURATIONS];
    uint32_t durations_count;
    struct walk_chain *summary;  // NULL: nothing of it is in the range
};

// A digest on its way through the checks.
struct reading {
    const struct walk_entry *entry;
    struct digest_text text;
    struct delivered_metadata metadata;
    struct object_facts facts;
    char hash[SHA256_HEX_SIZE];
};

static struct finding describe(const struct chain *chain, enum finding_kind kind,
                               const struct walk_entry *entry) {
    struct finding finding = {.kind = kind, .trail = chain->trail};
    if (entry != NULL) {
        finding.bucket = entry->place->bucket;
        finding.object = entry->key;
        finding.to_s = entry->name.end_s;
    }
    return finding;
}

// ---- how long a digest's time is

static int compare_times(const void *left, const void *right) {
    const int64_t *one = left, *other = right;
    return (*one > *other) - (*one < *other);
}

static int64_t measure_interval(const struct chain *chain) {
    int64_t sorted[WALK_DURATIONS];
    uint32_t count =
        chain->durations_count < WALK_DURATIONS ? chain->durations_count : WALK_DURATIONS;
    if (count == 0) return WALK_INTERVAL_S;
    memcpy(sorted, chain->durations, count * sizeof *sorted);
    qsort(sorted, count, sizeof *sorted, compare_times);
    return sorted[count / 2];
}

static void add_duration(struct chain *chain, int64_t duration_s) {
    if (duration_s > 0) chain->durations[chain->durations_count++ % WALK_DURATIONS] = duration_s;
}

static uint64_t count_missing(const struct chain *chain, int64_t from_s, int64_t to_s) {
    int64_t interval_s = measure_interval(chain);
    if (chain->is_backfill) return 1;  // they come as outages do
    int64_t count = (to_s - from_s + interval_s / 2) / interval_s;
    return count < 1 ? 1 : (uint64_t)count;
}

// ---- the link to the digest before it

static void report_missing(struct chain *chain, const struct reading *reading, int64_t from_s,
                           int64_t to_s) {
    const struct digest *digest = &reading->text.digest;
    struct finding finding = describe(chain, FINDING_DIGESTS_MISSING, NULL);
    finding.bucket = digest->previous.bucket;
    finding.object = digest->previous.object;
    finding.from_s = from_s;
    finding.to_s = to_s;
    char end[TIME_TEXT_SIZE], before[TIME_TEXT_SIZE];
    time_print(digest->end_s, end);
    if (from_s == 0) {
        finding.count = 1;
        walk_report(chain->walk, &finding,
                    "the digest of %s, the oldest here, names this one before it; --from says "
                    "since when there should be any",
                    end);
    } else {
        finding.count = count_missing(chain, from_s, to_s);
        time_print(from_s, before);
        walk_report(chain->walk, &finding,
                    "the digest of %s names this one before it; the last one here is that of %s",
                    end, before);
    }
    walk_add_time(&chain->walk->holes, from_s, to_s);
}

static bool parse_end(struct span object, int64_t *end_s) {
    struct digest_name name;
    size_t at = object.size;
    while (at > 0 && object.bytes[at - 1] != '/') at--;
    if (!digest_parse_name(span_from(object, at), &name)) return false;
    *end_s = name.end_s;
    return true;
}

// The oldest digest here names one before it, which may be out of the range or in another place.
static void check_first(struct chain *chain, const struct reading *reading) {
    struct walk *walk = chain->walk;
    const struct digest *digest = &reading->text.digest;
    struct object_facts facts;
    int64_t end_s = digest->start_s;
    (void)parse_end(digest->previous.object, &end_s);
    bool is_outside = end_s <= walk->options->from_s;
    object_read(walk->objects, digest->previous.bucket, digest->previous.object, 0, NULL, &facts);
    if (facts.state == OBJECT_GOOD) {
        char hash[SHA256_HEX_SIZE];
        crypto_print_hex(span_of(facts.hash, sizeof facts.hash), hash);
        if (span_is(digest->previous.hash, hash)) return;
        struct finding finding = describe(chain, FINDING_LINK_HASH, reading->entry);
        walk_report(walk, &finding, "it says %.*s of s3://%.*s/%.*s, whose text has %s",
                    SPAN_PRINT(digest->previous.hash), SPAN_PRINT(digest->previous.bucket),
                    SPAN_PRINT(digest->previous.object), hash);
    } else if (is_outside) {
        return;
    } else if (facts.state == OBJECT_NO_BUCKET) {
        struct finding finding = describe(chain, FINDING_ELSEWHERE, reading->entry);
        walk_report(walk, &finding, "the digest before it is s3://%.*s/%.*s",
                    SPAN_PRINT(digest->previous.bucket), SPAN_PRINT(digest->previous.object));
    } else {
        report_missing(chain, reading, 0, digest->start_s);
    }
}

// How far backfill digests go on from a moment.
static int64_t find_covered(const struct chain *chain, int64_t from_s) {
    const struct walk_times *covers = &chain->walk->covers;
    for (uint32_t index = 0; index < covers->count; index++) {
        const struct walk_time *cover = &covers->list[index];
        if (cover->from_s <= from_s && cover->to_s > from_s) from_s = cover->to_s;
    }
    return from_s;
}

static void check_time(struct chain *chain, const struct reading *reading) {
    const struct digest *digest = &reading->text.digest;
    bool is_gap = digest->start_s > chain->last_end_s;
    char before[TIME_TEXT_SIZE], start[TIME_TEXT_SIZE];
    // Backfill digests leave out all times that were no outages.
    if (chain->is_backfill || digest->start_s == chain->last_end_s) return;
    if (is_gap && find_covered(chain, chain->last_end_s) >= digest->start_s) return;
    struct finding finding =
        describe(chain, is_gap ? FINDING_TIME_GAP : FINDING_DIGEST_DOUBLE, reading->entry);
    finding.from_s = is_gap ? chain->last_end_s : digest->start_s;
    finding.to_s = is_gap ? digest->start_s : chain->last_end_s;
    time_print(chain->last_end_s, before);
    time_print(digest->start_s, start);
    walk_report(chain->walk, &finding, "it begins at %s; the one before it ends at %s", start,
                before);
}

// The one before it is the one it names: is it the same in text and signature?
static void check_predecessor(struct chain *chain, const struct reading *reading) {
    const struct digest_previous *previous = &reading->text.digest.previous;
    uint8_t one[CRYPTO_RSA_SIGNATURE_SIZE], other[CRYPTO_RSA_SIGNATURE_SIZE];
    struct finding finding = describe(chain, FINDING_LINK_HASH, reading->entry);
    // A digest before it that is no good itself has been reported.
    if (!chain->last_is_read) return;
    if (chain->last_is_signed || chain->last_signature[0] == 0) {
        if (!span_is(previous->hash, chain->last_hash))
            walk_report(chain->walk, &finding, "it says %.*s; that text has %s",
                        SPAN_PRINT(previous->hash), chain->last_hash);
    }
    if (!chain->last_is_signed) return;
    struct span signature = span_text(chain->last_signature);
    bool is_same = crypto_parse_hex(previous->signature, one, sizeof one) &&
                   crypto_parse_hex(signature, other, sizeof other) &&
                   memcmp(one, other, sizeof one) == 0;
    if (is_same) return;
    finding.kind = FINDING_LINK_SIGNATURE;
    walk_report(chain->walk, &finding, "it says %.*s...; that one has %.*s...",
                (int)(previous->signature.size < 16 ? previous->signature.size : 16),
                (const char *)previous->signature.bytes, 16, chain->last_signature);
}

static void check_link(struct chain *chain, const struct reading *reading) {
    const struct digest *digest = &reading->text.digest;
    const struct digest_previous *previous = &digest->previous;
    bool begins = previous->bucket.size == 0;
    int64_t previous_end_s;
    if (begins && !chain->has_last) return;
    if (begins) {
        struct finding finding = describe(chain, FINDING_RESTARTED, reading->entry);
        char before[TIME_TEXT_SIZE], start[TIME_TEXT_SIZE];
        time_print(chain->last_end_s, before);
        time_print(digest->start_s, start);
        finding.from_s = chain->last_end_s;
        walk_report(chain->walk, &finding,
                    "it names none before it, though there is one that ends at %s; it begins at %s",
                    before, start);
        return;
    }
    if (!chain->has_last) {
        check_first(chain, reading);
        return;
    }
    const struct walk_entry *last = chain->last;
    if (span_equal(previous->bucket, last->place->bucket) &&
        span_equal(previous->object, last->key)) {
        check_predecessor(chain, reading);
        check_time(chain, reading);
    } else if (parse_end(previous->object, &previous_end_s) &&
               previous_end_s <= chain->last_end_s) {
        struct finding finding = describe(chain, FINDING_DIGEST_DOUBLE, last);
        walk_report(chain->walk, &finding,
                    "the digest behind it, s3://%.*s/%.*s, names another one before itself: "
                    "s3://%.*s/%.*s",
                    SPAN_PRINT(reading->entry->place->bucket), SPAN_PRINT(reading->entry->key),
                    SPAN_PRINT(previous->bucket), SPAN_PRINT(previous->object));
    } else {
        report_missing(chain, reading, chain->last_end_s, digest->start_s);
    }
}

// ---- one digest

// Whether it stands where it says, and its name says what it says.
static bool check_place(struct chain *chain, const struct reading *reading) {
    const struct digest *digest = &reading->text.digest;
    const struct walk_entry *entry = reading->entry;
    char account[FILE_PART_SIZE];
    file_print_part(digest->place.account, account);
    bool is_right = span_equal(digest->bucket, entry->place->bucket) &&
                    span_equal(digest->object, entry->key) && digest->end_s == entry->name.end_s &&
                    span_is(chain->walk->region->account, account);
    if (is_right) return true;
    struct finding finding = describe(chain, FINDING_DIGEST_MISPLACED, entry);
    char end[TIME_TEXT_SIZE];
    time_print(digest->end_s, end);
    walk_report(chain->walk, &finding, "it says s3://%.*s/%.*s, account %.*s, until %s",
                SPAN_PRINT(digest->bucket), SPAN_PRINT(digest->object),
                SPAN_PRINT(digest->place.account), end);
    return false;
}

// When a digest was signed: its end, or when it was made long afterwards.
static int64_t signing_time(const struct reading *reading) {
    int64_t seconds = reading->text.digest.end_s;
    struct fault ignored;
    if (reading->entry->name.is_backfill)
        (void)!time_parse(span_text(reading->metadata.backfill_time), &seconds, &ignored);
    return seconds;
}

// Whether its signature is good; otherwise *is_believed says whether its text may be right still.
static bool check_signature(struct chain *chain, const struct reading *reading, bool *is_believed) {
    struct walk *walk = chain->walk;
    const struct digest *digest = &reading->text.digest;
    struct finding finding = describe(chain, FINDING_DIGEST_UNSIGNED, reading->entry);
    struct span signature = span_text(reading->metadata.signature);
    *is_believed = true;
    if (signature.size == 0) {
        walk_report(walk, &finding, "nothing beside it says its signature");
        return false;
    }
    buffer_reset(&walk->claim);
    digest_print_claim(&reading->text, reading->facts.hash, &walk->claim);
    enum keys_verdict verdict =
        keys_verify(walk->options->keys, digest->fingerprint, signing_time(reading),
                    buffer_span(&walk->claim), signature);
    if (verdict == KEYS_GOOD) return true;
    int size = (int)(digest->fingerprint.size < 64 ? digest->fingerprint.size : 64);
    const char *fingerprint = (const char *)digest->fingerprint.bytes;
    if (verdict == KEYS_UNKNOWN) {
        finding.kind = FINDING_KEY_UNKNOWN;
        walk_report(walk, &finding, "no key has the fingerprint %.*s", size, fingerprint);
    } else if (verdict == KEYS_OUTDATED) {
        finding.kind = FINDING_KEY_OUTDATED;
        walk_report(walk, &finding, "the key %.*s was not in use at that time", size, fingerprint);
    } else {
        *is_believed = false;
        finding.kind = FINDING_DIGEST_CHANGED;
        walk_report(walk, &finding, "its signature is not of this text by the key %.*s", size,
                    fingerprint);
    }
    return false;
}

static void check_known(struct chain *chain, const struct reading *reading) {
    struct walk *walk = chain->walk;
    for (uint32_t index = 0; index < walk->known_count; index++) {
        const struct known_end *end = &walk->known[index];
        if (!span_equal(end->object, reading->entry->key) ||
            !span_equal(end->bucket, reading->entry->place->bucket)) {
            continue;
        }
        walk->known_seen[index] = true;
        chain->is_newest = end->is_newest;
        if (span_is(end->hash, reading->hash)) continue;
        struct finding finding = describe(chain, FINDING_DIGEST_REPLACED, reading->entry);
        walk_report(walk, &finding, "%s knows its text as %.*s; it is %s", end->source,
                    SPAN_PRINT(end->hash), reading->hash);
    }
}

// ---- its log files

static void check_log(struct chain *chain, const struct reading *reading,
                      const struct digest_file *file) {
    struct walk *walk = chain->walk;
    struct object_facts facts;
    char hash[SHA256_HEX_SIZE];
    uint8_t named[SHA256_SIZE] = {0};
    struct finding finding = describe(chain, FINDING_LOG_CHANGED, NULL);
    finding.bucket = file->bucket;
    finding.object = file->object;
    finding.to_s = reading->text.digest.end_s;
    walk->result->counts.logs++;
    chain->summary->logs++;
    object_read(walk->objects, file->bucket, file->object, 0, NULL, &facts);
    atomic_fetch_add_explicit(walk->options->files_done, 1, memory_order_relaxed);
    switch (facts.state) {
        case OBJECT_GOOD:
            break;
        case OBJECT_MISSING:
            finding.kind = FINDING_LOG_MISSING;
            walk_report(walk, &finding, "the digest that names it: %.*s",
                        SPAN_PRINT(reading->entry->key));
            return;
        case OBJECT_NO_BUCKET:
            finding.kind = FINDING_ELSEWHERE;
            walk_report(walk, &finding, "the digest that names it: %.*s",
                        SPAN_PRINT(reading->entry->key));
            return;
        case OBJECT_DAMAGED:
        case OBJECT_UNREADABLE:
            finding.kind = facts.state == OBJECT_DAMAGED ? FINDING_LOG_DAMAGED : FINDING_UNREADABLE;
            walk_report(walk, &finding, "%s", facts.why);
            return;
    }
    bool is_hash = crypto_parse_hex(file->hash, named, sizeof named);
    walk->result->counts.logs_size += facts.text_size;
    if (is_hash && memcmp(named, facts.hash, sizeof named) == 0) {
        walk->result->counts.logs_good++;
        return;
    }
    crypto_print_hex(span_of(facts.hash, sizeof facts.hash), hash);
    walk_report(walk, &finding, "its digest says %.*s; its text has %s", SPAN_PRINT(file->hash),
                hash);
}

static void name_files(struct walk *walk, const struct digest *digest) {
    for (uint32_t index = 0; index < digest->files_count; index++) {
        // Without memory a file would be reported that is named: the region fails instead.
        if (!names_add(walk->names, digest->files[index].bucket, digest->files[index].object))
            fault_put(&walk->result->fault, FAULT_FULL, "no memory for log files' names");
    }
}

// ---- the chain

static struct walk_chain *add_summary(struct chain *chain, const struct walk_entry *entry) {
    struct walk_result *result = chain->walk->result;
    if (result->chains_count == result->chains_capacity) {
        uint32_t capacity = result->chains_capacity == 0 ? 4 : 2 * result->chains_capacity;
        struct walk_chain *chains = reallocarray(result->chains, capacity, sizeof *chains);
        if (chains == NULL) return NULL;
        result->chains = chains;
        result->chains_capacity = capacity;
    }
    struct walk_chain *summary = &result->chains[result->chains_count];
    *summary = (struct walk_chain){.is_backfill = chain->is_backfill, .to_s = INT64_MIN};
    if (!arena_copy(result->arena, chain->walk->region->account, &summary->account) ||
        !arena_copy(result->arena, chain->walk->region->region, &summary->region) ||
        !arena_copy(result->arena, entry->name.trail, &summary->trail) ||
        !arena_copy(result->arena, entry->name.home_region, &summary->home_region)) {
        return NULL;
    }
    result->chains_count++;
    return summary;
}

static bool begin_summary(struct chain *chain, const struct walk_entry *entry) {
    if (chain->summary == NULL) chain->summary = add_summary(chain, entry);
    if (chain->summary != NULL) return true;
    fault_put(&chain->walk->result->fault, FAULT_FULL, "no memory for a chain");
    return false;
}

// Remembers the digest for the next one. A text that could not be read leaves its end alone.
static void end_digest(struct chain *chain, const struct reading *reading, bool is_read,
                       bool is_signed) {
    struct walk_chain *summary = chain->summary;
    const struct walk_entry *entry = reading->entry;
    int64_t start_s = is_read ? reading->text.digest.start_s : entry->name.end_s;
    chain->has_last = true;
    chain->last = entry;
    chain->last_end_s = entry->name.end_s;
    chain->last_is_read = is_read;
    chain->last_is_signed = is_signed;
    memcpy(chain->last_hash, reading->hash, sizeof chain->last_hash);
    memcpy(chain->last_signature, reading->metadata.signature, sizeof chain->last_signature);
    if (is_read) add_duration(chain, reading->text.digest.end_s - start_s);
    if (summary->to_s == INT64_MIN) summary->from_s = start_s;
    summary->to_s = chain->last_end_s;
    summary->hash[0] = 0;
    if (!is_signed) return;
    memcpy(summary->hash, reading->hash, sizeof summary->hash);
    if (chain->is_backfill) walk_add_time(&chain->walk->covers, start_s, chain->last_end_s);
}

// A digest that nothing can be read of.
static void report_unread(struct chain *chain, const struct reading *reading, const char *why) {
    bool is_damaged = reading->facts.state == OBJECT_GOOD || reading->facts.state == OBJECT_DAMAGED;
    struct finding finding =
        describe(chain, is_damaged ? FINDING_DIGEST_DAMAGED : FINDING_UNREADABLE, reading->entry);
    bool is_gone = reading->facts.state == OBJECT_MISSING;
    int64_t end_s = reading->entry->name.end_s;
    walk_report(chain->walk, &finding, "%s", is_gone ? "it went while it was verified" : why);
    walk_add_time(&chain->walk->holes,
                  chain->has_last ? chain->last_end_s : end_s - measure_interval(chain), end_s);
}

static void count_digest(struct chain *chain, bool is_good) {
    struct walk_counts *counts = &chain->walk->result->counts;
    if (chain->is_backfill) {
        counts->backfills++;
        counts->backfills_good += is_good;
    } else {
        counts->digests++;
        counts->digests_good += is_good;
    }
    chain->summary->digests++;
}

// Verifies a digest that could be read and is in the range.
static void verify_read(struct chain *chain, const struct reading *reading) {
    bool is_believed;
    bool is_signed = check_signature(chain, reading, &is_believed);
    bool is_placed = check_place(chain, reading);
    count_digest(chain, is_signed && is_placed);
    // One that belongs elsewhere is no part of this chain; its files are checked there.
    if (!is_placed) return;
    chain->is_newest = false;
    check_known(chain, reading);
    if (is_believed) {
        check_link(chain, reading);
        for (uint32_t index = 0; index < reading->text.digest.files_count; index++)
            check_log(chain, reading, &reading->text.digest.files[index]);
    }
    end_digest(chain, reading, true, is_signed);
}

static void verify_entry(struct chain *chain, const struct walk_entry *entry) {
    struct walk *walk = chain->walk;
    const struct walk_options *options = walk->options;
    struct reading reading = {.entry = entry};
    struct fault fault = {.kind = FAULT_NONE};
    object_read(walk->objects, entry->place->bucket, entry->key, DIGEST_TEXT_SIZE_MAX,
                &reading.metadata, &reading.facts);
    atomic_fetch_add_explicit(options->files_done, 1, memory_order_relaxed);
    crypto_print_hex(span_of(reading.facts.hash, sizeof reading.facts.hash), reading.hash);
    arena_reset(walk->digest_arena);
    bool is_read =
        reading.facts.state == OBJECT_GOOD &&
        digest_read(walk->json, walk->digest_arena, reading.facts.text, &reading.text, &fault);
    bool is_behind =
        is_read ? reading.text.digest.start_s >= options->to_s : entry->name.end_s > options->to_s;
    if (is_read) name_files(walk, &reading.text.digest);
    if (!chain->is_wanted || is_behind) {
        if (chain->is_wanted) check_known(chain, &reading);
        chain->goes_on |= is_behind;
        return;
    }
    if (!begin_summary(chain, entry)) return;
    if (is_read) {
        verify_read(chain, &reading);
        return;
    }
    report_unread(chain, &reading, fault.kind != FAULT_NONE ? fault.text : reading.facts.why);
    count_digest(chain, false);
    end_digest(chain, &reading, false, false);
}

// Whether there should be digests behind the last one.
static void check_end(struct chain *chain) {
    const struct walk_options *options = chain->walk->options;
    int64_t horizon_s = options->now_s < options->to_s ? options->now_s : options->to_s;
    int64_t interval_s = measure_interval(chain);
    int64_t due_s = horizon_s - interval_s / 4 - GRACE_S;
    int64_t end_s = find_covered(chain, chain->last_end_s);
    if (chain->goes_on || chain->is_backfill || due_s - end_s < interval_s) return;
    char end[TIME_TEXT_SIZE], horizon[TIME_TEXT_SIZE];
    struct finding finding = describe(chain, FINDING_CHAIN_ENDS, chain->last);
    finding.from_s = end_s;
    finding.to_s = horizon_s;
    finding.count = (uint64_t)((due_s - end_s) / interval_s);
    time_print(end_s, end);
    time_print(horizon_s, horizon);
    if (chain->is_newest) {
        finding.kind = FINDING_STANDS_STILL;
        walk_report(chain->walk, &finding, "the newest digest ends at %s; the store knows no other",
                    end);
        return;
    }
    walk_report(chain->walk, &finding,
                "the newest digest ends at %s; one comes every %lld s; %llu are missing until %s",
                end, (long long)interval_s, (unsigned long long)finding.count, horizon);
    walk_add_time(&chain->walk->holes, end_s, horizon_s);
}

void chain_verify(struct walk *walk, const struct walk_entry *entries, uint32_t count) {
    const struct digest_name *name = &entries[0].name;
    struct chain chain = {
        .walk = walk,
        .trail = name->trail,
        .is_wanted = walk->options->trail == NULL || span_is(name->trail, walk->options->trail),
        .is_backfill = name->is_backfill,
    };
    for (uint32_t index = 0; index < count; index++) verify_entry(&chain, &entries[index]);
    int64_t newest_s = entries[count - 1].name.end_s;
    if (!chain.is_backfill && newest_s > walk->newest_s) walk->newest_s = newest_s;
    if (chain.summary == NULL) return;
    if (chain.has_last) {
        (void)!arena_copy(walk->result->arena, chain.last->place->bucket, &chain.summary->bucket);
        (void)!arena_copy(walk->result->arena, chain.last->key, &chain.summary->object);
        check_end(&chain);
    }
}
