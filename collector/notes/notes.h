// notes.h: own events on their way into the trail, from any thread of the collector.
//
// A room that has something to tell (a certificate was reloaded, an agent fell silent) adds a note;
// the writer stores it as an event of orgtrail.local with its next commit. Notes of one name about
// one subject are told at the first, and then at most once a minute, the last of them with a
// `count`: nothing that repeats can fill the trail. Those that are lost since the writer stands
// still, or since they come faster than it tells them, are told by their number, as OwnEventsLost.
// docs/records.md lists all own events; a new one goes there.
//
// What waits is in memory: a collector that is stopped tells it before it ends, one that is killed
// loses at most the repetitions of the last minute and what the writer had no turn for.
//
// Threads: notes_add from any; the rest from append's.

#pragma once

#include <stdbool.h>
#include <stdint.h>

#include "base/span.h"
#include "collector/notes/own_event.h"

enum {
    NOTES_DETAILS_MAX = 16,     // of one note
    NOTES_QUEUE_MAX = 4096,     // not taken by the writer yet; taken and not told yet
    NOTES_SUBJECTS_MAX = 4096,  // told in the last minute and remembered
    NOTES_COMMIT_MAX = 48,      // of one commit; the others wait for the next
    NOTES_INTERVAL_MS = 60000,
};

struct notes;

// What the store keeps under a name from then on (trail_document_put); no value: nothing any more.
struct note_document {
    struct span name;
    struct span value;
};

// A note as the commit writes it.
struct note {
    char *name;        // eventName; empty: there is only a document
    uint64_t subject;  // hash of name and subject; 0: it is not held back
    struct own_event_detail details[NOTES_DETAILS_MAX + 1];
    uint32_t details_count;
    struct note_document document;  // name of no bytes: none
    struct note *next;
};

// NULL if memory runs out.
struct notes *notes_create(void);

// Frees it with what it holds. NULL is allowed.
void notes_destroy(struct notes *notes);

// Adds a note; everything is copied. An empty subject: it is never held back, as is right for what
// a person did. False if the queue is full or memory runs out: it is lost, and counted as
// orgtrail_collector_lost_notes_total.
bool notes_add(struct notes *notes, const char *name, struct span subject,
               const struct own_event_detail *details, uint32_t details_count);

// The same with a document that is kept with it, in one commit; never held back. name may be NULL:
// nothing is told.
bool notes_add_kept(struct notes *notes, const char *name, const struct own_event_detail *details,
                    uint32_t details_count, const struct note_document *document);

// From now on nothing waits for its minute to pass: the writer is about to end.
void notes_hurry(struct notes *notes);

// Whether any is to be told now, by the monotonic clock.
bool notes_are_due(struct notes *notes, int64_t now_ms);

// Chooses those of the commit at hand and says how many they are.
uint32_t notes_choose(struct notes *notes, int64_t now_ms);

// One of the chosen.
const struct note *notes_get(const struct notes *notes, uint32_t index);

// The commit is durable: the chosen are told. Or it failed: they are chosen again.
void notes_keep(struct notes *notes);
void notes_undo(struct notes *notes);
