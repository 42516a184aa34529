/* What the next supervisor learns of an inspector, and what it does then. */
#include "supervisor/inspector_keep.h"

#include "tests/unit/bare_supervisor.h"
#include "tests/unit/fake_keeper.h"

#include <signal.h>

#include "lib/base/err.h"
#include "lib/base/str.h"
#include "supervisor/inspector.h"
#include "supervisor/process.h"

#define UUID "0f0f0f0f-f0f0-4f0f-8f0f-f0f0f0f0f0f0"

static struct supervisor sup;
static struct fake_keeper keeper;
static struct instance *in;
static struct process process;
static int opened_with;
static unsigned opened_count;

static void make_instance(void)
{
    struct app_spec spec;
    struct strlist env = {0};
    app_spec_init(&spec);
    spec.name = xstrdup("web");
    in = instance_new(app_new(&sup, &spec, &env), 0, 7);
    in->process = &process;
}

static void begin(void)
{
    assert_int_equal(bare_open(&sup), 0);
    fake_keeper_begin(&keeper);
    sup.keep = keeper.link;
    make_instance();
}

/* What a killed supervisor does not do: nothing is dropped. */
static void kill_it(void)
{
    keeper.link = sup.keep;
    fake_keeper_killed(&keeper);
    sup.keep = (struct keep_link){.sock = -1};
    in->process = NULL;
    assert_int_equal(bare_close(&sup), 0);
}

static int set_up(void **state)
{
    keeper = (struct fake_keeper){0};
    process = (struct process){.pid = getpid(), .pidfd = -1};
    opened_count = 0;
    begin();
    return 0;
}

static int tear_down(void **state)
{
    kill_it();
    while (keeper.count > 0)
        fake_remove(&keeper, 0);
    return 0;
}

static bool is_kept(void)
{
    AUTOBUF struct buf text = BUF_INIT(1 << 20);
    return keep_get(&sup.keep, &text, "i7.inspector") == 0;
}

static void on_opened(void *arg, int r, const char *text)
{
    opened_with = r;
    opened_count++;
}

static void fill(struct inspector *i)
{
    struct stderr_lines *f = &in->err.lines;
    i->pid = getpid();
    i->port = 40000;
    (void)strcpy(i->path, UUID);
    i->ours = i->line_due = i->sent = i->reopens = true;
    i->clients = 2;
    i->signalled_pid = getpid();
    i->silent_pid = 5;
    i->user_port = 9;
    (void)strcpy(i->user_path, "user");
    i->children[0] = (struct inspector_child){.pid = 3, .port = 4, .path = "child"};
    i->child_count = 1;
    i->old_ports[0] = 80;
    i->old_ports[1] = 81;
    i->old_port_count = 2;
    f->mid_line = true;
    f->help_due = 1;
    f->attach_expected = 2;
    f->attached = 3;
    f->paths[0] = 0xfedcba9876543210UL;
    f->path_count = 1;
}

static void everything_is_known_again(void **state)
{
    bool same = false;
    fill(&in->inspector);
    in->inspector.state = INSPECTOR_REOPENS;
    inspector_keep(&in->inspector);
    kill_it();
    begin();
    struct inspector *i = &in->inspector;
    assert_true(inspector_read_kept(i, &same));
    assert_true(same);
    assert_int_equal(i->state, INSPECTOR_REOPENS);
    assert_int_equal(i->port, 40000);
    assert_string_equal(i->path, UUID);
    assert_true(i->ours && i->line_due && i->sent && i->reopens && !i->keep_open && !i->unsure);
    assert_int_equal(i->clients, 2);
    assert_int_equal(i->signalled_pid, getpid());
    assert_int_equal(i->silent_pid, 5);
    assert_int_equal(i->user_port, 9);
    assert_string_equal(i->user_path, "user");
    assert_int_equal(i->child_count, 1);
    assert_int_equal(i->children[0].port, 4);
    assert_string_equal(i->children[0].path, "child");
    assert_int_equal(i->old_port_count, 2);
    assert_int_equal(i->old_ports[1], 81);
    const struct stderr_lines *f = &in->err.lines;
    assert_true(f->mid_line && f->help_due == 1 && f->attach_expected == 2 && f->attached == 3);
    assert_true(f->path_count == 1 && f->paths[0] == 0xfedcba9876543210UL);
}

static void nothing_is_kept_of_one_that_was_never_opened(void **state)
{
    inspector_keep(&in->inspector);
    assert_false(is_kept());
    in->inspector.state = INSPECTOR_OPEN;
    inspector_keep(&in->inspector);
    assert_true(is_kept());
    in->inspector.state = INSPECTOR_CLOSED;
    inspector_keep(&in->inspector);
    assert_false(is_kept());
}

static void one_of_another_process_is_not_that_one_s(void **state)
{
    bool same = true;
    in->inspector.state = INSPECTOR_OPEN;
    inspector_keep(&in->inspector);
    kill_it();
    process.pid = 1;
    begin();
    assert_true(inspector_read_kept(&in->inspector, &same));
    assert_false(same);
}

/* A supervisor dies in state `before`, and the next one restores it. */
static struct inspector *next_one(enum inspector_state before, bool sent)
{
    struct inspector *i = &in->inspector;
    i->pid = i->signalled_pid = getpid();
    i->state = before;
    i->sent = sent;
    inspector_keep(i);
    kill_it();
    begin();
    in->err.watching = true; /* there is no pipe here to be looked at */
    inspector_restore(&in->inspector);
    return &in->inspector;
}

static void a_gate_that_nobody_waits_at_is_left(void **state)
{
    struct inspector *i = next_one(INSPECTOR_GATE, false);
    assert_int_equal(i->state, INSPECTOR_GATE);
    inspector_close_leftover(i);
    assert_int_equal(i->state, INSPECTOR_LINGERING);
}

static void a_signal_that_may_not_have_been_sent_is_not_sent_again(void **state)
{
    struct inspector *i = next_one(INSPECTOR_SIGNALLED, false);
    inspector_resume_open(i, getpid(), on_opened, NULL);
    while (opened_count == 0)
        (void)uv_run(&sup.loop, UV_RUN_ONCE);
    assert_int_equal(opened_with, ERR_NOT_READY);
    /* Watched for a line that comes after all, and not taken for one that never opens. */
    assert_int_equal(i->state, INSPECTOR_SILENT);
    assert_int_equal(i->silent_pid, 0);
}

static void a_signal_that_was_sent_and_has_no_answer_is_remembered(void **state)
{
    struct inspector *i = next_one(INSPECTOR_SIGNALLED, true);
    inspector_resume_open(i, getpid(), on_opened, NULL);
    while (opened_count == 0)
        (void)uv_run(&sup.loop, UV_RUN_ONCE);
    assert_int_equal(opened_with, ERR_NO_LISTEN);
    assert_int_equal(i->silent_pid, getpid());
}

static volatile sig_atomic_t signals;

static void on_usr1(int signal)
{
    signals++;
}

static void in_safe_mode_no_signal_is_sent(void **state)
{
    signals = 0;
    (void)signal(SIGUSR1, on_usr1);
    struct inspector *i = next_one(INSPECTOR_GATE, false);
    sup.safe = true;
    inspector_resume_open(i, getpid(), on_opened, NULL);
    while (opened_count == 0)
        (void)uv_run(&sup.loop, UV_RUN_ONCE);
    (void)signal(SIGUSR1, SIG_DFL);
    assert_int_equal(opened_with, ERR_SAFE_MODE);
    assert_int_equal(signals, 0);
    assert_int_equal(i->state, INSPECTOR_LINGERING);
}

static void an_open_one_is_told_to_its_capture(void **state)
{
    struct inspector *i = next_one(INSPECTOR_OPEN, true);
    inspector_resume_open(i, getpid(), on_opened, NULL);
    assert_int_equal(opened_count, 0);
    (void)uv_run(&sup.loop, UV_RUN_ONCE);
    assert_int_equal(opened_count, 1);
    assert_int_equal(opened_with, 0);
    assert_int_equal(i->state, INSPECTOR_OPEN);
}

int main(void)
{
#define TEST(name) cmocka_unit_test_setup_teardown(name, set_up, tear_down)
    const struct CMUnitTest tests[] = {
        TEST(everything_is_known_again),
        TEST(nothing_is_kept_of_one_that_was_never_opened),
        TEST(one_of_another_process_is_not_that_one_s),
        TEST(a_gate_that_nobody_waits_at_is_left),
        TEST(a_signal_that_may_not_have_been_sent_is_not_sent_again),
        TEST(a_signal_that_was_sent_and_has_no_answer_is_remembered),
        TEST(in_safe_mode_no_signal_is_sent),
        TEST(an_open_one_is_told_to_its_capture),
    };
    return cmocka_run_group_tests(tests, NULL, NULL);
}
