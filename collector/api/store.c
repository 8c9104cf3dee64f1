#include "collector/api/store.h"

#include <stdlib.h>

struct store {
    struct trail_reader *reader;
    struct append *append;
};

static bool on_read(void *context, struct span prefix,
                    bool (*on_document)(void *user, struct span name, struct span value),
                    void *user, struct fault *fault) {
    struct store *store = context;
    return trail_reader_documents(store->reader, prefix, on_document, user, fault);
}

static bool on_change(void *context, const struct append_document *documents,
                      uint32_t documents_count, const struct span *records, uint32_t records_count,
                      bool *is_current, struct fault *fault) {
    struct store *store = context;
    const struct append_documents_options options = {
        .documents = documents,
        .documents_count = documents_count,
        .records = records,
        .records_count = records_count,
    };
    return append_documents_change(store->append, &options, APPEND_DOCUMENTS_WAIT_MS, is_current,
                                   fault);
}

bool store_open(const char *directory, struct append *append, struct store **store,
                struct fault *fault) {
    struct store *made = calloc(1, sizeof *made);
    if (made == NULL) return fault_set(fault, FAULT_FULL, "no memory for a reader");
    made->append = append;
    if (!trail_reader_open(directory, &made->reader, fault)) {
        free(made);
        return false;
    }
    *store = made;
    return true;
}

void store_close(struct store *store) {
    if (store == NULL) return;
    trail_reader_close(store->reader);
    free(store);
}

struct api_store store_interface(struct store *store) {
    return (struct api_store){
        .read = on_read, .change = on_change, .reader = store->reader, .context = store};
}
