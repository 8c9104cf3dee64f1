// trails_operations.h: the operations of CloudTrail that make, show and change trails.

#pragma once

#include "collector/api/api.h"

// Each runs the operation of its name: CreateTrail, UpdateTrail, DeleteTrail, StartLogging,
// StopLogging, GetTrail, DescribeTrails, ListTrails, GetTrailStatus. docs/api.md has their rules.
bool trails_run_create(struct api_call *call);
bool trails_run_update(struct api_call *call);
bool trails_run_delete(struct api_call *call);
bool trails_run_start(struct api_call *call);
bool trails_run_stop(struct api_call *call);
bool trails_run_get(struct api_call *call);
bool trails_run_describe(struct api_call *call);
bool trails_run_list(struct api_call *call);
bool trails_run_status(struct api_call *call);
