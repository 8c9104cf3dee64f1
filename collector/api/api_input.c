// The members of a call's input by their types, and how a call is refused.

#include <math.h>
#include <stdarg.h>
#include <stdio.h>
#include <string.h>

#include "base/log.h"
#include "collector/api/api_internal.h"

static void set_failure(struct api_call *call, uint32_t status, const char *code,
                        const char *format, va_list arguments) {
    struct api_failure *failure = &call->worker->failure;
    failure->status = status;
    snprintf(failure->code, sizeof failure->code, "%s", code);
    vsnprintf(failure->message, sizeof failure->message, format, arguments);
}

bool api_refuse(struct api_call *call, const char *code, const char *format, ...) {
    va_list arguments;
    va_start(arguments, format);
    set_failure(call, 400, code, format, arguments);
    va_end(arguments);
    return false;
}

bool api_refuse_status(struct api_call *call, uint32_t status, const char *code, const char *format,
                       ...) {
    va_list arguments;
    va_start(arguments, format);
    set_failure(call, status, code, format, arguments);
    va_end(arguments);
    return false;
}

bool api_refuse_fault(struct api_call *call, const struct fault *fault) {
    if (fault->kind == FAULT_FULL || fault->kind == FAULT_RETRY) {
        return api_refuse_status(call, 503, "ServiceUnavailableException",
                                 "The collector cannot do this now (%s). Try again later.",
                                 fault->text);
    }
    LOG(LOG_ERROR, "an API call failed",
        (struct log_field){"operation", call->request->operation, 0},
        log_text("request", call->request->request_id), log_fault(fault), log_kind(fault));
    return api_refuse_status(call, 500, "InternalFailureException",
                             "The request failed because of an internal error. The collector's log "
                             "says more about request %s.",
                             call->request->request_id);
}

// The member, or NULL if it is absent or null.
static yyjson_val *find(const struct yyjson_val *object, const char *name) {
    yyjson_val *value = (yyjson_val *)(uintptr_t)json_member(object, span_text(name));
    return yyjson_is_null(value) ? NULL : value;
}

static bool refuse_type(struct api_call *call, const char *name, const char *type) {
    return api_refuse(call, "SerializationException", "The value of '%s' is not %s.", name, type);
}

bool api_string(struct api_call *call, const struct yyjson_val *object, const char *name,
                struct span *value) {
    yyjson_val *member = find(object, name);
    if (member == NULL) return true;
    if (!yyjson_is_str(member)) return refuse_type(call, name, "a string");
    *value = json_string(member);
    return true;
}

bool api_bool(struct api_call *call, const struct yyjson_val *object, const char *name,
              bool *value) {
    yyjson_val *member = find(object, name);
    if (member == NULL) return true;
    if (!yyjson_is_bool(member)) return refuse_type(call, name, "a boolean");
    *value = yyjson_get_bool(member);
    return true;
}

bool api_integer(struct api_call *call, const struct yyjson_val *object, const char *name,
                 int64_t *value) {
    yyjson_val *member = find(object, name);
    if (member == NULL) return true;
    bool is_large = yyjson_is_uint(member) && yyjson_get_uint(member) > INT64_MAX;
    if (!yyjson_is_int(member) || is_large) return refuse_type(call, name, "an integer");
    *value = yyjson_get_sint(member);
    return true;
}

bool api_time_ms(struct api_call *call, const struct yyjson_val *object, const char *name,
                 int64_t *ms) {
    yyjson_val *member = find(object, name);
    if (member == NULL) return true;
    if (!yyjson_is_num(member)) return refuse_type(call, name, "a number of seconds");
    // Years 1 to 9999, and whatever lies beyond is as good as their ends.
    double seconds = yyjson_get_num(member);
    if (seconds > 253402300799.0) seconds = 253402300799.0;
    if (seconds < -62135596800.0) seconds = -62135596800.0;
    *ms = (int64_t)floor(seconds * 1000 + 0.5);
    return true;
}

bool api_list(struct api_call *call, const struct yyjson_val *object, const char *name,
              const struct yyjson_val **value) {
    yyjson_val *member = find(object, name);
    if (member == NULL) return true;
    if (!yyjson_is_arr(member)) return refuse_type(call, name, "a list");
    *value = member;
    return true;
}
