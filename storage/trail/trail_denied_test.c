// What somebody reads who may not open a trail. Needs to be root, to become somebody else.

#include <grp.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/stat.h>
#include <unistd.h>

#include "storage/trail/trail_reader.h"
#include "tests/kit/cases.h"

enum { NOBODY = 65534, DAEMON = 1 };  // of Debian's base-passwd

// Opens FOLDER/org/store as nobody, with org of this group and mode. The fault's text ends in what
// is expected.
static void assert_denied(gid_t group, mode_t mode, const char *expected) {
    if (geteuid() != 0) skip();  // cannot become somebody else
    char folder[] = "/tmp/denied_XXXXXX";
    char path[64];
    char store[80];
    assert_non_null(mkdtemp(folder));
    assert_int_equal(chmod(folder, 0711), 0);
    snprintf(path, sizeof path, "%s/org", folder);
    snprintf(store, sizeof store, "%s/store", path);
    assert_int_equal(mkdir(path, 0700), 0);
    assert_int_equal(mkdir(store, 0755), 0);
    assert_int_equal(chown(path, 0, group), 0);
    assert_int_equal(chmod(path, mode), 0);

    struct trail_reader *reader = NULL;
    struct fault fault = {0};
    assert_int_equal(setgroups(0, NULL), 0);
    assert_int_equal(setegid(NOBODY), 0);
    assert_int_equal(seteuid(NOBODY), 0);
    bool is_open = trail_reader_open(store, &reader, &fault);
    assert_int_equal(seteuid(0), 0);
    assert_int_equal(setegid(0), 0);
    rmdir(store);
    rmdir(path);
    rmdir(folder);
    assert_false(is_open);
    assert_int_equal(fault.kind, FAULT_DENIED);
    char text[512];
    snprintf(text, sizeof text, "trail in %s: Permission denied (%s belongs to root, group %s",
             store, path, expected);
    assert_string_equal(fault.text, text);
}

static void test_a_group_lets_in(void **state) {
    (void)state;
    assert_denied(DAEMON, 0750,
                  "daemon, mode 750; \"usermod -aG daemon nobody\" as root and a new login let "
                  "nobody read it)");
}

static void test_only_the_owner_lets_in(void **state) {
    (void)state;
    assert_denied(DAEMON, 0700, "daemon, mode 700: run it as root)");
    assert_denied(0, 0750, "root, mode 750: run it as root)");
}

int main(void) {
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(test_a_group_lets_in),
        cmocka_unit_test(test_only_the_owner_lets_in),
    };
    return cases_run("trail_denied", tests, sizeof tests / sizeof tests[0]);
}
