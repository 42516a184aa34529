#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>
#include <cmocka.h>

#include <errno.h>
#include <fcntl.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/mman.h>
#include <sys/stat.h>
#include <time.h>
#include <unistd.h>

#include "lib/base/auto.h"
#include "lib/base/buf.h"
#include "lib/base/json.h"
#include "lib/base/mem.h"
#include "lib/base/path.h"
#include "supervisor/cli/capture_save.h"

enum { EPOCH_S = 1234567890 };

static char dir[] = "/tmp/proctor-save-XXXXXX";

static int set_up(void **state)
{
    (void)setenv("TZ", "UTC", 1);
    tzset();
    return mkdtemp(dir) ? 0 : -1;
}

static int tear_down(void **state)
{
    AUTOFREE char *command = xasprintf("rm -rf '%s'", dir);
    return system(command);
}

static json_t *record(const char *app, const char *kind, int instance)
{
    return json_pack("{s:s,s:s,s:i}", "app", app, "kind", kind, "instance", instance);
}

static void file_name(const char *app, const char *kind, const char *expected)
{
    AUTOJSON json_t *r = record(app, kind, 2);
    AUTOFREE char *name = capture_file_name(r, EPOCH_S * 1000LL);
    assert_string_equal(name, expected);
}

static void names_a_file_after_process_kind_and_time(void **state)
{
    file_name("api", "cpu", "api-2-cpu-20090213-233130.cpuprofile");
    file_name("api", "heap", "api-2-heap-20090213-233130.heapprofile");
    file_name("a b\n", "cpu", "a-b--2-cpu-20090213-233130.cpuprofile");
    file_name("-x", "cpu", "_x-2-cpu-20090213-233130.cpuprofile");
    file_name(".x", "cpu", "_x-2-cpu-20090213-233130.cpuprofile");
}

static void puts_the_instance_into_a_name(void **state)
{
    AUTOJSON json_t *r = record("api", "cpu", 3);
    AUTOFREE char *path = capture_path("out-%i.cpuprofile", r, 0);
    assert_string_equal(path, "out-3.cpuprofile");
    AUTOFREE char *plain = capture_path("x/%s-100%.json", r, 0);
    assert_string_equal(plain, "x/%s-100%.json");
    AUTOFREE char *host = capture_path("out-%h-%i", r, 0);
    assert_string_equal(host, "out-%h-3");
}

/* ---- of several hosts ------------------------------------------------------------------------ */

static json_t *record_of_host(const char *host, int instance)
{
    json_t *r = record("api", "cpu", instance);
    json_set_string(r, "host_name", host);
    return r;
}

static void puts_the_host_into_a_name(void **state)
{
    AUTOJSON json_t *r = record_of_host("web 1/..", 3);
    AUTOFREE char *path = capture_path("%h/%i-%h%%i.json", r, 0);
    assert_string_equal(path, "web-1-../3-web-1-..%3.json");
    AUTOFREE char *name = capture_file_name(r, EPOCH_S * 1000LL);
    assert_string_equal(name, "api-3-web-1-..-cpu-20090213-233130.cpuprofile");
}

static void sees_which_names_tell_results_apart(void **state)
{
    AUTOJSON json_t *many = json_array(), *one = json_array(), *none = json_array();
    (void)json_array_append_new(many, record_of_host("a", 0));
    (void)json_array_append_new(many, record_of_host("a", 1));
    (void)json_array_append_new(one, record_of_host("a", 0));
    assert_true(capture_path_is_enough(NULL, many));
    assert_true(capture_path_is_enough(dir, many));
    assert_true(capture_path_is_enough("new-folder/", many));
    assert_true(capture_path_is_enough("x-%i", many));
    assert_false(capture_path_is_enough("x-%h", many));
    assert_false(capture_path_is_enough("x", many));
    assert_false(capture_path_is_enough("-", many));
    (void)json_array_append_new(many, record_of_host("b", 0));
    assert_false(capture_path_is_enough("x-%i", many));
    assert_true(capture_path_is_enough("x-%i-%h", many));
    assert_true(capture_path_is_enough("x", one));
    assert_true(capture_path_is_enough("-", one));
    assert_true(capture_path_is_enough("x", none));
}

static void gives_a_private_room_without_a_name(void **state)
{
    struct stat st;
    AUTOFREE char *file = path_join(dir, "no-such-name");
    const char *const wanted[] = {dir, file, "-", "/no/such/folder/file"};
    for (size_t i = 0; i < ARRAY_SIZE(wanted); i++) {
        AUTOCLOSE int fd = capture_save_room(wanted[i]);
        assert_true(fd >= 0);
        assert_int_equal(fstat(fd, &st), 0);
        assert_int_equal(st.st_mode & 07777, 0600);
        assert_int_equal(st.st_nlink, 0);
    }
    assert_int_equal(access(file, F_OK), -1);
}

/* A result whose descriptor stands at its end, as a descriptor from elsewhere may. */
static int result_of(const char *text)
{
    int fd = memfd_create("result", MFD_CLOEXEC);
    assert_int_equal(write(fd, text, strlen(text)), strlen(text));
    return fd;
}

static void holds(const char *path, const char *expected)
{
    AUTOBUF struct buf text = BUF_INIT(4096);
    assert_int_equal(path_read(path, &text), 0);
    assert_string_equal(buf_str(&text), expected);
}

static void writes_a_private_file(void **state)
{
    AUTOCLOSE int fd = result_of("{}");
    AUTOFREE char *path = path_join(dir, "new");
    struct stat st;
    assert_int_equal(capture_save(fd, path), 2);
    holds(path, "{}");
    assert_int_equal(stat(path, &st), 0);
    assert_int_equal(st.st_mode & 07777, 0600);
    AUTOCLOSE int again = result_of("other");
    assert_int_equal(capture_save(again, path), 5);
    holds(path, "other");
}

static void a_name_of_ours_is_one_that_is_free(void **state)
{
    AUTOJSON json_t *r = record("api", "cpu", 0);
    AUTOCLOSE int fd = result_of("{}");
    AUTOFREE char *one = capture_path(dir, r, EPOCH_S * 1000LL);
    assert_true(capture_save(fd, one) > 0);
    AUTOFREE char *two = capture_path(dir, r, EPOCH_S * 1000LL);
    AUTOFREE char *expected = path_join(dir, "api-0-cpu-20090213-233130-2.cpuprofile");
    assert_string_equal(two, expected);
}

static void replaces_a_link_and_leaves_what_it_names(void **state)
{
    AUTOCLOSE int fd = result_of("profile");
    AUTOFREE char *target = path_join(dir, "precious");
    AUTOFREE char *link_path = path_join(dir, "link");
    struct stat st;
    assert_int_equal(path_write_atomic(target, "keep", 4, 0600), 0);
    assert_int_equal(symlink(target, link_path), 0);
    assert_int_equal(capture_save(fd, link_path), 7);
    holds(target, "keep");
    holds(link_path, "profile");
    assert_int_equal(lstat(link_path, &st), 0);
    assert_true(S_ISREG(st.st_mode));
}

static void refuses_a_link_to_a_device(void **state)
{
    AUTOCLOSE int fd = result_of("profile");
    AUTOFREE char *path = path_join(dir, "null");
    assert_int_equal(symlink("/dev/null", path), 0);
    assert_int_equal(capture_save(fd, path), -ELOOP);
}

static void writes_into_a_device(void **state)
{
    AUTOCLOSE int fd = result_of("profile");
    struct stat st;
    assert_int_equal(capture_save(fd, "/dev/null"), 7);
    assert_int_equal(lstat("/dev/null", &st), 0);
    assert_true(S_ISCHR(st.st_mode));
    assert_int_equal(capture_save(fd, "/dev/full"), -ENOSPC);
}

static void leaves_nothing_behind_when_it_fails(void **state)
{
    AUTOCLOSE int fd = result_of("profile");
    AUTOFREE char *missing = path_join(dir, "no/such/file");
    assert_int_equal(capture_save(fd, missing), -ENOENT);
    assert_int_equal(capture_save(-1, "relative-unwritten"), -EBADF);
    assert_int_equal(access("relative-unwritten", F_OK), -1);
}

static void looks_before_anything_is_captured(void **state)
{
    char *bad = NULL;
    assert_int_equal(capture_path_check(NULL, &bad), 0);
    assert_int_equal(capture_path_check("-", &bad), 0);
    assert_int_equal(capture_path_check("/dev/null", &bad), 0);
    assert_int_equal(capture_path_check(dir, &bad), 0);
    assert_null(bad);
    assert_int_equal(capture_path_check("/no/such/dir/file", &bad), -ENOENT);
    assert_string_equal(bad, "/no/such/dir");
    free(bad);
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(names_a_file_after_process_kind_and_time),
        cmocka_unit_test(puts_the_instance_into_a_name),
        cmocka_unit_test(puts_the_host_into_a_name),
        cmocka_unit_test(sees_which_names_tell_results_apart),
        cmocka_unit_test(gives_a_private_room_without_a_name),
        cmocka_unit_test(writes_a_private_file),
        cmocka_unit_test(a_name_of_ours_is_one_that_is_free),
        cmocka_unit_test(replaces_a_link_and_leaves_what_it_names),
        cmocka_unit_test(refuses_a_link_to_a_device),
        cmocka_unit_test(writes_into_a_device),
        cmocka_unit_test(leaves_nothing_behind_when_it_fails),
        cmocka_unit_test(looks_before_anything_is_captured),
    };
    return cmocka_run_group_tests(tests, set_up, tear_down);
}
