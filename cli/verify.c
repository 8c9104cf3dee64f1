// verify.c: orgtrail verify: a delivered trail, checked without trusting whoever delivered it.

#include "verify/verify.h"

#include <errno.h>
#include <inttypes.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <unistd.h>

#include "base/clock.h"
#include "base/files.h"
#include "cli/command.h"
#include "cli/progress.h"
#include "cli/s3_choice.h"
#include "cli/store.h"
#include "cli/verified.h"
#include "cli/verify_records.h"
#include "cli/verify_store.h"
#include "query/filter.h"
#include "verify/delivered_directory.h"
#include "verify/delivered_s3.h"

enum {
    OPTION_KEYS = 256,
    OPTION_TRAIL,
    OPTION_ACCOUNT,
    OPTION_REGION,
    OPTION_FROM,
    OPTION_TO,
    OPTION_BUCKET,
    OPTION_SINCE_REPORT,
    OPTION_JSON,
    OPTION_THREADS,
};

enum {
    KEYS_FILES_MAX = 64,
    NAME_SIZE = 256,  // of a folder, with its final zero
    REPORT_ARENA_SIZE = 2040 * 1024 * 1024,
    S3_THREADS = 32,  // they wait for a store most of the time
};

// Exit codes beside 0, whole.
enum {
    EXIT_FAULTS = 1,
    EXIT_UNCHECKED = 2,
};

struct options {
    struct store_choice store;
    struct s3_choice s3;
    struct verify_plan plan;
    const char *folder;
    const char *bucket;
    const char *report;
    const char *keys[KEYS_FILES_MAX];
    uint32_t keys_count;
    bool is_json;
};

static const struct argp_option argument_options[] = {
    {0, 0, 0, 0, "What to verify:", 50},
    {"account", OPTION_ACCOUNT, "ID", 0, "only this account", 50},
    {"region", OPTION_REGION, "REGION", 0, "only this region", 50},
    {"trail", OPTION_TRAIL, "NAME", 0, "only digests of this trail", 50},
    {"from", OPTION_FROM, "TIME", 0,
     "digests that end after it: 2026-11-21, 2026-11-21T10:30Z, 2h, 7d", 50},
    {"to", OPTION_TO, "TIME", 0,
     "digests that begin before it; unless set there must be some until now", 50},
    {"bucket", OPTION_BUCKET, "NAME", 0, "FOLDER is that of this bucket, whatever it is called",
     50},
    {0, 0, 0, 0, "Against what:", 60},
    {"keys", OPTION_KEYS, "FILE", 0,
     "public keys: the answer of ListPublicKeys as JSON, or one as PEM or DER; may be repeated",
     60},
    {"since-report", OPTION_SINCE_REPORT, "FILE", 0,
     "an earlier report of --json: what it knew must be there still", 60},
    {0, 0, 0, 0, "How:", 70},
    {"json", OPTION_JSON, 0, 0, "the report as JSON", 70},
    {"threads", OPTION_THREADS, "N", 0,
     "1 to 256; as many as there are cores unless set, 32 for s3://", 70},
    {0},
};

static int64_t read_now_s(void) {
    const struct clock *clock = clock_system();
    return clock->now_ms(clock->context) / 1000;
}

static void set_time(struct argp_state *state, const char *name, const char *text,
                     int64_t *seconds) {
    struct fault fault;
    if (!filter_parse_time(text, read_now_s(), seconds, &fault))
        argp_error(state, "%s: %s", name, fault.text);
}

static void set_threads(struct argp_state *state, const char *text, uint32_t *threads) {
    char *end;
    errno = 0;
    unsigned long number = strtoul(text, &end, 10);
    if (errno != 0 || *text < '0' || *text > '9' || *end != 0 || number < 1 ||
        number > VERIFY_THREADS_MAX) {
        argp_error(state, "--threads \"%s\": must be a number from 1 to %d", text,
                   VERIFY_THREADS_MAX);
    }
    *threads = (uint32_t)number;
}

static error_t parse_argument(int key, char *argument, struct argp_state *state) {
    struct options *options = state->input;
    switch (key) {
        case ARGP_KEY_INIT:
            state->child_inputs[0] = &options->store;
            state->child_inputs[1] = &options->s3;
            return 0;
        case OPTION_KEYS:
            if (options->keys_count == KEYS_FILES_MAX)
                argp_error(state, "--keys: more than %d files", KEYS_FILES_MAX);
            options->keys[options->keys_count++] = argument;
            return 0;
        case OPTION_TRAIL:
            options->plan.trail = argument;
            return 0;
        case OPTION_ACCOUNT:
            options->plan.account = argument;
            return 0;
        case OPTION_REGION:
            options->plan.region = argument;
            return 0;
        case OPTION_FROM:
            set_time(state, "--from", argument, &options->plan.from_s);
            return 0;
        case OPTION_TO:
            set_time(state, "--to", argument, &options->plan.to_s);
            return 0;
        case OPTION_BUCKET:
            options->bucket = argument;
            return 0;
        case OPTION_SINCE_REPORT:
            options->report = argument;
            return 0;
        case OPTION_JSON:
            options->is_json = true;
            return 0;
        case OPTION_THREADS:
            set_threads(state, argument, &options->plan.threads);
            return 0;
        case ARGP_KEY_ARG:
            if (options->folder != NULL)
                argp_error(state, "one folder only: \"%s\" is too much", argument);
            options->folder = argument;
            return 0;
        case ARGP_KEY_END:
            if (options->folder == NULL) argp_error(state, "which folder? FOLDER is missing");
            if (options->plan.from_s >= options->plan.to_s)
                argp_error(state, "the time range is empty: --from is not before --to");
            return 0;
        default:
            return ARGP_ERR_UNKNOWN;
    }
}

// ---- what it is verified against

static bool read_file(const char *path, size_t size_max, struct buffer *bytes,
                      struct fault *fault) {
    buffer_init(bytes, size_max);
    if (files_read_whole(files_system(), path, size_max, bytes, fault)) return true;
    buffer_done(bytes);
    return false;
}

static bool read_keys(const struct options *options, struct public_keys *keys,
                      struct fault *fault) {
    for (uint32_t index = 0; index < options->keys_count; index++) {
        struct buffer bytes;
        const char *path = options->keys[index];
        if (!read_file(path, KEYS_FILE_SIZE_MAX, &bytes, fault)) return fault_add(fault, "--keys");
        bool is_read = keys_read(keys, buffer_span(&bytes), fault);
        buffer_done(&bytes);
        if (!is_read) return fault_add(fault, "--keys %s", path);
    }
    return true;
}

static bool read_report(const char *path, struct known *known, struct arena *arena,
                        struct fault *fault) {
    struct buffer bytes;
    if (!read_file(path, KNOWN_REPORT_SIZE_MAX, &bytes, fault))
        return fault_add(fault, "--since-report");
    bool is_read = known_read_report(known, arena, buffer_span(&bytes), fault);
    buffer_done(&bytes);
    return is_read || fault_add(fault, "--since-report %s", path);
}

// Whether the arguments name a store; the environment alone does not, since files may be verified
// on any machine.
static bool has_store(const struct options *options) {
    return options->store.directory != NULL || options->store.config != NULL;
}

static bool gather(const struct options *options, struct public_keys *keys, struct known *known,
                   struct arena *arena, struct fault *fault) {
    if (!read_keys(options, keys, fault)) return false;
    if (options->report != NULL && !read_report(options->report, known, arena, fault)) return false;
    // Before the files are listed: what the store knows then must be among them.
    if (has_store(options) && !verify_store_read(&options->store, keys, known, arena, fault))
        return false;
    known_sort(known);
    if (keys_count(keys) > 0) return true;
    return fault_set(fault, FAULT_INPUT,
                     has_store(options)
                         ? "the store has no digest keys: no trail has delivered digests from it"
                         : "which keys? Give --keys FILE (the answer of \"aws cloudtrail "
                           "list-public-keys --start-time ...\" kept as JSON), or --store DIR");
}

// ---- the folder

// The last part of a path, without slashes at its end.
static const char *find_base(const char *path, char base[NAME_SIZE]) {
    char *resolved = realpath(path, NULL);
    const char *slash = resolved == NULL ? NULL : strrchr(resolved, '/');
    snprintf(base, NAME_SIZE, "%s", slash == NULL ? "" : slash + 1);
    free(resolved);
    return base;
}

// Where the delivered files are: a folder or a bucket.
struct place {
    struct delivered delivered;
    struct delivered_directory directory;
    char base[NAME_SIZE];
    struct delivered_s3 s3;
    struct s3_place bucket;
};

// A folder that has AWSLogs in it is a bucket's.
static bool open_folder(const struct options *options, struct place *place, struct fault *fault) {
    char path[DELIVERED_PATH_SIZE];
    struct files_entry entry = {0};
    bool exists = false, has_logs = false;
    const struct files *files = files_system();
    if (!files_find(files, options->folder, &exists, &entry, fault)) return false;
    if (!exists || !entry.is_directory)
        return fault_set(fault, FAULT_INPUT, "%s: there is no such folder", options->folder);
    int size = snprintf(path, sizeof path, "%s/AWSLogs", options->folder);
    if (size < 0 || (size_t)size >= sizeof path)
        return fault_set(fault, FAULT_INPUT, "%s: too long", options->folder);
    if (!files_find(files, path, &has_logs, &entry, fault)) return false;
    place->directory = (struct delivered_directory){files, options->folder, options->bucket};
    if (options->bucket == NULL && has_logs)
        place->directory.bucket = find_base(options->folder, place->base);
    place->delivered = delivered_in_directory(&place->directory);
    return true;
}

static bool open_place(struct options *options, struct place *place, struct fault *fault) {
    if (!s3_choice_is_place(options->folder)) return open_folder(options, place, fault);
    if (options->bucket != NULL)
        return fault_set(fault, FAULT_INPUT, "--bucket is for folders: %s names its bucket",
                         options->folder);
    if (!s3_choice_parse(options->folder, &place->bucket, fault)) return false;
    place->s3 = (struct delivered_s3){NULL, place->bucket.bucket, place->bucket.prefix};
    place->delivered = delivered_in_s3(&place->s3);
    return s3_choice_open(&options->s3, options->plan.threads + 1, &place->s3.pool, fault);
}

// ---- running

static void on_progress(void *user, uint64_t done, uint64_t all) {
    progress_step(user, done, all, "files");
}

static bool write_report(const struct options *options, const struct verification *verification,
                         uint64_t records, struct fault *fault) {
    const char *no_colour = getenv("NO_COLOR");
    const struct verified_request request = {
        .folder = options->folder,
        .from_s = options->plan.from_s,
        .to_s = options->plan.to_s,
        .now_s = options->plan.now_s,
        .has_records = has_store(options),
        .records = records,
        .has_colour = isatty(STDOUT_FILENO) == 1 && (no_colour == NULL || no_colour[0] == 0),
    };
    struct buffer text;
    buffer_init(&text, VERIFIED_SIZE_MAX);
    if (options->is_json) {
        verified_print_json(verification, &request, &text);
    } else {
        verified_print(verification, &request, &text);
    }
    bool is_whole = !buffer_overflowed(&text);
    if (is_whole) (void)!fwrite(text.bytes, 1, text.size, stdout);
    buffer_done(&text);
    return is_whole || fault_set(fault, FAULT_FULL, "no memory for the report");
}

static bool run(struct options *options, int *code, struct fault *fault) {
    struct place place = {0};
    if (!open_place(options, &place, fault)) return false;
    struct known known = {0};
    struct verification *verification = NULL;
    struct progress progress;
    uint64_t records = 0;
    struct public_keys *keys = keys_create();
    struct arena *arena = arena_create(REPORT_ARENA_SIZE);
    bool is_good = keys != NULL && arena != NULL;
    if (!is_good) fault_put(fault, FAULT_FULL, "no memory");
    is_good = is_good && gather(options, keys, &known, arena, fault);
    if (is_good) {
        options->plan.delivered = &place.delivered;
        options->plan.keys = keys;
        options->plan.known = &known;
        options->plan.on_progress = on_progress;
        options->plan.user = &progress;
        progress_begin(&progress, "verifying");
        is_good = verify_run(&options->plan, &verification, fault);
        if (is_good && has_store(options)) {
            is_good = verify_records_compare(&options->store, &options->plan, verification,
                                             &records, fault);
        }
        progress_end(&progress);
    }
    is_good = is_good && write_report(options, verification, records, fault);
    if (is_good && verification->faults > 0) {
        *code = EXIT_FAULTS;
    } else if (is_good && verification->unchecked > 0) {
        *code = EXIT_UNCHECKED;
    }
    verification_destroy(verification);
    known_done(&known);
    keys_destroy(keys);
    arena_destroy(arena);
    s3_pool_destroy(place.s3.pool);
    return is_good;
}

static uint32_t choose_threads(const char *folder) {
    long cores = sysconf(_SC_NPROCESSORS_ONLN);
    if (s3_choice_is_place(folder)) return S3_THREADS;
    return cores > 0 && cores < VERIFY_THREADS_MAX ? (uint32_t)cores : 1;
}

int verify_command_run(int argc, char **argv) {
    static const struct argp_child children[] = {
        {&store_argp, 0, NULL, 0}, {&s3_argp, 0, NULL, 0}, {0}};
    static const struct argp argp = {
        .options = argument_options,
        .parser = parse_argument,
        .args_doc = "FOLDER|s3://BUCKET[/PREFIX]",
        .doc =
            "Verifies what trails delivered to FOLDER (a folder of buckets, or a bucket's) or to a "
            "bucket of S3: each "
            "digest's place, signature and link to the one before it, each log file's hash, that "
            "no digest is missing until now and no file is there that none names. Reads public "
            "keys from --keys or --store; with --store also compares how far chains go there, and "
            "every event. "
            "Exit code: 0 whole, 1 faults were found (also when nothing was found), 2 something "
            "could not be checked.",
        .children = children,
    };
    struct options options = {.plan = {.to_s = INT64_MAX, .now_s = read_now_s()}};
    struct fault fault = {0};
    int code = 0;
    argp_parse(&argp, argc, argv, 0, NULL, &options);
    if (options.plan.threads == 0) options.plan.threads = choose_threads(options.folder);
    if (!run(&options, &code, &fault)) {
        (void)command_fail(argv[0], &fault);
        return EXIT_UNCHECKED;
    }
    int written = command_finish(argv[0]);
    return code != 0 ? code : written == 0 ? 0 : EXIT_UNCHECKED;
}
