#include "remote/store/profiles.h"

#include "tests/unit/store_support.h"

#include "remote/store/segments.h"
#include "remote/store/sql.h"

#define BIG (5u << 20)

static struct profile_row get(unsigned n)
{
    char id[UUID_TEXT];
    struct profile_row row;
    nth_id(n, id);
    assert_int_equal(profiles_get(db, id, &row), 0);
    return row;
}

static void small_results_share_a_segment(void **state)
{
    for (unsigned i = 1; i <= 20; i++)
        bring_one(i, 100 * i);
    assert_tally("segments", 1, 100 * 20 * 21 / 2);
    assert_tally("incoming", 0, 0);
    reopen_db();
    for (unsigned i = 1; i <= 20; i++)
        assert_profile(i, i, 100 * i);
    bring_one(21, 50);
    assert_tally("segments", 1, 100 * 20 * 21 / 2 + 50);
    assert_profile(21, 21, 50);
}

static ino_t file_number(const char *pattern)
{
    char name[400];
    struct stat st;
    AUTOFREE char *dir = data_dir();
    AUTOFREE char *command = xasprintf("ls -d %s/%s", dir, pattern);
    FILE *ls = popen(command, "r");
    assert_non_null(fgets(name, sizeof name, ls));
    assert_int_equal(pclose(ls), 0);
    name[strcspn(name, "\n")] = '\0';
    assert_int_equal(stat(name, &st), 0);
    assert_int_equal(st.st_nlink, 1);
    return st.st_ino;
}

static void a_big_one_becomes_a_segment_without_being_copied(void **state)
{
    char id[UUID_TEXT];
    uint64_t offset;
    AUTOFREE char *bytes = make_bytes(1, BIG);
    struct blob_sums sums = sums_of(bytes, BIG);
    nth_id(1, id);
    struct capture_row capture = a_capture(id), after;
    struct profile_row row = a_profile(id, &sums);
    begin();
    assert_int_equal(captures_add(db, &capture), 0);
    assert_int_equal(incoming_begin(db, id, BIG, sums.stored_sha256, &offset), 0);
    assert_int_equal(incoming_add(db, id, 0, bytes, BIG), 0);
    commit();
    ino_t part = file_number("incoming/*");
    begin();
    assert_int_equal(profiles_add(db, &row), 0);
    commit();
    assert_tally("incoming", 0, 0);
    assert_tally("segments", 1, BIG);
    assert_true(file_number("segments/*") == part);
    assert_profile(1, 1, BIG);
    assert_int_equal(captures_get(db, id, &after), 0);
    assert_true(after.has_profile);
    capture_row_clear(&after);
    /* It shares with nobody. */
    bring_one(2, 100);
    assert_tally("segments", 2, BIG + 100);
    bring_one(3, SEGMENT_OWN_BYTES - 1);
    assert_tally("segments", 2, BIG + 100 + SEGMENT_OWN_BYTES - 1);
    assert_profile(3, 3, SEGMENT_OWN_BYTES - 1);
}

static void a_second_time_nothing_happens(void **state)
{
    bring_one(1, 1000);
    struct profile_row row = get(1);
    begin();
    assert_int_equal(profiles_add(db, &row), 1);
    commit();
    assert_tally("segments", 1, 1000);
    assert_profile(1, 1, 1000);
}

static void the_same_result_is_stored_once(void **state)
{
    begin();
    assert_int_equal(bring(db, 1, 7, 1000, 1), 0);
    assert_int_equal(bring(db, 2, 7, 1000, 2), 0);
    assert_int_equal(bring(db, 3, 8, BIG, 3), 0);
    commit();
    begin();
    assert_int_equal(bring(db, 4, 7, 1000, 4), 0);
    assert_int_equal(bring(db, 5, 8, BIG, 5), 0);
    commit();
    assert_tally("segments", 2, 1000 + BIG);
    assert_tally("incoming", 0, 0);
    remove_one(1);
    remove_one(4);
    remove_one(3);
    assert_tally("segments", 2, 1000 + BIG);
    assert_profile(2, 7, 1000);
    assert_profile(5, 8, BIG);
    remove_one(5);
    assert_tally("segments", 1, 1000);
    remove_one(2);
    assert_tally("segments", 0, 0);
}

/* The same result, compressed in another way: the first stays, and rows tell of what is there. */
static void a_result_has_one_stored_form(void **state)
{
    char id[UUID_TEXT];
    uint64_t offset;
    bring_one(1, 1000);
    nth_id(2, id);
    AUTOFREE char *bytes = make_bytes(2, 900);
    struct blob_sums sums = sums_of(bytes, 900);
    sums.bytes = 1000;
    memcpy(sums.sha256, get(1).sums.sha256, SHA256_BYTES);
    struct capture_row capture = a_capture(id);
    struct profile_row row = a_profile(id, &sums);
    begin();
    assert_int_equal(captures_add(db, &capture), 0);
    assert_int_equal(incoming_begin(db, id, 900, sums.stored_sha256, &offset), 0);
    assert_int_equal(incoming_add(db, id, 0, bytes, 900), 0);
    assert_int_equal(profiles_add(db, &row), 0);
    commit();
    assert_tally("segments", 1, 1000);
    assert_profile(2, 1, 1000);
}

static void removal_gives_space_back(void **state)
{
    char id[UUID_TEXT];
    struct capture_row capture;
    AUTOCLOSE int fd = -1;
    bring_one(1, BIG);
    bring_one(2, 1000);
    bring_one(3, 1000);
    struct profile_row row = get(1);
    assert_int_equal(profiles_open(db, &row, &fd), 0);
    remove_one(1);
    assert_tally("segments", 1, 2000);
    /* Who reads it still can. */
    assert_bytes_at(fd, row.offset, 1, BIG);
    (void)close(TAKE_FD(fd));
    nth_id(1, id);
    struct profile_row after = get(1);
    assert_true(after.removed);
    assert_int_equal(after.sums.bytes, BIG);
    assert_int_equal(profiles_open(db, &row, &fd), ERR_NOT_FOUND);
    assert_int_equal(captures_get(db, id, &capture), 0);
    assert_false(capture.has_profile);
    capture_row_clear(&capture);
    remove_one(1);
    remove_one(2);
    assert_tally("segments", 1, 2000);
    assert_profile(3, 3, 1000);
    remove_one(3);
    assert_tally("segments", 0, 0);
    nth_id(9, id);
    begin();
    assert_int_equal(profiles_remove(db, id), ERR_NOT_FOUND);
    db_rollback(db);
    /* What was removed can come again, in another capture. */
    begin();
    assert_int_equal(bring(db, 4, 1, BIG, 1), 0);
    commit();
    assert_profile(4, 1, BIG);
    assert_true(get(1).removed);
    assert_int_equal(profiles_open(db, &row, &fd), ERR_NOT_FOUND);
}

static void a_removal_that_is_rolled_back_removes_nothing(void **state)
{
    char id[UUID_TEXT];
    nth_id(1, id);
    bring_one(1, BIG);
    begin();
    assert_int_equal(profiles_remove(db, id), 0);
    db_rollback(db);
    assert_profile(1, 1, BIG);
}

static void a_full_segment_is_closed(void **state)
{
    enum { COUNT = 23, BYTES_EACH = 3 << 20 };
    for (unsigned i = 1; i <= COUNT; i++)
        bring_one(i, BYTES_EACH);
    assert_tally("segments", 2, (uint64_t)COUNT * BYTES_EACH);
    int64_t longest = 0;
    assert_int_equal(sql_get_int(db, "SELECT MAX(bytes) FROM segments", NO_ARGS, &longest), 1);
    assert_true(longest <= SEGMENT_BYTES);
    assert_profile(1, 1, BYTES_EACH);
    assert_profile(COUNT, COUNT, BYTES_EACH);
}

static void lists_by_what_is_asked_for(void **state)
{
    char id[UUID_TEXT];
    struct profile_list list;
    for (unsigned i = 1; i <= 5; i++)
        bring_one(i, 100);
    remove_one(2);
    nth_id(4, id);
    assert_int_equal(profiles_list(db, &(struct profile_filter){0}, &list), 0);
    assert_int_equal(list.count, 5);
    assert_string_equal(list.rows[0].host_name, "one");
    assert_true(strcmp(list.rows[0].id, list.rows[1].id) > 0);
    assert_true(list.rows[3].removed);
    profile_list_clear(&list);
    struct profile_filter some = {.host = HOST_1, .app = "web", .kind = "cpu", .before = id};
    some.limit = 2;
    assert_int_equal(profiles_list(db, &some, &list), 0);
    assert_int_equal(list.count, 2);
    profile_list_clear(&list);
    some.host = HOST_2;
    assert_int_equal(profiles_list(db, &some, &list), 0);
    assert_int_equal(list.count, 0);
    profile_list_clear(&list);
}

static void keep_is_kept(void **state)
{
    char id[UUID_TEXT];
    nth_id(1, id);
    bring_one(1, 100);
    begin();
    assert_int_equal(profiles_set_keep(db, id, true), 0);
    commit();
    assert_true(get(1).keep);
    begin();
    assert_int_equal(profiles_set_keep(db, id, false), 0);
    nth_id(2, id);
    assert_int_equal(profiles_set_keep(db, id, false), ERR_NOT_FOUND);
    commit();
    assert_false(get(1).keep);
}

static void a_profile_needs_its_capture(void **state)
{
    char id[UUID_TEXT];
    uint64_t offset;
    AUTOFREE char *bytes = make_bytes(1, 100);
    struct blob_sums sums = sums_of(bytes, 100);
    nth_id(1, id);
    struct profile_row row = a_profile(id, &sums);
    begin();
    assert_int_equal(incoming_begin(db, id, 100, sums.stored_sha256, &offset), 0);
    assert_int_equal(incoming_add(db, id, 0, bytes, 100), 0);
    assert_int_equal(profiles_add(db, &row), ERR_NOT_FOUND);
    db_rollback(db);
    assert_tally("segments", 0, 0);
}

static void damage_of_a_segment_is_told(void **state)
{
    AUTOCLOSE int fd = -1;
    AUTOFREE char *file = in_folder("data/segments/000001.seg");
    bring_one(1, 1000);
    bring_one(2, 1000);
    struct profile_row row = get(2);
    assert_int_equal(truncate(file, 1500), 0);
    assert_int_equal(profiles_open(db, &row, &fd), -EIO);
    assert_profile(1, 1, 1000);
    assert_int_equal(unlink(file), 0);
    assert_int_equal(profiles_open(db, &row, &fd), -ENOENT);
    /* What comes now goes elsewhere. */
    bring_one(3, 1000);
    assert_profile(3, 3, 1000);
}

static void analyses_stay_as_long_as_their_blob(void **state)
{
    char *text = NULL;
    size_t len;
    bring_one(1, 1000);
    struct blob_sums sums = get(1).sums;
    uint8_t unknown[SHA256_BYTES] = {1};
    begin();
    assert_int_equal(analyses_put(db, sums.sha256, "top", 1, "old", 3), 0);
    assert_int_equal(analyses_put(db, sums.sha256, "top", 2, "{\"a\":\0\"\"}", 9), 0);
    assert_int_equal(analyses_put(db, sums.sha256, "tree", 2, "", 0), 0);
    assert_int_equal(analyses_put(db, unknown, "top", 2, "x", 1), ERR_NOT_FOUND);
    assert_int_equal(analyses_put(db, sums.sha256, "top", 2, "x", LIMIT_ANALYSIS_TEXT + 1),
                     ERR_TOO_BIG);
    commit();
    assert_int_equal(analyses_get(db, sums.sha256, "top", 1, &text, &len), ERR_NOT_FOUND);
    assert_int_equal(analyses_get(db, sums.sha256, "top", 2, &text, &len), 0);
    assert_int_equal(len, 9);
    assert_memory_equal(text, "{\"a\":\0\"\"}", 10);
    free(TAKE(text));
    assert_int_equal(analyses_get(db, sums.sha256, "tree", 2, &text, &len), 0);
    assert_int_equal(len, 0);
    assert_string_equal(text, "");
    free(TAKE(text));
    remove_one(1);
    assert_int_equal(analyses_get(db, sums.sha256, "top", 2, &text, &len), ERR_NOT_FOUND);
    begin();
    assert_int_equal(analyses_put(db, sums.sha256, "top", 2, "x", 1), ERR_NOT_FOUND);
    db_rollback(db);
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test_setup_teardown(small_results_share_a_segment, make_db, remove_db),
        cmocka_unit_test_setup_teardown(a_big_one_becomes_a_segment_without_being_copied, make_db,
                                        remove_db),
        cmocka_unit_test_setup_teardown(a_second_time_nothing_happens, make_db, remove_db),
        cmocka_unit_test_setup_teardown(the_same_result_is_stored_once, make_db, remove_db),
        cmocka_unit_test_setup_teardown(a_result_has_one_stored_form, make_db, remove_db),
        cmocka_unit_test_setup_teardown(removal_gives_space_back, make_db, remove_db),
        cmocka_unit_test_setup_teardown(a_removal_that_is_rolled_back_removes_nothing, make_db,
                                        remove_db),
        cmocka_unit_test_setup_teardown(a_full_segment_is_closed, make_db, remove_db),
        cmocka_unit_test_setup_teardown(lists_by_what_is_asked_for, make_db, remove_db),
        cmocka_unit_test_setup_teardown(keep_is_kept, make_db, remove_db),
        cmocka_unit_test_setup_teardown(a_profile_needs_its_capture, make_db, remove_db),
        cmocka_unit_test_setup_teardown(damage_of_a_segment_is_told, make_db, remove_db),
        cmocka_unit_test_setup_teardown(analyses_stay_as_long_as_their_blob, make_db, remove_db),
    };
    return cmocka_run_group_tests(tests, NULL, NULL);
}
