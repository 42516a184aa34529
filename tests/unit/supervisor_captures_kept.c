/* Captures of an earlier supervisor, at each step: what the keeper has of them is made by hand here. */
#include "supervisor/captures.h"

#include "tests/unit/bare_supervisor.h"
#include "tests/unit/fake_keeper.h"

#include <signal.h>
#include <sys/syscall.h>

#include "lib/base/err.h"
#include "lib/base/json.h"
#include "lib/base/str.h"
#include "lib/wire/conn.h"
#include "lib/wire/msg.h"
#include "supervisor/process.h"

#define ID "01890a5d-ac96-774b-bcce-000000000001"
#define BEFORE                                                                                     \
    "\"request_id\":\"" ID ":start\",\"params\":{\"kind\":\"cpu\"},\"pm_id\":99,\"pid\":1,"

static struct supervisor sup;
static struct fake_keeper keeper;
static struct conn agent;
static json_t *told; /* the agent, last */
static int probe;    /* the probe's end of its socket */
static pid_t probe_process;
static unsigned closed;

static void on_told(struct conn *c, struct msg *m)
{
    json_decref(told);
    told = json_incref(m->root);
}

static void on_our_msg(struct conn *c, struct msg *m)
{
}

static void on_closed(struct conn *c, int reason)
{
    closed++;
}

static int set_up(void **state)
{
    int fds[2];
    closed = 0;
    probe = -1;
    probe_process = 0;
    keeper = (struct fake_keeper){0};
    if (bare_open(&sup) < 0 || socketpair(AF_UNIX, SOCK_STREAM | SOCK_CLOEXEC, 0, fds) < 0)
        return -1;
    captures_init(&sup.captures, &sup);
    policy_init(&sup.policy, "/nonexistent/policy.json");
    sup.agent.sup = &sup;
    sup.agent.greeted = sup.agent.met = true;
    int r = conn_open(&sup.agent.conn, &sup.loop, fds[0], on_our_msg, on_closed, NULL);
    return r < 0 ? r : conn_open(&agent, &sup.loop, fds[1], on_told, on_closed, NULL);
}

static int tear_down(void **state)
{
    conn_close(&sup.agent.conn);
    conn_close(&agent);
    while (closed < 2)
        (void)uv_run(&sup.loop, UV_RUN_ONCE);
    captures_clear(&sup.captures);
    keeper.link = sup.keep;
    sup.keep = (struct keep_link){.sock = -1};
    fake_keeper_end(&keeper);
    policy_clear(&sup.policy);
    json_decref(told);
    told = NULL;
    if (probe >= 0)
        (void)close(probe);
    assert_no_child();
    return bare_close(&sup);
}

/* ---- what was left --------------------------------------------------------------------------- */

/* Takes `fd`. */
static void left(const char *name, int fd)
{
    keeper.stored[keeper.count].fd = fd;
    (void)strcpy(keeper.stored[keeper.count++].name, name);
}

static void left_text(const char *name, const char *text)
{
    int fd = memfd_create("record", MFD_CLOEXEC);
    assert_int_equal(write(fd, text, strlen(text)), strlen(text));
    left(name, fd);
}

/* One that does nothing until it is killed. */
static void left_probe(void)
{
    int fds[2];
    assert_int_equal(socketpair(AF_UNIX, SOCK_STREAM | SOCK_CLOEXEC, 0, fds), 0);
    probe_process = fork();
    if (probe_process == 0) {
        (void)pause();
        _exit(0);
    }
    probe = fds[1];
    left("c/" ID ".sock", fds[0]);
    left("c/" ID ".pid", (int)syscall(SYS_pidfd_open, probe_process, 0));
}

static void restore(void)
{
    fake_keeper_begin(&keeper);
    sup.keep = keeper.link;
    captures_restore(&sup.captures);
}

static bool is_stored(const char *name)
{
    fake_keeper_work(&keeper);
    for (unsigned i = 0; i < keeper.count; i++)
        if (str_eq(keeper.stored[i].name, name))
            return true;
    return false;
}

/* A member of the record as it is kept now. */
static json_t *kept(const char *key)
{
    AUTOBUF struct buf text = BUF_INIT(1 << 16);
    assert_int_equal(keep_get(&sup.keep, &text, "c/" ID ".json"), 0);
    AUTOJSON json_t *j = json_object_parse(buf_str(&text), text.len);
    return json_incref(json_object_get(j, key));
}

static const json_t *wait_for(const char *member)
{
    while (!json_object_get(told, member))
        (void)uv_run(&sup.loop, UV_RUN_ONCE);
    return json_object_get(told, member);
}

static void probe_says(const char *text)
{
    assert_int_equal(write(probe, text, strlen(text)), strlen(text));
}

/* The keeper reaps it, and tells. */
static void probe_ends(int sig)
{
    int status;
    if (sig)
        assert_int_equal(kill(probe_process, sig), 0);
    (void)close(probe);
    probe = -1;
    assert_int_equal(waitpid(probe_process, &status, 0), probe_process);
    assert_true(WIFSIGNALED(status) && WTERMSIG(status) == SIGKILL);
    const struct exit_status how = {.by_signal = true, .code = SIGKILL};
    assert_true(process_keeper_exit(probe_process, how));
}

/* ---- tests ----------------------------------------------------------------------------------- */

static void an_answer_waits_until_it_is_acknowledged(void **state)
{
    AUTOJSON json_t *params = json_pack("{s:s}", "id", ID);
    left_text("c/" ID ".json",
              "{" BEFORE "\"step\":3,\"phase\":\"sending\",\"answer\":{\"state\":\"done\"}}");
    restore();
    assert_false(captures_running(&sup.captures));
    captures_start(&sup.captures, "again", params, -1);
    assert_string_equal(json_get_string(wait_for("result"), "state", ""), "done");
    assert_string_equal(json_get_string(told, "id", ""), "again");
    assert_true(is_stored("c/" ID ".json"));
    assert_int_equal(captures_ack(&sup.captures, ID), 0);
    assert_false(is_stored("c/" ID ".json"));
    assert_int_equal(captures_ack(&sup.captures, ID), ERR_NOT_FOUND);
}

static void one_that_was_opening_in_an_app_that_is_gone_has_failed(void **state)
{
    left_text("c/" ID ".json", "{" BEFORE "\"step\":0,\"phase\":\"open\"}");
    left_text("c/" ID ".out", "");
    restore();
    const json_t *answer = wait_for("result");
    assert_string_equal(json_get_string(answer, "state", ""), "failed");
    assert_string_equal(json_get_string(answer, "error", ""), "APP_GONE");
    assert_string_equal(json_get_string(answer, "phase", ""), "open");
    assert_false(is_stored("c/" ID ".out"));
    AUTOJSON json_t *step = kept("step");
    assert_int_equal(json_integer_value(step), 3);
}

/* Of a cancel the requester hears that. */
static void one_that_was_opening_and_cancelled_is_cancelled(void **state)
{
    left_text("c/" ID ".json", "{" BEFORE "\"step\":0,\"phase\":\"open\",\"cancel_wanted\":true}");
    restore();
    assert_string_equal(json_get_string(wait_for("result"), "state", ""), "cancelled");
}

static void a_probe_that_goes_on_is_heard(void **state)
{
    char heard[400] = "";
    left_text("c/" ID ".json", "{" BEFORE "\"step\":1,\"phase\":\"start\",\"stop_wanted\":true}");
    left_text("c/" ID ".out", "");
    left_probe();
    restore();
    assert_true(captures_running(&sup.captures));
    for (int i = 0; i < 4; i++)
        (void)uv_run(&sup.loop, UV_RUN_NOWAIT);
    assert_true(recv(probe, heard, sizeof heard - 1, MSG_DONTWAIT) > 0);
    assert_non_null(strstr(heard, "\n{\"method\":\"restarted\""));
    assert_true(strstr(heard, "\"stop\"") > strstr(heard, "restarted"));
    probe_says("{\"jsonrpc\":\"2.0\",\"method\":\"phase\",\"params\":{\"phase\":\"running\"}}\n");
    assert_string_equal(json_get_string(wait_for("params"), "phase", ""), "running");
    AUTOJSON json_t *phase = kept("phase");
    assert_string_equal(json_string_value(phase), "running");
    probe_says("{\"jsonrpc\":\"2.0\",\"method\":\"end\",\"params\":{\"state\":\"done\",\"phase\":"
               "\"sending\",\"bytes\":7}}\n");
    AUTOJSON json_t *end = NULL;
    while (!end) {
        (void)uv_run(&sup.loop, UV_RUN_ONCE);
        end = kept("probe_end");
    }
    assert_int_equal(json_get_int(end, "bytes", 0), 7);
    probe_ends(SIGKILL);
    const json_t *answer = wait_for("result");
    assert_string_equal(json_get_string(answer, "state", ""), "done");
    assert_int_equal(json_get_int(answer, "bytes", 0), 7);
    assert_false(is_stored("c/" ID ".sock"));
    assert_false(is_stored("c/" ID ".pid"));
    assert_false(is_stored("c/" ID ".out"));
}

/* Its agent was restarted, or it was: it asks for what it knows. */
static void asking_again_changes_nothing(void **state)
{
    AUTOJSON json_t *params = json_pack("{s:s}", "id", ID);
    left_text("c/" ID ".json", "{" BEFORE "\"step\":1,\"phase\":\"running\"}");
    left_probe();
    restore();
    captures_start(&sup.captures, "again", params, -1);
    assert_string_equal(json_get_string(wait_for("params"), "phase", ""), "running");
    AUTOJSON json_t *phase = kept("phase");
    assert_string_equal(json_string_value(phase), "running");
    probe_ends(SIGKILL);
    assert_string_equal(json_get_string(wait_for("result"), "phase", ""), "running");
    assert_string_equal(json_get_string(told, "id", ""), "again");
}

static void a_probe_that_dies_is_named_with_its_phase(void **state)
{
    left_text("c/" ID ".json", "{" BEFORE "\"step\":1,\"phase\":\"stopping\"}");
    left_probe();
    restore();
    probe_ends(SIGKILL);
    const json_t *answer = wait_for("result");
    assert_string_equal(json_get_string(answer, "error", ""), "PROBE_GONE");
    assert_string_equal(json_get_string(answer, "phase", ""), "stopping");
}

static void a_probe_over_its_time_is_killed(void **state)
{
    left_text("c/" ID ".json", "{" BEFORE "\"step\":1,\"phase\":\"running\",\"deadline_ms\":1}");
    left_probe();
    restore();
    for (int i = 0; i < 4; i++)
        (void)uv_run(&sup.loop, UV_RUN_NOWAIT);
    probe_ends(0);
    const json_t *answer = wait_for("result");
    assert_string_equal(json_get_string(answer, "error", ""), "ETIMEDOUT");
    assert_string_equal(json_get_string(answer, "phase", ""), "running");
}

static void a_probe_that_had_said_its_last_is_believed(void **state)
{
    left_text("c/" ID ".json", "{" BEFORE "\"step\":1,\"phase\":\"sending\",\"probe_pid\":12,"
                               "\"probe_end\":{\"state\":\"partial\",\"phase\":\"sending\"}}");
    restore();
    assert_string_equal(json_get_string(wait_for("result"), "state", ""), "partial");
}

/* It was never given its order; in an app that is gone it cannot be started again. */
static void a_probe_without_a_pidfd_was_not_begun(void **state)
{
    char heard[8];
    left_text("c/" ID ".json", "{" BEFORE "\"step\":1,\"phase\":\"open\"}");
    int fds[2];
    assert_int_equal(socketpair(AF_UNIX, SOCK_STREAM | SOCK_CLOEXEC, 0, fds), 0);
    left("c/" ID ".sock", fds[0]);
    restore();
    assert_string_equal(json_get_string(wait_for("result"), "error", ""), "PROBE_GONE");
    assert_false(is_stored("c/" ID ".sock"));
    assert_int_equal(recv(fds[1], heard, sizeof heard, MSG_DONTWAIT), 0);
    (void)close(fds[1]);
}

static void one_whose_port_was_looked_at_is_answered(void **state)
{
    left_text("c/" ID ".json",
              "{" BEFORE "\"step\":2,\"phase\":\"sending\",\"answer\":{\"state\":\"done\"}}");
    restore();
    assert_string_equal(json_get_string(wait_for("result"), "state", ""), "done");
}

/* The result is there: that its port could not be closed is no reason to lose it. */
static void a_closing_probe_that_cannot_be_started_spoils_nothing(void **state)
{
    struct app_spec spec;
    struct strlist env = {0};
    struct process process = {.pid = getpid(), .pidfd = -1};
    app_spec_init(&spec);
    spec.name = xstrdup("web");
    struct instance *in = instance_new(app_new(&sup, &spec, &env), 0, 99);
    in->process = &process;
    in->err.watching = true; /* there is no pipe here to be looked at */
    left_text("c/" ID ".json", "{" BEFORE "\"step\":1,\"phase\":\"sending\","
                               "\"closing_only\":true,\"answer\":{\"state\":\"done\"}}");
    restore();
    assert_string_equal(json_get_string(wait_for("result"), "state", ""), "done");
    in->process = NULL;
}

static void a_record_that_cannot_be_read_is_dropped(void **state)
{
    left_text("c/" ID ".json", "{");
    left_text("c/" ID ".out", "");
    restore();
    assert_false(captures_running(&sup.captures));
    assert_false(is_stored("c/" ID ".json"));
    assert_false(is_stored("c/" ID ".out"));
}

static void ids_of_this_host_are_remembered(void **state)
{
    left_text("c.local", "{\"ids\":[\"a\",\"b\"]}");
    restore();
    assert_int_equal(sup.captures.local.count, 2);
    captures_expect(&sup.captures, "c");
    AUTOBUF struct buf text = BUF_INIT(1000);
    assert_int_equal(keep_get(&sup.keep, &text, "c.local"), 0);
    assert_string_equal(buf_str(&text), "{\"ids\":[\"a\",\"b\",\"c\"]}");
}

/* Its requester repeats itself after a supervisor's death: nothing more may be started under that id. */
static void an_id_that_is_known_is_not_expected_again(void **state)
{
    left_text("c/" ID ".json",
              "{" BEFORE "\"step\":3,\"phase\":\"sending\",\"answer\":{\"state\":\"done\"}}");
    restore();
    captures_expect(&sup.captures, ID);
    assert_int_equal(sup.captures.local.count, 0);
}

int main(void)
{
#define TEST(name) cmocka_unit_test_setup_teardown(name, set_up, tear_down)
    const struct CMUnitTest tests[] = {
        TEST(an_answer_waits_until_it_is_acknowledged),
        TEST(one_that_was_opening_in_an_app_that_is_gone_has_failed),
        TEST(one_that_was_opening_and_cancelled_is_cancelled),
        TEST(a_probe_that_goes_on_is_heard),
        TEST(asking_again_changes_nothing),
        TEST(a_probe_that_dies_is_named_with_its_phase),
        TEST(a_probe_over_its_time_is_killed),
        TEST(a_probe_that_had_said_its_last_is_believed),
        TEST(a_probe_without_a_pidfd_was_not_begun),
        TEST(one_whose_port_was_looked_at_is_answered),
        TEST(a_closing_probe_that_cannot_be_started_spoils_nothing),
        TEST(a_record_that_cannot_be_read_is_dropped),
        TEST(ids_of_this_host_are_remembered),
        TEST(an_id_that_is_known_is_not_expected_again),
    };
    return cmocka_run_group_tests(tests, NULL, NULL);
}
