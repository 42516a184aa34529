#include "supervisor/log_drop.h"

#include <signal.h>
#include <sys/mount.h>
#include <sys/resource.h>

#include "tests/unit/log_support.h"

/* ---- a disk that takes no more ---------------------------------------------------------------- */

static void set_file_limit(rlim_t bytes)
{
    struct rlimit limit;
    assert_int_equal(getrlimit(RLIMIT_FSIZE, &limit), 0);
    limit.rlim_cur = bytes;
    assert_int_equal(setrlimit(RLIMIT_FSIZE, &limit), 0);
}

static unsigned said;

/* Numbered lines of different lengths; `whole`: the last one too. */
static void app_counts(unsigned lines)
{
    for (unsigned i = 0; i < lines; i++) {
        char line[160];
        unsigned n = said++;
        int len = snprintf(line, sizeof line, "line %u %.*s\n", n, (int)(n * 7919 % 97),
                           "................................................"
                           ".................................................");
        while (app_writes(line, (size_t)len) == 0)
            run_for_ms(1);
    }
}

struct found {
    unsigned lines, told_lines, told_times;
    long long bytes, told_bytes;
};

/* Every number is there once and in order, or is in the sum of those that are told. */
static struct found assert_nothing_is_missing(void)
{
    AUTOBUF struct buf b = BUF_INIT(16 << 20);
    struct found f = {0};
    unsigned next = 0;
    file_becomes(path, &b);
    char *save = NULL;
    for (char *line = strtok_r((char *)buf_str(&b), "\n", &save); line;
         line = strtok_r(NULL, "\n", &save)) {
        unsigned lines, number;
        long long bytes;
        if (sscanf(line, "[proctor: %u lines (%lld bytes) of output were not written here: ",
                   &lines, &bytes) == 2) {
            f.told_times++;
            f.told_lines += lines;
            f.told_bytes += bytes;
            next += lines;
            continue;
        }
        assert_int_equal(sscanf(line, "line %u ", &number), 1);
        assert_int_equal(number, next);
        assert_int_equal(strlen(line),
                         (size_t)snprintf(NULL, 0, "line %u ", number) + number * 7919 % 97);
        next++;
        f.lines++;
        f.bytes += (long long)strlen(line) + 1;
    }
    assert_int_equal(next, said);
    return f;
}

static long long bytes_of(unsigned lines)
{
    long long bytes = 0;
    for (unsigned n = 0; n < lines; n++)
        bytes += snprintf(NULL, 0, "line %u \n", n) + (long long)(n * 7919 % 97);
    return bytes;
}

static void assert_phases(bool killing)
{
    said = 0;
    open_stream();
    for (unsigned phase = 0; phase < 5; phase++) {
        app_counts(200 + phase * 31);
        run_for_ms(15);
        /* Full in the middle of a line, as a rule. */
        set_file_limit((rlim_t)stream.offset + 7000 + phase * 13);
        for (unsigned i = 0; i < 12; i++) {
            app_counts(150);
            run_for_ms(8);
            if (killing)
                kill_and_adopt();
        }
        assert_true(log_drop_active(&stream));
        assert_true(logstream_dropped_lines(&stream) > 0);
        set_file_limit(RLIM_INFINITY);
        app_counts(3);
        run_for_ms(130);
        if (killing)
            kill_and_adopt();
        app_counts(5);
        run_for_ms(20);
        assert_false(log_drop_active(&stream));
    }
    int64_t dropped = logstream_dropped_lines(&stream);
    close_stream();
    struct found f = assert_nothing_is_missing();
    assert_int_equal(f.told_lines, dropped);
    /* More often than phases when a sentence just fits. */
    assert_in_range(f.told_times, 5, 50);
    assert_int_equal(f.bytes + f.told_bytes, bytes_of(said));
}

static void lost_lines_are_exactly_those_that_are_told(void **state)
{
    assert_phases(false);
}

static void the_same_when_we_are_killed_all_the_time(void **state)
{
    assert_phases(true);
}

/* Lives end in the middle of what the real code does: between taking bytes and counting them, cutting and telling. */
static void a_death_within_leaves_the_right_number(void **state)
{
    said = 0;
    open_stream();
    app_counts(100);
    run_for_ms(15);
    set_file_limit((rlim_t)stream.offset + 1000);
    app_counts(100);
    run_for_ms(15);
    /* taken and not counted */
    app_counts(50);
    assert_true(splice(stream.pipe_read, NULL, stream.lost, NULL, 1 << 20, SPLICE_F_NONBLOCK) > 0);
    kill_and_adopt();
    assert_int_equal(log_drop_state(&kept).counted, lseek(stream.lost, 0, SEEK_CUR));
    /* told and not noted */
    set_file_limit(RLIM_INFINITY);
    char text[] = "[proctor: 1 lines (1 bytes) of output were not written here: whatever]\n";
    assert_int_equal(write(stream.file, text, strlen(text)), strlen(text));
    kill_and_adopt();
    /* noted and not cut */
    kill_stream();
    AUTOFREE char *same = xstrdup(path);
    assert_int_equal(truncate(same, (off_t)log_drop_state(&kept).from + 4), 0);
    open_stream();
    app_counts(10);
    run_for_ms(130);
    app_counts(10);
    run_for_ms(15);
    close_stream();
    struct found f = assert_nothing_is_missing();
    assert_int_equal(f.told_times, 1);
    assert_int_equal(f.bytes + f.told_bytes, bytes_of(said));
}

static void a_line_whose_beginning_was_written_is_counted_and_cut(void **state)
{
    open_stream();
    app_says("whole\nbegin");
    run_for_ms(15);
    set_file_limit(11);
    app_says("ning\nmore\n");
    run_for_ms(15);
    assert_file(path, "whole\n");
    set_file_limit(RLIM_INFINITY);
    run_for_ms(120);
    app_says("last");
    run_for_ms(15);
    app_says("ly\n");
    run_for_ms(15);
    close_stream();
    assert_file(path,
                "whole\n[proctor: 2 lines (15 bytes) of output were not written here: File too "
                "large]\nlastly\n");
}

static void what_is_lost_is_told_without_more_output_too(void **state)
{
    open_stream();
    set_file_limit(4);
    app_says("a line\n");
    run_for_ms(15);
    set_file_limit(RLIM_INFINITY);
    (void)usleep(110000);
    run_for_ms(5);
    logstream_tick(&stream);
    assert_file(path,
                "[proctor: 1 lines (7 bytes) of output were not written here: File too large]\n");
    close_stream();
}

static void no_half_sentence_stays(void **state)
{
    open_stream();
    set_file_limit(4);
    app_says("a line\n");
    run_for_ms(15);
    set_file_limit(30);
    run_for_ms(120);
    app_says("another\n");
    run_for_ms(15);
    assert_file(path, "");
    set_file_limit(RLIM_INFINITY);
    close_stream();
    assert_file(path,
                "[proctor: 2 lines (15 bytes) of output were not written here: File too large]\n");
}

static void an_unfinished_line_ends_with_its_process(void **state)
{
    open_stream();
    set_file_limit(4);
    app_says("a line\nunfinished");
    run_for_ms(15);
    set_file_limit(RLIM_INFINITY);
    logstream_drain(&stream);
    app_says("of the next process\n");
    run_for_ms(15);
    close_stream();
    assert_file(path, "[proctor: 2 lines (17 bytes) of output were not written here: File too "
                      "large]\nof the next process\n");
}

/* ---- a real one ------------------------------------------------------------------------------- */

static void counts_that_cannot_be_are_not_believed(void **state)
{
    open_stream();
    memset(stream.kept, 0xa5, sizeof *stream.kept);
    kill_and_adopt();
    assert_int_equal(logstream_dropped_lines(&stream), 0);
    assert_false(log_drop_active(&stream));
    assert_int_equal(app_writes("whole\n", 6), 6);
    run_for_ms(20);
    assert_int_equal(stream.offset, 6);
    close_stream();
}

static void a_full_file_system(void **state)
{
    if (mount("proctor-unit", folder, "tmpfs", MS_NOSUID, "size=128k") < 0)
        skip(); /* not allowed to mount: the limit above stands for it */
    AUTOFREE char *filler = in_folder("filler");
    said = 0;
    open_stream();
    for (unsigned phase = 0; phase < 3; phase++) {
        app_counts(100);
        run_for_ms(15);
        int fd = open(filler, O_WRONLY | O_CREAT | O_CLOEXEC, 0600);
        char block[1024] = {0};
        while (write(fd, block, sizeof block) > 0)
            continue;
        (void)close(fd);
        for (unsigned i = 0; i < 10; i++) {
            app_counts(100);
            run_for_ms(8);
            kill_and_adopt();
        }
        assert_true(log_drop_active(&stream));
        assert_int_equal(unlink(filler), 0);
        run_for_ms(120);
    }
    app_counts(10);
    run_for_ms(130);
    app_counts(10);
    run_for_ms(15);
    close_stream();
    struct found f = assert_nothing_is_missing();
    (void)umount(folder);
    assert_true(f.told_times >= 3);
    assert_int_equal(f.bytes + f.told_bytes, bytes_of(said));
}

#define ON_LOOP(test) cmocka_unit_test_setup_teardown(test, set_up, tear_down)

int main(void)
{
    const struct CMUnitTest tests[] = {
        ON_LOOP(lost_lines_are_exactly_those_that_are_told),
        ON_LOOP(the_same_when_we_are_killed_all_the_time),
        ON_LOOP(a_death_within_leaves_the_right_number),
        ON_LOOP(a_line_whose_beginning_was_written_is_counted_and_cut),
        ON_LOOP(what_is_lost_is_told_without_more_output_too),
        ON_LOOP(no_half_sentence_stays),
        ON_LOOP(an_unfinished_line_ends_with_its_process),
        ON_LOOP(counts_that_cannot_be_are_not_believed),
        ON_LOOP(a_full_file_system),
    };
    return cmocka_run_group_tests(tests, warm_up, NULL);
}
