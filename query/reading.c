#include "query/reading.h"

#include <inttypes.h>
#include <stdlib.h>

#include "base/arena.h"
#include "base/json.h"

enum { ARENA_SIZE = 8 * 1024 * 1024 };  // a record's unescaped fields; the largest is 1 MiB

struct reading {
    struct json_reader *json;
    struct arena *arena;
};

struct reading *reading_create(void) {
    struct reading *reading = calloc(1, sizeof *reading);
    if (reading == NULL) return NULL;
    reading->json = json_reader_create();
    reading->arena = arena_create(ARENA_SIZE);
    if (reading->json != NULL && reading->arena != NULL) return reading;
    reading_destroy(reading);
    return NULL;
}

void reading_destroy(struct reading *reading) {
    if (reading == NULL) return;
    if (reading->json != NULL) json_reader_destroy(reading->json);
    arena_destroy(reading->arena);
    free(reading);
}

bool reading_read(struct reading *reading, const struct trail_row *row, struct record *record,
                  struct fault *fault) {
    enum record_refusal refusal;
    arena_reset(reading->arena);
    if (record_read(reading->json, reading->arena, row->text, record, &refusal, fault)) return true;
    if (refusal != RECORD_GOOD) fault->kind = FAULT_CORRUPT;
    return fault_add(fault, "event %" PRIu64, row->sequence);
}
