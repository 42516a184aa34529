#include "remote/store/accounts.h"

#include "tests/unit/store_support.h"

#include "remote/store/sql.h"

static void add_user(const char *name, enum role role)
{
    struct user_row row = {.role = role, .password = "scrypt$15$8$1$c2FsdA$aGFzaA"};
    (void)snprintf(row.name, sizeof row.name, "%s", name);
    assert_int_equal(users_add(db, &row), 0);
}

static struct session_row a_session(uint8_t secret, const char *user, int64_t created_ms)
{
    struct session_row row = {.created_ms = created_ms, .expires_ms = created_ms + 1000};
    row.secret_sha256[0] = secret;
    (void)snprintf(row.user, sizeof row.user, "%s", user);
    return row;
}

static struct api_token_row a_token(const char *id, const char *owner)
{
    struct api_token_row row = {.role = ROLE_OPERATOR, .created_ms = 100, .expires_ms = 200};
    (void)snprintf(row.id, sizeof row.id, "%s", id);
    (void)snprintf(row.name, sizeof row.name, "ci");
    (void)snprintf(row.owner, sizeof row.owner, "%s", owner);
    row.secret_sha256[5] = 5;
    return row;
}

static void names_of_roles_go_both_ways(void **state)
{
    enum role role;
    for (int i = ROLE_VIEWER; i <= ROLE_ADMIN; i++) {
        assert_int_equal(role_parse(role_name((enum role)i), &role), 0);
        assert_int_equal(role, i);
    }
    assert_int_equal(role_parse("root", &role), ERR_INVALID);
    assert_int_equal(role_parse("", &role), ERR_INVALID);
    assert_true(ROLE_VIEWER < ROLE_OPERATOR && ROLE_OPERATOR < ROLE_ADMIN);
}

static void knows_names_that_may_be(void **state)
{
    char name[USER_NAME + 1];
    memset(name, 'a', sizeof name);
    name[USER_NAME] = '\0';
    assert_false(user_name_valid(name));
    name[USER_NAME - 1] = '\0';
    assert_true(user_name_valid(name));
    assert_true(user_name_valid("ann.b-c_d@example.com"));
    assert_true(user_name_valid("0"));
    assert_false(user_name_valid(""));
    assert_false(user_name_valid(".ann"));
    assert_false(user_name_valid("@ann"));
    assert_false(user_name_valid("ann b"));
    assert_false(user_name_valid("ann\n"));
    assert_false(user_name_valid("\xc3\xa4nn"));
    assert_false(user_name_valid("a/b"));
}

static void adds_lists_and_finds_users(void **state)
{
    struct user_row row;
    struct user_list list;
    begin();
    add_user("berta", ROLE_VIEWER);
    add_user("ann", ROLE_ADMIN);
    struct user_row again = {.name = "ann"}, odd = {.name = "a b"};
    assert_int_equal(users_add(db, &again), ERR_EXISTS);
    assert_int_equal(users_add(db, &odd), ERR_INVALID);
    commit();
    assert_int_equal(users_get(db, "ann", &row), 0);
    assert_int_equal(row.role, ROLE_ADMIN);
    assert_string_equal(row.password, "scrypt$15$8$1$c2FsdA$aGFzaA");
    assert_int_equal(users_get(db, "ANN", &row), ERR_NOT_FOUND);
    assert_int_equal(users_list(db, &list), 0);
    assert_int_equal(list.count, 2);
    assert_string_equal(list.rows[0].name, "ann");
    assert_string_equal(list.rows[1].name, "berta");
    user_list_clear(&list);
    user_list_clear(&list);
}

static void the_last_admin_stays(void **state)
{
    begin();
    add_user("ann", ROLE_ADMIN);
    add_user("berta", ROLE_OPERATOR);
    assert_int_equal(users_remove(db, "ann"), ERR_INVALID);
    assert_int_equal(users_set_role(db, "ann", ROLE_VIEWER), ERR_INVALID);
    assert_int_equal(users_set_role(db, "ann", ROLE_ADMIN), 0);
    assert_int_equal(users_set_role(db, "berta", ROLE_ADMIN), 0);
    assert_int_equal(users_set_role(db, "ann", ROLE_VIEWER), 0);
    assert_int_equal(users_remove(db, "ann"), 0);
    assert_int_equal(users_remove(db, "berta"), ERR_INVALID);
    assert_int_equal(users_remove(db, "ann"), ERR_NOT_FOUND);
    assert_int_equal(users_set_role(db, "ann", ROLE_ADMIN), ERR_NOT_FOUND);
    commit();
}

static void takes_no_more_users_than_the_limit(void **state)
{
    struct user_row row = {.name = "late"};
    begin();
    for (unsigned i = 0; i < LIMIT_USERS; i++) {
        char name[USER_NAME];
        (void)snprintf(name, sizeof name, "user%u", i);
        add_user(name, ROLE_VIEWER);
    }
    assert_int_equal(users_add(db, &row), ERR_TOO_BIG);
    db_rollback(db);
}

static void a_session_ends_by_time_or_by_hand(void **state)
{
    struct session_row row = a_session(1, "ann", 1000), found;
    begin();
    assert_int_equal(sessions_add(db, &row), ERR_NOT_FOUND);
    add_user("ann", ROLE_OPERATOR);
    assert_int_equal(sessions_add(db, &row), 0);
    commit();
    assert_int_equal(sessions_get(db, row.secret_sha256, 1999, &found), 0);
    assert_string_equal(found.user, "ann");
    assert_int_equal(found.role, ROLE_OPERATOR);
    assert_memory_equal(found.secret_sha256, row.secret_sha256, SHA256_BYTES);
    assert_int_equal(sessions_get(db, row.secret_sha256, 2000, &found), ERR_EXPIRED);
    begin();
    assert_int_equal(sessions_remove(db, row.secret_sha256), 0);
    assert_int_equal(sessions_remove(db, row.secret_sha256), 0);
    commit();
    assert_int_equal(sessions_get(db, row.secret_sha256, 1500, &found), ERR_NOT_FOUND);
}

static void a_session_has_the_role_that_its_user_has_now(void **state)
{
    struct session_row row = a_session(1, "ann", 1000), found;
    begin();
    add_user("ann", ROLE_OPERATOR);
    assert_int_equal(sessions_add(db, &row), 0);
    assert_int_equal(users_set_role(db, "ann", ROLE_VIEWER), 0);
    commit();
    assert_int_equal(sessions_get(db, row.secret_sha256, 1500, &found), 0);
    assert_int_equal(found.role, ROLE_VIEWER);
}

static void a_new_password_ends_the_sessions_of_its_user(void **state)
{
    struct session_row ann = a_session(1, "ann", 1000), berta = a_session(2, "berta", 1000), found;
    begin();
    add_user("ann", ROLE_ADMIN);
    add_user("berta", ROLE_ADMIN);
    assert_int_equal(sessions_add(db, &ann), 0);
    assert_int_equal(sessions_add(db, &berta), 0);
    assert_int_equal(users_set_password(db, "ann", "other"), 0);
    assert_int_equal(users_set_password(db, "carl", "other"), ERR_NOT_FOUND);
    commit();
    assert_int_equal(sessions_get(db, ann.secret_sha256, 1500, &found), ERR_NOT_FOUND);
    assert_int_equal(sessions_get(db, berta.secret_sha256, 1500, &found), 0);
    struct user_row user;
    assert_int_equal(users_get(db, "ann", &user), 0);
    assert_string_equal(user.password, "other");
}

static void the_oldest_sessions_of_a_user_go_and_those_that_are_over(void **state)
{
    struct session_row found;
    begin();
    add_user("ann", ROLE_ADMIN);
    add_user("berta", ROLE_ADMIN);
    struct session_row old = a_session(200, "berta", 0), other = a_session(201, "berta", 1000);
    assert_int_equal(sessions_add(db, &old), 0);
    assert_int_equal(sessions_add(db, &other), 0);
    for (unsigned i = 0; i < LIMIT_SESSIONS_PER_USER + 3; i++) {
        struct session_row row = a_session((uint8_t)i, "ann", 1100 + i);
        assert_int_equal(sessions_add(db, &row), 0);
    }
    commit();
    for (unsigned i = 0; i < LIMIT_SESSIONS_PER_USER + 3; i++) {
        struct session_row row = a_session((uint8_t)i, "ann", 0);
        assert_int_equal(sessions_get(db, row.secret_sha256, 1500, &found),
                         i < 3 ? ERR_NOT_FOUND : 0);
    }
    assert_int_equal(sessions_get(db, old.secret_sha256, 0, &found), ERR_NOT_FOUND);
    assert_int_equal(sessions_get(db, other.secret_sha256, 1500, &found), 0);
}

static void tokens_are_added_used_and_removed(void **state)
{
    struct api_token_row row = a_token("0123456789abcdef", ""), found;
    struct api_token_list list;
    begin();
    assert_int_equal(api_tokens_add(db, &row), 0);
    assert_int_equal(api_tokens_add(db, &row), ERR_EXISTS);
    assert_int_equal(api_tokens_used(db, row.id, 1000000), 0);
    assert_int_equal(api_tokens_used(db, row.id, 1059999), 0);
    assert_int_equal(api_tokens_used(db, "nobody", 1), 0);
    commit();
    assert_int_equal(api_tokens_get(db, row.id, &found), 0);
    assert_int_equal(found.used_ms, 1000000);
    assert_int_equal(found.role, ROLE_OPERATOR);
    assert_int_equal(found.expires_ms, 200);
    assert_memory_equal(found.secret_sha256, row.secret_sha256, SHA256_BYTES);
    begin();
    assert_int_equal(api_tokens_used(db, row.id, 1060000), 0);
    commit();
    assert_int_equal(api_tokens_list(db, &list), 0);
    assert_int_equal(list.count, 1);
    assert_int_equal(list.rows[0].used_ms, 1060000);
    assert_string_equal(list.rows[0].name, "ci");
    api_token_list_clear(&list);
    begin();
    assert_int_equal(api_tokens_remove(db, row.id), 0);
    assert_int_equal(api_tokens_remove(db, row.id), ERR_NOT_FOUND);
    commit();
    assert_int_equal(api_tokens_get(db, row.id, &found), ERR_NOT_FOUND);
}

static void with_a_user_its_sessions_and_tokens_go(void **state)
{
    struct api_token_row own = a_token("0000000000000001", "berta"),
                         other = a_token("0000000000000002", ""), found;
    struct session_row session = a_session(1, "berta", 1000), found_session;
    begin();
    add_user("ann", ROLE_ADMIN);
    add_user("berta", ROLE_ADMIN);
    assert_int_equal(api_tokens_add(db, &own), 0);
    assert_int_equal(api_tokens_add(db, &other), 0);
    assert_int_equal(sessions_add(db, &session), 0);
    assert_int_equal(users_remove(db, "berta"), 0);
    commit();
    assert_int_equal(api_tokens_get(db, own.id, &found), ERR_NOT_FOUND);
    assert_int_equal(api_tokens_get(db, other.id, &found), 0);
    assert_int_equal(sessions_get(db, session.secret_sha256, 1500, &found_session), ERR_NOT_FOUND);
}

static void takes_no_more_tokens_than_the_limit(void **state)
{
    char id[TOKEN_ID];
    begin();
    for (unsigned i = 0; i < LIMIT_TOKENS; i++) {
        (void)snprintf(id, sizeof id, "%016x", i);
        struct api_token_row row = a_token(id, "");
        assert_int_equal(api_tokens_add(db, &row), 0);
    }
    struct api_token_row late = a_token("late", "");
    assert_int_equal(api_tokens_add(db, &late), ERR_TOO_BIG);
    db_rollback(db);
}

static void the_audit_log_reads_from_the_newest_on(void **state)
{
    struct audit_list list;
    struct audit_row row = {.address = "127.0.0.1", .what = "login", .text = "Robert'); --"};
    begin();
    for (int i = 0; i < 10; i++) {
        row.at_ms = i;
        (void)snprintf(row.who, sizeof row.who, "user %d", i);
        assert_int_equal(audit_add(db, &row), 0);
    }
    commit();
    assert_int_equal(audit_list_read(db, 0, 4, &list), 0);
    assert_int_equal(list.count, 4);
    assert_string_equal(list.rows[0].who, "user 9");
    assert_string_equal(list.rows[3].who, "user 6");
    assert_string_equal(list.rows[3].text, "Robert'); --");
    int64_t before = list.rows[3].id;
    audit_list_clear(&list);
    assert_int_equal(audit_list_read(db, before, 0, &list), 0);
    assert_int_equal(list.count, 6);
    assert_string_equal(list.rows[0].who, "user 5");
    audit_list_clear(&list);
}

static void the_audit_log_cannot_be_changed(void **state)
{
    struct audit_row row = {.at_ms = 1, .who = "user ann", .what = "login"};
    begin();
    assert_int_equal(audit_add(db, &row), 0);
    assert_int_equal(sql_run(db, "UPDATE audit SET who = 'nobody'", NO_ARGS), ERR_INVALID);
    db_rollback(db);
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(names_of_roles_go_both_ways),
        cmocka_unit_test(knows_names_that_may_be),
        cmocka_unit_test_setup_teardown(adds_lists_and_finds_users, make_db, remove_db),
        cmocka_unit_test_setup_teardown(the_last_admin_stays, make_db, remove_db),
        cmocka_unit_test_setup_teardown(takes_no_more_users_than_the_limit, make_db, remove_db),
        cmocka_unit_test_setup_teardown(a_session_ends_by_time_or_by_hand, make_db, remove_db),
        cmocka_unit_test_setup_teardown(a_session_has_the_role_that_its_user_has_now, make_db,
                                        remove_db),
        cmocka_unit_test_setup_teardown(a_new_password_ends_the_sessions_of_its_user, make_db,
                                        remove_db),
        cmocka_unit_test_setup_teardown(the_oldest_sessions_of_a_user_go_and_those_that_are_over,
                                        make_db, remove_db),
        cmocka_unit_test_setup_teardown(tokens_are_added_used_and_removed, make_db, remove_db),
        cmocka_unit_test_setup_teardown(with_a_user_its_sessions_and_tokens_go, make_db, remove_db),
        cmocka_unit_test_setup_teardown(takes_no_more_tokens_than_the_limit, make_db, remove_db),
        cmocka_unit_test_setup_teardown(the_audit_log_reads_from_the_newest_on, make_db, remove_db),
        cmocka_unit_test_setup_teardown(the_audit_log_cannot_be_changed, make_db, remove_db),
    };
    return cmocka_run_group_tests(tests, NULL, NULL);
}
