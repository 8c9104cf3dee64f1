// Replays a corpus in an ordinary test: each file as it is, cut short at several places, and with
// single bytes changed. Finds what once failed without a fuzzer.

#include <assert.h>
#include <dirent.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#include "tests/fuzz/fuzz.h"
#include "tests/kit/cases.h"

enum { FILE_SIZE_MAX = 4 * 1024 * 1024, CUTS = 64, CHANGES = 256 };

static const char *corpus;

static size_t read_file(const char *name, uint8_t *bytes) {
    char path[1024];
    snprintf(path, sizeof path, "%s/%s", corpus, name);
    FILE *file = fopen(path, "rbe");
    if (file == NULL) fail_msg("cannot open %s", path);
    size_t size = fread(bytes, 1, FILE_SIZE_MAX, file);
    fclose(file);
    return size;
}

// Calls on_input with every file of the corpus. The input is a copy of exactly its size, so that
// the address sanitizer sees reads past its end.
static size_t each_file(void (*on_input)(uint8_t *bytes, size_t size)) {
    uint8_t *bytes = malloc(FILE_SIZE_MAX);
    DIR *folder = opendir(corpus);
    if (bytes == NULL || folder == NULL) fail_msg("cannot list %s", corpus);
    size_t count = 0;
    for (struct dirent *entry = readdir(folder); entry != NULL; entry = readdir(folder)) {
        if (entry->d_name[0] == '.') continue;
        size_t size = read_file(entry->d_name, bytes);
        on_input(bytes, size);
        count++;
    }
    closedir(folder);
    free(bytes);
    return count;
}

static void feed(const uint8_t *bytes, size_t size) {
    uint8_t *exact = malloc(size > 0 ? size : 1);
    assert(exact != NULL);
    memcpy(exact, bytes, size);
    assert_int_equal(LLVMFuzzerTestOneInput(exact, size), 0);
    free(exact);
}

static void feed_cut(uint8_t *bytes, size_t size) {
    for (size_t cut = 0; cut < CUTS; cut++) feed(bytes, size * cut / CUTS);
}

static void feed_whole(uint8_t *bytes, size_t size) {
    feed(bytes, size);
}

static void feed_changed(uint8_t *bytes, size_t size) {
    for (size_t change = 0; change < CHANGES && size > 0; change++) {
        size_t place = size * change / CHANGES;
        uint8_t before = bytes[place];
        bytes[place] = (uint8_t)(before + 1 + change % 255);
        feed(bytes, size);
        bytes[place] = before;
    }
}

static void test_corpus_as_it_is(void **state) {
    (void)state;
    assert_true(each_file(feed_whole) > 0);
}

static void test_corpus_cut_short(void **state) {
    (void)state;
    assert_true(each_file(feed_cut) > 0);
}

static void test_corpus_with_changed_bytes(void **state) {
    (void)state;
    assert_true(each_file(feed_changed) > 0);
}

int main(int argc, char **argv) {
    assert(argc == 2);
    corpus = argv[1];
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(test_corpus_as_it_is),
        cmocka_unit_test(test_corpus_cut_short),
        cmocka_unit_test(test_corpus_with_changed_bytes),
    };
    return cases_run(argv[1], tests, sizeof tests / sizeof tests[0]);
}
