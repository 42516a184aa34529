/* Whose captures they are: the supervisor believes its own socket, not its agent. */
#include "supervisor/captures.h"

#include "tests/unit/support.h"

#include <fcntl.h>
#include <sys/socket.h>
#include <uv.h>

#include "lib/base/json.h"
#include "lib/base/str.h"
#include "lib/wire/conn.h"
#include "lib/wire/msg.h"
#include "supervisor/supervisor.h"

static struct supervisor sup;
static struct conn agent;
static json_t *answer;
static bool ours_closed, agent_closed;

static void on_agent_msg(struct conn *c, struct msg *m)
{
    json_decref(answer);
    answer = json_incref(m->root);
}

static void on_our_msg(struct conn *c, struct msg *m)
{
}

static void on_closed(struct conn *c, int reason)
{
    *(c == &agent ? &agent_closed : &ours_closed) = true;
}

static int set_up(void **state)
{
    int fds[2];
    sup = (struct supervisor){0};
    answer = NULL;
    list_init(&sup.apps);
    captures_init(&sup.captures, &sup);
    if (uv_loop_init(&sup.loop) < 0 || socketpair(AF_UNIX, SOCK_STREAM | SOCK_CLOEXEC, 0, fds) < 0)
        return -1;
    policy_init(&sup.policy, "/nonexistent/policy.json");
    sup.agent.sup = &sup;
    sup.agent.greeted = sup.agent.met = true;
    sup.keep.sock = -1;
    int r = conn_open(&sup.agent.conn, &sup.loop, fds[0], on_our_msg, on_closed, NULL);
    return r < 0 ? r : conn_open(&agent, &sup.loop, fds[1], on_agent_msg, on_closed, NULL);
}

static int tear_down(void **state)
{
    conn_close(&sup.agent.conn);
    conn_close(&agent);
    (void)uv_run(&sup.loop, UV_RUN_DEFAULT);
    captures_clear(&sup.captures);
    policy_clear(&sup.policy);
    json_decref(answer);
    return uv_loop_close(&sup.loop);
}

/* The name of the error that the agent gets: there are no apps here, so what may be is NOT_FOUND. */
static const char *start(const char *id, const char *role)
{
    AUTOJSON json_t *params =
        json_pack("{s:s,s:s,s:s,s:i}", "id", id, "kind", "cpu", "app", "web", "duration_ms", 5);
    json_set_string(params, "role", role);
    json_decref(answer);
    answer = NULL;
    captures_start(&sup.captures, "r", params, open("/dev/null", O_WRONLY | O_CLOEXEC));
    while (!answer)
        (void)uv_run(&sup.loop, UV_RUN_ONCE);
    const json_t *error = json_object_get(answer, "error");
    return json_get_string(json_object_get(error, "data"), "name", "");
}

static void wants_a_role_for_what_nobody_here_has_asked_for(void **state)
{
    assert_string_equal(start("a", NULL), "POLICY");
    assert_non_null(
        strstr(json_get_string(json_object_get(answer, "error"), "message", ""), "wants a role"));
    assert_string_equal(start("a", "operator"), "NOT_FOUND");
}

static void believes_its_own_socket_once(void **state)
{
    captures_expect(&sup.captures, "a");
    captures_expect(&sup.captures, "a");
    captures_expect(&sup.captures, "b");
    assert_string_equal(start("a", NULL), "NOT_FOUND");
    assert_string_equal(start("a", NULL), "POLICY");
    assert_string_equal(start("b", "nonsense"), "NOT_FOUND");
    assert_int_equal(sup.captures.local.count, 0);
}

static void remembers_a_thousand(void **state)
{
    char id[20];
    for (int i = 0; i < 1001; i++) {
        (void)snprintf(id, sizeof id, "c%d", i);
        captures_expect(&sup.captures, id);
    }
    assert_string_equal(start("c0", NULL), "POLICY");
    assert_string_equal(start("c1", NULL), "NOT_FOUND");
    assert_string_equal(start("c1000", NULL), "NOT_FOUND");
}

int main(void)
{
#define TEST(name) cmocka_unit_test_setup_teardown(name, set_up, tear_down)
    const struct CMUnitTest tests[] = {
        TEST(wants_a_role_for_what_nobody_here_has_asked_for),
        TEST(believes_its_own_socket_once),
        TEST(remembers_a_thousand),
    };
    return cmocka_run_group_tests(tests, NULL, NULL);
}
