// reload.c: orgtrail reload: the running collector reads roster and certificates again.

#include <stdio.h>

#include "cli/command.h"
#include "cli/control.h"
#include "cli/store.h"

static error_t parse_argument(int key, char *argument, struct argp_state *state) {
    struct store_choice *store = state->input;
    switch (key) {
        case ARGP_KEY_INIT:
            state->child_inputs[0] = store;
            state->child_inputs[1] = store;
            return 0;
        case ARGP_KEY_ARG:
            if (store->directory != NULL)
                argp_error(state, "one store only: \"%s\" is too much", argument);
            store->directory = argument;
            return 0;
        default:
            return ARGP_ERR_UNKNOWN;
    }
}

static bool run(const struct store_choice *store, struct fault *fault) {
    Orgtrail__V1__ReloadRequest request = ORGTRAIL__V1__RELOAD_REQUEST__INIT;
    ProtobufCMessage *message = NULL;
    if (!control_ask_one(store, "Reload", &request.base, &orgtrail__v1__reload_reply__descriptor,
                         &message, fault)) {
        return false;
    }
    const Orgtrail__V1__ReloadReply *reply = (const Orgtrail__V1__ReloadReply *)message;
    printf("%u accounts: %u added, %u removed, %u changed\n", reply->accounts, reply->added,
           reply->removed, reply->changed);
    if (reply->retried > 0) {
        printf("%llu refused records of unknown accounts are received again\n",
               (unsigned long long)reply->retried);
    }
    if (reply->waiting != NULL && reply->waiting[0] != '\0')
        printf("changed, but taken only when the collector starts again: %s\n", reply->waiting);
    protobuf_c_message_free_unpacked(message, NULL);
    return true;
}

int reload_run(int argc, char **argv) {
    static const struct argp_child children[] = {
        {&store_argp, 0, NULL, 0}, {&store_socket_argp, 0, NULL, 0}, {0}};
    static const struct argp argp = {
        .parser = parse_argument,
        .args_doc = "[STORE]",
        .doc =
            "Has the running collector read its roster and certificates again, as SIGHUP does, "
            "and says what changed. Other settings take effect when the collector starts again: "
            "those that changed are named. A file that is not good changes nothing and is named.",
        .children = children,
    };
    struct store_choice store = {0};
    struct fault fault = {0};
    argp_parse(&argp, argc, argv, 0, NULL, &store);
    return run(&store, &fault) ? command_finish(argv[0]) : command_fail(argv[0], &fault);
}
