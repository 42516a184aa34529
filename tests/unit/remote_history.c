/* What the console gathers of the processes: minutes in memory, rows of the store, ends. */
#include "remote/history.h"

#include "tests/unit/remote_console.h"

#include "lib/base/limits.h"
#include "remote/store/exits.h"
#include "remote/store/history.h"
#include "remote/store/series.h"
#include "remote/store/sql.h"

#define MINUTE INT64_C(60000)

static struct history *history;
static int64_t now_ms; /* the begin of a minute, and later */

static int set_up(void **state)
{
    int r = make_console(state);
    history = history_new(&loop, store);
    now_ms = (loop_wall_ms() / MINUTE + 1) * MINUTE;
    history_tick(history, now_ms);
    return r;
}

/* As the console does it. */
static void close_it(void)
{
    history_close(history);
    close_console();
    history_free(history);
}

static int tear_down(void **state)
{
    close_it();
    assert_int_equal(uv_loop_close(&loop), 0);
    return remove_folder(state);
}

static json_t *a_process(const char *app, int64_t instance, double cpu)
{
    return json_pack("{s:s,s:I,s:i,s:s,s:f,s:i,s:{}}", "app", app, "instance", (json_int_t)instance,
                     "pid", 7, "status", "online", "cpu", cpu, "memory", 8192, "kinds");
}

static void take(const char *host, json_t *process)
{
    AUTOJSON json_t *list = json_array();
    if (process)
        (void)json_array_append_new(list, process);
    history_take(history, host, list, now_ms);
}

static struct minute recent(const char *app, size_t expected)
{
    struct minute m[HISTORY_RECENT] = {{0}};
    assert_int_equal(history_recent(history, HOST_1, app, 0, m), expected);
    return m[expected ? expected - 1 : 0];
}

static int64_t count(const char *sql)
{
    struct db *db;
    int64_t value = -1;
    assert_int_equal(db_open(folder, &db), 0);
    assert_int_equal(sql_get_int(db, sql, NO_ARGS, &value), 1);
    db_close(db);
    return value;
}

static void a_minute_is_gathered_and_then_stored(void **state)
{
    take(HOST_1, a_process("web", 0, 10));
    now_ms += 5000;
    take(HOST_1, a_process("web", 0, 20));
    take(HOST_2, a_process("web", 0, 99));
    struct minute m = recent("web", 1);
    assert_int_equal(m.number, now_ms / MINUTE);
    assert_int_equal(m.have, 3);
    assert_int_equal(m.values[0].cpu, 100);
    assert_int_equal(m.values[1].cpu, 200);
    assert_int_equal(m.values[1].pages, 2);
    settle();
    assert_int_equal(count("SELECT COUNT(*) FROM minutes"), 0);
    now_ms += MINUTE;
    history_tick(history, now_ms);
    /* On its way it is still known. */
    m = recent("web", 1);
    assert_int_equal(m.have, 3);
    settle();
    (void)recent("web", 0);
    assert_int_equal(count("SELECT COUNT(*) FROM minutes"), 2);
    assert_int_equal(count("SELECT COUNT(*) FROM processes"), 2);
}

static void what_comes_in_the_next_minute_does_not_wait_for_the_clock(void **state)
{
    take(HOST_1, a_process("web", 0, 10));
    now_ms += MINUTE;
    take(HOST_1, a_process("web", 0, 30));
    struct minute m = recent("web", 2);
    assert_int_equal(m.values[0].cpu, 300);
    settle();
    m = recent("web", 1);
    assert_int_equal(count("SELECT COUNT(*) FROM minutes"), 1);
    /* Known by its number now: the name is not looked for again. */
    now_ms += MINUTE;
    history_tick(history, now_ms);
    settle();
    assert_int_equal(count("SELECT COUNT(*) FROM minutes"), 2);
    assert_int_equal(count("SELECT COUNT(*) FROM processes"), 1);
}

static void what_is_gathered_is_stored_at_the_end(void **state)
{
    take(HOST_1, a_process("web", 0, 10));
    close_it();
    assert_int_equal(count("SELECT COUNT(*) FROM minutes"), 1);
    open_console();
    history = history_new(&loop, store);
}

static void a_process_that_does_not_run_is_a_gap(void **state)
{
    json_t *stopped = a_process("web", 0, 0);
    json_set_int(stopped, "pid", 0);
    take(HOST_1, stopped);
    (void)recent("web", 0);
    now_ms += MINUTE;
    history_tick(history, now_ms);
    settle();
    assert_int_equal(count("SELECT COUNT(*) FROM minutes"), 0);
}

static void more_than_one_piece_of_work(void **state)
{
    AUTOJSON json_t *list = json_array();
    for (int i = 0; i < 2500; i++)
        (void)json_array_append_new(list, a_process("web", i, i));
    history_take(history, HOST_1, list, now_ms);
    now_ms += MINUTE;
    history_tick(history, now_ms);
    settle();
    assert_int_equal(count("SELECT COUNT(*) FROM minutes"), 2500);
}

/* It gives its processes new names with each message: what is kept of it is bounded, and is forgotten. */
static void a_host_has_a_limit(void **state)
{
    char app[32];
    for (int i = 0; i < (int)LIMIT_INSTANCES + 100; i++) {
        (void)snprintf(app, sizeof app, "web%d", i);
        take(HOST_1, a_process(app, 0, 1));
    }
    take(HOST_2, a_process("web", 0, 1));
    now_ms += MINUTE;
    history_tick(history, now_ms);
    settle();
    assert_int_equal(count("SELECT COUNT(*) FROM minutes"), LIMIT_INSTANCES + 1);
    take(HOST_1, a_process("another", 0, 1));
    (void)recent("another", 0);
    now_ms += MINUTE;
    history_tick(history, now_ms);
    settle();
    take(HOST_1, a_process("another", 0, 1));
    (void)recent("another", 1);
}

static void names_are_made_fit_to_be_shown(void **state)
{
    take(HOST_1, a_process("a\x1b[2J", 0, 1));
    (void)recent("a?[2J", 1);
}

static void nothing_is_kept_without_a_history(void **state)
{
    struct minute m[HISTORY_RECENT];
    history_take(NULL, HOST_1, NULL, now_ms);
    assert_int_equal(history_recent(NULL, HOST_1, "web", 0, m), 0);
    history_free(NULL);
}

/* ---- ends ------------------------------------------------------------------------------------ */

static json_t *an_end(int64_t at_ms, const char *how, int number)
{
    json_t *process = a_process("web", 0, 1);
    (void)json_object_set_new(process, "exit",
                              json_pack("{s:I,s:i,s:b,s:b,s:i}", "at_ms", (json_int_t)at_ms, how,
                                        number, "core", 0, "asked", 1, "uptime_ms", 5));
    return process;
}

static struct exit_list exits(void)
{
    struct db *db;
    struct exit_list list;
    assert_int_equal(db_open(folder, &db), 0);
    assert_int_equal(exits_list(db, HOST_1, "web", 0, 100, &list), 0);
    db_close(db);
    return list;
}

static void an_end_is_stored_at_once_and_once(void **state)
{
    for (int i = 0; i < 3; i++)
        take(HOST_1, an_end(1000, "code", 3));
    settle();
    take(HOST_1, an_end(1000, "code", 3));
    take(HOST_1, an_end(2000, "signal", 9));
    settle();
    struct exit_list list = exits();
    assert_int_equal(list.count, 2);
    assert_true(list.rows[0].by_signal && list.rows[0].asked && !list.rows[0].core);
    assert_int_equal(list.rows[0].number, 9);
    assert_false(list.rows[1].by_signal);
    assert_int_equal(list.rows[1].number, 3);
    assert_int_equal(list.rows[1].uptime_ms, 5);
    exit_list_clear(&list);
}

static void while_ends_are_on_their_way_the_next_wait(void **state)
{
    take(HOST_1, an_end(1000, "code", 3));
    take(HOST_1, an_end(2000, "code", 3));
    settle();
    struct exit_list list = exits();
    assert_int_equal(list.count, 1);
    exit_list_clear(&list);
    take(HOST_1, an_end(2000, "code", 3));
    settle();
    list = exits();
    assert_int_equal(list.count, 2);
    exit_list_clear(&list);
}

static void an_end_that_could_not_be_stored_is_tried_again(void **state)
{
    struct db *db;
    /* Takes the table away, as a disk would that is full. */
    assert_int_equal(db_open(folder, &db), 0);
    assert_int_equal(db_begin(db), 0);
    assert_true(sql_run(db, "ALTER TABLE exits RENAME TO hidden", NO_ARGS) >= 0);
    assert_int_equal(db_commit(db), 0);
    take(HOST_1, an_end(1000, "code", 3));
    settle();
    assert_int_equal(db_begin(db), 0);
    assert_true(sql_run(db, "ALTER TABLE hidden RENAME TO exits", NO_ARGS) >= 0);
    assert_int_equal(db_commit(db), 0);
    db_close(db);
    take(HOST_1, an_end(1000, "code", 3));
    settle();
    struct exit_list list = exits();
    assert_int_equal(list.count, 0);
    exit_list_clear(&list);
    now_ms += MINUTE;
    take(HOST_1, an_end(1000, "code", 3));
    settle();
    list = exits();
    assert_int_equal(list.count, 1);
    exit_list_clear(&list);
}

int main(void)
{
#define TEST(name) cmocka_unit_test_setup_teardown(name, set_up, tear_down)
    const struct CMUnitTest tests[] = {
        TEST(a_minute_is_gathered_and_then_stored),
        TEST(what_comes_in_the_next_minute_does_not_wait_for_the_clock),
        TEST(what_is_gathered_is_stored_at_the_end),
        TEST(a_process_that_does_not_run_is_a_gap),
        TEST(more_than_one_piece_of_work),
        TEST(a_host_has_a_limit),
        TEST(names_are_made_fit_to_be_shown),
        TEST(nothing_is_kept_without_a_history),
        TEST(an_end_is_stored_at_once_and_once),
        TEST(while_ends_are_on_their_way_the_next_wait),
        TEST(an_end_that_could_not_be_stored_is_tried_again),
    };
    return cmocka_run_group_tests(tests, NULL, NULL);
}
