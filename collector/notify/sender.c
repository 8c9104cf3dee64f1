#include "collector/notify/sender.h"

#include "collector/notify/sender_internal.h"

bool sender_create(const struct sender_options *options, struct sender *sender,
                   struct fault *fault) {
    return sender_create_webhook(options, sender, fault);
}

bool sender_send(const struct sender *sender, const struct message *message, struct fault *fault) {
    return sender->send(sender->context, message, fault);
}

void sender_destroy(struct sender *sender) {
    if (sender->destroy != NULL) sender->destroy(sender->context);
    *sender = (struct sender){0};
}
