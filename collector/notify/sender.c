#include "collector/notify/sender.h"

#include "collector/notify/sender_internal.h"

bool sender_create(const struct sender_options *options, struct sender *sender,
                   struct fault *fault) {
    switch (options->target->kind) {
        case TARGET_QUEUE:
            return sender_create_queue(options, sender, fault);
        case TARGET_TOPIC:
            return sender_create_topic(options, sender, fault);
        default:
            return sender_create_webhook(options, sender, fault);
    }
}

bool sender_send(const struct sender *sender, const struct message *message, struct fault *fault) {
    return sender->send(sender->context, message, fault);
}

void sender_destroy(struct sender *sender) {
    if (sender->destroy != NULL) sender->destroy(sender->context);
    *sender = (struct sender){0};
}

bool sender_name_fault(struct fault *fault) {
    switch (fault->kind) {
        case FAULT_RETRY:
            return fault_add(fault, "Unreachable");
        case FAULT_DENIED:
            return fault_add(fault, "Refused");
        case FAULT_FULL:
            return fault_add(fault, "WrongAnswer");
        default:
            return fault_add(fault, "WrongSettings");
    }
}
