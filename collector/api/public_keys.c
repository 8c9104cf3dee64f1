#include "collector/api/public_keys.h"

bool public_keys_run_list(struct api_call *call) {
    int64_t begin_ms = INT64_MIN, end_ms = INT64_MAX;
    struct span token = {NULL, 0};
    if (!api_time_ms(call, call->input, "StartTime", &begin_ms) ||
        !api_time_ms(call, call->input, "EndTime", &end_ms) ||
        !api_string(call, call->input, "NextToken", &token)) {
        return false;
    }
    if (begin_ms > end_ms) {
        return api_refuse(call, "InvalidTimeRangeException",
                          "The start of the time range is after its end.");
    }
    if (token.size > 0) {
        return api_refuse(call, "InvalidTokenException",
                          "All keys are in one answer: there is no token of a next one.");
    }
    json_write_list(call->output, "PublicKeyList");
    json_write_end(call->output);
    return true;
}
