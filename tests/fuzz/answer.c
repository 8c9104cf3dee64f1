// What SNS and SQS answer: XML or JSON of a stranger; and the file of a webhook's secrets.

#include "collector/notify/answer.h"

#include <assert.h>
#include <string.h>

#include "collector/notify/message.h"
#include "tests/fuzz/fuzz.h"

static void check_printable(const char *text, size_t size_max) {
    assert(strlen(text) < size_max);
    for (; *text != 0; text++) assert(*text >= ' ' && *text <= '~');
}

int LLVMFuzzerTestOneInput(const uint8_t *data, size_t size) {
    struct answer answer;
    struct message_secrets secrets;
    struct fault fault;
    uint32_t status = size > 0 && data[size - 1] % 2 == 0 ? 200 : 400;
    answer_read(status, span_of(data, size), &answer);
    assert(!answer.is_taken || status == 200);
    assert(answer.code[0] != 0);
    check_printable(answer.code, sizeof answer.code);
    check_printable(answer.message, sizeof answer.message);
    if (message_read_secrets(span_of(data, size), &secrets, &fault)) {
        assert(secrets.count >= 1 && secrets.count <= MESSAGE_SECRETS_MAX);
        for (uint32_t index = 0; index < secrets.count; index++) {
            assert(secrets.sizes[index] >= MESSAGE_SECRET_SIZE_MIN);
            assert(secrets.sizes[index] <= MESSAGE_SECRET_SIZE_MAX);
        }
    }
    return 0;
}
