#include "supervisor/stderr_lines.h"

#include "tests/unit/support.h"

#include "lib/base/str.h"

#define PATH "0f2c936f-b1cd-4ac9-aab3-f63b0f33d55e"
#define URL "ws://127.0.0.1:38291/" PATH "\n"
#define HELP_8 "For help see https://nodejs.org/en/docs/inspector\n"
#define HELP_10 "For help, see: https://nodejs.org/en/docs/inspector\n"
#define HELP_22 "For help, see: https://nodejs.org/learn/getting-started/debugging\n"
#define LISTENING "Debugger listening on " URL
#define ENDING "Debugger ending on " URL
#define ATTACHED "Debugger attached.\n"
#define WAITING "Waiting for the debugger to disconnect...\n"

/* One filter with what came out of it. */
struct run {
    struct stderr_lines f;
    struct buf in;
    struct buf kept;
    struct buf cut;
    struct buf seen; /* a letter per line that was cut */
    unsigned confirmed;
};

static bool listens = true;

static enum stderr_answer confirm(void *arg, unsigned port, const char *path, bool urgent)
{
    struct run *run = arg;
    run->confirmed++;
    return listens && port == 38291 && str_eq(path, PATH);
}

static void seen(void *arg, enum inspector_line kind, unsigned port, const char *path)
{
    struct run *run = arg;
    bool has_address = kind == INSPECTOR_LISTENING || kind == INSPECTOR_ENDING;
    assert_int_equal(port, has_address ? 38291 : 0);
    assert_string_equal(path, has_address ? PATH : "");
    assert_int_equal(buf_addc(&run->seen, "LAEWH"[kind]), 0);
}

static enum stderr_answer later_unless_urgent(void *arg, unsigned port, const char *path,
                                              bool urgent)
{
    return urgent ? confirm(arg, port, path, urgent) : STDERR_LATER;
}

static void run_init(struct run *run)
{
    *run = (struct run){0};
    buf_init(&run->in, 1 << 20);
    buf_init(&run->kept, 1 << 20);
    buf_init(&run->cut, 1 << 20);
    buf_init(&run->seen, 1 << 20);
    stderr_lines_init(&run->f, confirm, seen, run);
}

static void run_clear(struct run *run)
{
    buf_clear(&run->in);
    buf_clear(&run->kept);
    buf_clear(&run->cut);
    buf_clear(&run->seen);
}

static void feed(struct run *run, const char *data, size_t len, bool last)
{
    assert_int_equal(buf_add(&run->in, data, len), 0);
    while (run->in.len > 0) {
        size_t n = 0;
        enum stderr_verdict verdict =
            stderr_lines_next(&run->f, run->in.data, run->in.len, last, true, &n);
        if (verdict == STDERR_WAIT) {
            assert_false(last);
            return;
        }
        assert_in_range(n, 1, run->in.len);
        assert_int_equal(buf_add(verdict == STDERR_KEEP ? &run->kept : &run->cut, run->in.data, n),
                         0);
        buf_consume(&run->in, n);
    }
}

/* The text in one piece. */
static void assert_run(const char *text, unsigned attach_expected, const char *kept,
                       const char *seen_lines)
{
    struct run run;
    run_init(&run);
    run.f.attach_expected = attach_expected;
    feed(&run, text, strlen(text), false);
    feed(&run, "", 0, true);
    assert_string_equal(buf_str(&run.kept), kept);
    assert_string_equal(buf_str(&run.seen), seen_lines);
    assert_int_equal(run.kept.len + run.cut.len, strlen(text));
    run_clear(&run);
}

/* In two pieces at every place, in three at many, and byte by byte. */
static void assert_run_split(const char *text, const char *kept, const char *seen_lines)
{
    size_t len = strlen(text);
    assert_run(text, 1, kept, seen_lines);
    for (size_t one = 0; one <= len; one++) {
        for (size_t two = one; two <= len; two += 1 + (one * 7 + two) % 61) {
            struct run run;
            run_init(&run);
            run.f.attach_expected = 1;
            feed(&run, text, one, false);
            feed(&run, text + one, two - one, false);
            feed(&run, text + two, len - two, false);
            feed(&run, "", 0, true);
            assert_string_equal(buf_str(&run.kept), kept);
            assert_string_equal(buf_str(&run.seen), seen_lines);
            run_clear(&run);
        }
    }
    struct run run;
    run_init(&run);
    run.f.attach_expected = 1;
    for (size_t i = 0; i < len; i++)
        feed(&run, text + i, 1, false);
    assert_string_equal(buf_str(&run.kept), kept);
    assert_string_equal(buf_str(&run.seen), seen_lines);
    run_clear(&run);
}

/* ---- what the versions print ----------------------------------------------------------------- */

static const char app_lines[] =
    "starting\nDebug mode is off\nat work\n\nFor you\nhalf a line, the other half\nend\n";

static void node_8_is_cut_at_every_split(void **state)
{
    assert_run_split("starting\nDebug mode is off\n" LISTENING HELP_8 "at work\n" ATTACHED
                     "\nFor you\nhalf a line" LISTENING HELP_8 ", the other half\nend\n",
                     app_lines, "LHALH");
}

static void node_12_is_cut_at_every_split(void **state)
{
    assert_run_split("starting\nDebug mode is off\n" LISTENING HELP_10
                     "at work\n\nFor you\nhalf a line" ATTACHED
                     ", the other half\n" LISTENING HELP_10 "end\n",
                     app_lines, "LHALH");
}

static void node_20_is_cut_at_every_split(void **state)
{
    assert_run_split("starting\nDebug mode is off\nat work\n" LISTENING HELP_10 ATTACHED
                     "\nFor you\nhalf a line" ENDING HELP_10 ", the other half\nend\n",
                     app_lines, "LHAEH");
}

static void node_26_is_cut_at_every_split(void **state)
{
    assert_run_split(
        "starting\nDebug mode is off\nat work\n\nFor you\nhalf a line" LISTENING HELP_22
        ", the other half\n" ATTACHED "end\n" WAITING ENDING HELP_22,
        app_lines, "LHAWEH");
}

static void the_port_is_asked_for_once(void **state)
{
    struct run run;
    run_init(&run);
    feed(&run, LISTENING HELP_8 LISTENING HELP_8 LISTENING,
         strlen(LISTENING HELP_8) * 2 + strlen(LISTENING), false);
    assert_int_equal(run.confirmed, 1);
    assert_string_equal(buf_str(&run.seen), "LHLHL");
    run_clear(&run);
}

/* ---- what only looks like it ----------------------------------------------------------------- */

static void a_line_that_cannot_be_judged_yet_waits_and_what_is_before_it_goes(void **state)
{
    static const char text[] =
        "app\nhalf Debugger listening on ws://127.0.0.1:38291/" PATH "\nmore\n";
    struct run run;
    size_t n;
    run_init(&run);
    run.f.confirm = later_unless_urgent;
    const char *at = text, *end = text + sizeof text - 1;
    assert_int_equal(stderr_lines_next(&run.f, at, (size_t)(end - at), false, false, &n),
                     STDERR_KEEP);
    assert_int_equal(n, strlen("app\n"));
    at += n;
    assert_int_equal(stderr_lines_next(&run.f, at, (size_t)(end - at), false, false, &n),
                     STDERR_KEEP);
    assert_int_equal(n, strlen("half "));
    at += n;
    for (int i = 0; i < 3; i++)
        assert_int_equal(stderr_lines_next(&run.f, at, (size_t)(end - at), true, false, &n),
                         STDERR_WAIT);
    assert_int_equal(stderr_lines_next(&run.f, at, (size_t)(end - at), false, true, &n),
                     STDERR_CUT);
    at += n;
    assert_string_equal(at, "more\n");
    run_clear(&run);
}

static void a_line_that_the_port_does_not_confirm_is_the_apps(void **state)
{
    static const char text[] = "a\n" LISTENING HELP_10 "b" LISTENING ENDING HELP_10;
    listens = false;
    assert_run(text, 0, text, "");
    assert_run_split(text, text, "");
    listens = true;
}

static void another_address_is_the_apps(void **state)
{
    static const char *const lines[] = {
        "Debugger listening on ws://127.0.0.1:38291/another-path\n",
        "Debugger listening on ws://127.0.0.1:38291/" PATH " \n",
        "Debugger listening on ws://127.0.0.1:38291/" PATH "/x\n",
        "Debugger listening on ws://127.0.0.1:38291/\n",
        "Debugger listening on ws://127.0.0.1/" PATH "\n",
        "Debugger listening on ws://:38291/" PATH "\n",
        "Debugger listening on ws://127.0.0.1:99999999999999999999/" PATH "\n",
        "Debugger listening on ws://127.0.0.1:0/" PATH "\n",
        "Debugger listening on ws://\n",
        "Debugger listening on 127.0.0.1:38291/" PATH "\n",
        "debugger listening on " URL,
        "Debugger ending on ws://127.0.0.1:38291/0f2c936f-b1cd-4ac9-aab3-000000000000\n",
        HELP_10,
        "Debugger attached. \n",
        "Debugger attached!\n",
        "Waiting for the debugger to disconnect... now\n",
    };
    for (size_t i = 0; i < ARRAY_SIZE(lines); i++) {
        assert_run(lines[i], 0, lines[i], "");
        AUTOFREE char *later = xasprintf("%s%sx\n%s", LISTENING, HELP_10, lines[i]);
        AUTOFREE char *kept = xasprintf("x\n%s", lines[i]);
        assert_run(later, 0, kept, "LH");
    }
}

static void another_port_is_the_apps_while_the_path_is_unknown(void **state)
{
    static const char text[] = "Debugger listening on ws://127.0.0.1:38292/" PATH "\n";
    assert_run(text, 0, text, "");
}

static void the_help_line_may_come_a_little_later(void **state)
{
    /* Two writes of Node, with one of the app or of another process between them. */
    assert_run_split(LISTENING "x\n" HELP_10 "y\n" ENDING "half" HELP_10 " a line\n" HELP_10,
                     "x\ny\nhalf a line\n" HELP_10, "LHEH");
    assert_run_split(LISTENING LISTENING HELP_10 HELP_10 HELP_10, HELP_10, "LLHH");
}

static void a_path_that_is_too_long_is_the_apps(void **state)
{
    AUTOFREE char *path = xcalloc(1, 1001);
    for (int len = 50; len <= 1000; len += 50) {
        memset(path, 'a', (size_t)len);
        AUTOFREE char *text = xasprintf("Debugger listening on ws://127.0.0.1:38291/%s\n", path);
        assert_run(text, 0, text, "");
    }
}

static void attached_in_the_middle_of_a_line_is_kept_when_none_is_due(void **state)
{
    static const char text[] = "he said: " ATTACHED "and: " WAITING;
    assert_run(text, 0, text, "");
    assert_run(LISTENING HELP_10 "he said: " ATTACHED "x\n", 0, "he said: " ATTACHED "x\n", "LH");
    /* When one is due it is ours, once. */
    assert_run(LISTENING HELP_10 "half" ATTACHED " a line\nhe said: " ATTACHED "x\n", 1,
               "half a line\nhe said: " ATTACHED "x\n", "LHA");
    assert_run(LISTENING HELP_10 ATTACHED "half" WAITING "!\n", 1, "half!\n", "LHAW");
}

static void the_inspectors_line_may_follow_a_copy_of_itself(void **state)
{
    static const char text[] =
        "Debugger listening on Debugger listening on ws://x" LISTENING HELP_10 "\n";
    assert_run(text, 0, "Debugger listening on Debugger listening on ws://x\n", "LH");
    assert_run_split(text, "Debugger listening on Debugger listening on ws://x\n", "LH");
}

static void a_real_line_behind_a_long_unfinished_forgery_is_found(void **state)
{
    AUTOFREE char *filler = xcalloc(1, 401);
    memset(filler, '.', 400);
    AUTOFREE char *text =
        xasprintf("Debugger listening on ws://%s%s%sx\n", filler, LISTENING, HELP_10);
    AUTOFREE char *kept = xasprintf("Debugger listening on ws://%sx\n", filler);
    assert_run_split(text, kept, "LH");
}

/* ---- waiting --------------------------------------------------------------------------------- */

static void what_may_become_a_line_is_held_back_until_patience_is_over(void **state)
{
    struct run run;
    run_init(&run);
    feed(&run, "prompt> Debugger lis", 20, false);
    assert_string_equal(buf_str(&run.kept), "prompt> ");
    feed(&run, "", 0, false);
    assert_int_equal(run.in.len, 12);
    feed(&run, "", 0, true);
    assert_string_equal(buf_str(&run.kept), "prompt> Debugger lis");
    /* Its rest is then the app's too, for it cannot be told any more. */
    feed(&run, "tening\n", 7, false);
    assert_string_equal(buf_str(&run.kept), "prompt> Debugger listening\n");
    run_clear(&run);
}

static void other_unfinished_text_is_passed_on_at_once(void **state)
{
    static const char *const texts[] = {"$ ",   "Enter a name: ", "Debugging ",
                                        "....", "For hell",       "\033[1m"};
    for (size_t i = 0; i < ARRAY_SIZE(texts); i++) {
        struct run run;
        run_init(&run);
        feed(&run, texts[i], strlen(texts[i]), false);
        assert_string_equal(buf_str(&run.kept), texts[i]);
        run_clear(&run);
    }
}

static void bytes_of_any_value_are_kept(void **state)
{
    struct run run;
    char all[512];
    for (int i = 0; i < 512; i++)
        all[i] = (char)(i * 7);
    run_init(&run);
    feed(&run, all, sizeof all, true);
    assert_int_equal(run.kept.len, sizeof all);
    assert_memory_equal(run.kept.data, all, sizeof all);
    run_clear(&run);
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(node_8_is_cut_at_every_split),
        cmocka_unit_test(node_12_is_cut_at_every_split),
        cmocka_unit_test(node_20_is_cut_at_every_split),
        cmocka_unit_test(node_26_is_cut_at_every_split),
        cmocka_unit_test(the_port_is_asked_for_once),
        cmocka_unit_test(a_line_that_cannot_be_judged_yet_waits_and_what_is_before_it_goes),
        cmocka_unit_test(a_line_that_the_port_does_not_confirm_is_the_apps),
        cmocka_unit_test(another_address_is_the_apps),
        cmocka_unit_test(another_port_is_the_apps_while_the_path_is_unknown),
        cmocka_unit_test(the_help_line_may_come_a_little_later),
        cmocka_unit_test(a_path_that_is_too_long_is_the_apps),
        cmocka_unit_test(attached_in_the_middle_of_a_line_is_kept_when_none_is_due),
        cmocka_unit_test(the_inspectors_line_may_follow_a_copy_of_itself),
        cmocka_unit_test(a_real_line_behind_a_long_unfinished_forgery_is_found),
        cmocka_unit_test(what_may_become_a_line_is_held_back_until_patience_is_over),
        cmocka_unit_test(other_unfinished_text_is_passed_on_at_once),
        cmocka_unit_test(bytes_of_any_value_are_kept),
    };
    return cmocka_run_group_tests(tests, NULL, NULL);
}
