#include "query/lookup.h"

#include <assert.h>
#include <stdlib.h>
#include <string.h>

#include "base/buffer.h"
#include "base/crypto.h"

enum {
    TOKEN_VERSION = 1,
    TOKEN_CHECK_SIZE = 4,
    // version, hash of the query, of the store, sequence, times, id, event time, account
    TOKEN_BYTES_MAX =
        1 + 16 + 8 + 8 + 8 + 8 + RECORD_ID_SIZE + 8 + 1 + KEY_ACCOUNT_SIZE_MAX + TOKEN_CHECK_SIZE,
    QUERY_TEXT_MAX = 4 * FILTER_ARENA_SIZE,
};

// What a token says.
struct token {
    uint8_t query[16];
    uint8_t store[8];
    uint64_t sequence_max;
    int64_t time_min_s;
    int64_t time_max_s;
    struct key after;
};

struct lookup {
    struct trail_cursor *cursor;
    struct token token;  // of the next page, but for its position
    uint32_t left;
    bool has_last;
    struct key last;
    bool (*wants)(void *context, const struct trail_row *row);
    void *context;
};

// --- tokens

// Times count as they were written: "2h" on the next page is the same query.
static bool hash_query(const struct lookup_plan *plan, uint8_t hash[16], struct fault *fault) {
    struct buffer text;
    buffer_init(&text, QUERY_TEXT_MAX);
    filter_print(plan->filter, &text);
    buffer_print(&text, "|%s|%s|%d", plan->filter->since_text, plan->filter->until_text,
                 plan->newest_first);
    bool is_whole = !buffer_overflowed(&text);
    uint8_t digest[SHA256_SIZE];
    struct span span = buffer_span(&text);
    crypto_sha256(&span, 1, digest);
    buffer_done(&text);
    memcpy(hash, digest, 16);
    return is_whole || fault_set(fault, FAULT_FULL, "no memory");
}

static uint8_t *put_number(uint8_t *at, uint64_t value) {
    for (int index = 0; index < 8; index++) at[index] = (uint8_t)(value >> (56 - 8 * index));
    return at + 8;
}

static uint64_t get_number(const uint8_t *at) {
    uint64_t value = 0;
    for (int index = 0; index < 8; index++) value = value << 8 | at[index];
    return value;
}

static uint8_t *put_bytes(uint8_t *at, const void *bytes, size_t size) {
    memcpy(at, bytes, size);
    return at + size;
}

static void check_bytes(struct span bytes, uint8_t check[TOKEN_CHECK_SIZE]) {
    uint8_t digest[SHA256_SIZE];
    crypto_sha256(&bytes, 1, digest);
    memcpy(check, digest, TOKEN_CHECK_SIZE);
}

static size_t encode_token(const struct token *token, uint8_t bytes[TOKEN_BYTES_MAX]) {
    uint8_t *at = bytes;
    *at++ = TOKEN_VERSION;
    at = put_bytes(at, token->query, sizeof token->query);
    at = put_bytes(at, token->store, sizeof token->store);
    at = put_number(at, token->sequence_max);
    at = put_number(at, (uint64_t)token->time_min_s);
    at = put_number(at, (uint64_t)token->time_max_s);
    at = put_bytes(at, token->after.id, RECORD_ID_SIZE);
    at = put_number(at, (uint64_t)token->after.event_time_s);
    *at++ = token->after.account_size;
    at = put_bytes(at, token->after.account, token->after.account_size);
    // Not a signature: it finds what was cut or mistyped.
    check_bytes(span_of(bytes, (size_t)(at - bytes)), at);
    return (size_t)(at - bytes) + TOKEN_CHECK_SIZE;
}

static bool decode_token(struct span bytes, struct token *token) {
    size_t fixed = TOKEN_BYTES_MAX - KEY_ACCOUNT_SIZE_MAX;
    if (bytes.size < fixed || bytes.bytes[0] != TOKEN_VERSION) return false;
    uint8_t check[TOKEN_CHECK_SIZE];
    size_t body = bytes.size - TOKEN_CHECK_SIZE;
    check_bytes(span_of(bytes.bytes, body), check);
    if (memcmp(check, bytes.bytes + body, sizeof check) != 0) return false;
    *token = (struct token){0};
    const uint8_t *at = bytes.bytes + 1;
    memcpy(token->query, at, sizeof token->query);
    memcpy(token->store, at + 16, sizeof token->store);
    token->sequence_max = get_number(at + 24);
    token->time_min_s = (int64_t)get_number(at + 32);
    token->time_max_s = (int64_t)get_number(at + 40);
    memcpy(token->after.id, at + 48, RECORD_ID_SIZE);
    token->after.event_time_s = (int64_t)get_number(at + 64);
    token->after.account_size = at[72];
    if (at[72] > KEY_ACCOUNT_SIZE_MAX || bytes.size != fixed + at[72]) return false;
    memcpy(token->after.account, at + 73, at[72]);
    return true;
}

static const char letters[] = "ABCDEFGHIJKLMNOPQRSTUVWXYZabcdefghijklmnopqrstuvwxyz0123456789-_";

// Base 64 for URLs, without padding.
static void print_letters(struct span bytes, char *text) {
    uint32_t held = 0;
    int bits = 0;
    for (size_t index = 0; index < bytes.size; index++) {
        held = held << 8 | bytes.bytes[index];
        bits += 8;
        while (bits >= 6) {
            bits -= 6;
            *text++ = letters[held >> bits & 63];
        }
    }
    if (bits > 0) *text++ = letters[held << (6 - bits) & 63];
    *text = 0;
}

static bool parse_letters(const char *text, uint8_t bytes[TOKEN_BYTES_MAX], size_t *size) {
    uint32_t held = 0;
    int bits = 0;
    size_t used = 0;
    for (; *text != 0; text++) {
        const char *letter = strchr(letters, *text);
        if (letter == NULL) return false;
        held = (held << 6 | (uint32_t)(letter - letters)) & 0xffffU;
        bits += 6;
        if (bits < 8) continue;
        bits -= 8;
        if (used == TOKEN_BYTES_MAX) return false;
        bytes[used++] = (uint8_t)(held >> bits);
    }
    *size = used;
    return true;
}

static bool parse_token(const char *text, struct token *token, struct fault *fault) {
    uint8_t bytes[TOKEN_BYTES_MAX];
    size_t size;
    if (parse_letters(text, bytes, &size) && decode_token(span_of(bytes, size), token)) return true;
    return fault_set(fault, FAULT_INPUT,
                     "page token \"%.24s...\": it is damaged or none; copy it whole from the end "
                     "of the page before",
                     text);
}

// --- the page

static bool describe_query(struct trail_reader *reader, const struct lookup_plan *plan,
                           struct token *token, struct fault *fault) {
    struct trail_facts facts;
    if (!hash_query(plan, token->query, fault)) return false;
    if (!trail_reader_facts(reader, &facts, fault)) return false;
    memcpy(token->store, facts.epoch, sizeof token->store);
    token->time_min_s = plan->filter->time_min_s;
    token->time_max_s = plan->filter->time_max_s;
    token->sequence_max = facts.sequence_last;
    return true;
}

static bool check_token(const struct token *given, const struct token *own, struct fault *fault) {
    if (memcmp(given->store, own->store, sizeof own->store) != 0) {
        return fault_set(fault, FAULT_INPUT,
                         "the page token belongs to another store: begin without --page");
    }
    if (memcmp(given->query, own->query, sizeof own->query) != 0) {
        return fault_set(fault, FAULT_INPUT,
                         "the page token belongs to another query: give the same conditions, times "
                         "and order as for the page before, or begin without --page");
    }
    if (given->sequence_max <= own->sequence_max) return true;
    return fault_set(fault, FAULT_INPUT,
                     "the page token is from the future of this store: begin without --page");
}

bool lookup_open(struct trail_reader *reader, const struct lookup_plan *plan,
                 struct lookup **lookup, struct fault *fault) {
    assert(plan->limit >= 1);
    assert(plan->limit <= LOOKUP_LIMIT_MAX);
    struct token own = {0};
    if (!filter_check_range(plan->filter, fault)) return false;
    if (!describe_query(reader, plan, &own, fault)) return false;
    struct token given;
    bool has_token = plan->token != NULL;
    if (has_token) {
        if (!parse_token(plan->token, &given, fault)) return false;
        if (!check_token(&given, &own, fault)) return false;
        plan->filter->time_min_s = given.time_min_s;
        plan->filter->time_max_s = given.time_max_s;
        own = given;
    }
    struct lookup *made = calloc(1, sizeof *made);
    if (made == NULL) return fault_set(fault, FAULT_FULL, "no memory");
    made->token = own;
    made->left = plan->limit;
    made->wants = plan->wants;
    made->context = plan->context;
    struct trail_query query = filter_query(plan->filter, plan->newest_first);
    query.rows_hint = plan->limit + 1;  // one more says whether there is another page
    query.is_bare = plan->is_bare;
    query.has_sequence_max = true;
    query.sequence_max = own.sequence_max;
    query.has_after = has_token;
    query.after = own.after;
    if (!trail_cursor_open(reader, &query, &made->cursor, fault)) {
        free(made);
        return false;
    }
    *lookup = made;
    return true;
}

void lookup_close(struct lookup *lookup) {
    if (lookup == NULL) return;
    trail_cursor_close(lookup->cursor);
    free(lookup);
}

// The next event that is wanted.
static bool find_next(struct lookup *lookup, bool *found, struct trail_row *row,
                      struct fault *fault) {
    do {
        if (!trail_cursor_next(lookup->cursor, found, row, fault)) return false;
    } while (*found && lookup->wants != NULL && !lookup->wants(lookup->context, row));
    return true;
}

const struct record *lookup_record(const struct lookup *lookup) {
    return trail_cursor_record(lookup->cursor);
}

void lookup_stop(struct lookup *lookup) {
    lookup->left = 0;
}

bool lookup_next(struct lookup *lookup, bool *found, struct trail_row *row, struct fault *fault) {
    if (lookup->left == 0) {
        *found = false;
        return true;
    }
    if (!find_next(lookup, found, row, fault)) return false;
    if (!*found) {
        lookup->left = 0;
        lookup->has_last = false;
        return true;
    }
    lookup->left--;
    lookup->last = row->key;
    lookup->has_last = true;
    return true;
}

bool lookup_print_token(struct lookup *lookup, char token[LOOKUP_TOKEN_SIZE], struct fault *fault) {
    assert(lookup->left == 0);
    token[0] = 0;
    if (!lookup->has_last) return true;
    bool has_more = false;
    struct trail_row row;
    if (!find_next(lookup, &has_more, &row, fault)) return false;
    lookup->has_last = false;
    if (!has_more) return true;
    lookup->token.after = lookup->last;
    uint8_t bytes[TOKEN_BYTES_MAX];
    size_t size = encode_token(&lookup->token, bytes);
    static_assert((TOKEN_BYTES_MAX * 8 + 5) / 6 < LOOKUP_TOKEN_SIZE, "a token fits");
    print_letters(span_of(bytes, size), token);
    return true;
}
