// answer.h: what SNS and SQS answer. Pure; the bytes are a stranger's.

#pragma once

#include <stdbool.h>
#include <stdint.h>

#include "base/span.h"

enum {
    ANSWER_CODE_SIZE = 64,      // of an error, with its final zero
    ANSWER_MESSAGE_SIZE = 200,  // of an error, with its final zero
};

struct answer {
    bool is_taken;                      // the message has an id there
    char code[ANSWER_CODE_SIZE];        // "QueueDoesNotExist"; "HTTP 503" if the answer has none
    char message[ANSWER_MESSAGE_SIZE];  // printable ASCII; "" if none
};

// Reads the answer to SNS's Publish, XML, or to SQS's SendMessage, JSON; errors may come as either.
void answer_read(uint32_t status, struct span body, struct answer *answer);
