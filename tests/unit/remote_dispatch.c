/* With the real store; the test is the hosts' agents. */
#include "remote/dispatch_private.h"

#include "tests/unit/remote_console.h"

#include "remote/store/db_private.h"

#include "remote/store/accounts.h"

enum { SENT_MAX = 200 };

static struct {
    char host[UUID_TEXT];
    char type[32];
    json_t *fields;
} sent[SENT_MAX];
static unsigned sent_count;

/* Its end has not been noticed everywhere. */
static bool gone;

static bool on_send(void *arg, const char *host, const char *type, json_t *fields)
{
    if (!fleet_connected(fleet, host) || gone)
        return false;
    assert_true(sent_count < SENT_MAX);
    (void)snprintf(sent[sent_count].host, UUID_TEXT, "%s", host);
    (void)snprintf(sent[sent_count].type, sizeof sent[0].type, "%s", type);
    sent[sent_count++].fields = json_deep_copy(fields);
    return true;
}

static bool takes_captures = true, takes_blobs = true;

static bool on_takes(void *arg, const char *host, const char *capability)
{
    return str_eq(capability, "blob") ? takes_blobs : takes_captures;
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
    takes_captures = takes_blobs = true;
    gone = false;
    dispatch_on_send(dispatch, on_send, on_takes, NULL);
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
    dispatch_on_send(dispatch, on_send, on_takes, NULL);
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

static int tell_unknown(const char *host, const char *id, const char *code, const char *text)
{
    char why[512] = "";
    verdict = 1;
    int r =
        dispatch_take_unknown(dispatch, host, id, code, text, why, sizeof why, on_verdict, NULL);
    settle();
    return r == 1 ? verdict : r;
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
    /* 1: nothing is new. */
    assert_int_equal(start(id_of(1), 2), 1);
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

static size_t audit_rows(struct audit_list *list)
{
    struct db *db;
    audit_list_clear(list);
    assert_int_equal(db_open(folder, &db), 0);
    assert_int_equal(audit_list_read(db, 0, 0, list), 0);
    db_close(db);
    return list->count;
}

static void an_order_and_its_note_are_stored_together_or_not_at_all(void **state)
{
    struct audit_list list = {0};
    struct audit_row note = {.at_ms = 5, .who = "user ann", .what = "capture.start"};
    const struct capture_order order = {.id = id_of(1), .target_count = 2, .note = &note};
    struct db *db;
    assert_int_equal(start_with(order), 0);
    assert_int_equal(audit_rows(&list), 1);
    assert_string_equal(list.rows[0].who, "user ann");
    AUTOFREE char *text = xasprintf("cpu of web-0 on one, web-0 on two (order %s)", id_of(1));
    assert_string_equal(list.rows[0].text, text);
    /* Again: nothing new. */
    assert_int_equal(start_with(order), 1);
    assert_int_equal(audit_rows(&list), 1);
    /* Where no note can be written, there is no order. */
    AUTOFREE char *command = xasprintf("sqlite3 '%s/console.db' \"CREATE TRIGGER no BEFORE INSERT "
                                       "ON audit BEGIN SELECT RAISE(ABORT, 'no'); END\" 2>&1",
                                       folder);
    if (system("command -v sqlite3 >/dev/null") == 0 && system(command) == 0) {
        const struct capture_order next = {.id = id_of(2), .target_count = 1, .note = &note};
        struct capture_row row = {0};
        assert_true(start_with(next) < 0);
        assert_int_equal(db_open(folder, &db), 0);
        assert_int_equal(captures_get(db, id_of(2), &row), ERR_NOT_FOUND);
        db_close(db);
        assert_int_equal(audit_rows(&list), 1);
    }
    audit_list_clear(&list);
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
    dispatch_blob_stored(dispatch, HOST_1, id, true);
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
    dispatch_blob_stored(dispatch, HOST_1, id, true);
    settle();
    assert_null(dispatch_find(dispatch, id));
    /* Also when it is settled and read from the store. */
    assert_int_equal(tell_as(HOST_2, id, "web", "failed", "open"), ERR_DENIED);
    assert_int_equal(expects(HOST_2, id), ERR_DENIED);
    assert_int_equal(start(id_of(2), 1), 0);
    assert_int_equal(tell_unknown(HOST_2, id_of(2), "BUSY", "x"), ERR_DENIED);
    /* Also when it is looked up. */
    assert_int_equal(tell_unknown(HOST_2, id, "BUSY", "x"), ERR_DENIED);
}

static void what_nobody_asked_for_is_acknowledged(void **state)
{
    come(HOST_1);
    assert_int_equal(tell(id_of(5), "done", "stored"), 0);
    assert_int_equal(sent_of("capture.ack", id_of(5)), 1);
    assert_int_equal(expects(HOST_1, id_of(5)), ERR_NOT_FOUND);
    assert_int_equal(tell_unknown(HOST_1, id_of(5), "X", "x"), 0);
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
    dispatch_blob_lost(dispatch, HOST_1, id_of(1), ERR_MISMATCH, "the bytes are others");
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
    come(HOST_1);
    assert_int_equal(start(id_of(1), 1), 0);
    assert_int_equal(tell_unknown(HOST_1, id_of(1), "BUSY", "64 captures\x1b run"), 0);
    assert_state(id_of(1), "failed");
    assert_error(id_of(1), "BUSY", "64 captures? run");
    assert_int_equal(start(id_of(2), 1), 0);
    assert_int_equal(tell_unknown(HOST_1, id_of(2), "no such \"name\"", "x"), 0);
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

/* ---- the same at once ------------------------------------------------------------------------ */

static int results[4];
static size_t counts[4];

static void on_one_of(void *arg, int r, const char *text, const struct capture_list *rows)
{
    int *result = arg;
    *result = r;
    counts[result - results] = rows ? rows->count : 0;
}

/* Without waiting for the answer. */
static void begin_start(int n, const char *id, size_t count)
{
    const struct capture_order order = {.id = id,
                                        .target_count = count,
                                        .duration_ms = 10000,
                                        .kind = "cpu",
                                        .requester = "user ann",
                                        .role = "operator",
                                        .targets = targets};
    results[n] = 99;
    dispatch_start(dispatch, &order, on_one_of, &results[n]);
}

static void the_same_order_sent_at_once_is_carried_out_once(void **state)
{
    come(HOST_1);
    come(HOST_2);
    for (size_t count = 1; count <= 3; count++) {
        forget_sent();
        for (int n = 0; n < 4; n++)
            begin_start(n, id_of(20 + (unsigned)count), count);
        settle();
        for (int n = 0; n < 4; n++) {
            assert_int_equal(results[n], n > 0);
            assert_int_equal(counts[n], count);
        }
        assert_int_equal(sent_count, count);
        assert_int_equal(start(id_of(20 + (unsigned)count), count), 1);
    }
    /* Another order under the same id, at once. */
    begin_start(0, id_of(30), 1);
    begin_start(1, id_of(30), 2);
    settle();
    assert_int_equal(results[0], 0);
    assert_int_equal(results[1], ERR_EXISTS);
}

static void a_stop_waits_for_the_order_that_is_being_written(void **state)
{
    come(HOST_1);
    begin_start(0, id_of(1), 1);
    results[1] = 99;
    dispatch_stop(dispatch, id_of(1), true, on_one_of, &results[1]);
    assert_int_equal(results[1], 99);
    settle();
    assert_int_equal(results[0], 0);
    assert_int_equal(results[1], 0);
    assert_int_equal(counts[1], 1);
    assert_int_equal(sent_of("capture.start", id_of(1)), 1);
    assert_int_equal(sent_of("capture.cancel", id_of(1)), 1);
    /* One whose order is refused. */
    targets[1].host = "01890a5d-ac96-774b-bcce-b302099a8099";
    begin_start(0, id_of(2), 2);
    dispatch_stop(dispatch, id_of(2), false, on_one_of, &results[1]);
    settle();
    targets[1].host = HOST_2;
    assert_int_equal(results[0], ERR_NOT_FOUND);
    assert_int_equal(results[1], ERR_NOT_FOUND);
}

static void what_its_host_missed_while_it_was_written_waits_for_it(void **state)
{
    const char *id = id_of(1);
    come(HOST_1);
    gone = true;
    assert_int_equal(start(id, 1), 0);
    connect_host(HOST_1, false);
    settle();
    assert_int_equal(sent_count, 0);
    struct capture_row row = stored_row(id);
    assert_string_equal(row.state, "queued");
    assert_int_equal(row.sent_ms, 0);
    capture_row_clear(&row);
    make_late(id);
    tick();
    assert_state(id, "expired");
}

/* ---- how many -------------------------------------------------------------------------------- */

static void only_those_that_have_not_ended_count(void **state)
{
    static char ids[LIMIT_CAPTURE_TARGETS][UUID_TEXT];
    for (unsigned i = 0; i < LIMIT_CAPTURE_TARGETS; i++) {
        targets[i] = (struct capture_target){.host = HOST_1, .app = "web", .instance = i};
    }
    come(HOST_1);
    for (unsigned n = 0; n < LIMIT_HOST_CAPTURES / LIMIT_CAPTURE_TARGETS; n++)
        assert_int_equal((forget_sent(), start(id_of(n + 1), LIMIT_CAPTURE_TARGETS)), 0);
    for (size_t i = 0; i < LIMIT_CAPTURE_TARGETS; i++)
        memcpy(ids[i], answer.ids[i], UUID_TEXT);
    /* A host has its limit; the others have room. */
    assert_int_equal(start(id_of(500), 1), ERR_BUSY);
    assert_non_null(strstr(answer.text, "1000"));
    targets[0].host = HOST_2;
    assert_int_equal(start(id_of(501), 1), 0);
    targets[0].host = HOST_1;
    for (unsigned i = 0; i < LIMIT_CAPTURE_TARGETS; i++)
        make_late(ids[i]);
    dispatch->grace_until_ms = 0;
    tick();
    /* Given up: in the store, not in memory. */
    assert_int_equal(dispatch->count, LIMIT_HOST_CAPTURES - LIMIT_CAPTURE_TARGETS + 1);
    assert_null(dispatch_find(dispatch, ids[7]));
    assert_int_equal(start(id_of(502), 1), 0);
    /* Its host tells of the end after all. */
    forget_sent();
    AUTOJSON json_t *record = json_pack("{s:s,s:s,s:s,s:i,s:s}", "id", ids[7], "kind", "cpu", "app",
                                        "web", "instance", 0, "state", "done");
    struct capture_row row = stored_row(ids[7]);
    json_set_int(record, "instance", row.instance);
    capture_row_clear(&row);
    char why[64];
    assert_int_equal(
        dispatch_take_record(dispatch, HOST_1, record, why, sizeof why, on_verdict, NULL), 1);
    settle();
    assert_int_equal(verdict, 0);
    assert_state(ids[7], "done");
    assert_null(dispatch_find(dispatch, ids[7]));
    targets[0] = (struct capture_target){.host = HOST_1, .app = "web"};
    targets[1] = (struct capture_target){.host = HOST_2, .app = "web"};
    targets[2] = (struct capture_target){.host = HOST_1, .app = "api"};
}

/* ---- results that are owed ------------------------------------------------------------------- */

/* A capture of HOST_1 that is done, and whose result has not come. */
static void owe(const char *id)
{
    come(HOST_1);
    assert_int_equal(start(id, 1), 0);
    assert_int_equal(tell(id, "done", "stored"), 0);
    assert_state(id, "done");
    assert_null(dispatch_find(dispatch, id));
}

static void a_host_that_comes_is_asked_for_what_it_owes(void **state)
{
    const char *id = id_of(1);
    owe(id);
    restart();
    assert_int_equal(dispatch->count, 0);
    come(HOST_2);
    assert_int_equal(sent_count, 1);
    come(HOST_1);
    assert_int_equal(sent_of("capture.get", id), 1);
    assert_int_equal(dispatch->count, 0);
    assert_int_equal(tell_unknown(HOST_1, id, "NOT_FOUND", "there is no such capture"), 0);
    assert_state(id, "failed");
    assert_error(id, "NOT_FOUND", "does not have the result any more: there is no such capture");
    forget_sent();
    come(HOST_1);
    assert_int_equal(sent_count, 0);
}

static void a_lost_result_is_looked_up(void **state)
{
    const char *id = id_of(1);
    owe(id);
    forget_sent();
    dispatch_blob_lost(dispatch, HOST_1, id, ERR_MISMATCH, "the bytes are others");
    settle();
    assert_state(id, "failed");
    assert_error(id, "MISMATCH", "the bytes are others");
    assert_int_equal(sent_of("capture.ack", id), 1);
}

static void a_host_that_brings_no_results_owes_none(void **state)
{
    const char *id = id_of(1);
    owe(id);
    takes_blobs = false;
    come(HOST_1);
    assert_state(id, "failed");
    assert_error(id, "UNSUPPORTED", "brings no results");
    assert_int_equal(start(id_of(2), 1), 0);
    assert_int_equal(tell(id_of(2), "done", "stored"), 0);
    settle();
    assert_error(id_of(2), "UNSUPPORTED", "brings no results");
}

static void a_host_that_takes_no_captures_gets_none(void **state)
{
    const char *id = id_of(1);
    assert_int_equal(start(id, 1), 0);
    takes_captures = false;
    come(HOST_1);
    assert_state(id, "failed");
    assert_error(id, "UNSUPPORTED", "takes no captures");
    assert_int_equal(sent_count, 0);
}

static void revoke_host(const char *host)
{
    struct host_row row = *fleet_get(fleet, host);
    struct db *db;
    row.revoked_ms = 7;
    assert_int_equal(db_open(folder, &db), 0);
    assert_int_equal(db_begin(db), 0);
    assert_int_equal(hosts_revoke(db, host, 7), 0);
    assert_int_equal(db_commit(db), 0);
    db_close(db);
    fleet_put(fleet, &row);
}

static void the_captures_of_a_revoked_host_end_at_once(void **state)
{
    owe(id_of(1));
    assert_int_equal(start(id_of(2), 1), 0);
    assert_int_equal(tell(id_of(2), "running", "running"), 0);
    assert_int_equal(start(id_of(3), 1), 0);
    assert_int_equal(stop(id_of(3), true), 0);
    connect_host(HOST_1, false);
    assert_int_equal(start(id_of(4), 1), 0);
    revoke_host(HOST_1);
    dispatch_host_revoked(dispatch, HOST_1);
    settle();
    for (unsigned n = 1; n <= 4; n++) {
        assert_state(id_of(n), n == 3 ? "cancelled" : "failed");
        if (n != 3)
            assert_error(id_of(n), "REVOKED", "is revoked: nothing more");
    }
    assert_int_equal(dispatch->count, 0);
}

static void one_that_was_revoked_while_we_were_away_too(void **state)
{
    owe(id_of(1));
    assert_int_equal(start(id_of(2), 1), 0);
    revoke_host(HOST_1);
    restart();
    settle();
    tick();
    assert_error(id_of(1), "REVOKED", "is revoked: nothing more");
    assert_error(id_of(2), "REVOKED", "is revoked: nothing more");
    assert_int_equal(dispatch->count, 0);
}

/* ---- results that were removed --------------------------------------------------------------- */

/* As the store's own functions do it, without bytes. */
static void make_profile_row(const char *id, bool removed)
{
    struct db *db;
    AUTOFREE char *sql = xasprintf(
        "INSERT OR IGNORE INTO blobs VALUES (x'00', 1, 1, x'00', NULL, 0);"
        "INSERT OR REPLACE INTO profiles VALUES ('%s', '" HOST_1 "', 'web', 0, 'cpu', 1, 1, 0,"
        " %d, x'00'); UPDATE captures SET open = 0 WHERE id = '%s'",
        id, removed, id);
    assert_int_equal(db_open(folder, &db), 0);
    assert_int_equal(db_exec(db, sql), 0);
    db_close(db);
}

static void a_result_that_was_removed_is_not_waited_for(void **state)
{
    const char *id = id_of(1);
    owe(id);
    make_profile_row(id, false);
    forget_events();
    dispatch_blob_stored(dispatch, HOST_1, id, true);
    settle();
    assert_int_equal(sent_of("capture.ack", id), 1);
    const json_t *capture = json_object_get(last_event("capture"), "capture");
    assert_string_equal(json_get_string(capture, "profile", ""), id);
    make_profile_row(id, true);
    forget_events();
    AUTOJSON json_t *view = view_of(id);
    assert_true(json_is_null(json_object_get(view, "profile")));
    assert_null(json_object_get(view, "waiting"));
    const json_t *warning = json_array_get(json_object_get(view, "warnings"), 0);
    assert_string_equal(json_string_value(warning), "result_removed");
    /* Told again, and brought again. */
    assert_int_equal(tell(id, "done", "stored"), 0);
    assert_int_equal(sent_of("capture.ack", id), 2);
    assert_int_equal(expects(HOST_1, id), ERR_EXISTS);
    dispatch_blob_stored(dispatch, HOST_1, id, false);
    settle();
    assert_int_equal(sent_of("capture.ack", id), 3);
    assert_int_equal(event_count, 0);
    assert_int_equal(dispatch->count, 0);
}

/* ---- clocks that are set --------------------------------------------------------------------- */

static int64_t wall_ms, steady_now_ms;

static int64_t the_wall(void)
{
    return wall_ms;
}

static int64_t the_steady(void)
{
    return steady_now_ms;
}

static void use_our_clocks(void)
{
    wall_ms = loop_wall_ms();
    steady_now_ms = 1000000;
    dispatch->wall_ms = the_wall;
    dispatch->steady_ms = the_steady;
    dispatch->wall_base_ms = wall_ms;
    dispatch->steady_base_ms = steady_now_ms;
    dispatch->grace_until_ms = 0;
}

static void pass(int64_t ms)
{
    wall_ms += ms;
    steady_now_ms += ms;
    tick();
}

static const int64_t jumps[] = {3600 * 1000, -3600 * 1000, 40LL * 365 * 86400 * 1000,
                                -86400 * 1000};

static void a_clock_that_is_set_neither_gives_up_nor_delays(void **state)
{
    come(HOST_1);
    use_our_clocks();
    for (unsigned i = 0; i < ARRAY_SIZE(jumps); i++) {
        const char *runs = id_of(10 + i), *waits = id_of(20 + i);
        assert_int_equal(start(runs, 1), 0);
        assert_int_equal(tell(runs, "running", "running"), 0);
        connect_host(HOST_1, false);
        assert_int_equal(start(waits, 1), 0);
        pass(5000);
        wall_ms += jumps[i];
        pass(30000);
        assert_state(runs, "running");
        assert_state(waits, "queued");
        /* 10 s, and 30 s more; 60 s. */
        pass(6000);
        assert_state(runs, "failed");
        assert_state(waits, "queued");
        pass(20000);
        assert_state(waits, "expired");
        come(HOST_1);
    }
}

static void a_host_that_comes_after_a_jump_is_still_given_what_waits(void **state)
{
    assert_int_equal((use_our_clocks(), start(id_of(1), 1)), 0);
    wall_ms += 7200 * 1000;
    come(HOST_1);
    assert_int_equal(sent_of("capture.start", id_of(1)), 1);
    /* Its own clock is right as well now. */
    assert_true(json_get_int(sent[0].fields, "not_after_ms", 0) >= wall_ms);
    struct capture_row row = stored_row(id_of(1));
    assert_true(row.not_after_ms > wall_ms && row.due_ms > wall_ms);
    capture_row_clear(&row);
}

static void a_clock_that_is_set_does_not_stop_retries_and_the_grace(void **state)
{
    use_our_clocks();
    come(HOST_1);
    assert_int_equal(start(id_of(1), 1), 0);
    struct entry *e = dispatch_find(dispatch, id_of(1));
    e->dirty = true;
    e->row.interval_us = 77;
    dispatch->retry_ms = steady_now_ms + 1000;
    wall_ms -= 86400 * 1000;
    pass(500);
    struct capture_row row = stored_row(id_of(1));
    assert_int_equal(row.interval_us, 0);
    capture_row_clear(&row);
    pass(600);
    row = stored_row(id_of(1));
    assert_int_equal(row.interval_us, 77);
    capture_row_clear(&row);
    dispatch->grace_until_ms = steady_now_ms + 60000;
    make_late(id_of(1));
    wall_ms += 3600 * 1000;
    make_late(id_of(1));
    pass(1000);
    assert_state(id_of(1), "queued");
}

int main(void)
{
#define TEST(name) cmocka_unit_test_setup_teardown(name, set_up, tear_down)
    const struct CMUnitTest tests[] = {
        TEST(a_capture_waits_for_its_host_and_is_given_when_it_comes),
        TEST(a_connected_host_gets_it_at_once_and_its_end_is_acknowledged),
        TEST(an_order_makes_all_rows_or_none),
        TEST(the_same_order_again_is_the_same),
        TEST(an_order_and_its_note_are_stored_together_or_not_at_all),
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
        TEST(the_same_order_sent_at_once_is_carried_out_once),
        TEST(a_stop_waits_for_the_order_that_is_being_written),
        TEST(what_its_host_missed_while_it_was_written_waits_for_it),
        TEST(only_those_that_have_not_ended_count),
        TEST(a_host_that_comes_is_asked_for_what_it_owes),
        TEST(a_lost_result_is_looked_up),
        TEST(a_host_that_brings_no_results_owes_none),
        TEST(a_host_that_takes_no_captures_gets_none),
        TEST(the_captures_of_a_revoked_host_end_at_once),
        TEST(one_that_was_revoked_while_we_were_away_too),
        TEST(a_result_that_was_removed_is_not_waited_for),
        TEST(a_clock_that_is_set_neither_gives_up_nor_delays),
        TEST(a_host_that_comes_after_a_jump_is_still_given_what_waits),
        TEST(a_clock_that_is_set_does_not_stop_retries_and_the_grace),
    };
    return cmocka_run_group_tests(tests, NULL, NULL);
}
