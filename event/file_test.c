#include "event/file.h"

#include "base/crypto.h"
#include "tests/kit/cases.h"

static struct file_place make_place(void) {
    return (struct file_place){
        .organization = SPAN_LITERAL("o-exampleorg"),
        .account = SPAN_LITERAL("111122223333"),
        .region = SPAN_LITERAL("eu-west-1"),
        .category = RECORD_MANAGEMENT,
        .day = 19548,  // 2023-07-10
    };
}

static void test_name_is_as_cloudtrail_has_it(void **state) {
    (void)state;
    struct file_place place = make_place();
    uint8_t digest[SHA256_SIZE] = {0};
    char name[FILE_NAME_SIZE];
    file_print_name(&place, 19548 * 86400LL + 11 * 3600 + 45 * 60 + 59, digest, name);
    assert_string_equal(
        name,
        "AWSLogs/o-exampleorg/111122223333/CloudTrail/eu-west-1/2023/07/10/"
        "111122223333_CloudTrail_eu-west-1_20230710T1145Z_0000000000000000.json.gz");
    place.category = RECORD_INSIGHT;
    place.organization = (struct span){0};
    file_print_name(&place, 19548 * 86400LL, digest, name);
    assert_string_equal(name,
                        "AWSLogs/111122223333/CloudTrail-Insight/eu-west-1/2023/07/10/"
                        "111122223333_CloudTrail-Insight_eu-west-1_20230710T0000Z_0000000000000000"
                        ".json.gz");
}

static void test_a_part_cannot_leave_its_folder(void **state) {
    (void)state;
    char part[FILE_PART_SIZE];
    file_print_part(SPAN_LITERAL("../../etc"), part);
    assert_string_equal(part, "..%2F..%2Fetc");
    file_print_part(SPAN_LITERAL(".."), part);
    assert_null(strchr(part, '/'));
    assert_string_not_equal(part, "..");
    file_print_part(SPAN_LITERAL(""), part);
    assert_string_equal(part, "none");
    file_print_part(SPAN_LITERAL("a\nb\0c"), part);
    assert_string_equal(part, "a%0Ab%00c");
    file_print_part(SPAN_LITERAL("sagov-westsouth-1r"), part);
    assert_string_equal(part, "sagov-westsouth-1r");
}

static void test_long_parts_stay_apart(void **state) {
    (void)state;
    char left[300];
    char right[300];
    memset(left, 'x', sizeof left);
    memset(right, 'x', sizeof right);
    right[299] = 'y';
    char left_part[FILE_PART_SIZE];
    char right_part[FILE_PART_SIZE];
    file_print_part(span_of(left, sizeof left), left_part);
    file_print_part(span_of(right, sizeof right), right_part);
    assert_int_equal(strlen(left_part), FILE_PART_SIZE - 1);
    assert_string_not_equal(left_part, right_part);
    // The longest name there is still fits (asserted inside).
    struct file_place place = make_place();
    uint8_t digest[SHA256_SIZE];
    char name[FILE_NAME_SIZE];
    memset(digest, 255, sizeof digest);
    memset(left, '/', sizeof left);
    place.organization = place.account = place.region = span_of(left, sizeof left);
    place.category = RECORD_NETWORK_ACTIVITY;
    file_print_name(&place, 0, digest, name);
}

static void test_text_holds_records_verbatim(void **state) {
    (void)state;
    struct buffer text;
    buffer_init(&text, 1000);
    file_begin(&text);
    file_add(&text, SPAN_LITERAL("{\"a\": 500.0}"), true);
    file_add(&text, SPAN_LITERAL("{ }"), false);
    file_end(&text);
    assert_true(span_is(buffer_span(&text), "{\"Records\":[{\"a\": 500.0},{ }]}"));
    buffer_done(&text);
}

static void test_text_ends_at_the_limit(void **state) {
    (void)state;
    size_t record = 1000;
    assert_true(file_fits(FILE_TEXT_SIZE_MAX - record - 3, record, false));
    assert_false(file_fits(FILE_TEXT_SIZE_MAX - record - 2, record, false));
    assert_true(file_fits(12, FILE_TEXT_SIZE_MAX, true));
}

static void test_random_letters_follow_the_digest(void **state) {
    (void)state;
    uint8_t digest[SHA256_SIZE] = {0};
    char text[FILE_RANDOM_SIZE + 1];
    digest[15] = 61;
    file_print_random(digest, text);
    assert_string_equal(text, "000000000000000z");
    digest[15] = 62;
    file_print_random(digest, text);
    assert_string_equal(text, "0000000000000010");
    digest[14] = 1;  // 318 = 5 * 62 + 8
    file_print_random(digest, text);
    assert_string_equal(text, "0000000000000058");
}

int main(void) {
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(test_name_is_as_cloudtrail_has_it),
        cmocka_unit_test(test_a_part_cannot_leave_its_folder),
        cmocka_unit_test(test_long_parts_stay_apart),
        cmocka_unit_test(test_text_holds_records_verbatim),
        cmocka_unit_test(test_text_ends_at_the_limit),
        cmocka_unit_test(test_random_letters_follow_the_digest),
    };
    return cases_run("file_test", tests, sizeof tests / sizeof tests[0]);
}
