#include "collector/api/answers.h"

#include <stdlib.h>

#include "base/buffer.h"

struct kept {
    struct buffer call;  // key id, region and body, each behind its size
    struct buffer answer;
};

struct answers {
    uint64_t commit;  // that all of them belong to
    struct kept list[ANSWERS_MAX];
    uint32_t count;
    uint32_t next;       // to be replaced
    struct buffer call;  // the one that is looked for
};

struct answers *answers_create(void) {
    struct answers *answers = calloc(1, sizeof *answers);
    if (answers == NULL) return NULL;
    buffer_init(&answers->call, ANSWERS_KEY_SIZE_MAX);
    for (uint32_t index = 0; index < ANSWERS_MAX; index++) {
        buffer_init(&answers->list[index].call, ANSWERS_KEY_SIZE_MAX);
        buffer_init(&answers->list[index].answer, ANSWERS_SIZE_MAX);
    }
    return answers;
}

void answers_destroy(struct answers *answers) {
    if (answers == NULL) return;
    buffer_done(&answers->call);
    for (uint32_t index = 0; index < ANSWERS_MAX; index++) {
        buffer_done(&answers->list[index].call);
        buffer_done(&answers->list[index].answer);
    }
    free(answers);
}

static void forget(struct answers *answers, uint64_t commit) {
    if (answers->commit == commit) return;
    answers->commit = commit;
    answers->count = 0;
    answers->next = 0;
}

static void append_part(struct buffer *buffer, struct span part) {
    buffer_append(buffer, span_of(&part.size, sizeof part.size));
    buffer_append(buffer, part);
}

// Puts the call together. False if it is too large to be kept.
static bool print_call(struct buffer *buffer, const struct answers_call *call) {
    buffer_reset(buffer);
    append_part(buffer, call->key_id);
    append_part(buffer, call->region);
    append_part(buffer, call->body);
    return !buffer_overflowed(buffer);
}

bool answers_find(struct answers *answers, uint64_t commit, const struct answers_call *call,
                  struct span *answer) {
    forget(answers, commit);
    if (answers->count == 0 || !print_call(&answers->call, call)) return false;
    for (uint32_t index = 0; index < answers->count; index++) {
        const struct kept *kept = &answers->list[index];
        if (!span_equal(buffer_span(&kept->call), buffer_span(&answers->call))) continue;
        *answer = buffer_span(&kept->answer);
        return true;
    }
    return false;
}

void answers_keep(struct answers *answers, uint64_t commit, const struct answers_call *call,
                  struct span answer) {
    forget(answers, commit);
    if (answer.size > ANSWERS_SIZE_MAX) return;
    struct kept *kept = &answers->list[answers->next];
    buffer_reset(&kept->answer);
    buffer_append(&kept->answer, answer);
    if (!print_call(&kept->call, call) || buffer_overflowed(&kept->answer)) {
        // No call is like this: it begins with a size.
        buffer_reset(&kept->call);
    }
    if (answers->count < ANSWERS_MAX) answers->count++;
    answers->next = (answers->next + 1) % ANSWERS_MAX;
}
