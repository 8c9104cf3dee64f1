// message.h: what is said of a delivered file, and the signature of a webhook. Pure.
//
// One message a file. Its id depends on the file's bucket and key alone, so that whoever is told
// twice can see it.

#pragma once

#include <stdbool.h>
#include <stdint.h>

#include "base/buffer.h"
#include "base/fault.h"
#include "base/span.h"

enum {
    MESSAGE_ID_SIZE = 33,             // hex, with its final zero
    MESSAGE_SIZE_MAX = 16 * 1024,     // bytes of a text; a key has at most 1,024
    MESSAGE_SECRETS_MAX = 2,          // that a webhook is signed with, while one replaces the other
    MESSAGE_SECRET_SIZE_MIN = 16,     // bytes
    MESSAGE_SECRET_SIZE_MAX = 128,    // bytes
    MESSAGE_SECRETS_FILE_MAX = 4096,  // bytes of the file that has them
};

enum message_form {
    MESSAGE_CLOUDTRAIL,  // CloudTrail's own: {"s3Bucket":"B","s3ObjectKey":["K"]}
    MESSAGE_S3_EVENT,    // what S3 says of an object that was created
};

// A delivered file.
struct message_file {
    struct span bucket;
    struct span key;
    struct span region;  // of its bucket
    int64_t time_s;      // of its delivery
};

// A message on its way. All is borrowed.
struct message {
    const char *id;
    struct span text;
    struct span group;  // the trail's name: what messages are in order of
};

// The id of a file's message: SHA-256 over "BUCKET/KEY", the first half of it.
void message_print_id(const struct message_file *file, char id[MESSAGE_ID_SIZE]);

// Appends the text of a file's message.
void message_print(enum message_form form, const struct message_file *file, const char *id,
                   struct buffer *text);

// What a webhook is signed with.
struct message_secrets {
    uint32_t count;
    size_t sizes[MESSAGE_SECRETS_MAX];
    uint8_t bytes[MESSAGE_SECRETS_MAX][MESSAGE_SECRET_SIZE_MAX];
};

// Reads the text of a file of secrets: one or two lines "whsec_" and base64, empty ones left out.
// FAULT_INPUT.
MUST_CHECK bool message_read_secrets(struct span text, struct message_secrets *secrets,
                                     struct fault *fault);

// Appends the signatures as the header webhook-signature has them: "v1," and base64 of HMAC-SHA-256
// over "ID.SECONDS.TEXT", one for each secret, blanks between them.
void message_sign(const struct message_secrets *secrets, const struct message *message,
                  int64_t time_s, struct buffer *value);
