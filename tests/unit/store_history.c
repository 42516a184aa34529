/* What processes used and how they ended: packed minutes, series, spans, exits, and their ends. */
#include "remote/store/history.h"

#include "tests/unit/store_support.h"

#include "lib/base/limits.h"
#include "remote/store/exits.h"
#include "remote/store/series.h"
#include "remote/store/sql.h"

#define MINUTE INT64_C(60000)
#define HOUR (60 * MINUTE)
#define DAY (24 * HOUR)
#define NOW (INT64_C(1800000000000) / DAY * DAY) /* a whole day */

static int64_t count(const char *sql)
{
    int64_t value = -1;
    assert_int_equal(sql_get_int(db, sql, NO_ARGS, &value), 1);
    return value;
}

static struct minute a_minute(int64_t at_ms, unsigned have, uint32_t cpu, uint32_t pages)
{
    struct minute m = {.number = minute_of(at_ms), .have = have};
    for (unsigned i = 0; i < MINUTE_PLACES; i++)
        if (have & 1u << i)
            m.values[i] = (struct minute_value){cpu, pages};
    return m;
}

static int try_add(const char *host, const char *app, const struct minute *m)
{
    struct history_row row = {.seen_ms = m->number * MINUTE, .app = xstrdup(app), .minute = *m};
    (void)snprintf(row.host, sizeof row.host, "%s", host);
    begin();
    int r = history_add(db, &row);
    commit();
    history_row_clear(&row);
    return r;
}

static void add(const char *app, int64_t at_ms, unsigned have, uint32_t cpu, uint32_t pages)
{
    struct minute m = a_minute(at_ms, have, cpu, pages);
    assert_int_equal(try_add(HOST_1, app, &m), 0);
}

static void retain(int64_t now_ms)
{
    static const struct retention nothing = {0};
    for (int r = 1; r == 1;) {
        begin();
        r = retention_step(db, &nothing, now_ms);
        assert_true(r >= 0);
        commit();
    }
}

static struct series series_of(const char *app, int64_t from_ms, int64_t to_ms, size_t points)
{
    struct series s;
    series_init(&s, from_ms, to_ms, points);
    assert_int_equal(history_read(db, HOST_1, app, 0, NULL, 0, &s), 0);
    return s;
}

/* ---- minutes --------------------------------------------------------------------------------- */

static void a_minute_is_the_same_after_packing(void **state)
{
    static const uint32_t numbers[] = {0, 1, 63, 64, 127, 128, 16384, 10000000, UINT32_MAX};
    uint8_t bytes[MINUTE_PACKED];
    for (unsigned have = 0; have < 1u << MINUTE_PLACES; have += 37) {
        struct minute m = {.number = 7, .have = have}, back;
        for (unsigned i = 0; i < MINUTE_PLACES; i++)
            if (have & 1u << i)
                m.values[i] = (struct minute_value){numbers[(i + have) % ARRAY_SIZE(numbers)],
                                                    numbers[(i * 5 + have) % ARRAY_SIZE(numbers)]};
        size_t len = minute_pack(&m, bytes);
        assert_true(len <= MINUTE_PACKED);
        assert_int_equal(minute_unpack(7, bytes, len, &back), 0);
        assert_memory_equal(&m, &back, sizeof m);
    }
}

static void an_ordinary_minute_takes_forty_bytes(void **state)
{
    uint8_t bytes[MINUTE_PACKED];
    struct minute m = {.number = 7};
    for (int i = 0; i < MINUTE_PLACES; i++)
        minute_set(&m, 7 * MINUTE + i * 5000, 1.5 + i, (int64_t)(20000 + i * 7) * 4096);
    assert_true(minute_pack(&m, bytes) <= 44);
}

static void damaged_bytes_are_no_minute(void **state)
{
    struct minute m = a_minute(0, 0xfff, 300, 70000), back;
    uint8_t bytes[MINUTE_PACKED + 1] = {0};
    size_t len = minute_pack(&m, bytes);
    for (size_t cut = 0; cut < len; cut++) {
        AUTOFREE uint8_t *copy = xcalloc(1, cut + 1);
        memcpy(copy, bytes, cut);
        assert_int_equal(minute_unpack(0, copy, cut, &back), ERR_INVALID);
    }
    assert_int_equal(minute_unpack(0, bytes, len + 1, &back), ERR_INVALID);
    bytes[1] = 0xff;
    assert_int_equal(minute_unpack(0, bytes, len, &back), ERR_INVALID);
    static const uint8_t endless[] = {1, 0, 0x80, 0x80, 0x80, 0x80, 0x80, 0x80, 0};
    assert_int_equal(minute_unpack(0, endless, sizeof endless, &back), ERR_INVALID);
    static const uint8_t negative[] = {1, 0, 0, 3};
    assert_int_equal(minute_unpack(0, negative, sizeof negative, &back), ERR_INVALID);
}

static void values_go_to_their_places(void **state)
{
    struct minute m = {.number = 1}, other = {.number = 1};
    minute_set(&m, MINUTE + 4999, 12.34, 8192);
    minute_set(&m, MINUTE + 59999, 1e12, INT64_MAX);
    minute_set(&m, MINUTE + 5000, -3, 0);
    minute_set(&m, MINUTE + 5001, 1, 4096);
    assert_int_equal(m.have, 1 | 2 | 1 << 11);
    assert_int_equal(m.values[0].cpu, 123);
    assert_int_equal(m.values[0].pages, 2);
    assert_int_equal(m.values[1].cpu, 10);
    assert_int_equal(m.values[11].cpu, UINT32_MAX);
    assert_int_equal(m.values[11].pages, UINT32_MAX);
    minute_set(&other, MINUTE + 100, 99, 0);
    minute_set(&other, MINUTE + 10000, 5, 0);
    minute_merge(&m, &other);
    assert_int_equal(m.have, 1 | 2 | 4 | 1 << 11);
    assert_int_equal(m.values[0].cpu, 123);
    assert_int_equal(m.values[2].cpu, 50);
}

/* ---- series ---------------------------------------------------------------------------------- */

static void a_series_has_no_more_points_than_asked_for_and_covers_its_time(void **state)
{
    static const int64_t lengths[] = {1, 4999, 5000, 5001, 60000, HOUR, HOUR + 1, DAY, 31 * DAY};
    static const size_t mosts[] = {1, 2, 3, 599, 600, 2000};
    for (size_t i = 0; i < ARRAY_SIZE(lengths); i++)
        for (size_t n = 0; n < ARRAY_SIZE(mosts); n++)
            for (int64_t from = NOW - 7001; from < NOW + 7001; from += 1999) {
                struct series s;
                series_init(&s, from, from + lengths[i], mosts[n]);
                assert_true(s.count >= 1 && s.count <= mosts[n]);
                assert_int_equal(s.step_ms % 5000, 0);
                assert_int_equal(s.from_ms % s.step_ms, 0);
                assert_true(s.from_ms <= from);
                assert_true(s.from_ms + (int64_t)s.count * s.step_ms >= from + lengths[i]);
                series_clear(&s);
            }
}

static void points_are_averages_of_cpu_and_the_most_of_memory(void **state)
{
    add("web", NOW, 0xfff, 100, 10);
    add("web", NOW + MINUTE, 0xfff, 300, 30);
    add("web", NOW + 3 * MINUTE, 0xfff, 500, 20);
    struct series s = series_of("web", NOW, NOW + 4 * MINUTE, 3);
    assert_int_equal(s.step_ms, 2 * MINUTE);
    assert_int_equal(s.count, 2);
    assert_int_equal(s.points[0].cpu / s.points[0].samples, 200);
    assert_int_equal(s.points[0].memory, 30 * 4096);
    assert_int_equal(s.points[1].cpu / s.points[1].samples, 500);
    assert_int_equal(s.points[1].samples, 12);
    series_clear(&s);
}

static void gaps_are_gaps_but_one_late_value_is_none(void **state)
{
    /* 0, 5, (10), 15, 20, (25), (30), 35 … then nothing, and on in the next minute but one. */
    add("web", NOW, 1 | 2 | 8 | 16 | 128, 100, 10);
    add("web", NOW + 2 * MINUTE, 1, 100, 10);
    struct series s = series_of("web", NOW, NOW + 2 * MINUTE + 5000, 2000);
    static const char known[] = "11111..1................1";
    assert_int_equal(s.count, 25);
    for (size_t i = 0; i < s.count; i++)
        assert_int_equal(s.points[i].samples, known[i] == '1');
    series_clear(&s);
}

static void a_series_is_of_one_process(void **state)
{
    struct minute m = a_minute(NOW, 1, 700, 7);
    add("web", NOW, 1, 100, 10);
    add("api", NOW, 1, 300, 30);
    assert_int_equal(try_add(HOST_2, "web", &m), 0);
    struct series s = series_of("web", NOW, NOW + 5000, 10);
    assert_int_equal(s.points[0].samples, 1);
    assert_int_equal(s.points[0].cpu, 100);
    series_clear(&s);
    s = series_of("nobody", NOW, NOW + 5000, 10);
    assert_int_equal(s.points[0].samples, 0);
    series_clear(&s);
}

static void what_is_not_stored_yet_counts_once(void **state)
{
    struct series s;
    struct minute newest[2] = {a_minute(NOW, 2, 300, 9), a_minute(NOW + MINUTE, 1, 500, 9)};
    add("web", NOW, 1, 100, 10);
    series_init(&s, NOW, NOW + 2 * MINUTE, 2000);
    assert_int_equal(history_read(db, HOST_1, "web", 0, newest, 2, &s), 0);
    assert_int_equal(s.points[0].cpu, 100);
    assert_int_equal(s.points[1].cpu, 300);
    assert_int_equal(s.points[12].cpu, 500);
    series_clear(&s);
    /* It was stored in between. */
    add("web", NOW, 2, 300, 9);
    series_init(&s, NOW, NOW + 2 * MINUTE, 2000);
    assert_int_equal(history_read(db, HOST_1, "web", 0, newest, 2, &s), 0);
    assert_int_equal(s.points[1].samples, 1);
    series_clear(&s);
    /* Nothing of it is stored at all. */
    series_init(&s, NOW, NOW + 2 * MINUTE, 2000);
    assert_int_equal(history_read(db, HOST_1, "new", 0, newest, 2, &s), 0);
    assert_int_equal(s.points[12].cpu, 500);
    series_clear(&s);
}

static void two_parts_of_a_minute_become_one_row(void **state)
{
    add("web", NOW, 1 | 2, 100, 10);
    add("web", NOW, 2 | 4, 300, 30);
    assert_int_equal(count("SELECT COUNT(*) FROM minutes"), 1);
    assert_int_equal(count("SELECT COUNT(*) FROM processes"), 1);
    struct series s = series_of("web", NOW, NOW + 15000, 10);
    assert_int_equal(s.points[0].cpu, 100);
    assert_int_equal(s.points[1].cpu, 300);
    assert_int_equal(s.points[2].cpu, 300);
    series_clear(&s);
}

static void a_damaged_row_is_a_gap(void **state)
{
    add("web", NOW, 1, 100, 10);
    add("web", NOW + MINUTE, 1, 100, 10);
    begin();
    assert_int_equal(sql_run(db, "UPDATE minutes SET data = X'ffff' WHERE minute = ?",
                             ARGS(INT(minute_of(NOW)))),
                     1);
    commit();
    struct series s = series_of("web", NOW, NOW + 2 * MINUTE, 2000);
    assert_int_equal(s.points[0].samples, 0);
    assert_int_equal(s.points[12].samples, 1);
    series_clear(&s);
    /* And does not hinder its own end. */
    add("web", NOW, 2, 100, 10);
    retain(NOW + 2 * DAY);
    assert_int_equal(count("SELECT COUNT(*) FROM minutes"), 0);
}

static void a_process_is_found_by_its_number(void **state)
{
    struct minute m = a_minute(NOW, 1, 100, 10);
    struct history_row row = {.seen_ms = NOW, .app = xstrdup("web"), .minute = m};
    (void)snprintf(row.host, sizeof row.host, "%s", HOST_1);
    begin();
    assert_int_equal(history_add(db, &row), 0);
    struct history_row next = {.process = row.process,
                               .minute = a_minute(NOW + MINUTE, 1, 100, 10)};
    assert_int_equal(history_add(db, &next), 0);
    commit();
    history_row_clear(&row);
    assert_int_equal(count("SELECT COUNT(DISTINCT process) FROM minutes"), 1);
    assert_int_equal(count("SELECT COUNT(*) FROM minutes"), 2);
}

static void a_host_does_not_fill_the_disk_with_names(void **state)
{
    struct minute m = a_minute(NOW, 1, 100, 10);
    begin();
    assert_int_equal(sql_run(db,
                             "WITH RECURSIVE n (i) AS (SELECT 1 UNION ALL SELECT i + 1 FROM n"
                             " WHERE i < ?2) INSERT INTO processes (host, app, instance, seen_ms)"
                             " SELECT ?1, 'a' || i, 0, 1 FROM n",
                             ARGS(TEXT(HOST_1), INT(LIMIT_HOST_HISTORY))),
                     LIMIT_HOST_HISTORY);
    commit();
    assert_int_equal(try_add(HOST_1, "one more", &m), ERR_TOO_BIG);
    assert_int_equal(try_add(HOST_1, "a7", &m), 0);
    assert_int_equal(try_add(HOST_2, "one more", &m), 0);
    assert_int_equal(try_add("01890a5d-ac96-774b-bcce-b302099a8059", "web", &m), ERR_NOT_FOUND);
}

/* ---- thinning -------------------------------------------------------------------------------- */

static void after_a_day_ten_minutes_become_one_row(void **state)
{
    for (int i = 0; i < 20; i++)
        add("web", NOW + i * MINUTE, 0xfff, i < 10 ? 100 + (uint32_t)i * 10 : 500,
            10 + (uint32_t)i);
    add("api", NOW + 5 * MINUTE, 1, 7, 7);
    /* The second ten minutes are not a day old at their end. */
    retain(NOW + DAY + 15 * MINUTE);
    assert_int_equal(count("SELECT COUNT(*) FROM spans"), 2);
    assert_int_equal(count("SELECT COUNT(*) FROM minutes"), 10);
    assert_int_equal(count("SELECT samples FROM spans ORDER BY process LIMIT 1"), 120);
    assert_int_equal(count("SELECT cpu FROM spans ORDER BY process LIMIT 1"), 145);
    assert_int_equal(count("SELECT cpu_most FROM spans ORDER BY process LIMIT 1"), 190);
    assert_int_equal(count("SELECT pages FROM spans ORDER BY process LIMIT 1"), 14);
    assert_int_equal(count("SELECT pages_most FROM spans ORDER BY process LIMIT 1"), 19);
    struct series s = series_of("web", NOW - 10 * MINUTE, NOW + 20 * MINUTE, 31);
    assert_int_equal(s.step_ms, MINUTE);
    for (size_t i = 0; i < s.count; i++) {
        int64_t expected = i < 10 ? 0 : i < 20 ? 145 : 500;
        assert_int_equal(s.points[i].samples ? s.points[i].cpu / s.points[i].samples : 0, expected);
    }
    assert_int_equal(s.points[10].memory, 19 * 4096);
    series_clear(&s);
}

static void a_span_that_is_there_counts_with_its_samples(void **state)
{
    add("web", NOW, 0xfff, 100, 10);
    retain(NOW + 2 * DAY);
    /* The clock was put back. */
    add("web", NOW + MINUTE, 0xf, 500, 50);
    retain(NOW + 2 * DAY);
    assert_int_equal(count("SELECT COUNT(*) FROM spans"), 1);
    assert_int_equal(count("SELECT samples FROM spans"), 16);
    assert_int_equal(count("SELECT cpu FROM spans"), 200);
    assert_int_equal(count("SELECT cpu_most FROM spans"), 500);
    assert_int_equal(count("SELECT pages_most FROM spans"), 50);
}

static void a_step_is_bounded(void **state)
{
    static const struct retention nothing = {0};
    char app[20];
    begin();
    for (int i = 0; i < 350; i++) {
        struct history_row row = {.seen_ms = NOW, .minute = a_minute(NOW, 1, 100, 10)};
        (void)snprintf(app, sizeof app, "web%d", i);
        (void)snprintf(row.host, sizeof row.host, "%s", HOST_1);
        row.app = xstrdup(app);
        assert_int_equal(history_add(db, &row), 0);
        history_row_clear(&row);
    }
    commit();
    begin();
    assert_int_equal(retention_step(db, &nothing, NOW + 2 * DAY), 1);
    commit();
    assert_int_equal(count("SELECT COUNT(*) FROM spans"), 100);
    assert_int_equal(count("SELECT COUNT(*) FROM minutes"), 250);
    retain(NOW + 2 * DAY);
    assert_int_equal(count("SELECT COUNT(*) FROM spans"), 350);
}

static void spans_go_after_a_month_and_processes_after_three(void **state)
{
    add("web", NOW, 1, 100, 10);
    retain(NOW + 2 * DAY);
    retain(NOW + 30 * DAY);
    assert_int_equal(count("SELECT COUNT(*) FROM spans"), 1);
    retain(NOW + 30 * DAY + HOUR);
    assert_int_equal(count("SELECT COUNT(*) FROM spans"), 0);
    assert_int_equal(count("SELECT COUNT(*) FROM processes"), 1);
    retain(NOW + 92 * DAY);
    assert_int_equal(count("SELECT COUNT(*) FROM processes"), 0);
    assert_int_equal(count("SELECT processes FROM hosts WHERE name = 'one'"), 0);
    /* One that comes again gets another number. */
    add("web", NOW + 92 * DAY, 1, 100, 10);
    assert_int_equal(count("SELECT id FROM processes"), 2);
}

/* ---- exits ----------------------------------------------------------------------------------- */

static int add_exit(const char *app, int64_t at_ms)
{
    const struct exit_row row = {
        .at_ms = at_ms, .by_signal = at_ms % 2, .number = 9, .core = true, .uptime_ms = 77};
    begin();
    int r = exits_add(db, HOST_1, app, 0, &row, NOW);
    commit();
    return r;
}

static void assert_exits(const char *app, size_t limit, const char *expected)
{
    struct exit_list list;
    AUTOBUF struct buf found = BUF_INIT(4000);
    assert_int_equal(exits_list(db, HOST_1, app, 0, limit, &list), 0);
    for (size_t i = 0; i < list.count; i++)
        assert_int_equal(buf_addf(&found, "%ld ", (long)(list.rows[i].at_ms - NOW)), 0);
    assert_string_equal(buf_str(&found), expected);
    exit_list_clear(&list);
}

static void ends_are_there_once_and_newest_first(void **state)
{
    struct exit_list list;
    assert_exits("web", 10, "");
    for (int i = 1; i <= 3; i++)
        assert_int_equal(add_exit("web", NOW + i), 0);
    assert_int_equal(add_exit("web", NOW + 2), 0);
    assert_int_equal(add_exit("api", NOW + 9), 0);
    assert_exits("web", 10, "3 2 1 ");
    assert_exits("web", 2, "3 2 ");
    assert_int_equal(exits_list(db, HOST_1, "api", 0, 10, &list), 0);
    assert_true(list.rows[0].by_signal && list.rows[0].core && !list.rows[0].asked);
    assert_int_equal(list.rows[0].number, 9);
    assert_int_equal(list.rows[0].uptime_ms, 77);
    exit_list_clear(&list);
}

static void the_last_thousand_ends_are_kept(void **state)
{
    const struct exit_row row = {.at_ms = 1};
    begin();
    for (int i = 0; i < (int)LIMIT_EXITS + 20; i++) {
        struct exit_row one = row;
        one.at_ms = NOW + i;
        assert_int_equal(exits_add(db, HOST_1, "web", 0, &one, NOW), 0);
    }
    commit();
    assert_int_equal(count("SELECT COUNT(*) FROM exits"), LIMIT_EXITS);
    assert_int_equal(count("SELECT MIN(at_ms) FROM exits"), NOW + 20);
}

static void ends_go_after_ninety_days(void **state)
{
    assert_int_equal(add_exit("web", NOW), 0);
    assert_int_equal(add_exit("web", NOW + DAY), 0);
    retain(NOW + 90 * DAY + 1);
    assert_exits("web", 10, "86400000 ");
    /* With their process, whatever their host's clock said. */
    assert_int_equal(add_exit("web", NOW + 1000 * DAY), 0);
    retain(NOW + 92 * DAY);
    assert_int_equal(count("SELECT COUNT(*) FROM exits"), 0);
}

/* A store of the version before: its rows stay. */
static void an_older_database_gets_the_tables(void **state)
{
    begin();
    assert_int_equal(sql_run(db, "DROP TABLE exits", NO_ARGS) >= 0, 1);
    commit();
    begin();
    (void)sql_run(db, "DROP TABLE processes", NO_ARGS);
    (void)sql_run(db, "ALTER TABLE hosts DROP COLUMN processes", NO_ARGS);
    (void)sql_run(db, "DROP TABLE minutes", NO_ARGS);
    (void)sql_run(db, "DROP TABLE spans", NO_ARGS);
    (void)sql_run(db, "PRAGMA user_version = 1", NO_ARGS);
    commit();
    reopen_db();
    add("web", NOW, 1, 100, 10);
    assert_int_equal(count("SELECT COUNT(*) FROM hosts"), 2);
}

int main(void)
{
#define TEST(name) cmocka_unit_test_setup_teardown(name, make_db, remove_db)
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(a_minute_is_the_same_after_packing),
        cmocka_unit_test(an_ordinary_minute_takes_forty_bytes),
        cmocka_unit_test(damaged_bytes_are_no_minute),
        cmocka_unit_test(values_go_to_their_places),
        cmocka_unit_test(a_series_has_no_more_points_than_asked_for_and_covers_its_time),
        TEST(points_are_averages_of_cpu_and_the_most_of_memory),
        TEST(gaps_are_gaps_but_one_late_value_is_none),
        TEST(a_series_is_of_one_process),
        TEST(what_is_not_stored_yet_counts_once),
        TEST(two_parts_of_a_minute_become_one_row),
        TEST(a_damaged_row_is_a_gap),
        TEST(a_process_is_found_by_its_number),
        TEST(a_host_does_not_fill_the_disk_with_names),
        TEST(after_a_day_ten_minutes_become_one_row),
        TEST(a_span_that_is_there_counts_with_its_samples),
        TEST(a_step_is_bounded),
        TEST(spans_go_after_a_month_and_processes_after_three),
        TEST(ends_are_there_once_and_newest_first),
        TEST(the_last_thousand_ends_are_kept),
        TEST(ends_go_after_ninety_days),
        TEST(an_older_database_gets_the_tables),
    };
    return cmocka_run_group_tests(tests, NULL, NULL);
}
