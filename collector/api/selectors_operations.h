// selectors_operations.h: the operations on a trail's event selectors and insight selectors.

#pragma once

#include "collector/api/api.h"

// PutEventSelectors, GetEventSelectors, PutInsightSelectors, GetInsightSelectors. docs/api.md has
// their rules.
bool selectors_run_put(struct api_call *call);
bool selectors_run_get(struct api_call *call);
bool selectors_run_put_insights(struct api_call *call);
bool selectors_run_get_insights(struct api_call *call);
