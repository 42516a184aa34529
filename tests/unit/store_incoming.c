#include "remote/store/incoming.h"

#include "tests/unit/store_support.h"

static char id[UUID_TEXT];

static int make_db_and_id(void **state)
{
    nth_id(1, id);
    return make_db(state);
}

static uint64_t begin_part(const char *bytes, size_t len)
{
    uint64_t offset = 99;
    struct blob_sums sums = sums_of(bytes, len);
    assert_int_equal(incoming_begin(db, id, len, sums.stored_sha256, &offset), 0);
    return offset;
}

static void an_earlier_transfer_of_the_same_bytes_goes_on(void **state)
{
    AUTOFREE char *bytes = make_bytes(1, 1000);
    begin();
    assert_int_equal(begin_part(bytes, 1000), 0);
    assert_int_equal(incoming_add(db, id, 0, bytes, 400), 0);
    commit();
    reopen_db();
    begin();
    assert_int_equal(begin_part(bytes, 1000), 400);
    assert_int_equal(incoming_add(db, id, 400, bytes + 400, 600), 0);
    commit();
    begin();
    assert_int_equal(begin_part(bytes, 1000), 1000);
    commit();
    assert_tally("incoming", 1, 1000);
}

static void one_of_other_bytes_starts_anew(void **state)
{
    AUTOFREE char *bytes = make_bytes(1, 1000), *other = make_bytes(2, 1000);
    begin();
    assert_int_equal(begin_part(bytes, 1000), 0);
    assert_int_equal(incoming_add(db, id, 0, bytes, 400), 0);
    commit();
    begin();
    assert_int_equal(begin_part(other, 1000), 0);
    assert_int_equal(incoming_add(db, id, 0, other, 300), 0);
    /* Until the commit, the first is there. */
    assert_tally("incoming", 2, 700);
    db_rollback(db);
    assert_tally("incoming", 1, 400);
    begin();
    assert_int_equal(begin_part(bytes, 1000), 400);
    assert_int_equal(begin_part(other, 1000), 0);
    assert_int_equal(incoming_add(db, id, 0, other, 300), 0);
    commit();
    assert_tally("incoming", 1, 300);
    /* The same bytes of another length: somebody lies. */
    uint64_t offset;
    struct blob_sums sums = sums_of(other, 1000);
    begin();
    assert_int_equal(incoming_begin(db, id, 999, sums.stored_sha256, &offset), 0);
    assert_int_equal(offset, 0);
    commit();
    assert_tally("incoming", 1, 0);
}

static void pieces_come_in_order_and_end_where_they_must(void **state)
{
    AUTOFREE char *bytes = make_bytes(1, 1000);
    begin();
    assert_int_equal(incoming_add(db, id, 0, bytes, 1), ERR_NOT_FOUND);
    assert_int_equal(begin_part(bytes, 1000), 0);
    assert_int_equal(incoming_add(db, id, 1, bytes, 1), ERR_PROTOCOL);
    assert_int_equal(incoming_add(db, id, 0, bytes, 600), 0);
    assert_int_equal(incoming_add(db, id, 0, bytes, 600), ERR_PROTOCOL);
    assert_int_equal(incoming_add(db, id, 601, bytes, 1), ERR_PROTOCOL);
    assert_int_equal(incoming_add(db, id, UINT64_MAX, bytes, 1), ERR_PROTOCOL);
    assert_int_equal(incoming_add(db, id, 600, bytes, 401), ERR_TOO_BIG);
    assert_int_equal(incoming_add(db, id, 600, bytes, SIZE_MAX), ERR_TOO_BIG);
    assert_int_equal(incoming_add(db, id, 600, bytes + 600, 400), 0);
    assert_int_equal(incoming_add(db, id, 1000, bytes, 1), ERR_TOO_BIG);
    commit();
}

static void refuses_what_cannot_be_a_result(void **state)
{
    static const char *const odd[] = {"", "../../etc/passwd",
                                      "01890a5d-0000-7000-8000-0000000000/1",
                                      "01890a5d-0000-4000-8000-000000000001"};
    uint64_t offset;
    uint8_t hash[SHA256_BYTES] = {0};
    char text[200];
    begin();
    for (size_t i = 0; i < ARRAY_SIZE(odd); i++) {
        struct blob_sums sums = {.bytes = 1, .stored_bytes = 1};
        assert_int_equal(incoming_begin(db, odd[i], 10, hash, &offset), ERR_INVALID);
        assert_int_equal(incoming_add(db, odd[i], 0, "x", 1), ERR_NOT_FOUND);
        assert_int_equal(incoming_drop(db, odd[i]), 0);
        assert_int_equal(incoming_check(folder, odd[i], &sums, NULL, text, sizeof text),
                         ERR_INVALID);
    }
    assert_int_equal(incoming_begin(db, id, 0, hash, &offset), ERR_INVALID);
    assert_int_equal(incoming_begin(db, id, LIMIT_BLOB_STORED + 1, hash, &offset), ERR_TOO_BIG);
    commit();
    assert_tally("incoming", 0, 0);
}

static void what_was_dropped_is_gone_after_the_commit(void **state)
{
    AUTOFREE char *bytes = make_bytes(1, 1000);
    begin();
    assert_int_equal(begin_part(bytes, 1000), 0);
    assert_int_equal(incoming_add(db, id, 0, bytes, 400), 0);
    commit();
    begin();
    assert_int_equal(incoming_drop(db, id), 0);
    db_rollback(db);
    assert_tally("incoming", 1, 400);
    begin();
    assert_int_equal(begin_part(bytes, 1000), 400);
    assert_int_equal(incoming_drop(db, id), 0);
    commit();
    assert_tally("incoming", 0, 0);
}

static void dropped_and_begun_again_in_one_batch_is_there(void **state)
{
    AUTOFREE char *bytes = make_bytes(1, 1000);
    begin();
    assert_int_equal(begin_part(bytes, 1000), 0);
    assert_int_equal(incoming_add(db, id, 0, bytes, 400), 0);
    commit();
    begin();
    assert_int_equal(incoming_drop(db, id), 0);
    assert_int_equal(begin_part(bytes, 1000), 0);
    assert_int_equal(incoming_add(db, id, 0, bytes, 300), 0);
    commit();
    assert_tally("incoming", 1, 300);
    begin();
    assert_int_equal(begin_part(bytes, 1000), 300);
    commit();
}

static void a_part_whose_file_is_gone_or_cut_begins_where_it_ends(void **state)
{
    AUTOFREE char *bytes = make_bytes(1, 1000), *dir = data_dir();
    begin();
    assert_int_equal(begin_part(bytes, 1000), 0);
    assert_int_equal(incoming_add(db, id, 0, bytes, 400), 0);
    commit();
    AUTOFREE char *cut = xasprintf("truncate -s 100 %s/incoming/*", dir);
    AUTOFREE char *gone = xasprintf("rm %s/incoming/*", dir);
    assert_int_equal(system(cut), 0);
    begin();
    assert_int_equal(begin_part(bytes, 1000), 100);
    commit();
    assert_int_equal(system(gone), 0);
    begin();
    assert_int_equal(incoming_add(db, id, 100, bytes + 100, 10), -ENOENT);
    assert_int_equal(begin_part(bytes, 1000), 0);
    commit();
    assert_tally("incoming", 1, 0);
}

/* ---- checking -------------------------------------------------------------------------------- */

/* A real frame in a file; the caller closes. */
static int compress(const char *text, size_t len, struct blob_sums *ret_sums)
{
    AUTOFREE char *plain = in_folder("plain"), *packed = in_folder("packed");
    AUTOCLOSE int in = open(plain, O_RDWR | O_CREAT | O_TRUNC | O_CLOEXEC, 0600);
    int out = open(packed, O_RDWR | O_CREAT | O_TRUNC | O_CLOEXEC, 0600);
    assert_int_equal(write(in, text, len), (ssize_t)len);
    assert_int_equal(blob_compress(in, out, ret_sums), 0);
    return out;
}

static void take_in(int fd, const struct blob_sums *sums)
{
    uint64_t offset;
    AUTOFREE char *bytes = xcalloc(1, sums->stored_bytes);
    assert_int_equal(pread(fd, bytes, sums->stored_bytes, 0), (ssize_t)sums->stored_bytes);
    begin();
    assert_int_equal(incoming_begin(db, id, sums->stored_bytes, sums->stored_sha256, &offset), 0);
    assert_int_equal(incoming_add(db, id, 0, bytes, sums->stored_bytes), 0);
    commit();
}

static void assert_check(const struct blob_sums *announced, int error, const char *sentence)
{
    AUTOFREE char *dir = data_dir();
    char text[200] = "";
    assert_int_equal(incoming_check(dir, id, announced, NULL, text, sizeof text), error);
    assert_string_equal(text, sentence);
}

static void checks_all_that_was_announced(void **state)
{
    struct blob_sums sums, lie;
    AUTOFREE char *bytes = make_bytes(3, 300000);
    AUTOCLOSE int fd = compress(bytes, 300000, &sums);
    assert_check(&sums, ERR_MISMATCH, "nothing of the result has come");
    take_in(fd, &sums);
    assert_check(&sums, 0, "");
    lie = sums;
    lie.sha256[3] ^= 1;
    assert_check(&lie, ERR_MISMATCH, "the result is not the one that was announced");
    lie = sums;
    lie.bytes++;
    assert_check(&lie, ERR_MISMATCH, "the result is not as long as was announced");
    lie = sums;
    lie.bytes--;
    assert_check(&lie, ERR_MISMATCH, "the result is longer than was announced");
    lie = sums;
    lie.stored_sha256[20] ^= 1;
    assert_check(&lie, ERR_MISMATCH, "the bytes that have come are not those announced");
    lie = sums;
    lie.bytes = LIMIT_RESULT + 1;
    assert_check(&lie, ERR_TOO_BIG, "");
    lie = sums;
    lie.stored_bytes = 10;
    char sentence[100];
    (void)snprintf(sentence, sizeof sentence,
                   "%llu bytes of the result have come, 10 were announced",
                   (unsigned long long)sums.stored_bytes);
    assert_check(&lie, ERR_MISMATCH, sentence);
}

static void what_is_no_frame_is_told(void **state)
{
    AUTOFREE char *bytes = make_bytes(3, 1000);
    struct blob_sums sums = sums_of(bytes, 1000);
    begin();
    assert_int_equal(begin_part(bytes, 1000), 0);
    assert_int_equal(incoming_add(db, id, 0, bytes, 1000), 0);
    commit();
    assert_check(&sums, ERR_MISMATCH, "the bytes that have come are no whole zstd frame");
}

static void only_a_whole_part_becomes_a_profile(void **state)
{
    AUTOFREE char *bytes = make_bytes(1, 1000);
    struct blob_sums sums = sums_of(bytes, 1000), other = sums;
    struct profile_row row = a_profile(id, &sums);
    struct capture_row capture = a_capture(id);
    begin();
    assert_int_equal(captures_add(db, &capture), 0);
    assert_int_equal(profiles_add(db, &row), ERR_NOT_FOUND);
    assert_int_equal(begin_part(bytes, 1000), 0);
    assert_int_equal(incoming_add(db, id, 0, bytes, 999), 0);
    assert_int_equal(profiles_add(db, &row), ERR_MISMATCH);
    assert_int_equal(incoming_add(db, id, 999, bytes + 999, 1), 0);
    other.stored_sha256[0] ^= 1;
    struct profile_row lie = a_profile(id, &other);
    assert_int_equal(profiles_add(db, &lie), ERR_MISMATCH);
    assert_int_equal(profiles_add(db, &row), 0);
    commit();
    assert_tally("incoming", 0, 0);
    assert_profile(1, 1, 1000);
    /* What is here does not come again, also when it was removed. */
    uint64_t offset;
    begin();
    assert_int_equal(incoming_begin(db, id, 1000, sums.stored_sha256, &offset), ERR_EXISTS);
    assert_int_equal(profiles_remove(db, id), 0);
    assert_int_equal(incoming_begin(db, id, 1000, sums.stored_sha256, &offset), ERR_EXISTS);
    commit();
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test_setup_teardown(an_earlier_transfer_of_the_same_bytes_goes_on,
                                        make_db_and_id, remove_db),
        cmocka_unit_test_setup_teardown(one_of_other_bytes_starts_anew, make_db_and_id, remove_db),
        cmocka_unit_test_setup_teardown(pieces_come_in_order_and_end_where_they_must,
                                        make_db_and_id, remove_db),
        cmocka_unit_test_setup_teardown(refuses_what_cannot_be_a_result, make_db_and_id, remove_db),
        cmocka_unit_test_setup_teardown(what_was_dropped_is_gone_after_the_commit, make_db_and_id,
                                        remove_db),
        cmocka_unit_test_setup_teardown(dropped_and_begun_again_in_one_batch_is_there,
                                        make_db_and_id, remove_db),
        cmocka_unit_test_setup_teardown(a_part_whose_file_is_gone_or_cut_begins_where_it_ends,
                                        make_db_and_id, remove_db),
        cmocka_unit_test_setup_teardown(checks_all_that_was_announced, make_db_and_id, remove_db),
        cmocka_unit_test_setup_teardown(what_is_no_frame_is_told, make_db_and_id, remove_db),
        cmocka_unit_test_setup_teardown(only_a_whole_part_becomes_a_profile, make_db_and_id,
                                        remove_db),
    };
    return cmocka_run_group_tests(tests, NULL, NULL);
}
