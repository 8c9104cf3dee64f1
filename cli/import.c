// import.c: orgtrail import: an agent in the foreground that reads one archive and ends.

#include <inttypes.h>
#include <limits.h>
#include <signal.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/stat.h>

#include "agent/agent.h"
#include "agent/agent_config.h"
#include "agent/patience.h"
#include "agent/source/directory.h"
#include "agent/source/tree.h"
#include "base/aws/s3_files.h"
#include "base/buffer.h"
#include "base/certificate_files.h"
#include "base/clock.h"
#include "base/crypto.h"
#include "base/files.h"
#include "base/json.h"
#include "base/log.h"
#include "base/rpc/rpc.h"
#include "cli/command.h"
#include "cli/import_compare.h"
#include "cli/progress.h"
#include "cli/s3_choice.h"
#include "cli/store.h"
#include "query/format.h"
#include "verify/delivered_directory.h"
#include "verify/delivered_s3.h"

enum {
    OPTION_SPOOL = 256,
    OPTION_TIMEOUT,
    OPTION_JSON,
    GOODBYE_MS = 3000,
    NOTICES_SHOWN_MAX = 100,  // of one run; the others are counted
    OUTPUT_SIZE_MAX = 4 << 20,
    EXIT_REFUSED = 1,
    EXIT_FAILED = 2,
};

struct options {
    struct store_choice store;
    struct s3_choice s3;
    const char *folder;  // or a bucket
    const char *bundle;
    const char *spool;
    int64_t timeout_s;
    bool is_json;
};

struct import {
    struct options *options;
    const char *program;  // argv[0]
    struct agent_config *loaded;
    struct agent_config config;  // the bundle's, with our spool and source
    struct agent_config_source source;
    const char *paths[1];
    char name[32];        // of the source
    char root[PATH_MAX];  // or s3://BUCKET[/PREFIX]
    struct s3_place place;
    struct s3_pool *pool;       // NULL: a folder
    struct s3_files *s3_files;  // of it
    char spool[PATH_MAX];
    uint64_t files;  // in the archive
    uint64_t size;   // and their bytes
    uint64_t notices;
    struct buffer notices_json;
    struct progress progress;
    int64_t began_ms;
    uint64_t acknowledged_before;
    struct agent_status status;
    struct source_status source_status;
    bool is_stopped;   // by a signal
    bool is_compared;  // with the store
    struct import_comparison comparison;
    struct buffer lacking_json;
};

static const struct argp_option argument_options[] = {
    {"bundle", 'b', "DIR", 0,
     "the bundle that \"orgtrail enroll --organization\" made: certificate, key and agent.yaml", 0},
    {"spool", OPTION_SPOOL, "DIR", 0,
     "where events wait for the collector and what was taken is remembered (\"import\" in the "
     "bundle)",
     0},
    {"timeout", OPTION_TIMEOUT, "SECONDS", 0,
     "give up when the collector has acknowledged nothing for so long (default 60; 0: wait for "
     "ever)",
     0},
    {"json", OPTION_JSON, 0, 0, "the counts as one JSON object", 0},
    {0},
};

static error_t parse_argument(int key, char *argument, struct argp_state *state) {
    struct options *options = state->input;
    switch (key) {
        case ARGP_KEY_INIT:
            state->child_inputs[0] = &options->store;
            state->child_inputs[1] = &options->s3;
            return 0;
        case 'b':
            options->bundle = argument;
            return 0;
        case OPTION_SPOOL:
            options->spool = argument;
            return 0;
        case OPTION_TIMEOUT:
            if (!patience_parse(argument, &options->timeout_s)) {
                argp_error(state, "--timeout: \"%s\" is no number of seconds up to %d", argument,
                           PATIENCE_MAX_S);
            }
            return 0;
        case OPTION_JSON:
            options->is_json = true;
            return 0;
        case ARGP_KEY_ARG:
            if (options->folder != NULL) argp_error(state, "one archive only: \"%s\"", argument);
            options->folder = argument;
            return 0;
        case ARGP_KEY_END:
            if (options->folder == NULL) argp_error(state, "what? DIR or s3://BUCKET is missing");
            if (options->bundle == NULL)
                argp_error(state,
                           "as whom? --bundle=DIR is missing: orgtrail enroll --organization");
            return 0;
        default:
            return ARGP_ERR_UNKNOWN;
    }
}

static int64_t monotonic(void) {
    const struct clock *clock = clock_system();
    return clock->monotonic_ms(clock->context);
}

// ---- what is imported, and as whom

static bool open_bucket(struct import *import, struct fault *fault) {
    struct s3_place *place = &import->place;
    if (!s3_choice_parse(import->options->folder, place, fault)) return false;
    size_t size = strlen(place->prefix);
    snprintf(import->root, sizeof import->root, "s3://%s%s%.*s", place->bucket, size > 0 ? "/" : "",
             (int)(size > 0 ? size - 1 : 0), place->prefix);
    return s3_choice_open(&import->options->s3, S3_FILES_CLIENTS, &import->pool, fault);
}

static bool find_archive(struct import *import, struct fault *fault) {
    const char *folder = import->options->folder;
    struct stat about;
    if (s3_choice_is_place(folder)) return open_bucket(import, fault);
    if (realpath(folder, import->root) == NULL || stat(import->root, &about) != 0) {
        return fault_set(fault, FAULT_INPUT, "%s: there is no such folder", folder);
    }
    if (!S_ISDIR(about.st_mode)) {
        return fault_set(fault, FAULT_INPUT, "%s is a file: give the folder it is in", folder);
    }
    return true;
}

// The same choice as the walk through folders makes.
static bool count_object(void *user, const struct s3_entry *entry) {
    struct import *import = user;
    struct span rest = span_from(entry->key, strlen(import->place.prefix));
    size_t end;
    while ((end = span_find(rest, '/')) < rest.size) {
        struct span folder = span_of(rest.bytes, end);
        if (end == 0 || folder.bytes[0] == '.' || span_is(folder, "CloudTrail-Digest")) return true;
        rest = span_from(rest, end + 1);
    }
    bool is_wanted =
        rest.size > 0 && rest.bytes[0] != '.' && entry->size > 0 && directory_wants(rest);
    import->files += is_wanted;
    import->size += is_wanted ? entry->size : 0;
    return true;
}

static bool require_files(const struct import *import, struct fault *fault) {
    return import->files > 0 ||
           fault_set(fault, FAULT_INPUT,
                     "%s has no CloudTrail files in it: none that ends in .json.gz or .json",
                     import->options->folder);
}

// Counts the files for the progress; what cannot be listed is told by the source, which tries too.
static bool count_files(struct import *import, struct fault *fault) {
    if (import->pool != NULL) {
        return s3_pool_list(import->pool, false, import->place.bucket, import->place.prefix, NULL,
                            count_object, import, fault) &&
               require_files(import, fault);
    }
    struct tree *tree = tree_create(files_system(), import->root, directory_wants);
    if (tree == NULL) return fault_set(fault, FAULT_FULL, "out of memory to list %s", import->root);
    struct tree_item item;
    struct fault unused;
    uint64_t faults = 0;
    tree_begin(tree, false, 0);
    for (enum tree_result result = TREE_FOLDER; result != TREE_END;) {
        result = tree_step(tree, &item, &unused);
        faults += result == TREE_FAULT;
        if (result != TREE_FILE) continue;
        import->files++;
        import->size += item.size;
    }
    tree_destroy(tree);
    if (import->files == 0 && faults > 0) return fault_set(fault, unused.kind, "%s", unused.text);
    return require_files(import, fault);
}

// Which agent the bundle is of: one that may bring every account's events.
static bool check_bundle(const struct import *import, struct fault *fault) {
    const struct clock *clock = clock_system();
    const struct certificate_paths paths = {import->config.ca_path, import->config.certificate_path,
                                            import->config.key_path};
    struct certificate_files read;
    if (!certificate_files_read(files_system(), &paths, CERTIFICATE_CLIENT,
                                clock->now_ms(clock->context) / 1000, &read, fault)) {
        return false;
    }
    bool is_organization = strstr(read.facts.uri, "/organization") != NULL;
    if (!is_organization) {
        fault_set(fault, FAULT_INPUT,
                  "%s is of %s, which brings its own account's events only: make one with "
                  "\"orgtrail enroll FOLDER --organization --agent import\"",
                  import->options->bundle, read.facts.uri);
    }
    certificate_files_done(&read);
    return is_organization;
}

static bool load_bundle(struct import *import, struct fault *fault) {
    const struct options *options = import->options;
    char path[PATH_MAX];
    int size = snprintf(path, sizeof path, "%s/agent.yaml", options->bundle);
    if (size < 0 || (size_t)size >= sizeof path)
        return fault_set(fault, FAULT_INPUT, "--bundle: the path is too long");
    if (!agent_config_load(path, &import->loaded, fault)) {
        return fault_add(fault, "--bundle %s (a folder that \"orgtrail enroll\" made)",
                         options->bundle);
    }
    import->config = *import->loaded;
    if (!check_bundle(import, fault)) return false;
    size = snprintf(import->spool, sizeof import->spool, "%s%s",
                    options->spool != NULL ? options->spool : options->bundle,
                    options->spool != NULL ? "" : "/import");
    if (size < 0 || (size_t)size >= sizeof import->spool)
        return fault_set(fault, FAULT_INPUT, "--spool: the path is too long");
    // The spool knows a source by its name: each archive has its own, wherever one starts from.
    uint8_t digest[SHA256_SIZE];
    const struct span root = span_text(import->root);
    crypto_sha256(&root, 1, digest);
    size = snprintf(import->name, sizeof import->name, "import-");
    for (uint32_t index = 0; index < 8; index++) {
        size += snprintf(import->name + size, sizeof import->name - (size_t)size, "%02x",
                         digest[index]);
    }
    import->paths[0] = import->root;
    // What the bundle says of the size of a file holds here, too, if its first source says it.
    import->source = (struct agent_config_source){
        .name = import->name,
        .paths = import->paths,
        .paths_count = 1,
        .file_size_max = import->loaded->sources[0].file_size_max,
    };
    import->config.spool_directory = import->spool;
    import->config.http_listen = NULL;
    import->config.sources = &import->source;
    import->config.sources_count = 0;  // it was looked for already
    if (!agent_check(&import->config, fault)) return false;
    import->config.sources_count = 1;
    return true;
}

// ---- the run

static void print_member(const char *name, const char *text, struct buffer *output) {
    buffer_print(output, "\"%s\":", name);
    json_append_string(output, span_text(text));
}

// Something could not become an event: for people at once, for programs in the answer.
static void on_notice(void *user, const char *source, const struct source_notice *notice) {
    (void)source;
    struct import *import = user;
    if (++import->notices > NOTICES_SHOWN_MAX) return;
    struct buffer *json = &import->notices_json;
    buffer_append_text(json, json->size > 0 ? ",{" : "{");
    print_member("reason", notice->reason, json);
    buffer_append_byte(json, ',');
    print_member("place", notice->place, json);
    buffer_append_byte(json, ',');
    print_member("detail", notice->detail, json);
    buffer_append_byte(json, '}');
    struct buffer text;
    buffer_init(&text, OUTPUT_SIZE_MAX);
    format_cell(span_text(notice->place), UINT32_MAX, false, &text);
    buffer_append_text(&text, ": ");
    format_cell(span_text(notice->detail), UINT32_MAX, false, &text);
    fprintf(stderr, "%s%s: %s: %.*s\n", import->progress.is_shown ? "\r\x1b[K" : "",
            import->program, notice->reason, (int)text.size, (const char *)text.bytes);
    buffer_done(&text);
}

static void describe(struct import *import, const struct agent *agent) {
    const char *name;
    agent_describe(agent, &import->status);
    agent_describe_source((struct agent *)(uintptr_t)agent, 0, &name, &import->source_status);
}

// Turns until all is acknowledged or a signal came.
static bool loop(struct import *import, struct agent *agent, const sigset_t *signals,
                 struct fault *fault) {
    const struct timespec none = {0, 0};
    struct patience patience =
        patience_begin(import->program, import->options->timeout_s, import->began_ms);
    bool is_first = true;
    do {
        if (!agent_step(agent, fault)) return false;
        describe(import, agent);
        // Nothing can be acknowledged in the first turn, in which the connection begins.
        if (is_first) import->acknowledged_before = import->status.spool.acknowledged;
        is_first = false;
        if (import->status.is_done) break;
        if (!patience_step(&patience, &import->status, monotonic(), fault)) return false;
        progress_step(&import->progress, import->source_status.bytes_passed, import->size, "bytes");
        import->is_stopped = sigtimedwait(signals, NULL, &none) > 0;
    } while (!import->is_stopped);
    agent_stop(agent, import->is_stopped ? "stopped" : "done");
    int64_t until_ms = monotonic() + GOODBYE_MS;
    while (!agent_is_stopped(agent) && monotonic() < until_ms) {
        if (!agent_step(agent, fault)) return false;
    }
    describe(import, agent);
    return true;
}

static bool run_agent(struct import *import, const sigset_t *signals, struct fault *fault) {
    const struct agent_options options = {
        .config = &import->config,
        .once = true,
        .on_notice = on_notice,
        .user = import,
        .archive = import->s3_files == NULL ? NULL : s3_files_interface(import->s3_files),
    };
    struct agent *agent;
    if (!rpc_init(fault)) return false;
    bool is_good = agent_create(&options, &agent, fault);
    if (is_good) {
        progress_begin(&import->progress, "importing");
        is_good = loop(import, agent, signals, fault);
        progress_end(&import->progress);
        agent_destroy(agent);
    } else if (fault->kind == FAULT_RETRY) {
        fault_add(fault, "another import has this spool (--spool gives this one its own)");
    }
    rpc_done();
    return is_good;
}

// ---- the comparison

static void on_lacking(void *user, const struct records_entry *entry) {
    struct import *import = user;
    struct buffer *json = &import->lacking_json;
    char id[RECORD_UUID_TEXT_SIZE];
    if (import->comparison.lacking > NOTICES_SHOWN_MAX) return;
    record_print_uuid(entry->record->id, id);
    buffer_append_text(json, json->size > 0 ? ",{" : "{");
    print_member("id", id, json);
    buffer_append_text(json, ",\"file\":");
    json_append_string(json, entry->object);
    buffer_append_byte(json, '}');
    struct buffer text;
    buffer_init(&text, OUTPUT_SIZE_MAX);
    format_cell(entry->object, UINT32_MAX, false, &text);
    fprintf(stderr, "%s: the trail lacks: event %s of %.*s\n", import->program, id, (int)text.size,
            (const char *)text.bytes);
    buffer_done(&text);
}

static bool compare(struct import *import, struct fault *fault) {
    const struct store_choice *choice = &import->options->store;
    if (import->is_stopped || (choice->directory == NULL && choice->config == NULL)) return true;
    struct delivered_directory directory = {files_system(), import->root, "archive"};
    struct delivered_s3 s3 = {import->pool, import->place.bucket, import->place.prefix};
    const struct delivered delivered =
        import->pool == NULL ? delivered_in_directory(&directory) : delivered_in_s3(&s3);
    import->comparison = (struct import_comparison){
        .choice = choice,
        .root = import->root,
        .delivered = &delivered,
        .size = import->size,
        .on_lacking = on_lacking,
        .user = import,
    };
    import->is_compared = import_compare(&import->comparison, fault);
    return import->is_compared;
}

// ---- the answer

static uint64_t count_waiting(const struct import *import) {
    return import->status.spool.appended - import->status.spool.acknowledged;
}

static uint64_t count_unread(const struct import *import) {
    uint64_t errors = import->source_status.errors;
    uint64_t left_out = import->s3_files == NULL ? 0 : s3_files_left_out(import->s3_files);
    return left_out + (errors > import->notices ? errors - import->notices : 0);
}

static bool is_all_in(const struct import *import) {
    const struct uplink_status *uplink = &import->status.uplink;
    return !import->is_stopped && import->source_status.errors == 0 && count_unread(import) == 0 &&
           uplink->quarantined == 0 && uplink->gaps_sent == 0 && import->comparison.lacking == 0;
}

static void print_json(const struct import *import, struct buffer *text) {
    const struct agent_status *status = &import->status;
    buffer_append_byte(text, '{');
    print_member("folder", import->root, text);
    buffer_print(text, ",\"complete\":%s", import->is_stopped ? "false" : "true");
    buffer_print(text, ",\"all_in\":%s", is_all_in(import) ? "true" : "false");
    buffer_print(text, ",\"files\":%" PRIu64 ",\"files_read\":%" PRIu64, import->files,
                 import->source_status.files_read);
    buffer_print(text, ",\"records\":%" PRIu64 ",\"left_out\":%" PRIu64, status->records,
                 status->left_out);
    buffer_print(text, ",\"sent\":%" PRIu64 ",\"acknowledged\":%" PRIu64 ",\"waiting\":%" PRIu64,
                 status->uplink.events_sent,
                 status->spool.acknowledged - import->acknowledged_before, count_waiting(import));
    buffer_print(text, ",\"duplicates\":%" PRIu64 ",\"quarantined\":%" PRIu64 ",\"gaps\":%" PRIu64,
                 status->uplink.duplicates, status->uplink.quarantined, status->uplink.gaps_sent);
    buffer_print(text, ",\"notices\":%" PRIu64 ",\"unread\":%" PRIu64 ",\"seconds\":%.1f,",
                 import->notices, count_unread(import),
                 (double)(monotonic() - import->began_ms) / 1000);
    print_member("last_error", import->source_status.last_error, text);
    buffer_append_text(text, ",\"refused\":[");
    buffer_append(text, buffer_span(&import->notices_json));
    buffer_append_byte(text, ']');
    if (import->is_compared) {
        buffer_print(text, ",\"compared\":%" PRIu64 ",\"lacking\":%" PRIu64 ",\"lacks\":[",
                     import->comparison.records, import->comparison.lacking);
        buffer_append(text, buffer_span(&import->lacking_json));
        buffer_append_byte(text, ']');
    }
    buffer_append_text(text, "}\n");
}

static const char *plural(uint64_t count) {
    return count == 1 ? "" : "s";
}

static void print_people(const struct import *import, struct buffer *text) {
    const struct agent_status *status = &import->status;
    format_cell(span_text(import->root), UINT32_MAX, false, text);
    buffer_print(text, ": %" PRIu64 " file%s, %" PRIu64 " of them read now, %" PRIu64 " record%s\n",
                 import->files, plural(import->files), import->source_status.files_read,
                 status->records, plural(status->records));
    buffer_print(text, "%" PRIu64 " sent, %" PRIu64 " acknowledged, %" PRIu64 " wait%s, %.1f s\n",
                 status->uplink.events_sent,
                 status->spool.acknowledged - import->acknowledged_before, count_waiting(import),
                 count_waiting(import) == 1 ? "s" : "",
                 (double)(monotonic() - import->began_ms) / 1000);
    buffer_print(text, "%" PRIu64 " duplicate%s, %" PRIu64 " quarantined, %" PRIu64 " notice%s",
                 status->uplink.duplicates, plural(status->uplink.duplicates),
                 status->uplink.quarantined, import->notices, plural(import->notices));
    if (status->left_out > 0)
        buffer_print(text, ", %" PRIu64 " left out by event selectors", status->left_out);
    if (status->uplink.gaps_sent > 0)
        buffer_print(text, ", %" PRIu64 " gap%s", status->uplink.gaps_sent,
                     plural(status->uplink.gaps_sent));
    buffer_append_byte(text, '\n');
    if (count_unread(import) > 0) {
        buffer_print(text, "%" PRIu64 " time%s something could not be read, at last: ",
                     count_unread(import), plural(count_unread(import)));
        format_cell(span_text(import->source_status.last_error), UINT32_MAX, false, text);
        buffer_append_byte(text, '\n');
    }
    if (status->uplink.quarantined > 0)
        buffer_append_text(text, "what was refused and why: orgtrail quarantine list\n");
    if (import->is_compared) {
        buffer_print(text, "%" PRIu64 " event%s compared with the store: it lacks %" PRIu64 "\n",
                     import->comparison.records, plural(import->comparison.records),
                     import->comparison.lacking);
    }
    if (is_all_in(import)) buffer_append_text(text, "All in\n");
}

static int answer(const struct import *import) {
    struct buffer text;
    buffer_init(&text, OUTPUT_SIZE_MAX);
    if (import->options->is_json) {
        print_json(import, &text);
    } else {
        print_people(import, &text);
    }
    fwrite(text.bytes, 1, text.size, stdout);
    buffer_done(&text);
    int code = command_finish(import->program);
    if (code != 0) return EXIT_FAILED;
    if (import->is_stopped) {
        fprintf(stderr, "%s: stopped: the same command goes on from here\n", import->program);
        return EXIT_FAILED;
    }
    return is_all_in(import) ? 0 : EXIT_REFUSED;
}

int import_run(int argc, char **argv) {
    static const struct argp_child children[] = {
        {&store_argp, 0, NULL, 0}, {&s3_argp, 0, NULL, 0}, {0}};
    static const struct argp parser = {
        .options = argument_options,
        .parser = parse_argument,
        .args_doc = "DIR|s3://BUCKET[/PREFIX]",
        .children = children,
        .doc =
            "Brings the CloudTrail files below DIR or in a bucket of S3, in the layout of a bucket "
            "or "
            "any other, into the trail, as an agent of the whole organization would. What is there "
            "already is "
            "not doubled; the same command goes on with one that was stopped. With --store or "
            "--config it is then compared with the store: what is lacking there is told.\v"
            "Exit codes: 0 all is in, 1 something was refused, unread or lacking, 2 it could "
            "not be done or was stopped.",
    };
    struct options options = {.timeout_s = PATIENCE_S};
    if (argp_parse(&parser, argc, argv, 0, NULL, &options) != 0) return EXIT_FAILED;
    struct import *import = calloc(1, sizeof *import);
    struct fault fault;
    if (import == NULL) {
        fault_set(&fault, FAULT_FULL, "out of memory");
        command_fail(argv[0], &fault);
        return EXIT_FAILED;
    }
    import->options = &options;
    import->program = argv[0];
    import->began_ms = monotonic();
    buffer_init(&import->notices_json, OUTPUT_SIZE_MAX);
    buffer_init(&import->lacking_json, OUTPUT_SIZE_MAX);
    // What the log would say stands in the answer, but for what goes wrong with the machine.
    log_init("orgtrail-import", LOG_ERROR);
    sigset_t signals;
    sigemptyset(&signals);
    sigaddset(&signals, SIGTERM);
    sigaddset(&signals, SIGINT);
    bool is_good =
        find_archive(import, &fault) && count_files(import, &fault) && load_bundle(import, &fault);
    // Before any thread is made, so that all inherit it and only sigtimedwait sees them.
    is_good = is_good && (sigprocmask(SIG_BLOCK, &signals, NULL) == 0 ||
                          fault_set(&fault, FAULT_IO, "signals cannot be blocked"));
    is_good =
        is_good && (import->pool == NULL ||
                    s3_files_create(import->pool, import->place.bucket, &import->s3_files, &fault));
    is_good = is_good && run_agent(import, &signals, &fault);
    int code = EXIT_FAILED;
    if (is_good) {
        is_good = compare(import, &fault);
        code = answer(import);
    }
    if (!is_good) {
        code = EXIT_FAILED;
        command_fail(argv[0], &fault);
    }
    agent_config_destroy(import->loaded);
    s3_files_destroy(import->s3_files);
    s3_pool_destroy(import->pool);
    buffer_done(&import->notices_json);
    buffer_done(&import->lacking_json);
    free(import);
    return code;
}
