#include "lib/profile/view.h"

#include "tests/unit/support.h"

#include <jansson.h>

#include "lib/base/json.h"
#include "lib/profile/profile.h"
#include "lib/profile/table.h"

static const char cpu_text[] =
    "{\"nodes\":[{\"id\":1,\"callFrame\":{\"functionName\":\"(root)\"},\"children\":[2,3,4]},"
    "{\"id\":2,\"callFrame\":{\"functionName\":\"(idle)\"}},"
    "{\"id\":3,\"callFrame\":{\"functionName\":\"(garbage collector)\"}},"
    "{\"id\":4,\"callFrame\":{\"functionName\":\"han\\\"dle\",\"url\":\"file:///a b.js\","
    "\"lineNumber\":9,\"columnNumber\":4},\"children\":[5]},"
    "{\"id\":5,\"callFrame\":{\"functionName\":\"\",\"url\":\"node:internal/"
    "q\",\"lineNumber\":0}}],"
    "\"startTime\":0,\"endTime\":2000000,\"samples\":[2,3,4,5],"
    "\"timeDeltas\":[0,1000000,100000,300000]}";

static void read_profile(struct profile *p, const char *text)
{
    struct profile_error error;
    assert_int_equal(profile_read(p, text, strlen(text), &error), 0);
}

static json_t *tree_of(const struct profile *p, uint32_t limit)
{
    AUTOBUF struct buf out = BUF_INIT(64 << 20);
    assert_int_equal(profile_view_tree(&out, p, limit), 0);
    json_t *tree = json_object_parse(buf_str(&out), out.len);
    assert_non_null(tree);
    return tree;
}

static void the_tree_has_all_that_ran_and_no_idle_time(void **state)
{
    struct profile p;
    read_profile(&p, cpu_text);
    AUTOBUF struct buf out = BUF_INIT(1 << 20);
    assert_int_equal(profile_view_tree(&out, &p, 100), 0);
    assert_string_equal(
        buf_str(&out),
        "{\"version\":1,\"kind\":\"cpu\",\"unit\":\"us\",\"duration_us\":2000000,\"samples\":4,"
        "\"all\":2000000,\"idle\":1000000,\"program\":0,\"gc\":100000,\"nodes_in_profile\":5,"
        "\"functions\":[{\"function\":\"(root)\",\"url\":\"\",\"line\":0,\"column\":0,\"role\":"
        "\"root\"},"
        "{\"function\":\"(garbage "
        "collector)\",\"url\":\"\",\"line\":0,\"column\":0,\"role\":\"gc\"},"
        "{\"function\":\"han\\\"dle\",\"url\":\"file:///a "
        "b.js\",\"line\":10,\"column\":5,\"role\":\"\"},"
        "{\"function\":\"\",\"url\":\"node:internal/q\",\"line\":1,\"column\":0,\"role\":\"\"}],"
        "\"nodes\":[[-1,0,0,1000000],[0,1,100000,100000],[0,2,300000,900000],[2,3,600000,600000]]"
        "}");
    profile_clear(&p);
}

/* A root with `count` leaves, of which leaf i has i + 1 bytes. */
static char *wide_heap(unsigned count)
{
    struct buf text = BUF_INIT(64 << 20);
    (void)buf_addstr(&text, "{\"head\":{\"callFrame\":{\"functionName\":\"(root)\",\"url\":\"\"},"
                            "\"selfSize\":0,\"children\":[");
    for (unsigned i = 0; i < count; i++)
        (void)buf_addf(&text,
                       "%s{\"callFrame\":{\"functionName\":\"f%u\",\"url\":\"\"},\"selfSize\":%u,"
                       "\"children\":[]}",
                       i ? "," : "", i, i + 1);
    (void)buf_addstr(&text, "]}}");
    return buf_take(&text);
}

static void of_too_many_nodes_the_greatest_are_kept(void **state)
{
    struct profile p;
    AUTOFREE char *text = wide_heap(100);
    read_profile(&p, text);
    AUTOJSON json_t *tree = tree_of(&p, 11);
    const json_t *nodes = json_object_get(tree, "nodes");
    assert_int_equal(json_array_size(nodes), 11);
    assert_int_equal(json_integer_value(json_array_get(json_array_get(nodes, 0), 3)), 5050);
    assert_int_equal(json_integer_value(json_array_get(json_array_get(nodes, 1), 3)), 91);
    assert_int_equal(json_array_size(json_object_get(tree, "functions")), 11);
    profile_clear(&p);
}

static void what_is_too_small_to_be_seen_is_cut(void **state)
{
    struct profile p;
    AUTOFREE char *text = wide_heap(1000);
    read_profile(&p, text);
    /* 500,500 bytes in all: what has 25 or less is below a 20,000th. */
    AUTOJSON json_t *tree = tree_of(&p, 1u << 20);
    assert_int_equal(json_array_size(json_object_get(tree, "nodes")), 1 + 1000 - 25);
    profile_clear(&p);
}

static void a_profile_of_nothing_has_its_root(void **state)
{
    struct profile p;
    AUTOFREE char *text = wide_heap(0);
    read_profile(&p, text);
    AUTOJSON json_t *tree = tree_of(&p, 10);
    assert_int_equal(json_array_size(json_object_get(tree, "nodes")), 1);
    profile_clear(&p);
}

/* V8 names no file for a script that was unloaded before the end of a heap profile, but its number;
 * "0", or no number, is native code. */
static void code_without_a_file_is_told_from_native_code(void **state)
{
    static const char text[] = "{\"head\":{\"callFrame\":{\"functionName\":\"(root)\",\"scriptId\":"
                               "\"0\",\"url\":\"\"},\"selfSize\":0,\"children\":["
                               "{\"callFrame\":{\"functionName\":\"f\",\"scriptId\":\"12\",\"url\":"
                               "\"\",\"lineNumber\":-1},\"selfSize\":3,\"children\":[]},"
                               "{\"callFrame\":{\"functionName\":\"f\",\"scriptId\":\"0\",\"url\":"
                               "\"\",\"lineNumber\":-1},\"selfSize\":2,\"children\":[]},"
                               "{\"callFrame\":{\"functionName\":\"f\",\"scriptId\":{\"1\":[]},"
                               "\"url\":\"\"},\"selfSize\":1,\"children\":[]}]}}";
    struct profile p;
    struct profile_table t;
    AUTOBUF struct buf out = BUF_INIT(1 << 20);
    read_profile(&p, text);
    assert_int_equal(profile_table_init(&t, &p, PROFILE_BY_SELF), 0);
    assert_int_equal(profile_view_table(&out, &p, &t, 10), 0);
    assert_non_null(strstr(buf_str(&out), "\"functions\":["
                                          "{\"function\":\"f\",\"url\":\"\",\"line\":0,\"column\":"
                                          "0,\"role\":\"no-file\",\"self\":3,\"total\":3},"
                                          "{\"function\":\"f\",\"url\":\"\",\"line\":0,\"column\":"
                                          "0,\"role\":\"\",\"self\":3,\"total\":3}]"));
    profile_table_clear(&t);
    AUTOJSON json_t *tree = tree_of(&p, 10);
    assert_int_equal(json_array_size(json_object_get(tree, "functions")), 3);
    profile_clear(&p);
}

static void the_table_ends_at_its_limit(void **state)
{
    struct profile p;
    struct profile_table t;
    AUTOFREE char *text = wide_heap(30);
    read_profile(&p, text);
    assert_int_equal(profile_table_init(&t, &p, PROFILE_BY_SELF), 0);
    AUTOBUF struct buf out = BUF_INIT(1 << 20);
    assert_int_equal(profile_view_table(&out, &p, &t, 3), 0);
    AUTOJSON json_t *view = json_object_parse(buf_str(&out), out.len);
    const json_t *rows = json_object_get(view, "functions");
    assert_int_equal(json_array_size(rows), 3);
    assert_string_equal(json_get_string(json_array_get(rows, 0), "function", ""), "f29");
    profile_table_clear(&t);
    profile_clear(&p);
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(the_tree_has_all_that_ran_and_no_idle_time),
        cmocka_unit_test(of_too_many_nodes_the_greatest_are_kept),
        cmocka_unit_test(what_is_too_small_to_be_seen_is_cut),
        cmocka_unit_test(a_profile_of_nothing_has_its_root),
        cmocka_unit_test(code_without_a_file_is_told_from_native_code),
        cmocka_unit_test(the_table_ends_at_its_limit),
    };
    return cmocka_run_group_tests(tests, NULL, NULL);
}
