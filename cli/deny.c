// deny.c: orgtrail deny, the collector's deny list over its control socket.

#include <stdio.h>
#include <string.h>

#include "cli/command.h"
#include "cli/control.h"
#include "cli/store.h"

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

int deny_run(int argc, char **argv) {
    static const struct argp_child children[] = {
        {&store_argp, 0, NULL, 0}, {&store_socket_argp, 0, NULL, 0}, {0}};
    static const struct argp argp = {
        .parser = parse_argument,
        .args_doc = "add ENTRY [NOTE]\nremove ENTRY\nlist",
        .doc =
            "Whose good certificate is refused all the same. ENTRY is a serial number in hex, a "
            "name (spiffe://...), or a name and all below it (spiffe://.../*). A stream that is "
            "open ends within seconds; the agent keeps its spool. Says the list as it is then.",
        .children = children,
    };
    struct options options = {0};
    struct fault fault = {0};
    argp_parse(&argp, argc, argv, 0, NULL, &options);
    Orgtrail__V1__DenyRequest request = ORGTRAIL__V1__DENY_REQUEST__INIT;
    if (options.entry != NULL) request.entry = (char *)(uintptr_t)options.entry;
    if (options.note != NULL) request.note = (char *)(uintptr_t)options.note;
    ProtobufCMessage *reply = NULL;
    if (!control_ask_one(&options.choice, find_method(options.action), &request.base,
                         &orgtrail__v1__deny_reply__descriptor, &reply, &fault)) {
        return command_fail(argv[0], &fault);
    }
    const Orgtrail__V1__DenyReply *list = (const Orgtrail__V1__DenyReply *)reply;
    fwrite(list->text.data, 1, list->text.len, stdout);
    protobuf_c_message_free_unpacked(reply, NULL);
    return command_finish(argv[0]);
}
