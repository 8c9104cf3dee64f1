// deny.c: orgtrail deny, the collector's deny list over its control socket.

#include <inttypes.h>
#include <stdio.h>
#include <string.h>

#include "base/buffer.h"
#include "cli/command.h"
#include "cli/control.h"
#include "cli/matches.h"
#include "cli/store.h"

enum {
    ENTRY_SIZE = 512,               // of an entry, with the final zero
    CONNECTED_SIZE_MAX = 16 << 20,  // bytes of the names of all that are connected
};

struct options {
    struct store_choice choice;
    const char *action;
    const char *entry;
    const char *note;
};

static void take_argument(struct options *options, unsigned number, char *argument,
                          struct argp_state *state) {
    bool is_list = options->action != NULL && strcmp(options->action, "list") == 0;
    if (number == 0) {
        options->action = argument;
    } else if (number == 1 && !is_list) {
        options->entry = argument;
    } else if (number == 2 && strcmp(options->action, "add") == 0) {
        options->note = argument;
    } else {
        argp_error(state, "\"%s\" is too much (a note of several words needs quotes)", argument);
    }
}

static void check_options(const struct options *options, struct argp_state *state) {
    const char *action = options->action;
    if (action == NULL) argp_error(state, "what? there is add, remove and list");
    bool is_list = strcmp(action, "list") == 0;
    if (!is_list && strcmp(action, "add") != 0 && strcmp(action, "remove") != 0)
        argp_error(state, "unknown: \"deny %s\"; there is add, remove and list", action);
    if (!is_list && options->entry == NULL)
        argp_error(state,
                   "whom? a serial number, or a name such as "
                   "spiffe://o-abc/account/111111111111, or that with /* behind it");
}

static error_t parse_argument(int key, char *argument, struct argp_state *state) {
    struct options *options = state->input;
    switch (key) {
        case ARGP_KEY_INIT:
            state->child_inputs[0] = &options->choice;
            state->child_inputs[1] = &options->choice;
            return 0;
        case ARGP_KEY_ARG:
            take_argument(options, state->arg_num, argument, state);
            return 0;
        case ARGP_KEY_END:
            check_options(options, state);
            return 0;
        default:
            return ARGP_ERR_UNKNOWN;
    }
}

static const char *find_method(const char *action) {
    if (strcmp(action, "add") == 0) return "DenyAdd";
    return strcmp(action, "remove") == 0 ? "DenyRemove" : "DenyList";
}

// The entry as the list has it: the first word of its last line.
static void take_last(const Orgtrail__V1__DenyReply *list, char entry[ENTRY_SIZE]) {
    struct span text = span_of(list->text.data, list->text.len);
    while (text.size > 0 && text.bytes[text.size - 1] == '\n') text.size--;
    size_t begin = text.size;
    while (begin > 0 && text.bytes[begin - 1] != '\n') begin--;
    text = span_from(text, begin);
    snprintf(entry, ENTRY_SIZE, "%.*s", SPAN_PRINT(text));
    entry[strcspn(entry, " \t")] = 0;
}

// Says on standard error whom the entry that was added is about. Added it is all the same.
static void print_matches(const struct options *options, const Orgtrail__V1__DenyReply *list,
                          struct span connected) {
    char entry[ENTRY_SIZE];
    struct matches matches;
    struct fault fault;
    take_last(list, entry);
    if (!matches_find(&options->choice, entry, connected, &matches, &fault)) {
        fprintf(stderr, "added; whom it matches is not known: %s\n", fault.text);
        return;
    }
    if (matches.known == 0) {
        fprintf(stderr,
                "WARNING: %s matches 0 known agents; \"orgtrail status\" has their names and "
                "serial numbers\n",
                entry);
    } else {
        fprintf(stderr, "%s matches %" PRIu32 " known %s, %" PRIu32 " connected\n", entry,
                matches.known, matches.known == 1 ? "agent" : "agents", matches.connected);
    }
    if (matches.below > 0) {
        fprintf(stderr,
                "WARNING: it does not match %" PRIu32
                " %s below it (%s): \"%s/*\" is for all of "
                "them\n",
                matches.below, matches.below == 1 ? "agent" : "agents", matches.below_names, entry);
    }
}

int deny_run(int argc, char **argv) {
    static const struct argp_child children[] = {
        {&store_argp, 0, NULL, 0}, {&store_socket_argp, 0, NULL, 0}, {0}};
    static const struct argp argp = {
        .parser = parse_argument,
        .args_doc = "add ENTRY [NOTE]\nremove ENTRY\nlist",
        .doc =
            "Whose good certificate is refused all the same. ENTRY is a serial number in hex, a "
            "name (spiffe://...), or a name and all below it (spiffe://.../*). A stream that is "
            "open ends within seconds; the agent keeps its spool. Says the list as it is then, and "
            "of what was added "
            "how many known agents it matches.",
        .children = children,
    };
    struct options options = {0};
    struct fault fault = {0};
    argp_parse(&argp, argc, argv, 0, NULL, &options);
    Orgtrail__V1__DenyRequest request = ORGTRAIL__V1__DENY_REQUEST__INIT;
    if (options.entry != NULL) request.entry = (char *)(uintptr_t)options.entry;
    if (options.note != NULL) request.note = (char *)(uintptr_t)options.note;
    bool is_add = strcmp(options.action, "add") == 0;
    struct buffer connected;
    buffer_init(&connected, CONNECTED_SIZE_MAX);
    // Before the entry ends their streams. What cannot be asked is said by the change itself.
    if (is_add && !matches_ask_connected(&options.choice, &connected, &fault)) {
        buffer_reset(&connected);
    }
    ProtobufCMessage *reply = NULL;
    if (!control_ask_one(&options.choice, find_method(options.action), &request.base,
                         &orgtrail__v1__deny_reply__descriptor, &reply, &fault)) {
        buffer_done(&connected);
        return command_fail(argv[0], &fault);
    }
    const Orgtrail__V1__DenyReply *list = (const Orgtrail__V1__DenyReply *)reply;
    fwrite(list->text.data, 1, list->text.len, stdout);
    fflush(stdout);
    if (is_add) print_matches(&options, list, buffer_span(&connected));
    if (list->text.len == 0) fputs("the deny list is empty\n", stderr);
    buffer_done(&connected);
    protobuf_c_message_free_unpacked(reply, NULL);
    return command_finish(argv[0]);
}
