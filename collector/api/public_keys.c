#include "collector/api/public_keys.h"

#include "collector/deliver/digest_keys.h"
#include "collector/deliver/state.h"

struct listing {
    struct api_call *call;
    int64_t begin_ms;
    int64_t end_ms;
    bool is_good;
};

static bool on_key(void *user, struct span name, struct span value) {
    struct listing *listing = user;
    struct json_writer *output = listing->call->output;
    const struct yyjson_val *root;
    struct span copy;
    (void)name;
    if (!arena_copy(listing->call->arena, value, &copy)) {
        struct fault fault;
        fault_set(&fault, FAULT_FULL, "no memory for keys");
        listing->is_good = api_refuse_fault(listing->call, &fault);
        return false;
    }
    listing->is_good = api_read_json(listing->call, copy, &root);
    if (!listing->is_good) return false;
    struct digest_key_facts key = digest_key_read(root);
    if (key.to_ms < listing->begin_ms || key.from_ms > listing->end_ms) return true;
    json_write_object(output, NULL);
    json_write_string(output, "Value", key.public_key);
    json_write_time_ms(output, "ValidityStartTime", key.from_ms);
    json_write_time_ms(output, "ValidityEndTime", key.to_ms);
    json_write_string(output, "Fingerprint", key.fingerprint);
    json_write_end(output);
    return true;
}

bool public_keys_run_list(struct api_call *call) {
    int64_t begin_ms = INT64_MIN, end_ms = INT64_MAX;
    struct span token = {NULL, 0};
    if (!api_time_ms(call, call->input, "StartTime", &begin_ms) ||
        !api_time_ms(call, call->input, "EndTime", &end_ms) ||
        !api_string(call, call->input, "NextToken", &token)) {
        return false;
    }
    // Without times the present key is meant.
    if (end_ms == INT64_MAX) end_ms = call->request->now_ms;
    if (begin_ms == INT64_MIN) {
        begin_ms = end_ms < call->request->now_ms ? end_ms : call->request->now_ms;
    }
    if (begin_ms > end_ms) {
        return api_refuse(call, "InvalidTimeRangeException",
                          "The start of the time range is after its end.");
    }
    if (token.size > 0) {
        return api_refuse(call, "InvalidTokenException",
                          "All keys are in one answer: there is no token of a next one.");
    }
    struct listing listing = {call, begin_ms, end_ms, true};
    json_write_list(call->output, "PublicKeyList");
    if (!api_visit(call, SPAN_LITERAL(STATE_DIGEST_KEYS), on_key, &listing) || !listing.is_good) {
        return false;
    }
    json_write_end(call->output);
    return true;
}
