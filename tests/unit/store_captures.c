#include "remote/store/captures.h"

#include "tests/unit/store_support.h"

#include "remote/store/sql.h"

static void put(unsigned n, const char *host, const char *app, const char *state)
{
    char id[UUID_TEXT];
    nth_id(n, id);
    struct capture_row row = a_capture(id);
    (void)snprintf(row.host, sizeof row.host, "%s", host);
    (void)snprintf(row.app, sizeof row.app, "%s", app);
    (void)snprintf(row.state, sizeof row.state, "%s", state);
    row.instance = n;
    nth_id(100 + n / 2, row.request);
    assert_int_equal(captures_add(db, &row), 0);
}

static void assert_listed(const struct capture_filter *filter, const char *expected)
{
    struct capture_list list;
    AUTOBUF struct buf found = BUF_INIT(1000);
    assert_int_equal(captures_list(db, filter, &list), 0);
    for (size_t i = 0; i < list.count; i++)
        assert_int_equal(buf_addf(&found, "%ld ", strtol(list.rows[i].id + 24, NULL, 16)), 0);
    assert_string_equal(buf_str(&found), expected);
    capture_list_clear(&list);
}

static void keeps_all_of_a_row(void **state)
{
    char id[UUID_TEXT];
    struct capture_row row, found;
    nth_id(1, id);
    row = a_capture(id);
    row.pid = 2;
    row.duration_ms = 3;
    row.interval_us = 4;
    row.interval_bytes = 5;
    row.not_after_ms = 6;
    row.sent_ms = 7;
    row.due_ms = 8;
    row.ended_ms = 9;
    row.stop_wanted = row.cancel_wanted = row.given_up = true;
    row.record = xstrdup("{\"phase\":\"running\"}");
    begin();
    assert_int_equal(captures_add(db, &row), 0);
    assert_int_equal(captures_add(db, &row), ERR_EXISTS);
    commit();
    assert_int_equal(captures_get(db, id, &found), 0);
    assert_string_equal(found.host_name, "one");
    found.host_name[0] = '\0';
    assert_string_equal(found.record, row.record);
    assert_string_equal(found.request, row.request);
    assert_string_equal(found.requester, "user ann");
    assert_string_equal(found.role, "operator");
    assert_string_equal(found.kind, "cpu");
    assert_string_equal(found.app, "web");
    assert_int_equal(found.instance, 1);
    assert_int_equal(found.pid, 2);
    assert_int_equal(found.duration_ms, 3);
    assert_int_equal(found.interval_us, 4);
    assert_int_equal(found.interval_bytes, 5);
    assert_int_equal(found.not_after_ms, 6);
    assert_int_equal(found.sent_ms, 7);
    assert_int_equal(found.due_ms, 8);
    assert_int_equal(found.ended_ms, 9);
    assert_int_equal(found.created_ms, 1000);
    assert_true(found.stop_wanted && found.cancel_wanted && found.given_up);
    assert_false(found.has_profile);
    capture_row_clear(&found);
    capture_row_clear(&row);
    nth_id(2, id);
    assert_int_equal(captures_get(db, id, &found), ERR_NOT_FOUND);
}

static void refuses_ids_that_are_none(void **state)
{
    static const char *const odd[] = {"",
                                      "../../../../etc/passwd",
                                      "01890a5d-0000-4000-8000-000000000001",
                                      "01890A5D-0000-7000-8000-000000000001",
                                      "01890a5d-0000-7000-8000-00000000000/",
                                      "01890a5d-0000-7000-8000-00000000000"};
    begin();
    for (size_t i = 0; i < ARRAY_SIZE(odd); i++) {
        struct capture_row row = a_capture(odd[i]);
        assert_int_equal(captures_add(db, &row), ERR_INVALID);
    }
    char id[UUID_TEXT];
    nth_id(1, id);
    struct capture_row row = a_capture(id);
    (void)strcpy(row.host, "01890a5d-ac96-774b-bcce-000000000000");
    assert_int_equal(captures_add(db, &row), ERR_NOT_FOUND);
    db_rollback(db);
}

static void changes_what_may_change(void **state)
{
    char id[UUID_TEXT];
    struct capture_row row, found;
    nth_id(1, id);
    begin();
    put(1, HOST_1, "web", "queued");
    assert_int_equal(captures_get(db, id, &row), 0);
    (void)strcpy(row.state, "running");
    (void)strcpy(row.requester, "somebody else");
    row.due_ms = 99;
    row.has_profile = true;
    row.record = xstrdup("{}");
    assert_int_equal(captures_update(db, &row), 0);
    commit();
    assert_int_equal(captures_get(db, id, &found), 0);
    assert_string_equal(found.state, "running");
    assert_string_equal(found.requester, "user ann");
    assert_int_equal(found.due_ms, 99);
    assert_false(found.has_profile);
    assert_string_equal(found.record, "{}");
    capture_row_clear(&found);
    nth_id(2, row.id);
    begin();
    assert_int_equal(captures_update(db, &row), ERR_NOT_FOUND);
    db_rollback(db);
    capture_row_clear(&row);
}

static void lists_by_what_is_asked_for(void **state)
{
    char id[UUID_TEXT], request[UUID_TEXT];
    nth_id(4, id);
    nth_id(102, request);
    begin();
    put(1, HOST_1, "web", "done");
    put(2, HOST_2, "web", "queued");
    put(3, HOST_1, "api", "running");
    put(4, HOST_2, "api", "failed");
    put(5, HOST_1, "web", "expired");
    commit();
    assert_listed(&(struct capture_filter){0}, "5 4 3 2 1 ");
    assert_listed(&(struct capture_filter){.limit = 2}, "5 4 ");
    assert_listed(&(struct capture_filter){.before = id}, "3 2 1 ");
    assert_listed(&(struct capture_filter){.host = HOST_1}, "5 3 1 ");
    assert_listed(&(struct capture_filter){.app = "api"}, "4 3 ");
    assert_listed(&(struct capture_filter){.host = HOST_1, .app = "web", .before = id}, "1 ");
    assert_listed(&(struct capture_filter){.kind = "heap"}, "");
    assert_listed(&(struct capture_filter){.kind = "cpu", .state = "failed"}, "4 ");
    assert_listed(&(struct capture_filter){.request = request}, "5 4 ");
    assert_listed(&(struct capture_filter){.open_only = true}, "3 2 ");
    assert_listed(&(struct capture_filter){.app = "' OR 1 = 1 --"}, "");
}

static void one_that_was_given_up_is_still_open(void **state)
{
    char id[UUID_TEXT];
    struct capture_row row;
    nth_id(1, id);
    begin();
    put(1, HOST_1, "web", "queued");
    assert_int_equal(captures_get(db, id, &row), 0);
    (void)strcpy(row.state, "failed");
    row.given_up = true;
    assert_int_equal(captures_update(db, &row), 0);
    assert_listed(&(struct capture_filter){.open_only = true}, "1 ");
    (void)strcpy(row.state, "done");
    row.given_up = false;
    row.result_owed = true;
    row.ended_ms = 5;
    assert_int_equal(captures_update(db, &row), 0);
    assert_listed(&(struct capture_filter){.open_only = true}, "1 ");
    assert_listed(&(struct capture_filter){.open_only = true, .ended_only = true}, "1 ");
    assert_listed(&(struct capture_filter){.unended_only = true}, "");
    assert_listed(&(struct capture_filter){.open_only = true, .revoked_only = true}, "");
    assert_int_equal(hosts_revoke(db, HOST_1, 7), 0);
    assert_listed(&(struct capture_filter){.open_only = true, .revoked_only = true}, "1 ");
    row.result_owed = false;
    assert_int_equal(captures_update(db, &row), 0);
    assert_listed(&(struct capture_filter){.open_only = true}, "");
    commit();
    capture_row_clear(&row);
}

static void an_order_has_each_process_once(void **state)
{
    char id[UUID_TEXT];
    nth_id(1, id);
    struct capture_row row = a_capture(id);
    begin();
    assert_int_equal(captures_add(db, &row), 0);
    nth_id(2, row.id);
    assert_int_equal(captures_add(db, &row), ERR_EXISTS);
    row.pid = 9;
    assert_int_equal(captures_add(db, &row), 0);
    commit();
}

static void lists_a_page_or_all_that_are_open(void **state)
{
    struct capture_list list;
    begin();
    for (unsigned i = 1; i <= LIMIT_PAGE_ROWS + 10; i++)
        put(i, HOST_1, "web", "queued");
    commit();
    assert_int_equal(captures_list(db, &(struct capture_filter){0}, &list), 0);
    assert_int_equal(list.count, LIMIT_PAGE_ROWS);
    capture_list_clear(&list);
    assert_int_equal(captures_list(db, &(struct capture_filter){.unended_only = true}, &list), 0);
    assert_int_equal(list.count, LIMIT_PAGE_ROWS + 10);
    capture_list_clear(&list);
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test_setup_teardown(keeps_all_of_a_row, make_db, remove_db),
        cmocka_unit_test_setup_teardown(refuses_ids_that_are_none, make_db, remove_db),
        cmocka_unit_test_setup_teardown(changes_what_may_change, make_db, remove_db),
        cmocka_unit_test_setup_teardown(lists_by_what_is_asked_for, make_db, remove_db),
        cmocka_unit_test_setup_teardown(one_that_was_given_up_is_still_open, make_db, remove_db),
        cmocka_unit_test_setup_teardown(an_order_has_each_process_once, make_db, remove_db),
        cmocka_unit_test_setup_teardown(lists_a_page_or_all_that_are_open, make_db, remove_db),
    };
    return cmocka_run_group_tests(tests, NULL, NULL);
}
