#include "collector/api/api.h"

#include <assert.h>
#include <stdlib.h>

#include "collector/api/answers.h"
#include "collector/api/api_event.h"
#include "collector/api/api_internal.h"

struct api_worker *api_worker_create(const struct api_world *world, const struct api_store *store) {
    struct api_worker *worker = calloc(1, sizeof *worker);
    if (worker == NULL) return NULL;
    worker->world = *world;
    worker->store = *store;
    worker->arena = arena_create(API_ARENA_SIZE_MAX);
    buffer_init(&worker->body, API_OUTPUT_SIZE_MAX);
    buffer_init(&worker->event, API_EVENT_SIZE_MAX);
    worker->json = json_reader_create();
    worker->answers = answers_create();
    if (worker->arena != NULL && worker->json != NULL && worker->answers != NULL) return worker;
    api_worker_destroy(worker);
    return NULL;
}

void api_worker_destroy(struct api_worker *worker) {
    if (worker == NULL) return;
    buffer_done(&worker->body);
    buffer_done(&worker->event);
    arena_destroy(worker->arena);
    json_reader_destroy(worker->json);
    answers_destroy(worker->answers);
    free(worker);
}

// Calls itself at most JSON_DEPTH_MAX times: nothing deeper was read.
static bool is_deeper(const struct yyjson_val *value, uint32_t depth_max) {
    yyjson_val *any = (yyjson_val *)(uintptr_t)value;
    if (!yyjson_is_ctn(any)) return false;
    if (depth_max == 0) return true;
    size_t index, count;
    yyjson_val *key, *item;
    if (yyjson_is_arr(any)) {
        yyjson_arr_foreach(any, index, count, item) {
            if (is_deeper(item, depth_max - 1)) return true;
        }
        return false;
    }
    yyjson_obj_foreach(any, index, count, key, item) {
        if (is_deeper(item, depth_max - 1)) return true;
    }
    return false;
}

// An empty body stands for no parameters.
static bool read_input(struct api_call *call) {
    struct fault fault;
    struct span name;
    struct span body = call->request->body;
    const struct yyjson_val *input = NULL;
    if (body.size == 0) body = SPAN_LITERAL("{}");
    if (!json_read_into(call->arena, body, &input, &fault)) {
        if (fault.kind != FAULT_INPUT) return api_refuse_fault(call, &fault);
        return api_refuse(call, "SerializationException", "%s", fault.text);
    }
    if (!yyjson_is_obj((yyjson_val *)(uintptr_t)input)) {
        return api_refuse(call, "SerializationException", "The parameters are not a structure.");
    }
    if (json_find_duplicate(input, &name)) {
        return api_refuse(call, "SerializationException", "'%.*s' occurs twice.", SPAN_PRINT(name));
    }
    if (is_deeper(input, API_DEPTH_MAX)) {
        return api_refuse(call, "SerializationException",
                          "More than %d structures and lists in one another.", API_DEPTH_MAX);
    }
    call->input = input;
    return true;
}

static bool check_operation(struct api_call *call, const struct operation *operation) {
    const struct api_request *request = call->request;
    const struct api_caller *caller = &request->caller;
    if (operation == NULL) {
        return api_refuse(call, "UnknownOperationException",
                          "orgtrail answers no operation of that name for the service %.*s. "
                          "docs/api.md lists what it answers.",
                          SPAN_PRINT(request->service));
    }
    if (operation->run == NULL) {
        return api_refuse(call, "UnsupportedOperationException",
                          "orgtrail does not offer %s. docs/api.md lists what it answers.",
                          operation->name);
    }
    if (operation->is_change && caller->role != API_ADMIN) {
        return api_refuse(call, "AccessDeniedException",
                          "User: arn:aws:iam::%.*s:user/%.*s is not authorized to perform: "
                          "%s:%s because its key has the role read",
                          SPAN_PRINT(caller->account), SPAN_PRINT(caller->name), operation->service,
                          operation->name);
    }
    return true;
}

static bool run_once(struct api_call *call, const struct operation *operation) {
    struct api_worker *worker = call->worker;
    worker->documents_count = 0;
    buffer_reset(&worker->body);
    struct json_writer writer = json_writer_begin(&worker->body);
    json_write_object(&writer, NULL);
    call->output = &writer;
    uint32_t place;
    call->roster = roster_live_enter(worker->world.roster, &place);
    bool is_good = operation->run(call);
    roster_live_leave(worker->world.roster, place);
    call->roster = NULL;
    call->output = NULL;
    // Whoever refuses says why, and whoever says why refuses.
    assert(is_good == (worker->failure.status == 0));
    if (!is_good) return false;
    assert(writer.depth == 1);
    json_write_end(&writer);
    if (!buffer_overflowed(&worker->body)) return true;
    return api_refuse_status(call, 500, "InternalFailureException", "The answer is too large.");
}

static bool has_changes(const struct api_worker *worker) {
    for (uint32_t index = 0; index < worker->documents_count; index++) {
        const struct append_document *document = &worker->documents[index];
        if (!span_equal(document->before, document->after)) return true;
    }
    return false;
}

// What a change answered, for its event. It is small: without memory for it the event goes without.
static const struct yyjson_val *read_output(struct api_call *call) {
    struct fault ignored;
    const struct yyjson_val *output = NULL;
    struct span body = buffer_span(&call->worker->body);
    return json_read_into(call->arena, body, &output, &ignored) ? output : NULL;
}

static struct span print_event(struct api_call *call, const struct operation *operation) {
    struct api_worker *worker = call->worker;
    const struct api_failure *failure = &worker->failure;
    bool is_change = operation != NULL && operation->is_change;
    const struct api_event event = {
        .request = call->request,
        .api_version = operation == NULL ? "" : operations_version(operation),
        .is_change = is_change,
        .input = call->input,
        .output = is_change && failure->status == 0 ? read_output(call) : NULL,
        .code = failure->status == 0 ? NULL : failure->code,
        .message = failure->message,
    };
    api_event_print(call->world, &event, &worker->event);
    assert(!buffer_overflowed(&worker->event));
    return buffer_span(&worker->event);
}

// Makes durable what the operation has put, with the call's event. *is_current false: it is to run
// again.
static bool commit(struct api_call *call, const struct operation *operation, bool *is_current) {
    struct fault fault;
    struct api_worker *worker = call->worker;
    struct span event = print_event(call, operation);
    if (worker->store.change(worker->store.context, worker->documents, worker->documents_count,
                             &event, 1, is_current, &fault)) {
        return true;
    }
    return api_refuse_fault(call, &fault);
}

// *is_told: the call's event is stored.
static bool run(struct api_call *call, const struct operation *operation, bool *is_told) {
    if (!read_input(call) || !check_operation(call, operation)) return false;
    for (uint32_t attempt = 0; attempt < API_ATTEMPTS_MAX; attempt++) {
        if (!run_once(call, operation)) return false;
        assert(operation->is_change || !has_changes(call->worker));
        if (!has_changes(call->worker)) return true;
        bool is_current = false;
        if (!commit(call, operation, &is_current)) return false;
        *is_told = is_current;
        if (is_current) return true;
    }
    return api_refuse(call, "ConflictException",
                      "Others are changing the same resource. Try again later.");
}

static void write_failure(struct api_worker *worker) {
    buffer_reset(&worker->body);
    struct json_writer writer = json_writer_begin(&worker->body);
    json_write_object(&writer, NULL);
    json_write_string(&writer, "__type", span_text(worker->failure.code));
    json_write_string(&writer, "message", span_text(worker->failure.message));
    json_write_end(&writer);
}

void api_run(struct api_worker *worker, const struct api_request *request,
             struct api_answer *answer) {
    operations_run(operations_find(request->service, request->operation), worker, request, answer);
}

void operations_run(const struct operation *operation, struct api_worker *worker,
                    const struct api_request *request, struct api_answer *answer) {
    arena_reset(worker->arena);
    worker->failure = (struct api_failure){0};
    struct api_call call = {.world = &worker->world,
                            .reader = worker->store.reader,
                            .answers = worker->answers,
                            .request = request,
                            .arena = worker->arena,
                            .worker = worker};
    bool is_told = false;
    bool is_good = run(&call, operation, &is_told);
    struct span event = {NULL, 0};
    if (!is_told) event = print_event(&call, operation);
    if (!is_good) write_failure(worker);
    *answer = (struct api_answer){
        .status = is_good ? 200 : worker->failure.status,
        .body = buffer_span(&worker->body),
        .code = is_good ? NULL : worker->failure.code,
        .message = is_good ? NULL : worker->failure.message,
        .event = event,
        .is_again = call.is_again,
    };
}
