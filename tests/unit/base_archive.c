#include "lib/base/archive.h"

#include "tests/unit/support.h"

static void a_name_says_log_time_and_form(void **state)
{
    struct archive_name n;
    assert_true(archive_name_parse("api-0.out.20261120T114512.123Z", &n));
    assert_int_equal(n.log_len, 9);
    assert_int_equal(n.at_ms, 1795175112123);
    assert_false(n.is_packed || n.is_index);
    assert_true(archive_name_parse("a.b-12.err.20261120T114512.123Z.zst", &n));
    assert_int_equal(n.log_len, 10);
    assert_true(n.is_packed && !n.is_index);
    assert_true(archive_name_parse("api-0.out.20261120T114512.123Z.idx", &n));
    assert_true(!n.is_packed && n.is_index);
    assert_true(archive_name_parse("api-0.out.20261120T114512.123Z.idx.zst", &n));
    assert_true(n.is_packed && n.is_index);
    static const char *const others[] = {
        "",
        "api-0.out",
        "api-0.out.idx",
        "api-0.out.new",
        ".20261120T114512.123Z",
        "api-0.out.20261120T114512.123Z.zst.tmp",
        "api-0.out.20261120T114512.123",
        "api-0.out.20261120T114512Z",
        "api-0.out.2026112xT114512.123Z",
        "api-0.out-20261120T114512.123Z",
    };
    for (size_t i = 0; i < ARRAY_SIZE(others); i++)
        assert_false(archive_name_parse(others[i], &n));
}

static void a_stamp_is_read_back(void **state)
{
    static const int64_t times[] = {0, 1, 999, 1000, 1795175112123, 4102444799999};
    for (size_t i = 0; i < ARRAY_SIZE(times); i++) {
        struct archive_name n;
        AUTOFREE char *name = archive_path("x", times[i]);
        assert_true(archive_name_parse(name, &n));
        assert_int_equal(n.at_ms, times[i]);
    }
}

static void put(const char *name, const char *text)
{
    AUTOFREE char *file = in_folder(name);
    put_file(file, text);
}

static void a_folder_is_read_in_the_order_of_time(void **state)
{
    AUTOARCHIVES struct archives a = {0};
    put("api-0.out", "12345");
    put("api-0.out.20261120T114513.000Z", "123");
    put("api-0.out.20261120T114513.000Z.idx", "1");
    put("api-0.out.20251120T114513.000Z.zst", "12");
    put("api-0.out.20251120T114513.000Z.idx.zst", "1");
    put("web-0.out.20251220T114513.000Z.zst", "1234567");
    assert_int_equal(archives_read(&a, folder, NULL), 0);
    assert_int_equal(a.count, 3);
    assert_int_equal(a.other_bytes, 5);
    assert_string_equal(a.items[0].name, "api-0.out.20251120T114513.000Z");
    assert_true(a.items[0].is_packed && a.items[0].index_packed && !a.items[0].is_plain);
    assert_int_equal(a.items[0].bytes, 3);
    assert_string_equal(a.items[1].name, "web-0.out.20251220T114513.000Z");
    assert_true(a.items[2].is_plain && a.items[2].index_plain && !a.items[2].is_packed);
    assert_int_equal(a.items[2].bytes, 4);
    archives_clear(&a);
    assert_int_equal(archives_read(&a, folder, "api-0.out"), 0);
    assert_int_equal(a.count, 2);
    archives_clear(&a);
    assert_int_equal(archives_read(&a, folder, "api-0"), 0);
    assert_int_equal(a.count, 0);
    assert_int_equal(archives_read(&a, "/nowhere", NULL), -ENOENT);
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(a_name_says_log_time_and_form),
        cmocka_unit_test(a_stamp_is_read_back),
        cmocka_unit_test_setup_teardown(a_folder_is_read_in_the_order_of_time, make_folder,
                                        remove_folder),
    };
    return cmocka_run_group_tests(tests, NULL, NULL);
}
