#include "remote/store/db.h"

#include "tests/unit/store_support.h"

#include <sqlite3.h>

#include "remote/store/accounts.h"
#include "remote/store/db_private.h"
#include "remote/store/schema.h"
#include "remote/store/sql.h"

static char *db_file(void)
{
    return in_folder("data/console.db");
}

/* SQL on the file, without our code. */
static void behind(const char *sql)
{
    sqlite3 *sqlite = NULL;
    AUTOFREE char *path = db_file();
    assert_int_equal(sqlite3_open(path, &sqlite), SQLITE_OK);
    assert_int_equal(sqlite3_exec(sqlite, sql, NULL, NULL, NULL), SQLITE_OK);
    assert_int_equal(sqlite3_close(sqlite), SQLITE_OK);
}

static void assert_refused(int error)
{
    AUTOFREE char *dir = data_dir();
    struct db *opened = NULL;
    assert_int_equal(db_open(dir, &opened), error);
    assert_null(opened);
}

static int64_t number(const char *sql)
{
    int64_t value = -1;
    assert_int_equal(sql_get_int(db, sql, NO_ARGS, &value), 1);
    return value;
}

static void assert_mode(const char *name, mode_t mode)
{
    struct stat st;
    AUTOFREE char *path = in_folder(name);
    assert_int_equal(stat(path, &st), 0);
    assert_int_equal(st.st_mode & 07777, mode);
}

static void makes_a_database_that_is_ours_alone(void **state)
{
    mode_t before = umask(0177);
    open_db();
    begin();
    add_host(db, HOST_1, "one");
    commit();
    bring_one(1, 100);
    begin();
    uint64_t offset;
    uint8_t hash[SHA256_BYTES] = {1};
    char id[UUID_TEXT];
    nth_id(2, id);
    assert_int_equal(incoming_begin(db, id, 10, hash, &offset), 0);
    commit();
    (void)umask(before);
    assert_mode("data", 0700);
    assert_mode("data/segments", 0700);
    assert_mode("data/incoming", 0700);
    assert_mode("data/console.db", 0600);
    assert_mode("data/console.db-wal", 0600);
    assert_mode("data/console.db-shm", 0600);
    assert_mode("data/segments/000001.seg", 0600);
    assert_mode("data/incoming/01890a5d-0000-7000-8000-000000000002.0100000000000000.part", 0600);
    assert_int_equal(number("PRAGMA page_size"), 8192);
    assert_int_equal(number("PRAGMA foreign_keys"), 1);
    assert_int_equal(number("PRAGMA synchronous"), 2);
    assert_int_equal(number("PRAGMA temp_store"), 2);
    assert_int_equal(number("PRAGMA auto_vacuum"), 2);
    assert_int_equal(number("PRAGMA user_version"), (int64_t)schema_version);
    close_db();
}

static void closes_to_others_what_was_open(void **state)
{
    AUTOFREE char *dir = data_dir(), *file = db_file();
    open_db();
    close_db();
    assert_int_equal(chmod(dir, 0755), 0);
    assert_int_equal(chmod(file, 0644), 0);
    open_db();
    assert_mode("data", 0700);
    assert_mode("data/console.db", 0600);
    assert_mode("data/console.db-wal", 0600);
    assert_mode("data/console.db-shm", 0600);
    close_db();
}

static void a_folder_of_somebody_else_stays_as_it_is(void **state)
{
    AUTOFREE char *dir = data_dir(), *notes = in_folder("data/notes");
    assert_int_equal(mkdir(dir, 0700), 0);
    assert_int_equal(chmod(dir, 0755), 0);
    put_file(notes, "notes");
    assert_refused(ERR_INVALID);
    assert_mode("data", 0755);
    assert_int_equal(unlink(notes), 0);
    /* Nothing was made in it, so it is empty now. */
    assert_int_equal(rmdir(dir), 0);
}

static void a_database_of_somebody_else_stays_as_it_is(void **state)
{
    AUTOFREE char *dir = data_dir(), *file = db_file(), *segments = in_folder("data/segments");
    assert_int_equal(mkdir(dir, 0700), 0);
    behind("CREATE TABLE recipes (name TEXT)");
    assert_int_equal(chmod(dir, 0755), 0);
    assert_int_equal(chmod(file, 0644), 0);
    assert_refused(ERR_INVALID);
    assert_mode("data", 0755);
    assert_mode("data/console.db", 0644);
    assert_int_equal(access(segments, F_OK), -1);
}

static void an_empty_folder_becomes_ours(void **state)
{
    AUTOFREE char *dir = data_dir();
    assert_int_equal(mkdir(dir, 0700), 0);
    assert_int_equal(chmod(dir, 0755), 0);
    open_db();
    assert_mode("data", 0700);
    close_db();
}

static void leaves_nothing_open(void **state)
{
    close_db();
    int before = count_fds();
    open_db();
    bring_one(1, 1000);
    bring_one(2, 5 << 20);
    assert_profile(1, 1, 1000);
    close_db();
    assert_int_equal(count_fds(), before);
}

static void refuses_a_database_of_a_newer_proctor(void **state)
{
    AUTOFREE char *ours = xasprintf("PRAGMA user_version = %zu", schema_version);
    open_db();
    close_db();
    behind("PRAGMA user_version = 999");
    assert_refused(ERR_UNSUPPORTED);
    /* It was not touched. */
    behind(ours);
    open_db();
    close_db();
}

static void refuses_a_database_of_somebody_else(void **state)
{
    AUTOFREE char *dir = data_dir();
    assert_int_equal(mkdir(dir, 0700), 0);
    behind("CREATE TABLE recipes (name TEXT)");
    assert_refused(ERR_INVALID);
    behind("DROP TABLE recipes; PRAGMA user_version = 1");
    assert_refused(ERR_INVALID);
}

static void refuses_what_is_no_database(void **state)
{
    AUTOFREE char *dir = data_dir(), *file = db_file();
    assert_int_equal(mkdir(dir, 0700), 0);
    put_file(file,
             "these are the notes of a person, and more than a hundred bytes of them, so that "
             "they could be the head of a database file, which they are not by any means");
    assert_refused(ERR_INVALID);
    assert_int_equal(unlink(file), 0);
    assert_int_equal(mkdir(file, 0700), 0);
    AUTOFREE char *other = in_folder("file");
    put_file(other, "x");
    struct db *opened = NULL;
    assert_int_equal(db_open(other, &opened), -ENOTDIR);
    assert_true(db_open(dir, &opened) < 0);
    assert_null(opened);
}

static void remove_data(void)
{
    AUTOFREE char *command = xasprintf("rm -r '%s/data'", folder);
    assert_int_equal(system(command), 0);
}

static void scratch(off_t offset, size_t len)
{
    AUTOFREE char *file = db_file(), *rubbish = make_bytes(7, len);
    AUTOCLOSE int fd = open(file, O_WRONLY | O_CLOEXEC);
    assert_true(fd >= 0);
    assert_int_equal(pwrite(fd, rubbish, len, offset), (ssize_t)len);
}

static void refuses_a_damaged_database(void **state)
{
    static const off_t places[] = {0, 16, 100, 8192 * 2, 8192 * 3 + 8, 8192 * 6};
    for (size_t i = 0; i < ARRAY_SIZE(places); i++) {
        open_db();
        begin();
        add_host(db, HOST_1, "one");
        commit();
        close_db();
        scratch(places[i], 4000);
        assert_refused(ERR_INVALID);
        remove_data();
    }
    open_db();
    close_db();
    AUTOFREE char *file = db_file();
    assert_int_equal(truncate(file, 8192 * 5), 0);
    assert_refused(ERR_INVALID);
}

/* A new one would have no rows for what lies there, and mending would take it away. */
static void results_without_their_database_are_no_place_to_begin(void **state)
{
    AUTOFREE char *file = db_file();
    open_db();
    close_db();
    assert_int_equal(unlink(file), 0);
    assert_refused(ERR_INVALID);
    assert_int_equal(access(file, F_OK), -1);
}

static void an_empty_file_is_a_new_database(void **state)
{
    AUTOFREE char *dir = data_dir(), *file = db_file();
    assert_int_equal(mkdir(dir, 0700), 0);
    put_file(file, "");
    open_db();
    assert_int_equal(number("SELECT COUNT(*) FROM users"), 0);
    close_db();
}

/* As after a crash in the middle of it: nothing of a step stays without all of it. */
static void a_step_of_the_schema_is_whole_or_not_there(void **state)
{
    AUTOFREE char *dir = data_dir();
    assert_int_equal(mkdir(dir, 0700), 0);
    behind("PRAGMA application_id = 1886544756; CREATE TABLE hosts (id TEXT)");
    struct db *opened = NULL;
    assert_int_equal(db_open(dir, &opened), ERR_FAILED);
    behind("DROP TABLE hosts");
    open_db();
    assert_int_equal(number("PRAGMA user_version"), (int64_t)schema_version);
    assert_int_equal(number("SELECT COUNT(*) FROM hosts"), 0);
    close_db();
}

static void many_open_it_for_the_first_time_together(void **state)
{
    enum { CHILDREN = 8 };
    AUTOFREE char *dir = data_dir();
    pid_t pids[CHILDREN];
    for (int i = 0; i < CHILDREN; i++) {
        pids[i] = fork();
        assert_true(pids[i] >= 0);
        if (pids[i] > 0)
            continue;
        struct db *mine = NULL;
        struct user_row user = {.role = ROLE_VIEWER};
        (void)snprintf(user.name, sizeof user.name, "user%d", i);
        int r = db_open(dir, &mine);
        if (r == 0)
            r = db_begin(mine);
        if (r == 0)
            r = users_add(mine, &user);
        if (r == 0)
            r = db_commit(mine);
        _exit(r == 0 ? 0 : 1);
    }
    for (int i = 0; i < CHILDREN; i++) {
        int status;
        assert_int_equal(waitpid(pids[i], &status, 0), pids[i]);
        assert_int_equal(status, 0);
    }
    open_db();
    assert_int_equal(number("SELECT COUNT(*) FROM users"), CHILDREN);
    close_db();
    assert_no_child();
}

static void rolls_back_rows_and_files(void **state)
{
    begin();
    assert_int_equal(bring(db, 1, 1, 1000, 2000), 0);
    assert_int_equal(bring(db, 2, 2, 5 << 20, 2000), 0);
    db_rollback(db);
    assert_tally("segments", 0, 0);
    assert_tally("incoming", 0, 0);
    assert_int_equal(number("SELECT COUNT(*) FROM captures"), 0);
    /* The numbers are free again. */
    bring_one(1, 1000);
    assert_profile(1, 1, 1000);
    begin();
    assert_int_equal(bring(db, 3, 3, 500, 2000), 0);
    assert_tally("segments", 1, 1500);
    db_rollback(db);
    assert_tally("segments", 1, 1000);
    assert_profile(1, 1, 1000);
}

static void sees_changes_of_others_only(void **state)
{
    AUTOFREE char *dir = data_dir();
    struct db *other = NULL;
    assert_false(db_changed(db));
    bring_one(1, 10);
    assert_false(db_changed(db));
    assert_int_equal(db_open(dir, &other), 0);
    assert_false(db_changed(db));
    assert_int_equal(db_begin(other), 0);
    assert_int_equal(hosts_revoke(other, HOST_1, 77), 0);
    assert_false(db_changed(db));
    assert_int_equal(db_commit(other), 0);
    assert_true(db_changed(db));
    assert_false(db_changed(db));
    assert_true(db_changed(other) == false);
    db_close(other);
}

static void a_reader_sees_nothing_of_a_transaction_before_its_end(void **state)
{
    AUTOFREE char *dir = data_dir();
    struct db *reader = NULL;
    struct host_row row;
    assert_int_equal(db_open(dir, &reader), 0);
    begin();
    assert_int_equal(hosts_revoke(db, HOST_1, 77), 0);
    assert_int_equal(hosts_get(reader, HOST_1, &row), 0);
    assert_int_equal(row.revoked_ms, 0);
    commit();
    assert_int_equal(hosts_get(reader, HOST_1, &row), 0);
    assert_int_equal(row.revoked_ms, 77);
    db_close(reader);
}

static void only_one_may_mend(void **state)
{
    AUTOFREE char *dir = data_dir();
    pid_t pid = fork();
    assert_true(pid >= 0);
    if (pid == 0) {
        struct db *second = NULL;
        int r = db_open(dir, &second);
        if (r == 0)
            second->wait_ms = 100;
        if (r == 0)
            r = db_mend(second);
        _exit(r == ERR_BUSY ? 0 : 1);
    }
    int status;
    assert_int_equal(waitpid(pid, &status, 0), pid);
    assert_int_equal(status, 0);
    /* With its holder the claim goes. */
    reopen_db();
}

static void another_writer_is_waited_for_and_not_for_ever(void **state)
{
    AUTOFREE char *dir = data_dir();
    struct db *other = NULL;
    assert_int_equal(db_open(dir, &other), 0);
    assert_int_equal(sqlite3_busy_timeout(other->sqlite, 200), SQLITE_OK);
    begin();
    assert_int_equal(db_begin(other), ERR_BUSY);
    commit();
    assert_int_equal(db_begin(other), 0);
    db_rollback(other);
    db_close(other);
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test_setup_teardown(makes_a_database_that_is_ours_alone, make_folder,
                                        remove_folder),
        cmocka_unit_test_setup_teardown(closes_to_others_what_was_open, make_folder, remove_folder),
        cmocka_unit_test_setup_teardown(a_folder_of_somebody_else_stays_as_it_is, make_folder,
                                        remove_folder),
        cmocka_unit_test_setup_teardown(a_database_of_somebody_else_stays_as_it_is, make_folder,
                                        remove_folder),
        cmocka_unit_test_setup_teardown(an_empty_folder_becomes_ours, make_folder, remove_folder),
        cmocka_unit_test_setup_teardown(leaves_nothing_open, make_db, remove_db),
        cmocka_unit_test_setup_teardown(refuses_a_database_of_a_newer_proctor, make_folder,
                                        remove_folder),
        cmocka_unit_test_setup_teardown(refuses_a_database_of_somebody_else, make_folder,
                                        remove_folder),
        cmocka_unit_test_setup_teardown(refuses_what_is_no_database, make_folder, remove_folder),
        cmocka_unit_test_setup_teardown(refuses_a_damaged_database, make_folder, remove_folder),
        cmocka_unit_test_setup_teardown(results_without_their_database_are_no_place_to_begin,
                                        make_folder, remove_folder),
        cmocka_unit_test_setup_teardown(an_empty_file_is_a_new_database, make_folder,
                                        remove_folder),
        cmocka_unit_test_setup_teardown(a_step_of_the_schema_is_whole_or_not_there, make_folder,
                                        remove_folder),
        cmocka_unit_test_setup_teardown(many_open_it_for_the_first_time_together, make_folder,
                                        remove_folder),
        cmocka_unit_test_setup_teardown(rolls_back_rows_and_files, make_db, remove_db),
        cmocka_unit_test_setup_teardown(sees_changes_of_others_only, make_db, remove_db),
        cmocka_unit_test_setup_teardown(a_reader_sees_nothing_of_a_transaction_before_its_end,
                                        make_db, remove_db),
        cmocka_unit_test_setup_teardown(only_one_may_mend, make_db, remove_db),
        cmocka_unit_test_setup_teardown(another_writer_is_waited_for_and_not_for_ever, make_db,
                                        remove_db),
    };
    return cmocka_run_group_tests(tests, NULL, NULL);
}
