/* With the real store, and real hashes. */
#include "remote/auth.h"

#include "tests/unit/support.h"

#include <uv.h>

#include "lib/base/err.h"
#include "lib/base/log.h"
#include "lib/base/loop.h"
#include "lib/base/str.h"
#include "remote/auth_state.h"
#include "remote/refusals.h"
#include "remote/store/db.h"
#include "remote/store/store.h"

#define PASSWORD "correct horse battery"
#define ADDRESS "192.0.2.1"

static uv_loop_t loop;
static struct store *store;
static struct auth *auth;

/* ---- around a test --------------------------------------------------------------------------- */

static struct db *open_folder(void)
{
    struct db *db;
    assert_int_equal(db_open(folder, &db), 0);
    assert_int_equal(db_begin(db), 0);
    return db;
}

static void close_folder(struct db *db)
{
    assert_int_equal(db_commit(db), 0);
    db_close(db);
}

static void add_user(struct db *db, const char *name, enum role role)
{
    struct user_row row = {.role = role, .created_ms = 1};
    AUTOFREE char *hash = password_hash(PASSWORD);
    (void)snprintf(row.name, sizeof row.name, "%s", name);
    (void)snprintf(row.password, sizeof row.password, "%s", hash);
    assert_int_equal(users_add(db, &row), 0);
}

static int set_up(void **state)
{
    log_init("test", LOG_LEVEL_ERROR);
    if (make_folder(state) < 0 || uv_loop_init(&loop) < 0)
        return -1;
    struct db *db = open_folder();
    add_user(db, "root", ROLE_ADMIN);
    add_user(db, "ann", ROLE_OPERATOR);
    close_folder(db);
    if (store_open(&store, &loop, folder) < 0)
        return -1;
    auth = auth_new(&loop, store);
    return 0;
}

static int tear_down(void **state)
{
    auth_free(auth);
    store_close(store, NULL, NULL);
    (void)uv_run(&loop, UV_RUN_DEFAULT);
    return loop_end(&loop) == 0 ? remove_folder(state) : -1;
}

static void run_until(const int *count, int wanted)
{
    while (*count < wanted)
        (void)uv_run(&loop, UV_RUN_ONCE);
}

/* ---- logging in ------------------------------------------------------------------------------ */

struct outcome {
    int count;
    int result;
    int64_t retry_ms;
    char cookie[300];
    struct auth_who who;
};

static void on_login(void *arg, int r, int64_t retry_ms, const char *cookie,
                     const struct auth_who *who)
{
    struct outcome *o = arg;
    o->count++;
    o->result = r;
    o->retry_ms = retry_ms;
    assert_int_equal(cookie != NULL, r == 0);
    assert_int_equal(who != NULL, r == 0);
    if (r == 0) {
        (void)snprintf(o->cookie, sizeof o->cookie, "%s", cookie);
        o->who = *who;
    }
}

static struct outcome login(const char *name, const char *password, const char *address)
{
    struct outcome o = {0};
    auth_login(auth, name, password, address, on_login, &o);
    assert_int_equal(o.count, 0);
    run_until(&o.count, 1);
    return o;
}

/* What a browser sends back. */
static char *sent_back(const struct outcome *o)
{
    return xasprintf("a=b; %.*s", (int)strcspn(o->cookie, ";"), o->cookie);
}

static void on_checked(void *arg, int r, const struct auth_who *who)
{
    struct outcome *o = arg;
    o->count++;
    o->result = r;
    assert_int_equal(who != NULL, r == 0);
    if (who)
        o->who = *who;
}

static struct outcome check_from(const char *cookie, const char *authorization, const char *address)
{
    struct outcome o = {0};
    auth_check(auth, cookie, authorization, address, on_checked, &o);
    assert_int_equal(o.count, 0);
    run_until(&o.count, 1);
    return o;
}

static struct outcome check(const char *cookie, const char *authorization)
{
    return check_from(cookie, authorization, ADDRESS);
}

static void the_right_password_begins_a_session(void **state)
{
    struct outcome in = login("ann", PASSWORD, ADDRESS);
    assert_int_equal(in.result, 0);
    assert_string_equal(in.who.name, "user ann");
    assert_string_equal(in.who.user, "ann");
    assert_int_equal(in.who.role, ROLE_OPERATOR);
    assert_non_null(
        strstr(in.cookie, "; HttpOnly; Secure; SameSite=Strict; Path=/; Max-Age=43200"));
    AUTOFREE char *cookie = sent_back(&in);
    struct outcome seen = check(cookie, NULL);
    assert_int_equal(seen.result, 0);
    assert_true(seen.who.by_session);
    assert_string_equal(seen.who.user, "ann");
    assert_int_equal(strlen(seen.who.csrf), 64);
    assert_string_equal(seen.who.csrf, in.who.csrf);
    assert_memory_equal(seen.who.session_sha256, in.who.session_sha256, SHA256_BYTES);
}

static void assert_last_audit(const char *who, const char *what, const char *text)
{
    struct audit_list list = {0};
    struct db *db = open_folder();
    assert_int_equal(audit_list_read(db, 0, 1, &list), 0);
    close_folder(db);
    assert_int_equal(list.count, 1);
    assert_string_equal(list.rows[0].who, who);
    assert_string_equal(list.rows[0].what, what);
    assert_string_equal(list.rows[0].text, text);
    assert_string_equal(list.rows[0].address, ADDRESS);
    audit_list_clear(&list);
}

static void a_wrong_password_is_refused_and_noted(void **state)
{
    assert_int_equal(login("ann", PASSWORD "!", ADDRESS).result, ERR_LOGIN);
    assert_last_audit("user ann", "login.refused", "wrong password");
    assert_int_equal(login("ann", PASSWORD, ADDRESS).result, 0);
    assert_last_audit("user ann", "login", "");
}

static void an_unknown_name_is_refused_alike_and_never_noted(void **state)
{
    assert_int_equal(login("my-password-in-the-wrong-field", PASSWORD, ADDRESS).result, ERR_LOGIN);
    assert_last_audit("somebody", "login.refused", "unknown user");
}

static void who_guesses_at_an_account_must_wait(void **state)
{
    for (int i = 0; i < 5; i++)
        assert_int_equal(login("ann", "guess", ADDRESS).result, ERR_LOGIN);
    struct outcome o = login("ann", PASSWORD, ADDRESS);
    assert_int_equal(o.result, ERR_TOO_MANY);
    assert_in_range(o.retry_ms, 1, 1000);
    assert_int_equal(login("root", PASSWORD, ADDRESS).result, 0);
    usleep((useconds_t)o.retry_ms * 1000 + 20000);
    uv_update_time(&loop);
    assert_int_equal(login("ann", PASSWORD, ADDRESS).result, 0);
    assert_int_equal(login("ann", "guess", ADDRESS).result, ERR_LOGIN);
}

static void who_guesses_keeps_nobody_out_who_comes_from_elsewhere(void **state)
{
    for (int i = 0; i < 12; i++)
        (void)login("ann", "guess", ADDRESS);
    assert_int_equal(login("ann", PASSWORD, ADDRESS).result, ERR_TOO_MANY);
    assert_int_equal(login("ann", PASSWORD, "192.0.2.99").result, 0);
}

static int guess_from_many(int count)
{
    int refused = 0;
    for (int i = 0; i < count; i++) {
        struct auth_try t;
        char address[32];
        (void)snprintf(address, sizeof address, "198.51.100.%d", i);
        refused += auth_try_begin(auth, &t, "ann", address) > 0;
    }
    return refused;
}

static void many_who_guess_together_are_slowed_down(void **state)
{
    assert_int_equal(guess_from_many(100), 0);
    assert_int_equal(guess_from_many(100), 100);
    assert_int_equal(login("ann", PASSWORD, ADDRESS).result, ERR_TOO_MANY);
    assert_int_equal(login("root", PASSWORD, ADDRESS).result, 0);
}

static void guesses_at_the_same_time_are_counted_when_they_begin(void **state)
{
    struct outcome o[8] = {0};
    int refused = 0, tried = 0;
    for (int i = 0; i < 8; i++)
        auth_login(auth, "ann", "guess", ADDRESS, on_login, &o[i]);
    for (int i = 0; i < 8; i++) {
        run_until(&o[i].count, 1);
        refused += o[i].result == ERR_TOO_MANY;
        tried += o[i].result == ERR_LOGIN;
    }
    assert_int_equal(tried, 5);
    assert_int_equal(refused, 3);
}

static void on_many(void *arg, int r, int64_t retry_ms, const char *cookie,
                    const struct auth_who *who)
{
    struct outcome *o = arg;
    o->count++;
    o->result = r;
    o->retry_ms = retry_ms;
}

/* Two are hashed and fifty wait; the rest is refused, and all end when it is freed. */
static void too_many_at_once_are_refused_and_the_end_ends_all(void **state)
{
    enum { COUNT = 60 };
    static struct outcome o[COUNT];
    int full = 0, stopped = 0, done = 0;
    memset(o, 0, sizeof o);
    for (int i = 0; i < COUNT; i++) {
        char name[32], address[32];
        (void)snprintf(name, sizeof name, "user%d", i);
        (void)snprintf(address, sizeof address, "192.0.2.%d", i);
        auth_login(auth, name, "guess", address, on_many, &o[i]);
    }
    run_until(&o[COUNT - 1].count, 1);
    auth_free(TAKE(auth));
    for (int i = 0; i < COUNT; i++) {
        run_until(&o[i].count, 1);
        full += o[i].result == ERR_TOO_MANY;
        stopped += o[i].result == ERR_STOPPING;
        done += o[i].count;
    }
    assert_int_equal(done, COUNT);
    assert_true(full >= 1);
    assert_true(stopped >= 40);
}

/* ---- sessions -------------------------------------------------------------------------------- */

static void nobody_is_not_logged_in(void **state)
{
    assert_int_equal(check(NULL, NULL).result, ERR_LOGIN);
    assert_int_equal(check("a=b", NULL).result, ERR_LOGIN);
    assert_int_equal(check("__Host-proctor_session=short", NULL).result, ERR_LOGIN);
    assert_int_equal(
        check("__Host-proctor_session=AAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAA", NULL).result,
        ERR_LOGIN);
    assert_int_equal(check(NULL, "Basic YTpi").result, ERR_LOGIN);
}

static void a_session_ends_with_its_user(void **state)
{
    struct outcome in = login("ann", PASSWORD, ADDRESS);
    AUTOFREE char *cookie = sent_back(&in);
    struct db *db = open_folder();
    assert_int_equal(users_remove(db, "ann"), 0);
    close_folder(db);
    assert_int_equal(check(cookie, NULL).result, ERR_LOGIN);
}

static void a_session_has_the_role_of_its_user_now(void **state)
{
    struct outcome in = login("ann", PASSWORD, ADDRESS);
    AUTOFREE char *cookie = sent_back(&in);
    struct db *db = open_folder();
    assert_int_equal(users_set_role(db, "ann", ROLE_VIEWER), 0);
    close_folder(db);
    assert_int_equal(check(cookie, NULL).who.role, ROLE_VIEWER);
}

static void on_changed(void *arg, int r, int64_t retry_ms)
{
    struct outcome *o = arg;
    o->count++;
    o->result = r;
}

static int change_password(const struct auth_who *who, const char *old_password,
                           const char *new_password)
{
    struct outcome o = {0};
    auth_change_password(auth, who, old_password, new_password, ADDRESS, on_changed, &o);
    assert_int_equal(o.count, 0);
    run_until(&o.count, 1);
    return o.result;
}

static void a_new_password_ends_the_other_sessions(void **state)
{
    struct outcome own = login("ann", PASSWORD, ADDRESS), other = login("ann", PASSWORD, ADDRESS);
    AUTOFREE char *own_cookie = sent_back(&own);
    AUTOFREE char *other_cookie = sent_back(&other);
    assert_int_equal(change_password(&own.who, "wrong", "a longer password"), ERR_DENIED);
    assert_int_equal(check(other_cookie, NULL).result, 0);
    assert_int_equal(change_password(&own.who, PASSWORD, "a longer password"), 0);
    assert_last_audit("user ann", "user.password", "ann: own password; all other sessions end");
    assert_int_equal(check(other_cookie, NULL).result, ERR_LOGIN);
    assert_int_equal(check(own_cookie, NULL).result, 0);
    assert_int_equal(login("ann", PASSWORD, ADDRESS).result, ERR_LOGIN);
    assert_int_equal(login("ann", "a longer password", ADDRESS).result, 0);
}

/* ---- tokens ---------------------------------------------------------------------------------- */

static char *add_token(const char *owner, enum role role, int64_t expires_ms)
{
    struct api_token_row row = {.role = role, .created_ms = 1, .expires_ms = expires_ms};
    struct api_token token = {.id = "0123456789abcdef"};
    secret_make(token.secret);
    sha256(token.secret, strlen(token.secret), row.secret_sha256);
    memcpy(row.id, token.id, sizeof row.id);
    (void)snprintf(row.name, sizeof row.name, "ci");
    (void)snprintf(row.owner, sizeof row.owner, "%s", owner);
    struct db *db = open_folder();
    assert_int_equal(api_tokens_add(db, &row), 0);
    close_folder(db);
    AUTOFREE char *text = api_token_text(&token);
    return xasprintf("Bearer %s", text);
}

static void a_token_says_who_asks(void **state)
{
    AUTOFREE char *header = add_token("", ROLE_OPERATOR, 0);
    struct outcome o = check("__Host-proctor_session=ignored", header);
    assert_int_equal(o.result, 0);
    assert_string_equal(o.who.name, "token 0123456789abcdef (ci)");
    assert_string_equal(o.who.user, "");
    assert_int_equal(o.who.role, ROLE_OPERATOR);
    assert_false(o.who.by_session);
    memcpy(header, "bEARER", 6);
    assert_int_equal(check(NULL, header).result, 0);
}

static int64_t used_ms(void)
{
    struct api_token_row row;
    struct db *db = open_folder();
    assert_int_equal(api_tokens_get(db, "0123456789abcdef", &row), 0);
    close_folder(db);
    return row.used_ms;
}

static void its_use_is_noted_once_a_minute(void **state)
{
    AUTOFREE char *header = add_token("", ROLE_VIEWER, 0);
    assert_int_equal(used_ms(), 0);
    assert_int_equal(check(NULL, header).result, 0);
    int64_t used;
    while ((used = used_ms()) == 0)
        (void)uv_run(&loop, UV_RUN_NOWAIT);
    assert_true(loop_wall_ms() - used < 10000);
    assert_int_equal(check(NULL, header).result, 0);
    assert_int_equal(check(NULL, header).result, 0);
    assert_int_equal(used_ms(), used);
}

static void an_expired_token_counts_for_nothing(void **state)
{
    AUTOFREE char *header = add_token("", ROLE_ADMIN, loop_wall_ms() - 1);
    for (int i = 0; i < 25; i++)
        assert_int_equal(check(NULL, header).result, ERR_LOGIN);
}

static void a_token_may_do_no_more_than_its_owner(void **state)
{
    AUTOFREE char *header = add_token("ann", ROLE_ADMIN, 0);
    assert_int_equal(check(NULL, header).who.role, ROLE_OPERATOR);
    struct db *db = open_folder();
    assert_int_equal(users_remove(db, "ann"), 0);
    close_folder(db);
    assert_int_equal(check(NULL, header).result, ERR_LOGIN);
}

static void who_tries_wrong_tokens_must_wait(void **state)
{
    AUTOFREE char *header = add_token("", ROLE_ADMIN, 0);
    AUTOFREE char *wrong = xstrdup(header);
    char *last = wrong + strlen(wrong) - 2;
    *last = *last == 'A' ? 'B' : 'A';
    for (int i = 0; i < 19; i++)
        assert_int_equal(check(NULL, wrong).result, ERR_LOGIN);
    assert_int_equal(check(NULL, header).result, 0);
    assert_int_equal(check(NULL, "Bearer rubbish").result, ERR_LOGIN);
    assert_int_equal(check(NULL, wrong).result, ERR_TOO_MANY);
    assert_in_range(auth_token_wait_ms(auth, ADDRESS), 1, 1000);
    assert_int_equal(check_from(NULL, wrong, "192.0.2.2").result, ERR_LOGIN);
    /* A right one is nobody's guess. */
    assert_int_equal(check(NULL, header).result, 0);
}

static int count_audit(const char *what)
{
    struct audit_list list = {0};
    int count = 0;
    struct db *db = open_folder();
    assert_int_equal(audit_list_read(db, 0, 0, &list), 0);
    close_folder(db);
    for (size_t i = 0; i < list.count; i++)
        count += str_eq(list.rows[i].what, what);
    audit_list_clear(&list);
    return count;
}

/* Until the writer has done what it was asked for. */
static void settle(void)
{
    assert_int_equal(login("root", PASSWORD, "192.0.2.77").result, 0);
}

static void refusals_are_noted_once_a_minute(void **state)
{
    for (int i = 0; i < 15; i++)
        assert_int_equal(check(NULL, "Bearer rubbish").result, ERR_LOGIN);
    assert_int_equal(check_from(NULL, "Bearer rubbish", "192.0.2.2").result, ERR_LOGIN);
    for (int i = 0; i < 1000; i++) {
        char address[32];
        (void)snprintf(address, sizeof address, "10.0.%d.%d", i / 250, i % 250);
        auth_refused(auth, "user ann", ADDRESS, "request.refused", "GET /x: %d", i);
        auth_refused(auth, NULL, address, "request.slowed", "GET /x: %d", i);
    }
    settle();
    assert_int_equal(count_audit("token.refused"), 2);
    assert_int_equal(count_audit("request.refused"), 1);
    assert_in_range(count_audit("request.slowed"), 150, REFUSALS_MAX);
}

static void who_tries_wrong_enrolment_strings_must_wait(void **state)
{
    for (int i = 0; i < 20; i++) {
        assert_int_equal(auth_enrol_wait_ms(auth, "2001:db8::1"), 0);
        auth_enrol_failed(auth, "2001:db8::1");
    }
    assert_in_range(auth_enrol_wait_ms(auth, "2001:db8::2"), 1, 1000);
    assert_int_equal(auth_enrol_wait_ms(auth, ADDRESS), 0);
}

#define TEST(test) cmocka_unit_test_setup_teardown(test, set_up, tear_down)

int main(void)
{
    const struct CMUnitTest tests[] = {
        TEST(the_right_password_begins_a_session),
        TEST(a_wrong_password_is_refused_and_noted),
        TEST(an_unknown_name_is_refused_alike_and_never_noted),
        TEST(who_guesses_at_an_account_must_wait),
        TEST(who_guesses_keeps_nobody_out_who_comes_from_elsewhere),
        TEST(many_who_guess_together_are_slowed_down),
        TEST(guesses_at_the_same_time_are_counted_when_they_begin),
        TEST(too_many_at_once_are_refused_and_the_end_ends_all),
        TEST(nobody_is_not_logged_in),
        TEST(a_session_ends_with_its_user),
        TEST(a_session_has_the_role_of_its_user_now),
        TEST(a_new_password_ends_the_other_sessions),
        TEST(a_token_says_who_asks),
        TEST(its_use_is_noted_once_a_minute),
        TEST(an_expired_token_counts_for_nothing),
        TEST(a_token_may_do_no_more_than_its_owner),
        TEST(who_tries_wrong_tokens_must_wait),
        TEST(refusals_are_noted_once_a_minute),
        TEST(who_tries_wrong_enrolment_strings_must_wait),
    };
    return cmocka_run_group_tests(tests, NULL, NULL);
}
