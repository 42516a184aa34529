#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>
#include <cmocka.h>

#include <string.h>

#include "lib/base/str.h"
#include "supervisor/cli/cmd.h"

static void finds_commands_by_name_and_alias(void **state)
{
    assert_string_equal(cmd_find("list")->name, "list");
    assert_string_equal(cmd_find("ls")->name, "list");
    assert_string_equal(cmd_find("status")->name, "list");
    assert_string_equal(cmd_find("del")->name, "delete");
    assert_string_equal(cmd_find("show")->name, "describe");
    assert_null(cmd_find("lis"));
    assert_null(cmd_find(""));
}

static void no_name_means_two_commands(void **state)
{
    for (const struct cmd *const *c = cmd_table; *c; c++) {
        assert_ptr_equal(cmd_find((*c)->name), *c);
        for (const char *const *alias = (*c)->aliases; *alias; alias++)
            assert_ptr_equal(cmd_find(*alias), *c);
    }
}

static void every_command_is_complete(void **state)
{
    for (const struct cmd *const *c = cmd_table; *c; c++) {
        assert_non_null((*c)->usage);
        assert_non_null((*c)->run);
        assert_true(str_ends((*c)->help, "."));
        assert_true(strlen((*c)->help) <= 66);
        assert_true((*c)->operands_min <= (*c)->operands_max);
    }
}

static void no_option_is_twice_in_a_table(void **state)
{
    for (const struct cmd *const *c = cmd_table; *c; c++) {
        const struct arg_option *table = (*c)->options;
        for (const struct arg_option *o = table; o && o->name; o++) {
            assert_non_null(o->help);
            assert_int_not_equal(o->letter, 'h');
            for (const struct arg_option *other = table; other < o; other++) {
                assert_string_not_equal(other->name, o->name);
                assert_true(o->letter == 0 || o->letter != other->letter);
            }
        }
    }
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(finds_commands_by_name_and_alias),
        cmocka_unit_test(no_name_means_two_commands),
        cmocka_unit_test(every_command_is_complete),
        cmocka_unit_test(no_option_is_twice_in_a_table),
    };
    return cmocka_run_group_tests(tests, NULL, NULL);
}
