#include <setjmp.h>
#include <stdarg.h>
#include <stdint.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#include <cmocka.h>

#include "lib/base/auto.h"
#include "lib/base/str.h"
#include "lib/profile/profile.h"
#include "lib/profile/table.h"

#define NODE(name, size, children)                                                                 \
    "{\"callFrame\":{\"functionName\":\"" name "\",\"url\":\"\"},\"selfSize\":" #size              \
    ",\"children\":[" children "]}"

static void read_tree(struct profile *p, const char *head)
{
    struct profile_error error;
    char text[4096];
    int len = snprintf(text, sizeof text, "{\"head\":%s}", head);
    assert_int_equal(profile_read(p, text, (size_t)len, &error), 0);
}

static const struct profile_row *find_row(const struct profile_table *t, const char *name)
{
    for (size_t i = 0; i < t->count; i++)
        if (str_eq(t->rows[i].function->name, name))
            return &t->rows[i];
    return NULL;
}

static void recursion_counts_once(void **state)
{
    /* a calls b, which calls a and, beside it, a again; b stands under the root too. */
    struct profile p;
    struct profile_table t;
    read_tree(&p, NODE("(root)", 0,
                       NODE("a", 1,
                            NODE("b", 10,
                                 NODE("a", 100, NODE("a", 1000, "")) "," NODE(
                                     "a", 5, ""))) "," NODE("b", 20, "")));
    assert_int_equal(profile_table_init(&t, &p, PROFILE_BY_SELF), 0);
    assert_int_equal(t.count, 2);
    const struct profile_row *a = find_row(&t, "a"), *b = find_row(&t, "b");
    assert_int_equal(a->self, 1106);
    assert_int_equal(a->total, 1116);
    assert_int_equal(b->self, 30);
    assert_int_equal(b->total, 1115 + 20);
    profile_table_clear(&t);
    profile_clear(&p);
}

static void sorts_by_self_or_total(void **state)
{
    struct profile p;
    struct profile_table t;
    read_tree(&p,
              NODE("(root)", 0, NODE("small", 1, NODE("big", 100, "")) "," NODE("middle", 50, "")));
    static const char *const by_self[] = {"big", "middle", "small"};
    static const char *const by_total[] = {"small", "big", "middle"};
    assert_int_equal(profile_table_init(&t, &p, PROFILE_BY_SELF), 0);
    for (size_t i = 0; i < 3; i++)
        assert_string_equal(t.rows[i].function->name, by_self[i]);
    profile_table_clear(&t);
    assert_int_equal(profile_table_init(&t, &p, PROFILE_BY_TOTAL), 0);
    for (size_t i = 0; i < 3; i++)
        assert_string_equal(t.rows[i].function->name, by_total[i]);
    profile_table_clear(&t);
    profile_clear(&p);
}

static void equal_figures_are_sorted_by_name(void **state)
{
    struct profile p;
    struct profile_table t;
    read_tree(&p, NODE("(root)", 0, NODE("c", 1, "") "," NODE("a", 1, "") "," NODE("b", 1, "")));
    assert_int_equal(profile_table_init(&t, &p, PROFILE_BY_SELF), 0);
    assert_string_equal(t.rows[0].function->name, "a");
    assert_string_equal(t.rows[2].function->name, "c");
    profile_table_clear(&t);
    profile_clear(&p);
}

static void idle_is_no_row_and_root_only_with_a_cost(void **state)
{
    struct profile p;
    struct profile_table t;
    read_tree(&p, NODE("(root)", 0,
                       NODE("(idle)", 5, "") "," NODE("(program)", 6,
                                                      "") "," NODE("(garbage collector)", 7, "")));
    assert_int_equal(profile_table_init(&t, &p, PROFILE_BY_SELF), 0);
    assert_int_equal(t.count, 2);
    assert_null(find_row(&t, "(idle)"));
    assert_null(find_row(&t, "(root)"));
    assert_non_null(find_row(&t, "(program)"));
    assert_non_null(find_row(&t, "(garbage collector)"));
    profile_table_clear(&t);
    profile_clear(&p);
    read_tree(&p, NODE("(root)", 9, ""));
    assert_int_equal(profile_table_init(&t, &p, PROFILE_BY_SELF), 0);
    assert_int_equal(t.count, 1);
    profile_table_clear(&t);
    profile_clear(&p);
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(recursion_counts_once),
        cmocka_unit_test(sorts_by_self_or_total),
        cmocka_unit_test(equal_figures_are_sorted_by_name),
        cmocka_unit_test(idle_is_no_row_and_root_only_with_a_cost),
    };
    return cmocka_run_group_tests(tests, NULL, NULL);
}
