/* The table of the link's states; then a whole agent between a supervisor and a console, both played by the test on one loop. */
#include "agent/link.h"

#include <sys/socket.h>

#include "agent/agent.h"
#include "agent/link_private.h"
#include "agent/processes.h"
#include "agent/renewal.h"
#include "lib/base/loop.h"
#include "lib/wire/conn.h"
#include "lib/wire/msg.h"
#include "tests/unit/agent_console.h"

/* ---- the table ------------------------------------------------------------------------------- */

static void rests_until_it_is_linked(void **state)
{
    for (int ev = 0; ev < LINK_EVENT_COUNT; ev++) {
        struct link_rule rule = link_state_after(LINK_UNLINKED, ev);
        if (ev == LINK_EV_UNREAD || ev == LINK_EV_UNUSABLE)
            continue;
        assert_int_equal(rule.next, ev == LINK_EV_LINKED ? LINK_CONNECTING : LINK_UNLINKED);
        assert_int_equal(rule.action, ev == LINK_EV_LINKED ? LINK_CONNECT : LINK_NOTHING);
    }
}

static void reaches_unlinked_from_everywhere(void **state)
{
    for (int s = LINK_CONNECTING; s < LINK_STATE_COUNT; s++) {
        struct link_rule rule = link_state_after(s, LINK_EV_UNLINKED);
        assert_int_equal(rule.next, LINK_UNLINKED);
        assert_int_equal(rule.action, LINK_REST);
    }
}

static void tries_files_again_that_cannot_be_read_or_used(void **state)
{
    static const enum link_state from[] = {LINK_UNLINKED, LINK_CONNECTING, LINK_REFUSED};
    for (size_t i = 0; i < 3; i++) {
        assert_int_equal(link_state_after(from[i], LINK_EV_UNREAD).next, LINK_CONNECTING);
        assert_int_equal(link_state_after(from[i], LINK_EV_UNREAD).action, LINK_WAIT);
        assert_int_equal(link_state_after(from[i], LINK_EV_UNUSABLE).next, LINK_REFUSED);
        assert_int_equal(link_state_after(from[i], LINK_EV_UNUSABLE).action, LINK_WAIT_LONG);
    }
}

static void waits_after_every_end_and_never_twice(void **state)
{
    for (int s = LINK_CONNECTING; s < LINK_STATE_COUNT; s++) {
        assert_int_equal(link_state_after(s, LINK_EV_BROKEN).action, LINK_WAIT);
        assert_int_equal(link_state_after(s, LINK_EV_BROKEN).next, LINK_CONNECTING);
        assert_int_equal(link_state_after(s, LINK_EV_REFUSED).action, LINK_WAIT_LONG);
        assert_int_equal(link_state_after(s, LINK_EV_REFUSED).next, LINK_REFUSED);
    }
    assert_int_equal(link_state_after(LINK_CONNECTED, LINK_EV_RETRY).action, LINK_NOTHING);
    assert_int_equal(link_state_after(LINK_CONNECTING, LINK_EV_RETRY).action, LINK_CONNECT);
    assert_int_equal(link_state_after(LINK_REFUSED, LINK_EV_RETRY).action, LINK_CONNECT);
    assert_int_equal(link_state_after(LINK_REFUSED, LINK_EV_RETRY).next, LINK_REFUSED);
}

static void knows_which_ends_last(void **state)
{
    assert_int_equal(link_event_of_end(ERR_REVOKED), LINK_EV_REFUSED);
    assert_int_equal(link_event_of_end(ERR_UNSUPPORTED), LINK_EV_REFUSED);
    /* Of the certificate of that connection; there may be a newer one. */
    assert_int_equal(link_event_of_end(ERR_EXPIRED), LINK_EV_BROKEN);
    assert_int_equal(link_event_of_end(ERR_BUSY), LINK_EV_BROKEN);
    assert_int_equal(link_event_of_end(ERR_PROTOCOL), LINK_EV_BROKEN);
    assert_int_equal(link_event_of_end(0), LINK_EV_BROKEN);
}

static void asks_for_a_renewal_more_often_when_time_is_short(void **state)
{
    assert_int_equal(renewal_retry_ms(0, 30 * 86400000LL), 60000);
    assert_int_equal(renewal_retry_ms(0, 20000), 2000);
    assert_int_equal(renewal_retry_ms(0, 500), 1000);
    assert_int_equal(renewal_retry_ms(1000, 0), 1000);
}

static void leaves_time_between_renewals(void **state)
{
    struct identity id = {.from_ms = 1, .issued_ms = 1000, .until_ms = 16000};
    assert_int_equal(renewal_gap_ms(&id), 5000);
    id.until_ms = 90 * 86400000LL;
    assert_int_equal(renewal_gap_ms(&id), 60000);
}

static unsigned renewals;

static int count_renewal(void *arg, const char *type, json_t *fields)
{
    renewals++;
    return 0;
}

/* A clock that runs far ahead makes each certificate seem due as soon as it has come. */
static void does_not_renew_again_at_once(void **state)
{
    static const struct renewal_callbacks callbacks = {.send = count_renewal};
    uv_loop_t loop;
    struct renewal r;
    const struct identity id = {
        .host = (char *)"x", .from_ms = 1, .until_ms = loop_wall_ms() + 1000};
    renewals = 0;
    assert_int_equal(uv_loop_init(&loop), 0);
    renewal_init(&r, &loop, "/nowhere", &callbacks, NULL);
    r.renewed_at = uv_now(&loop);
    renewal_open(&r, &id);
    for (int i = 0; i < 20; i++) {
        (void)uv_run(&loop, UV_RUN_NOWAIT);
        (void)usleep(5000);
    }
    assert_int_equal(renewals, 0);
    r.renewed_at = 0;
    renewal_open(&r, &id);
    while (renewals == 0)
        (void)uv_run(&loop, UV_RUN_ONCE);
    renewal_end(&r);
    (void)uv_run(&loop, UV_RUN_DEFAULT);
    assert_int_equal(uv_loop_close(&loop), 0);
}

static json_t *process(const char *app, int pid, const char *status, double cpu)
{
    return json_pack("{s:s,s:i,s:i,s:s,s:f}", "app", app, "instance", 0, "pid", pid, "status",
                     status, "cpu", cpu);
}

static uint64_t hash_of(json_t *taken)
{
    AUTOJSON json_t *list = json_pack("[o]", taken);
    return processes_hash(list);
}

static void tells_lists_apart_by_pid_and_status_only(void **state)
{
    uint64_t hash = hash_of(process("a", 1, "online", 1.5));
    assert_int_equal(hash, hash_of(process("a", 1, "online", 99)));
    assert_true(hash != hash_of(process("b", 1, "online", 1.5)));
    assert_true(hash != hash_of(process("a", 2, "online", 1.5)));
    assert_true(hash != hash_of(process("a", 1, "stopped", 1.5)));
    AUTOJSON json_t *empty = json_array();
    assert_true(hash != processes_hash(empty));
}

/* ---- a whole agent --------------------------------------------------------------------------- */

enum { ANSWERS = 200 };

static struct agent agent;
static struct conn supervisor;
static json_t *answers[ANSWERS];
static unsigned answer_count, lists_asked, progress_count, cancels;
static int listed_pid;
static bool agent_over, supervisor_over;

static void answer_list(struct conn *c, const struct msg *m)
{
    AUTOJSON json_t *result =
        json_pack("{s:[o]}", "processes", process("web", listed_pid, "online", 1));
    lists_asked++;
    (void)conn_result(c, m->id, result, -1);
}

static void on_msg(struct conn *c, struct msg *m)
{
    AUTOJSON json_t *hello = json_pack("{s:i}", "version", 1);
    if (str_eq(m->method, "hello"))
        (void)conn_result(c, m->id, hello, -1);
    else if (str_eq(m->method, "host.list"))
        answer_list(c, m);
    else if (str_eq(m->method, "progress"))
        progress_count++;
    else if (str_eq(m->method, "probe.cancel"))
        cancels++;
    else if (!m->method)
        answers[answer_count++] = json_incref(m->root);
}

static void on_supervisor_closed(struct conn *c, int reason)
{
    supervisor_over = true;
}

static void on_agent_closed(struct agent *a)
{
    agent_over = true;
}

static int start_agent(void)
{
    int fds[2];
    agent_over = supervisor_over = false;
    if (socketpair(AF_UNIX, SOCK_STREAM | SOCK_CLOEXEC, 0, fds) < 0)
        return -1;
    if (conn_open(&supervisor, &console.loop, fds[0], on_msg, on_supervisor_closed, NULL) < 0)
        return -1;
    if (agent_open(&agent, &console.loop, folder, fds[1], on_agent_closed) < 0)
        return -1;
    while (agent.phase == AGENT_HELLO)
        (void)uv_run(&console.loop, UV_RUN_ONCE);
    return 0;
}

static void stop_agent(void)
{
    agent_close(&agent);
    console_run_until(&agent_over);
    console_run_until(&supervisor_over);
    /* What a thread is at is waited for by the loop, which goes on here. */
    while (agent.link->enrol || agent.link->renewal.job)
        console_run_for(20);
    console_run_for(300);
    agent_clear(&agent);
}

static int set_up(void **state)
{
    answer_count = lists_asked = progress_count = cancels = 0;
    listed_pid = 100;
    console_open();
    return make_folder(state) < 0 ? -1 : start_agent();
}

static int tear_down(void **state)
{
    stop_agent();
    console_close();
    for (unsigned i = 0; i < answer_count; i++)
        json_decref(answers[i]);
    return remove_folder(state);
}

static void request(const char *id, const char *method, const char *token)
{
    AUTOJSON json_t *params = json_object();
    json_set_string(params, "token", token);
    assert_int_equal(conn_request(&supervisor, id, method, params, -1), 0);
}

/* Waits for the answer to a request.  Borrowed. */
static const json_t *answer_to(const char *id)
{
    for (unsigned turn = 0; turn < 1000; turn++) {
        for (unsigned i = 0; i < answer_count; i++)
            if (str_eq(json_get_string(answers[i], "id", ""), id))
                return answers[i];
        console_run_for(20);
    }
    fail_msg("no answer to %s", id);
    return NULL;
}

static const json_t *result_of(const char *id)
{
    const json_t *answer = answer_to(id);
    const json_t *result = json_object_get(answer, "result");
    if (!result)
        fail_msg("%s", json_get_string(json_object_get(answer, "error"), "message", "?"));
    return result;
}

static const char *refusal_of(const char *id, const char **ret_name)
{
    const json_t *error = json_object_get(answer_to(id), "error");
    assert_non_null(error);
    *ret_name = json_get_string(json_object_get(error, "data"), "name", "");
    return json_get_string(error, "message", "");
}

static void assert_refused(const char *id, const char *name, const char *part)
{
    const char *its_name;
    const char *text = refusal_of(id, &its_name);
    if (!strstr(text, part))
        fail_msg("\"%s\" is not in: %s", part, text);
    assert_string_equal(its_name, name);
    AUTOFREE char *key = in_folder("agent/key.pem");
    assert_int_not_equal(access(key, F_OK), 0);
}

static const char *state_of(const char *id)
{
    request(id, "link.status", NULL);
    return json_get_string(result_of(id), "state", "");
}

static void link_it(const char *id)
{
    AUTOFREE char *token = console_token(console.ca_pem);
    request(id, "link.set", token);
    assert_string_equal(json_get_string(result_of(id), "state", ""), "connected");
}

/* ---- link.set -------------------------------------------------------------------------------- */

static void enrols_and_connects(void **state)
{
    assert_string_equal(state_of("s1"), "unlinked");
    assert_int_equal(lists_asked, 0);
    link_it("set");
    assert_int_equal(progress_count, 1);
    const json_t *status = result_of("set");
    assert_string_equal(json_get_string(status, "host", ""), CONSOLE_HOST_ID);
    assert_true(json_get_int(status, "certificate_until_ms", 0) > loop_wall_ms());
    assert_true(json_get_int(status, "renew_ms", 0) > loop_wall_ms());
    assert_null(json_object_get(status, "error"));
    AUTOJSON json_t *processes = console_wait("processes");
    assert_int_equal(json_array_size(json_object_get(processes, "processes")), 1);
}

static void is_linked_only_once(void **state)
{
    const char *name;
    link_it("set");
    AUTOFREE char *token = console_token(console.ca_pem);
    request("again", "link.set", token);
    assert_non_null(strstr(refusal_of("again", &name), "already"));
    assert_string_equal(name, "EXISTS");
    assert_int_equal(console.enrolments, 1);
}

static void sends_nothing_to_a_console_without_the_ca(void **state)
{
    AUTOFREE char *key = NULL;
    AUTOFREE char *pem = NULL;
    console_make_ca(&key, &pem);
    AUTOFREE char *token = console_token(pem);
    request("set", "link.set", token);
    assert_refused("set", "UNTRUSTED",
                   "does not have the CA that the token names: nothing was sent");
    assert_int_equal(console.enrolments, 0);
    assert_int_equal(console.request.len, 0);
    assert_string_equal(state_of("s"), "unlinked");
}

static void passes_the_consoles_refusal_on(void **state)
{
    AUTOFREE char *token = console_token(console.ca_pem);
    console.status = 403;
    console.answer =
        "{\"error\":{\"name\":\"EXPIRED\",\"message\":\"this token was used already\"}}";
    request("set", "link.set", token);
    assert_refused("set", "EXPIRED", "refuses: this token was used already");
}

static void refuses_answers_of_no_use(void **state)
{
    AUTOFREE char *token = console_token(console.ca_pem);
    console.answer = "{}";
    request("one", "link.set", token);
    assert_refused("one", "SYNTAX", "is of no use");
    AUTOFREE char *huge = xcalloc(1, 70001);
    memset(huge, ' ', 70000);
    console.answer = huge;
    request("two", "link.set", token);
    assert_refused("two", "TOO_BIG", "too long");
}

static void tells_that_there_is_no_console(void **state)
{
    char text[200];
    struct enrol_token t;
    AUTOFREE char *right = console_token(console.ca_pem);
    assert_int_equal(enrol_token_parse(right, strlen(right), &t, text, sizeof text), 0);
    (void)strcpy(t.address, "127.0.0.1:1");
    AUTOFREE char *token = enrol_token_text(&t);
    request("set", "link.set", token);
    assert_refused("set", "ECONNREFUSED", "cannot be reached: Connection refused");
    request("bad", "link.set", "pt1.nonsense");
    assert_refused("bad", "SYNTAX", "enrolment string");
}

/* ---- a link that stands ---------------------------------------------------------------------- */

static void goes_on_after_a_restart_of_the_agent(void **state)
{
    link_it("set");
    stop_agent();
    AUTOJSON json_t *bye = console_wait("bye");
    assert_string_equal(json_get_string(bye, "code", ""), "STOPPING");
    assert_int_equal(start_agent(), 0);
    while (console.connections < 2)
        console_run_for(10);
    json_decref(console_wait("hello"));
    json_decref(console_wait("hello"));
    console_run_for(50);
    assert_string_equal(state_of("s"), "connected");
}

static void comes_back_after_a_break(void **state)
{
    link_it("set");
    console_say("{\"type\":\"bye\",\"code\":\"STOPPING\",\"text\":\"later\"}");
    while (console.connections < 2)
        console_run_for(10);
    console_run_for(50);
    assert_string_equal(state_of("s"), "connected");
}

static void waits_long_after_a_refusal(void **state)
{
    link_it("set");
    console_say("{\"type\":\"bye\",\"code\":\"REVOKED\",\"text\":\"by the admin\"}");
    console_run_for(200);
    assert_string_equal(state_of("s"), "refused");
    const json_t *status = result_of("s");
    int64_t wait = json_get_int(status, "retry_ms", 0) - loop_wall_ms();
    assert_in_range(wait, 290000, 600000);
    const json_t *error = json_object_get(status, "error");
    assert_string_equal(json_get_string(error, "name", ""), "REVOKED");
    assert_non_null(strstr(json_get_string(error, "message", ""), "by the admin"));
    unsigned asked = lists_asked;
    console_run_for(1200);
    assert_int_equal(lists_asked, asked);
}

static void tells_at_once_when_a_pid_changes(void **state)
{
    link_it("set");
    json_decref(console_wait("processes"));
    uint64_t began = uv_hrtime();
    listed_pid = 101;
    AUTOJSON json_t *second = console_wait("processes");
    const json_t *first_process = json_array_get(json_object_get(second, "processes"), 0);
    assert_int_equal(json_get_int(first_process, "pid", 0), 101);
    assert_true(uv_hrtime() - began < UINT64_C(2500000000));
    AUTOJSON json_t *third = console_wait("processes");
    int64_t between = json_get_int(third, "at_ms", 0) - json_get_int(second, "at_ms", 0);
    assert_in_range(between, 4000, 7000);
}

static json_t *told;

/* Takes what is not too big for one message. */
static int take_list(void *arg, const char *type, json_t *fields)
{
    if (json_array_size(json_object_get(fields, "processes")) > 3500)
        return ERR_TOO_BIG;
    told = json_deep_copy(fields);
    return 0;
}

static void says_how_many_processes_it_does_not_tell_of(void **state)
{
    struct processes p = {.open = true, .send = take_list};
    AUTOJSON json_t *result = json_pack("{s:[]}", "processes");
    const struct msg m = {.kind = MSG_RESULT, .result = result};
    uv_loop_t loop;
    assert_int_equal(uv_loop_init(&loop), 0);
    p.timer.loop = &loop;
    for (int i = 0; i < 4200; i++)
        (void)json_array_append_new(json_object_get(result, "processes"),
                                    process("more", 1000 + i, "online", 1));
    processes_on_answer(&p, &m);
    assert_int_equal(json_array_size(json_object_get(told, "processes")), 3072);
    assert_int_equal(json_get_int(told, "left_out", 0), 4200 - 3072);
    json_decref(told);
    (void)json_array_clear(json_object_get(result, "processes"));
    processes_on_answer(&p, &m);
    assert_null(json_object_get(told, "left_out"));
    json_decref(told);
    assert_int_equal(uv_loop_close(&loop), 0);
}

static void renews_its_certificate(void **state)
{
    char serial[CERT_SERIAL_TEXT];
    struct cert_facts facts;
    AUTOIDENTITY struct identity old = {0}, fresh = {0};
    char why[IDENTITY_TEXT];
    console.life_s = 4;
    link_it("set");
    (void)strcpy(serial, console.peer_serial);
    assert_int_equal(identity_load(folder, &old, why, sizeof why), 0);
    console.life_s = 3600;
    json_decref(console_wait("renew"));
    while (!agent.link->renewal.renewed_at)
        console_run_for(20);
    assert_int_equal(identity_load(folder, &fresh, why, sizeof why), 0);
    assert_string_not_equal(old.key_pem, fresh.key_pem);
    assert_int_equal(cert_read(fresh.cert_pem, &facts), 0);
    assert_string_not_equal(facts.serial, serial);
    /* The connection stays, and the next one shows the new certificate. */
    assert_int_equal(console.connections, 1);
    console_say("{\"type\":\"bye\",\"code\":\"STOPPING\",\"text\":\"later\"}");
    while (console.connections < 2)
        console_run_for(10);
    assert_string_equal(console.peer_serial, facts.serial);
}

/* No connection is tried with a certificate that cannot be good any more. */
static void waits_with_an_expired_certificate(void **state)
{
    AUTOIDENTITY struct identity id = {0};
    stop_agent();
    console_identity(&id, -120, -60);
    assert_int_equal(identity_save(folder, &id), 0);
    assert_int_equal(start_agent(), 0);
    assert_string_equal(state_of("s"), "refused");
    const json_t *error = json_object_get(result_of("s"), "error");
    assert_string_equal(json_get_string(error, "name", ""), "EXPIRED");
    console_run_for(100);
    assert_int_equal(console.connections, 0);
    request("remove", "link.remove", NULL);
    assert_non_null(strstr(json_get_string(result_of("remove"), "warning", ""), "has expired"));
}

/* The agent ended between the files and the captures of an unlink. */
static void cancels_what_runs_for_a_console_that_is_none_any_more(void **state)
{
    AUTOFREE char *path = in_folder("spool/01890a5d-ac96-774b-bcce-b302099a8099.json");
    stop_agent();
    put_file(path,
             "{\"id\":\"01890a5d-ac96-774b-bcce-b302099a8099\",\"kind\":\"cpu\",\"app\":\"web\","
             "\"origin\":\"console\",\"host\":\"" CONSOLE_HOST_ID "\",\"state\":\"running\","
             "\"created_ms\":1700000000000,\"not_after_ms\":1700000005000}");
    assert_int_equal(start_agent(), 0);
    while (cancels == 0)
        console_run_for(10);
}

static const char *message_in(const json_t *status)
{
    return json_get_string(json_object_get(status, "error"), "message", "");
}

static void is_refused_with_files_that_cannot_be_used(void **state)
{
    const char *name;
    stop_agent();
    AUTOFREE char *link = in_folder("agent/link.json");
    AUTOFREE char *token = console_token(console.ca_pem);
    assert_int_equal(identity_prepare(folder), 0);
    put_file(link, "{");
    assert_int_equal(start_agent(), 0);
    assert_string_equal(state_of("s"), "refused");
    assert_non_null(
        strstr(message_in(result_of("s")), "the files in agent/ cannot be used: link.json"));
    assert_null(json_object_get(json_object_get(result_of("s"), "error"), "by_console"));
    request("set1", "link.set", token);
    assert_non_null(strstr(refusal_of("set1", &name), "unlink it first"));
    assert_string_equal(name, "EXISTS");
    assert_int_equal(console.enrolments, 0);
    request("remove", "link.remove", NULL);
    assert_non_null(strstr(json_get_string(result_of("remove"), "warning", ""),
                           "could not be used, so the console was not told: revoke this host"));
    assert_string_equal(state_of("s2"), "unlinked");
    link_it("set2");
}

/* The console judges by its own clock; ours may be behind. */
static void stays_linked_with_a_clock_that_is_behind(void **state)
{
    AUTOIDENTITY struct identity id = {0};
    const char *name;
    AUTOFREE char *token = console_token(console.ca_pem);
    stop_agent();
    console_identity(&id, 500, 1000);
    assert_int_equal(identity_save(folder, &id), 0);
    assert_int_equal(start_agent(), 0);
    assert_string_equal(state_of("s"), "connecting");
    assert_string_equal(json_get_string(result_of("s"), "host", ""), CONSOLE_HOST_ID);
    request("set", "link.set", token);
    assert_non_null(strstr(refusal_of("set", &name), "already"));
}

/* A folder that is none for a moment stands for a disk that fails and for descriptors that have run out. */
static void tries_again_when_its_files_cannot_be_read(void **state)
{
    AUTOFREE char *agent_folder = in_folder("agent");
    AUTOFREE char *away = in_folder("away");
    link_it("set");
    stop_agent();
    assert_int_equal(rename(agent_folder, away), 0);
    put_file(agent_folder, "no folder");
    assert_int_equal(start_agent(), 0);
    assert_string_equal(state_of("s"), "connecting");
    assert_non_null(
        strstr(message_in(result_of("s")), "the files in agent/ cannot be read now: link.json"));
    assert_true(json_get_int(result_of("s"), "retry_ms", 0) > 0);
    assert_int_equal(unlink(agent_folder), 0);
    assert_int_equal(rename(away, agent_folder), 0);
    while (console.connections < 2)
        console_run_for(10);
}

/* The agent ended when the files were written and nobody had been told. */
static void answers_the_same_token_again(void **state)
{
    AUTOFREE char *token = console_token(console.ca_pem);
    request("set", "link.set", token);
    (void)result_of("set");
    stop_agent();
    assert_int_equal(start_agent(), 0);
    request("again", "link.set", token);
    assert_string_equal(json_get_string(result_of("again"), "state", ""), "connected");
    assert_string_equal(json_get_string(result_of("again"), "host", ""), CONSOLE_HOST_ID);
    assert_int_equal(console.enrolments, 1);
    request("later", "link.set", token);
    assert_string_equal(json_get_string(result_of("later"), "state", ""), "connected");
    AUTOFREE char *path = in_folder("agent/link.json");
    AUTOBUF struct buf text = BUF_INIT(1 << 20);
    assert_int_equal(path_read(path, &text), 0);
    assert_null(strstr(buf_str(&text), strrchr(token, '.') + 1));
}

/* A console that is full, say, must not be asked each half second. */
static void waits_longer_when_it_is_greeted_and_sent_away(void **state)
{
    console.sends_away = true;
    AUTOFREE char *token = console_token(console.ca_pem);
    request("set", "link.set", token);
    (void)result_of("set");
    while (console.connections < 3)
        console_run_for(10);
    while (console.wsi)
        console_run_for(10);
    console_run_for(50);
    assert_int_equal(agent.link->backoff.ceiling_ms, 8000);
    assert_int_equal(agent.link->again, 2);
    assert_string_equal(agent.link->logged, "the console ended the connection: no store");
    assert_true(json_is_true(
        json_object_get(json_object_get((state_of("s"), result_of("s")), "error"), "by_console")));
}

/* And one that says what does not fit is left with a reason. */
static void leaves_a_console_that_says_what_does_not_fit(void **state)
{
    link_it("set");
    console_say("{\"type\":\"blob.go\",\"blob\":7,\"offset\":0}");
    AUTOJSON json_t *bye = console_wait("bye");
    assert_string_equal(json_get_string(bye, "code", ""), "PROTOCOL");
    assert_non_null(strstr(json_get_string(bye, "text", ""), "does not fit"));
    while (console.connections < 2)
        console_run_for(10);
}

/* ---- link.remove ----------------------------------------------------------------------------- */

static void assert_unlinked(void)
{
    assert_string_equal(state_of("after"), "unlinked");
    AUTOFREE char *link = in_folder("agent/link.json");
    AUTOFREE char *key = in_folder("agent/key.pem");
    assert_int_not_equal(access(link, F_OK), 0);
    assert_int_not_equal(access(key, F_OK), 0);
}

static void is_revoked_and_forgets(void **state)
{
    link_it("set");
    request("remove", "link.remove", NULL);
    assert_true(json_get_bool(result_of("remove"), "revoked", false));
    json_decref(console_wait("unlink"));
    assert_unlinked();
    /* And can be linked anew. */
    link_it("set2");
}

static void forgets_without_the_console(void **state)
{
    link_it("set");
    console.says_no_hello = true;
    console_say("{\"type\":\"bye\",\"code\":\"STOPPING\",\"text\":\"later\"}");
    while (console.wsi)
        console_run_for(10);
    request("remove", "link.remove", NULL);
    request("remove2", "link.remove", NULL);
    const json_t *result = result_of("remove");
    assert_false(json_get_bool(result, "revoked", true));
    assert_non_null(strstr(json_get_string(result, "warning", ""), "within 5 s"));
    assert_non_null(result_of("remove2"));
    assert_unlinked();
}

static void forgets_nothing_twice(void **state)
{
    request("remove", "link.remove", NULL);
    assert_string_equal(json_get_string(result_of("remove"), "warning", ""),
                        "this host was not linked");
}

static void ends_in_the_midst_of_it(void **state)
{
    AUTOFREE char *token = console_token(console.ca_pem);
    request("set", "link.set", token);
    for (unsigned i = 0; i < 5; i++)
        (void)uv_run(&console.loop, UV_RUN_NOWAIT);
    /* The tear-down ends the agent now. */
}

#define WHOLE(f) cmocka_unit_test_setup_teardown(f, set_up, tear_down)

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(rests_until_it_is_linked),
        cmocka_unit_test(reaches_unlinked_from_everywhere),
        cmocka_unit_test(tries_files_again_that_cannot_be_read_or_used),
        cmocka_unit_test(waits_after_every_end_and_never_twice),
        cmocka_unit_test(leaves_time_between_renewals),
        cmocka_unit_test(does_not_renew_again_at_once),
        cmocka_unit_test(knows_which_ends_last),
        cmocka_unit_test(asks_for_a_renewal_more_often_when_time_is_short),
        cmocka_unit_test(tells_lists_apart_by_pid_and_status_only),
        WHOLE(enrols_and_connects),
        WHOLE(is_linked_only_once),
        WHOLE(sends_nothing_to_a_console_without_the_ca),
        WHOLE(passes_the_consoles_refusal_on),
        WHOLE(refuses_answers_of_no_use),
        WHOLE(tells_that_there_is_no_console),
        WHOLE(goes_on_after_a_restart_of_the_agent),
        WHOLE(comes_back_after_a_break),
        WHOLE(waits_long_after_a_refusal),
        WHOLE(tells_at_once_when_a_pid_changes),
        cmocka_unit_test(says_how_many_processes_it_does_not_tell_of),
        WHOLE(renews_its_certificate),
        WHOLE(waits_with_an_expired_certificate),
        WHOLE(cancels_what_runs_for_a_console_that_is_none_any_more),
        WHOLE(is_refused_with_files_that_cannot_be_used),
        WHOLE(stays_linked_with_a_clock_that_is_behind),
        WHOLE(tries_again_when_its_files_cannot_be_read),
        WHOLE(answers_the_same_token_again),
        WHOLE(waits_longer_when_it_is_greeted_and_sent_away),
        WHOLE(leaves_a_console_that_says_what_does_not_fit),
        WHOLE(is_revoked_and_forgets),
        WHOLE(forgets_without_the_console),
        WHOLE(forgets_nothing_twice),
        WHOLE(ends_in_the_midst_of_it),
    };
    return cmocka_run_group_tests(tests, NULL, NULL);
}
