#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>
#include <cmocka.h>

#include <string.h>

#include "lib/base/auto.h"
#include "lib/base/err.h"
#include "lib/base/str.h"
#include "supervisor/cli/args.h"

static const struct arg_option table[] = {
    {"lines", 'n', "N", "how many"},
    {"raw", 'r', NULL, "plain"},
    {"update-env", 'a', NULL, "env"},
    {"instances", 'i', "N", "processes"},
    {NULL, 0, NULL, NULL},
};

static char error[ARGS_ERROR_TEXT];

static int parse(struct args *a, const char *const *argv)
{
    int argc = 0;
    while (argv[argc])
        argc++;
    return args_parse(a, table, argc, (char *const *)argv, error);
}

#define PARSE(a, ...) parse(a, (const char *const[]){__VA_ARGS__, NULL})

static void takes_values_in_all_four_ways(void **state)
{
    struct args a;
    assert_int_equal(PARSE(&a, "--lines=1"), 0);
    assert_string_equal(args_value(&a, "lines"), "1");
    args_clear(&a);
    assert_int_equal(PARSE(&a, "--lines", "2"), 0);
    assert_string_equal(args_value(&a, "lines"), "2");
    args_clear(&a);
    assert_int_equal(PARSE(&a, "-n3"), 0);
    assert_string_equal(args_value(&a, "lines"), "3");
    args_clear(&a);
    assert_int_equal(PARSE(&a, "-n", "4"), 0);
    assert_string_equal(args_value(&a, "lines"), "4");
    args_clear(&a);
}

static void takes_a_negative_number_as_a_value(void **state)
{
    struct args a;
    assert_int_equal(PARSE(&a, "-i", "-1", "app.js"), 0);
    assert_string_equal(args_value(&a, "instances"), "-1");
    assert_int_equal(a.operand_count, 1);
    args_clear(&a);
}

static void takes_a_negative_number_as_an_operand(void **state)
{
    struct args a;
    assert_int_equal(PARSE(&a, "web", "-2", "-r"), 0);
    assert_int_equal(a.operand_count, 2);
    assert_string_equal(a.operands[1], "-2");
    assert_true(args_has(&a, "raw"));
    args_clear(&a);
}

static void an_empty_value_is_a_value(void **state)
{
    struct args a;
    assert_int_equal(PARSE(&a, "--lines="), 0);
    assert_string_equal(args_value(&a, "lines"), "");
    args_clear(&a);
}

static void mixes_options_and_operands(void **state)
{
    struct args a;
    assert_int_equal(PARSE(&a, "one", "-ra", "two", "--lines", "5", "-"), 0);
    assert_true(args_has(&a, "raw"));
    assert_true(args_has(&a, "update-env"));
    assert_int_equal(a.operand_count, 3);
    assert_string_equal(a.operands[0], "one");
    assert_string_equal(a.operands[1], "two");
    assert_string_equal(a.operands[2], "-");
    assert_null(a.operands[3]);
    args_clear(&a);
}

static void the_last_of_two_values_counts(void **state)
{
    struct args a;
    assert_int_equal(PARSE(&a, "-n1", "--lines=2"), 0);
    assert_string_equal(args_value(&a, "lines"), "2");
    args_clear(&a);
}

static void two_dashes_end_the_options(void **state)
{
    struct args a;
    assert_int_equal(PARSE(&a, "app.js", "--", "--lines", "-x", "--"), 0);
    assert_int_equal(a.plain_count, 1);
    assert_int_equal(a.operand_count, 4);
    assert_string_equal(a.operands[1], "--lines");
    assert_string_equal(a.operands[3], "--");
    assert_false(args_has(&a, "lines"));
    args_clear(&a);
}

static void nothing_at_all_is_fine(void **state)
{
    struct args a;
    assert_int_equal(args_parse(&a, NULL, 0, NULL, error), 0);
    assert_int_equal(a.operand_count, 0);
    assert_null(a.operands[0]);
    args_clear(&a);
}

static void every_command_has_help(void **state)
{
    struct args a;
    assert_int_equal(PARSE(&a, "--help"), 0);
    assert_true(a.help);
    args_clear(&a);
    assert_int_equal(PARSE(&a, "-rh"), 0);
    assert_true(a.help);
    args_clear(&a);
}

static void refuses_what_it_does_not_know(void **state)
{
    struct args a;
    assert_int_equal(PARSE(&a, "--line=3"), ERR_USAGE);
    assert_string_equal(error, "unknown option '--line'; did you mean '--lines'?");
    assert_int_equal(PARSE(&a, "--zzzzzzzzz"), ERR_USAGE);
    assert_string_equal(error, "unknown option '--zzzzzzzzz'");
    assert_int_equal(PARSE(&a, "-rz"), ERR_USAGE);
    assert_string_equal(error, "unknown option '-z'");
    assert_int_equal(PARSE(&a, "--raw=1"), ERR_USAGE);
    assert_string_equal(error, "option '--raw' takes no value");
    assert_int_equal(PARSE(&a, "x", "--lines"), ERR_USAGE);
    assert_string_equal(error, "option '--lines' needs a value (N)");
    assert_null(a.operands);
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(takes_values_in_all_four_ways),
        cmocka_unit_test(takes_a_negative_number_as_a_value),
        cmocka_unit_test(takes_a_negative_number_as_an_operand),
        cmocka_unit_test(an_empty_value_is_a_value),
        cmocka_unit_test(mixes_options_and_operands),
        cmocka_unit_test(the_last_of_two_values_counts),
        cmocka_unit_test(two_dashes_end_the_options),
        cmocka_unit_test(nothing_at_all_is_fine),
        cmocka_unit_test(every_command_has_help),
        cmocka_unit_test(refuses_what_it_does_not_know),
    };
    return cmocka_run_group_tests(tests, NULL, NULL);
}
