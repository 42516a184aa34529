#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>
#include <cmocka.h>

#include <endian.h>
#include <errno.h>
#include <fcntl.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <unistd.h>

#include "lib/base/auto.h"
#include "lib/base/mem.h"
#include "lib/base/path.h"
#include "supervisor/cli/log_set.h"

static char *dir;

static int set_up(void **state)
{
    dir = xstrdup("/tmp/proctor-logs-XXXXXX");
    return mkdtemp(dir) ? 0 : -1;
}

static int tear_down(void **state)
{
    AUTOFREE char *command = xasprintf("rm -rf '%s'", dir);
    free(dir);
    return system(command);
}

static void append(const char *name, const void *data, size_t len)
{
    AUTOFREE char *path = path_join(dir, name);
    AUTOCLOSE int fd = open(path, O_WRONLY | O_APPEND | O_CREAT, 0600);
    assert_int_equal(write(fd, data, len), len);
}

/* Writes as the supervisor does: an index record, then the output that began at that time. */
static void output(const char *name, uint64_t time_ms, const char *text)
{
    AUTOFREE char *path = path_join(dir, name);
    AUTOFREE char *index = xasprintf("%s.idx", name);
    AUTOCLOSE int fd = open(path, O_WRONLY | O_CREAT, 0600);
    uint64_t record[2] = {htole64(time_ms), htole64((uint64_t)lseek(fd, 0, SEEK_END))};
    append(index, record, sizeof record);
    append(name, text, strlen(text));
}

static void open_set(struct log_set *s)
{
    log_set_init(s, dir);
    assert_true(log_set_scan(s) >= 0);
}

/* The next line must be "<label> <time> <text>". */
static void next_is(struct log_set *s, const char *expected)
{
    const struct log_source *source = log_set_next(s, true);
    assert_non_null(source);
    AUTOFREE char *line =
        xasprintf("%s%s %lld %.*s", source->label, source->name.is_err ? "!" : "",
                  (long long)source->line.time_ms, (int)source->line.len, source->line.text);
    assert_string_equal(line, expected);
}

static void reads_the_names_of_files(void **state)
{
    struct log_name name;
    assert_true(log_name_parse("my-app-12.err", &name));
    assert_string_equal(name.app, "my-app");
    assert_int_equal(name.instance, 12);
    assert_true(name.is_err);
    assert_true(log_name_matches(&name, "my-app"));
    assert_true(log_name_matches(&name, "my-app-12"));
    assert_true(log_name_matches(&name, "all"));
    assert_false(log_name_matches(&name, "my"));
    assert_false(log_name_matches(&name, "my-app-1"));
    free(name.app);
    assert_true(log_name_parse("api--1.out", &name));
    assert_string_equal(name.app, "api-");
    free(name.app);
    assert_false(log_name_parse("api-0.out.idx", &name));
    assert_false(log_name_parse("api.out", &name));
    assert_false(log_name_parse("-0.out", &name));
    assert_false(log_name_parse("api-99999999.out", &name));
    assert_false(log_name_parse("api-x.out", &name));
    assert_false(log_name_parse(".out", &name));
}

static void merges_streams_by_time(void **state)
{
    struct log_set s;
    output("api-0.out", 10, "a\nb\n");
    output("api-0.err", 20, "oops\n");
    output("api-1.out", 15, "c\n");
    output("api-0.out", 30, "d\n");
    open_set(&s);
    next_is(&s, "api-0 10 a");
    next_is(&s, "api-0 10 b");
    next_is(&s, "api-1 15 c");
    next_is(&s, "api-0! 20 oops");
    next_is(&s, "api-0 30 d");
    assert_null(log_set_next(&s, true));
    log_set_clear(&s);
}

static void at_the_same_time_the_order_is_that_of_the_names(void **state)
{
    struct log_set s;
    output("b-0.out", 10, "2\n");
    output("a-1.out", 10, "1\n");
    output("a-0.err", 10, "0\n");
    open_set(&s);
    next_is(&s, "a-0! 10 0");
    next_is(&s, "a-1 10 1");
    next_is(&s, "b-0 10 2");
    log_set_clear(&s);
}

static void the_tail_is_of_all_files_together(void **state)
{
    struct log_set s;
    output("a-0.out", 10, "1\n2\n");
    output("b-0.out", 20, "3\n");
    output("a-0.out", 30, "4\n5\n");
    output("b-0.out", 40, "6");
    open_set(&s);
    log_set_seek_tail(&s, 4);
    next_is(&s, "b-0 20 3");
    next_is(&s, "a-0 30 4");
    next_is(&s, "a-0 30 5");
    next_is(&s, "b-0 40 6");
    assert_null(log_set_next(&s, true));
    log_set_clear(&s);
}

static void a_tail_of_nothing_is_the_end(void **state)
{
    struct log_set s;
    output("a-0.out", 10, "1\n2\n");
    open_set(&s);
    log_set_seek_tail(&s, 0);
    assert_null(log_set_next(&s, true));
    output("a-0.out", 50, "3\n");
    assert_true(log_set_check(&s));
    next_is(&s, "a-0 50 3");
    log_set_clear(&s);
}

static void a_long_tail_is_the_whole_file(void **state)
{
    struct log_set s;
    output("a-0.out", 10, "\n\nx\n");
    open_set(&s);
    log_set_seek_tail(&s, 100);
    next_is(&s, "a-0 10 ");
    next_is(&s, "a-0 10 ");
    next_is(&s, "a-0 10 x");
    assert_null(log_set_next(&s, true));
    log_set_clear(&s);
}

static void finds_the_tail_across_blocks(void **state)
{
    struct log_set s;
    for (unsigned i = 0; i < 20000; i++) {
        char line[32];
        (void)snprintf(line, sizeof line, "line %u\n", i);
        if (i % 1000 == 0)
            output("a-0.out", 1000 + i, line);
        else
            append("a-0.out", line, strlen(line));
    }
    open_set(&s);
    log_set_seek_tail(&s, 14500);
    next_is(&s, "a-0 6000 line 5500");
    for (unsigned i = 0; i < 499; i++)
        (void)log_set_next(&s, true);
    next_is(&s, "a-0 7000 line 6000");
    log_set_clear(&s);
}

static void an_unfinished_line_waits(void **state)
{
    struct log_set s;
    output("a-0.out", 10, "par");
    open_set(&s);
    assert_null(log_set_next(&s, false));
    assert_false(log_set_check(&s));
    append("a-0.out", "tial\n", 5);
    next_is(&s, "a-0 10 partial");
    log_set_clear(&s);
}

static void begins_again_when_a_file_is_truncated(void **state)
{
    struct log_set s;
    AUTOFREE char *path = path_join(dir, "a-0.out");
    AUTOFREE char *index = path_join(dir, "a-0.out.idx");
    output("a-0.out", 10, "a long line before\n");
    open_set(&s);
    next_is(&s, "a-0 10 a long line before");
    assert_null(log_set_next(&s, false));
    assert_int_equal(truncate(path, 0), 0);
    assert_int_equal(truncate(index, 0), 0);
    output("a-0.out", 20, "new\n");
    assert_true(log_set_check(&s));
    next_is(&s, "a-0 20 new");
    log_set_clear(&s);
}

static void goes_on_with_the_new_file_after_a_rotation(void **state)
{
    struct log_set s;
    AUTOFREE char *path = path_join(dir, "a-0.out");
    AUTOFREE char *old = path_join(dir, "a-0.out.1");
    AUTOFREE char *index = path_join(dir, "a-0.out.idx");
    output("a-0.out", 10, "one\ntw");
    open_set(&s);
    next_is(&s, "a-0 10 one");
    assert_null(log_set_next(&s, false));
    assert_int_equal(rename(path, old), 0);
    assert_int_equal(unlink(index), 0);
    assert_false(log_set_check(&s));
    output("a-0.out", 20, "three\n");
    /* What stood in the old file without an end comes first. */
    assert_true(log_set_check(&s));
    next_is(&s, "a-0 10 tw");
    assert_null(log_set_next(&s, false));
    assert_true(log_set_check(&s));
    next_is(&s, "a-0 20 three");
    log_set_clear(&s);
}

static void without_an_index_the_time_is_unknown(void **state)
{
    struct log_set s;
    append("a-0.out", "x\n", 2);
    output("b-0.out", 5, "y\n");
    append("b-0.out.idx", "torn", 4);
    open_set(&s);
    next_is(&s, "a-0 0 x");
    next_is(&s, "b-0 5 y");
    log_set_clear(&s);
}

static void a_line_without_end_comes_in_pieces(void **state)
{
    struct log_set s;
    AUTOFREE char *big = xcalloc(1, LOG_LINE_BYTES + 100000);
    memset(big, 'x', LOG_LINE_BYTES + 99999);
    append("a-0.out", big, LOG_LINE_BYTES + 99999);
    append("a-0.out", "\nend\n", 5);
    open_set(&s);
    size_t total = 0;
    const struct log_source *source;
    while ((source = log_set_next(&s, false)) && source->line.text[0] == 'x')
        total += source->line.len;
    assert_int_equal(total, LOG_LINE_BYTES + 99999);
    assert_non_null(source);
    assert_int_equal(source->line.len, 3);
    log_set_clear(&s);
}

static void takes_only_what_is_asked_for(void **state)
{
    struct log_set s;
    output("a-0.out", 1, "x\n");
    output("a-0.err", 1, "x\n");
    output("a-1.out", 1, "x\n");
    output("b-0.out", 1, "x\n");
    log_set_init(&s, dir);
    strlist_add(&s.targets, "a-1");
    strlist_add(&s.targets, "b");
    assert_int_equal(log_set_scan(&s), 2);
    assert_true(log_set_has(&s, "b"));
    assert_false(log_set_has(&s, "a-0"));
    log_set_clear(&s);
    log_set_init(&s, dir);
    s.out = false;
    assert_int_equal(log_set_scan(&s), 1);
    assert_int_equal(log_set_scan(&s), 0);
    log_set_clear(&s);
    log_set_init(&s, "/no/such/folder");
    assert_int_equal(log_set_scan(&s), -ENOENT);
    log_set_clear(&s);
}

#define TEST(f) cmocka_unit_test_setup_teardown(f, set_up, tear_down)

int main(void)
{
    const struct CMUnitTest tests[] = {
        TEST(reads_the_names_of_files),
        TEST(merges_streams_by_time),
        TEST(at_the_same_time_the_order_is_that_of_the_names),
        TEST(the_tail_is_of_all_files_together),
        TEST(a_tail_of_nothing_is_the_end),
        TEST(a_long_tail_is_the_whole_file),
        TEST(finds_the_tail_across_blocks),
        TEST(an_unfinished_line_waits),
        TEST(begins_again_when_a_file_is_truncated),
        TEST(goes_on_with_the_new_file_after_a_rotation),
        TEST(without_an_index_the_time_is_unknown),
        TEST(a_line_without_end_comes_in_pieces),
        TEST(takes_only_what_is_asked_for),
    };
    return cmocka_run_group_tests(tests, NULL, NULL);
}
