#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>
#include <cmocka.h>

#include <stdlib.h>
#include <string.h>

#include "ecosystem/config_error.h"
#include "ecosystem/env_file.h"
#include "lib/base/auto.h"
#include "lib/base/buf.h"
#include "lib/base/err.h"
#include "lib/base/limits.h"
#include "lib/base/str.h"

/* The text gives these entries, in their order; the judge is node --env-file (ecosystem.test.mjs). */
static void gives(const char *text, const char *const *entries)
{
    AUTOSTRLIST struct strlist env = {0};
    struct config_error error;
    size_t i = 0;
    assert_int_equal(env_file_parse(text, strlen(text), &env, &error), 0);
    for (; entries[i]; i++) {
        assert_true(i < env.count);
        assert_string_equal(env.items[i], entries[i]);
    }
    assert_int_equal(env.count, i);
}

#define GIVES(text, ...) gives(text, (const char *const[]){__VA_ARGS__, NULL})

static void reads_variables(void **state)
{
    GIVES("A=1\nB=two words\n", "A=1", "B=two words");
    GIVES("A=1", "A=1");
    GIVES("\n\n  A  =\t1  \r\nB=2\r\n", "A=1", "B=2");
    GIVES("export A=1\nexportB=2\n", "A=1", "exportB=2");
    GIVES("A=a=b\nB=\n", "A=a=b", "B=");
    GIVES("A=1\nA=2\n", "A=2");
    GIVES("\xef\xbb\xbf"
          "A=1",
          "A=1");
    gives("", (const char *const[]){NULL});
}

static void leaves_comments_out(void **state)
{
    GIVES("# A=0\nA=1 # one\nB=a#b\nC=#\n", "A=1", "B=a", "C=");
    GIVES("A='#' # x\nB=\"a # b\"", "A=#", "B=a # b");
    gives("nothing\n=x\n", (const char *const[]){NULL});
}

static void honours_quotes(void **state)
{
    GIVES("A='it is' B=2\n", "A=it is");
    GIVES("A=\"a\\nb\\tc\"\nB='a\\nb'\nC=`a\"b'c`\n", "A=a\nb\\tc", "B=a\\nb", "C=a\"b'c");
    GIVES("A=\"one\ntwo\"\nB=3", "A=one\ntwo", "B=3");
    GIVES("A=\"open\nB=2\n", "A=\"open", "B=2");
    GIVES("A=it's\n", "A=it's");
}

static void refuses(const char *text, size_t len, unsigned line, const char *sentence)
{
    AUTOSTRLIST struct strlist env = {0};
    struct config_error error;
    assert_int_equal(env_file_parse(text, len, &env, &error), ERR_INVALID);
    assert_int_equal(error.line, line);
    assert_string_equal(error.text, sentence);
}

static void refuses_what_no_environment_holds(void **state)
{
    AUTOBUF struct buf text = BUF_INIT(8 << 20);
    refuses("A=1\nB=\0x", 8, 2, "contains a NUL character");
    refuses("A=\xff", 3, 0, "is not UTF-8");
    buf_addstr(&text, "A=1\nB=");
    while (text.len < LIMIT_STRING + 10)
        buf_addc(&text, 'x');
    refuses(buf_str(&text), text.len, 2,
            "longer than the 128 KiB that the kernel allows for a variable");
    buf_reset(&text);
    for (unsigned i = 0; i <= LIMIT_LIST; i++)
        buf_addf(&text, "V%u=1\n", i);
    refuses(buf_str(&text), text.len, LIMIT_LIST + 1, "there are more than 4096 variables");
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(reads_variables),
        cmocka_unit_test(leaves_comments_out),
        cmocka_unit_test(honours_quotes),
        cmocka_unit_test(refuses_what_no_environment_holds),
    };
    return cmocka_run_group_tests(tests, NULL, NULL);
}
