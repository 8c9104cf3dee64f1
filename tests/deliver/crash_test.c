// Deliveries whose files fail at any one operation, or lose power there: everything is delivered
// once, and every digest verifies (laws 1 to 5 of collector/deliver/README.md).

#include <stdio.h>
#include <string.h>

#include "agent/fake_files.h"
#include "base/json.h"
#include "collector/append/append_documents.h"
#include "collector/append/append_fixture.h"
#include "collector/deliver/objects_directory.h"
#include "collector/deliver/state.h"
#include "collector/follow/seat.h"
#include "collector/metrics.h"
#include "tests/deliver/life.h"
#include "tests/kit/cases.h"

enum { TEXT_SIZE_MAX = 1 << 20 };

#define TOP "/top"

struct folder {
    struct fake_files *fake;
    struct objects_directory directory;
    struct objects objects;
    uint32_t whole_min;  // objects, from which on all is synced at once
};

// ---- a folder, as a place that fails

static void folder_begin(void *context) {
    struct folder *folder = context;
    struct fault fault;
    const char *const folders[] = {"/", TOP, TOP "/" LIFE_BUCKET};
    folder->fake = fake_files_create();
    folder->directory =
        (struct objects_directory){fake_files_interface(folder->fake), TOP, folder->whole_min};
    for (size_t index = 1; index < 3; index++) {
        assert_true(files_make_directory(folder->directory.files, folders[index], &fault));
        assert_true(files_sync_directory(folder->directory.files, folders[index - 1], &fault));
    }
}

static void folder_fail(void *context, uint64_t nth) {
    struct folder *folder = context;
    fake_files_fail(folder->fake, nth, FAULT_IO);
}

static bool folder_has_failed(void *context) {
    const struct folder *folder = context;
    return fake_files_has_failed(folder->fake);
}

// An operation fails once.
static void folder_mend(void *context) {
    (void)context;
}

static void folder_crash(void *context, uint32_t seed) {
    struct folder *folder = context;
    fake_files_crash(folder->fake, seed);
}

static void folder_end(void *context) {
    struct folder *folder = context;
    fake_files_destroy(folder->fake);
}

// ---- what lies in it

struct walk {
    struct folder *folder;
    struct life_found *found;
    const char *path;
};

static void add_file(struct walk *walk, const char *path) {
    struct fault fault;
    struct buffer text;
    const struct yyjson_val *metadata;
    struct span signature = {NULL, 0};
    uint64_t size = 0;
    const uint8_t *bytes = fake_files_bytes(walk->folder->fake, path, &size);
    const char *key = path + strlen(TOP "/" LIFE_BUCKET "/");
    const struct object_name name = {SPAN_LITERAL(LIFE_BUCKET), span_text(key)};
    assert_non_null(bytes);
    buffer_init(&text, TEXT_SIZE_MAX);
    assert_true(objects_directory_metadata(&walk->folder->directory, &name, &text, &fault));
    if (text.size > 0) {
        assert_true(json_read_into(walk->found->arena, buffer_span(&text), &metadata, &fault));
        signature = json_member_string(metadata, SPAN_LITERAL("signature"));
    }
    life_found_add(walk->found, key, span_of(bytes, size), signature);
    buffer_done(&text);
}

static void walk_folder(struct walk *walk, const char *path);

static bool on_entry(void *user, const struct files_entry *entry) {
    struct walk *walk = user;
    const char *above = walk->path;
    char path[512];
    snprintf(path, sizeof path, "%s/%s", above, entry->name);
    if (entry->is_directory) {
        walk_folder(walk, path);
        walk->path = above;
    } else if (entry->name[0] != '.') {
        add_file(walk, path);
    }
    return true;
}

static void walk_folder(struct walk *walk, const char *path) {
    struct fault fault;
    walk->path = path;
    if (!files_list(walk->folder->directory.files, path, on_entry, walk, &fault)) {
        fail_msg("%s", fault.text);
    }
}

static void folder_find(void *context, struct life_found *found) {
    struct walk walk = {.folder = context, .found = found};
    walk_folder(&walk, TOP "/" LIFE_BUCKET);
}

// ---- the tests

static void make_place(struct folder *folder, uint32_t whole_min, struct life_place *place) {
    *folder = (struct folder){.whole_min = whole_min};
    folder->objects = objects_in_directory(&folder->directory);
    *place = (struct life_place){.objects = &folder->objects,
                                 .begin = folder_begin,
                                 .break_at = folder_fail,
                                 .has_failed = folder_has_failed,
                                 .mend = folder_mend,
                                 .crash = folder_crash,
                                 .find = folder_find,
                                 .end = folder_end,
                                 .context = folder};
}

// Both ways of syncing: file by file, and all at once.
static void run_all(struct rig *rig, bool is_crash) {
    static struct life life;
    struct folder folder;
    struct life_place place;
    make_place(&folder, UINT32_MAX, &place);
    life_begin(&life, rig, &place);
    const uint32_t whole_mins[] = {UINT32_MAX, 1};
    for (uint32_t index = 0; index < 2; index++) {
        folder.whole_min = whole_mins[index];
        uint64_t count = life_run_all(&life, is_crash);
        // A round of two files, several digests: there are many operations, and each has failed.
        assert_true(count > 100);
        print_message("%u operations\n", (unsigned)count);
    }
    life_end(&life);
}

static void test_every_operation_fails_once(void **state) {
    run_all(*state, false);
}

static void test_power_goes_at_every_operation(void **state) {
    run_all(*state, true);
}

// What the state of the trail's delivery says of its last error.
static void read_error(struct life *life, char error[STATE_ERROR_SIZE], bool *is_active) {
    struct fault fault;
    struct buffer value;
    char id[TRAIL_ID_SIZE], name[TRAIL_NAME_SIZE_MAX + 1];
    const char *dash = strrchr(life->follower->name, '-');
    snprintf(id, sizeof id, "%s", dash + 1);
    snprintf(name, sizeof name, STATE_DOCUMENTS "%s", id);
    buffer_init(&value, TEXT_SIZE_MAX);
    assert_true(seat_document(&life->seat, span_text(name), &value, &fault));
    struct json_reader *json = json_reader_create();
    const struct yyjson_val *root;
    struct state state;
    assert_true(json_read(json, buffer_span(&value), &root, &fault));
    assert_true(state_read(root, &state, &fault));
    snprintf(error, STATE_ERROR_SIZE, "%s", state.error);
    *is_active = state.is_active;
    json_reader_destroy(json);
    buffer_done(&value);
}

// A delivered file in the folder; NULL: none.
static const struct life_object *find_log(const struct life_found *found) {
    for (uint32_t index = 0; index < found->count; index++) {
        if (strstr(found->objects[index].key, "/CloudTrail/") != NULL) {
            return &found->objects[index];
        }
    }
    return NULL;
}

// Begins a trail with an event and takes steps until the nth operation fails. Whether none did.
static bool step_until(struct life *life, struct folder *folder, uint64_t nth) {
    struct fault fault;
    int64_t wait_ms;
    bool is_good = true;
    life_start_trail(life);
    folder_fail(folder, nth);
    life_add_event(life);
    for (uint32_t step = 0; step < 8 && is_good; step++) {
        life->rig->now_ms += 1000;
        is_good = life->follower->step(life->follower, &life->seat, &wait_ms, &fault);
    }
    folder_fail(folder, 0);
    return is_good;
}

// Somebody changes a file between an attempt and the next one: that is told once, and it is written
// again. Returns whether the nth operation was one behind which a file stands there that the next
// attempt writes.
static bool change_behind(struct life *life, struct folder *folder, uint64_t nth) {
    static struct life_found found;
    struct fault fault;
    char error[STATE_ERROR_SIZE], path[1200];
    bool is_active;
    int64_t wait_ms;
    uint64_t size;
    bool is_good = step_until(life, folder, nth);
    found = (struct life_found){.arena = arena_create(1 << 24)};
    folder_find(folder, &found);
    const struct life_object *log = is_good ? NULL : find_log(&found);
    bool is_told = false;
    if (log != NULL) {
        snprintf(path, sizeof path, TOP "/" LIFE_BUCKET "/%s", log->key);
        fake_files_damage(folder->fake, path, 3, 4);
        is_told = !life->follower->step(life->follower, &life->seat, &wait_ms, &fault);
    }
    if (is_told) {
        assert_int_equal(fault.kind, FAULT_RETRY);
        read_error(life, error, &is_active);
        assert_ptr_equal(strstr(error, "ChangedObject: somebody else writes there"), error);
        assert_non_null(strstr(error, log->key));
        assert_true(life->follower->step(life->follower, &life->seat, &wait_ms, &fault));
        read_error(life, error, &is_active);
        assert_string_equal(error, "");
        const uint8_t *bytes = fake_files_bytes(folder->fake, path, &size);
        assert_true(span_equal(span_of(bytes, size), log->bytes));
    }
    arena_destroy(found.arena);
    life_end_trail(life);
    return is_told;
}

static void test_a_change_between_attempts_is_told(void **state) {
    static struct life life;
    struct folder folder;
    struct life_place place;
    uint32_t count = 0;
    make_place(&folder, UINT32_MAX, &place);
    life_begin(&life, *state, &place);
    for (uint64_t nth = 1; nth <= 120; nth++) count += change_behind(&life, &folder, nth);
    assert_true(count > 0);
    print_message("changed behind %u operations\n", (unsigned)count);
    life_end(&life);
}

// The key of digests expires between an attempt and the next one: what lies there already is signed
// by the same key, and so nobody else's. Returns whether the nth operation failed.
static bool expire_behind(struct life *life, struct folder *folder, uint64_t nth) {
    struct fault fault;
    int64_t wait_ms;
    bool is_good = step_until(life, folder, nth);
    life->rig->now_ms += life->options.key_lifetime_ms;
    if (!life->follower->step(life->follower, &life->seat, &wait_ms, &fault)) {
        fail_msg("operation %u: %s", (unsigned)nth, fault.text);
    }
    life_end_trail(life);
    return !is_good;
}

static void test_a_repeated_digest_has_its_key(void **state) {
    static struct life life;
    struct folder folder;
    struct life_place place;
    uint64_t nth = 1;
    make_place(&folder, UINT32_MAX, &place);
    life_begin(&life, *state, &place);
    life.options.key_lifetime_ms = 60000;
    while (expire_behind(&life, &folder, nth)) nth++;
    assert_in_range(nth, 20, 200);
    life_end(&life);
}

static void place_other(struct life *life, uint32_t number, bool is_dropped) {
    struct fault fault;
    bool is_current = false;
    struct append_documents_options options = {.follower = {.is_dropped = is_dropped}};
    snprintf(options.follower.name, sizeof options.follower.name, "other-%u", (unsigned)number);
    assert_true(append_documents_change(life->rig->append, &options, APPEND_DOCUMENTS_WAIT_MS,
                                        &is_current, &fault));
}

// A trail that begins when all places are taken says so, and goes on when there is one.
static void test_too_many_followers_are_told(void **state) {
    static struct life life;
    struct folder folder;
    struct life_place place;
    struct fault fault;
    char error[STATE_ERROR_SIZE];
    bool is_active;
    int64_t wait_ms;
    make_place(&folder, 0, &place);
    life_begin(&life, *state, &place);
    for (uint32_t number = 0; number < TRAIL_FOLLOWERS_MAX; number++) {
        place_other(&life, number, false);
    }
    life_start_trail(&life);
    assert_false(life.follower->step(life.follower, &life.seat, &wait_ms, &fault));
    read_error(&life, error, &is_active);
    assert_false(is_active);
    assert_non_null(strstr(error, "256 followers, which is the limit"));
    place_other(&life, 7, true);
    life.rig->now_ms += 1000;
    assert_true(life.follower->step(life.follower, &life.seat, &wait_ms, &fault));
    read_error(&life, error, &is_active);
    assert_true(is_active);
    assert_string_equal(error, "");
    assert_true(life_has_place(&life));
    life_end_trail(&life);
    life_end(&life);
}

int main(void) {
    metrics_start();
    const struct CMUnitTest tests[] = {
        cmocka_unit_test_setup_teardown(test_every_operation_fails_once, rig_make, rig_end),
        cmocka_unit_test_setup_teardown(test_power_goes_at_every_operation, rig_make, rig_end),
        cmocka_unit_test_setup_teardown(test_a_change_between_attempts_is_told, rig_make, rig_end),
        cmocka_unit_test_setup_teardown(test_a_repeated_digest_has_its_key, rig_make, rig_end),
        cmocka_unit_test_setup_teardown(test_too_many_followers_are_told, rig_make, rig_end),
    };
    return cases_run("crash_test", tests, sizeof tests / sizeof tests[0]);
}
