// make_delivered: a delivered trail of an organization in a folder, with digests, as a collector
// writes it; on request with a flaw in it that only whoever has the private key can make.

#include <assert.h>
#include <errno.h>
#include <inttypes.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/stat.h>

#include "base/clock.h"
#include "base/gzip.h"
#include "base/json_writer.h"
#include "event/digest.h"
#include "tests/kit/traffic.h"

enum {
    PATH_SIZE = 4096,
    FILES_MAX = 1000,  // of one digest
    HOUR_S = 3600,
};

static const char usage[] =
    "usage: make_delivered --data DIR --out DIR [options]\n"
    "  --data DIR     folder with model.json and real records (tests/data)\n"
    "  --out DIR      gets buckets/trail-bucket/AWSLogs/... and keys.json\n"
    "  --end SECONDS  end of the newest digest, since 1970 (the last full hour)\n"
    "  --accounts N   (2)      --regions N  (2)\n"
    "  --digests N    of each account and region (6)\n"
    "  --files N      log files of each digest (3)\n"
    "  --records N    of each log file (16)\n"
    "  --prefix TEXT  of the names\n"
    "  --trail NAME   (org-trail)\n"
    "  --start-digest yes|no   the first digest begins the chain (yes)\n"
    "  --flaw NAME    in the first account and region, at the digest in the middle: link-hash,\n"
    "                 link-signature, link-fork, time-gap, overlap, restart, backfill, "
    "key-unknown,\n"
    "                 key-outdated\n";

struct request {
    const char *data, *out, *prefix, *trail, *flaw;
    int64_t end_s;
    uint32_t accounts, regions, digests, files, records;
    bool begins;
};

struct key {
    struct crypto_rsa *rsa;
    char fingerprint[33];
    int64_t from_s, to_s;
};

// The digest before the next one.
struct link {
    char object[FILE_NAME_SIZE];
    char hash[SHA256_HEX_SIZE];
    char signature[DIGEST_SIGNATURE_TEXT_SIZE];
    bool is_there;
};

struct maker {
    struct request request;
    struct key keys[4];  // the second follows the first, the third is retired, the last unknown
    struct buffer text, packed, claim;
    uint64_t files_count, digests_count, records_count;
};

#define BUCKET "trail-bucket"
#define ORGANIZATION "o-example1234"

static void die(const char *what, const char *why) {
    fprintf(stderr, "make_delivered: %s: %s\n", what, why);
    exit(1);
}

static void check(bool is_good, const struct fault *fault) {
    if (!is_good) die("failed", fault->text);
}

// ---- files

static void write_file(const char *path, struct span bytes) {
    FILE *file = fopen(path, "wb");
    if (file == NULL || fwrite(bytes.bytes, 1, bytes.size, file) != bytes.size ||
        fclose(file) != 0) {
        die(path, strerror(errno));
    }
}

static void make_folders(char *path) {
    for (char *at = strchr(path + 1, '/'); at != NULL; at = strchr(at + 1, '/')) {
        *at = 0;
        if (mkdir(path, 0755) != 0 && errno != EEXIST) die(path, strerror(errno));
        *at = '/';
    }
}

static void write_object(struct maker *maker, const char *key, struct span text) {
    char path[PATH_SIZE];
    struct fault fault;
    snprintf(path, sizeof path, "%s/buckets/" BUCKET "/%s", maker->request.out, key);
    make_folders(path);
    buffer_reset(&maker->packed);
    check(gzip_write(text, 6, &maker->packed, &fault), &fault);
    write_file(path, buffer_span(&maker->packed));
}

static void write_metadata(struct maker *maker, const char *key, const char *signature,
                           int64_t made_s, bool is_backfill) {
    char path[PATH_SIZE], made[TIME_TEXT_SIZE];
    const char *slash = strrchr(key, '/');
    struct buffer json;
    time_print_ms(made_s * 1000, made);
    snprintf(path, sizeof path, "%s/buckets/" BUCKET "/%.*s/.%s.metadata", maker->request.out,
             (int)(slash - key), key, slash + 1);
    buffer_init(&json, 8192);
    struct json_writer writer = json_writer_begin(&json);
    json_write_object(&writer, NULL);
    json_write_string(&writer, "signature", span_text(signature));
    json_write_string(&writer, "signature-algorithm", SPAN_LITERAL(DIGEST_SIGNATURE_ALGORITHM));
    if (is_backfill) json_write_string(&writer, "backfill-generation-timestamp", span_text(made));
    json_write_end(&writer);
    write_file(path, buffer_span(&json));
    buffer_done(&json);
}

static void add_prefix(const struct maker *maker, const char *name, char key[FILE_NAME_SIZE]) {
    const char *prefix = maker->request.prefix;
    int size = snprintf(key, FILE_NAME_SIZE, "%s%s%s", prefix, prefix[0] != 0 ? "/" : "", name);
    if (size >= FILE_NAME_SIZE) die(prefix, "too long");
}

// ---- keys

static void write_keys(struct maker *maker) {
    struct buffer json, der, base64;
    struct fault fault;
    char path[PATH_SIZE];
    buffer_init(&json, 64 * 1024);
    buffer_init(&der, 8192);
    buffer_init(&base64, 8192);
    struct json_writer writer = json_writer_begin(&json);
    json_write_object(&writer, NULL);
    json_write_list(&writer, "PublicKeyList");
    for (int index = 0; index < 3; index++) {
        const struct key *key = &maker->keys[index];
        char from[TIME_TEXT_SIZE];
        if (key->rsa == NULL) break;
        buffer_reset(&der);
        buffer_reset(&base64);
        check(crypto_rsa_print_public(key->rsa, &der, &fault), &fault);
        crypto_append_base64(&base64, buffer_span(&der));
        time_print(key->from_s, from);
        json_write_object(&writer, NULL);
        json_write_string(&writer, "Value", buffer_span(&base64));
        json_write_string(&writer, "ValidityStartTime", span_text(from));
        json_write_integer(&writer, "ValidityEndTime", key->to_s);
        json_write_string(&writer, "Fingerprint", span_text(key->fingerprint));
        json_write_end(&writer);
    }
    json_write_end(&writer);
    json_write_end(&writer);
    snprintf(path, sizeof path, "%s/keys.json", maker->request.out);
    make_folders(path);
    write_file(path, buffer_span(&json));
    buffer_done(&json);
    buffer_done(&der);
    buffer_done(&base64);
}

// Two keys, the second from the middle of the time on.
static void make_keys(struct maker *maker) {
    const struct request *request = &maker->request;
    struct fault fault;
    int64_t begin_s = request->end_s - (int64_t)(request->digests + 1) * HOUR_S;
    int64_t middle_s = request->end_s - (int64_t)(request->digests / 2) * HOUR_S;
    bool has_others = request->flaw != NULL && strncmp(request->flaw, "key-", 4) == 0;
    for (int index = 0; index < (has_others ? 4 : 2); index++) {
        struct key *key = &maker->keys[index];
        check(crypto_rsa_generate(&key->rsa, &fault), &fault);
        snprintf(key->fingerprint, sizeof key->fingerprint, "%032d", index + 1);
        key->from_s = index == 0 ? begin_s : middle_s;
        key->to_s = index == 0 ? middle_s : request->end_s + 30 * 86400;
    }
    maker->keys[2].from_s = begin_s - 60 * 86400;
    maker->keys[2].to_s = begin_s - 30 * 86400;
    write_keys(maker);
}

static struct key *key_at(struct maker *maker, int64_t end_s) {
    return &maker->keys[end_s > maker->keys[0].to_s];
}

// ---- log files

static void make_log(struct maker *maker, struct traffic *traffic, const struct digest_place *place,
                     int64_t time_s, struct digest_file *file, char object[FILE_NAME_SIZE],
                     char hex[SHA256_HEX_SIZE]) {
    struct file_place where = {.organization = place->organization,
                               .account = place->account,
                               .region = place->region,
                               .day = time_day(time_s)};
    uint8_t hash[SHA256_SIZE];
    char name[FILE_NAME_SIZE];
    buffer_reset(&maker->text);
    file_begin(&maker->text);
    *file = (struct digest_file){.bucket = SPAN_LITERAL(BUCKET), .oldest_s = INT64_MAX};
    for (uint32_t index = 0; index < maker->request.records; index++) {
        struct traffic_event event;
        traffic_next(traffic, &event);
        file_add(&maker->text, event.record, index == 0);
        if (event.event_time_s > file->newest_s) file->newest_s = event.event_time_s;
        if (event.event_time_s < file->oldest_s) file->oldest_s = event.event_time_s;
        maker->records_count++;
    }
    file_end(&maker->text);
    struct span text = buffer_span(&maker->text);
    crypto_sha256(&text, 1, hash);
    crypto_print_hex(span_of(hash, sizeof hash), hex);
    file_print_name(&where, time_s, hash, name);
    add_prefix(maker, name, object);
    write_object(maker, object, text);
    file->object = span_text(object);
    file->hash = span_text(hex);
    maker->files_count++;
}

// ---- digests

static bool has_flaw(const struct maker *maker, bool is_place, const char *name) {
    return is_place && maker->request.flaw != NULL && strcmp(maker->request.flaw, name) == 0;
}

// Signs and writes a digest, which becomes the link.
static void write_digest(struct maker *maker, struct digest *digest, const struct key *key,
                         bool is_backfill, struct link *link) {
    uint8_t hash[SHA256_SIZE], bytes[CRYPTO_RSA_SIGNATURE_SIZE];
    char name[FILE_NAME_SIZE], object[FILE_NAME_SIZE];
    struct fault fault;
    digest_print_name(&digest->place, digest->end_s, is_backfill, name);
    add_prefix(maker, name, object);
    digest->bucket = SPAN_LITERAL(BUCKET);
    digest->object = span_text(object);
    digest->fingerprint = span_text(key->fingerprint);
    buffer_reset(&maker->text);
    digest_print(digest, &maker->text);
    struct span text = buffer_span(&maker->text);
    crypto_sha256(&text, 1, hash);
    buffer_reset(&maker->claim);
    digest_print_signed(digest, hash, &maker->claim);
    check(crypto_rsa_sign(key->rsa, buffer_span(&maker->claim), bytes, &fault), &fault);
    write_object(maker, object, text);
    struct link made = {.is_there = true};
    snprintf(made.object, sizeof made.object, "%s", object);
    crypto_print_hex(span_of(hash, sizeof hash), made.hash);
    crypto_print_hex(span_of(bytes, sizeof bytes), made.signature);
    write_metadata(maker, object, made.signature, digest->end_s + 2 * HOUR_S, is_backfill);
    *link = made;
    maker->digests_count++;
}

static struct digest_previous previous_of(const struct link *link) {
    if (!link->is_there) return (struct digest_previous){.bucket = {NULL, 0}};
    return (struct digest_previous){SPAN_LITERAL(BUCKET), span_text(link->object),
                                    span_text(link->hash), span_text(link->signature)};
}

// One digest and its log files, with the flaw if it is its place.
static void make_digest(struct maker *maker, struct traffic *traffic,
                        const struct digest_place *place, int64_t end_s, bool is_flawed,
                        struct link *link, const struct link *before) {
    static char objects[FILES_MAX][FILE_NAME_SIZE], hashes[FILES_MAX][SHA256_HEX_SIZE];
    static struct digest_file files[FILES_MAX];
    struct digest digest = {
        .place = *place, .start_s = end_s - HOUR_S, .end_s = end_s, .files = files};
    struct digest_previous previous = previous_of(link);
    const struct key *key = key_at(maker, end_s);
    bool is_backfill = has_flaw(maker, is_flawed, "backfill");
    struct link backfill = {.is_there = false};
    for (uint32_t index = 0; index < maker->request.files; index++) {
        int64_t time_s = end_s - HOUR_S + (index + 1) * HOUR_S / (maker->request.files + 1);
        make_log(maker, traffic, place, time_s, &files[index], objects[index], hashes[index]);
    }
    digest.files_count = maker->request.files;
    if (has_flaw(maker, is_flawed, "link-hash"))
        previous.hash = span_text(
            "00000000000000000000000000000000"
            "00000000000000000000000000000000");
    if (has_flaw(maker, is_flawed, "link-signature"))
        previous.signature = span_text(before->signature);
    if (has_flaw(maker, is_flawed, "link-fork")) previous = previous_of(before);
    if (has_flaw(maker, is_flawed, "time-gap")) digest.start_s += HOUR_S / 2;
    if (has_flaw(maker, is_flawed, "overlap")) digest.start_s -= HOUR_S / 2;
    if (has_flaw(maker, is_flawed, "restart"))
        previous = (struct digest_previous){.bucket = {NULL, 0}};
    if (has_flaw(maker, is_flawed, "key-unknown")) key = &maker->keys[3];
    if (has_flaw(maker, is_flawed, "key-outdated")) key = &maker->keys[2];
    if (is_backfill) previous = previous_of(&backfill);
    digest.previous = previous;
    write_digest(maker, &digest, key, is_backfill, is_backfill ? &backfill : link);
}

static void make_chain(struct maker *maker, uint32_t account, uint32_t region) {
    const struct request *request = &maker->request;
    const struct traffic_options options = {
        .directory = request->data,
        .start_s = request->end_s - request->digests * HOUR_S,
        .rate = 1,
        .account = (int32_t)account,
        .region = (int32_t)region,
    };
    struct traffic *traffic;
    struct fault fault;
    check(traffic_create(&options, &traffic, &fault), &fault);
    struct digest_place place = {
        .organization = SPAN_LITERAL(ORGANIZATION),
        .account = traffic_account_id(traffic, account),
        .region = traffic_region_name(traffic, region),
        .trail = span_text(request->trail),
        .home_region = SPAN_LITERAL("us-east-1"),
    };
    struct link link = {.is_there = false}, before = link;
    if (!request->begins) {
        link.is_there = true;
        digest_print_name(&place, options.start_s, false, link.object);
        memset(link.hash, 'a', sizeof link.hash - 1);
        memset(link.signature, 'b', sizeof link.signature - 1);
    }
    for (uint32_t index = 0; index < request->digests; index++) {
        int64_t end_s = request->end_s - (int64_t)(request->digests - 1 - index) * HOUR_S;
        bool is_flawed = account == 0 && region == 0 && index == request->digests / 2;
        struct link last = link;
        make_digest(maker, traffic, &place, end_s, is_flawed, &link, &before);
        before = last;
    }
    traffic_destroy(traffic);
}

static bool take_option(const char *name, const char *value, struct request *request) {
    const struct {
        const char *name;
        uint32_t *number;
        const char **text;
    } options[] = {
        {"--data", NULL, &request->data},       {"--out", NULL, &request->out},
        {"--prefix", NULL, &request->prefix},   {"--trail", NULL, &request->trail},
        {"--flaw", NULL, &request->flaw},       {"--accounts", &request->accounts, NULL},
        {"--regions", &request->regions, NULL}, {"--digests", &request->digests, NULL},
        {"--files", &request->files, NULL},     {"--records", &request->records, NULL},
    };
    if (strcmp(name, "--end") == 0) {
        request->end_s = strtoll(value, NULL, 10);
        return true;
    }
    if (strcmp(name, "--start-digest") == 0) {
        request->begins = strcmp(value, "no") != 0;
        return true;
    }
    for (size_t index = 0; index < sizeof options / sizeof options[0]; index++) {
        if (strcmp(name, options[index].name) != 0) continue;
        if (options[index].text != NULL) *options[index].text = value;
        if (options[index].number != NULL)
            *options[index].number = (uint32_t)strtoul(value, NULL, 10);
        return true;
    }
    return false;
}

int main(int argc, char **argv) {
    const struct clock *clock = clock_system();
    static struct maker maker;
    maker.request = (struct request){
        .prefix = "",
        .trail = "org-trail",
        .end_s = clock->now_ms(clock->context) / 1000 / HOUR_S * HOUR_S,
        .accounts = 2,
        .regions = 2,
        .digests = 6,
        .files = 3,
        .records = 16,
        .begins = true,
    };
    for (int index = 1; index < argc; index += 2) {
        if (index + 1 == argc || !take_option(argv[index], argv[index + 1], &maker.request)) {
            fputs(usage, stderr);
            return 2;
        }
    }
    const struct request *request = &maker.request;
    if (request->data == NULL || request->out == NULL || request->files > FILES_MAX) {
        fputs(usage, stderr);
        return 2;
    }
    buffer_init(&maker.text, DIGEST_TEXT_SIZE_MAX);
    buffer_init(&maker.packed, 2 * (size_t)DIGEST_TEXT_SIZE_MAX);
    buffer_init(&maker.claim, DIGEST_TEXT_SIZE_MAX);
    make_keys(&maker);
    for (uint32_t account = 0; account < request->accounts; account++) {
        for (uint32_t region = 0; region < request->regions; region++)
            make_chain(&maker, account, region);
    }
    for (int index = 0; index < 4; index++) crypto_rsa_destroy(maker.keys[index].rsa);
    buffer_done(&maker.text);
    buffer_done(&maker.packed);
    buffer_done(&maker.claim);
    printf("%" PRIu64 " digests, %" PRIu64 " log files, %" PRIu64 " records\n", maker.digests_count,
           maker.files_count, maker.records_count);
    return 0;
}
