// operate_keys.h: the methods of the service Control that make, list and change access keys.
//
// A key is usable, or no more, once the change is durable; the answer comes then.

#pragma once

#include "collector/control/control.h"

// KeyList, KeyCreate and KeyChange; the context is a struct operate.
void operate_run_key_list(void *context, struct control_call *call);
void operate_run_key_create(void *context, struct control_call *call);
void operate_run_key_change(void *context, struct control_call *call);
