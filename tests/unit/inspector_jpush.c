#include <errno.h>
#include <setjmp.h>
#include <stdarg.h>
#include <stdint.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#include <cmocka.h>

#include "agent/inspector/jpush.h"
#include "lib/base/buf.h"
#include "lib/base/err.h"

static int nothing(void *arg, enum jpush_event event, const char *at)
{
    return 0;
}

/* In two pieces that are cut at `cut`, each in memory of its own, so that ASan sees a read past an end. */
static int scan_cut(struct jpush *p, const char *text, size_t cut)
{
    size_t lengths[] = {cut, strlen(text) - cut};
    int r = 0;
    for (int i = 0; i < 2 && r == 0; i++) {
        char *piece = malloc(lengths[i] + 1);
        memcpy(piece, text + (i == 0 ? 0 : cut), lengths[i]);
        piece = realloc(piece, lengths[i] ? lengths[i] : 1);
        r = jpush_feed(p, piece, lengths[i]);
        free(piece);
    }
    return r;
}

static void check(const char *text, bool good)
{
    for (size_t cut = 0; cut <= strlen(text); cut++) {
        struct jpush p;
        jpush_init(&p, nothing, NULL);
        int r = scan_cut(&p, text, cut);
        bool accepted = r == 0 && jpush_done(&p);
        if (accepted != good)
            fail_msg("cut at %zu: %s %s", cut, good ? "refused" : "accepted", text);
    }
}

static void accepts_what_is_json(void **state)
{
    check("{}", true);
    check(" \t\r\n{ \"a\" : [ ] } \n", true);
    check("{\"a\":{\"b\":{\"c\":[[],{},[{}]]}},\"d\":\"\"}", true);
    check("{\"n\":[0,-0,10,-12.50,1e5,1E+5,2.5e-3,0.0]}", true);
    check("{\"l\":[true,false,null]}", true);
    check("{\"s\":\"\\\" \\\\ \\/ \\b\\f\\n\\r\\t \\u00e9\\uD83D\\uDE00 } ] , :\"}", true);
    check("{\"\\u0069d\":1,\"\":2}", true);
    check("{\"u\":\"\xc3\xa9 \xff\"}", true);
}

static void refuses_what_is_not(void **state)
{
    static const char *const bad[] = {
        "",
        "{",
        "[]",
        "1",
        "\"a\"",
        "null",
        "{}{}",
        "{},",
        "{]",
        "{\"a\"}",
        "{\"a\":}",
        "{\"a\":1,}",
        "{,}",
        "{\"a\" 1}",
        "{a:1}",
        "{\"a\":1 2}",
        "{'a':1}",
        "{\"a\":[1,]}",
        "{\"a\":[,1]}",
        "{\"a\":[1}}",
        "{\"a\":{\"b\":1]}",
        "{\"a\":01}",
        "{\"a\":-}",
        "{\"a\":.5}",
        "{\"a\":1.}",
        "{\"a\":1e}",
        "{\"a\":1e+}",
        "{\"a\":+1}",
        "{\"a\":--1}",
        "{\"a\":1.2.3}",
        "{\"a\":1-}",
        "{\"a\":-x}",
        "{\"a\":tru}",
        "{\"a\":truE}",
        "{\"a\":nulll}",
        "{\"a\":NaN}",
        "{\"a\":\"\n\"}",
        "{\"a\":\"\\x\"}",
        "{\"a\":\"\\u12g4\"}",
        "{\"a\":\"\\u123\"}",
        "{\"a\":\"",
        "{\"a\":[\"b\":1]}",
        "{\"a\":1:2}",
        "{1:2}",
        "{\"a\":\"\\",
    };
    for (size_t i = 0; i < sizeof bad / sizeof *bad; i++)
        check(bad[i], false);
}

static void add_event(struct buf *out, const struct jpush *p, enum jpush_event event, long at)
{
    assert_int_equal(buf_addf(out, "%s%u@%ld%s%s ",
                              event == JPUSH_KEY     ? "K"
                              : event == JPUSH_BEGIN ? "B"
                                                     : "E",
                              p->depth, at, event == JPUSH_BEGIN ? "" : "=",
                              event == JPUSH_BEGIN ? "" : p->text),
                     0);
}

struct log {
    struct jpush p;
    struct buf out;
    const char *text;
};

static int on_event(void *arg, enum jpush_event event, const char *at)
{
    struct log *log = arg;
    add_event(&log->out, &log->p, event, at - log->text);
    return 0;
}

static void tells_where_values_near_the_top_begin_and_end(void **state)
{
    const char *text = "{\"id\": 12,\"r\":{\"p\":[{\"x\":1}],\"q\":\"a\\nb\"},\"t\":true}";
    struct log log = {.text = text, .out = BUF_INIT(4096)};
    jpush_init(&log.p, on_event, &log);
    assert_int_equal(jpush_feed(&log.p, text, strlen(text)), 0);
    assert_true(jpush_done(&log.p));
    assert_string_equal(buf_str(&log.out),
                        "K1@5=id B1@7 E1@9=12 K1@13=r B1@14 K2@18=p B2@19 E2@28= K2@32=q B2@33 "
                        "E2@39=a\\nb E1@40= K1@44=t B1@45 E1@49=true ");
    buf_clear(&log.out);
}

static void tells_the_same_when_every_byte_comes_alone(void **state)
{
    const char *text = "{\"id\":12,\"method\":\"a.b\",\"result\":{\"profile\":-1.5e3 }}";
    struct log log = {.text = text, .out = BUF_INIT(4096)};
    jpush_init(&log.p, on_event, &log);
    for (size_t i = 0; i < strlen(text); i++)
        assert_int_equal(jpush_feed(&log.p, text + i, 1), 0);
    assert_true(jpush_done(&log.p));
    assert_string_equal(buf_str(&log.out),
                        "K1@5=id B1@6 E1@8=12 K1@17=method B1@18 E1@23=a.b K1@32=result B1@33 "
                        "K2@43=profile B2@44 E2@50=-1.5e3 E1@52= ");
    buf_clear(&log.out);
}

static int refuse(void *arg, enum jpush_event event, const char *at)
{
    return event == JPUSH_END ? -ENOSPC : 0;
}

static void ends_with_what_the_callback_returned(void **state)
{
    struct jpush p;
    jpush_init(&p, refuse, NULL);
    assert_int_equal(jpush_feed(&p, "{\"a\":1", 6), 0);
    assert_int_equal(jpush_feed(&p, "}", 1), -ENOSPC);
}

static void keeps_the_start_of_a_long_text(void **state)
{
    char text[400];
    memset(text, 'k', sizeof text);
    memcpy(text, "{\"", 2);
    struct jpush p;
    jpush_init(&p, nothing, NULL);
    assert_int_equal(jpush_feed(&p, text, sizeof text), 0);
    assert_int_equal(p.text_len, JPUSH_TEXT - 1);
    assert_int_equal(strlen(p.text), JPUSH_TEXT - 1);
}

static void refuses_nesting_past_the_limit(void **state)
{
    struct jpush p;
    jpush_init(&p, nothing, NULL);
    assert_int_equal(jpush_feed(&p, "{\"a\":", 5), 0);
    for (int i = 1; i < JPUSH_MAX_DEPTH; i++)
        assert_int_equal(jpush_feed(&p, "[", 1), 0);
    struct jpush deep = p;
    assert_int_equal(jpush_feed(&deep, "[", 1), ERR_TOO_BIG);
    for (int i = 1; i < JPUSH_MAX_DEPTH; i++)
        assert_int_equal(jpush_feed(&p, "]", 1), 0);
    assert_int_equal(jpush_feed(&p, "}", 1), 0);
    assert_true(jpush_done(&p));
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(accepts_what_is_json),
        cmocka_unit_test(refuses_what_is_not),
        cmocka_unit_test(tells_where_values_near_the_top_begin_and_end),
        cmocka_unit_test(tells_the_same_when_every_byte_comes_alone),
        cmocka_unit_test(ends_with_what_the_callback_returned),
        cmocka_unit_test(keeps_the_start_of_a_long_text),
        cmocka_unit_test(refuses_nesting_past_the_limit),
    };
    return cmocka_run_group_tests(tests, NULL, NULL);
}
