#include "collector/api/selectors_operations.h"

#include "collector/api/trails.h"
#include "event/match/insight_selector.h"

// What a reader of selectors finds wrong: CloudTrail has one error for it.
static bool refuse(struct api_call *call, const char *code, const struct fault *fault) {
    if (fault->kind != FAULT_INPUT) return api_refuse_fault(call, fault);
    return api_refuse(call, code, "%s", fault->text);
}

// Parses JSON that was printed, into the arena. False: the call is refused.
static bool keep(struct api_call *call, const struct buffer *text,
                 const struct yyjson_val **value) {
    struct span copy;
    struct fault fault;
    if (!buffer_overflowed(text) && arena_copy(call->arena, buffer_span(text), &copy)) {
        return api_read_json(call, copy, value);
    }
    fault_set(&fault, FAULT_FULL, "no memory for selectors");
    return api_refuse_fault(call, &fault);
}

static bool print_set(struct api_call *call, const struct selector_set *set, bool sorted,
                      const struct yyjson_val **value) {
    struct buffer text;
    buffer_init(&text, API_OUTPUT_SIZE_MAX);
    selector_print(set, sorted, &text);
    bool is_good = keep(call, &text, value);
    buffer_done(&text);
    return is_good;
}

static bool print_insights(struct api_call *call, const struct insight_selectors *selectors,
                           const struct yyjson_val **value) {
    struct buffer text;
    buffer_init(&text, API_OUTPUT_SIZE_MAX);
    insight_selector_print(selectors, &text);
    bool is_good = keep(call, &text, value);
    buffer_done(&text);
    return is_good;
}

static bool write_set(struct api_call *call, const struct trail *trail,
                      const struct selector_set *set, const struct yyjson_val *value) {
    const char *arn = trails_arn(call, trail);
    if (arn == NULL) return false;
    json_write_string(call->output, "TrailARN", span_text(arn));
    json_write_value(call->output,
                     set->advanced_count > 0 ? "AdvancedEventSelectors" : "EventSelectors", value);
    return true;
}

bool selectors_run_put(struct api_call *call) {
    static const char code[] = "InvalidEventSelectorsException";
    const struct yyjson_val *basic = NULL, *advanced = NULL;
    struct trail trail;
    struct selector_set set;
    struct fault fault;
    if (!trails_get(call, "TrailName", &trail) || !trails_may_change(call, &trail) ||
        !api_list(call, call->input, "EventSelectors", &basic) ||
        !api_list(call, call->input, "AdvancedEventSelectors", &advanced)) {
        return false;
    }
    if ((basic == NULL) == (advanced == NULL)) {
        return api_refuse(call, code,
                          "Specify either EventSelectors or AdvancedEventSelectors, not both.");
    }
    bool is_good = basic != NULL ? selector_parse_basic(basic, call->arena, &set, &fault)
                                 : selector_parse_advanced(advanced, SELECTOR_FOR_TRAIL,
                                                           call->arena, &set, &fault);
    if (!is_good) return refuse(call, code, &fault);
    const struct yyjson_val *value;
    if (!print_set(call, &set, false, &value)) return false;
    trail.basic = basic != NULL ? value : NULL;
    trail.advanced = basic != NULL ? NULL : value;
    return trails_put(call, &trail) && write_set(call, &trail, &set, value);
}

bool selectors_run_get(struct api_call *call) {
    struct trail trail;
    struct selector_set set;
    const struct yyjson_val *value;
    return trails_get(call, "TrailName", &trail) && trails_selectors(call, &trail, &set) &&
           print_set(call, &set, true, &value) && write_set(call, &trail, &set, value);
}

// The two operations on insights are for event data stores too, of which there are none.
static bool check_target(struct api_call *call) {
    struct span trail = {NULL, 0}, store = {NULL, 0}, destination = {NULL, 0};
    if (!api_string(call, call->input, "TrailName", &trail) ||
        !api_string(call, call->input, "EventDataStore", &store) ||
        !api_string(call, call->input, "InsightsDestination", &destination)) {
        return false;
    }
    if (trail.bytes != NULL && (store.bytes != NULL || destination.bytes != NULL)) {
        return api_refuse(call, "InvalidParameterCombinationException",
                          "TrailName cannot be given together with EventDataStore or "
                          "InsightsDestination.");
    }
    if (store.bytes != NULL || destination.bytes != NULL) {
        return api_refuse(call, "UnsupportedOperationException",
                          "orgtrail has no event data stores: give TrailName.");
    }
    if (trail.bytes != NULL) return true;
    return api_refuse(call, "InvalidParameterException", "TrailName is required.");
}

// Insights are found in what the trail records, so it must record it.
static bool check_insights(struct api_call *call, const struct trail *trail,
                           const struct insight_selectors *selectors) {
    static const char code[] = "InvalidInsightSelectorsException";
    struct selector_set set;
    if (!trails_selectors(call, trail, &set)) return false;
    uint8_t calls = selectors->categories[INSIGHT_CALL_RATE];
    uint8_t errors = selectors->categories[INSIGHT_ERROR_RATE];
    if ((calls & INSIGHT_OF_MANAGEMENT) != 0 &&
        !selector_records(&set, RECORD_MANAGEMENT, SELECTOR_WRITE)) {
        return api_refuse(call, code,
                          "To log Insights events on API call rate, the trail must log write "
                          "management events.");
    }
    if ((errors & INSIGHT_OF_MANAGEMENT) != 0 &&
        !selector_records(&set, RECORD_MANAGEMENT, SELECTOR_ALL)) {
        return api_refuse(call, code,
                          "To log Insights events on API error rate, the trail must log read or "
                          "write management events.");
    }
    if (((calls | errors) & INSIGHT_OF_DATA) != 0 &&
        !selector_records(&set, RECORD_DATA, SELECTOR_ALL)) {
        return api_refuse(call, code,
                          "To log Insights events on data events, the trail must log data events.");
    }
    return true;
}

static bool write_insights(struct api_call *call, const struct trail *trail,
                           const struct yyjson_val *value) {
    const char *arn = trails_arn(call, trail);
    if (arn == NULL) return false;
    json_write_string(call->output, "TrailARN", span_text(arn));
    json_write_value(call->output, "InsightSelectors", value);
    return true;
}

bool selectors_run_put_insights(struct api_call *call) {
    const struct yyjson_val *list = NULL, *value;
    struct trail trail;
    struct insight_selectors selectors;
    struct fault fault;
    if (!check_target(call) || !trails_get(call, "TrailName", &trail) ||
        !trails_may_change(call, &trail) ||
        !api_list(call, call->input, "InsightSelectors", &list)) {
        return false;
    }
    if (!insight_selector_parse(list, &selectors, &fault)) {
        return refuse(call, "InvalidInsightSelectorsException", &fault);
    }
    if (!check_insights(call, &trail, &selectors) || !print_insights(call, &selectors, &value)) {
        return false;
    }
    trail.insights = insight_selector_is_empty(&selectors) ? NULL : value;
    return trails_put(call, &trail) && write_insights(call, &trail, value);
}

bool selectors_run_get_insights(struct api_call *call) {
    struct trail trail;
    if (!check_target(call) || !trails_get(call, "TrailName", &trail)) return false;
    if (trail.insights != NULL) return write_insights(call, &trail, trail.insights);
    return api_refuse(call, "InsightNotEnabledException",
                      "Trail %.*s does not have Insights enabled. Edit the trail settings to "
                      "enable Insights, and then try the operation again.",
                      SPAN_PRINT(trail.name));
}
