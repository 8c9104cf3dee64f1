#include "agent/source/progress.h"

#include <string.h>

// 0 flags u8, 1 key 16 bytes, 17 folder 16 bytes, 33 offset u64, 41 path.
enum { FIXED_SIZE = 41, FLAG_PREVIOUS_ENDED = 1, FLAG_ENDED = 2 };

struct span progress_encode(const struct progress *progress, bool previous_ended,
                            uint8_t bytes[PROGRESS_SIZE_MAX]) {
    bytes[0] = (uint8_t)((previous_ended ? FLAG_PREVIOUS_ENDED : 0) |
                         (progress->is_ended ? FLAG_ENDED : 0));
    memcpy(bytes + 1, progress->key.bytes, TAKEN_KEY_SIZE);
    memcpy(bytes + 17, progress->folder.bytes, TAKEN_KEY_SIZE);
    memcpy(bytes + 33, &progress->offset, sizeof progress->offset);
    size_t path_size = strlen(progress->path);
    if (path_size > PROGRESS_PATH_SIZE_MAX) path_size = PROGRESS_PATH_SIZE_MAX;
    memcpy(bytes + FIXED_SIZE, progress->path, path_size);
    return span_of(bytes, FIXED_SIZE + path_size);
}

bool progress_decode(struct span position, struct progress *progress, bool *previous_ended) {
    if (position.size < FIXED_SIZE || position.size > PROGRESS_SIZE_MAX) return false;
    *progress = (struct progress){.exists = true};
    *previous_ended = (position.bytes[0] & FLAG_PREVIOUS_ENDED) != 0;
    progress->is_ended = (position.bytes[0] & FLAG_ENDED) != 0;
    memcpy(progress->key.bytes, position.bytes + 1, TAKEN_KEY_SIZE);
    memcpy(progress->folder.bytes, position.bytes + 17, TAKEN_KEY_SIZE);
    memcpy(&progress->offset, position.bytes + 33, sizeof progress->offset);
    memcpy(progress->path, position.bytes + FIXED_SIZE, position.size - FIXED_SIZE);
    return true;
}
