/* The commands beside a server: what they print, what they change, what they refuse. */
#include "remote/cmd.h"

#include "tests/unit/support.h"

#include <fcntl.h>

#include "lib/base/err.h"
#include "lib/base/json.h"
#include "lib/base/log.h"
#include "lib/base/str.h"
#include "lib/base/uuid.h"
#include "lib/secure/token.h"
#include "remote/authority.h"
#include "remote/store/accounts.h"
#include "remote/store/db.h"
#include "remote/store/hosts.h"

#define PASSWORD "correct horse battery"

static char out[65536], err[65536];

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

static int set_up(void **state)
{
    log_init("test", LOG_LEVEL_ERROR);
    if (make_folder(state) < 0)
        return -1;
    struct user_row row = {.name = "root", .role = ROLE_ADMIN, .password = "scrypt$"};
    struct authority authority;
    struct db *db = open_folder();
    assert_int_equal(users_add(db, &row), 0);
    close_folder(db);
    static const char *const names[] = {NULL};
    authority = (struct authority){0};
    assert_int_equal(authority_open(&authority, folder, names), 0);
    authority_close(&authority);
    AUTOFREE char *address = in_folder("address.json");
    put_file(address,
             "{\"web\":\"console.example:7443\",\"agents\":\"console.example:7444\",\"names\":[]}");
    return 0;
}

static void read_back(int fd, char *text, size_t size)
{
    ssize_t n = pread(fd, text, size - 1, 0);
    assert_true(n >= 0);
    text[n] = '\0';
}

static int redirect(const char *name, int to, int *ret_saved)
{
    AUTOFREE char *path = in_folder(name);
    int fd = open(path, O_RDWR | O_CREAT | O_TRUNC | O_CLOEXEC, 0600);
    assert_true(fd >= 0);
    *ret_saved = dup(to);
    assert_true(dup2(fd, to) >= 0);
    return fd;
}

static void put_back(int fd, int to, int saved)
{
    assert_true(dup2(saved, to) >= 0);
    (void)close(saved);
    (void)close(fd);
}

/* Runs "token create enrol"; `input` is standard input.  The exit code; what it printed is in `out` and `err`. */
static int run_words(const char *line, const char *input, bool with_data)
{
    AUTOSTRLIST struct strlist argv = {0};
    AUTOFREE char *words = xstrdup(line);
    int saved_in, saved_out, saved_err;
    char *rest = words;
    for (char *word; (word = strsep(&rest, " "));)
        strlist_add(&argv, word);
    if (with_data) {
        strlist_add(&argv, "--data");
        strlist_add(&argv, folder);
    }
    int in_fd = redirect("input", STDIN_FILENO, &saved_in);
    assert_true(write(in_fd, input, strlen(input)) >= 0);
    assert_int_equal(lseek(in_fd, 0, SEEK_SET), 0);
    (void)fflush(NULL);
    int out_fd = redirect("out", STDOUT_FILENO, &saved_out);
    int err_fd = redirect("err", STDERR_FILENO, &saved_err);
    int (*command)(int, char **) = str_eq(argv.items[0], "token")  ? cmd_token
                                   : str_eq(argv.items[0], "user") ? cmd_user
                                                                   : cmd_host;
    int code = command((int)argv.count, argv.items);
    (void)fflush(NULL);
    read_back(out_fd, out, sizeof out);
    read_back(err_fd, err, sizeof err);
    put_back(err_fd, STDERR_FILENO, saved_err);
    put_back(out_fd, STDOUT_FILENO, saved_out);
    put_back(in_fd, STDIN_FILENO, saved_in);
    return code;
}

static int run(const char *line, const char *input)
{
    return run_words(line, input, true);
}

static void assert_fails(const char *line, const char *input, int code, const char *sentence)
{
    assert_int_equal(run(line, input), code);
    assert_string_equal(out, "");
    AUTOFREE char *expected = xasprintf("proctor-console: %s\n", sentence);
    if (code == 1)
        assert_string_equal(err, expected);
    else
        assert_true(str_starts(err, expected));
}

static void assert_last_audit(const char *what, const char *text)
{
    struct audit_list list = {0};
    struct db *db = open_folder();
    assert_int_equal(audit_list_read(db, 0, 1, &list), 0);
    close_folder(db);
    assert_int_equal(list.count, 1);
    assert_string_equal(list.rows[0].who, "command line");
    assert_string_equal(list.rows[0].what, what);
    if (text)
        assert_string_equal(list.rows[0].text, text);
    audit_list_clear(&list);
}

/* ---- tokens ---------------------------------------------------------------------------------- */

static void an_enrolment_string_leads_to_the_console_once(void **state)
{
    struct enrol_token token;
    char why[100];
    uint8_t ca[SHA256_BYTES], secret[SHA256_BYTES];
    assert_int_equal(run("token create enrol", ""), 0);
    assert_int_equal(enrol_token_parse(out, strlen(out), &token, why, sizeof why), 0);
    assert_string_equal(token.address, "console.example:7443");
    assert_int_equal(authority_fingerprint(folder, ca), 0);
    assert_memory_equal(token.ca_sha256, ca, SHA256_BYTES);
    assert_int_equal(out[strlen(out) - 1], '\n');
    assert_last_audit("enrolment.add", "for one host, 3600 s");
    sha256(token.secret, strlen(token.secret), secret);
    struct db *db = open_folder();
    assert_int_equal(enrolments_use(db, secret, 1), 0);
    assert_int_equal(enrolments_use(db, secret, 1), ERR_EXISTS);
    close_folder(db);
}

static void a_console_that_was_never_started_has_no_tokens(void **state)
{
    AUTOFREE char *sentence = xasprintf("no console was ever started with --data %s", folder);
    AUTOFREE char *address = in_folder("address.json");
    AUTOFREE char *database = in_folder("console.db");
    assert_int_equal(unlink(address), 0);
    assert_fails("token create enrol", "", 1, sentence);
    assert_int_equal(unlink(database), 0);
    assert_fails("token create enrol", "", 1, sentence);
    assert_fails("user list", "", 1, sentence);
    assert_int_equal(access(database, F_OK), -1);
}

static void an_api_token_is_listed_and_revoked(void **state)
{
    struct api_token token;
    char why[100];
    assert_int_equal(run("token create api --role operator --name ci --ttl never", ""), 0);
    assert_int_equal(api_token_parse(out, strlen(out), &token, why, sizeof why), 0);
    AUTOFREE char *noted = xasprintf("%s (ci) as operator", token.id);
    assert_last_audit("token.add", noted);
    assert_int_equal(run("token list --json", ""), 0);
    AUTOJSON json_t *list = json_object_parse(out, strlen(out));
    const json_t *first = json_array_get(json_object_get(list, "tokens"), 0);
    assert_string_equal(json_get_string(first, "id", ""), token.id);
    assert_true(json_is_null(json_object_get(first, "expires_ms")));
    assert_null(strstr(out, token.secret));
    assert_int_equal(run("token list", ""), 0);
    assert_non_null(strstr(out, "ci    -      operator  never"));
    AUTOFREE char *line = xasprintf("token revoke %s", token.id);
    assert_int_equal(run(line, ""), 0);
    assert_last_audit("token.remove", token.id);
    AUTOFREE char *sentence = xasprintf("there is no token %s", token.id);
    assert_fails(line, "", 1, sentence);
}

static void lives_are_bounded(void **state)
{
    assert_fails("token create enrol --ttl never", "", 2,
                 "--ttl must be a time like 30m, 1h or 90d");
    assert_fails("token create enrol --ttl 31d", "", 2, "--ttl must be 1 s to 30 d");
    assert_fails("token create api --role viewer --ttl 0", "", 2, "--ttl must be 1 s to 3650 d");
    assert_fails("token create api --role viewer --ttl soon", "", 2,
                 "--ttl must be a time like 30m, 1h or 90d, or never");
}

/* ---- users ----------------------------------------------------------------------------------- */

static void a_user_gets_the_password_of_standard_input(void **state)
{
    struct user_row row;
    assert_int_equal(run("user add ann --role viewer", PASSWORD "\nnext line\n"), 0);
    assert_string_equal(out, "");
    assert_last_audit("user.add", "ann as viewer");
    struct db *db = open_folder();
    assert_int_equal(users_get(db, "ann", &row), 0);
    close_folder(db);
    assert_int_equal(row.role, ROLE_VIEWER);
    assert_int_equal(password_verify(row.password, PASSWORD), 0);
    assert_fails("user add ann --role viewer", PASSWORD, 1, "there is a user ann");
}

static void a_password_can_be_made(void **state)
{
    struct user_row row;
    char password[SECRET_TEXT];
    assert_int_equal(run("user add ann --generate --role=admin", ""), 0);
    assert_int_equal(strlen(out), SECRET_TEXT);
    memcpy(password, out, SECRET_TEXT - 1);
    password[SECRET_TEXT - 1] = '\0';
    assert_int_equal(run("user passwd ann --generate --json", ""), 0);
    AUTOJSON json_t *j = json_object_parse(out, strlen(out));
    struct db *db = open_folder();
    assert_int_equal(users_get(db, "ann", &row), 0);
    close_folder(db);
    assert_int_equal(password_verify(row.password, json_get_string(j, "password", "")), 0);
    assert_int_equal(password_verify(row.password, password), ERR_INVALID);
    assert_last_audit("user.password", "ann");
}

static void bad_passwords_and_names_are_refused(void **state)
{
    AUTOFREE char *longest = xcalloc(1, 1100);
    memset(longest, 'x', 1025);
    assert_fails("user add ann --role viewer", "short", 1, "a password must have 10 to 1024 bytes");
    assert_fails("user add ann --role viewer", "", 1, "a password must have 10 to 1024 bytes");
    assert_fails("user add ann --role viewer", longest, 1, "a password must have 10 to 1024 bytes");
    memset(longest, 'x', 1099);
    assert_fails("user add ann --role viewer", longest, 1,
                 "cannot read a password from standard input: larger than the limit set for it");
    assert_fails(
        "user add a:b --role viewer", PASSWORD, 2,
        "a user's name is 1 to 64 letters, digits, and . _ - @, the first a letter or digit");
    assert_fails("user passwd nobody", PASSWORD, 1, "there is no user nobody");
}

static void roles_change_but_an_admin_stays(void **state)
{
    assert_int_equal(run("user add ann --role viewer", PASSWORD), 0);
    assert_int_equal(run("user role ann operator", ""), 0);
    assert_last_audit("user.role", "ann is operator");
    assert_int_equal(run("user list", ""), 0);
    assert_non_null(strstr(out, "ann   operator  "));
    assert_fails("user role root viewer", "", 1, "no admin would be left without root");
    assert_fails("user remove root", "", 1, "no admin would be left without root");
    assert_fails("user role ann king", "", 2, "the role must be viewer, operator or admin");
    assert_int_equal(run("user remove ann", ""), 0);
    assert_last_audit("user.remove", "ann");
    assert_fails("user remove ann", "", 1, "there is no user ann");
}

/* ---- hosts ----------------------------------------------------------------------------------- */

static void add_host(const char *id, const char *name)
{
    struct host_row row = {.enrolled_ms = 1000, .cert_not_after_ms = 1763615761000};
    (void)snprintf(row.id, sizeof row.id, "%s", id);
    (void)snprintf(row.name, sizeof row.name, "%s", name);
    struct db *db = open_folder();
    assert_int_equal(hosts_add(db, &row), 0);
    close_folder(db);
}

#define HOST_1 "01890000-0000-7000-8000-00000000000a"
#define HOST_2 "01890000-0000-7000-8000-00000000000b"

static void a_host_is_revoked_by_name_or_id(void **state)
{
    add_host(HOST_1, "web");
    add_host(HOST_2, "web");
    assert_fails("host revoke web", "", 1,
                 "2 hosts are called web: say which by its id (host list)");
    assert_int_equal(run("host revoke " HOST_1, ""), 0);
    assert_last_audit("host.revoke", "web (" HOST_1 ")");
    assert_int_equal(run("host revoke web", ""), 0);
    assert_last_audit("host.revoke", "web (" HOST_2 ")");
    assert_fails("host revoke web", "", 1, "there is no host web that is not revoked");
    assert_int_equal(run("host list --json", ""), 0);
    AUTOJSON json_t *list = json_object_parse(out, strlen(out));
    const json_t *rows = json_object_get(list, "hosts");
    assert_int_equal(json_array_size(rows), 2);
    assert_true(json_get_bool(json_array_get(rows, 0), "revoked", false));
}

static void names_of_other_machines_cannot_move_the_cursor(void **state)
{
    add_host(HOST_1, "a\x1b[2Jb\xc2\x9b"
                     "c");
    assert_int_equal(run("host list", ""), 0);
    assert_non_null(strstr(out, "a?[2Jb?c  " HOST_1));
    assert_non_null(strstr(out, "never      2025-11-20 05:16:01Z  -\n"));
}

/* ---- use ------------------------------------------------------------------------------------- */

static void wrong_use_ends_with_two_and_the_usage(void **state)
{
    assert_fails("token", "", 2, "token what?");
    assert_fails("token create", "", 2, "token what?");
    assert_fails("user promote ann", "", 2, "user what?");
    assert_fails("token create api", "", 2, "--role is missing: viewer, operator or admin");
    assert_fails("token create api --role king", "", 2, "--role must be viewer, operator or admin");
    assert_fails("token create enrol --role admin", "", 2, "there is no option --role here");
    assert_fails("token list --verbose=1", "", 2, "there is no option --verbose here");
    assert_fails("token list --json=1", "", 2, "--json takes no value");
    assert_fails("token list more", "", 2, "that is too much");
    assert_fails("token revoke", "", 2, "something is missing");
    assert_fails("user add a b c d --role viewer", "", 2, "that is too much");
    assert_fails("user add ann --role= x", "", 2, "--role needs a value");
    assert_int_equal(run_words("user list", "", false), 2);
    assert_true(
        str_starts(err, "proctor-console: --data DIR is missing: the folder of the console\n"));
    assert_int_equal(run("token --help", ""), 0);
    assert_non_null(strstr(out, "token create enrol --data DIR"));
}

#define TEST(test) cmocka_unit_test_setup_teardown(test, set_up, remove_folder)

int main(void)
{
    const struct CMUnitTest tests[] = {
        TEST(an_enrolment_string_leads_to_the_console_once),
        TEST(a_console_that_was_never_started_has_no_tokens),
        TEST(an_api_token_is_listed_and_revoked),
        TEST(lives_are_bounded),
        TEST(a_user_gets_the_password_of_standard_input),
        TEST(a_password_can_be_made),
        TEST(bad_passwords_and_names_are_refused),
        TEST(roles_change_but_an_admin_stays),
        TEST(a_host_is_revoked_by_name_or_id),
        TEST(names_of_other_machines_cannot_move_the_cursor),
        TEST(wrong_use_ends_with_two_and_the_usage),
    };
    return cmocka_run_group_tests(tests, NULL, NULL);
}
