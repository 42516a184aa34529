#include <setjmp.h>
#include <stdarg.h>
#include <stdint.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#include <cmocka.h>

#include "lib/base/auto.h"
#include "lib/profile/functions.h"
#include "lib/profile/idmap.h"
#include "lib/profile/names.h"

static void names_are_kept_once_and_stay_in_place(void **state)
{
    struct names n = {0};
    uint32_t first, item;
    assert_int_equal(names_add(&n, "first", 5, &first), 0);
    const char *text = n.items[first].text;
    for (int round = 0; round < 2; round++)
        for (uint32_t i = 0; i < 20000; i++) {
            char name[32];
            int len = snprintf(name, sizeof name, "name-%u", i);
            assert_int_equal(names_add(&n, name, (size_t)len, &item), 0);
            assert_int_equal(item, i + 1);
            assert_string_equal(n.items[item].text, name);
        }
    assert_ptr_equal(n.items[first].text, text);
    assert_int_equal(n.count, 20001);
    names_clear(&n);
    names_clear(&n);
}

static void names_of_any_length_and_prefixes_differ(void **state)
{
    struct names n = {0};
    static char text[100000];
    memset(text, 'x', sizeof text);
    static const size_t lens[] = {0, 1, 7, 8, 9, 16, 70000, 99999};
    for (int round = 0; round < 2; round++)
        for (uint32_t i = 0; i < 8; i++) {
            uint32_t item;
            assert_int_equal(names_add(&n, text, lens[i], &item), 0);
            assert_int_equal(item, i);
            assert_int_equal(strlen(n.items[item].text), lens[i]);
        }
    names_clear(&n);
}

static void functions_differ_by_name_url_line_and_column(void **state)
{
    struct functions f = {0};
    for (int round = 0; round < 2; round++)
        for (uint32_t i = 0; i < 4096; i++) {
            char name[2] = {(char)('a' + i % 8), 0}, url[2] = {(char)('a' + i / 8 % 8), 0};
            struct function_key key = {.name = name,
                                       .name_len = 1,
                                       .url = url,
                                       .url_len = 1,
                                       .line = i / 64 % 8,
                                       .column = i / 512};
            uint32_t item;
            assert_int_equal(functions_add(&f, &key, &item), 0);
            assert_int_equal(item, i);
        }
    assert_int_equal(f.count, 4096);
    functions_clear(&f);
}

static void a_role_needs_the_name_and_no_url(void **state)
{
    static const struct {
        const char *name, *url;
        enum function_role role;
        bool has_script;
    } cases[] = {
        {"(root)", "", FUNCTION_ROOT, false},
        {"(idle)", "", FUNCTION_IDLE, false},
        {"(program)", "", FUNCTION_PROGRAM, false},
        {"(garbage collector)", "", FUNCTION_GC, false},
        {"(idle)", "x", FUNCTION_CODE, false},
        {"(other)", "", FUNCTION_CODE, false},
        {"", "", FUNCTION_CODE, false},
        {"lost", "", FUNCTION_NO_FILE, true},
        {"lost", "", FUNCTION_CODE, false},
        {"lost", "x", FUNCTION_CODE, true},
        {"(idle)", "", FUNCTION_NO_FILE, true},
    };
    struct functions f = {0};
    for (uint32_t i = 0; i < ARRAY_SIZE(cases); i++) {
        struct function_key key = {.name = cases[i].name,
                                   .name_len = strlen(cases[i].name),
                                   .url = cases[i].url,
                                   .url_len = strlen(cases[i].url),
                                   .has_script = cases[i].has_script};
        uint32_t item;
        assert_int_equal(functions_add(&f, &key, &item), 0);
        assert_int_equal(item, i);
        assert_int_equal(f.items[item].role, cases[i].role);
    }
    functions_clear(&f);
}

static void check_ids(int64_t step)
{
    enum { COUNT = 5000 };
    struct idmap m;
    static uint32_t reversed[COUNT];
    assert_int_equal(idmap_init(&m, COUNT, step * COUNT), 0);
    for (uint32_t i = 0; i < COUNT; i++) {
        assert_true(idmap_add(&m, step * (i + 1), i));
        reversed[i] = COUNT - 1 - i;
    }
    assert_false(idmap_add(&m, step, 9));
    for (uint32_t i = 0; i < COUNT; i++)
        assert_int_equal(idmap_find(&m, step * (i + 1)), i);
    idmap_renumber(&m, reversed);
    for (uint32_t i = 0; i < COUNT; i++)
        assert_int_equal(idmap_find(&m, step * (i + 1)), COUNT - 1 - i);
    static const int64_t missing[] = {0, -1, INT64_MIN, INT64_MAX};
    for (size_t i = 0; i < 4; i++)
        assert_int_equal(idmap_find(&m, missing[i]), IDMAP_NONE);
    idmap_clear(&m);
}

static void ids_are_found_near_and_far_apart(void **state)
{
    check_ids(1);
    check_ids(7);
    check_ids(1000000007);
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(names_are_kept_once_and_stay_in_place),
        cmocka_unit_test(names_of_any_length_and_prefixes_differ),
        cmocka_unit_test(functions_differ_by_name_url_line_and_column),
        cmocka_unit_test(a_role_needs_the_name_and_no_url),
        cmocka_unit_test(ids_are_found_near_and_far_apart),
    };
    return cmocka_run_group_tests(tests, NULL, NULL);
}
