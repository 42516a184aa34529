#include "supervisor/log_archives.h"

#include <sys/stat.h>

#include "lib/base/archive.h"
#include "lib/base/err.h"
#include "lib/base/log.h"
#include "lib/base/loop.h"
#include "supervisor/settings.h"
#include "tests/unit/support.h"

static void put(const char *name, const char *text)
{
    AUTOFREE char *file = in_folder(name);
    put_file(file, text);
}

static bool is_there(const char *name)
{
    struct stat st;
    AUTOFREE char *file = in_folder(name);
    return lstat(file, &st) == 0;
}

static void put_archive(unsigned n, size_t bytes)
{
    AUTOFREE char *name = xasprintf("api-0.out.202611%02uT000000.000Z.zst", n);
    AUTOFREE char *text = xcalloc(1, bytes + 1);
    memset(text, 'x', bytes);
    put(name, text);
}

static bool archive_is_there(unsigned n)
{
    AUTOFREE char *name = xasprintf("api-0.out.202611%02uT000000.000Z.zst", n);
    return is_there(name);
}

/* ---- packing --------------------------------------------------------------------------------- */

static void a_packed_archive_takes_the_place_of_the_plain_one(void **state)
{
    struct stat before, after;
    AUTOFREE char *file = in_folder("api-0.out.20261120T000000.000Z");
    AUTOFREE char *packed = xasprintf("%s.zst", file);
    AUTOFREE char *command = xasprintf("zstd -q -d '%s'", packed);
    put("api-0.out.20261120T000000.000Z", "a line\nanother\n");
    put("api-0.out.20261120T000000.000Z.idx", "0123456789abcdef");
    put("api-0.out.20261120T000000.000Z.zst.tmp", "half");
    assert_int_equal(stat(file, &before), 0);
    assert_int_equal(log_archive_pack(file, NULL), 0);
    assert_false(is_there("api-0.out.20261120T000000.000Z"));
    assert_false(is_there("api-0.out.20261120T000000.000Z.idx"));
    assert_false(is_there("api-0.out.20261120T000000.000Z.zst.tmp"));
    assert_true(is_there("api-0.out.20261120T000000.000Z.idx.zst"));
    assert_int_equal(stat(packed, &after), 0);
    assert_int_equal(after.st_mtim.tv_nsec, before.st_mtim.tv_nsec);
    assert_int_equal(system(command), 0);
    assert_file(file, "a line\nanother\n");
    /* Gone in the meantime. */
    AUTOFREE char *none = in_folder("api-0.out.20261121T000000.000Z");
    assert_int_equal(log_archive_pack(none, NULL), 0);
}

/* ---- throwing away --------------------------------------------------------------------------- */

static void the_oldest_go_past_the_number_of_a_log(void **state)
{
    for (unsigned n = 1; n <= 12; n++)
        put_archive(n, 100);
    put("web-0.out.20201120T000000.000Z.zst", "old, but not of this log");
    assert_int_equal(log_archives_trim(folder, "api-0.out", 10, 1 << 20), 0);
    assert_false(archive_is_there(1) || archive_is_there(2));
    for (unsigned n = 3; n <= 12; n++)
        assert_true(archive_is_there(n));
    assert_true(is_there("web-0.out.20201120T000000.000Z.zst"));
}

static void the_oldest_of_all_go_past_the_quota(void **state)
{
    put("api-0.out", "present\n");
    put("web-0.out.20201120T000000.000Z.zst", "the oldest of all");
    for (unsigned n = 1; n <= 12; n++)
        put_archive(n, 1000);
    assert_int_equal(log_archives_trim(folder, NULL, 0, 5100), 0);
    assert_false(is_there("web-0.out.20201120T000000.000Z.zst"));
    for (unsigned n = 1; n <= 12; n++)
        assert_int_equal(archive_is_there(n), n > 7);
    assert_true(is_there("api-0.out"));
    /* What is no archive stays, whatever the quota. */
    assert_int_equal(log_archives_trim(folder, NULL, 0, 3), 5);
    assert_false(archive_is_there(12));
    assert_true(is_there("api-0.out"));
}

/* ---- in the loop ------------------------------------------------------------------------------ */

static void what_was_left_is_packed_at_the_start(void **state)
{
    uv_loop_t loop;
    struct log_archives a;
    put("api-0.out", "present\n");
    put("api-0.out.20261120T000000.000Z", "a line\n");
    put("api-0.out.20261121T000000.000Z", "another\n");
    put("api-0.out.20261121T000000.000Z.zst.tmp", "half");
    put("api-0.out.20261122T000000.000Z.zst", "packed");
    assert_int_equal(uv_loop_init(&loop), 0);
    log_archives_init(&a, &loop, folder);
    /* Also behind another one. */
    AUTOFREE char *gone = in_folder("api-0.out.20261119T000000.000Z");
    log_archives_add(&a, gone, 0);
    log_archives_scan(&a);
    (void)uv_run(&loop, UV_RUN_DEFAULT);
    assert_true(is_there("api-0.out.20261120T000000.000Z.zst"));
    assert_true(is_there("api-0.out.20261121T000000.000Z.zst"));
    assert_false(is_there("api-0.out.20261120T000000.000Z"));
    assert_false(is_there("api-0.out.20261121T000000.000Z"));
    assert_false(is_there("api-0.out.20261121T000000.000Z.zst.tmp"));
    /* One that ends leaves the rest to the next. */
    put("api-0.out.20261123T000000.000Z", "a line\n");
    log_archives_stop(&a);
    AUTOFREE char *path = in_folder("api-0.out.20261123T000000.000Z");
    log_archives_add(&a, path, 1);
    (void)uv_run(&loop, UV_RUN_DEFAULT);
    assert_true(is_there("api-0.out.20261123T000000.000Z"));
    assert_int_equal(loop_end(&loop), 0);
    log_archives_clear(&a);
}

static void a_second_name_of_the_log_is_not_packed(void **state)
{
    AUTOFREE char *log = in_folder("api-0.out"),
                  *archive = in_folder("api-0.out.20261120T000000.000Z");
    put("api-0.out", "present\n");
    assert_int_equal(link(log, archive), 0);
    assert_int_equal(log_archive_pack(archive, NULL), 0);
    assert_true(is_there("api-0.out.20261120T000000.000Z"));
    assert_false(is_there("api-0.out.20261120T000000.000Z.zst"));
    assert_int_equal(unlink(log), 0);
    assert_int_equal(log_archive_pack(archive, NULL), 0);
    assert_true(is_there("api-0.out.20261120T000000.000Z.zst"));
}

/* ---- settings.json ---------------------------------------------------------------------------- */

static void assert_settings(const char *text, int64_t quota, const char *problem)
{
    struct settings s = {.log_quota_bytes = 77};
    char sentence[SETTINGS_TEXT] = "";
    AUTOFREE char *path = in_folder("settings.json");
    if (text)
        put_file(path, text);
    int r = settings_read(path, &s, sentence);
    assert_int_equal(s.log_quota_bytes, problem ? 77 : quota);
    assert_int_equal(r < 0, problem != NULL);
    if (problem && !strstr(sentence, problem))
        fail_msg("'%s' is not in '%s'", problem, sentence);
}

static void settings_are_checked(void **state)
{
    assert_settings(NULL, LOG_QUOTA_DEFAULT, NULL);
    assert_settings("{}", LOG_QUOTA_DEFAULT, NULL);
    assert_settings("{\"log_quota\": \"2G\"}", 2LL << 30, NULL);
    assert_settings("{\"log_quota\": 5000000}", 5000000, NULL);
    assert_settings("{\"log_quota\": \"2 gigs\"}", 0, "must be a size like");
    assert_settings("{\"log_quota\": 0}", 0, "must be a size like");
    assert_settings("{\"log_quota\": true}", 0, "must be a size like");
    assert_settings("{\"log_qouta\": \"2G\"}", 0, "did you mean \"log_quota\"?");
    assert_settings("{\"x\": 1}", 0, "there is no setting \"x\"");
    assert_settings("", 0, "line 1");
    assert_settings("[]", 0, "settings.json: it must be an object");
    assert_settings("{\n\"log_quota\":", 0, "line 2");
}

static void assert_listen(const char *address, bool fits)
{
    struct settings s = {.log_quota_bytes = 77};
    char sentence[SETTINGS_TEXT] = "";
    AUTOFREE char *path = in_folder("settings.json");
    AUTOFREE char *text = xasprintf("{\"metrics_listen\": %s}", address);
    put_file(path, text);
    if (settings_read(path, &s, sentence) != (fits ? 0 : ERR_INVALID))
        fail_msg("%s: %s", address, sentence);
    if (fits)
        assert_int_equal(strlen(s.metrics_listen), strlen(address) - 2);
    else
        assert_non_null(strstr(sentence, "an address of this host alone and a port"));
}

static void metrics_are_for_this_host_alone(void **state)
{
    static const char *const good[] = {"\"127.0.0.1:9209\"", "\"127.9.8.7:1\"", "\"[::1]:65535\"",
                                       "\"localhost:80\""};
    static const char *const bad[] = {"\"0.0.0.0:9209\"",
                                      "\"[::]:9209\"",
                                      "\"192.168.1.1:9209\"",
                                      "\"127.0.0.1\"",
                                      "\"127.0.0.1:0\"",
                                      "\"127.0.0.1:65536\"",
                                      "\":9209\"",
                                      "\"[127.0.0.1]:80\"",
                                      "\"::1:9209\"",
                                      "\"[::1:9209\"",
                                      "\"[::1]9209\"",
                                      "\"example.org:80\"",
                                      "\"127.1:80\"",
                                      "9209",
                                      "true",
                                      "\"\"",
                                      "\"[::ffff:127.0.0.1]:80\""};
    for (size_t i = 0; i < ARRAY_SIZE(good); i++)
        assert_listen(good[i], true);
    for (size_t i = 0; i < ARRAY_SIZE(bad); i++)
        assert_listen(bad[i], false);
    assert_settings("{\"metrics_listen\": null}", LOG_QUOTA_DEFAULT, NULL);
}

#define IN_FOLDER(test) cmocka_unit_test_setup_teardown(test, make_folder, remove_folder)

int main(void)
{
    log_init("test", LOG_LEVEL_ERROR);
    const struct CMUnitTest tests[] = {
        IN_FOLDER(a_packed_archive_takes_the_place_of_the_plain_one),
        IN_FOLDER(the_oldest_go_past_the_number_of_a_log),
        IN_FOLDER(the_oldest_of_all_go_past_the_quota),
        IN_FOLDER(what_was_left_is_packed_at_the_start),
        IN_FOLDER(a_second_name_of_the_log_is_not_packed),
        IN_FOLDER(settings_are_checked),
        IN_FOLDER(metrics_are_for_this_host_alone),
    };
    return cmocka_run_group_tests(tests, NULL, NULL);
}
