// Values under names, kept beside events: what must be durable with a commit and is no event.

#include <assert.h>
#include <stdlib.h>

#include "storage/trail/trail_internal.h"

bool trail_document_put(struct trail *trail, struct span name, struct span value,
                        struct fault *fault) {
    assert(trail->is_committing);
    assert(name.size > 0 && name.size <= TRAIL_NAME_SIZE_MAX);
    if (trail->documents_count == trail->documents_capacity) {
        uint32_t larger = trail->documents_capacity == 0 ? 64 : trail->documents_capacity * 2;
        struct trail_document *grown = realloc(trail->documents, larger * sizeof *grown);
        if (grown == NULL) return fault_set(fault, FAULT_FULL, "trail: out of memory");
        trail->documents = grown;
        trail->documents_capacity = larger;
    }
    struct trail_document document;
    if (!arena_copy(trail->arena, name, &document.name) ||
        !arena_copy(trail->arena, value, &document.value)) {
        return fault_set(fault, FAULT_FULL, "trail: out of memory for a document");
    }
    trail->documents[trail->documents_count++] = document;
    return true;
}

bool trail_document_get(struct trail *trail, struct span name, bool *found, struct span *value,
                        struct fault *fault) {
    assert(trail->is_committing);
    struct span stored;
    if (!trail_environment_get(trail->environment, trail->reading, TRAIL_DATABASE_DOCUMENT, name,
                               found, &stored, fault)) {
        return false;
    }
    if (!*found || arena_copy(trail->arena, stored, value)) return true;
    return fault_set(fault, FAULT_FULL, "trail: out of memory for a document");
}

bool trail_documents_write(struct trail *trail, struct fault *fault) {
    for (uint32_t index = 0; index < trail->documents_count; index++) {
        const struct trail_document *document = &trail->documents[index];
        size_t offset = trail->values.size;
        buffer_append(&trail->values, document->value);
        bool is_good = document->value.size == 0
                           ? trail_add_delete(trail, TRAIL_DATABASE_DOCUMENT, document->name, fault)
                           : trail_add_change(trail, TRAIL_DATABASE_DOCUMENT, document->name,
                                              offset, false, fault);
        if (!is_good) return false;
    }
    return true;
}
