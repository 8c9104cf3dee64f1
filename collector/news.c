#include "collector/news.h"

#include <assert.h>
#include <stdlib.h>
#include <string.h>

struct news *news_create(const char *name, const struct own_event_detail *details,
                         uint32_t details_count) {
    assert(details_count <= NEWS_DETAILS_MAX);
    size_t size = 0;
    for (uint32_t index = 0; index < details_count; index++) size += details[index].text.size;
    struct news *news = malloc(sizeof *news + size + 1);
    if (news == NULL) return NULL;
    *news = (struct news){.name = name, .details_count = details_count};
    // Texts lie behind the struct.
    uint8_t *at = (uint8_t *)(news + 1);
    for (uint32_t index = 0; index < details_count; index++) {
        const struct own_event_detail *from = &details[index];
        news->details[index] = *from;
        if (from->text.bytes == NULL) continue;
        memcpy(at, from->text.bytes, from->text.size);
        news->details[index].text = span_of(at, from->text.size);
        at += from->text.size;
    }
    return news;
}

void news_destroy(struct news *news) {
    free(news);
}
