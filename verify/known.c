#include "verify/known.h"

#include <stdlib.h>
#include <string.h>

#include "base/clock.h"
#include "base/json.h"

bool known_add(struct known *known, const struct known_end *end, struct fault *fault) {
    if (known->count == KNOWN_MAX)
        return fault_set(fault, FAULT_INPUT, "more than %d chains are known", KNOWN_MAX);
    if (known->count == known->capacity) {
        uint32_t capacity = known->capacity == 0 ? 64 : 2 * known->capacity;
        struct known_end *list = reallocarray(known->list, capacity, sizeof *list);
        if (list == NULL) return fault_set(fault, FAULT_FULL, "no memory for known chains");
        known->list = list;
        known->capacity = capacity;
    }
    known->list[known->count++] = *end;
    return true;
}

// ---- an earlier report

static struct span string_of(const struct yyjson_val *object, const char *name) {
    return json_member_string(object, span_text(name));
}

static bool read_chain(struct known *known, const struct yyjson_val *chain, struct fault *fault) {
    const struct yyjson_val *last = json_member(chain, SPAN_LITERAL("last"));
    const struct yyjson_val *backfill = json_member(chain, SPAN_LITERAL("backfill"));
    struct known_end end = {
        .account = string_of(chain, "account"),
        .region = string_of(chain, "region"),
        .trail = string_of(chain, "trail"),
        .home_region = string_of(chain, "homeRegion"),
        .is_backfill = yyjson_is_true((yyjson_val *)(uintptr_t)backfill),
        .bucket = string_of(last, "bucket"),
        .object = string_of(last, "object"),
        .hash = string_of(last, "hash"),
        .source = "the earlier report",
    };
    // A chain whose last digest was not whole proves nothing.
    if (end.hash.size == 0) return true;
    if (end.account.size == 0 || end.region.size == 0 || end.trail.size == 0 ||
        end.bucket.size == 0 || end.object.size == 0) {
        return fault_set(fault, FAULT_INPUT, "a chain's account, region, trail or last is absent");
    }
    return time_parse(string_of(last, "end"), &end.end_s, fault) && known_add(known, &end, fault);
}

bool known_read_report(struct known *known, struct arena *arena, struct span text,
                       struct fault *fault) {
    const struct yyjson_val *root = NULL;
    if (!json_read_into(arena, text, &root, fault)) return false;
    yyjson_val *chains = (yyjson_val *)(uintptr_t)json_member(root, SPAN_LITERAL("chains"));
    if (!yyjson_is_arr(chains))
        return fault_set(fault, FAULT_INPUT, "no report of orgtrail verify --json");
    size_t index, max;
    yyjson_val *chain;
    yyjson_arr_foreach(chains, index, max, chain) {
        if (!read_chain(known, chain, fault)) return fault_add(fault, "chain %zu", index + 1);
    }
    return true;
}

// ---- finding

static int compare_regions(const struct known_end *left, struct span account, struct span region) {
    int order = span_compare(left->account, account);
    return order != 0 ? order : span_compare(left->region, region);
}

static int compare(const void *left, const void *right) {
    const struct known_end *one = left, *other = right;
    int order = compare_regions(one, other->account, other->region);
    return order != 0 ? order : span_compare(one->trail, other->trail);
}

void known_sort(struct known *known) {
    if (known->count > 0) qsort(known->list, known->count, sizeof *known->list, compare);
}

uint32_t known_find(const struct known *known, struct span account, struct span region,
                    const struct known_end **first) {
    uint32_t from = 0, to = known->count, count = 0;
    while (from < to) {
        uint32_t middle = from + (to - from) / 2;
        if (compare_regions(&known->list[middle], account, region) < 0) {
            from = middle + 1;
        } else {
            to = middle;
        }
    }
    *first = known->list == NULL ? NULL : known->list + from;
    while (from + count < known->count &&
           compare_regions(&known->list[from + count], account, region) == 0) {
        count++;
    }
    return count;
}

void known_done(struct known *known) {
    free(known->list);
    *known = (struct known){0};
}
