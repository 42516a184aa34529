#include "lib/base/uuid.h"

#include "tests/unit/support.h"

#include "lib/base/loop.h"

static void makes_version_7_with_the_time_in_front(void **state)
{
    char text[UUID_TEXT];
    int64_t before = loop_wall_ms();
    uuid_make(text);
    int64_t after = loop_wall_ms();
    assert_true(uuid_valid(text));
    assert_int_equal(text[14], '7');
    assert_non_null(strchr("89ab", text[19]));
    unsigned long long high, low;
    assert_int_equal(sscanf(text, "%8llx-%4llx", &high, &low), 2);
    int64_t ms = (int64_t)(high << 16 | low);
    assert_true(ms >= before && ms <= after);
}

static void makes_no_id_twice(void **state)
{
    static char ids[1000][UUID_TEXT];
    for (int i = 0; i < 1000; i++) {
        uuid_make(ids[i]);
        for (int j = 0; j < i; j++)
            assert_string_not_equal(ids[i], ids[j]);
        /* Ordered by time, to the millisecond. */
        assert_true(i == 0 || strncmp(ids[i - 1], ids[i], 13) <= 0);
    }
}

static void knows_the_canonical_form_only(void **state)
{
    assert_true(uuid_valid("01890a5d-ac96-774b-bcce-b302099a8057"));
    assert_true(uuid_valid("00000000-0000-0000-0000-000000000000"));
    static const char *const wrong[] = {
        "",
        "01890a5d-ac96-774b-bcce-b302099a805",
        "01890a5d-ac96-774b-bcce-b302099a80577",
        "01890A5D-AC96-774B-BCCE-B302099A8057",
        "01890a5d-ac96-774b-bcce_b302099a8057",
        "01890a5dac96-774b-bcce-b302099a80570",
        "01890a5d-ac96-774b-bcce-b302099a805g",
        "../../../etc/passwd-bcce-b302099a805",
        "{1890a5d-ac96-774b-bcce-b302099a805}",
    };
    for (size_t i = 0; i < ARRAY_SIZE(wrong); i++)
        assert_false(uuid_valid(wrong[i]) || uuid_valid_v7(wrong[i]));
}

static void tells_version_7_from_the_others(void **state)
{
    char text[UUID_TEXT];
    uuid_make(text);
    assert_true(uuid_valid_v7(text));
    assert_true(uuid_valid_v7("01890a5d-ac96-774b-bcce-b302099a8057"));
    static const char *const others[] = {
        "01890a5d-ac96-474b-bcce-b302099a8057", /* of an inspector */
        "01890a5d-ac96-774b-ccce-b302099a8057", /* another variant */
        "01890a5d-ac96-774b-7cce-b302099a8057",
        "00000000-0000-0000-0000-000000000000",
    };
    for (size_t i = 0; i < ARRAY_SIZE(others); i++)
        assert_true(uuid_valid(others[i]) && !uuid_valid_v7(others[i]));
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(makes_version_7_with_the_time_in_front),
        cmocka_unit_test(makes_no_id_twice),
        cmocka_unit_test(knows_the_canonical_form_only),
        cmocka_unit_test(tells_version_7_from_the_others),
    };
    return cmocka_run_group_tests(tests, NULL, NULL);
}
