// The documents of a call: what it has read, to be compared, and what it puts.

#include <assert.h>

#include "collector/api/api_internal.h"
#include "storage/trail/trail_types.h"

static struct append_document *find(struct api_worker *worker, struct span name) {
    for (uint32_t index = 0; index < worker->documents_count; index++) {
        if (span_equal(worker->documents[index].name, name)) return &worker->documents[index];
    }
    return NULL;
}

// The value under one name, among those whose name begins so.
struct search {
    struct span name;
    struct arena *arena;
    struct span value;
    bool is_out_of_memory;
};

static bool on_found(void *user, struct span name, struct span value) {
    struct search *search = user;
    // In order of name, the name itself comes before all that only begin with it.
    if (span_equal(name, search->name)) {
        search->is_out_of_memory = !arena_copy(search->arena, value, &search->value);
    }
    return false;
}

// The document as the call knows it, read if it is new to the call; NULL: the call is refused.
static struct append_document *get(struct api_call *call, struct span name) {
    struct api_worker *worker = call->worker;
    assert(name.size > 0 && name.size <= TRAIL_NAME_SIZE_MAX);
    struct append_document *known = find(worker, name);
    if (known != NULL) return known;
    struct fault fault;
    struct search search = {.name = name, .arena = call->arena};
    struct append_document document = {0};
    if (worker->documents_count == APPEND_DOCUMENTS_MAX) {
        fault_set(&fault, FAULT_FULL, "a call of more than %d documents", APPEND_DOCUMENTS_MAX);
    } else if (!arena_copy(call->arena, name, &document.name)) {
        fault_set(&fault, FAULT_FULL, "no memory for a document");
    } else if (worker->store.read(worker->store.context, name, on_found, &search, &fault)) {
        if (!search.is_out_of_memory) {
            document.before = search.value;
            document.after = search.value;
            worker->documents[worker->documents_count] = document;
            return &worker->documents[worker->documents_count++];
        }
        fault_set(&fault, FAULT_FULL, "no memory for a document");
    }
    api_refuse_fault(call, &fault);
    return NULL;
}

bool api_get(struct api_call *call, struct span name, struct span *value) {
    struct append_document *document = get(call, name);
    if (document == NULL) return false;
    *value = document->after;
    return true;
}

bool api_put(struct api_call *call, struct span name, struct span value) {
    struct fault fault;
    struct append_document *document = get(call, name);
    if (document == NULL) return false;
    if (value.size > API_DOCUMENT_SIZE_MAX) {
        fault_set(&fault, FAULT_FULL, "a document of %zu bytes", value.size);
        return api_refuse_fault(call, &fault);
    }
    if (arena_copy(call->arena, value, &document->after)) return true;
    fault_set(&fault, FAULT_FULL, "no memory for a document");
    return api_refuse_fault(call, &fault);
}

bool api_visit(struct api_call *call, struct span prefix,
               bool (*on_document)(void *user, struct span name, struct span value), void *user) {
    struct fault fault;
    struct api_worker *worker = call->worker;
    if (worker->store.read(worker->store.context, prefix, on_document, user, &fault)) return true;
    return api_refuse_fault(call, &fault);
}

bool api_read_json(struct api_call *call, struct span text, const struct yyjson_val **root) {
    struct fault fault;
    if (json_read_into(call->arena, text, root, &fault)) return true;
    if (fault.kind == FAULT_INPUT) fault.kind = FAULT_CORRUPT;
    return api_refuse_fault(call, &fault);
}

bool api_is_management(const struct api_call *call) {
    return span_is(call->request->caller.account, call->world->place.account);
}

// Whether the caller's account is one that sees the organization.
static bool is_privileged(struct api_call *call, bool *is) {
    struct span text = {NULL, 0};
    const struct yyjson_val *root = NULL;
    *is = api_is_management(call);
    if (*is) return true;
    if (!api_get(call, SPAN_LITERAL(API_DELEGATES), &text)) return false;
    if (text.size > 0 && !api_read_json(call, text, &root)) return false;
    yyjson_val *list = (yyjson_val *)(uintptr_t)root;
    for (size_t index = 0; index < yyjson_arr_size(list); index++) {
        struct span account = json_string(yyjson_arr_get(list, index));
        *is = *is || span_equal(account, call->request->caller.account);
    }
    return true;
}

bool api_is_privileged(struct api_worker *worker, struct span account, struct arena *arena,
                       bool *is, struct fault *fault) {
    const struct yyjson_val *root = NULL;
    struct search search = {.name = SPAN_LITERAL(API_DELEGATES), .arena = arena};
    *is = span_is(account, worker->world.place.account);
    if (*is) return true;
    if (!worker->store.read(worker->store.context, search.name, on_found, &search, fault) ||
        (search.value.size > 0 && !json_read_into(arena, search.value, &root, fault))) {
        return false;
    }
    yyjson_val *list = (yyjson_val *)(uintptr_t)root;
    for (size_t index = 0; index < yyjson_arr_size(list); index++) {
        *is = *is || span_equal(json_string(yyjson_arr_get(list, index)), account);
    }
    return true;
}

bool api_sees_organization(struct api_call *call, bool *sees) {
    bool is = false;
    if (!is_privileged(call, &is)) return false;
    *sees = is && call->request->caller.accounts_count == 0;
    return true;
}

bool api_sees_account(struct api_call *call, struct span account, bool *sees) {
    bool is = false;
    const struct api_caller *caller = &call->request->caller;
    if (!is_privileged(call, &is)) return false;
    bool is_listed = caller->accounts_count == 0;
    for (uint32_t index = 0; index < caller->accounts_count; index++) {
        is_listed = is_listed || span_equal(caller->accounts[index], account);
    }
    *sees = is_listed && (is || span_equal(account, caller->account));
    return true;
}
