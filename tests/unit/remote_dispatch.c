/* With the real store; the test is the hosts' agents. */
#include "remote/dispatch_private.h"

#include "tests/unit/remote_console.h"

enum { SENT_MAX = 200 };

static struct {
    char host[UUID_TEXT];
    char type[32];
    json_t *fields;
} sent[SENT_MAX];
static unsigned sent_count;

static bool on_send(void *arg, const char *host, const char *type, json_t *fields)
{
    if (!fleet_connected(fleet, host))
        return false;
    assert_true(sent_count < SENT_MAX);
    (void)snprintf(sent[sent_count].host, UUID_TEXT, "%s", host);
    (void)snprintf(sent[sent_count].type, sizeof sent[0].type, "%s", type);
    sent[sent_count++].fields = json_deep_copy(fields);
    return true;
}

static void forget_sent(void)
{
    for (unsigned i = 0; i < sent_count; i++)
        json_decref(sent[i].fields);
    sent_count = 0;
}

static unsigned sent_of(const char *type, const char *id)
{
    unsigned count = 0;
    for (unsigned i = 0; i < sent_count; i++)
        count +=
            str_eq(sent[i].type, type) && str_eq(json_get_string(sent[i].fields, "id", ""), id);
    return count;
}

static int set_up(void **state)
{
    int r = make_console(state);
    dispatch_on_send(dispatch, on_send, NULL);
    return r;
}

static int tear_down(void **state)
{
    int r = remove_console(state);
    forget_sent();
    return r;
}

static void restart(void)
{
    close_console();
    open_console();
    dispatch_on_send(dispatch, on_send, NULL);
}

static void come(const char *host)
{
    connect_host(host, true);
    dispatch_host_open(dispatch, host);
    settle();
}

/* ---- requests -------------------------------------------------------------------------------- */

static struct {
    bool done;
    int r;
    char text[512];
    size_t count;
    char ids[LIMIT_CAPTURE_TARGETS][UUID_TEXT];
    char states[LIMIT_CAPTURE_TARGETS][CAPTURE_WORD];
} answer;

static void on_answer(void *arg, int r, const char *text, const struct capture_list *rows)
{
    assert_false(answer.done);
    answer.done = true;
    answer.r = r;
    answer.count = rows ? rows->count : 0;
    (void)snprintf(answer.text, sizeof answer.text, "%s", text ? text : "");
    for (size_t i = 0; i < answer.count; i++) {
        (void)snprintf(answer.ids[i], UUID_TEXT, "%s", rows->rows[i].id);
        (void)snprintf(answer.states[i], CAPTURE_WORD, "%s", rows->rows[i].state);
    }
}

static struct capture_target targets[LIMIT_CAPTURE_TARGETS + 1] = {
    {.host = HOST_1, .app = "web"}, {.host = HOST_2, .app = "web"}, {.host = HOST_1, .app = "api"}};

static int start_with(struct capture_order order)
{
    memset(&answer, 0, sizeof answer);
    order.kind = order.kind ? order.kind : "cpu";
    order.requester = "user ann";
    order.role = "operator";
    order.targets = targets;
    dispatch_start(dispatch, &order, on_answer, NULL);
    assert_false(answer.done);
    settle();
    assert_true(answer.done);
    return answer.r;
}

static int start(const char *id, size_t count)
{
    return start_with(
        (struct capture_order){.id = id, .target_count = count, .duration_ms = 10000});
}

static int stop(const char *id, bool cancel)
{
    memset(&answer, 0, sizeof answer);
    dispatch_stop(dispatch, id, cancel, on_answer, NULL);
    assert_false(answer.done);
    settle();
    assert_true(answer.done);
    return answer.r;
}

static int verdict;
static char verdict_text[512];

static void on_verdict(void *arg, int r, const char *text)
{
    verdict = r;
    (void)snprintf(verdict_text, sizeof verdict_text, "%s", text ? text : "");
}

/* What the host's agent says; returns what comes of it. */
static int tell_as(const char *host, const char *id, const char *app, const char *state,
                   const char *phase)
{
    char why[512] = "";
    AUTOJSON json_t *record = json_pack("{s:s,s:s,s:s,s:i,s:s,s:s}", "id", id, "kind", "cpu", "app",
                                        app, "instance", 0, "state", state, "phase", phase);
    verdict = 1;
    int r = dispatch_take_record(dispatch, host, record, why, sizeof why, on_verdict, NULL);
    settle();
    return r == 1 ? verdict : r;
}

static int tell(const char *id, const char *state, const char *phase)
{
    return tell_as(HOST_1, id, "web", state, phase);
}

static int blob;

static void on_blob(void *arg, int r, const char *text, const struct capture_row *row)
{
    blob = r;
    assert_true(r == 0 ? row != NULL : text != NULL);
}

static int expects(const char *host, const char *id)
{
    blob = 1;
    dispatch_expects_blob(dispatch, host, id, on_blob, NULL);
    assert_int_equal(blob, 1);
    settle();
    return blob;
}

/* Moves the row's times so that the clock finds it late. */
static void make_late(const char *id)
{
    struct entry *e = dispatch_find(dispatch, id);
    assert_non_null(e);
    e->row.not_after_ms = e->row.due_ms = 1;
}

static void tick(void)
{
    dispatch->watch->timer_cb(dispatch->watch);
    settle();
}

static json_t *view_of(const char *id)
{
    struct capture_row row = stored_row(id);
    json_t *view = capture_view(&row);
    capture_row_clear(&row);
    return view;
}

static void assert_error(const char *id, const char *name, const char *part)
{
    AUTOJSON json_t *view = view_of(id);
    const json_t *error = json_object_get(view, "error");
    assert_string_equal(json_get_string(error, "name", ""), name);
    if (!strstr(json_get_string(error, "message", ""), part))
        fail_msg("\"%s\" does not say \"%s\"", json_get_string(error, "message", ""), part);
}

/* ---- orders ---------------------------------------------------------------------------------- */

static void a_capture_waits_for_its_host_and_is_given_when_it_comes(void **state)
{
    const char *id = id_of(1);
    assert_int_equal(start(id, 1), 0);
    assert_string_equal(answer.ids[0], id);
    assert_state(id, "queued");
    assert_int_equal(sent_count, 0);
    AUTOJSON json_t *view = view_of(id);
    assert_non_null(strstr(json_get_string(view, "waiting", ""), "one"));
    come(HOST_1);
    assert_int_equal(sent_of("capture.start", id), 1);
    const json_t *fields = sent[0].fields;
    assert_string_equal(json_get_string(fields, "role", ""), "operator");
    assert_string_equal(json_get_string(fields, "requester", ""), "user ann");
    assert_int_equal(json_get_int(fields, "duration_ms", 0), 10000);
    assert_null(json_object_get(fields, "pid"));
    struct capture_row row = stored_row(id);
    assert_true(row.sent_ms > 0 && row.due_ms == row.sent_ms + 40000);
    capture_row_clear(&row);
}

static void a_connected_host_gets_it_at_once_and_its_end_is_acknowledged(void **state)
{
    const char *id = id_of(1);
    come(HOST_1);
    assert_int_equal(start(id, 1), 0);
    assert_int_equal(sent_of("capture.start", id), 1);
    assert_int_equal(tell(id, "running", "open"), 0);
    assert_int_equal(tell(id, "running", "running"), 0);
    assert_state(id, "running");
    assert_int_equal(tell(id, "failed", "running"), 0);
    assert_state(id, "failed");
    assert_int_equal(sent_of("capture.ack", id), 1);
    assert_null(dispatch_find(dispatch, id));
    assert_true(events_of("capture") >= 4);
    /* Again, after its acknowledgement was lost. */
    assert_int_equal(tell(id, "failed", "running"), 0);
    assert_int_equal(sent_of("capture.ack", id), 2);
}

static void an_order_makes_all_rows_or_none(void **state)
{
    assert_int_equal(start(id_of(1), 3), 0);
    assert_int_equal(answer.count, 3);
    assert_string_not_equal(answer.ids[0], answer.ids[1]);
    AUTOJSON json_t *view = view_of(answer.ids[1]);
    assert_string_equal(json_get_string(view, "order", ""), id_of(1));
    targets[1].host = "01890a5d-ac96-774b-bcce-b302099a8099";
    assert_int_equal(start(id_of(2), 3), ERR_NOT_FOUND);
    targets[1].host = HOST_2;
    assert_non_null(strstr(answer.text, "targets[1]"));
    assert_int_equal(stop(id_of(2), false), ERR_NOT_FOUND);
    assert_int_equal(dispatch->count, 3);
}

static void the_same_order_again_is_the_same(void **state)
{
    char first[UUID_TEXT];
    assert_int_equal(start(id_of(1), 2), 0);
    (void)strcpy(first, answer.ids[0]);
    assert_int_equal(start(id_of(1), 2), 0);
    assert_int_equal(answer.count, 2);
    assert_true(str_eq(first, answer.ids[0]) || str_eq(first, answer.ids[1]));
    assert_int_equal(dispatch->count, 2);
    assert_int_equal(start(id_of(1), 1), ERR_EXISTS);
    const struct capture_order other = {.id = id_of(1), .target_count = 2, .duration_ms = 9};
    assert_int_equal(start_with(other), ERR_EXISTS);
    /* An id that is a capture's of another order. */
    assert_int_equal(start(first, 1), ERR_EXISTS);
    assert_true(strlen(answer.text) > 10);
}

static void refuses_what_makes_no_sense(void **state)
{
    const char *id = id_of(1);
    const struct capture_order bad[] = {
        {.id = "x", .target_count = 1},
        {.id = id, .target_count = 1, .kind = "trace"},
        {.id = id, .target_count = 1, .interval_bytes = 9},
        {.id = id, .target_count = 1, .kind = "heap", .interval_us = 9},
        {.id = id, .target_count = 1, .duration_ms = LIMIT_CAPTURE_LONGEST_MS + 1},
        {.id = id, .target_count = 1, .wait_ms = LIMIT_COMMAND_WAIT_MS + 1},
        {.id = id, .target_count = 0},
        {.id = id, .target_count = LIMIT_CAPTURE_TARGETS + 1},
    };
    for (size_t i = 0; i < ARRAY_SIZE(bad); i++) {
        int r = start_with(bad[i]);
        assert_true(r == ERR_INVALID || r == ERR_UNSUPPORTED);
        assert_true(strlen(answer.text) > 10);
    }
    targets[3] = targets[0];
    assert_int_equal(start(id, 4), ERR_INVALID);
    assert_int_equal(dispatch->count, 0);
}

static void asks_the_fleet(void **state)
{
    AUTOJSON json_t *message = json_loads("{\"at_ms\":1,\"processes\":[]}", 0, NULL);
    char why[64];
    come(HOST_1);
    assert_int_equal(fleet_set_processes(fleet, HOST_1, message, why, sizeof why), 0);
    assert_int_equal(start(id_of(1), 1), ERR_NOT_FOUND);
    assert_non_null(strstr(answer.text, "web"));
}

/* ---- stop and cancel ------------------------------------------------------------------------- */

static void what_was_never_given_is_cancelled_at_once(void **state)
{
    assert_int_equal(start(id_of(1), 1), 0);
    assert_int_equal(stop(id_of(1), false), 0);
    assert_string_equal(answer.states[0], "cancelled");
    assert_state(id_of(1), "cancelled");
    come(HOST_1);
    assert_int_equal(sent_count, 0);
    assert_int_equal(stop(id_of(1), false), ERR_NOT_RUNNING);
    assert_int_equal(stop(id_of(7), false), ERR_NOT_FOUND);
}

static void an_order_is_stopped_whole(void **state)
{
    come(HOST_1);
    come(HOST_2);
    assert_int_equal(start(id_of(1), 3), 0);
    assert_int_equal(stop(id_of(1), false), 0);
    assert_int_equal(answer.count, 3);
    for (size_t i = 0; i < 3; i++)
        assert_int_equal(sent_of("capture.stop", answer.ids[i]), 1);
}

static void a_wish_waits_for_its_host(void **state)
{
    const char *id = id_of(1);
    come(HOST_1);
    assert_int_equal(start(id, 1), 0);
    assert_int_equal(tell(id, "running", "running"), 0);
    connect_host(HOST_1, false);
    assert_int_equal(stop(id, true), 0);
    assert_string_equal(answer.states[0], "running");
    assert_int_equal(sent_of("capture.cancel", id), 0);
    come(HOST_1);
    assert_int_equal(sent_of("capture.cancel", id), 1);
    assert_int_equal(tell(id, "cancelled", "running"), 0);
    assert_state(id, "cancelled");
    assert_int_equal(sent_of("capture.ack", id), 1);
}

static void a_cancel_whose_host_does_not_come_is_given_up_as_cancelled(void **state)
{
    const char *id = id_of(1);
    come(HOST_1);
    assert_int_equal(start(id, 1), 0);
    connect_host(HOST_1, false);
    assert_int_equal(stop(id, true), 0);
    make_late(id);
    dispatch->grace_until_ms = 0;
    tick();
    assert_state(id, "cancelled");
    /* It is asked for all the same when the host comes. */
    come(HOST_1);
    assert_int_equal(sent_of("capture.cancel", id), 1);
}

/* ---- the clock ------------------------------------------------------------------------------- */

static void what_no_host_took_expires(void **state)
{
    assert_int_equal(start(id_of(1), 1), 0);
    tick();
    assert_state(id_of(1), "queued");
    make_late(id_of(1));
    tick();
    assert_state(id_of(1), "expired");
    assert_error(id_of(1), "EXPIRED", "one");
}

static void what_has_not_ended_is_given_up_and_says_why(void **state)
{
    come(HOST_1);
    assert_int_equal(start(id_of(1), 1), 0);
    assert_int_equal(start(id_of(2), 1), 0);
    assert_int_equal(tell(id_of(1), "running", "running"), 0);
    make_late(id_of(1));
    tick();
    assert_state(id_of(1), "running");
    dispatch->grace_until_ms = 0;
    tick();
    assert_state(id_of(1), "failed");
    assert_error(id_of(1), "ETIMEDOUT", "has not told of the end");
    connect_host(HOST_1, false);
    make_late(id_of(2));
    tick();
    assert_error(id_of(2), "UNREACHABLE", "is not connected since 2");
    AUTOJSON json_t *view = view_of(id_of(2));
    assert_true(json_get_bool(view, "given_up", false));
}

static void a_late_end_replaces_what_was_given_up(void **state)
{
    const char *id = id_of(1);
    come(HOST_1);
    assert_int_equal(start(id, 1), 0);
    connect_host(HOST_1, false);
    make_late(id);
    dispatch->grace_until_ms = 0;
    tick();
    assert_state(id, "failed");
    restart();
    come(HOST_1);
    assert_int_equal(sent_of("capture.get", id), 1);
    assert_int_equal(tell(id, "done", "stored"), 0);
    assert_state(id, "done");
    assert_int_equal(sent_of("capture.ack", id), 0);
    assert_int_equal(expects(HOST_1, id), 0);
    dispatch_blob_stored(dispatch, HOST_1, id);
    settle();
    assert_int_equal(sent_of("capture.ack", id), 1);
}

/* ---- restarts -------------------------------------------------------------------------------- */

static void goes_on_after_a_restart(void **state)
{
    come(HOST_1);
    assert_int_equal(start(id_of(1), 1), 0);
    assert_int_equal(start(id_of(2), 1), 0);
    assert_int_equal(tell(id_of(2), "running", "running"), 0);
    forget_sent();
    restart();
    assert_int_equal(dispatch->count, 2);
    come(HOST_1);
    /* The one that nothing was heard of is given again. */
    assert_int_equal(sent_of("capture.start", id_of(1)), 1);
    assert_int_equal(sent_of("capture.get", id_of(2)), 1);
    make_late(id_of(2));
    tick();
    assert_state(id_of(2), "running");
}

static void the_last_change_is_written_at_the_end(void **state)
{
    come(HOST_1);
    assert_int_equal(start(id_of(1), 1), 0);
    char why[64];
    for (int i = 0; i < 3; i++) {
        AUTOJSON json_t *record =
            json_pack("{s:s,s:s,s:s,s:i,s:s,s:s}", "id", id_of(1), "kind", "cpu", "app", "web",
                      "instance", 0, "state", i < 2 ? "running" : "cancelled", "phase", "open");
        assert_int_equal(
            dispatch_take_record(dispatch, HOST_1, record, why, sizeof why, on_verdict, NULL), 0);
    }
    restart();
    assert_state(id_of(1), "cancelled");
}

/* ---- foreign hosts --------------------------------------------------------------------------- */

static void another_hosts_capture_is_denied(void **state)
{
    const char *id = id_of(1);
    come(HOST_1);
    come(HOST_2);
    assert_int_equal(start(id, 1), 0);
    assert_int_equal(tell_as(HOST_2, id, "web", "failed", "open"), ERR_DENIED);
    assert_int_equal(tell_as(HOST_1, id, "api", "failed", "open"), ERR_DENIED);
    assert_state(id, "queued");
    assert_int_equal(tell(id, "done", "stored"), 0);
    assert_int_equal(expects(HOST_2, id), ERR_DENIED);
    assert_int_equal(expects(HOST_1, id), 0);
    dispatch_blob_stored(dispatch, HOST_1, id);
    settle();
    assert_null(dispatch_find(dispatch, id));
    /* Also when it is settled and read from the store. */
    assert_int_equal(tell_as(HOST_2, id, "web", "failed", "open"), ERR_DENIED);
    assert_int_equal(expects(HOST_2, id), ERR_DENIED);
    char why[128];
    assert_int_equal(start(id_of(2), 1), 0);
    assert_int_equal(
        dispatch_take_unknown(dispatch, HOST_2, id_of(2), "BUSY", "x", why, sizeof why),
        ERR_DENIED);
}

static void what_nobody_asked_for_is_acknowledged(void **state)
{
    come(HOST_1);
    assert_int_equal(tell(id_of(5), "done", "stored"), 0);
    assert_int_equal(sent_of("capture.ack", id_of(5)), 1);
    assert_int_equal(expects(HOST_1, id_of(5)), ERR_NOT_FOUND);
    char why[128];
    assert_int_equal(dispatch_take_unknown(dispatch, HOST_1, id_of(5), "X", "x", why, sizeof why),
                     0);
}

static void a_result_is_expected_only_after_its_end(void **state)
{
    come(HOST_1);
    assert_int_equal(start(id_of(1), 1), 0);
    assert_int_equal(expects(HOST_1, id_of(1)), ERR_INVALID);
    assert_int_equal(tell(id_of(1), "running", "sending"), 0);
    assert_int_equal(expects(HOST_1, id_of(1)), ERR_INVALID);
    assert_int_equal(tell(id_of(1), "partial", "stored"), 0);
    assert_int_equal(expects(HOST_1, id_of(1)), 0);
    dispatch_blob_lost(dispatch, id_of(1), ERR_MISMATCH, "the bytes are others");
    settle();
    assert_state(id_of(1), "failed");
    assert_error(id_of(1), "MISMATCH", "others");
    assert_int_equal(sent_of("capture.ack", id_of(1)), 1);
    /* What the host still says does not bring it back. */
    assert_int_equal(tell(id_of(1), "partial", "stored"), 0);
    assert_state(id_of(1), "failed");
    assert_int_equal(sent_of("capture.ack", id_of(1)), 2);
}

static void a_host_that_refuses_ends_it_with_its_sentence(void **state)
{
    char why[128];
    come(HOST_1);
    assert_int_equal(start(id_of(1), 1), 0);
    assert_int_equal(dispatch_take_unknown(dispatch, HOST_1, id_of(1), "BUSY",
                                           "64 captures\x1b run", why, sizeof why),
                     0);
    settle();
    assert_state(id_of(1), "failed");
    assert_error(id_of(1), "BUSY", "64 captures? run");
    assert_int_equal(start(id_of(2), 1), 0);
    assert_int_equal(
        dispatch_take_unknown(dispatch, HOST_1, id_of(2), "no such \"name\"", "x", why, sizeof why),
        0);
    settle();
    assert_error(id_of(2), "FAILED", "x");
}

static void a_settled_capture_takes_no_memory(void **state)
{
    come(HOST_1);
    for (unsigned i = 1; i <= 30; i++) {
        assert_int_equal(start(id_of(i), 1), 0);
        assert_int_equal(tell(id_of(i), "cancelled", "open"), 0);
    }
    assert_int_equal(dispatch->count, 0);
}

/* ---- a disk that does not take rows ---------------------------------------------------------- */

static void nothing_is_said_before_it_is_stored(void **state)
{
    struct db *db;
    come(HOST_1);
    assert_int_equal(start(id_of(1), 1), 0);
    /* Another writer holds the database: a commit waits up to 5 s, then fails. */
    assert_int_equal(db_open(folder, &db), 0);
    assert_int_equal(db_begin(db), 0);
    struct host_row row = *fleet_get(fleet, HOST_1);
    assert_int_equal(hosts_set_cert(db, row.id, 5), 0);
    char why[64];
    AUTOJSON json_t *record = json_pack("{s:s,s:s,s:s,s:i,s:s}", "id", id_of(1), "kind", "cpu",
                                        "app", "web", "instance", 0, "state", "failed");
    assert_int_equal(
        dispatch_take_record(dispatch, HOST_1, record, why, sizeof why, on_verdict, NULL), 0);
    for (int i = 0; i < 20; i++) {
        (void)usleep(5000);
        (void)uv_run(&loop, UV_RUN_NOWAIT);
    }
    assert_int_equal(sent_of("capture.ack", id_of(1)), 0);
    db_rollback(db);
    db_close(db);
    settle();
    assert_int_equal(sent_of("capture.ack", id_of(1)), 1);
}

int main(void)
{
#define TEST(name) cmocka_unit_test_setup_teardown(name, set_up, tear_down)
    const struct CMUnitTest tests[] = {
        TEST(a_capture_waits_for_its_host_and_is_given_when_it_comes),
        TEST(a_connected_host_gets_it_at_once_and_its_end_is_acknowledged),
        TEST(an_order_makes_all_rows_or_none),
        TEST(the_same_order_again_is_the_same),
        TEST(refuses_what_makes_no_sense),
        TEST(asks_the_fleet),
        TEST(what_was_never_given_is_cancelled_at_once),
        TEST(an_order_is_stopped_whole),
        TEST(a_wish_waits_for_its_host),
        TEST(a_cancel_whose_host_does_not_come_is_given_up_as_cancelled),
        TEST(what_no_host_took_expires),
        TEST(what_has_not_ended_is_given_up_and_says_why),
        TEST(a_late_end_replaces_what_was_given_up),
        TEST(goes_on_after_a_restart),
        TEST(the_last_change_is_written_at_the_end),
        TEST(another_hosts_capture_is_denied),
        TEST(what_nobody_asked_for_is_acknowledged),
        TEST(a_result_is_expected_only_after_its_end),
        TEST(a_host_that_refuses_ends_it_with_its_sentence),
        TEST(a_settled_capture_takes_no_memory),
        TEST(nothing_is_said_before_it_is_stored),
    };
    return cmocka_run_group_tests(tests, NULL, NULL);
}
