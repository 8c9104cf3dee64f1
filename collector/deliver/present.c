#include "collector/deliver/present.h"

#include <stdio.h>
#include <string.h>

#include "base/json.h"

enum {
    SIZE_MAX_OF_DOCUMENT = 512 * 1024,
    NAME_SHOWN = 20,  // letters of a trail's name in its follower's
};

bool present_document(struct seat *seat, struct arena *arena, const char *name, struct span *text,
                      struct fault *fault) {
    struct buffer buffer;
    buffer_init(&buffer, SIZE_MAX_OF_DOCUMENT);
    bool is_good = seat_document(seat, span_text(name), &buffer, fault);
    if (is_good && !arena_copy(arena, buffer_span(&buffer), text)) {
        is_good = fault_set(fault, FAULT_FULL, "no memory for a trail");
    }
    buffer_done(&buffer);
    return is_good;
}

bool present_parse(struct arena *arena, struct span text, struct trail *trail,
                   struct fault *fault) {
    const struct yyjson_val *root;
    if (!json_read_into(arena, text, &root, fault)) {
        if (fault->kind == FAULT_INPUT) fault->kind = FAULT_CORRUPT;
        return false;
    }
    *trail = trail_document_read(root);
    return true;
}

bool present_read(struct seat *seat, struct arena *arena, const char *name, const char *id,
                  struct span *text, struct trail *trail, struct fault *fault) {
    char found[TRAIL_ID_SIZE];
    if (!present_document(seat, arena, name, text, fault)) return false;
    if (text->size == 0) return true;
    if (!present_parse(arena, *text, trail, fault)) return false;
    trail_document_id(trail, found);
    if (strcmp(found, id) != 0) *text = (struct span){NULL, 0};
    return true;
}

void present_print_follower(const char *kind, struct span name, const char *id,
                            char follower[TRAIL_FOLLOWER_NAME_SIZE]) {
    char shown[NAME_SHOWN + 1];
    size_t size = 0;
    for (; size < name.size && size < NAME_SHOWN; size++) {
        char letter = (char)name.bytes[size];
        shown[size] = letter == '.' || letter == '_' ? '-' : letter;
    }
    shown[size] = 0;
    snprintf(follower, TRAIL_FOLLOWER_NAME_SIZE, "%s-%s-%s", kind, shown, id);
}
