#include <setjmp.h>
#include <stdarg.h>
#include <stdint.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#include <cmocka.h>

#include "lib/base/auto.h"
#include "lib/base/buf.h"
#include "lib/base/err.h"
#include "lib/base/path.h"
#include "lib/base/str.h"
#include "lib/profile/profile.h"

#define FRAME(name) "\"callFrame\":{\"functionName\":\"" name "\",\"url\":\"\"}"

static int read_text(struct profile *p, const char *text, size_t len, struct profile_error *error)
{
    AUTOFREE char *copy = malloc(len ? len : 1);
    assert_non_null(copy);
    memcpy(copy, text, len);
    return profile_read(p, copy, len, error);
}

static void read_good(struct profile *p, const char *text)
{
    struct profile_error error;
    if (read_text(p, text, strlen(text), &error) < 0)
        fail_msg("refused at %zu: %s: %s", error.offset, error.text, text);
}

static void check_refused(const char *text, int code, const char *sentence, const char *place)
{
    struct profile p;
    struct profile_error error = {0};
    int r = read_text(&p, text, strlen(text), &error);
    if (r != code || !strstr(error.text, sentence))
        fail_msg("%s: %d %s", text, r, error.text);
    if (place && strncmp(text + error.offset, place, strlen(place)) != 0)
        fail_msg("%s: %s: at %zu", text, error.text, error.offset);
}

static void reads_a_tree_of_nested_objects(void **state)
{
    struct profile p;
    read_good(
        &p,
        "{\"head\":{" FRAME(
            "(root)") ",\"selfSize\":1,\"id\":1,\"children\":["
                      "{" FRAME("a") ",\"selfSize\":10,\"id\":2,\"children\":[{" FRAME(
                          "b") ",\"selfSize\":100,"
                               "\"id\":3,\"children\":[]}]},{" FRAME(
                                   "c") ",\"selfSize\":1000,\"id\":4,\"children\":[]}]},"
                                        "\"samples\":[{\"size\":5,\"nodeId\":3,\"ordinal\":1}]}");
    assert_int_equal(p.kind, PROFILE_HEAP);
    assert_int_equal(p.node_count, 4);
    assert_int_equal(p.all, 1111);
    assert_int_equal(p.duration_us, 0);
    assert_int_equal(p.sample_count, 0);
    static const struct {
        uint32_t parent, end;
        uint64_t self, total;
    } expected[] = {
        {PROFILE_NO_PARENT, 4, 1, 1111}, {0, 3, 10, 110}, {1, 3, 100, 100}, {0, 4, 1000, 1000}};
    for (size_t i = 0; i < ARRAY_SIZE(expected); i++) {
        assert_int_equal(p.nodes[i].parent, expected[i].parent);
        assert_int_equal(p.nodes[i].end, expected[i].end);
        assert_int_equal(p.nodes[i].self, expected[i].self);
        assert_int_equal(p.nodes[i].total, expected[i].total);
    }
    profile_clear(&p);
}

static void the_order_of_keys_does_not_matter(void **state)
{
    struct profile p;
    read_good(
        &p, "{\"samples\":[],\"head\":{\"children\":[{\"children\":[],\"selfSize\":2.9e1,"
            "\"extra\":[{\"children\":7}]," FRAME("a") "}]," FRAME("(root)") "},\"startTime\":5}");
    assert_int_equal(p.node_count, 2);
    assert_int_equal(p.nodes[1].self, 29);
    assert_string_equal(p.functions.items[p.nodes[0].function].name, "(root)");
    profile_clear(&p);
}

static void refuses_bad_trees(void **state)
{
    check_refused("{\"head\":[]}", ERR_INVALID, "\"head\" is no object", "[]");
    check_refused("{\"head\":{}}", ERR_INVALID, "a node has no \"callFrame\"", "{}");
    check_refused("{\"head\":{" FRAME("a") ",\"children\":[{\"id\":7}]}}", ERR_INVALID,
                  "a node has no \"callFrame\"", "{\"id\":7}");
    check_refused("{\"head\":{" FRAME("a") ",\"children\":[3]}}", ERR_INVALID,
                  "a child is no object", "3");
    check_refused("{\"head\":{" FRAME("a") ",\"children\":{}}}", ERR_INVALID,
                  "\"children\" is no array", "{}");
    check_refused("{\"head\":{" FRAME("a") ",\"selfSize\":\"1\"}}", ERR_INVALID,
                  "\"selfSize\" is no number", "1");
    check_refused("{\"head\":{" FRAME("a") ",\"selfSize\":-1}}", ERR_INVALID,
                  "\"selfSize\" is out of range", "-1");
    check_refused("{\"head\":{" FRAME("a") ",\"selfSize\":1e30}}", ERR_INVALID,
                  "\"selfSize\" is out of range", "1e30");
    check_refused(
        "{\"head\":{" FRAME("a") ",\"selfSize\":9223372036854775807,\"children\":[{" FRAME(
            "b") ",\"selfSize\":1}]}}",
        ERR_INVALID, "the sizes add up", "1}");
    check_refused("{\"head\":{" FRAME("a") "},\"head\":{}}", ERR_INVALID,
                  "\"head\" stands here twice", NULL);
    check_refused("{\"head\":{" FRAME("a") "}}}", ERR_SYNTAX, "the text should end here", "}");
}

static void every_cut_of_a_profile_is_refused(void **state)
{
    static const char text[] = "{\"head\":{" FRAME("a") ",\"selfSize\":10,\"children\":[{" FRAME(
        "b") ",\"selfSize\":3,\"children\":[]}]},\"samples\":[{\"size\":1}]}";
    for (size_t len = 1; len < sizeof text - 1; len++) {
        struct profile p;
        struct profile_error error;
        assert_int_equal(read_text(&p, text, len, &error), ERR_SYNTAX);
        assert_int_equal(error.offset, len);
    }
}

/* `depth` nodes in one another. */
static int read_chain(struct profile *p, unsigned depth, struct profile_error *error)
{
    AUTOBUF struct buf text = BUF_INIT(4 << 20);
    assert_int_equal(buf_addstr(&text, "{\"head\":"), 0);
    for (unsigned i = 0; i < depth; i++)
        assert_int_equal(
            buf_addf(&text, "%s{" FRAME("f") ",\"selfSize\":1", i ? ",\"children\":[" : ""), 0);
    for (unsigned i = 0; i < depth; i++)
        assert_int_equal(buf_addstr(&text, i + 1 < depth ? "}]" : "}"), 0);
    assert_int_equal(buf_addstr(&text, "}"), 0);
    return read_text(p, text.data, text.len, error);
}

static void deep_stacks_need_no_recursion_and_are_bounded(void **state)
{
    struct profile p;
    struct profile_error error;
    /* Two levels of JSON for each frame and the callFrame below the last. */
    assert_int_equal(read_chain(&p, 2047, &error), 0);
    assert_int_equal(p.node_count, 2047);
    assert_int_equal(p.nodes[0].total, 2047);
    profile_clear(&p);
    assert_int_equal(read_chain(&p, 2048, &error), ERR_INVALID);
    assert_string_equal(error.text, "the stack is deeper than 2047 frames");
    assert_int_equal(read_chain(&p, 5000, &error), ERR_INVALID);
}

static void reads_what_real_versions_wrote(void **state)
{
    static const struct {
        const char *file;
        uint32_t nodes;
        uint64_t all;
    } files[] = {
        {"tests/fixtures/profiles/node8.heapprofile", 29, 9326888},
        {"tests/fixtures/profiles/node12.heapprofile", 13, 9076800},
        {"tests/fixtures/profiles/node20.heapprofile", 41, 8017224},
        {"tests/fixtures/profiles/node26.heapprofile", 13, 9200216},
    };
    for (size_t i = 0; i < ARRAY_SIZE(files); i++) {
        struct profile p;
        struct profile_error error;
        AUTOBUF struct buf text = BUF_INIT(1 << 20);
        assert_int_equal(path_read(files[i].file, &text), 0);
        assert_int_equal(read_text(&p, text.data, text.len, &error), 0);
        assert_int_equal(p.node_count, files[i].nodes);
        assert_int_equal(p.all, files[i].all);
        assert_int_equal(p.nodes[0].total, files[i].all);
        profile_clear(&p);
    }
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(reads_a_tree_of_nested_objects),
        cmocka_unit_test(the_order_of_keys_does_not_matter),
        cmocka_unit_test(refuses_bad_trees),
        cmocka_unit_test(every_cut_of_a_profile_is_refused),
        cmocka_unit_test(deep_stacks_need_no_recursion_and_are_bounded),
        cmocka_unit_test(reads_what_real_versions_wrote),
    };
    return cmocka_run_group_tests(tests, NULL, NULL);
}
