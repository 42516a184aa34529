#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>
#include <cmocka.h>

#include <stdlib.h>
#include <string.h>

#include "ecosystem/config_error.h"
#include "ecosystem/node.h"
#include "ecosystem/read_json5.h"
#include "lib/base/auto.h"
#include "lib/base/buf.h"
#include "lib/base/err.h"

static void means(const char *text, const char *json)
{
    AUTONODE struct node root = {0};
    AUTOBUF struct buf out = BUF_INIT(1 << 20);
    struct config_error error;
    char space[CONFIG_ERROR_TEXT];
    if (read_json5(text, strlen(text), &root, &error) < 0)
        fail_msg("%s: %s", text, config_error_format(&error, space));
    assert_int_equal(node_to_json(&root, &out), 0);
    assert_string_equal(buf_str(&out), json);
}

static void takes_what_json_does_not(void **state)
{
    means("// a\n[1, /* b */ 2,\n]// c", "[1,2]");
    means("{a: 1, $b_2: 2, 'c d': 3, \"e\": 4, ünï: 5,}",
          "{\"a\":1,\"$b_2\":2,\"c d\":3,\"e\":4,\"ünï\":5}");
    means("['it\\'s', 'say \"x\"', \"it's\"]", "[\"it's\",\"say \\\"x\\\"\",\"it's\"]");
    means("['a\\\nb', 'a\\\r\nb', '\\x41\\u0042\\ud83d\\ude00\\v\\q']",
          "[\"ab\",\"ab\",\"AB😀\\u000bq\"]");
    means("['\\ä']", "[\"ä\"]");
    means("[0x1F, -0x10, +5, .5, 5., 1e3, -0, 1.50]", "[31,-16,5,0.5,5,1e3,-0,1.50]");
    means("[true, false, null]", "[true,false,null]");
    means("{true: 1, null: 2}", "{\"true\":1,\"null\":2}");
    means("\xc2\xa0\v\f[]", "[]");
    means("{}", "{}");
    means("['\\0']", "[\"\\u0000\"]");
}

static void knows_the_line_of_everything(void **state)
{
    static const char text[] = "/* one\n two */ {\n a: 'x\\\ny',\n\n b:\n [1,\n 2]}";
    AUTONODE struct node root = {0};
    struct config_error error;
    assert_int_equal(read_json5(text, strlen(text), &root, &error), 0);
    assert_int_equal(root.line, 2);
    assert_int_equal(root.first->key_line, 3);
    assert_int_equal(root.first->line, 3);
    assert_int_equal(root.last->key_line, 6);
    assert_int_equal(root.last->line, 7);
    assert_int_equal(root.last->last->line, 8);
}

static void refuses(const char *text, unsigned line, unsigned column, const char *sentence)
{
    AUTONODE struct node root = {0};
    struct config_error error;
    assert_true(read_json5(text, strlen(text), &root, &error) < 0);
    assert_string_equal(error.text, sentence);
    assert_int_equal(error.line, line);
    assert_int_equal(error.column, column);
    assert_null(root.first);
}

static void says_where_and_what_is_wrong(void **state)
{
    refuses("", 1, 1, "the text ends too early");
    refuses("[1, 2", 1, 6, "the text ends too early");
    refuses("[1,\n/* x", 2, 1, "the comment that begins here has no end");
    refuses("['a\n']", 1, 4, "a string has no end on its line");
    refuses("[,]", 1, 2, "unexpected character ','");
    refuses("[1 2]", 1, 4, "unexpected character '2'");
    refuses("{a 1}", 1, 4, "unexpected character '1'");
    refuses("{1: 2}", 1, 2, "unexpected character '1'");
    refuses("[1] x", 1, 5,
            "unexpected character 'x'; a comma, a colon or a quote is missing before it");
    refuses("[`a`]", 1, 2,
            "unexpected character '`'; a file that computes its apps is named .config.js");
    refuses("['\\u12g4']", 1, 7, "a hexadecimal digit is missing");
    refuses("['\\1']", 1, 4, "a backslash before a digit has no meaning");
    refuses("[NaN]", 1, 2, "unexpected word 'NaN'; a string stands in quotes");
    refuses("[+1e999]", 1, 8, "a number is too large");
    refuses("[1, 007]", 1, 5, "a number must not begin with 0");
    refuses("[-]", 1, 2, "unexpected character '-'");
    refuses("[0x]", 1, 3,
            "unexpected character 'x'; a comma, a colon or a quote is missing before it");
    refuses("[1_000]", 1, 3, "unexpected character '_'");
    refuses("[\"\xff\"]", 1, 3, "a string is not UTF-8");
    refuses("['\\\xfb']", 1, 4, "a string is not UTF-8");
    refuses("{\xff: 1}", 1, 2, "a key is not UTF-8");
    refuses("{a: 1, 'a': 2}", 1, 0, "given twice in the same object, first on line 1");
    refuses("{'\\0': 2}", 1, 0, "a key contains a NUL character");
}

static void bounds_its_depth(void **state)
{
    char text[300];
    AUTONODE struct node root = {0};
    struct config_error error;
    memset(text, '[', sizeof text);
    assert_int_equal(read_json5(text, sizeof text, &root, &error), ERR_SYNTAX);
    assert_string_equal(error.text, "nested too deeply");
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(takes_what_json_does_not),
        cmocka_unit_test(knows_the_line_of_everything),
        cmocka_unit_test(says_where_and_what_is_wrong),
        cmocka_unit_test(bounds_its_depth),
    };
    return cmocka_run_group_tests(tests, NULL, NULL);
}
