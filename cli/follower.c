// follower.c: orgtrail follower: who reads the trail to its end, how far each has come, and how one
// that is no more is dropped.

#include <inttypes.h>
#include <stdio.h>
#include <string.h>

#include "base/buffer.h"
#include "base/clock.h"
#include "base/json.h"
#include "cli/command.h"
#include "cli/control.h"
#include "cli/store.h"

enum { OPTION_JSON = 256, OUTPUT_SIZE_MAX = 1 << 20 };

struct options {
    struct store_choice store;
    const char *action;
    const char *name;
    bool is_json;
};

struct listing {
    bool is_json;
    uint64_t sequence_last;  // of the trail
    uint32_t count;
    struct buffer text;
};

static const struct argp_option argument_options[] = {
    {"json", OPTION_JSON, 0, 0, "list: a JSON object a line", 0},
    {0},
};

static bool is_drop(const struct options *options) {
    return strcmp(options->action, "drop") == 0;
}

static void take_argument(struct options *options, char *argument, struct argp_state *state) {
    if (options->action == NULL) {
        options->action = argument;
        if (!is_drop(options) && strcmp(argument, "list") != 0)
            argp_error(state, "unknown: \"follower %s\"; there are list and drop", argument);
    } else if (is_drop(options) && options->name == NULL) {
        options->name = argument;
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
            state->child_inputs[1] = &options->store;
            return 0;
        case OPTION_JSON:
            options->is_json = true;
            return 0;
        case ARGP_KEY_ARG:
            take_argument(options, argument, state);
            return 0;
        case ARGP_KEY_END:
            if (options->action == NULL) argp_error(state, "what? there are list and drop");
            if (is_drop(options) && options->name == NULL)
                argp_error(state, "whom? orgtrail follower list says their names");
            return 0;
        default:
            return ARGP_ERR_UNKNOWN;
    }
}

// Names are letters, digits and '-'.
static bool on_follower(void *user, const struct trail_follower *follower) {
    struct listing *listing = user;
    char moved[TIME_TEXT_SIZE];
    time_print_ms(follower->moved_ms, moved);
    uint64_t behind = listing->sequence_last - follower->sequence;
    if (listing->is_json) {
        buffer_print(&listing->text,
                     "{\"name\":\"%s\",\"sequence\":%" PRIu64 ",\"behind\":%" PRIu64
                     ",\"moved\":\"%s\"}\n",
                     follower->name, follower->sequence, behind, moved);
    } else {
        if (listing->count == 0)
            buffer_print(&listing->text, "%-24s %12s %12s  %s\n", "FOLLOWER", "FINISHED", "BEHIND",
                         "MOVED");
        buffer_print(&listing->text, "%-24s %12" PRIu64 " %12" PRIu64 "  %s\n", follower->name,
                     follower->sequence, behind, moved);
    }
    listing->count++;
    return true;
}

static bool list(const struct options *options, struct fault *fault) {
    struct trail_reader *reader = NULL;
    struct trail_facts facts;
    if (!store_open(&options->store, &reader, fault)) return false;
    struct listing listing = {.is_json = options->is_json};
    buffer_init(&listing.text, OUTPUT_SIZE_MAX);
    bool is_good = trail_reader_facts(reader, &facts, fault);
    if (is_good) {
        listing.sequence_last = facts.sequence_last;
        is_good = trail_reader_followers(reader, on_follower, &listing, fault);
    }
    trail_reader_close(reader);
    if (is_good) {
        is_good = !buffer_overflowed(&listing.text) || fault_set(fault, FAULT_FULL, "no memory");
    }
    if (is_good && listing.count > 0) fwrite(listing.text.bytes, 1, listing.text.size, stdout);
    if (is_good && listing.count == 0) fputs("no follower has ever saved its place\n", stderr);
    buffer_done(&listing.text);
    return is_good;
}

static bool drop(const struct options *options, struct fault *fault) {
    Orgtrail__V1__ForgetRequest request = ORGTRAIL__V1__FORGET_REQUEST__INIT;
    ProtobufCMessage *reply = NULL;
    request.name = (char *)(uintptr_t)options->name;
    if (!control_ask_one(&options->store, "DropFollower", &request.base,
                         &orgtrail__v1__forget_reply__descriptor, &reply, fault)) {
        return false;
    }
    protobuf_c_message_free_unpacked(reply, NULL);
    printf("%s is dropped: days wait for it no more\n", options->name);
    return true;
}

int follower_run(int argc, char **argv) {
    static const struct argp_child children[] = {
        {&store_argp, 0, NULL, 0}, {&store_socket_argp, 0, NULL, 0}, {0}};
    static const struct argp argp = {
        .options = argument_options,
        .parser = parse_argument,
        .args_doc = "list [STORE]\ndrop NAME [STORE]",
        .doc =
            "Those who read the trail to its end and save how far they have come. A day that "
            "retention_days no longer keeps waits for each of them. One that is no more is "
            "dropped through the running collector; should it come back, it begins anew.",
        .children = children,
    };
    struct options options = {0};
    struct fault fault = {0};
    argp_parse(&argp, argc, argv, 0, NULL, &options);
    bool is_good = is_drop(&options) ? drop(&options, &fault) : list(&options, &fault);
    return is_good ? command_finish(argv[0]) : command_fail(argv[0], &fault);
}
