#include "storage/block/block.h"

#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#include "storage/block/block_internal.h"
#include "storage/block/block_test_kit.h"
#include "tests/kit/cases.h"

static const uint64_t all_rows[2] = {UINT64_MAX, UINT64_MAX};

static int setup(void **state) {
    *state = kit_fixture_create(42, 7);
    return 0;
}

static int teardown(void **state) {
    kit_fixture_destroy(*state);
    return 0;
}

// Encodes the kit's rows, keeps the dictionary's chunk and opens the block.
static void encode(struct kit_fixture *fixture) {
    buffer_reset(&fixture->bytes);
    bool encoded =
        block_encode(fixture->scratch, fixture->dictionary, fixture->kit.secret, fixture->kit.rows,
                     fixture->kit.count, &fixture->bytes, &fixture->summary, &fixture->fault);
    if (!encoded) print_error("%s\n", fixture->fault.text);
    assert_true(encoded);
    assert_int_equal(block_scratch_mismatches(fixture->scratch), 0);
    assert_true(dictionary_take_pending(fixture->dictionary, &fixture->chunk, &fixture->fault));
    dictionary_keep(fixture->dictionary);
    assert_true(block_open(buffer_span(&fixture->bytes), true, &fixture->block, &fixture->fault));
}

// Whether the attributes of a decoded row are those it was given.
static void check_attributes(const struct kit_fixture *fixture, const struct block_columns *columns,
                             uint32_t index, const struct block_row *row) {
    uint32_t begin = index == 0 ? 0 : columns->attribute_end[index - 1];
    uint32_t count = columns->attribute_end[index] - begin;
    assert_int_equal(count, row->attributes_count);
    // They come in order of kind; those of one kind in the order given.
    for (uint32_t kind = 0, at = begin; kind < ATTRIBUTE_KINDS; kind++) {
        for (uint32_t number = 0; number < row->attributes_count; number++) {
            if (row->attributes[number].kind != kind) continue;
            assert_int_equal(columns->attribute_kind[at], kind);
            assert_int_equal(columns->attribute_hash[at],
                             block_attribute_hash(fixture->kit.secret, &row->attributes[number]));
            at++;
        }
    }
}

static void check_row(const struct kit_fixture *fixture, const struct block_columns *columns,
                      uint32_t index, struct span text, struct span account) {
    const struct block_row *row =
        &fixture->kit.rows[kit_row_of(&fixture->kit, columns->sequence[index])];
    assert_int_equal(columns->time_s[index], row->key.event_time_s);
    assert_memory_equal(columns->id[index], row->key.id, RECORD_ID_SIZE);
    assert_int_equal(columns->agent[index], row->agent);
    assert_int_equal(columns->flags[index], row->flags);
    assert_int_equal(columns->received_ms[index], row->received_ms);
    assert_true(span_equal(text, row->text));
    assert_true(span_equal(account, span_of(row->key.account, row->key.account_size)));
    assert_true(span_equal(columns->account[index], account));
    check_attributes(fixture, columns, index, row);
}

// Decodes everything and compares it with the rows.
static void check_block(struct kit_fixture *fixture, const struct dictionary *dictionary) {
    const struct block *block = &fixture->block;
    uint32_t rows = 0;
    uint64_t text_size = 0;
    for (uint32_t frame = 0; frame < block->frames; frame++) {
        struct block_columns columns;
        struct span texts[BLOCK_FRAME_ROWS], accounts[BLOCK_FRAME_ROWS];
        int64_t time_min_s, time_max_s;
        bool read = block_read_columns(
                        block, fixture->scratch, frame,
                        BLOCK_COLUMN_PROVENANCE | BLOCK_COLUMN_ATTRIBUTES | BLOCK_COLUMN_ACCOUNT,
                        &columns, &fixture->fault) &&
                    block_read_texts(block, fixture->scratch, dictionary, frame, all_rows, texts,
                                     accounts, &fixture->fault);
        if (!read) print_error("%s\n", fixture->fault.text);
        assert_true(read);
        assert_int_equal(columns.rows, block_frame_rows(block, frame));
        block_frame_times(block, frame, &time_min_s, &time_max_s);
        for (uint32_t row = 0; row < columns.rows; row++) {
            check_row(fixture, &columns, row, texts[row], accounts[row]);
            assert_true(columns.time_s[row] >= time_min_s && columns.time_s[row] <= time_max_s);
            text_size += texts[row].size;
        }
        rows += columns.rows;
    }
    assert_int_equal(rows, fixture->kit.count);
    assert_int_equal(text_size, fixture->summary.text_size);
}

static void test_round_trip(void **state) {
    struct kit_fixture *fixture = *state;
    static const uint32_t counts[] = {1, 2, 127, 128, 129, 1000, 4096};
    for (size_t index = 0; index < sizeof counts / sizeof counts[0]; index++) {
        kit_make_rows(&fixture->kit, counts[index]);
        encode(fixture);
        assert_int_equal(fixture->summary.rows, counts[index]);
        assert_int_equal(fixture->summary.size, fixture->bytes.size);
        assert_int_equal(fixture->summary.epoch, 7);
        assert_memory_equal(&fixture->block.summary, &fixture->summary, sizeof fixture->summary);
        check_block(fixture, fixture->dictionary);
    }
}

static void test_reader_with_loaded_dictionary(void **state) {
    struct kit_fixture *fixture = *state;
    struct dictionary *loaded = dictionary_create(7);
    assert_non_null(loaded);
    for (uint32_t turn = 0; turn < 4; turn++) {
        kit_make_rows(&fixture->kit, 500);
        buffer_reset(&fixture->chunk);
        encode(fixture);
        assert_true(dictionary_load(loaded, buffer_span(&fixture->chunk), &fixture->fault));
        check_block(fixture, loaded);
    }
    dictionary_destroy(loaded);
}

static void append_deep(struct buffer *text, uint32_t depth) {
    for (uint32_t level = 0; level < depth; level++) buffer_append_text(text, "{\"a\":");
    buffer_append_text(text, "1");
    for (uint32_t level = 0; level < depth; level++) buffer_append_byte(text, '}');
}

static void test_odd_texts(void **state) {
    struct kit_fixture *fixture = *state;
    static const char *const texts[] = {
        "",
        " ",
        "{}",
        "[]",
        "{",
        "}",
        "\"",
        "\\",
        "\"\\\"",
        "{\"a\":\"\\\\\"}",
        "[1,2,3]",
        "1",
        "{\"a\":1}{\"a\":2}",
        " {\"a\" : 1E+400 , \"a\":500.0}\n",
        "{\"a\":{},\"b\":[]}",
        "{\"a\":[[[[[[[[[[[1]]]]]]]]]]]}",
        "[\"a\"\"b\"1\"\"2[]]",
        "{\"a\":-}",
        "\xff\xfe\x01",
        "{\"a\":\"2026-01-01T00:00:00Z\",\"b\":\"9999-12-31T23:59:59Z\"}",
        "{\"a\":\"0000-01-01T00:00:00Z\",\"b\":\"2026-13-01T00:00:00Z\"}",
        "{\"\x01\":\"\x01\"}"};
    struct buffer text;
    buffer_init(&text, (size_t)1 << 24);
    fixture->kit.count = 0;
    // Three times, so that shapes and strings become known.
    for (uint32_t turn = 0; turn < 3; turn++) {
        for (size_t index = 0; index < sizeof texts / sizeof texts[0]; index++) {
            kit_add(&fixture->kit, span_text(texts[index]));
        }
        for (uint32_t depth = 1; depth <= 1000; depth *= 4) {
            buffer_reset(&text);
            append_deep(&text, depth);
            kit_add(&fixture->kit, buffer_span(&text));
        }
        buffer_reset(&text);
        buffer_append_text(&text, "{\"a\":\"");
        for (uint32_t index = 0; index < 256 * 1024; index++) {
            buffer_append_byte(&text, (uint8_t)('a' + index % 23));
        }
        buffer_append_text(&text, "\",\"b\":[0");
        for (uint32_t index = 0; index < 5000; index++) buffer_print(&text, ",%u", index % 1000);
        buffer_append_text(&text, "]}");
        kit_add(&fixture->kit, buffer_span(&text));
        // Many different strings in one frame, and many shapes.
        buffer_reset(&text);
        buffer_append_byte(&text, '[');
        for (uint32_t index = 0; index < 300; index++) {
            buffer_print(&text, "%s{\"k%u\":[\"s%u\",\"t%u\"]}", index == 0 ? "" : ",", index,
                         index, index + turn);
            if (index % 100 == 99) buffer_append_text(&text, "],[");
        }
        buffer_append_text(&text, "0]");
        kit_add(&fixture->kit, buffer_span(&text));
        buffer_append_byte(&text, ']');
        struct span outer = buffer_span(&text);
        kit_add(&fixture->kit, outer);
    }
    buffer_done(&text);
    for (uint32_t turn = 0; turn < 3; turn++) {
        encode(fixture);
        check_block(fixture, fixture->dictionary);
    }
}

static void test_single_rows(void **state) {
    struct kit_fixture *fixture = *state;
    kit_make_rows(&fixture->kit, 300);
    encode(fixture);
    for (uint32_t frame = 0; frame < fixture->block.frames; frame++) {
        for (uint32_t row = 0; row < block_frame_rows(&fixture->block, frame); row++) {
            struct block_columns columns;
            struct span texts[BLOCK_FRAME_ROWS], accounts[BLOCK_FRAME_ROWS];
            uint64_t rows[2] = {0};
            rows[row / 64] = (uint64_t)1 << row % 64;
            assert_true(block_read_columns(
                &fixture->block, fixture->scratch, frame,
                BLOCK_COLUMN_PROVENANCE | BLOCK_COLUMN_ATTRIBUTES | BLOCK_COLUMN_ACCOUNT, &columns,
                &fixture->fault));
            assert_true(block_read_texts(&fixture->block, fixture->scratch, fixture->dictionary,
                                         frame, rows, texts, accounts, &fixture->fault));
            check_row(fixture, &columns, row, texts[row], accounts[row]);
        }
    }
}

static void test_order(void **state) {
    struct kit_fixture *fixture = *state;
    struct block_place places[KIT_ROWS_MAX];
    kit_make_rows(&fixture->kit, 1000);
    encode(fixture);
    assert_true(block_order(&fixture->block, places, &fixture->fault));
    for (uint32_t place = 0; place < 1000; place++) {
        struct block_columns columns;
        assert_true(block_read_columns(&fixture->block, fixture->scratch, places[place].frame,
                                       BLOCK_COLUMN_PROVENANCE, &columns, &fixture->fault));
        assert_int_equal(columns.sequence[places[place].row], fixture->kit.rows[place].sequence);
    }
}

static void test_rows_are_sorted(void **state) {
    struct kit_fixture *fixture = *state;
    kit_make_rows(&fixture->kit, 1000);
    encode(fixture);
    const struct block_row *before = NULL;
    for (uint32_t frame = 0; frame < fixture->block.frames; frame++) {
        struct block_columns columns;
        int64_t times_s[BLOCK_FRAME_ROWS];
        assert_true(block_read_columns(&fixture->block, fixture->scratch, frame,
                                       BLOCK_COLUMN_PROVENANCE, &columns, &fixture->fault));
        assert_true(block_read_times(&fixture->block, frame, times_s, &fixture->fault));
        assert_memory_equal(times_s, columns.time_s, columns.rows * sizeof *times_s);
        for (uint32_t index = 0; index < columns.rows; index++) {
            uint32_t number = kit_row_of(&fixture->kit, columns.sequence[index]);
            const struct block_row *row = &fixture->kit.rows[number];
            if (before != NULL) {
                int order = memcmp(before->key.account, row->key.account, 12);
                if (order == 0) order = span_compare(before->user, row->user);
                int64_t later = row->key.event_time_s - before->key.event_time_s;
                if (order == 0) order = (later > 0) - (later < 0);
                if (order == 0) order = memcmp(before->key.id, row->key.id, RECORD_ID_SIZE);
                assert_true(order < 0);
            }
            before = row;
        }
    }
}

// The frames that hold a hash, by looking at every row.
static uint64_t find_frames(struct kit_fixture *fixture, uint32_t hash) {
    uint64_t frames = 0;
    for (uint32_t frame = 0; frame < fixture->block.frames; frame++) {
        struct block_columns columns;
        assert_true(block_read_columns(&fixture->block, fixture->scratch, frame,
                                       BLOCK_COLUMN_ATTRIBUTES, &columns, &fixture->fault));
        for (uint32_t at = 0; at < columns.attribute_end[columns.rows - 1]; at++) {
            if (columns.attribute_hash[at] == hash) frames |= (uint64_t)1 << frame;
        }
    }
    return frames;
}

static void test_attributes_against_brute_force(void **state) {
    struct kit_fixture *fixture = *state;
    static const uint32_t counts[] = {1, 100, 4096};
    for (size_t index = 0; index < sizeof counts / sizeof counts[0]; index++) {
        kit_make_rows(&fixture->kit, counts[index]);
        encode(fixture);
        uint32_t absent = 0;
        for (uint32_t number = 0; number < 450; number += 7) {
            char value[32];
            snprintf(value, sizeof value, "thing-%u", number);
            struct attribute wanted = {ATTRIBUTE_RESOURCE_NAME, span_text(value)};
            uint32_t hash = block_attribute_hash(fixture->kit.secret, &wanted);
            uint64_t expected = find_frames(fixture, hash);
            assert_int_equal(block_find_attribute(&fixture->block, hash), expected);
            absent += expected == 0;
        }
        assert_true(absent > 0);
    }
}

// The rows of a frame that are found by a hash are those that have it.
static void check_found_rows(struct kit_fixture *fixture, uint32_t frame,
                             const struct block_kind *column) {
    uint32_t values = column->end[column->rows - 1];
    for (uint32_t value = 0; value < values; value++) {
        uint64_t expected[2] = {0, 0};
        uint64_t rows[2];
        for (uint32_t at = 0, row = 0; at < values; at++) {
            while (at >= column->end[row]) row++;
            if (column->hash[at] == column->hash[value])
                expected[row / 64] |= (uint64_t)1 << row % 64;
        }
        assert_true(block_find_rows(&fixture->block, frame, &column->hash[value], 1, rows,
                                    &fixture->fault));
        assert_memory_equal(rows, expected, sizeof rows);
    }
}

// The rows that have several attributes are those that are found by each of them.
static void test_rows_of_several(void **state) {
    struct kit_fixture *fixture = *state;
    uint32_t with_all = 0;
    kit_make_rows(&fixture->kit, 700);
    encode(fixture);
    for (uint32_t frame = 0; frame < fixture->block.frames; frame++) {
        struct block_columns columns;
        assert_true(block_read_columns(&fixture->block, fixture->scratch, frame,
                                       BLOCK_COLUMN_ATTRIBUTES, &columns, &fixture->fault));
        uint32_t all = columns.attribute_end[columns.rows - 1];
        for (uint32_t at = 0; at + 9 < all; at += 5) {
            const uint32_t hashes[] = {columns.attribute_hash[at], columns.attribute_hash[at + 2],
                                       columns.attribute_hash[at + 9]};
            uint64_t expected[2] = {UINT64_MAX, UINT64_MAX}, rows[2];
            for (uint32_t index = 0; index < 3; index++) {
                assert_true(block_find_rows(&fixture->block, frame, &hashes[index], 1, rows,
                                            &fixture->fault));
                expected[0] &= rows[0];
                expected[1] &= rows[1];
            }
            assert_true(block_find_rows(&fixture->block, frame, hashes, 3, rows, &fixture->fault));
            assert_memory_equal(rows, expected, sizeof rows);
            with_all += (rows[0] | rows[1]) != 0;
        }
    }
    assert_true(with_all > 0);
}

// What was found good once is not summed again, for who has notes of it; what was not, is.
static void test_notes_of_good_frames(void **state) {
    struct kit_fixture *fixture = *state;
    struct block_columns columns;
    kit_make_rows(&fixture->kit, 3 * BLOCK_FRAME_ROWS);
    encode(fixture);
    struct block *block = &fixture->block;
    uint64_t notes = 0;
    block->good_frames = &notes;
    assert_true(block_read_columns(block, fixture->scratch, 1, 0, &columns, &fixture->fault));
    assert_int_equal(notes, 2);
    struct block_frame frames[2];
    for (uint32_t frame = 0; frame < 2; frame++) {
        assert_true(block_frame_find(block, frame, &frames[frame]));
        fixture->bytes.bytes[frames[frame].ids.bytes - block->bytes.bytes] ^= 1;
    }
    assert_true(block_read_columns(block, fixture->scratch, 1, 0, &columns, &fixture->fault));
    assert_false(block_read_columns(block, fixture->scratch, 0, 0, &columns, &fixture->fault));
    assert_false(block_check_ids(block, &fixture->fault));
    assert_int_equal(notes, 2);
}

static void test_one_kind(void **state) {
    struct kit_fixture *fixture = *state;
    kit_make_rows(&fixture->kit, 700);
    encode(fixture);
    for (uint32_t frame = 0; frame < fixture->block.frames; frame++) {
        struct block_columns columns;
        assert_true(block_read_columns(&fixture->block, fixture->scratch, frame,
                                       BLOCK_COLUMN_ATTRIBUTES, &columns, &fixture->fault));
        for (uint32_t kind = 0; kind < ATTRIBUTE_KINDS; kind++) {
            struct block_kind column;
            assert_true(block_read_kind(&fixture->block, fixture->scratch, frame, kind, &column,
                                        &fixture->fault));
            assert_int_equal(column.rows, columns.rows);
            uint32_t found = 0;
            for (uint32_t at = 0, row = 0; at < columns.attribute_end[columns.rows - 1]; at++) {
                while (at >= columns.attribute_end[row]) row++;
                if (columns.attribute_kind[at] != kind) continue;
                assert_true(found < column.end[row]);
                assert_int_equal(column.hash[found++], columns.attribute_hash[at]);
            }
            assert_int_equal(found, column.end[column.rows - 1]);
            check_found_rows(fixture, frame, &column);
            uint64_t rows[2] = {1, 1};
            uint32_t absent = kind << 27 | 5;
            assert_true(block_find_rows(&fixture->block, frame, &absent, 1, rows, &fixture->fault));
            assert_int_equal(rows[0] | rows[1], 0);
        }
    }
}

static bool holds_hash(const uint32_t *hashes, uint32_t count, uint32_t hash) {
    for (uint32_t index = 0; index < count; index++) {
        if (hashes[index] == hash) return true;
    }
    return false;
}

static void test_ids(void **state) {
    struct kit_fixture *fixture = *state;
    kit_make_rows(&fixture->kit, 4000);
    // Two rows of one id: other accounts or times.
    memcpy(fixture->kit.rows[17].key.id, fixture->kit.rows[3900].key.id, RECORD_ID_SIZE);
    encode(fixture);
    static uint32_t hashes[4000];
    assert_true(block_read_id_hashes(&fixture->block, 20, hashes));
    // As many as there are rows, in order.
    for (uint32_t row = 1; row < 4000; row++) assert_true(hashes[row - 1] <= hashes[row]);
    uint32_t chance = 0;
    for (uint32_t row = 0; row < fixture->kit.count; row++) {
        struct block_place places[4];
        const uint8_t *id = fixture->kit.rows[row].key.id;
        uint32_t hash = block_id_hash(fixture->kit.secret, id);
        assert_true(block_may_hold_id(&fixture->block, hash));
        assert_true(holds_hash(hashes, 4000, hash >> 12));
        uint32_t expected = row == 17 || row == 3900 ? 2 : 1;
        assert_int_equal(block_find_id(&fixture->block, id, places, 4), expected);
        struct block_columns columns;
        assert_true(block_read_columns(&fixture->block, fixture->scratch, places[0].frame, 0,
                                       &columns, &fixture->fault));
        assert_memory_equal(columns.id[places[0].row], id, RECORD_ID_SIZE);
    }
    for (uint32_t number = 0; number < 20000; number++) {
        uint8_t id[RECORD_ID_SIZE];
        random_fill(&fixture->kit.random, id, sizeof id);
        struct block_place place;
        assert_int_equal(block_find_id(&fixture->block, id, &place, 1), 0);
        chance += block_may_hold_id(&fixture->block, block_id_hash(fixture->kit.secret, id));
    }
    assert_true(chance < 40);
}

static void test_forced_collisions(void **state) {
    struct kit_fixture *fixture = *state;
    kit_make_rows(&fixture->kit, 600);
    // Under one secret of zeros and values that differ only in kind, hashes still tell kinds apart;
    // true collisions are made by giving two kinds the same value and the same seed.
    struct attribute left = {ATTRIBUTE_USER_NAME, span_text("same")};
    struct attribute right = {ATTRIBUTE_RESOURCE_NAME, span_text("same")};
    assert_true(block_attribute_hash(fixture->kit.secret, &left) !=
                block_attribute_hash(fixture->kit.secret, &right));
    // The same pair on all rows: one entry whose bitmap is every frame.
    for (uint32_t row = 0; row < fixture->kit.count; row++) {
        fixture->kit.rows[row].attributes = &left;
        fixture->kit.rows[row].attributes_count = 1;
    }
    encode(fixture);
    uint64_t frames =
        block_find_attribute(&fixture->block, block_attribute_hash(fixture->kit.secret, &left));
    assert_int_equal(frames, ((uint64_t)1 << fixture->block.frames) - 1);
    assert_int_equal(
        block_find_attribute(&fixture->block, block_attribute_hash(fixture->kit.secret, &right)),
        0);
}

static void test_long_values_are_cut(void **state) {
    struct kit_fixture *fixture = *state;
    static char value[ATTRIBUTE_VALUE_SIZE_MAX + 10];
    memset(value, 'x', sizeof value);
    struct attribute whole = {ATTRIBUTE_RESOURCE_NAME, span_of(value, sizeof value)};
    struct attribute cut = {ATTRIBUTE_RESOURCE_NAME, span_of(value, ATTRIBUTE_VALUE_SIZE_MAX)};
    struct attribute shorter = {ATTRIBUTE_RESOURCE_NAME,
                                span_of(value, ATTRIBUTE_VALUE_SIZE_MAX - 1)};
    const uint8_t *secret = fixture->kit.secret;
    assert_int_equal(block_attribute_hash(secret, &whole), block_attribute_hash(secret, &cut));
    assert_int_not_equal(block_attribute_hash(secret, &cut),
                         block_attribute_hash(secret, &shorter));
}

static void test_group_against_brute_force(void **state) {
    struct kit_fixture *fixture = *state;
    enum { BLOCKS = 20 };
    struct buffer bytes[BLOCKS], group;
    struct block blocks[BLOCKS];
    buffer_init(&group, (size_t)1 << 28);
    for (uint32_t index = 0; index < BLOCKS; index++) {
        kit_make_rows(&fixture->kit, 1 + index * 13);
        encode(fixture);
        buffer_init(&bytes[index], (size_t)1 << 28);
        buffer_append(&bytes[index], buffer_span(&fixture->bytes));
        assert_true(block_open(buffer_span(&bytes[index]), true, &blocks[index], &fixture->fault));
    }
    assert_true(block_group_encode(blocks, BLOCKS, &group, &fixture->fault));
    for (uint32_t number = 0; number < 450; number++) {
        char value[32];
        snprintf(value, sizeof value, "thing-%u", number);
        struct attribute wanted = {ATTRIBUTE_RESOURCE_NAME, span_text(value)};
        uint32_t hash = block_attribute_hash(fixture->kit.secret, &wanted);
        uint64_t expected = 0, found;
        for (uint32_t index = 0; index < BLOCKS; index++) {
            if (block_find_attribute(&blocks[index], hash) != 0) expected |= (uint64_t)1 << index;
        }
        assert_true(block_group_find(buffer_span(&group), hash, &found, &fixture->fault));
        assert_int_equal(found, expected);
    }
    assert_true(block_group_check(buffer_span(&group), &fixture->fault));
    for (size_t at = 4; at < group.size; at++) {
        group.bytes[at] ^= 0x10;
        assert_false(block_group_check(buffer_span(&group), &fixture->fault));
        group.bytes[at] ^= 0x10;
    }
    // Every prefix and every changed byte is refused or answered, never read beyond.
    for (size_t size = 0; size < group.size; size += 1 + size / 64) {
        uint8_t *copy = malloc(size + 1);
        assert_non_null(copy);
        memcpy(copy, group.bytes, size);
        uint64_t found;
        for (uint32_t hash = 0; hash < 64; hash++) {
            (void)!block_group_find(span_of(copy, size), hash << 26, &found, &fixture->fault);
        }
        free(copy);
    }
    buffer_done(&group);
    for (uint32_t index = 0; index < BLOCKS; index++) buffer_done(&bytes[index]);
}

static void test_encoding_into_full_buffer(void **state) {
    struct kit_fixture *fixture = *state;
    struct buffer small;
    kit_make_rows(&fixture->kit, 200);
    for (size_t room = 0; room < 9000; room += 777) {
        struct block_summary summary;
        buffer_init(&small, room);
        buffer_append_text(&small, room > 10 ? "before" : "");
        size_t size = small.size;
        assert_false(block_encode(fixture->scratch, fixture->dictionary, fixture->kit.secret,
                                  fixture->kit.rows, fixture->kit.count, &small, &summary,
                                  &fixture->fault));
        assert_int_equal(fixture->fault.kind, FAULT_FULL);
        assert_int_equal(small.size, size);
        dictionary_rollback(fixture->dictionary);
        buffer_done(&small);
    }
    encode(fixture);
    check_block(fixture, fixture->dictionary);
}

// Reads everything of a block that may be damaged. Nothing is expected but a return.
static void read_all(struct kit_fixture *fixture, struct span bytes, bool verify) {
    struct block block;
    struct block_place places[BLOCK_ROWS_MAX];
    struct span texts[BLOCK_FRAME_ROWS], accounts[BLOCK_FRAME_ROWS];
    if (!block_open(bytes, verify, &block, &fixture->fault)) return;
    assert_false(verify);
    for (uint32_t hash = 0; hash < 32; hash++) {
        (void)block_find_attribute(&block, hash << 27);
        (void)block_may_hold_id(&block, hash << 27);
    }
    (void)!block_order(&block, places, &fixture->fault);
    for (uint32_t frame = 0; frame < block.frames; frame++) {
        struct block_columns columns;
        struct block_kind kind;
        (void)!block_read_columns(&block, fixture->scratch, frame, 7, &columns, &fixture->fault);
        (void)!block_read_kind(&block, fixture->scratch, frame, ATTRIBUTE_RESOURCE_NAME, &kind,
                               &fixture->fault);
        for (uint32_t hash = 0; hash < 32; hash++) {
            uint64_t rows[2];
            uint32_t hashes[2] = {hash << 27, (hash + 1) << 27};
            (void)!block_find_rows(&block, frame, hashes, 1, rows, &fixture->fault);
            (void)!block_find_rows(&block, frame, hashes, 2, rows, &fixture->fault);
        }
        if (block.summary.epoch != dictionary_epoch(fixture->dictionary)) continue;
        (void)!block_read_texts(&block, fixture->scratch, fixture->dictionary, frame, all_rows,
                                texts, accounts, &fixture->fault);
    }
}

// A frame whose texts are damaged cannot be read, and says so; all others can.
static void test_damaged_texts_of_a_frame(void **state) {
    struct kit_fixture *fixture = *state;
    kit_make_rows(&fixture->kit, 3 * BLOCK_FRAME_ROWS);
    encode(fixture);
    struct block *block = &fixture->block;
    struct span texts[BLOCK_FRAME_ROWS], accounts[BLOCK_FRAME_ROWS];
    struct block_frame damaged;
    assert_true(block_frame_find(block, 1, &damaged));
    const size_t places[] = {0, damaged.texts.size / 2, damaged.texts.size - 1};
    for (size_t index = 0; index < sizeof places / sizeof places[0]; index++) {
        uint8_t *at = fixture->bytes.bytes + (damaged.texts.bytes - block->bytes.bytes);
        at[places[index]] ^= 1;
        assert_true(block_check_index(block, &fixture->fault));
        for (uint32_t frame = 0; frame < block->frames; frame++) {
            bool read = block_read_texts(block, fixture->scratch, fixture->dictionary, frame,
                                         all_rows, texts, accounts, &fixture->fault);
            assert_int_equal(read, frame != 1);
            if (read) continue;
            assert_int_equal(fixture->fault.kind, FAULT_CORRUPT);
            assert_non_null(strstr(fixture->fault.text, "frame 1: wrong checksum of its texts"));
        }
        at[places[index]] ^= 1;
    }
}

// A frame whose columns or ids are damaged says so to whoever asks it; all others answer.
static void test_damaged_columns_of_a_frame(void **state) {
    struct kit_fixture *fixture = *state;
    kit_make_rows(&fixture->kit, 3 * BLOCK_FRAME_ROWS);
    encode(fixture);
    struct block *block = &fixture->block;
    struct span texts[BLOCK_FRAME_ROWS], accounts[BLOCK_FRAME_ROWS];
    struct block_frame damaged;
    assert_true(block_frame_find(block, 1, &damaged));
    const uint8_t *places[] = {
        damaged.columns.bytes,
        damaged.columns.bytes + damaged.columns.size - 1,
        damaged.ids.bytes,
        damaged.ids.bytes + damaged.ids.size - 1,
    };
    assert_true(block_check_ids(block, &fixture->fault));
    for (size_t index = 0; index < sizeof places / sizeof places[0]; index++) {
        uint8_t *at = fixture->bytes.bytes + (places[index] - block->bytes.bytes);
        *at ^= 1;
        assert_true(block_check_index(block, &fixture->fault));
        assert_false(block_check_ids(block, &fixture->fault));
        for (uint32_t frame = 0; frame < block->frames; frame++) {
            struct block_columns columns;
            struct block_kind kind;
            assert_int_equal(frame != 1, block_read_columns(block, fixture->scratch, frame, 0,
                                                            &columns, &fixture->fault));
            assert_int_equal(frame != 1,
                             block_read_kind(block, fixture->scratch, frame, ATTRIBUTE_EVENT_NAME,
                                             &kind, &fixture->fault));
            uint64_t rows[2];
            const uint32_t hash = 1 << 27;
            assert_int_equal(frame != 1,
                             block_find_rows(block, frame, &hash, 1, rows, &fixture->fault));
            assert_int_equal(frame != 1,
                             block_read_texts(block, fixture->scratch, fixture->dictionary, frame,
                                              all_rows, texts, accounts, &fixture->fault));
            if (frame == 1) assert_int_equal(fixture->fault.kind, FAULT_CORRUPT);
        }
        *at ^= 1;
    }
}

static void test_damage(void **state) {
    struct kit_fixture *fixture = *state;
    kit_make_rows(&fixture->kit, 70);
    encode(fixture);
    kit_make_rows(&fixture->kit, 70);
    encode(fixture);
    size_t size = fixture->bytes.size;
    uint8_t *copy = malloc(size);
    assert_non_null(copy);
    memcpy(copy, fixture->bytes.bytes, size);
    for (size_t at = 0; at < size; at++) {
        uint8_t changes[] = {1, 0x80, 0xff};
        for (size_t change = 0; change < sizeof changes; change++) {
            copy[at] ^= changes[change];
            read_all(fixture, span_of(copy, size), false);
            // With the checksum nothing gets through; flags of the header are not covered.
            if (at < 6 || at >= 8) read_all(fixture, span_of(copy, size), true);
            // Past the sums, to who reads what they cover.
            if (block_seal(copy, size)) read_all(fixture, span_of(copy, size), false);
            memcpy(copy, fixture->bytes.bytes, size);
        }
    }
    for (size_t cut = 0; cut < size; cut += 1 + cut / 128) {
        uint8_t *shorter = malloc(cut + 1);
        assert_non_null(shorter);
        memcpy(shorter, copy, cut);
        read_all(fixture, span_of(shorter, cut), false);
        free(shorter);
    }
    free(copy);
}

// Long values that share parts with earlier ones, at other places and in other company.
static void test_parts_of_long_values(void **state) {
    struct kit_fixture *fixture = *state;
    struct buffer text;
    buffer_init(&text, (size_t)1 << 20);
    size_t sizes[2];
    for (uint32_t turn = 0; turn < 4; turn++) {
        arena_reset(fixture->kit.arena);
        fixture->kit.count = 0;
        for (uint32_t row = 0; row < 200; row++) {
            buffer_reset(&text);
            buffer_append_text(&text, "{\"words\":\"");
            uint64_t word = random_below(&fixture->kit.random, 200);
            for (uint64_t end = word + 10 + row; word < end; word++) {
                buffer_print(&text, "word-%llu-of-many,", (unsigned long long)word * word);
            }
            // Cut anywhere, also within a word.
            text.size -= random_below(&fixture->kit.random, 12);
            buffer_append_text(&text, "\"}");
            kit_add(&fixture->kit, buffer_span(&text));
        }
        encode(fixture);
        if (turn == 0) sizes[0] = fixture->summary.size;
        sizes[1] = fixture->summary.size;
        check_block(fixture, fixture->dictionary);
    }
    assert_true(sizes[1] < sizes[0]);
    buffer_done(&text);
}

static void test_newer_version(void **state) {
    struct kit_fixture *fixture = *state;
    kit_make_rows(&fixture->kit, 3);
    encode(fixture);
    struct block block;
    fixture->bytes.bytes[4]++;
    assert_false(block_open(buffer_span(&fixture->bytes), true, &block, &fixture->fault));
    assert_int_equal(fixture->fault.kind, FAULT_INPUT);
    assert_non_null(strstr(fixture->fault.text, "version 3"));
}

int main(void) {
    const struct CMUnitTest tests[] = {
        cmocka_unit_test_setup_teardown(test_round_trip, setup, teardown),
        cmocka_unit_test_setup_teardown(test_reader_with_loaded_dictionary, setup, teardown),
        cmocka_unit_test_setup_teardown(test_odd_texts, setup, teardown),
        cmocka_unit_test_setup_teardown(test_single_rows, setup, teardown),
        cmocka_unit_test_setup_teardown(test_order, setup, teardown),
        cmocka_unit_test_setup_teardown(test_rows_are_sorted, setup, teardown),
        cmocka_unit_test_setup_teardown(test_attributes_against_brute_force, setup, teardown),
        cmocka_unit_test_setup_teardown(test_one_kind, setup, teardown),
        cmocka_unit_test_setup_teardown(test_rows_of_several, setup, teardown),
        cmocka_unit_test_setup_teardown(test_notes_of_good_frames, setup, teardown),
        cmocka_unit_test_setup_teardown(test_ids, setup, teardown),
        cmocka_unit_test_setup_teardown(test_forced_collisions, setup, teardown),
        cmocka_unit_test_setup_teardown(test_long_values_are_cut, setup, teardown),
        cmocka_unit_test_setup_teardown(test_group_against_brute_force, setup, teardown),
        cmocka_unit_test_setup_teardown(test_encoding_into_full_buffer, setup, teardown),
        cmocka_unit_test_setup_teardown(test_damage, setup, teardown),
        cmocka_unit_test_setup_teardown(test_damaged_texts_of_a_frame, setup, teardown),
        cmocka_unit_test_setup_teardown(test_damaged_columns_of_a_frame, setup, teardown),
        cmocka_unit_test_setup_teardown(test_parts_of_long_values, setup, teardown),
        cmocka_unit_test_setup_teardown(test_newer_version, setup, teardown),
    };
    return cases_run("block_test", tests, sizeof tests / sizeof tests[0]);
}
