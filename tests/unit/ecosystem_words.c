#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>
#include <cmocka.h>

#include <stdlib.h>

#include "ecosystem/words.h"
#include "lib/base/auto.h"
#include "lib/base/err.h"
#include "lib/base/str.h"

static void splits(const char *text, const char *const *expected)
{
    AUTOSTRLIST struct strlist words = {0};
    assert_int_equal(words_split(text, &words), 0);
    size_t i = 0;
    for (; expected[i]; i++) {
        assert_true(i < words.count);
        assert_string_equal(words.items[i], expected[i]);
    }
    assert_int_equal(words.count, i);
}

#define SPLITS(text, ...) splits(text, (const char *const[]){__VA_ARGS__, NULL})

static void splits_at_blanks(void **state)
{
    SPLITS("a b", "a", "b");
    SPLITS("  a\t\n b  ", "a", "b");
    splits("   ", (const char *const[]){NULL});
    splits("", (const char *const[]){NULL});
}

static void honours_quotes(void **state)
{
    SPLITS("'a b' \"c d\"", "a b", "c d");
    SPLITS("--x='a b'c", "--x=a bc");
    SPLITS("'' x", "", "x");
    SPLITS("\"it's\" 'say \"x\"'", "it's", "say \"x\"");
}

static void keeps_backslashes_that_escape_nothing(void **state)
{
    SPLITS("a\\ b \\\"c \\\\", "a b", "\"c", "\\");
    SPLITS("\\d+ c:\\x \\", "\\d+", "c:\\x", "\\");
    SPLITS("\"a\\\"b\" 'a\\'", "a\"b", "a\\");
}

static void refuses_a_quote_that_is_not_closed(void **state)
{
    AUTOSTRLIST struct strlist words = {0};
    assert_int_equal(words_split("a 'b", &words), ERR_SYNTAX);
    assert_int_equal(words_split("a \"b\\\"", &words), ERR_SYNTAX);
    assert_int_equal(words.count, 0);
}

static void knows_utf8(void **state)
{
    assert_true(text_is_utf8(""));
    assert_true(text_is_utf8("aä€😀"));
    assert_false(text_is_utf8("a\xff"));
    assert_false(text_is_utf8("\xc3"));
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(splits_at_blanks),
        cmocka_unit_test(honours_quotes),
        cmocka_unit_test(keeps_backslashes_that_escape_nothing),
        cmocka_unit_test(refuses_a_quote_that_is_not_closed),
        cmocka_unit_test(knows_utf8),
    };
    return cmocka_run_group_tests(tests, NULL, NULL);
}
