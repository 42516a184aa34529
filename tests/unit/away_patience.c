#include "supervisor/cli/away/patience.h"

#include "tests/unit/support.h"

static void tells_once_and_gives_up_in_the_end(void **state)
{
    struct patience p = {0};
    assert_int_equal(patience_lost(&p, 1000), PATIENCE_TELL);
    assert_int_equal(patience_lost(&p, 1001), PATIENCE_TRY);
    assert_int_equal(patience_lost(&p, 999 + PATIENCE_MS), PATIENCE_TRY);
    assert_int_equal(patience_lost(&p, 1000 + PATIENCE_MS), PATIENCE_OVER);
}

static void an_answer_begins_anew(void **state)
{
    struct patience p = {0};
    assert_false(patience_answered(&p));
    assert_int_equal(patience_lost(&p, 1000), PATIENCE_TELL);
    assert_true(patience_answered(&p));
    assert_false(patience_answered(&p));
    assert_int_equal(patience_lost(&p, 2000 + PATIENCE_MS), PATIENCE_TELL);
    assert_int_equal(patience_lost(&p, 2001 + PATIENCE_MS), PATIENCE_TRY);
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(tells_once_and_gives_up_in_the_end),
        cmocka_unit_test(an_answer_begins_anew),
    };
    return cmocka_run_group_tests(tests, NULL, NULL);
}
