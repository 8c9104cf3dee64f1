#include "collector/notes/notes.h"

#include <assert.h>
#include <stdatomic.h>
#include <stdlib.h>
#include <string.h>

#include "base/hash.h"
#include "base/queue.h"
#include "collector/metrics.h"

// What was told of one subject, and the last that came since.
struct subject {
    uint64_t hash;
    int64_t told_ms;
    struct note *waiting;
    uint64_t waiting_count;
};

struct notes {
    struct queue *queue;
    atomic_uint_least64_t lost;  // not told yet

    // The writer's.
    struct note *ready;  // in order
    struct note **ready_end;
    uint32_t ready_count;   // at most NOTES_QUEUE_MAX, and OwnEventsLost
    uint32_t chosen_count;  // the first of the ready ones
    struct note *chosen[NOTES_COMMIT_MAX];
    struct subject subjects[NOTES_SUBJECTS_MAX];
    uint32_t subjects_count;
    int64_t lost_told_ms;
    bool has_told_lost;
    bool is_hurried;  // no minute is waited for any more
};

struct notes *notes_create(void) {
    struct notes *notes = calloc(1, sizeof *notes);
    if (notes == NULL) return NULL;
    notes->ready_end = &notes->ready;
    notes->queue = queue_create(NOTES_QUEUE_MAX, NOTES_QUEUE_MAX);
    if (notes->queue != NULL) return notes;
    free(notes);
    return NULL;
}

// One block holds a note: itself, its name and all texts behind one another.
static struct note *copy_note(const char *name, struct span subject,
                              const struct own_event_detail *details, uint32_t details_count,
                              const struct note_document *document) {
    assert(details_count <= NOTES_DETAILS_MAX);
    size_t size = strlen(name) + 1 + document->name.size + document->value.size;
    for (uint32_t index = 0; index < details_count; index++) {
        size += strlen(details[index].name) + 1 + details[index].text.size;
    }
    struct note *note = calloc(1, sizeof *note + size);
    if (note == NULL) return NULL;
    char *at = (char *)(note + 1);
    note->name = memcpy(at, name, strlen(name) + 1);
    at += strlen(name) + 1;
    for (uint32_t index = 0; index < details_count; index++) {
        const struct own_event_detail *from = &details[index];
        struct own_event_detail *to = &note->details[index];
        to->name = memcpy(at, from->name, strlen(from->name) + 1);
        at += strlen(from->name) + 1;
        to->number = from->number;
        if (from->text.bytes == NULL) continue;
        if (from->text.size > 0) memcpy(at, from->text.bytes, from->text.size);
        to->text = span_of(at, from->text.size);
        at += from->text.size;
    }
    note->details_count = details_count;
    if (document->name.size > 0) {
        note->document.name =
            span_of(memcpy(at, document->name.bytes, document->name.size), document->name.size);
        at += document->name.size;
        note->document.value = span_of(at, document->value.size);
        if (document->value.size > 0) memcpy(at, document->value.bytes, document->value.size);
    }
    if (subject.size > 0) {
        note->subject = hash_plain(subject) * 31 + hash_plain(span_text(name));
        if (note->subject == 0) note->subject = 1;
    }
    return note;
}

static bool add(struct notes *notes, struct note *note) {
    if (note != NULL && queue_push(notes->queue, note, 1)) return true;
    free(note);
    atomic_fetch_add(&notes->lost, 1);
    metric_add(&metrics_table[METRICS_LOST_NOTES], 0, 1);
    return false;
}

bool notes_add(struct notes *notes, const char *name, struct span subject,
               const struct own_event_detail *details, uint32_t details_count) {
    static const struct note_document none;
    return add(notes, copy_note(name, subject, details, details_count, &none));
}

bool notes_add_kept(struct notes *notes, const char *name, const struct own_event_detail *details,
                    uint32_t details_count, const struct note_document *document) {
    return add(notes, copy_note(name == NULL ? "" : name, (struct span){NULL, 0}, details,
                                details_count, document));
}

// ---- on the writer's thread

static bool has_room(const struct notes *notes) {
    return notes->ready_count < NOTES_QUEUE_MAX;
}

static void make_ready(struct notes *notes, struct note *note) {
    note->next = NULL;
    *notes->ready_end = note;
    notes->ready_end = &note->next;
    notes->ready_count++;
}

static struct subject *find_subject(struct notes *notes, uint64_t hash) {
    for (uint32_t index = 0; index < notes->subjects_count; index++) {
        if (notes->subjects[index].hash == hash) return &notes->subjects[index];
    }
    return NULL;
}

// Tells a note, or lets it wait in the place of the one that waited.
static void sort_in(struct notes *notes, struct note *note, int64_t now_ms) {
    struct subject *subject = note->subject == 0 ? NULL : find_subject(notes, note->subject);
    if (subject != NULL) {
        free(subject->waiting);
        subject->waiting = note;
        subject->waiting_count++;
        return;
    }
    make_ready(notes, note);
    if (note->subject == 0 || notes->subjects_count == NOTES_SUBJECTS_MAX) return;
    notes->subjects[notes->subjects_count++] =
        (struct subject){.hash = note->subject, .told_ms = now_ms};
}

static void tell_waiting(struct notes *notes, struct subject *subject, int64_t now_ms) {
    struct note *note = subject->waiting;
    note->details[note->details_count++] =
        (struct own_event_detail){"count", {NULL, 0}, subject->waiting_count};
    make_ready(notes, note);
    *subject = (struct subject){.hash = subject->hash, .told_ms = now_ms};
}

// Readies what has waited its minute, and forgets subjects of which nothing came in it. What there
// is no room for waits on, and is counted.
static void look_at_subjects(struct notes *notes, int64_t now_ms) {
    uint32_t index = 0;
    while (index < notes->subjects_count) {
        struct subject *subject = &notes->subjects[index];
        bool is_due = notes->is_hurried || now_ms - subject->told_ms >= NOTES_INTERVAL_MS;
        if (is_due && subject->waiting == NULL) {
            *subject = notes->subjects[--notes->subjects_count];
            continue;
        }
        if (is_due && has_room(notes)) tell_waiting(notes, subject, now_ms);
        index++;
    }
}

// Tells how many were lost since it was told last, once there is room again.
static void tell_lost(struct notes *notes, int64_t now_ms) {
    if (notes->ready_count > NOTES_QUEUE_MAX) return;
    if (notes->has_told_lost && now_ms - notes->lost_told_ms < NOTES_INTERVAL_MS) return;
    uint64_t lost = atomic_exchange(&notes->lost, 0);
    if (lost == 0) return;
    static const struct note_document none;
    const struct own_event_detail details[] = {{"count", {NULL, 0}, lost}};
    struct note *note = copy_note("OwnEventsLost", (struct span){NULL, 0}, details, 1, &none);
    if (note == NULL) {
        atomic_fetch_add(&notes->lost, lost);
        return;
    }
    make_ready(notes, note);
    notes->has_told_lost = true;
    notes->lost_told_ms = now_ms;
}

// What there is no room for stays in the queue: when that is full too, notes_add refuses.
static void take(struct notes *notes, int64_t now_ms) {
    look_at_subjects(notes, now_ms);
    while (has_room(notes)) {
        void *item;
        if (queue_pop(notes->queue, &item, 1, 0) == 0) break;
        sort_in(notes, item, now_ms);
    }
    if (notes->is_hurried) look_at_subjects(notes, now_ms);
    tell_lost(notes, now_ms);
}

void notes_hurry(struct notes *notes) {
    take(notes, 0);
    notes->is_hurried = true;
    look_at_subjects(notes, 0);
}

bool notes_are_due(struct notes *notes, int64_t now_ms) {
    take(notes, now_ms);
    return notes->ready_count > 0;
}

uint32_t notes_choose(struct notes *notes, int64_t now_ms) {
    take(notes, now_ms);
    notes->chosen_count = 0;
    struct note *note = notes->ready;
    while (note != NULL && notes->chosen_count < NOTES_COMMIT_MAX) {
        notes->chosen[notes->chosen_count++] = note;
        note = note->next;
    }
    return notes->chosen_count;
}

const struct note *notes_get(const struct notes *notes, uint32_t index) {
    assert(index < notes->chosen_count);
    return notes->chosen[index];
}

void notes_keep(struct notes *notes) {
    for (uint32_t index = 0; index < notes->chosen_count; index++) {
        struct note *note = notes->ready;
        assert(note == notes->chosen[index]);
        notes->ready = note->next;
        notes->ready_count--;
        free(note);
    }
    if (notes->ready == NULL) notes->ready_end = &notes->ready;
    notes->chosen_count = 0;
}

void notes_undo(struct notes *notes) {
    notes->chosen_count = 0;
}

void notes_destroy(struct notes *notes) {
    void *item;
    if (notes == NULL) return;
    while (queue_pop(notes->queue, &item, 1, 0) > 0) free(item);
    while (notes->ready != NULL) {
        struct note *note = notes->ready;
        notes->ready = note->next;
        free(note);
    }
    for (uint32_t index = 0; index < notes->subjects_count; index++) {
        free(notes->subjects[index].waiting);
    }
    queue_destroy(notes->queue);
    free(notes);
}
