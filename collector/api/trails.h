// trails.h: the trails of CloudTrail's API: what each one's document says, who sees it, who changes
// it.
//
// A trail has a home region and an owner, whose account and region stand in its ARN. An
// organization trail's owner is the management account; every account sees a copy of it. In a
// region that is not its home, or in an account that is not its owner, a trail is a shadow: it can
// be seen and not changed.
//
// A document has a version, which rises with each change: what is delivered names the version it
// was delivered by.

#pragma once

#include "collector/api/api.h"
#include "collector/api/trail_check.h"
#include "collector/api/trail_document.h"
#include "event/match/selector.h"

enum { TRAILS_REGION_MAX = 5 };  // trails that one account sees as its own in one region

// The trail of a name, which is one of the caller's account with this home region, or of an ARN
// that the caller sees. *found false: there is none. False: the call is refused
// (InvalidTrailNameException, CloudTrailARNInvalidException).
MUST_CHECK bool trails_find(struct api_call *call, struct span name, struct trail *trail,
                            bool *found);

// The same for a member of the input; what is not there is refused with TrailNotFoundException.
MUST_CHECK bool trails_get(struct api_call *call, const char *member, struct trail *trail);

// Whether the caller may change the trail from here. NotOrganizationMasterAccountException,
// InvalidHomeRegionException.
MUST_CHECK bool trails_may_change(struct api_call *call, const struct trail *trail);

// All trails that the caller sees, in any region, by name and region. The list lies in the arena.
struct trails {
    struct trail *items;
    uint32_t count;
};
MUST_CHECK bool trails_list(struct api_call *call, struct trails *trails);

// All trails of an account, in any region, whoever calls.
MUST_CHECK bool trails_list_account(struct api_call *call, struct span account,
                                    struct trails *trails);

// Whether the trail is there in the region of the call, and whether it is only a shadow there.
bool trails_is_in(const struct api_call *call, const struct trail *trail);
bool trails_is_shadow(const struct api_call *call, const struct trail *trail);

// Keeps a trail, new or changed, as its next version.
MUST_CHECK bool trails_put(struct api_call *call, struct trail *trail);

// Removes a trail.
MUST_CHECK bool trails_remove(struct api_call *call, const struct trail *trail);

// Makes the call fail if another one adds a trail to the account, or changes where one is, at the
// same time: whoever counts trails calls it first, and has changed what is counted then.
MUST_CHECK bool trails_lock(struct api_call *call, struct span account);

// Whether the caller may see its own account's trails: a key that is narrowed to others may not.
bool trails_are_open(const struct api_call *call);

// The trail's ARN. NULL: the call is refused.
const char *trails_arn(struct api_call *call, const struct trail *trail);

// Its selectors, read. False: the call is refused.
MUST_CHECK bool trails_selectors(struct api_call *call, const struct trail *trail,
                                 struct selector_set *set);
