// news.h: an own event on its way to the writer, from any thread that has something to tell.
//
// News are made by whoever saw something, travel through a queue, and become own events of the next
// commit (own_event.h). The event's time is the commit's.

#pragma once

#include <stdint.h>

#include "collector/own_event.h"

enum {
    NEWS_DETAILS_MAX = 12,    // members of one
    NEWS_WAITING_MAX = 1024,  // in the queue; more are counted and not told
    NEWS_COMMIT_MAX = 16,     // of one commit
};

struct news {
    const char *name;  // eventName; a literal
    struct own_event_detail details[NEWS_DETAILS_MAX];
    uint32_t details_count;
};

// Copies the details; their names are literals. NULL if memory is out.
struct news *news_create(const char *name, const struct own_event_detail *details,
                         uint32_t details_count);

// NULL is allowed.
void news_destroy(struct news *news);
