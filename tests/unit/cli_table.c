#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>
#include <cmocka.h>

#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#include "lib/base/auto.h"
#include "supervisor/cli/table.h"
#include "supervisor/cli/text.h"

static const struct table_column columns[] = {
    {"id", true, false},
    {"name", false, true},
    {"state", false, false},
};

/* The caller frees. */
static char *print(const struct table *t, unsigned width, bool colors)
{
    char *text = NULL;
    size_t len;
    FILE *out = open_memstream(&text, &len);
    table_print(t, out, width, colors);
    (void)fclose(out);
    return text;
}

static void add_row(struct table *t, const char *id, const char *name, const char *word)
{
    table_add(t, id, COLOR_NONE);
    table_add(t, name, COLOR_CYAN);
    table_add(t, word, COLOR_NONE);
}

static void aligns_columns_by_their_width_on_the_terminal(void **state)
{
    AUTOTABLE struct table t;
    table_init(&t, columns, ARRAY_SIZE(columns));
    add_row(&t, "1", "日本", "on");
    add_row(&t, "100", "größe", NULL);
    AUTOFREE char *text = print(&t, 0, false);
    assert_string_equal(text, " id  name   state\n"
                              "  1  日本   on\n"
                              "100  größe  -\n");
}

static void shortens_the_column_that_may(void **state)
{
    AUTOTABLE struct table t;
    table_init(&t, columns, ARRAY_SIZE(columns));
    add_row(&t, "1", "a-very-long-name-indeed", "on");
    AUTOFREE char *text = print(&t, 20, false);
    assert_string_equal(text, "id  name       state\n"
                              " 1  a-very-l…  on\n");
    AUTOFREE char *narrow = print(&t, 5, false);
    assert_string_equal(narrow, "id  name    state\n"
                                " 1  a-ver…  on\n");
}

static void a_cut_wide_character_leaves_a_blank(void **state)
{
    AUTOTABLE struct table t;
    table_init(&t, columns, ARRAY_SIZE(columns));
    add_row(&t, "1", "日本語日本語", "on");
    AUTOFREE char *text = print(&t, 19, false);
    assert_string_equal(text, "id  name      state\n"
                              " 1  日本語…   on\n");
}

static void colours_cells_only_when_told(void **state)
{
    AUTOTABLE struct table t;
    table_init(&t, columns, ARRAY_SIZE(columns));
    add_row(&t, "1", "x", "on");
    AUTOFREE char *text = print(&t, 0, true);
    assert_non_null(strstr(text, "\x1b[36mx\x1b[0m"));
    AUTOFREE char *plain = print(&t, 0, false);
    assert_null(strchr(plain, 0x1b));
}

static void foreign_text_cannot_break_a_row(void **state)
{
    AUTOTABLE struct table t;
    table_init(&t, columns, ARRAY_SIZE(columns));
    add_row(&t, "1", "a\nb\x1b[2J", "on");
    AUTOFREE char *text = print(&t, 0, false);
    assert_string_equal(text, "id  name     state\n"
                              " 1  a b?[2J  on\n");
}

static void a_table_may_be_empty(void **state)
{
    AUTOTABLE struct table t;
    table_init(&t, columns, ARRAY_SIZE(columns));
    AUTOFREE char *text = print(&t, 80, false);
    assert_string_equal(text, "id  name  state\n");
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(aligns_columns_by_their_width_on_the_terminal),
        cmocka_unit_test(shortens_the_column_that_may),
        cmocka_unit_test(a_cut_wide_character_leaves_a_blank),
        cmocka_unit_test(colours_cells_only_when_told),
        cmocka_unit_test(foreign_text_cannot_break_a_row),
        cmocka_unit_test(a_table_may_be_empty),
    };
    return cmocka_run_group_tests(tests, NULL, NULL);
}
