#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>
#include <cmocka.h>

#include <stdlib.h>
#include <string.h>

#include "ecosystem/config_error.h"
#include "ecosystem/node.h"
#include "ecosystem/read_json.h"
#include "lib/base/auto.h"
#include "lib/base/buf.h"
#include "lib/base/err.h"
#include "lib/base/mem.h"
#include "supervisor/cli/load/answer.h"
#include "supervisor/cli/load/yaml.h"

static void read_good(const char *text, struct node *root)
{
    struct config_error error = {0};
    char space[CONFIG_ERROR_TEXT];
    if (yaml_read(text, strlen(text), root, &error) < 0)
        fail_msg("%s: %s", text, config_error_format(&error, space));
}

static void means(const char *text, const char *json)
{
    AUTONODE struct node root = {0};
    AUTOBUF struct buf out = BUF_INIT(1 << 20);
    read_good(text, &root);
    assert_int_equal(node_to_json(&root, &out), 0);
    assert_string_equal(buf_str(&out), json);
}

static void takes_words_for_what_they_are(void **state)
{
    means("[null, ~, Null, true, False, TRUE]", "[null,null,null,true,false,true]");
    means("a:\nb: ''", "{\"a\":null,\"b\":\"\"}");
    means("[1, -2, 1.50, 1e3, 0]", "[1,-2,1.50,1e3,0]");
    means("[yes, no, on, 0x10, 0o17, 0123, 1_000, +5, .5, .inf, 1., 2026-11-20]",
          "[\"yes\",\"no\",\"on\",\"0x10\",\"0o17\",\"0123\",\"1_000\",\"+5\",\".5\",\".inf\",\"1."
          "\",\"2026-11-20\"]");
    means("['1', \"true\", 'null']", "[\"1\",\"true\",\"null\"]");
    means("[!!str 5, !!int 5, !!str true, ! 5, !!bool true]", "[\"5\",5,\"true\",\"5\",true]");
    means("a: |\n  x\n  y\nb: >\n  x\n  y\n", "{\"a\":\"x\\u000ay\\u000a\",\"b\":\"x y\\u000a\"}");
    means("1: x\ntrue: y\n? z\n: 2", "{\"1\":\"x\",\"true\":\"y\",\"z\":2}");
    means("a: [x, {b: c}]", "{\"a\":[\"x\",{\"b\":\"c\"}]}");
    means("{\"apps\": [{\"script\": \"a\"}]}", "{\"apps\":[{\"script\":\"a\"}]}");
}

static void copies_what_an_alias_means(void **state)
{
    means("a: &x [1, {b: 2}]\nc: *x\n", "{\"a\":[1,{\"b\":2}],\"c\":[1,{\"b\":2}]}");
    means("a: &x 1\nb: &x 2\nc: *x", "{\"a\":1,\"b\":2,\"c\":2}");
    means("a: &x\nb: *x", "{\"a\":null,\"b\":null}");
}

static void merges_what_is_not_there(void **state)
{
    means("x: &x {a: 1, b: 2}\ny:\n  <<: *x\n  b: 3\n",
          "{\"x\":{\"a\":1,\"b\":2},\"y\":{\"a\":1,\"b\":3}}");
    means("x: &x {a: 1}\ny: {b: 3, <<: *x, c: 4}",
          "{\"x\":{\"a\":1},\"y\":{\"b\":3,\"a\":1,\"c\":4}}");
    means("- &x {a: 1, b: 1}\n- &y {b: 2, c: 2}\n- <<: [*x, *y]\n",
          "[{\"a\":1,\"b\":1},{\"b\":2,\"c\":2},{\"a\":1,\"b\":1,\"c\":2}]");
    means("- &x {a: 1}\n- &y {<<: *x, b: 2}\n- {<<: *y}",
          "[{\"a\":1},{\"a\":1,\"b\":2},{\"a\":1,\"b\":2}]");
    means("- {<<: &x {a: 1}}\n- *x", "[{\"a\":1},{\"a\":1}]");
    means("'<<': 1", "{\"<<\":1}");
    means("- &x {a: 1}\n- {<<: *x, <<: {b: 2}}", "[{\"a\":1},{\"a\":1,\"b\":2}]");
    means("{<<: {}}", "{}");
}

static void refuses(const char *text, unsigned line, const char *sentence)
{
    AUTONODE struct node root = {0};
    struct config_error error = {0};
    assert_true(yaml_read(text, strlen(text), &root, &error) < 0);
    assert_string_equal(error.text, sentence);
    assert_int_equal(error.line, line);
    assert_null(root.first);
}

static void says_where_and_what_is_wrong(void **state)
{
    refuses("", 1, "there is nothing in it");
    refuses("# only a comment\n", 1, "there is nothing in it");
    refuses("a: 1\nb: [1, 2\n", 3,
            "did not find expected ',' or ']' while parsing a flow sequence");
    refuses("a:\n\tb: 1\n", 2,
            "found character that cannot start any token while scanning for the next token");
    refuses("a: 1\n b: 2\n", 2, "mapping values are not allowed in this context");
    refuses("a: *b", 1, "there is no anchor &b before this alias");
    refuses("&a [*a]", 1, "an alias stands within itself");
    refuses("a: 1\nb: !Env x", 2, "the tag \"!Env\" has no meaning here");
    refuses("a: !Map {}", 1, "the tag \"!Map\" has no meaning here");
    refuses("a: 1\n? [1]\n: 2", 2, "a key must be a word or a text");
    refuses("*x : 1", 1, "a key must be a word or a text");
    refuses("\"a\\0\": 1", 1, "a key contains a NUL character");
    refuses("a: 1\n---\nb: 2\n", 2, "a second document begins here, and a file has one");
    refuses("a: 1\n<<: 5\n", 2, "what << merges must be an object or a list of objects");
    refuses("a: \x80", 1, "invalid leading UTF-8 octet");
}

/* Nine times nine times nine … */
static void aliases_do_not_grow_without_bound(void **state)
{
    static const char *const forms[] = {
        "- &l%d [*l%d, *l%d, *l%d, *l%d, *l%d, *l%d, *l%d, *l%d]\n",
        "- &l%d {<<: [*l%d, *l%d, *l%d, *l%d, *l%d, *l%d, *l%d, *l%d]}\n"};
    static const char *const starts[] = {"- &l0 [x]\n", "- &l0 {x: 1}\n"};
    for (size_t i = 0; i < ARRAY_SIZE(forms); i++) {
        AUTOBUF struct buf text = BUF_INIT(1 << 20);
        AUTONODE struct node root = {0};
        struct config_error error = {0};
        buf_addstr(&text, starts[i]);
        for (int n = 1; n <= 40; n++) {
            int p = n - 1;
#pragma GCC diagnostic push
#pragma GCC diagnostic ignored "-Wformat-nonliteral"
            buf_addf(&text, forms[i], n, p, p, p, p, p, p, p, p);
#pragma GCC diagnostic pop
        }
        int r = yaml_read(buf_str(&text), text.len, &root, &error);
        /* A merge of the same again adds nothing. */
        assert_int_equal(r, i == 0 ? ERR_TOO_BIG : 0);
        if (r < 0)
            assert_string_equal(error.text, "its aliases stand for too much text");
    }
}

static void bounds_its_depth(void **state)
{
    AUTOBUF struct buf text = BUF_INIT(1 << 20);
    AUTONODE struct node root = {0};
    struct config_error error = {0};
    for (int i = 0; i < 100; i++)
        buf_addc(&text, '[');
    assert_int_equal(yaml_read(buf_str(&text), text.len, &root, &error), ERR_TOO_BIG);
    assert_string_equal(error.text, "nested too deeply");
}

/* Reads the answer as JSON and compares lines. */
static void compare_lines(const struct node *a, const struct node *b)
{
    assert_int_equal(a->kind, b->kind);
    assert_int_equal(a->line, b->line);
    const struct node *y = b->first;
    for (const struct node *x = a->first; x; x = x->next, y = y->next) {
        assert_non_null(y);
        if (x->key) {
            assert_string_equal(x->key, y->key);
            assert_int_equal(x->key_line, y->key_line);
        }
        compare_lines(x, y);
    }
    assert_null(y);
}

static void an_answer_stands_on_the_lines_of_its_file(void **state)
{
    static const char text[] =
        "# one\n\nbase: &b\n  cwd: /srv\n\napps:\n  - name: a\n    script: >\n"
        "      x\n      y\n    <<: *b\n\n  - {name: b,\n     args: [1,\n\n 2]}\n";
    AUTONODE struct node root = {0}, again = {0};
    AUTOBUF struct buf out = BUF_INIT(1 << 20);
    struct config_error error;
    read_good(text, &root);
    assert_int_equal(answer_value(&root, &out), 0);
    assert_int_equal(read_json(buf_str(&out), out.len, &again, &error), 0);
    compare_lines(&root, again.first);
}

static void an_error_is_an_answer_too(void **state)
{
    AUTOBUF struct buf out = BUF_INIT(1 << 20);
    struct config_error error;
    config_error_set(&error, ERR_SYNTAX, 7, NULL, "a \"quote\"");
    error.column = 3;
    assert_int_equal(answer_error(&error, &out), 0);
    assert_string_equal(buf_str(&out),
                        "{\"error\":{\"text\":\"a \\\"quote\\\"\",\"line\":7,\"column\":3}}\n");
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(takes_words_for_what_they_are),
        cmocka_unit_test(copies_what_an_alias_means),
        cmocka_unit_test(merges_what_is_not_there),
        cmocka_unit_test(says_where_and_what_is_wrong),
        cmocka_unit_test(aliases_do_not_grow_without_bound),
        cmocka_unit_test(bounds_its_depth),
        cmocka_unit_test(an_answer_stands_on_the_lines_of_its_file),
        cmocka_unit_test(an_error_is_an_answer_too),
    };
    return cmocka_run_group_tests(tests, NULL, NULL);
}
