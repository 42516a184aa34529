#include "remote/store/hosts.h"

#include "tests/unit/store_support.h"

#include "remote/store/sql.h"

static void adds_and_finds_hosts(void **state)
{
    struct host_row row;
    struct host_list list;
    assert_int_equal(hosts_get(db, HOST_1, &row), 0);
    assert_string_equal(row.name, "one");
    assert_string_equal(row.release, "");
    assert_int_equal(row.enrolled_ms, 1000);
    assert_int_equal(row.cert_not_after_ms, 9000);
    assert_int_equal(hosts_get(db, "nobody", &row), ERR_NOT_FOUND);
    begin();
    add_host(db, "01890a5d-ac96-774b-bcce-b302099a8059", "another");
    assert_int_equal(hosts_add(db, &row), ERR_EXISTS);
    commit();
    assert_int_equal(hosts_list(db, &list), 0);
    assert_int_equal(list.count, 3);
    assert_string_equal(list.rows[0].name, "another");
    assert_string_equal(list.rows[1].name, "one");
    assert_string_equal(list.rows[2].name, "two");
    host_list_clear(&list);
    assert_null(list.rows);
}

static void refuses_an_id_that_is_no_uuid(void **state)
{
    struct host_row row = {.id = "../../etc/passwd"};
    begin();
    assert_int_equal(hosts_add(db, &row), ERR_INVALID);
    db_rollback(db);
}

static void keeps_what_a_host_tells(void **state)
{
    struct host_row row;
    begin();
    assert_int_equal(hosts_seen(db, HOST_1, "ein's \"name\"; --", "0.2", 5000), 0);
    assert_int_equal(hosts_set_cert(db, HOST_1, 12000), 0);
    assert_int_equal(hosts_seen(db, "nobody", "x", "y", 1), ERR_NOT_FOUND);
    assert_int_equal(hosts_set_cert(db, "nobody", 1), ERR_NOT_FOUND);
    commit();
    assert_int_equal(hosts_get(db, HOST_1, &row), 0);
    assert_string_equal(row.name, "ein's \"name\"; --");
    assert_string_equal(row.release, "0.2");
    assert_int_equal(row.seen_ms, 5000);
    assert_int_equal(row.cert_not_after_ms, 12000);
}

static void revokes_twice_and_keeps_the_first_time(void **state)
{
    struct host_row row;
    begin();
    assert_int_equal(hosts_revoke(db, HOST_1, 500), 0);
    assert_int_equal(hosts_revoke(db, HOST_1, 600), 0);
    assert_int_equal(hosts_revoke(db, "nobody", 600), ERR_NOT_FOUND);
    commit();
    assert_int_equal(hosts_get(db, HOST_1, &row), 0);
    assert_int_equal(row.revoked_ms, 500);
}

static void takes_no_more_hosts_than_the_limit(void **state)
{
    struct host_row row = {.name = "late"};
    (void)strcpy(row.id, "01890a5d-ac96-774b-bcce-ffffffffffff");
    begin();
    assert_true(sql_run(db,
                        "WITH RECURSIVE n (i) AS (SELECT 3 UNION ALL SELECT i + 1 FROM n"
                        " WHERE i < ?) INSERT INTO hosts SELECT 'host' || i, 'h', '', 1, 0, 0, 0, 0"
                        " FROM n",
                        ARGS(INT(LIMIT_HOSTS))) >= 0);
    assert_int_equal(hosts_add(db, &row), ERR_TOO_BIG);
    /* One that was revoked makes room. */
    assert_int_equal(hosts_revoke(db, HOST_2, 1), 0);
    assert_int_equal(hosts_add(db, &row), 0);
    db_rollback(db);
}

static void an_enrolment_is_used_once_and_in_time(void **state)
{
    uint8_t first[SHA256_BYTES] = {1}, second[SHA256_BYTES] = {2}, third[SHA256_BYTES] = {3};
    begin();
    assert_int_equal(enrolments_add(db, first, 2000, 1000), 0);
    assert_int_equal(enrolments_add(db, second, 2000, 1000), 0);
    assert_int_equal(enrolments_add(db, first, 2000, 1000), ERR_EXISTS);
    assert_int_equal(enrolments_use(db, first, 1500), 0);
    assert_int_equal(enrolments_use(db, first, 1501), ERR_EXISTS);
    assert_int_equal(enrolments_use(db, second, 2000), ERR_EXPIRED);
    assert_int_equal(enrolments_use(db, third, 1500), ERR_NOT_FOUND);
    /* Much later it is forgotten. */
    assert_int_equal(enrolments_add(db, third, INT64_C(40000000000), INT64_C(30000000000)), 0);
    assert_int_equal(enrolments_use(db, second, INT64_C(30000000000)), ERR_NOT_FOUND);
    commit();
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test_setup_teardown(adds_and_finds_hosts, make_db, remove_db),
        cmocka_unit_test_setup_teardown(refuses_an_id_that_is_no_uuid, make_db, remove_db),
        cmocka_unit_test_setup_teardown(keeps_what_a_host_tells, make_db, remove_db),
        cmocka_unit_test_setup_teardown(revokes_twice_and_keeps_the_first_time, make_db, remove_db),
        cmocka_unit_test_setup_teardown(takes_no_more_hosts_than_the_limit, make_db, remove_db),
        cmocka_unit_test_setup_teardown(an_enrolment_is_used_once_and_in_time, make_db, remove_db),
    };
    return cmocka_run_group_tests(tests, NULL, NULL);
}
