#include "base/zstd.h"

#include <stdlib.h>
#include <zstd.h>

struct zstd {
    ZSTD_CCtx *compressor;
    ZSTD_DCtx *inflater;
};

struct zstd *zstd_create(void) {
    struct zstd *zstd = calloc(1, sizeof *zstd);
    if (zstd == NULL) return NULL;
    zstd->compressor = ZSTD_createCCtx();
    zstd->inflater = ZSTD_createDCtx();
    if (zstd->compressor == NULL || zstd->inflater == NULL) {
        zstd_destroy(zstd);
        return NULL;
    }
    return zstd;
}

void zstd_destroy(struct zstd *zstd) {
    if (zstd == NULL) return;
    ZSTD_freeCCtx(zstd->compressor);
    ZSTD_freeDCtx(zstd->inflater);
    free(zstd);
}

bool zstd_compress(struct zstd *zstd, struct span bytes, int level, struct buffer *output,
                   struct fault *fault) {
    size_t bound = ZSTD_compressBound(bytes.size);
    uint8_t *to = ZSTD_isError(bound) ? NULL : buffer_reserve(output, bound);
    if (to == NULL) {
        return fault_set(fault, FAULT_FULL, "zstd: no room for %zu bytes compressed", bytes.size);
    }
    size_t size = ZSTD_compressCCtx(zstd->compressor, to, bound, bytes.bytes, bytes.size, level);
    // With room for the bound, only memory for its tables can be missing.
    if (ZSTD_isError(size)) {
        return fault_set(fault, FAULT_FULL, "zstd: %s", ZSTD_getErrorName(size));
    }
    output->size += size;
    return true;
}

struct zstd_shared {
    ZSTD_CDict *dictionary;
};

struct zstd_shared *zstd_shared_create(struct span bytes, int level) {
    struct zstd_shared *shared = calloc(1, sizeof *shared);
    if (shared == NULL) return NULL;
    shared->dictionary = ZSTD_createCDict(bytes.bytes, bytes.size, level);
    if (shared->dictionary == NULL) {
        free(shared);
        return NULL;
    }
    return shared;
}

void zstd_shared_destroy(struct zstd_shared *shared) {
    if (shared == NULL) return;
    ZSTD_freeCDict(shared->dictionary);
    free(shared);
}

bool zstd_compress_shared(struct zstd *zstd, const struct zstd_shared *shared, struct span bytes,
                          struct buffer *output, struct fault *fault) {
    size_t bound = ZSTD_compressBound(bytes.size);
    uint8_t *to = ZSTD_isError(bound) ? NULL : buffer_reserve(output, bound);
    if (to == NULL) {
        return fault_set(fault, FAULT_FULL, "zstd: no room for %zu bytes compressed", bytes.size);
    }
    size_t size = ZSTD_compress_usingCDict(zstd->compressor, to, bound, bytes.bytes, bytes.size,
                                           shared->dictionary);
    if (ZSTD_isError(size)) {
        return fault_set(fault, FAULT_FULL, "zstd: %s", ZSTD_getErrorName(size));
    }
    output->size += size;
    return true;
}

bool zstd_inflate(struct zstd *zstd, struct span frame, uint8_t *output, size_t inflated_size,
                  struct fault *fault) {
    return zstd_inflate_shared(zstd, span_of(NULL, 0), frame, output, inflated_size, fault);
}

bool zstd_inflate_shared(struct zstd *zstd, struct span shared, struct span frame, uint8_t *output,
                         size_t inflated_size, struct fault *fault) {
    // ZSTD_decompressDCtx would take several frames, and any of them may be a skippable one.
    size_t frame_size = ZSTD_findFrameCompressedSize(frame.bytes, frame.size);
    if (ZSTD_isError(frame_size)) {
        return fault_set(fault, FAULT_CORRUPT, "zstd: %s", ZSTD_getErrorName(frame_size));
    }
    if (frame_size != frame.size) {
        return fault_set(fault, FAULT_CORRUPT, "zstd: frame of %zu bytes in %zu", frame_size,
                         frame.size);
    }
    size_t size = ZSTD_decompress_usingDict(zstd->inflater, output, inflated_size, frame.bytes,
                                            frame.size, shared.bytes, shared.size);
    if (ZSTD_isError(size)) {
        return fault_set(fault, FAULT_CORRUPT, "zstd: %s", ZSTD_getErrorName(size));
    }
    if (size != inflated_size) {
        return fault_set(fault, FAULT_CORRUPT, "zstd: inflates to %zu bytes, not to %zu", size,
                         inflated_size);
    }
    return true;
}
