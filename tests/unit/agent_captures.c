/* The agent on a real loop, with the test at the supervisor's end of the socketpair. */
#include "agent/captures.h"

#include <setjmp.h>
#include <stdarg.h>
#include <stdint.h>
#include <fcntl.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/socket.h>
#include <sys/stat.h>
#include <sys/wait.h>
#include <errno.h>
#include <unistd.h>
#include <cmocka.h>

#include "agent/agent.h"
#include "lib/base/auto.h"
#include "lib/base/err.h"
#include "lib/base/json.h"
#include "lib/base/loop.h"
#include "lib/base/mem.h"
#include "lib/wire/conn.h"
#include "lib/wire/msg.h"

enum { WAIT_MS = 10000, MESSAGES_MAX = 512 };

struct got {
    json_t *root;
    int fd;
    bool taken;
};

static char home[] = "/tmp/proctor-agent-XXXXXX";
static uv_loop_t loop;
static struct agent agent;
static struct conn supervisor;
static struct got got[MESSAGES_MAX];
static unsigned got_count;
static bool agent_over, supervisor_over, late;

/* ---- the supervisor's end -------------------------------------------------------------------- */

static void on_msg(struct conn *c, struct msg *m)
{
    if (m->method && strcmp(m->method, "hello") == 0) {
        AUTOJSON json_t *answer = json_pack("{s:i}", "version", 1);
        (void)conn_result(c, m->id, answer, -1);
        return;
    }
    assert_in_range(got_count, 0, MESSAGES_MAX - 1);
    got[got_count++] = (struct got){.root = json_incref(m->root), .fd = msg_take_fd(m)};
}

static void on_supervisor_closed(struct conn *c, int reason)
{
    supervisor_over = true;
}

static void on_agent_closed(struct agent *a)
{
    agent_over = true;
}

static void on_late(uv_timer_t *timer)
{
    late = true;
}

/* Runs the loop until a message that fits has come, and takes it.  `method` NULL: an answer to
 * `id`. */
static struct got *wait_for(const char *method, const char *id)
{
    uv_timer_t deadline;
    struct got *found = NULL;
    late = false;
    (void)uv_timer_init(&loop, &deadline);
    (void)uv_timer_start(&deadline, on_late, WAIT_MS, 0);
    while (!found && !late) {
        for (unsigned i = 0; i < got_count && !found; i++) {
            const char *its = json_get_string(got[i].root, "method", NULL);
            const json_t *params = json_object_get(got[i].root, "params");
            const char *its_id = json_get_string(its ? params : got[i].root, "id", "");
            if (!got[i].taken && str_eq(its, method) && str_eq(its_id, id))
                found = &got[i];
        }
        if (!found)
            (void)uv_run(&loop, UV_RUN_ONCE);
    }
    uv_close((uv_handle_t *)&deadline, NULL);
    (void)uv_run(&loop, UV_RUN_NOWAIT);
    if (!found)
        fail_msg("no %s for %s came", method ? method : "answer", id);
    found->taken = true;
    return found;
}

static const json_t *record_in(const struct got *g)
{
    const json_t *record = json_object_get(json_object_get(g->root, "result"), "record");
    assert_non_null(record);
    return record;
}

static const char *error_name_in(const json_t *record)
{
    return json_get_string(json_object_get(record, "error"), "name", "");
}

/* Waits for an error answer and returns its name. */
static const char *refusal(const char *request)
{
    const json_t *error = json_object_get(wait_for(NULL, request)->root, "error");
    assert_non_null(error);
    assert_true(strlen(json_get_string(error, "message", "")) > 10);
    return json_get_string(json_object_get(error, "data"), "name", "");
}

static const char *id_of(int n)
{
    static char id[UUID_TEXT];
    (void)snprintf(id, sizeof id, "01890a5d-ac96-774b-bcce-%012d", n);
    return id;
}

static void request(const char *request_id, const char *method, int n)
{
    AUTOJSON json_t *params = json_pack("{s:s}", "id", id_of(n));
    assert_int_equal(conn_request(&supervisor, request_id, method, params, -1), 0);
}

static void start(const char *request_id, int n)
{
    AUTOJSON json_t *params =
        json_pack("{s:s,s:s,s:s,s:i,s:I}", "id", id_of(n), "kind", "cpu", "app", "web",
                  "duration_ms", 1, "not_after_ms", (json_int_t)loop_wall_ms() + 60000);
    assert_int_equal(conn_request(&supervisor, request_id, "capture.start", params, -1), 0);
}

static char *start_id(int n)
{
    return xasprintf("%s:start", id_of(n));
}

static void enter(int n, const char *phase)
{
    AUTOFREE char *id = start_id(n);
    AUTOJSON json_t *params = json_pack("{s:s,s:I}", "phase", phase, "at_ms", (json_int_t)123);
    assert_int_equal(conn_progress(&supervisor, id, params), 0);
}

static void end_with(int n, const char *state)
{
    AUTOFREE char *id = start_id(n);
    AUTOJSON json_t *result = json_pack("{s:s,s:s}", "state", state, "phase", "sending");
    assert_int_equal(conn_result(&supervisor, id, result, -1), 0);
}

/* Starts capture `n` and returns where the supervisor's probe writes its result. */
static int start_and_take(const char *request_id, int n)
{
    start(request_id, n);
    struct got *asked = wait_for("probe.start", id_of(n));
    assert_true(asked->fd >= 0);
    return TAKE_FD(asked->fd);
}

static void write_result(int fd, const char *text)
{
    assert_int_equal(write(fd, text, strlen(text)), (ssize_t)strlen(text));
    (void)close(fd);
}

static bool there(int n, const char *extension)
{
    AUTOFREE char *path = xasprintf("%s/spool/%s%s", home, id_of(n), extension);
    return access(path, F_OK) == 0;
}

/* ---- a private agent for each test ----------------------------------------------------------- */

static int set_up(void **state)
{
    int fds[2];
    (void)strcpy(home, "/tmp/proctor-agent-XXXXXX");
    if (!mkdtemp(home) || socketpair(AF_UNIX, SOCK_STREAM | SOCK_CLOEXEC, 0, fds) < 0)
        return -1;
    got_count = 0;
    agent_over = supervisor_over = false;
    (void)uv_loop_init(&loop);
    if (conn_open(&supervisor, &loop, fds[0], on_msg, on_supervisor_closed, NULL) < 0)
        return -1;
    if (agent_open(&agent, &loop, home, fds[1], on_agent_closed) < 0)
        return -1;
    while (agent.phase == AGENT_HELLO)
        (void)uv_run(&loop, UV_RUN_ONCE);
    return agent.phase == AGENT_SERVING ? 0 : -1;
}

/* Nothing is left: no handle, no child, no file but those that belong there. */
static int tear_down(void **state)
{
    agent_close(&agent);
    (void)uv_run(&loop, UV_RUN_DEFAULT);
    assert_true(agent_over);
    assert_true(supervisor_over);
    assert_true(list_empty(&agent.captures.live));
    agent_clear(&agent);
    assert_int_equal(uv_loop_close(&loop), 0);
    assert_int_equal(waitpid(-1, NULL, WNOHANG), -1);
    assert_int_equal(errno, ECHILD);
    for (unsigned i = 0; i < got_count; i++) {
        json_decref(got[i].root);
        if (got[i].fd >= 0)
            (void)close(got[i].fd);
    }
    AUTOFREE char *command = xasprintf("rm -rf '%s'", home);
    return system(command);
}

/* ---- tests ----------------------------------------------------------------------------------- */

static void hands_the_result_over_to_be_read_only(void **state)
{
    char text[16] = "";
    int fd = start_and_take("r1", 1);
    assert_int_equal(fcntl(fd, F_GETFL) & O_ACCMODE, O_WRONLY);
    enter(1, "open");
    enter(1, "running");
    assert_string_equal(
        json_get_string(json_object_get(wait_for("progress", "r1")->root, "params"), "phase", ""),
        "open");
    write_result(fd, "samples");
    end_with(1, "done");
    struct got *answer = wait_for(NULL, "r1");
    assert_string_equal(json_get_string(record_in(answer), "state", ""), "done");
    assert_string_equal(json_get_string(record_in(answer), "phase", ""), "stored");
    assert_int_equal(json_get_int(record_in(answer), "bytes", 0), 7);
    assert_true(answer->fd >= 0);
    assert_int_equal(fcntl(answer->fd, F_GETFL) & O_ACCMODE, O_RDONLY);
    assert_int_equal(read(answer->fd, text, sizeof text), 7);
    assert_string_equal(text, "samples");
    (void)wait_for("probe.ack", id_of(1));
}

static void answers_everyone_who_waits(void **state)
{
    int fd = start_and_take("r1", 1);
    enter(1, "open");
    (void)wait_for("progress", "r1");
    start("r2", 1);
    /* The newest learns how far it is and hears of what follows. */
    (void)wait_for("progress", "r2");
    enter(1, "start");
    (void)wait_for("progress", "r2");
    write_result(fd, "x");
    end_with(1, "done");
    assert_true(wait_for(NULL, "r1")->fd >= 0);
    assert_true(wait_for(NULL, "r2")->fd >= 0);
    /* Repeats are answered from the record. */
    start("r3", 1);
    assert_true(wait_for(NULL, "r3")->fd >= 0);
    for (unsigned i = 0; i < got_count; i++)
        assert_false(str_eq(json_get_string(got[i].root, "method", ""), "probe.start") &&
                     !got[i].taken);
}

/* The supervisor was killed: what it was asked for is asked again, without the descriptor, and who waited has gone. */
static void another_supervisor_is_asked_again(void **state)
{
    int fd = start_and_take("r1", 1);
    enter(1, "running");
    (void)wait_for("progress", "r1");
    for (int i = 0; i < 20; i++) {
        assert_int_equal(conn_notify(&supervisor, "restarted", NULL), 0);
        assert_int_equal(wait_for("probe.start", id_of(1))->fd, -1);
        start(i % 2 ? "r2" : "r3", 1);
        (void)wait_for("progress", i % 2 ? "r2" : "r3");
    }
    request("s1", "capture.stop", 1);
    (void)wait_for("probe.stop", id_of(1));
    assert_int_equal(conn_notify(&supervisor, "restarted", NULL), 0);
    (void)wait_for("probe.start", id_of(1));
    (void)wait_for("probe.stop", id_of(1));
    start("last", 1);
    write_result(fd, "x");
    end_with(1, "done");
    end_with(1, "done");
    assert_true(wait_for(NULL, "last")->fd >= 0);
    for (unsigned i = 0; i < got_count; i++)
        assert_false(str_eq(json_get_string(got[i].root, "id", ""), "r1"));
    /* What has ended is not asked for. */
    (void)wait_for("probe.ack", id_of(1));
    assert_int_equal(conn_notify(&supervisor, "restarted", NULL), 0);
    start("after", 1);
    (void)wait_for(NULL, "after");
    for (unsigned i = 0; i < got_count; i++)
        assert_false(str_eq(json_get_string(got[i].root, "method", ""), "probe.start") &&
                     !got[i].taken);
}

static void another_supervisor_that_does_not_know_it_ends_it(void **state)
{
    AUTOFREE char *id = start_id(1);
    (void)close(start_and_take("r1", 1));
    enter(1, "stopping");
    (void)wait_for("progress", "r1");
    assert_int_equal(conn_notify(&supervisor, "restarted", NULL), 0);
    (void)wait_for("probe.start", id_of(1));
    start("r2", 1);
    (void)wait_for("progress", "r2");
    assert_int_equal(conn_error(&supervisor, id, ERR_NOT_FOUND, "no such capture runs", NULL), 0);
    const json_t *record = record_in(wait_for(NULL, "r2"));
    assert_string_equal(error_name_in(record), "PROBE_GONE");
    assert_non_null(strstr(json_get_string(json_object_get(record, "error"), "message", ""),
                           "in phase stopping"));
}

static void limits_those_who_wait(void **state)
{
    char name[16];
    (void)close(start_and_take("r0", 1));
    for (int i = 1; i < 16; i++) {
        (void)snprintf(name, sizeof name, "r%d", i);
        start(name, 1);
    }
    /* A repeated request is the same one. */
    start("r15", 1);
    start("r16", 1);
    assert_string_equal(refusal("r16"), "BUSY");
    end_with(1, "failed");
    (void)wait_for(NULL, "r0");
    (void)wait_for(NULL, "r15");
}

static void refuses_more_than_it_can_watch(void **state)
{
    char name[16];
    for (int i = 1; i <= 64; i++) {
        (void)snprintf(name, sizeof name, "r%d", i);
        (void)close(start_and_take(name, i));
    }
    start("more", 65);
    assert_string_equal(refusal("more"), "BUSY");
    assert_false(there(65, ".json"));
    end_with(7, "cancelled");
    (void)wait_for(NULL, "r7");
    (void)close(start_and_take("again", 65));
}

static void cancels_what_is_over_its_time(void **state)
{
    agent.captures.home.slack_ms = 20;
    int fd = start_and_take("r1", 1);
    enter(1, "running");
    (void)wait_for("probe.cancel", id_of(1));
    write_result(fd, "half");
    end_with(1, "cancelled");
    const json_t *record = record_in(wait_for(NULL, "r1"));
    assert_string_equal(json_get_string(record, "state", ""), "failed");
    assert_string_equal(error_name_in(record), "ETIMEDOUT");
    assert_false(there(1, ".part"));
}

static void gives_up_when_the_supervisor_does_not_answer(void **state)
{
    agent.captures.home.slack_ms = 20;
    agent.captures.home.grace_ms = 20;
    (void)close(start_and_take("r1", 1));
    enter(1, "sending");
    (void)wait_for("probe.cancel", id_of(1));
    const json_t *record = record_in(wait_for(NULL, "r1"));
    assert_string_equal(json_get_string(record, "state", ""), "failed");
    assert_string_equal(error_name_in(record), "ETIMEDOUT");
    assert_non_null(strstr(json_get_string(json_object_get(record, "error"), "message", ""),
                           "in phase sending"));
    (void)wait_for("probe.ack", id_of(1));
    /* The answer that comes after all may be forgotten, too. */
    end_with(1, "done");
    (void)wait_for("probe.ack", id_of(1));
}

static void takes_a_result_that_comes_in_the_last_moment(void **state)
{
    agent.captures.home.slack_ms = 20;
    int fd = start_and_take("r1", 1);
    (void)wait_for("probe.cancel", id_of(1));
    write_result(fd, "all of it");
    end_with(1, "done");
    assert_string_equal(json_get_string(record_in(wait_for(NULL, "r1")), "state", ""), "done");
}

static void cancels_without_the_supervisors_help(void **state)
{
    agent.captures.home.grace_ms = 20;
    (void)close(start_and_take("r1", 1));
    request("c1", "capture.cancel", 1);
    (void)wait_for("probe.cancel", id_of(1));
    (void)wait_for(NULL, "c1");
    struct got *answer = wait_for(NULL, "r1");
    assert_string_equal(json_get_string(record_in(answer), "state", ""), "cancelled");
    assert_int_equal(answer->fd, -1);
    assert_false(there(1, ".part"));
    request("c2", "capture.cancel", 1);
    assert_string_equal(refusal("c2"), "NOT_RUNNING");
    request("c3", "capture.cancel", 2);
    assert_string_equal(refusal("c3"), "NOT_FOUND");
}

static void drops_a_result_that_was_cancelled(void **state)
{
    int fd = start_and_take("r1", 1);
    request("c1", "capture.cancel", 1);
    (void)wait_for("probe.cancel", id_of(1));
    write_result(fd, "done already");
    end_with(1, "done");
    struct got *answer = wait_for(NULL, "r1");
    assert_string_equal(json_get_string(record_in(answer), "state", ""), "cancelled");
    assert_int_equal(answer->fd, -1);
    assert_false(there(1, ".part"));
    assert_false(there(1, ".cpuprofile"));
}

static void a_failure_after_a_cancel_is_a_cancel(void **state)
{
    AUTOFREE char *id = start_id(1);
    AUTOJSON json_t *result = json_pack("{s:s,s:s,s:s,s:s}", "state", "failed", "phase", "open",
                                        "error", "NO_LISTEN", "message", "it did not open");
    (void)close(start_and_take("r1", 1));
    request("c1", "capture.cancel", 1);
    (void)wait_for(NULL, "c1");
    assert_int_equal(conn_result(&supervisor, id, result, -1), 0);
    const json_t *record = record_in(wait_for(NULL, "r1"));
    assert_string_equal(json_get_string(record, "state", ""), "cancelled");
    assert_null(json_object_get(record, "error"));
}

static void fails_when_the_result_cannot_get_its_name(void **state)
{
    AUTOFREE char *path = xasprintf("%s/spool/%s.cpuprofile", home, id_of(1));
    int fd = start_and_take("r1", 1);
    assert_int_equal(mkdir(path, 0700), 0);
    write_result(fd, "samples");
    end_with(1, "done");
    struct got *answer = wait_for(NULL, "r1");
    assert_string_equal(json_get_string(record_in(answer), "state", ""), "failed");
    assert_string_equal(error_name_in(record_in(answer)), "EISDIR");
    assert_string_equal(json_get_string(record_in(answer), "phase", ""), "sending");
    assert_int_equal(answer->fd, -1);
    assert_false(there(1, ".part"));
    /* It is on disk like that. */
    request("g1", "capture.get", 1);
    assert_string_equal(json_get_string(record_in(wait_for(NULL, "g1")), "state", ""), "failed");
}

static void fails_when_there_is_no_result(void **state)
{
    AUTOFREE char *path = xasprintf("%s/spool/%s.part", home, id_of(2));
    (void)close(start_and_take("r1", 1));
    end_with(1, "done");
    assert_string_equal(json_get_string(record_in(wait_for(NULL, "r1")), "state", ""), "failed");
    (void)close(start_and_take("r2", 2));
    assert_int_equal(unlink(path), 0);
    end_with(2, "partial");
    assert_string_equal(error_name_in(record_in(wait_for(NULL, "r2"))), "ENOENT");
}

/* Waits until the result of capture `n` is packed and nothing else is left of it. */
static void wait_until_packed(int n)
{
    uv_timer_t deadline;
    late = false;
    (void)uv_timer_init(&loop, &deadline);
    (void)uv_timer_start(&deadline, on_late, WAIT_MS, 0);
    while (!late && (!there(n, ".cpuprofile.zst") || agent.captures.packing.busy))
        (void)uv_run(&loop, UV_RUN_ONCE);
    uv_close((uv_handle_t *)&deadline, NULL);
    (void)uv_run(&loop, UV_RUN_NOWAIT);
    assert_false(late);
    assert_false(there(n, ".cpuprofile"));
}

static void expands_a_packed_result_for_whoever_asks(void **state)
{
    char text[16] = "";
    write_result(start_and_take("r1", 1), "samples");
    end_with(1, "done");
    (void)wait_for(NULL, "r1");
    wait_until_packed(1);
    request("g1", "capture.get", 1);
    start("r2", 1);
    for (int i = 0; i < 2; i++) {
        struct got *answer = wait_for(NULL, i ? "r2" : "g1");
        assert_string_equal(json_get_string(record_in(answer), "state", ""), "done");
        assert_non_null(json_object_get(record_in(answer), "stored_sha256"));
        assert_true(answer->fd >= 0);
        assert_int_equal(fcntl(answer->fd, F_GETFL) & O_ACCMODE, O_RDONLY);
        assert_int_equal(read(answer->fd, text, sizeof text), 7);
        assert_string_equal(text, "samples");
    }
}

static void says_when_a_result_is_gone(void **state)
{
    AUTOFREE char *path = xasprintf("%s/spool/%s.cpuprofile.zst", home, id_of(1));
    write_result(start_and_take("r1", 1), "samples");
    end_with(1, "done");
    (void)wait_for(NULL, "r1");
    wait_until_packed(1);
    assert_int_equal(unlink(path), 0);
    for (int i = 0; i < 2; i++) {
        request(i ? "g2" : "g1", "capture.get", 1);
        struct got *answer = wait_for(NULL, i ? "g2" : "g1");
        assert_int_equal(answer->fd, -1);
        const json_t *warnings = json_object_get(record_in(answer), "warnings");
        assert_string_equal(json_string_value(json_array_get(warnings, 0)), "result_missing");
    }
}

static void says_when_a_result_is_damaged(void **state)
{
    AUTOFREE char *path = xasprintf("%s/spool/%s.cpuprofile.zst", home, id_of(1));
    write_result(start_and_take("r1", 1), "samples");
    end_with(1, "done");
    (void)wait_for(NULL, "r1");
    wait_until_packed(1);
    assert_int_equal(truncate(path, 3), 0);
    request("g1", "capture.get", 1);
    assert_string_equal(refusal("g1"), "MISMATCH");
    while (agent.captures.amends.current)
        (void)uv_run(&loop, UV_RUN_ONCE);
    request("g2", "capture.get", 1);
    struct got *answer = wait_for(NULL, "g2");
    assert_int_equal(answer->fd, -1);
    const json_t *warnings = json_object_get(record_in(answer), "warnings");
    assert_string_equal(json_string_value(json_array_get(warnings, 0)), "result_damaged");
}

static void finishes_writing_when_it_is_told_to_end(void **state)
{
    write_result(start_and_take("r1", 1), "samples");
    (void)close(start_and_take("r2", 2));
    end_with(1, "done");
    (void)wait_for("probe.ack", id_of(1));
    agent_close(&agent);
    (void)uv_run(&loop, UV_RUN_DEFAULT);
    assert_true(there(1, ".cpuprofile") || there(1, ".cpuprofile.zst"));
    assert_false(there(1, ".cpuprofile.zst.tmp"));
    /* What still runs waits for the next agent. */
    assert_true(there(2, ".part"));
}

/* ---- slow and full disks --------------------------------------------------------------------- */

static uv_sem_t busy;

static void be_busy(uv_work_t *work)
{
    uv_sem_wait(&busy);
}

static void after_busy(uv_work_t *work, int status)
{
}

static void goes_on_while_a_journal_is_being_written(void **state)
{
    static uv_work_t work;
    /* The only thread is at something else: the disk is slow. */
    assert_int_equal(uv_sem_init(&busy, 0), 0);
    assert_int_equal(uv_queue_work(&loop, &work, be_busy, after_busy), 0);
    start("r1", 1);
    start("r2", 1);
    request("s1", "capture.stop", 1);
    assert_non_null(wait_for(NULL, "s1"));
    request("g1", "capture.get", 1);
    assert_string_equal(json_get_string(record_in(wait_for(NULL, "g1")), "state", ""), "queued");
    request("l1", "capture.list", 1);
    request("l2", "capture.list", 1);
    request("g2", "capture.get", 2);
    assert_string_equal(refusal("g2"), "NOT_FOUND");
    /* Nothing was asked, nothing is on disk. */
    assert_false(there(1, ".json") || there(1, ".part"));
    for (unsigned i = 0; i < got_count; i++)
        assert_true(got[i].taken);
    uv_sem_post(&busy);
    struct got *asked = wait_for("probe.start", id_of(1));
    assert_true(asked->fd >= 0 && there(1, ".json") && there(1, ".part"));
    (void)wait_for("probe.stop", id_of(1));
    const json_t *first = json_object_get(wait_for(NULL, "l1")->root, "result");
    assert_non_null(json_object_get(first, "captures"));
    (void)wait_for(NULL, "l2");
    write_result(TAKE_FD(asked->fd), "x");
    end_with(1, "done");
    assert_true(wait_for(NULL, "r1")->fd >= 0);
    assert_true(wait_for(NULL, "r2")->fd >= 0);
    for (unsigned i = 0; i < got_count; i++)
        assert_false(str_eq(json_get_string(got[i].root, "method", ""), "probe.start") &&
                     !got[i].taken);
    uv_sem_destroy(&busy);
}

static void ends_while_a_journal_is_being_written(void **state)
{
    static uv_work_t work;
    assert_int_equal(uv_sem_init(&busy, 0), 0);
    assert_int_equal(uv_queue_work(&loop, &work, be_busy, after_busy), 0);
    start("r1", 1);
    request("l1", "capture.list", 1);
    request("s1", "capture.stop", 1);
    (void)wait_for(NULL, "s1");
    agent_close(&agent);
    uv_sem_post(&busy);
    (void)uv_run(&loop, UV_RUN_DEFAULT);
    assert_true(there(1, ".json"));
    uv_sem_destroy(&busy);
}

/* From here on the record of capture `n` cannot be written: its temporary file's name is taken, and
 * there is none to write over. */
static void block_record(int n)
{
    AUTOFREE char *temp = xasprintf("%s/spool/%s.json.tmp", home, id_of(n));
    AUTOFREE char *record = xasprintf("%s/spool/%s.json", home, id_of(n));
    assert_int_equal(mkdir(temp, 0700), 0);
    (void)unlink(record);
}

static void unblock_record(int n)
{
    AUTOFREE char *temp = xasprintf("%s/spool/%s.json.tmp", home, id_of(n));
    assert_int_equal(rmdir(temp), 0);
}

static const char *state_in_list(const char *request_id)
{
    request(request_id, "capture.list", 1);
    const json_t *list =
        json_object_get(json_object_get(wait_for(NULL, request_id)->root, "result"), "captures");
    assert_int_equal(json_array_size(list), 1);
    return json_get_string(json_array_get(list, 0), "state", "");
}

/* Was there a message of ours that nobody has waited for? */
static bool untaken(const char *method)
{
    for (unsigned i = 0; i < got_count; i++)
        if (!got[i].taken && str_eq(json_get_string(got[i].root, "method", ""), method))
            return true;
    return false;
}

static void keeps_an_end_that_cannot_be_stored_and_tries_again(void **state)
{
    (void)close(start_and_take("r1", 1));
    enter(1, "running");
    (void)wait_for("progress", "r1");
    block_record(1);
    request("c1", "capture.cancel", 1);
    (void)wait_for("probe.cancel", id_of(1));
    end_with(1, "cancelled");
    assert_string_equal(json_get_string(record_in(wait_for(NULL, "r1")), "state", ""), "cancelled");
    /* All that is asked is answered from memory. */
    request("g1", "capture.get", 1);
    assert_string_equal(json_get_string(record_in(wait_for(NULL, "g1")), "state", ""), "cancelled");
    start("r2", 1);
    assert_string_equal(json_get_string(record_in(wait_for(NULL, "r2")), "state", ""), "cancelled");
    assert_string_equal(state_in_list("l1"), "cancelled");
    request("c2", "capture.cancel", 1);
    assert_string_equal(refusal("c2"), "NOT_RUNNING");
    assert_false(there(1, ".json"));
    assert_false(untaken("probe.ack"));
    unblock_record(1);
    (void)wait_for("probe.ack", id_of(1));
    assert_true(there(1, ".json"));
    assert_true(list_empty(&agent.captures.live));
    assert_string_equal(state_in_list("l2"), "cancelled");
}

static void an_end_that_could_not_be_stored_gets_a_last_try(void **state)
{
    (void)close(start_and_take("r1", 1));
    (void)close(start_and_take("r2", 2));
    for (int n = 1; n <= 2; n++) {
        block_record(n);
        end_with(n, "failed");
    }
    (void)wait_for(NULL, "r1");
    (void)wait_for(NULL, "r2");
    unblock_record(1);
    agent_close(&agent);
    (void)uv_run(&loop, UV_RUN_DEFAULT);
    assert_true(there(1, ".json"));
    assert_false(there(2, ".json"));
    assert_false(untaken("probe.ack"));
    unblock_record(2);
}

static void what_came_too_late_is_told_from_memory_as_well(void **state)
{
    block_record(1);
    AUTOJSON json_t *params = json_pack("{s:s,s:s,s:s,s:i}", "id", id_of(1), "kind", "cpu", "app",
                                        "web", "not_after_ms", 1);
    for (int i = 0; i < 2; i++) {
        assert_int_equal(conn_request(&supervisor, "r", "capture.start", params, -1), 0);
        assert_string_equal(json_get_string(record_in(wait_for(NULL, "r")), "state", ""),
                            "expired");
    }
    assert_string_equal(state_in_list("l1"), "expired");
    unblock_record(1);
    for (int i = 0; i < 500 && !list_empty(&agent.captures.live); i++) {
        (void)usleep(10000);
        (void)uv_run(&loop, UV_RUN_NOWAIT);
    }
    assert_true(there(1, ".json"));
    assert_false(untaken("probe.ack"));
    assert_string_equal(state_in_list("l2"), "expired");
}

static void a_journal_that_cannot_be_written_starts_nothing(void **state)
{
    block_record(1);
    start("r1", 1);
    assert_string_equal(refusal("r1"), "EISDIR");
    assert_false(there(1, ".part"));
    assert_false(untaken("probe.start"));
    request("g1", "capture.get", 1);
    assert_string_equal(refusal("g1"), "NOT_FOUND");
    unblock_record(1);
    (void)close(start_and_take("r2", 1));
}

int main(void)
{
    /* So that a test can occupy it. */
    (void)setenv("UV_THREADPOOL_SIZE", "1", 1);
#define TEST(name) cmocka_unit_test_setup_teardown(name, set_up, tear_down)
    const struct CMUnitTest tests[] = {
        TEST(hands_the_result_over_to_be_read_only),
        TEST(answers_everyone_who_waits),
        TEST(another_supervisor_is_asked_again),
        TEST(another_supervisor_that_does_not_know_it_ends_it),
        TEST(limits_those_who_wait),
        TEST(refuses_more_than_it_can_watch),
        TEST(cancels_what_is_over_its_time),
        TEST(gives_up_when_the_supervisor_does_not_answer),
        TEST(takes_a_result_that_comes_in_the_last_moment),
        TEST(cancels_without_the_supervisors_help),
        TEST(drops_a_result_that_was_cancelled),
        TEST(a_failure_after_a_cancel_is_a_cancel),
        TEST(fails_when_the_result_cannot_get_its_name),
        TEST(fails_when_there_is_no_result),
        TEST(expands_a_packed_result_for_whoever_asks),
        TEST(says_when_a_result_is_gone),
        TEST(says_when_a_result_is_damaged),
        TEST(finishes_writing_when_it_is_told_to_end),
        TEST(goes_on_while_a_journal_is_being_written),
        TEST(ends_while_a_journal_is_being_written),
        TEST(keeps_an_end_that_cannot_be_stored_and_tries_again),
        TEST(an_end_that_could_not_be_stored_gets_a_last_try),
        TEST(what_came_too_late_is_told_from_memory_as_well),
        TEST(a_journal_that_cannot_be_written_starts_nothing),
    };
    return cmocka_run_group_tests(tests, NULL, NULL);
}
