#include "agent/choice.h"

#include <stdlib.h>

#include "base/arena.h"
#include "base/buffer.h"
#include "base/files.h"
#include "base/json.h"
#include "base/log.h"
#include "event/match/match.h"
#include "event/record.h"

enum { RECORD_ARENA_SIZE = 4 * 1024 * 1024 };  // of one record's fields

struct choice {
    struct json_reader *json;
    struct arena *arena;
    struct match *match;
};

static bool read_selectors(struct choice *choice, const char *path, struct fault *fault) {
    struct buffer text;
    buffer_init(&text, CHOICE_FILE_SIZE_MAX);
    struct arena *arena = arena_create(SELECTOR_ARENA_SIZE);
    const struct yyjson_val *root;
    struct selector_set set;
    bool is_good = arena != NULL || fault_set(fault, FAULT_FULL, "out of memory");
    is_good = is_good &&
              files_read_whole(files_system(), path, CHOICE_FILE_SIZE_MAX, &text, fault) &&
              ((json_read(choice->json, buffer_span(&text), &root, fault) &&
                selector_parse_advanced(root, SELECTOR_FOR_AGENT, arena, &set, fault) &&
                match_create(&set, &choice->match, fault)) ||
               fault_add(fault, "%s", path));
    arena_destroy(arena);
    buffer_done(&text);
    return is_good;
}

bool choice_load(const char *path, struct choice **choice, struct fault *fault) {
    struct choice *made = calloc(1, sizeof *made);
    if (made != NULL) {
        made->json = json_reader_create();
        made->arena = arena_create(RECORD_ARENA_SIZE);
    }
    if (made == NULL || made->json == NULL || made->arena == NULL) {
        choice_destroy(made);
        return fault_set(fault, FAULT_FULL, "out of memory for event selectors");
    }
    if (!read_selectors(made, path, fault)) {
        choice_destroy(made);
        return fault_add(fault, "event_selectors");
    }
    *choice = made;
    return true;
}

void choice_reload(struct choice *choice, const char *path) {
    struct choice *made;
    struct fault fault;
    if (!choice_load(path, &made, &fault)) {
        LOG(LOG_ERROR, "event selectors not taken: the old ones stay", log_fault(&fault),
            log_kind(&fault));
        return;
    }
    struct match *old = choice->match;
    choice->match = made->match;
    made->match = old;
    choice_destroy(made);
    LOG(LOG_INFO, "event selectors taken", log_text("path", path));
}

void choice_destroy(struct choice *choice) {
    if (choice == NULL) return;
    match_destroy(choice->match);
    arena_destroy(choice->arena);
    json_reader_destroy(choice->json);
    free(choice);
}

bool choice_keeps(struct choice *choice, struct span text) {
    struct record record;
    enum record_refusal refusal;
    struct fault fault;
    arena_reset(choice->arena);
    if (!record_read(choice->json, choice->arena, text, &record, &refusal, &fault)) return true;
    return record.category == RECORD_OTHER || match_selects(choice->match, &record);
}
