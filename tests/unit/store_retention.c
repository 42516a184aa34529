#include "remote/store/profiles.h"

#include "tests/unit/store_support.h"

#include "lib/base/loop.h"
#include "remote/store/accounts.h"
#include "remote/store/sql.h"

#define BIG (5u << 20)
#define DAY (24 * 3600 * INT64_C(1000))

static const struct retention nothing = {0};

/* As the server does it: one transaction for each step. */
static int retain(const struct retention *limits, int64_t now_ms)
{
    int steps = 0;
    for (int r = 1; r == 1; steps++) {
        begin();
        r = retention_step(db, limits, now_ms);
        assert_true(r >= 0 && steps < 10000);
        commit();
    }
    return steps - 1;
}

static void set_keep(unsigned n)
{
    char id[UUID_TEXT];
    nth_id(n, id);
    begin();
    assert_int_equal(profiles_set_keep(db, id, true), 0);
    commit();
}

static void assert_there(const char *expected)
{
    struct profile_list list;
    AUTOBUF struct buf found = BUF_INIT(4000);
    assert_int_equal(profiles_list(db, &(struct profile_filter){0}, &list), 0);
    for (size_t i = list.count; i > 0; i--)
        if (!list.rows[i - 1].removed)
            assert_int_equal(buf_addf(&found, "%ld ", strtol(list.rows[i - 1].id + 24, NULL, 16)),
                             0);
    assert_string_equal(buf_str(&found), expected);
    profile_list_clear(&list);
}

static int64_t count(const char *sql)
{
    int64_t value = -1;
    assert_int_equal(sql_get_int(db, sql, NO_ARGS, &value), 1);
    return value;
}

static void does_nothing_when_nothing_is_too_old_or_too_much(void **state)
{
    struct retention limits = RETENTION_DEFAULT;
    for (unsigned i = 1; i <= 5; i++)
        bring_one(i, 1000);
    assert_int_equal(retain(&limits, 10000), 0);
    assert_int_equal(retain(&nothing, INT64_MAX), 0);
    assert_there("1 2 3 4 5 ");
}

static void removes_by_age_and_leaves_what_is_to_be_kept(void **state)
{
    struct retention limits = {.keep_ms = 1000};
    /* Stored at 2000 + n. */
    for (unsigned i = 1; i <= 120; i++)
        bring_one(i, i == 3 ? BIG : 1000);
    set_keep(2);
    assert_int_equal(retain(&limits, 3001), 0);
    assert_true(retain(&limits, 3000 + 118) >= 3);
    assert_there("2 118 119 120 ");
    assert_profile(2, 2, 1000);
    assert_profile(119, 119, 1000);
    /* The holes are given back too. */
    assert_tally("segments", 1, 4000);
    assert_true(retain(&limits, INT64_C(1000000)) > 0);
    assert_there("2 ");
    assert_tally("segments", 1, 1000);
    assert_profile(2, 2, 1000);
}

static void removes_the_oldest_when_it_is_too_much(void **state)
{
    struct retention limits = {.limit_bytes = 15000};
    for (unsigned i = 1; i <= 20; i++)
        bring_one(i, 1000);
    set_keep(1);
    (void)retain(&limits, 0);
    assert_there("1 7 8 9 10 11 12 13 14 15 16 17 18 19 20 ");
    assert_true(tally_of("segments").bytes <= 15000);
    for (unsigned i = 7; i <= 20; i++)
        assert_profile(i, i, 1000);
    bring_one(21, BIG);
    limits.limit_bytes = BIG + 3500;
    (void)retain(&limits, 0);
    assert_there("1 19 20 21 ");
    assert_true(tally_of("segments").bytes <= BIG + 3500);
    limits.limit_bytes = 1;
    (void)retain(&limits, 0);
    assert_there("1 ");
    assert_tally("segments", 1, 1000);
}

static void the_files_stay_below_the_limit_whatever_comes(void **state)
{
    struct retention limits = {.limit_bytes = 100000};
    for (unsigned i = 1; i <= 300; i++) {
        bring_one(i, 100 + (i * 7919) % 9000);
        if (i % 9 == 0)
            set_keep(i);
        if (i % 60 == 0)
            limits.limit_bytes *= 2;
        (void)retain(&limits, 0);
        assert_true(tally_of("segments").bytes <= limits.limit_bytes);
    }
    assert_int_equal(count("SELECT COUNT(*) FROM profiles WHERE keep = 1 AND removed = 1"), 0);
    assert_int_equal(count("SELECT COALESCE(SUM(live_bytes), 0) FROM segments"),
                     count("SELECT SUM(stored_bytes) FROM blobs WHERE segment IS NOT NULL"));
    assert_int_equal(count("SELECT SUM(bytes) FROM segments"), (int64_t)tally_of("segments").bytes);
}

static void a_segment_of_mostly_holes_is_written_anew_while_it_is_read(void **state)
{
    char id[UUID_TEXT];
    struct profile_row row;
    AUTOCLOSE int fd = -1;
    for (unsigned i = 1; i <= 10; i++)
        bring_one(i, 10000);
    nth_id(9, id);
    assert_int_equal(profiles_get(db, id, &row), 0);
    assert_int_equal(profiles_open(db, &row, &fd), 0);
    struct profile_row stale = row;
    for (unsigned i = 1; i <= 4; i++)
        remove_one(i);
    assert_int_equal(retain(&nothing, 0), 0);
    assert_tally("segments", 1, 100000);
    remove_one(6);
    assert_int_equal(retain(&nothing, 0), 1);
    assert_tally("segments", 1, 50000);
    assert_bytes_at(fd, row.offset, 9, 10000);
    assert_profile(9, 9, 10000);
    /* A row that was read before it was moved opens it where it is now. */
    AUTOCLOSE int other = -1;
    assert_int_equal(profiles_open(db, &stale, &other), 0);
    assert_true(stale.segment != row.segment);
    assert_bytes_at(other, stale.offset, 9, 10000);
    reopen_db();
    assert_profile(10, 10, 10000);
    bring_one(11, 100);
    assert_tally("segments", 1, 50100);
}

static void a_rewrite_that_is_rolled_back_moves_nothing(void **state)
{
    for (unsigned i = 1; i <= 4; i++)
        bring_one(i, 1000);
    remove_one(1);
    remove_one(3);
    begin();
    assert_int_equal(retention_step(db, &nothing, 0), 1);
    db_rollback(db);
    assert_tally("segments", 1, 4000);
    assert_profile(2, 2, 1000);
    assert_profile(4, 4, 1000);
}

static void much_is_moved_in_several_steps(void **state)
{
    enum { COUNT = 15, BYTES_EACH = (4 << 20) - 1 };
    for (unsigned i = 1; i <= COUNT; i++)
        bring_one(i, BYTES_EACH);
    assert_tally("segments", 1, (uint64_t)COUNT * BYTES_EACH);
    for (unsigned i = 1; i <= 8; i++)
        remove_one(i);
    assert_int_equal(retain(&nothing, 0), 2);
    assert_tally("segments", 1, 7ull * BYTES_EACH);
    assert_profile(15, 15, BYTES_EACH);
}

static void a_damaged_segment_keeps_its_holes_and_the_rest_goes_on(void **state)
{
    AUTOFREE char *file = in_folder("data/segments/000001.seg");
    for (unsigned i = 1; i <= 4; i++)
        bring_one(i, 1000);
    remove_one(1);
    remove_one(2);
    assert_int_equal(truncate(file, 3500), 0);
    struct retention limits = {.limit_bytes = 3500};
    (void)retain(&limits, 0);
    /* Its holes are no reason to remove anything else. */
    assert_there("3 4 ");
    bring_one(5, 1000);
    (void)retain(&limits, 0);
    assert_there("3 4 5 ");
    assert_profile(5, 5, 1000);
}

static void old_parts_of_captures_that_are_over_are_dropped(void **state)
{
    uint64_t offset;
    uint8_t hash[SHA256_BYTES] = {5};
    static const char *const states[] = {"", "running", "failed"};
    begin();
    for (unsigned i = 0; i < 3; i++) {
        char id[UUID_TEXT];
        nth_id(i, id);
        struct capture_row row = a_capture(id);
        (void)snprintf(row.state, sizeof row.state, "%s", states[i]);
        if (i > 0)
            assert_int_equal(captures_add(db, &row), 0);
        assert_int_equal(incoming_begin(db, id, 100, hash, &offset), 0);
        assert_int_equal(incoming_add(db, id, 0, "x", 1), 0);
    }
    commit();
    assert_int_equal(retain(&nothing, loop_wall_ms() + 6 * DAY), 0);
    assert_tally("incoming", 3, 3);
    assert_int_equal(retain(&nothing, loop_wall_ms() + 8 * DAY), 2);
    assert_tally("incoming", 1, 1);
    begin();
    char id[UUID_TEXT];
    nth_id(1, id);
    assert_int_equal(incoming_begin(db, id, 100, hash, &offset), 0);
    assert_int_equal(offset, 1);
    db_rollback(db);
}

static void rows_of_captures_go_after_twice_the_time(void **state)
{
    struct retention limits = {.keep_ms = 10000};
    struct capture_row row;
    char id[UUID_TEXT];
    for (unsigned i = 1; i <= 3; i++)
        bring_one(i, 1000);
    set_keep(2);
    begin();
    static const char *const states[] = {"running", "failed", "expired"};
    for (unsigned i = 0; i < 3; i++) {
        nth_id(4 + i, id);
        row = a_capture(id);
        (void)snprintf(row.state, sizeof row.state, "%s", states[i]);
        row.given_up = i == 1;
        row.ended_ms = i > 0 ? 1500 : 0;
        assert_int_equal(captures_add(db, &row), 0);
    }
    commit();
    /* All were made at 1000. */
    (void)retain(&limits, 20999);
    assert_int_equal(count("SELECT COUNT(*) FROM captures"), 6);
    assert_there("2 ");
    assert_int_equal(count("SELECT COUNT(*) FROM blobs"), 3);
    (void)retain(&limits, 21001);
    assert_int_equal(count("SELECT COUNT(*) FROM captures"), 2);
    assert_int_equal(count("SELECT COUNT(*) FROM profiles"), 1);
    assert_int_equal(count("SELECT COUNT(*) FROM blobs"), 1);
    nth_id(2, id);
    assert_int_equal(captures_get(db, id, &row), 0);
    capture_row_clear(&row);
    nth_id(4, id);
    assert_int_equal(captures_get(db, id, &row), 0);
    capture_row_clear(&row);
    assert_profile(2, 2, 1000);
}

static void old_rows_of_the_audit_log_and_sessions_go(void **state)
{
    struct retention limits = {.audit_ms = 1000};
    struct audit_row row = {.who = "user ann", .what = "login"};
    struct user_row user = {.name = "ann", .role = ROLE_ADMIN};
    struct session_row session = {.user = "ann", .created_ms = 1, .expires_ms = 2000};
    begin();
    for (int i = 0; i < 1200; i++) {
        row.at_ms = i;
        assert_int_equal(audit_add(db, &row), 0);
    }
    assert_int_equal(users_add(db, &user), 0);
    assert_int_equal(sessions_add(db, &session), 0);
    commit();
    (void)retain(&limits, 1999);
    assert_int_equal(count("SELECT COUNT(*) FROM audit"), 201);
    assert_int_equal(count("SELECT MIN(at_ms) FROM audit"), 999);
    assert_int_equal(count("SELECT COUNT(*) FROM sessions"), 1);
    (void)retain(&nothing, 2000);
    assert_int_equal(count("SELECT COUNT(*) FROM audit"), 201);
    assert_int_equal(count("SELECT COUNT(*) FROM sessions"), 0);
}

static void analyses_take_an_eighth_at_most(void **state)
{
    struct retention limits = {.limit_bytes = 80000};
    AUTOFREE char *text = make_bytes(1, 3000);
    char *found;
    size_t len;
    struct profile_row row;
    char id[UUID_TEXT];
    for (unsigned i = 1; i <= 5; i++) {
        bring_one(i, 1000);
        nth_id(i, id);
        assert_int_equal(profiles_get(db, id, &row), 0);
        begin();
        assert_int_equal(analyses_put(db, row.sums.sha256, "top", 1, text, 3000), 0);
        commit();
    }
    assert_int_equal(retain(&limits, 0), 2);
    assert_int_equal(count("SELECT SUM(bytes) FROM analyses"), 9000);
    assert_int_equal(analyses_get(db, row.sums.sha256, "top", 1, &found, &len), 0);
    free(found);
}

static void the_database_shrinks_again(void **state)
{
    AUTOFREE char *text = make_bytes(1, LIMIT_ANALYSIS_TEXT);
    struct profile_row row;
    char id[UUID_TEXT];
    bring_one(1, 1000);
    nth_id(1, id);
    assert_int_equal(profiles_get(db, id, &row), 0);
    begin();
    assert_int_equal(analyses_put(db, row.sums.sha256, "top", 1, text, LIMIT_ANALYSIS_TEXT), 0);
    commit();
    int64_t before = count("PRAGMA page_count");
    assert_true(before * 8192 > LIMIT_ANALYSIS_TEXT);
    remove_one(1);
    assert_true(retain(&nothing, 0) >= 4);
    assert_true(count("PRAGMA page_count") * 8192 < 5 << 20);
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test_setup_teardown(does_nothing_when_nothing_is_too_old_or_too_much, make_db,
                                        remove_db),
        cmocka_unit_test_setup_teardown(removes_by_age_and_leaves_what_is_to_be_kept, make_db,
                                        remove_db),
        cmocka_unit_test_setup_teardown(removes_the_oldest_when_it_is_too_much, make_db, remove_db),
        cmocka_unit_test_setup_teardown(the_files_stay_below_the_limit_whatever_comes, make_db,
                                        remove_db),
        cmocka_unit_test_setup_teardown(a_segment_of_mostly_holes_is_written_anew_while_it_is_read,
                                        make_db, remove_db),
        cmocka_unit_test_setup_teardown(a_rewrite_that_is_rolled_back_moves_nothing, make_db,
                                        remove_db),
        cmocka_unit_test_setup_teardown(much_is_moved_in_several_steps, make_db, remove_db),
        cmocka_unit_test_setup_teardown(a_damaged_segment_keeps_its_holes_and_the_rest_goes_on,
                                        make_db, remove_db),
        cmocka_unit_test_setup_teardown(old_parts_of_captures_that_are_over_are_dropped, make_db,
                                        remove_db),
        cmocka_unit_test_setup_teardown(rows_of_captures_go_after_twice_the_time, make_db,
                                        remove_db),
        cmocka_unit_test_setup_teardown(old_rows_of_the_audit_log_and_sessions_go, make_db,
                                        remove_db),
        cmocka_unit_test_setup_teardown(analyses_take_an_eighth_at_most, make_db, remove_db),
        cmocka_unit_test_setup_teardown(the_database_shrinks_again, make_db, remove_db),
    };
    return cmocka_run_group_tests(tests, NULL, NULL);
}
