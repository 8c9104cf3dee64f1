// quarantine.c: orgtrail quarantine list and show, what was refused and why. Changes nothing.

#include <stdio.h>
#include <string.h>

#include "cli/command.h"
#include "cli/store.h"
#include "query/refused.h"

enum {
    OPTION_JSON = 256,
    OPTION_REASON,
    OPTION_RAW,
    BYTES_SHOWN = 64 * 1024,             // of a refused record; --raw gives all
    BUFFER_SIZE_MAX = 32 * 1024 * 1024,  // one entry of 1 MiB, escaped
};

struct options {
    struct store_choice store;
    const char *key;  // what `show` is to show; NULL for `list`
    const char *reason;
    bool is_show;
    bool is_json;
    bool is_raw;
};

// A listing, as it goes through the reader's callback.
struct listing {
    const struct options *options;
    struct trail_reader *reader;
    struct buffer text;
    uint64_t found;
    struct fault fault;
    bool has_failed;
};

static const struct argp_option argument_options[] = {
    {"json", OPTION_JSON, 0, 0, "a JSON object a line", 0},
    {"raw", OPTION_RAW, 0, 0, "show: only the refused bytes, as they came", 0},
    {"reason", OPTION_REASON, "NAME", 0, "list: only this reason", 0},
    {0},
};

static void take_argument(struct options *options, char *argument, struct argp_state *state) {
    if (state->arg_num == 0) {
        options->is_show = strcmp(argument, "show") == 0;
        if (!options->is_show && strcmp(argument, "list") != 0)
            argp_error(state, "unknown: \"quarantine %s\"; there are list and show", argument);
    } else if (options->is_show && options->key == NULL) {
        options->key = argument;
    } else if (options->store.directory == NULL) {
        options->store.directory = argument;
    } else {
        argp_error(state, "one store only: \"%s\" is too much", argument);
    }
}

static error_t parse_argument(int key, char *argument, struct argp_state *state) {
    struct options *options = state->input;
    switch (key) {
        case ARGP_KEY_INIT:
            state->child_inputs[0] = &options->store;
            return 0;
        case OPTION_JSON:
            options->is_json = true;
            return 0;
        case OPTION_RAW:
            options->is_raw = true;
            return 0;
        case OPTION_REASON:
            options->reason = argument;
            return 0;
        case ARGP_KEY_ARG:
            take_argument(options, argument, state);
            return 0;
        case ARGP_KEY_END:
            if (state->arg_num == 0) argp_error(state, "what? there are list and show");
            if (options->is_show && (options->key == NULL || strlen(options->key) < 6))
                argp_error(state, "show: give a KEY, or at least its first 6 digits");
            return 0;
        default:
            return ARGP_ERR_UNKNOWN;
    }
}

static bool is_wanted(const struct options *options, const struct trail_quarantined *entry) {
    char key[REFUSED_KEY_SIZE];
    refused_print_key(entry, key);
    if (options->is_show) return strncmp(key, options->key, strlen(options->key)) == 0;
    return options->reason == NULL ||
           strncmp(entry->reason, options->reason, sizeof entry->reason) == 0;
}

static bool on_entry(void *user, const struct trail_quarantined *entry) {
    struct listing *listing = user;
    const struct options *options = listing->options;
    if (!is_wanted(options, entry)) return true;
    struct span agent;
    if (!trail_reader_agent(listing->reader, entry->agent, &agent, &listing->fault)) {
        listing->has_failed = true;
        return false;
    }
    listing->found++;
    buffer_reset(&listing->text);
    if (options->is_show && options->is_raw) {
        buffer_append(&listing->text, entry->bytes);
    } else if (options->is_json) {
        refused_print_json(entry, agent, &listing->text);
    } else if (options->is_show) {
        refused_print_whole(entry, agent, BYTES_SHOWN, &listing->text);
    } else {
        refused_print_line(entry, agent, &listing->text);
    }
    fwrite(listing->text.bytes, 1, listing->text.size, stdout);
    return ferror(stdout) == 0;
}

static bool run(const struct options *options, struct fault *fault) {
    struct listing listing = {.options = options};
    if (!store_open(&options->store, &listing.reader, fault)) return false;
    buffer_init(&listing.text, BUFFER_SIZE_MAX);
    bool is_good = trail_reader_quarantine(listing.reader, on_entry, &listing, fault);
    if (is_good && listing.has_failed) {
        *fault = listing.fault;
        is_good = false;
    }
    if (is_good && options->is_show && listing.found == 0)
        is_good = fault_set(fault, FAULT_INPUT, "there is no entry %.64s", options->key);
    if (is_good && !options->is_show && listing.found == 0) {
        fprintf(stderr, "Nothing in quarantine%s%s%s.\n",
                options->reason != NULL ? " for the reason \"" : "",
                options->reason != NULL ? options->reason : "",
                options->reason != NULL ? "\"" : "");
    }
    buffer_done(&listing.text);
    trail_reader_close(listing.reader);
    return is_good;
}

int quarantine_run(int argc, char **argv) {
    static const struct argp_child children[] = {{&store_argp, 0, NULL, 0}, {0}};
    static const struct argp argp = {
        .options = argument_options,
        .parser = parse_argument,
        .args_doc = "list [STORE]\nshow KEY [STORE]",
        .doc =
            "Shows what was refused and why. list: a line for each entry; show: one entry, by "
            "the key that list prints. Changes nothing.",
        .children = children,
    };
    struct options options = {0};
    struct fault fault = {0};
    argp_parse(&argp, argc, argv, 0, NULL, &options);
    return run(&options, &fault) ? command_finish(argv[0]) : command_fail(argv[0], &fault);
}
