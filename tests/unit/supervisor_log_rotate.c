#include "supervisor/log_rotate.h"

#include <signal.h>
#include <sys/stat.h>

#include "lib/base/archive.h"
#include "lib/base/err.h"
#include "tests/unit/log_support.h"

/* ---- reading it all --------------------------------------------------------------------------- */

static void add_whole(const char *name, struct buf *out)
{
    AUTOFREE char *file = in_folder(name);
    file_becomes(file, out);
}

/* Archives in their order, then the file. */
static char *everything(size_t *ret_archives)
{
    AUTOBUF struct buf b = BUF_INIT(16 << 20);
    AUTOARCHIVES struct archives a;
    assert_int_equal(archives_read(&a, folder, "api-0.out"), 0);
    for (size_t i = 0; i < a.count; i++)
        if (a.items[i].is_plain)
            add_whole(a.items[i].name, &b);
    add_whole("api-0.out", &b);
    *ret_archives = a.count;
    return xstrdup(buf_str(&b));
}

static unsigned said;

static void app_counts(unsigned lines)
{
    for (unsigned i = 0; i < lines; i++) {
        char line[64];
        (void)snprintf(line, sizeof line, "line %u and some words\n", said++);
        app_says(line);
    }
}

static void assert_lines(const char *text, unsigned count)
{
    AUTOBUF struct buf b = BUF_INIT(16 << 20);
    for (unsigned n = 0; n < count; n++)
        (void)buf_addf(&b, "line %u and some words\n", n);
    assert_string_equal(text, buf_str(&b));
}

static void assert_whole_index(const char *name, off_t size)
{
    AUTOFREE char *file = in_folder(name);
    AUTOBUF struct buf b = BUF_INIT(16 << 20);
    file_becomes(file, &b);
    uint64_t last[2] = {0, 0};
    assert_int_equal(b.len % sizeof last, 0);
    for (size_t at = 0; at < b.len; at += sizeof last) {
        uint64_t record[2];
        memcpy(record, b.data + at, sizeof record);
        assert_true(record[0] >= last[0] && record[1] >= last[1]);
        assert_true(record[0] > 1000000000000u && (off_t)record[1] <= size);
        if (at == 0)
            assert_int_equal(record[1], 0);
        memcpy(last, record, sizeof last);
    }
}

static bool is_there(const char *name)
{
    struct stat st;
    AUTOFREE char *file = in_folder(name);
    return lstat(file, &st) == 0;
}

/* ---- tests ----------------------------------------------------------------------------------- */

static void what_was_there_is_an_archive_and_the_rest_goes_on(void **state)
{
    size_t archives;
    said = 0;
    open_stream();
    app_counts(10);
    run_for_ms(15);
    app_says("line 10 and");
    run_for_ms(15);
    assert_int_equal(log_rotate(&stream, TURN_STEPS), 0);
    assert_file(path, "line 10 and");
    assert_int_equal(stream.offset, 11);
    app_says(" some words\n");
    said++;
    app_counts(10);
    run_for_ms(15);
    AUTOFREE char *text = everything(&archives);
    assert_lines(text, 21);
    assert_int_equal(archives, 1);
    assert_whole_index("api-0.out.idx", stream.offset);
    assert_false(is_there("api-0.out.new"));
    assert_false(is_there("api-0.out.new.idx"));
    close_stream();
}

/* A kill behind each step, with and without an unfinished line. */
static void no_death_in_a_rotation_loses_a_byte(void **state)
{
    size_t archives;
    for (unsigned step = 0; step <= TURN_STEPS; step++) {
        for (unsigned part = 0; part < 2; part++) {
            said = 0;
            open_stream();
            app_counts(50);
            run_for_ms(12);
            if (part)
                app_says("line 50 a");
            run_for_ms(12);
            assert_int_equal(log_rotate(&stream, step), 0);
            /* What came while nobody was there. */
            app_says(part ? "nd some words\n" : "line 50 and some words\n");
            kill_and_adopt();
            assert_int_equal(kept.cut_at, 0);
            said = 51;
            app_counts(20);
            run_for_ms(12);
            AUTOFREE char *text = everything(&archives);
            assert_lines(text, 71);
            assert_int_equal(archives, step > TURN_SWITCH_FILE ? 1 : 0);
            assert_whole_index("api-0.out.idx", stream.offset);
            assert_false(is_there("api-0.out.new"));
            assert_false(is_there("api-0.out.new.idx"));
            /* And it can be done again. */
            assert_int_equal(log_rotate(&stream, TURN_STEPS), 0);
            AUTOFREE char *again = everything(&archives);
            assert_lines(again, 71);
            close_stream();
            AUTOFREE char *clean = xasprintf("rm -f '%s'/*", folder);
            assert_int_equal(system(clean), 0);
        }
    }
}

static void a_second_death_in_the_repair_is_harmless_too(void **state)
{
    size_t archives;
    for (unsigned step = 1; step < TURN_STEPS; step++) {
        said = 0;
        open_stream();
        app_counts(50);
        app_says("line 50 a");
        run_for_ms(12);
        int old_file = dup(stream.file), old_index = dup(stream.index);
        assert_int_equal(log_rotate(&stream, step), 0);
        int64_t cut_at = kept.cut_at, stamp = kept.rotated_wall_ms;
        kill_and_adopt();
        /* The journal as it was: the repair was done, and the note of that was not. */
        kept.cut_at = cut_at;
        kept.rotated_wall_ms = stamp;
        kill_and_adopt();
        app_says("nd some words\n");
        run_for_ms(12);
        AUTOFREE char *text = everything(&archives);
        assert_lines(text, 51);
        (void)close(old_file);
        (void)close(old_index);
        close_stream();
        AUTOFREE char *clean = xasprintf("rm -f '%s'/*", folder);
        assert_int_equal(system(clean), 0);
    }
}

/* Keeper and supervisor at once: the descriptors are gone; after a reboot the journal too. */
static void the_end_of_all_in_a_rotation_leaves_every_line_once(void **state)
{
    size_t archives;
    for (unsigned step = 0; step <= TURN_STEPS; step++) {
        for (unsigned journal = 0; journal < 2; journal++) {
            /* Without the journal nothing says where the archive is to be cut. */
            bool part = journal || step <= TURN_SWITCH_FILE || step > TURN_CUT;
            said = 0;
            open_stream();
            app_counts(50);
            app_says(part ? "line 50 a" : "");
            run_for_ms(12);
            assert_int_equal(log_rotate(&stream, step), 0);
            kill_stream();
            while (keeper.count > 0)
                fake_remove(&keeper, 0);
            if (!journal)
                kept = (struct slot_stream){0};
            open_stream();
            app_says(part ? "nd some words\n" : "line 50 and some words\n");
            run_for_ms(12);
            AUTOFREE char *text = everything(&archives);
            assert_lines(text, 51);
            assert_int_equal(archives, step > TURN_SWITCH_FILE ? 1 : 0);
            assert_whole_index("api-0.out.idx", stream.offset);
            assert_false(is_there("api-0.out.new"));
            close_stream();
            AUTOFREE char *clean = xasprintf("rm -f '%s'/*", folder);
            assert_int_equal(system(clean), 0);
        }
    }
}

static void what_was_cut_from_outside_is_no_archive_of_zeros(void **state)
{
    size_t archives;
    const struct log_limits limits = {.every_ms = 1};
    said = 0;
    open_stream();
    app_counts(50);
    run_for_ms(12);
    assert_int_equal(truncate(path, 0), 0);
    logstream_rotate_by(&stream, &limits, NULL, NULL);
    (void)usleep(5000);
    logstream_tick(&stream);
    AUTOFREE char *text = everything(&archives);
    assert_string_equal(text, "");
    assert_int_equal(archives, 0);
    close_stream();
}

static unsigned archived;

static void on_archived(void *arg, const char *file, unsigned keep)
{
    struct stat st;
    assert_int_equal(stat(file, &st), 0);
    assert_int_equal(keep, 7);
    archived++;
}

static void it_is_rotated_by_size(void **state)
{
    size_t archives;
    const struct log_limits limits = {.max_bytes = 4096, .keep = 7};
    said = archived = 0;
    open_stream();
    logstream_rotate_by(&stream, &limits, on_archived, NULL);
    for (unsigned i = 0; i < 20; i++) {
        app_counts(100);
        run_for_ms(12);
    }
    AUTOFREE char *text = everything(&archives);
    assert_lines(text, 2000);
    assert_true(archives >= 5);
    assert_int_equal(archived, archives);
    close_stream();
}

static void it_is_rotated_by_time_when_there_is_something(void **state)
{
    size_t archives;
    const struct log_limits limits = {.every_ms = 60};
    said = 0;
    open_stream();
    logstream_rotate_by(&stream, &limits, NULL, NULL);
    (void)usleep(70000);
    logstream_tick(&stream);
    AUTOFREE char *nothing = everything(&archives);
    assert_string_equal(nothing, "");
    assert_int_equal(archives, 0);
    app_counts(3);
    run_for_ms(15);
    logstream_tick(&stream);
    assert_int_equal(stream.offset > 0, 1);
    kill_and_adopt();
    logstream_rotate_by(&stream, &limits, NULL, NULL);
    (void)usleep(70000);
    uv_update_time(&loop);
    logstream_tick(&stream);
    assert_int_equal(stream.offset, 0);
    AUTOFREE char *text = everything(&archives);
    assert_int_equal(archives, 1);
    assert_lines(text, 3);
    close_stream();
}

static void one_line_is_not_torn(void **state)
{
    size_t archives;
    const struct log_limits limits = {.max_bytes = 4096};
    char piece[1025];
    memset(piece, 'x', 1024);
    piece[1024] = '\0';
    open_stream();
    logstream_rotate_by(&stream, &limits, NULL, NULL);
    for (unsigned i = 0; i < 20; i++) {
        app_says(piece);
        run_for_ms(8);
    }
    AUTOFREE char *text = everything(&archives);
    assert_int_equal(strlen(text), 20 * 1024);
    assert_int_equal(archives, 0);
    app_says("\n");
    for (unsigned i = 0; i < 30; i++) {
        (void)usleep(50000);
        run_for_ms(2);
        logstream_tick(&stream);
    }
    AUTOFREE char *after = everything(&archives);
    assert_int_equal(archives, 1);
    assert_int_equal(strlen(after), 20 * 1024 + 1);
    assert_int_equal(stream.offset, 0);
    close_stream();
}

static void who_may_read_the_old_one_may_read_the_new_one(void **state)
{
    struct stat st;
    open_stream();
    app_says("a line\n");
    run_for_ms(15);
    assert_int_equal(chmod(path, 0640), 0);
    assert_int_equal(log_rotate(&stream, TURN_STEPS), 0);
    assert_int_equal(stat(path, &st), 0);
    assert_int_equal(st.st_mode & 0777, 0640);
    close_stream();
}

static void a_rotation_that_fails_leaves_everything(void **state)
{
    AUTOFREE char *in_the_way = in_folder("api-0.out.new.idx");
    open_stream();
    app_says("a line\n");
    run_for_ms(15);
    assert_int_equal(mkdir(in_the_way, 0700), 0);
    assert_int_equal(log_rotate(&stream, TURN_STEPS), -EISDIR);
    assert_int_equal(kept.cut_at, 0);
    assert_false(is_there("api-0.out.new"));
    app_says("another\n");
    run_for_ms(15);
    assert_file(path, "a line\nanother\n");
    close_stream();
}

/* ---- from outside ----------------------------------------------------------------------------- */

static void a_file_moved_away_is_left_when_told(void **state)
{
    AUTOFREE char *moved = in_folder("moved");
    open_stream();
    app_says("one\ntw");
    run_for_ms(15);
    assert_int_equal(logstream_reopen(&stream), 0);
    assert_int_equal(rename(path, moved), 0);
    app_says("o\nthr");
    run_for_ms(15);
    assert_int_equal(logstream_reopen(&stream), 0);
    app_says("ee\n");
    run_for_ms(15);
    kill_and_adopt();
    app_says("four\n");
    run_for_ms(15);
    assert_file(moved, "one\ntwo\n");
    assert_file(path, "three\nfour\n");
    assert_whole_index("api-0.out.idx", stream.offset);
    close_stream();
}

static void an_empty_file_that_was_put_there_is_taken(void **state)
{
    struct stat st;
    AUTOFREE char *moved = in_folder("moved");
    open_stream();
    app_says("one\ntw");
    run_for_ms(15);
    assert_int_equal(rename(path, moved), 0);
    put_file(path, "");
    assert_int_equal(chmod(path, 0644), 0);
    assert_int_equal(logstream_reopen(&stream), 0);
    app_says("o\n");
    run_for_ms(15);
    assert_file(moved, "one\n");
    assert_file(path, "two\n");
    assert_int_equal(stat(path, &st), 0);
    assert_int_equal(st.st_mode & 0777, 0644);
    close_stream();
}

static void a_file_with_something_in_it_is_continued(void **state)
{
    AUTOFREE char *moved = in_folder("moved");
    open_stream();
    app_says("one\n");
    run_for_ms(15);
    assert_int_equal(rename(path, moved), 0);
    put_file(path, "of another\n");
    assert_int_equal(logstream_reopen(&stream), 0);
    app_says("two\n");
    run_for_ms(15);
    assert_file(moved, "one\n");
    assert_file(path, "of another\ntwo\n");
    close_stream();
}

static void reopening_survives_a_death_too(void **state)
{
    AUTOFREE char *moved = in_folder("moved");
    /* log_rotate() goes the way of reopening when the name is not ours; it has no steps there, so the journal is set by hand. */
    open_stream();
    app_says("one\ntw");
    run_for_ms(15);
    assert_int_equal(rename(path, moved), 0);
    put_file(path, "tw");
    kept.cut_at = 4;
    kept.rotated_wall_ms = 0;
    kill_and_adopt();
    app_says("o\n");
    run_for_ms(15);
    assert_file(moved, "one\n");
    assert_file(path, "two\n");
    close_stream();
}

static void nothing_is_written_through_a_link(void **state)
{
    AUTOFREE char *moved = in_folder("moved"), *victim = in_folder("victim");
    open_stream();
    app_says("one\n");
    run_for_ms(15);
    put_file(victim, "precious\n");
    assert_int_equal(rename(path, moved), 0);
    assert_int_equal(symlink(victim, path), 0);
    assert_int_equal(logstream_reopen(&stream), ERR_NO_FILE);
    app_says("two\n");
    run_for_ms(15);
    assert_file(victim, "precious\n");
    assert_file(moved, "one\ntwo\n");
    close_stream();
}

#define ON_LOOP(test) cmocka_unit_test_setup_teardown(test, set_up, tear_down)

int main(void)
{
    const struct CMUnitTest tests[] = {
        ON_LOOP(what_was_there_is_an_archive_and_the_rest_goes_on),
        ON_LOOP(no_death_in_a_rotation_loses_a_byte),
        ON_LOOP(a_second_death_in_the_repair_is_harmless_too),
        ON_LOOP(the_end_of_all_in_a_rotation_leaves_every_line_once),
        ON_LOOP(what_was_cut_from_outside_is_no_archive_of_zeros),
        ON_LOOP(it_is_rotated_by_size),
        ON_LOOP(it_is_rotated_by_time_when_there_is_something),
        ON_LOOP(one_line_is_not_torn),
        ON_LOOP(who_may_read_the_old_one_may_read_the_new_one),
        ON_LOOP(a_rotation_that_fails_leaves_everything),
        ON_LOOP(a_file_moved_away_is_left_when_told),
        ON_LOOP(an_empty_file_that_was_put_there_is_taken),
        ON_LOOP(a_file_with_something_in_it_is_continued),
        ON_LOOP(reopening_survives_a_death_too),
        ON_LOOP(nothing_is_written_through_a_link),
    };
    return cmocka_run_group_tests(tests, warm_up, NULL);
}
