#include "collector/append/coverage.h"

#include <assert.h>
#include <inttypes.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#include "base/arena.h"
#include "base/hash.h"
#include "base/json.h"
#include "event/record.h"

enum {
    INDEX_MIN = 1024,
    NONE = UINT32_MAX,
    DOCUMENT_SIZE_MAX = 64 * 1024,
    RECORD_ARENA_SIZE = 4 << 20,
};

// A row, and what the present commit changes of it.
struct row {
    struct coverage_row row;
    struct coverage_change change;
    bool is_changed;
    uint32_t account;  // place in accounts
    uint32_t next;     // of the same account; NONE: the last
};

struct account {
    uint32_t first;  // row
    uint32_t rows_count;
    bool is_dirty;
};

struct coverage {
    struct row *rows;
    uint32_t rows_count;
    uint32_t rows_capacity;
    struct account *accounts;
    uint32_t accounts_count;
    uint32_t accounts_capacity;
    uint32_t *index;  // open addressing: row + 1
    uint32_t index_size;
    uint32_t *changed;  // rows of this commit
    uint32_t changed_count;
    uint32_t changed_capacity;
    uint32_t dirty_count;  // accounts
    int64_t saved_ms;      // monotonic
    bool is_saving;        // in this commit
    struct buffer text;
};

struct coverage *coverage_create(void) {
    struct coverage *coverage = calloc(1, sizeof *coverage);
    if (coverage == NULL) return NULL;
    buffer_init(&coverage->text, DOCUMENT_SIZE_MAX);
    coverage->index_size = INDEX_MIN;
    coverage->index = calloc(INDEX_MIN, sizeof *coverage->index);
    if (coverage->index != NULL) return coverage;
    free(coverage);
    return NULL;
}

void coverage_destroy(struct coverage *coverage) {
    if (coverage == NULL) return;
    buffer_done(&coverage->text);
    free(coverage->rows);
    free(coverage->accounts);
    free(coverage->index);
    free(coverage->changed);
    free(coverage);
}

static bool reserve(void *items, uint32_t count, uint32_t *capacity, size_t size) {
    void **list = items;
    if (count < *capacity) return true;
    uint32_t larger = *capacity == 0 ? 256 : *capacity * 2;
    void *grown = realloc(*list, larger * size);
    if (grown == NULL) return false;
    *list = grown;
    *capacity = larger;
    return true;
}

static uint64_t hash(struct span account, const char *region) {
    return hash_plain(account) * 31 + hash_plain(span_text(region));
}

static uint32_t *find_slot(struct coverage *coverage, struct span account, const char *region) {
    uint32_t mask = coverage->index_size - 1;
    uint32_t at = (uint32_t)hash(account, region) & mask;
    for (;; at = (at + 1) & mask) {
        if (coverage->index[at] == 0) return &coverage->index[at];
        const struct coverage_row *row = &coverage->rows[coverage->index[at] - 1].row;
        if (span_is(account, row->account) && strcmp(region, row->region) == 0) {
            return &coverage->index[at];
        }
    }
}

static bool grow_index(struct coverage *coverage) {
    if ((coverage->rows_count + 1) * 2 < coverage->index_size) return true;
    uint32_t *grown = calloc((size_t)coverage->index_size * 2, sizeof *grown);
    if (grown == NULL) return false;
    free(coverage->index);
    coverage->index = grown;
    coverage->index_size *= 2;
    for (uint32_t index = 0; index < coverage->rows_count; index++) {
        const struct coverage_row *row = &coverage->rows[index].row;
        *find_slot(coverage, span_text(row->account), row->region) = index + 1;
    }
    return true;
}

// The account's place: that of its first region, which all accounts have ("").
static bool add_account(struct coverage *coverage, uint32_t *place) {
    if (!reserve(&coverage->accounts, coverage->accounts_count, &coverage->accounts_capacity,
                 sizeof *coverage->accounts)) {
        return false;
    }
    *place = coverage->accounts_count++;
    coverage->accounts[*place] = (struct account){.first = NONE};
    return true;
}

static uint32_t add_row(struct coverage *coverage, struct span account, const char *region,
                        uint32_t place) {
    if (coverage->rows_count == COVERAGE_ROWS_MAX || !grow_index(coverage) ||
        !reserve(&coverage->rows, coverage->rows_count, &coverage->rows_capacity,
                 sizeof *coverage->rows)) {
        return COVERAGE_ROWS_MAX;
    }
    uint32_t index = coverage->rows_count++;
    struct row *row = &coverage->rows[index];
    *row = (struct row){.account = place, .next = coverage->accounts[place].first};
    memcpy(row->row.account, account.bytes, account.size);
    snprintf(row->row.region, sizeof row->row.region, "%s", region);
    coverage->accounts[place].first = index;
    coverage->accounts[place].rows_count++;
    *find_slot(coverage, account, region) = index + 1;
    return index;
}

uint32_t coverage_find(struct coverage *coverage, struct span account, const char *region) {
    if (account.size == 0 || account.size >= COVERAGE_ACCOUNT_SIZE) return COVERAGE_ROWS_MAX;
    uint32_t found = *find_slot(coverage, account, region);
    if (found != 0) return found - 1;
    // Each account has a row without a name, which ties its rows together and is never shown.
    uint32_t root = *find_slot(coverage, account, "");
    uint32_t place;
    if (root != 0) {
        place = coverage->rows[root - 1].account;
    } else if (!add_account(coverage, &place) ||
               add_row(coverage, account, "", place) == COVERAGE_ROWS_MAX) {
        return COVERAGE_ROWS_MAX;
    }
    // Regions come from outside: an account that names ever new ones gets one more for all of them.
    if (coverage->accounts[place].rows_count > COVERAGE_REGIONS_MAX &&
        strcmp(region, "other") != 0) {
        return coverage_find(coverage, account, "other");
    }
    return add_row(coverage, account, region, place);
}

uint32_t coverage_rows_count(const struct coverage *coverage) {
    return coverage->rows_count;
}

const struct coverage_row *coverage_get(const struct coverage *coverage, uint32_t index) {
    assert(index < coverage->rows_count);
    return &coverage->rows[index].row;
}

static void set_dirty(struct coverage *coverage, const struct row *row) {
    struct account *account = &coverage->accounts[row->account];
    if (account->is_dirty) return;
    account->is_dirty = true;
    coverage->dirty_count++;
}

void coverage_set(struct coverage *coverage, uint32_t index, int64_t expected_ms,
                  int64_t silent_ms) {
    assert(index < coverage->rows_count);
    struct row *row = &coverage->rows[index];
    if (row->row.expected_ms == expected_ms && row->row.silent_ms == silent_ms) return;
    row->row.expected_ms = expected_ms;
    row->row.silent_ms = silent_ms;
    set_dirty(coverage, row);
}

// ---- commits

void coverage_note(struct coverage *coverage, struct span account, const char *region,
                   const struct coverage_change *change) {
    uint32_t index = coverage_find(coverage, account, region);
    if (index == COVERAGE_ROWS_MAX) return;
    struct row *row = &coverage->rows[index];
    if (!row->is_changed) {
        if (!reserve(&coverage->changed, coverage->changed_count, &coverage->changed_capacity,
                     sizeof *coverage->changed)) {
            return;
        }
        row->is_changed = true;
        row->change = (struct coverage_change){0};
        coverage->changed[coverage->changed_count++] = index;
    }
    row->change.stored += change->stored;
    row->change.duplicates += change->duplicates;
    row->change.quarantined += change->quarantined;
    row->change.gap_numbers += change->gap_numbers;
    if (change->event_time_s > row->change.event_time_s) {
        row->change.event_time_s = change->event_time_s;
    }
    if (change->received_ms > row->change.received_ms) {
        row->change.received_ms = change->received_ms;
    }
}

static void fold(struct coverage *coverage, struct row *row) {
    const struct coverage_change *change = &row->change;
    row->row.stored += change->stored;
    row->row.duplicates += change->duplicates;
    row->row.quarantined += change->quarantined;
    row->row.gap_numbers += change->gap_numbers;
    if (change->event_time_s > row->row.last_event_s) row->row.last_event_s = change->event_time_s;
    if (change->received_ms > row->row.last_received_ms) {
        row->row.last_received_ms = change->received_ms;
    }
    row->is_changed = false;
    set_dirty(coverage, row);
}

void coverage_keep(struct coverage *coverage) {
    if (coverage->is_saving) {
        for (uint32_t place = 0; place < coverage->accounts_count; place++) {
            coverage->accounts[place].is_dirty = false;
        }
        coverage->dirty_count = 0;
        coverage->is_saving = false;
    }
    for (uint32_t index = 0; index < coverage->changed_count; index++) {
        fold(coverage, &coverage->rows[coverage->changed[index]]);
    }
    coverage->changed_count = 0;
}

void coverage_undo(struct coverage *coverage) {
    coverage->is_saving = false;
    for (uint32_t index = 0; index < coverage->changed_count; index++) {
        coverage->rows[coverage->changed[index]].is_changed = false;
    }
    coverage->changed_count = 0;
}

bool coverage_is_due(const struct coverage *coverage, int64_t now_ms) {
    if (coverage->dirty_count == 0) return false;
    int64_t pause_ms = COVERAGE_SAVE_MS + (int64_t)coverage->dirty_count * COVERAGE_SAVE_ACCOUNT_MS;
    if (pause_ms > COVERAGE_SAVE_MAX_MS) pause_ms = COVERAGE_SAVE_MAX_MS;
    return now_ms - coverage->saved_ms >= pause_ms;
}

static bool save_account(struct coverage *coverage, struct trail *trail,
                         const struct account *account, struct fault *fault) {
    char name[sizeof COVERAGE_PREFIX + COVERAGE_ACCOUNT_SIZE];
    buffer_reset(&coverage->text);
    for (uint32_t at = account->first; at != NONE; at = coverage->rows[at].next) {
        const struct coverage_row *row = &coverage->rows[at].row;
        if (row->region[0] != 0) coverage_print_row(row, &coverage->text);
    }
    snprintf(name, sizeof name, COVERAGE_PREFIX "%s", coverage->rows[account->first].row.account);
    return trail_document_put(trail, span_text(name), buffer_span(&coverage->text), fault);
}

// What is saved is as it was before this commit: the head says so.
static bool save_head(struct trail *trail, struct fault *fault) {
    char text[32];
    snprintf(text, sizeof text, "%" PRIu64, trail_sequence_last(trail));
    return trail_document_put(trail, SPAN_LITERAL(COVERAGE_HEAD), span_text(text), fault);
}

bool coverage_save(struct coverage *coverage, struct trail *trail, int64_t now_ms, bool is_last,
                   struct fault *fault) {
    bool is_wanted = is_last ? coverage->dirty_count > 0 : coverage_is_due(coverage, now_ms);
    if (!is_wanted) return true;
    for (uint32_t place = 0; place < coverage->accounts_count; place++) {
        if (!coverage->accounts[place].is_dirty) continue;
        if (!save_account(coverage, trail, &coverage->accounts[place], fault)) return false;
    }
    if (!save_head(trail, fault)) return false;
    coverage->is_saving = true;
    coverage->saved_ms = now_ms;
    return true;
}

// ---- the start

struct loading {
    struct coverage *coverage;
    uint64_t sequence;  // rows are whole up to it
    bool has_head;
    struct json_reader *json;
    struct arena *arena;
    uint64_t events;
    struct fault fault;
};

static bool on_row(void *user, const struct coverage_row *row) {
    struct coverage *coverage = user;
    uint32_t index = coverage_find(coverage, span_text(row->account), row->region);
    if (index < COVERAGE_ROWS_MAX) coverage->rows[index].row = *row;
    return true;
}

static bool on_document(void *user, struct span name, struct span value) {
    struct loading *loading = user;
    if (span_is(name, COVERAGE_HEAD)) {
        char text[32] = "";
        snprintf(text, sizeof text, "%.*s", SPAN_PRINT(value));
        loading->has_head = sscanf(text, "%" SCNu64, &loading->sequence) == 1;
        return true;
    }
    struct fault ignored;
    // An account whose document is damaged begins anew.
    (void)!coverage_read(name, value, on_row, loading->coverage, &ignored);
    return true;
}

static bool on_event(void *user, const struct trail_row *event) {
    struct loading *loading = user;
    struct record record;
    enum record_refusal refusal;
    struct fault ignored;
    arena_reset(loading->arena);
    if (event->agent != TRAIL_AGENT_OWN &&
        record_read(loading->json, loading->arena, event->text, &record, &refusal, &ignored)) {
        char region[COVERAGE_REGION_SIZE];
        const struct coverage_change change = {
            .stored = 1,
            .event_time_s = event->key.event_time_s,
            .received_ms = event->received_ms,
        };
        coverage_name_region(record.region, record.is_global, region);
        coverage_note(loading->coverage, span_of(event->key.account, event->key.account_size),
                      region, &change);
    }
    return ++loading->events < COVERAGE_SCAN_EVENTS_MAX;
}

static bool scan(struct loading *loading, struct trail_reader *reader, struct fault *fault) {
    struct trail_facts facts;
    if (!trail_reader_facts(reader, &facts, fault)) return false;
    uint64_t after = loading->has_head ? loading->sequence : 0;
    // Of more than that only the newest are read: their times are what matters.
    if (facts.sequence_last > after + COVERAGE_SCAN_EVENTS_MAX) {
        after = facts.sequence_last - COVERAGE_SCAN_EVENTS_MAX;
    }
    loading->json = json_reader_create();
    loading->arena = arena_create(RECORD_ARENA_SIZE);
    bool is_good = loading->json != NULL && loading->arena != NULL;
    if (!is_good) fault_set(fault, FAULT_FULL, "no memory for coverage");
    while (is_good && after < facts.sequence_last && loading->events < COVERAGE_SCAN_EVENTS_MAX) {
        uint64_t last = after;
        struct fault reason;
        if (!trail_reader_follow(reader, after, on_event, loading, &last, &reason) &&
            reason.kind != FAULT_CORRUPT) {
            is_good = fault_set(fault, reason.kind, "%s", reason.text);
        }
        if (last == after) break;
        after = last;
    }
    json_reader_destroy(loading->json);
    arena_destroy(loading->arena);
    coverage_keep(loading->coverage);
    return is_good;
}

bool coverage_load(struct coverage *coverage, struct trail_reader *reader, struct fault *fault) {
    struct loading loading = {.coverage = coverage};
    return trail_reader_documents(reader, SPAN_LITERAL(COVERAGE_HEAD), on_document, &loading,
                                  fault) &&
           scan(&loading, reader, fault);
}
