#include "remote/fleet.h"

#include "tests/unit/remote_console.h"

#include "remote/fleet_private.h"
#include "remote/http.h"
#include "remote/processes.h"

#define PROCESS                                                                                    \
    "{\"app\":\"web\",\"instance\":0,\"pid\":7,\"status\":\"online\",\"cpu\":1.25,\"memory\":9,"   \
    "\"uptime_ms\":8,\"restarts\":1,\"node_version\":\"20.1.0\",\"kinds\":{\"cpu\":\"\",\"heap\":" \
    "\"it is too old\"}}"

static char why[512];

static int set_processes(const char *host, const char *list)
{
    AUTOFREE char *text = xasprintf("{\"at_ms\":5,\"processes\":%s}", list);
    AUTOJSON json_t *message = json_loads(text, 0, NULL);
    assert_non_null(message);
    why[0] = '\0';
    return fleet_set_processes(fleet, host, message, why, sizeof why);
}

/* The list as clients get it, in pieces of this size; the caller's. */
static json_t *read_list(struct http_source *s, const char *name, size_t size)
{
    AUTOFREE char *piece = xcalloc(1, size);
    AUTOBUF struct buf text = BUF_INIT(64 << 20);
    int n;
    while ((n = s->read(s, piece, size)) > 0)
        assert_int_equal(buf_add(&text, piece, (size_t)n), 0);
    assert_int_equal(n, 0);
    s->close(s);
    AUTOJSON json_t *whole = json_loads(buf_str(&text), JSON_REJECT_DUPLICATES, NULL);
    assert_int_equal(json_object_size(whole), 1);
    assert_true(json_is_array(json_object_get(whole, name)));
    return json_incref(json_object_get(whole, name));
}

static json_t *processes_of(const char *host)
{
    return read_list(fleet_processes_source(fleet, host), "processes", 1000);
}

static json_t *all_hosts(void)
{
    return read_list(fleet_hosts_source(fleet), "hosts", 7);
}

static int check(const char *host, const char *app, int64_t instance, const char *kind)
{
    return fleet_check_target(fleet, host, app, instance, kind, why, sizeof why);
}

static void knows_the_hosts_of_the_store(void **state)
{
    AUTOJSON json_t *hosts = all_hosts();
    AUTOJSON json_t *one = fleet_host(fleet, HOST_1);
    assert_int_equal(json_array_size(hosts), 2);
    assert_string_equal(json_get_string(one, "name", ""), "one");
    assert_false(json_get_bool(one, "connected", true));
    assert_null(fleet_host(fleet, "nobody"));
    assert_null(fleet_get(fleet, "nobody"));
    assert_string_equal(fleet_get(fleet, HOST_2)->name, "two");
}

static void writes_when_a_host_comes_and_goes_and_not_in_between(void **state)
{
    connect_host(HOST_1, true);
    assert_true(fleet_connected(fleet, HOST_1));
    assert_int_equal(set_processes(HOST_1, "[" PROCESS "]"), 0);
    settle();
    struct db *db;
    struct host_row row;
    assert_int_equal(db_open(folder, &db), 0);
    assert_int_equal(hosts_get(db, HOST_1, &row), 0);
    db_close(db);
    assert_string_equal(row.name, "web-1");
    assert_string_equal(row.release, "0.1.0");
    assert_true(row.seen_ms > 1000);
    connect_host(HOST_1, false);
    assert_false(fleet_connected(fleet, HOST_1));
    assert_true(fleet_since_ms(fleet, HOST_1) >= row.seen_ms);
    assert_int_equal(events_of("host"), 2);
}

static void keeps_what_runs_there_as_our_own(void **state)
{
    connect_host(HOST_1, true);
    assert_int_equal(set_processes(HOST_1, "[" PROCESS "]"), 0);
    AUTOJSON json_t *list = processes_of(HOST_1);
    const json_t *p = json_array_get(list, 0);
    assert_int_equal(json_array_size(list), 1);
    assert_string_equal(json_get_string(p, "host_name", ""), "web-1");
    assert_int_equal(json_get_int(p, "at_ms", 0), 5);
    assert_false(json_get_bool(p, "stale", true));
    assert_int_equal(json_get_int(p, "pid", 0), 7);
    assert_string_equal(json_get_string(json_object_get(p, "kinds"), "heap", ""), "it is too old");
    const json_t *event = last_event("processes");
    assert_string_equal(json_get_string(event, "host", ""), HOST_1);
    assert_int_equal(json_array_size(json_object_get(event, "processes")), 1);
    connect_host(HOST_1, false);
    AUTOJSON json_t *all = processes_of(NULL);
    assert_true(json_get_bool(json_array_get(all, 0), "stale", false));
}

/* "[{…},{…}]" of so many. */
static char *list_of(size_t count, const char *app)
{
    AUTOBUF struct buf text = BUF_INIT(4 << 20);
    for (size_t i = 0; i < count; i++)
        assert_int_equal(buf_addf(&text,
                                  "%s{\"app\":\"%s\",\"instance\":%zu,\"pid\":%zu,\"status\":"
                                  "\"online\",\"kinds\":{\"cpu\":\"a line\\nanother\"}}",
                                  i ? "," : "[", app, i, i + 1),
                         0);
    assert_int_equal(buf_addstr(&text, count ? "]" : "[]"), 0);
    return buf_take(&text);
}

static void lists_are_whole_in_pieces_of_any_size(void **state)
{
    static const size_t sizes[] = {1, 2, 100, 16374, 1 << 20};
    AUTOFREE char *many = list_of(300, "web");
    AUTOJSON json_t *none = processes_of(NULL);
    assert_int_equal(json_array_size(none), 0);
    connect_host(HOST_1, true);
    connect_host(HOST_2, true);
    assert_int_equal(set_processes(HOST_1, "[]"), 0);
    assert_int_equal(set_processes(HOST_2, many), 0);
    for (size_t i = 0; i < ARRAY_SIZE(sizes); i++) {
        AUTOJSON json_t *all =
            read_list(fleet_processes_source(fleet, NULL), "processes", sizes[i]);
        AUTOJSON json_t *hosts = read_list(fleet_hosts_source(fleet), "hosts", sizes[i]);
        AUTOJSON json_t *one =
            read_list(fleet_processes_source(fleet, HOST_1), "processes", sizes[i]);
        assert_int_equal(json_array_size(all), 300);
        assert_int_equal(json_array_size(hosts), 2);
        assert_int_equal(json_array_size(one), 0);
        const json_t *last = json_array_get(all, 299);
        assert_int_equal(json_get_int(last, "instance", 0), 299);
        assert_string_equal(json_get_string(last, "host", ""), HOST_2);
        assert_string_equal(json_get_string(json_object_get(last, "kinds"), "cpu", ""),
                            "a line?another");
    }
}

static void a_list_is_told_as_it_was_while_the_next_one_comes(void **state)
{
    char piece[500];
    AUTOFREE char *before = list_of(1000, "before");
    AUTOFREE char *after = list_of(10, "after");
    connect_host(HOST_1, true);
    assert_int_equal(set_processes(HOST_1, before), 0);
    struct http_source *s = fleet_processes_source(fleet, HOST_1);
    assert_int_equal(s->read(s, piece, sizeof piece), sizeof piece);
    assert_int_equal(set_processes(HOST_1, after), 0);
    unsigned parts = 0;
    for (int n; (n = s->read(s, piece, sizeof piece)) > 0; parts++)
        assert_null(memmem(piece, (size_t)n, "after", 5));
    assert_true(parts > 100);
    s->close(s);
    AUTOJSON json_t *list = processes_of(HOST_1);
    assert_int_equal(json_array_size(list), 10);
}

/* Each of them holds another list: past a limit they are cut off. */
static void old_lists_are_not_held_without_limit(void **state)
{
    enum { SLOW = 100 };
    char piece[100];
    struct http_source *slow[SLOW];
    int cut = 0;
    watched = false;
    connect_host(HOST_1, true);
    for (int i = 0; i < SLOW; i++) {
        AUTOFREE char *list = list_of(LIMIT_INSTANCES, "web");
        assert_int_equal(set_processes(HOST_1, list), 0);
        slow[i] = fleet_processes_source(fleet, NULL);
        assert_int_equal(slow[i]->read(slow[i], piece, sizeof piece), sizeof piece);
        assert_true(fleet->old_bytes <= LIMIT_OLD_LISTS);
    }
    for (int i = 0; i < SLOW; i++) {
        cut += slow[i]->read(slow[i], piece, sizeof piece) == ERR_BUSY;
        slow[i]->close(slow[i]);
    }
    assert_in_range(cut, 50, SLOW - 1);
    assert_int_equal(fleet->old_bytes, 0);
}

static void more_processes_than_a_host_may_have_are_refused(void **state)
{
    AUTOFREE char *list = list_of(LIMIT_INSTANCES + 1, "web");
    connect_host(HOST_1, true);
    assert_int_equal(set_processes(HOST_1, list), ERR_TOO_BIG);
}

static void viewers_are_told_of_one_host_once_a_second(void **state)
{
    AUTOFREE char *last = list_of(3, "last");
    connect_host(HOST_1, true);
    for (int i = 0; i < 50; i++)
        assert_int_equal(set_processes(HOST_1, "[" PROCESS "]"), 0);
    assert_int_equal(set_processes(HOST_1, last), 0);
    assert_int_equal(set_processes(HOST_2, "[" PROCESS "]"), 0);
    fleet_tick(fleet);
    assert_int_equal(events_of("processes"), 2);
    usleep(1100 * 1000);
    fleet_tick(fleet);
    assert_int_equal(events_of("processes"), 3);
    const json_t *event = last_event("processes");
    assert_string_equal(json_get_string(event, "host", ""), HOST_1);
    assert_int_equal(json_array_size(json_object_get(event, "processes")), 3);
    fleet_tick(fleet);
    assert_int_equal(events_of("processes"), 3);
}

static void makes_no_events_that_nobody_sees(void **state)
{
    watched = false;
    connect_host(HOST_1, true);
    assert_int_equal(set_processes(HOST_1, "[" PROCESS "]"), 0);
    assert_int_equal(event_count, 0);
}

static void refuses_foreign_lists(void **state)
{
    static const char *const bad[] = {
        "[7]",
        "[{}]",
        "[{\"app\":\"web\",\"instance\":0,\"status\":\"online\"}]",
        "[{\"app\":\"\",\"instance\":0,\"status\":\"online\",\"kinds\":{}}]",
        "[{\"app\":\"web\",\"instance\":-1,\"status\":\"online\",\"kinds\":{}}]",
        "[{\"app\":\"web\",\"instance\":0,\"status\":\"online\",\"cpu\":-1,\"kinds\":{}}]",
        "[{\"app\":\"web\",\"instance\":0,\"status\":\"online\",\"kinds\":{\"cpu\":7}}]",
        "[{\"app\":\"web\",\"instance\":0,\"status\":\"online\",\"kinds\":{\"A b\":\"\"}}]",
        "[{\"app\":\"web\",\"instance\":0,\"status\":\"online\",\"memory\":\"9\",\"kinds\":{}}]",
    };
    connect_host(HOST_1, true);
    assert_int_equal(set_processes(HOST_1, "[" PROCESS "]"), 0);
    for (size_t i = 0; i < ARRAY_SIZE(bad); i++) {
        assert_int_equal(set_processes(HOST_1, bad[i]), ERR_INVALID);
        assert_non_null(strstr(why, "processes[0]"));
    }
    /* What was known stays. */
    AUTOJSON json_t *list = processes_of(HOST_1);
    assert_int_equal(json_array_size(list), 1);
}

#define WITH_EXIT(end)                                                                             \
    "[{\"app\":\"web\",\"instance\":0,\"status\":\"online\",\"kinds\":{},\"exit\":" end "}]"

static void looks_at_every_field_of_an_end(void **state)
{
    static const char *const bad[] = {
        "7",
        "{}",
        "{\"at_ms\":5,\"core\":false,\"asked\":true,\"uptime_ms\":1}",
        "{\"at_ms\":0,\"code\":1,\"core\":false,\"asked\":true,\"uptime_ms\":1}",
        "{\"at_ms\":5,\"code\":256,\"core\":false,\"asked\":true,\"uptime_ms\":1}",
        "{\"at_ms\":5,\"signal\":0,\"core\":false,\"asked\":true,\"uptime_ms\":1}",
        "{\"at_ms\":5,\"code\":1,\"signal\":9,\"core\":false,\"asked\":true,\"uptime_ms\":1}",
        "{\"at_ms\":5,\"code\":1,\"core\":0,\"asked\":true,\"uptime_ms\":1}",
        "{\"at_ms\":5,\"code\":1,\"core\":false,\"uptime_ms\":1}",
        "{\"at_ms\":5,\"code\":1,\"core\":false,\"asked\":true,\"uptime_ms\":-1}",
    };
    for (size_t i = 0; i < ARRAY_SIZE(bad); i++) {
        AUTOFREE char *list = xasprintf(WITH_EXIT("%s"), bad[i]);
        assert_int_equal(set_processes(HOST_1, list), ERR_INVALID);
        assert_non_null(strstr(why, "\"exit\""));
    }
    assert_int_equal(set_processes(HOST_1, WITH_EXIT("{\"at_ms\":5,\"signal\":9,\"core\":true,"
                                                     "\"asked\":false,\"uptime_ms\":1,"
                                                     "\"env\":\"SECRET\"}")),
                     0);
    AUTOJSON json_t *list = processes_of(HOST_1);
    const json_t *end = json_object_get(json_array_get(list, 0), "exit");
    assert_int_equal(json_object_size(end), 5);
    assert_int_equal(json_get_int(end, "signal", 0), 9);
    assert_true(json_get_bool(end, "core", false));
}

static void lets_nothing_foreign_in(void **state)
{
    connect_host(HOST_1, true);
    assert_int_equal(set_processes(HOST_1,
                                   "[{\"app\":\"a\\u001bb\",\"instance\":0,\"status\":\"online\","
                                   "\"env\":{\"SECRET\":\"x\"},\"argv\":[1],\"kinds\":{}}]"),
                     0);
    AUTOJSON json_t *list = processes_of(HOST_1);
    AUTOFREE char *text = json_dumps(list, 0);
    assert_null(strstr(text, "SECRET"));
    assert_null(strstr(text, "argv"));
    assert_non_null(strstr(text, "a?b"));
}

static void says_what_can_be_captured(void **state)
{
    assert_int_equal(check("nobody", "web", 0, "cpu"), ERR_NOT_FOUND);
    /* Not connected: the command waits. */
    assert_int_equal(check(HOST_1, "web", 0, "cpu"), 0);
    connect_host(HOST_1, true);
    assert_int_equal(check(HOST_1, "web", 0, "cpu"), 0);
    assert_int_equal(set_processes(HOST_1, "[" PROCESS "]"), 0);
    assert_int_equal(check(HOST_1, "web", 0, "cpu"), 0);
    assert_int_equal(check(HOST_1, "web", 1, "cpu"), ERR_NOT_FOUND);
    assert_int_equal(check(HOST_1, "api", 0, "cpu"), ERR_NOT_FOUND);
    assert_int_equal(check(HOST_1, "web", 0, "heap"), ERR_UNSUPPORTED);
    assert_string_equal(why, "host web-1: it is too old");
    assert_int_equal(check(HOST_1, "web", 0, "trace"), ERR_UNSUPPORTED);
}

static char revoked[UUID_TEXT];

static void on_revoked(void *arg, const char *host)
{
    (void)snprintf(revoked, sizeof revoked, "%s", host);
}

static void finds_hosts_that_somebody_else_revoked(void **state)
{
    struct db *db;
    revoked[0] = '\0';
    fleet_on_revoked(fleet, on_revoked, NULL);
    assert_int_equal(db_open(folder, &db), 0);
    assert_int_equal(db_begin(db), 0);
    assert_int_equal(hosts_revoke(db, HOST_2, 77), 0);
    assert_int_equal(db_commit(db), 0);
    db_close(db);
    fleet_load(fleet, NULL, NULL);
    settle();
    assert_string_equal(revoked, HOST_2);
    assert_int_equal(check(HOST_2, "web", 0, "cpu"), ERR_REVOKED);
    revoked[0] = '\0';
    fleet_load(fleet, NULL, NULL);
    settle();
    assert_string_equal(revoked, "");
}

static void what_was_read_before_does_not_undo_what_is_known(void **state)
{
    struct host_row row = *fleet_get(fleet, HOST_1);
    struct host_row old = row;
    row.revoked_ms = 5;
    row.cert_not_after_ms = 99999;
    fleet_put(fleet, &row);
    fleet_put(fleet, &old);
    assert_int_equal(fleet_get(fleet, HOST_1)->revoked_ms, 5);
    assert_int_equal(fleet_get(fleet, HOST_1)->cert_not_after_ms, 99999);
}

int main(void)
{
#define TEST(name) cmocka_unit_test_setup_teardown(name, make_console, remove_console)
    const struct CMUnitTest tests[] = {
        TEST(knows_the_hosts_of_the_store),
        TEST(writes_when_a_host_comes_and_goes_and_not_in_between),
        TEST(keeps_what_runs_there_as_our_own),
        TEST(makes_no_events_that_nobody_sees),
        TEST(lists_are_whole_in_pieces_of_any_size),
        TEST(a_list_is_told_as_it_was_while_the_next_one_comes),
        TEST(old_lists_are_not_held_without_limit),
        TEST(more_processes_than_a_host_may_have_are_refused),
        TEST(viewers_are_told_of_one_host_once_a_second),
        TEST(refuses_foreign_lists),
        TEST(looks_at_every_field_of_an_end),
        TEST(lets_nothing_foreign_in),
        TEST(says_what_can_be_captured),
        TEST(finds_hosts_that_somebody_else_revoked),
        TEST(what_was_read_before_does_not_undo_what_is_known),
    };
    return cmocka_run_group_tests(tests, NULL, NULL);
}
