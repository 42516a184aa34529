#include "tests/unit/store_support.h"

#include "remote/store/db_private.h"
#include "remote/store/sql.h"

#define BIG (5u << 20)

/* Ends a child in the middle of `work`, before anything is committed or undone. */
static void crash_in(void (*work)(void))
{
    close_db();
    pid_t pid = fork();
    assert_true(pid >= 0);
    if (pid == 0) {
        open_db();
        begin();
        work();
        _exit(7);
    }
    int status;
    assert_int_equal(waitpid(pid, &status, 0), pid);
    assert_true(WIFEXITED(status) && WEXITSTATUS(status) == 7);
}

static void append_small(void)
{
    assert_int_equal(bring(db, 2, 2, 500, 1), 0);
}

static void bytes_behind_the_end_are_cut_off(void **state)
{
    bring_one(1, 1000);
    crash_in(append_small);
    assert_tally("segments", 1, 1500);
    assert_tally("incoming", 1, 500);
    open_db();
    assert_tally("segments", 1, 1000);
    assert_tally("incoming", 0, 0);
    assert_profile(1, 1, 1000);
}

static void add_big(void)
{
    assert_int_equal(bring(db, 2, 2, BIG, 1), 0);
}

static void a_segment_without_a_row_is_removed(void **state)
{
    bring_one(1, BIG);
    crash_in(add_big);
    assert_tally("segments", 2, 2 * BIG);
    open_db();
    assert_tally("segments", 1, BIG);
    assert_tally("incoming", 0, 0);
    assert_profile(1, 1, BIG);
    bring_one(2, BIG);
    assert_profile(2, 2, BIG);
}

static void make_profile_of_part(void)
{
    char id[UUID_TEXT];
    nth_id(1, id);
    AUTOFREE char *bytes = make_bytes(1, BIG);
    struct blob_sums sums = sums_of(bytes, BIG);
    struct profile_row row = a_profile(id, &sums);
    assert_int_equal(profiles_add(db, &row), 0);
}

/* What was acknowledged is a part file; it is still one after a crash while it becomes a segment. */
static void a_part_is_not_lost_between_its_two_names(void **state)
{
    char id[UUID_TEXT];
    uint64_t offset;
    nth_id(1, id);
    AUTOFREE char *bytes = make_bytes(1, BIG);
    struct blob_sums sums = sums_of(bytes, BIG);
    struct capture_row capture = a_capture(id);
    begin();
    assert_int_equal(captures_add(db, &capture), 0);
    assert_int_equal(incoming_begin(db, id, BIG, sums.stored_sha256, &offset), 0);
    assert_int_equal(incoming_add(db, id, 0, bytes, BIG), 0);
    commit();
    crash_in(make_profile_of_part);
    assert_tally("segments", 1, BIG);
    open_db();
    assert_tally("segments", 0, 0);
    assert_tally("incoming", 1, BIG);
    begin();
    assert_int_equal(incoming_begin(db, id, BIG, sums.stored_sha256, &offset), 0);
    assert_int_equal(offset, BIG);
    make_profile_of_part();
    commit();
    assert_profile(1, 1, BIG);
}

static void rewrite(void)
{
    assert_int_equal(retention_step(db, &(struct retention){0}, 0), 1);
}

static void a_rewrite_that_was_cut_off_has_not_happened(void **state)
{
    for (unsigned i = 1; i <= 4; i++)
        bring_one(i, 1000);
    remove_one(1);
    remove_one(3);
    crash_in(rewrite);
    assert_tally("segments", 2, 6000);
    open_db();
    assert_tally("segments", 1, 4000);
    assert_profile(2, 2, 1000);
    assert_profile(4, 4, 1000);
}

static void add_piece(void)
{
    char id[UUID_TEXT];
    nth_id(1, id);
    assert_int_equal(incoming_add(db, id, 3, "defg", 4), 0);
}

static void a_part_is_as_long_as_was_acknowledged(void **state)
{
    char id[UUID_TEXT];
    uint64_t offset;
    uint8_t hash[SHA256_BYTES] = {1};
    nth_id(1, id);
    begin();
    assert_int_equal(incoming_begin(db, id, 100, hash, &offset), 0);
    assert_int_equal(incoming_add(db, id, 0, "abc", 3), 0);
    commit();
    crash_in(add_piece);
    assert_tally("incoming", 1, 7);
    open_db();
    assert_tally("incoming", 1, 3);
    begin();
    assert_int_equal(incoming_begin(db, id, 100, hash, &offset), 0);
    assert_int_equal(offset, 3);
    commit();
}

static void files_of_a_removal_that_was_committed_go(void **state)
{
    AUTOFREE char *segment = in_folder("data/segments/000001.seg"), *saved = in_folder("saved");
    AUTOFREE char *back = xasprintf("cp '%s' '%s'", segment, saved);
    bring_one(1, BIG);
    assert_int_equal(system(back), 0);
    remove_one(1);
    AUTOFREE char *again = xasprintf("cp '%s' '%s'", saved, segment);
    assert_int_equal(system(again), 0);
    reopen_db();
    assert_tally("segments", 0, 0);
    /* Its number is not used again. */
    bring_one(2, BIG);
    AUTOFREE char *next = in_folder("data/segments/000002.seg");
    assert_int_equal(access(next, F_OK), 0);
}

static void leaves_what_is_not_ours(void **state)
{
    static const char *const names[] = {"data/segments/notes.txt", "data/segments/1.seg",
                                        "data/segments/x00001.seg", "data/incoming/README"};
    for (size_t i = 0; i < ARRAY_SIZE(names); i++) {
        AUTOFREE char *path = in_folder(names[i]);
        put_file(path, "x");
    }
    AUTOFREE char *stray = in_folder("data/segments/000009.seg"),
                  *part = in_folder("data/incoming/x.part");
    put_file(stray, "x");
    put_file(part, "x");
    reopen_db();
    assert_tally("segments", 3, 3);
    assert_tally("incoming", 1, 1);
}

static void a_command_beside_the_server_mends_nothing(void **state)
{
    AUTOFREE char *dir = data_dir(), *stray = in_folder("data/segments/000009.seg");
    struct db *command = NULL;
    put_file(stray, "x");
    assert_int_equal(db_open(dir, &command), 0);
    db_close(command);
    assert_tally("segments", 1, 1);
}

static void a_segment_that_lost_its_end_is_told_and_stays(void **state)
{
    AUTOFREE char *file = in_folder("data/segments/000001.seg");
    bring_one(1, 1000);
    bring_one(2, 1000);
    assert_int_equal(truncate(file, 1200), 0);
    reopen_db();
    assert_tally("segments", 1, 1200);
    assert_profile(1, 1, 1000);
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test_setup_teardown(bytes_behind_the_end_are_cut_off, make_db, remove_db),
        cmocka_unit_test_setup_teardown(a_segment_without_a_row_is_removed, make_db, remove_db),
        cmocka_unit_test_setup_teardown(a_part_is_not_lost_between_its_two_names, make_db,
                                        remove_db),
        cmocka_unit_test_setup_teardown(a_rewrite_that_was_cut_off_has_not_happened, make_db,
                                        remove_db),
        cmocka_unit_test_setup_teardown(a_part_is_as_long_as_was_acknowledged, make_db, remove_db),
        cmocka_unit_test_setup_teardown(files_of_a_removal_that_was_committed_go, make_db,
                                        remove_db),
        cmocka_unit_test_setup_teardown(leaves_what_is_not_ours, make_db, remove_db),
        cmocka_unit_test_setup_teardown(a_command_beside_the_server_mends_nothing, make_db,
                                        remove_db),
        cmocka_unit_test_setup_teardown(a_segment_that_lost_its_end_is_told_and_stays, make_db,
                                        remove_db),
    };
    return cmocka_run_group_tests(tests, NULL, NULL);
}
