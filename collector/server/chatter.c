#include "collector/server/chatter.h"

bool chatter_may_print(struct chatter *chatter, int64_t now_ms, uint32_t *left_out) {
    *left_out = 0;
    long long begun_ms = atomic_load(&chatter->begun_ms);
    if (now_ms - begun_ms >= CHATTER_WINDOW_MS &&
        atomic_compare_exchange_strong(&chatter->begun_ms, &begun_ms, now_ms)) {
        atomic_store(&chatter->lines, 0);
        *left_out = atomic_exchange(&chatter->left_out, 0);
    }
    if (atomic_fetch_add(&chatter->lines, 1) < CHATTER_LINES_MAX) return true;
    atomic_fetch_add(&chatter->left_out, 1);
    return false;
}
