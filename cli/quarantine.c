// quarantine.c: orgtrail quarantine: what was refused and why, and what becomes of it.

#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#include "base/clock.h"
#include "cli/command.h"
#include "cli/control.h"
#include "cli/refused_choice.h"
#include "cli/refused_list.h"
#include "cli/store.h"
#include "query/refused.h"

enum {
    OPTION_JSON = 256,
    OPTION_RAW,
    OPTION_ALL,
    OPTION_DRY_RUN,
    BYTES_SHOWN = 64 * 1024,             // of a refused record; --raw gives all
    BUFFER_SIZE_MAX = 32 * 1024 * 1024,  // one entry of 1 MiB, escaped
    LIMIT_MAX = 1000000000,
    KEYS_OF_REQUEST = 20000,  // the answer to one takes seconds at most
};

enum action { ACTION_NONE, ACTION_LIST, ACTION_SHOW, ACTION_RETRY, ACTION_DISCARD };

static const char *const actions[] = {"", "list", "show", "retry", "discard"};

struct options {
    struct store_choice store;
    struct refused_choice choice;
    enum action action;
    bool is_json;
    bool is_raw;
    bool is_all;
    bool is_dry_run;
    size_t limit;  // list; 0: all
};

// The chosen entries, as they go through the reader's callback.
struct listing {
    const struct options *options;
    struct trail_reader *reader;
    struct buffer text;
    uint8_t (*keys)[TRAIL_REFUSED_KEY_SIZE];  // to be changed
    size_t keys_capacity;
    uint64_t found;
    uint64_t all;
    struct refused_list list;
    struct fault fault;
    bool has_failed;
};

static const struct argp_option argument_options[] = {
    {"json", OPTION_JSON, 0, 0, "list, show: a JSON object a line", 0},
    {"raw", OPTION_RAW, 0, 0, "show: only the refused bytes, as they came", 0},
    {"all", OPTION_ALL, 0, 0, "retry, discard: every entry", 0},
    {"limit", 'n', "N", 0, "list: so many entries, the newest", 0},
    {"dry-run", OPTION_DRY_RUN, 0, 0, "retry, discard: only list what would be changed", 0},
    {0},
};

static bool is_change(const struct options *options) {
    return options->action == ACTION_RETRY || options->action == ACTION_DISCARD;
}

static void take_action(struct options *options, const char *name, struct argp_state *state) {
    for (enum action action = ACTION_LIST; action <= ACTION_DISCARD; action++) {
        if (strcmp(name, actions[action]) == 0) options->action = action;
    }
    if (options->action == ACTION_NONE) {
        argp_error(state, "unknown: \"quarantine %s\"; there are list, show, retry and discard",
                   name);
    }
}

static void take_argument(struct options *options, char *argument, struct argp_state *state) {
    struct refused_choice *choice = &options->choice;
    if (options->action == ACTION_NONE) {
        take_action(options, argument, state);
    } else if (options->action != ACTION_LIST && refused_choice_is_key(argument)) {
        if (choice->keys_count == REFUSED_CHOICE_KEYS_MAX) argp_error(state, "too many keys");
        choice->keys[choice->keys_count++] = argument;
    } else if (options->action == ACTION_SHOW && choice->keys_count == 0) {
        argp_error(state, "show: \"%s\" is no KEY, nor its first 6 digits or more", argument);
    } else if (options->store.directory == NULL) {
        options->store.directory = argument;
    } else {
        argp_error(state, "one store only: \"%s\" is too much", argument);
    }
}

static void check_arguments(const struct options *options, struct argp_state *state) {
    bool is_any = refused_choice_is_any(&options->choice);
    if (options->action == ACTION_NONE)
        argp_error(state, "what? there are list, show, retry and discard");
    if (options->action != ACTION_LIST && options->limit > 0)
        argp_error(state, "%s knows no --limit", actions[options->action]);
    if (options->action == ACTION_SHOW && options->choice.keys_count == 0)
        argp_error(state, "show: give a KEY, or at least its first 6 digits");
    if (is_change(options) && is_any == options->is_all) {
        argp_error(state, "%s: give KEYs, conditions as --reason, or --all",
                   actions[options->action]);
    }
}

static size_t parse_limit(const char *text, const struct argp_state *state) {
    char *end = NULL;
    unsigned long limit = text[0] >= '0' && text[0] <= '9' ? strtoul(text, &end, 10) : 0;
    if (limit == 0 || limit > LIMIT_MAX || *end != 0)
        argp_error(state, "--limit %s: must be 1 to %d", text, LIMIT_MAX);
    return limit;
}

static error_t parse_argument(int key, char *argument, struct argp_state *state) {
    struct options *options = state->input;
    switch (key) {
        case ARGP_KEY_INIT:
            state->child_inputs[0] = &options->store;
            state->child_inputs[1] = &options->store;
            state->child_inputs[2] = &options->choice;
            return 0;
        case OPTION_JSON:
            options->is_json = true;
            return 0;
        case OPTION_RAW:
            options->is_raw = true;
            return 0;
        case OPTION_ALL:
            options->is_all = true;
            return 0;
        case 'n':
            options->limit = parse_limit(argument, state);
            return 0;
        case OPTION_DRY_RUN:
            options->is_dry_run = true;
            return 0;
        case ARGP_KEY_ARG:
            take_argument(options, argument, state);
            return 0;
        case ARGP_KEY_END:
            check_arguments(options, state);
            return 0;
        default:
            return ARGP_ERR_UNKNOWN;
    }
}

// ---- what there is

static bool print_entry(struct listing *listing, const struct trail_quarantined *entry,
                        struct span agent) {
    const struct options *options = listing->options;
    buffer_reset(&listing->text);
    if (options->action == ACTION_SHOW && options->is_raw) {
        buffer_append(&listing->text, entry->bytes);
    } else if (options->is_json) {
        refused_print_json(entry, agent, &listing->text);
    } else if (options->action == ACTION_SHOW) {
        refused_print_whole(entry, agent, BYTES_SHOWN, &listing->text);
    } else {
        refused_print_line(entry, agent, &listing->text);
    }
    if (buffer_overflowed(&listing->text))
        return fault_set(&listing->fault, FAULT_FULL, "no memory");
    if (options->action != ACTION_SHOW) {
        return refused_list_add(&listing->list, entry->last_ms, buffer_span(&listing->text),
                                &listing->fault);
    }
    fwrite(listing->text.bytes, 1, listing->text.size, stdout);
    return true;
}

static bool keep_key(struct listing *listing, const struct trail_quarantined *entry) {
    if (listing->found == listing->keys_capacity) {
        size_t larger = listing->keys_capacity == 0 ? 1024 : listing->keys_capacity * 2;
        void *grown = realloc(listing->keys, larger * sizeof *listing->keys);
        if (grown == NULL) return fault_set(&listing->fault, FAULT_FULL, "no memory");
        listing->keys = grown;
        listing->keys_capacity = larger;
    }
    memcpy(listing->keys[listing->found], entry->key, TRAIL_REFUSED_KEY_SIZE);
    return true;
}

static bool on_entry(void *user, const struct trail_quarantined *entry) {
    struct listing *listing = user;
    const struct options *options = listing->options;
    struct span agent;
    listing->all++;
    if (!trail_reader_agent(listing->reader, entry->agent, &agent, &listing->fault)) {
        listing->has_failed = true;
        return false;
    }
    if (!refused_choice_has(&options->choice, entry, agent)) return true;
    bool is_changed = is_change(options) && !options->is_dry_run;
    listing->has_failed =
        is_changed ? !keep_key(listing, entry) : !print_entry(listing, entry, agent);
    if (listing->has_failed) return false;
    listing->found++;
    return ferror(stdout) == 0;
}

// Tells on standard error that no entry was chosen, and of how many.
static void say_nothing_matches(const struct listing *listing) {
    struct buffer text;
    if (listing->all == 0) {
        fputs("Nothing in quarantine.\n", stderr);
        return;
    }
    buffer_init(&text, BUFFER_SIZE_MAX);
    refused_choice_print(&listing->options->choice, &text);
    fprintf(stderr, "No entry matches %.*s; %llu in quarantine.\n", (int)text.size,
            (const char *)text.bytes, (unsigned long long)listing->all);
    buffer_done(&text);
}

static bool read_entries(struct listing *listing, struct fault *fault) {
    const struct options *options = listing->options;
    if (!store_open(&options->store, &listing->reader, fault)) return false;
    bool is_good = trail_reader_quarantine(listing->reader, on_entry, listing, fault);
    if (is_good && listing->has_failed) {
        *fault = listing->fault;
        is_good = false;
    }
    trail_reader_close(listing->reader);
    is_good = is_good && refused_list_print(&listing->list, options->limit, fault);
    if (is_good && options->limit > 0 && options->limit < listing->found) {
        fprintf(stderr, "%llu more entries are older.\n",
                (unsigned long long)(listing->found - options->limit));
    }
    if (!is_good || listing->found > 0) return is_good;
    if (options->choice.keys_count > 0)
        return fault_set(fault, FAULT_INPUT, "there is no entry %.64s", options->choice.keys[0]);
    say_nothing_matches(listing);
    return true;
}

// ---- what becomes of it

static bool ask(const struct options *options, const uint8_t (*keys)[TRAIL_REFUSED_KEY_SIZE],
                size_t keys_count, Orgtrail__V1__QuarantineReply *sum, struct fault *fault) {
    Orgtrail__V1__QuarantineRequest request = ORGTRAIL__V1__QUARANTINE_REQUEST__INIT;
    ProtobufCBinaryData *list = calloc(keys_count, sizeof *list);
    if (list == NULL) return fault_set(fault, FAULT_FULL, "no memory");
    for (size_t index = 0; index < keys_count; index++) {
        list[index].data = (uint8_t *)(uintptr_t)keys[index];
        list[index].len = TRAIL_REFUSED_KEY_SIZE;
    }
    request.keys = list;
    request.n_keys = keys_count;
    ProtobufCMessage *message = NULL;
    const char *method = options->action == ACTION_RETRY ? "RetryQuarantine" : "DiscardQuarantine";
    bool is_good = control_ask_one(&options->store, method, &request.base,
                                   &orgtrail__v1__quarantine_reply__descriptor, &message, fault);
    free(list);
    if (!is_good) return false;
    const Orgtrail__V1__QuarantineReply *reply = (const Orgtrail__V1__QuarantineReply *)message;
    sum->entries += reply->entries;
    sum->missing += reply->missing;
    sum->admitted += reply->admitted;
    sum->unchanged += reply->unchanged;
    sum->other += reply->other;
    sum->discarded += reply->discarded;
    sum->records += reply->records;
    sum->stored += reply->stored;
    sum->bytes += reply->bytes;
    protobuf_c_message_free_unpacked(message, NULL);
    return true;
}

static void print_sum(const struct options *options, const Orgtrail__V1__QuarantineReply *sum) {
    if (options->action == ACTION_DISCARD) {
        printf("%llu of %llu entries discarded: %llu refusals, %llu bytes\n",
               (unsigned long long)sum->discarded, (unsigned long long)sum->entries,
               (unsigned long long)sum->records, (unsigned long long)sum->bytes);
        return;
    }
    printf(
        "%llu of %llu entries admitted: %llu events stored; %llu refused again, %llu of them "
        "for another reason\n",
        (unsigned long long)sum->admitted, (unsigned long long)sum->entries,
        (unsigned long long)sum->stored, (unsigned long long)(sum->unchanged + sum->other),
        (unsigned long long)sum->other);
}

static bool change(const struct listing *listing, struct fault *fault) {
    const struct options *options = listing->options;
    Orgtrail__V1__QuarantineReply sum = ORGTRAIL__V1__QUARANTINE_REPLY__INIT;
    bool is_good = true;
    for (size_t first = 0; first < listing->found && is_good; first += KEYS_OF_REQUEST) {
        size_t count = listing->found - first;
        if (count > KEYS_OF_REQUEST) count = KEYS_OF_REQUEST;
        is_good = ask(options, (const uint8_t(*)[TRAIL_REFUSED_KEY_SIZE])listing->keys + first,
                      count, &sum, fault);
    }
    // What was done is done, also if the rest was not.
    if (is_good || sum.entries > 0) print_sum(options, &sum);
    return is_good;
}

static bool run(struct options *options, struct fault *fault) {
    const struct clock *clock = clock_system();
    struct listing listing = {.options = options};
    if (!refused_choice_check(&options->choice, clock->now_ms(clock->context) / 1000, fault)) {
        return false;
    }
    options->choice.json = json_reader_create();
    if (options->choice.json == NULL) return fault_set(fault, FAULT_FULL, "no memory");
    buffer_init(&listing.text, BUFFER_SIZE_MAX);
    bool is_good = read_entries(&listing, fault);
    if (is_good && is_change(options) && !options->is_dry_run && listing.found > 0) {
        is_good = change(&listing, fault);
    }
    buffer_done(&listing.text);
    refused_list_done(&listing.list);
    free(listing.keys);
    json_reader_destroy(options->choice.json);
    return is_good;
}

int quarantine_run(int argc, char **argv) {
    static const struct argp_child children[] = {{&store_argp, 0, NULL, 0},
                                                 {&store_socket_argp, 0, NULL, 0},
                                                 {&refused_choice_argp, 0, NULL, 0},
                                                 {0}};
    static const struct argp argp = {
        .options = argument_options,
        .parser = parse_argument,
        .args_doc = "list [STORE]\nshow KEY [STORE]\nretry KEY... [STORE]\ndiscard KEY... [STORE]",
        .doc =
            "What was refused and why, and what becomes of it. list: a line for each entry, newest "
            "first; "
            "show: one entry, by the key that list prints. retry: has the collector receive "
            "entries again, after what was wrong was mended; discard: has it drop them for "
            "good. Both need the right to change things, and each leaves an event of its own.",
        .children = children,
    };
    struct options options = {0};
    struct fault fault = {0};
    argp_parse(&argp, argc, argv, 0, NULL, &options);
    return run(&options, &fault) ? command_finish(argv[0]) : command_fail(argv[0], &fault);
}
