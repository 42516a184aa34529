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
#include "lib/base/limits.h"
#include "lib/base/path.h"
#include "lib/base/str.h"
#include "lib/profile/profile.h"

/* clang-format off */
/* What stands between {"nodes":[…] and the end, in most tests. */
#define TIMES ",\"startTime\":1000,\"endTime\":2000,\"samples\":[2,3],\"timeDeltas\":[100,300]}"
#define FRAME(name) "\"callFrame\":{\"functionName\":\"" name "\",\"url\":\"\"}"
#define NODES                                                                                      \
    "{\"nodes\":[{\"id\":1," FRAME("(root)") ",\"children\":[2,3]},"                                \
    "{\"id\":2," FRAME("a") "},{\"id\":3," FRAME("b") "}]"

/* clang-format on */

/* Reads a copy that ends where the memory does, so that ASan sees a read past the end. */
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

static const struct profile_node *find_node(const struct profile *p, const char *name)
{
    for (uint32_t i = 0; i < p->node_count; i++)
        if (str_eq(p->functions.items[p->nodes[i].function].name, name))
            return &p->nodes[i];
    fail_msg("no node '%s'", name);
    return NULL;
}

static void a_sample_costs_the_time_up_to_the_next(void **state)
{
    struct profile p;
    read_good(&p, NODES ",\"startTime\":1000,\"endTime\":2000,\"samples\":[2,3,2],"
                        "\"timeDeltas\":[100,300,50]}");
    assert_int_equal(p.kind, PROFILE_CPU);
    assert_int_equal(p.node_count, 3);
    assert_int_equal(p.sample_count, 3);
    assert_int_equal(p.duration_us, 1000);
    /* 300 for the first, and 2000 - 1450 for the last; the first 100 are nobody's. */
    assert_int_equal(find_node(&p, "a")->self, (300 + 550) * 1000);
    assert_int_equal(find_node(&p, "b")->self, 50 * 1000);
    assert_int_equal(find_node(&p, "a")->samples, 2);
    assert_int_equal(p.all, 900 * 1000);
    assert_int_equal(p.nodes[0].total, 900 * 1000);
    profile_clear(&p);
}

static void a_negative_delta_costs_nothing(void **state)
{
    struct profile p;
    read_good(&p, NODES ",\"startTime\":0,\"endTime\":100,\"samples\":[2,3,2],"
                        "\"timeDeltas\":[10,-5,200]}");
    assert_int_equal(find_node(&p, "a")->self, 0);
    assert_int_equal(find_node(&p, "b")->self, 200 * 1000);
    profile_clear(&p);
}

static void hit_counts_do_not_matter(void **state)
{
    struct profile p;
    read_good(&p,
              "{\"nodes\":[{\"id\":1," FRAME("a") ",\"hitCount\":99,\"positionTicks\":[{\"line\":1,"
                                                  "\"ticks\":99}]}],\"startTime\":0,\"endTime\":5,"
                                                  "\"samples\":[1],\"timeDeltas\":[1]}");
    assert_int_equal(p.all, 4000);
    profile_clear(&p);
}

static void the_order_of_keys_and_ids_does_not_matter(void **state)
{
    struct profile p;
    read_good(
        &p, " { \"timeDeltas\" : [ 1 , 2 ] , \"new\" : { \"x\" : [ [ ] ] } ,\n"
            "\"samples\":[ 900000000000000 , 7 ],\"endTime\":10,\"nodes\":[\n"
            "{\"children\":[],\"id\":7," FRAME(
                "c") "},"
                     "{\"callFrame\":{\"columnNumber\":3,\"lineNumber\":2,\"url\":\"file:///a.js\","
                     "\"functionName\":\"b\",\"scriptId\":\"1\"},\"children\":[7],\"id\":"
                     "900000000000000},"
                     "{\"id\":12," FRAME(
                         "(root)") ",\"children\":[900000000000000]}],\"startTime\":0 }");
    assert_int_equal(p.node_count, 3);
    assert_int_equal(p.nodes[0].parent, PROFILE_NO_PARENT);
    assert_int_equal(p.nodes[0].end, 3);
    assert_int_equal(p.nodes[1].parent, 0);
    assert_int_equal(p.nodes[2].parent, 1);
    const struct function *b = &p.functions.items[p.nodes[1].function];
    assert_string_equal(b->name, "b");
    assert_string_equal(b->url, "file:///a.js");
    assert_int_equal(b->line, 3);
    assert_int_equal(b->column, 4);
    assert_int_equal(p.nodes[1].self, 2000);
    assert_int_equal(p.nodes[2].self, 7000);
    assert_int_equal(p.nodes[1].total, 9000);
    profile_clear(&p);
}

static void counts_v8s_own_nodes_apart(void **state)
{
    struct profile p;
    read_good(
        &p,
        "{\"nodes\":[{\"id\":1," FRAME("(root)") ",\"children\":[2,3,4,5]},{\"id\":2," FRAME(
            "(idle)") "},{\"id\":3," FRAME("(program)") "},{\"id\":4," FRAME("(garbage "
                                                                             "collector)") "},{"
                                                                                           "\"id\":"
                                                                                           "5,"
                                                                                           "\"callF"
                                                                                           "rame\":"
                                                                                           "{\"func"
                                                                                           "tionNam"
                                                                                           "e\":\"("
                                                                                           "idle)"
                                                                                           "\","
                                                                                           "\"url\""
                                                                                           ":\"x."
                                                                                           "js\"}}]"
                                                                                           ","
                                                                                           "\"start"
                                                                                           "Time\":"
                                                                                           "0,"
                                                                                           "\"endTi"
                                                                                           "me\":"
                                                                                           "1111,"
                                                                                           "\"sampl"
                                                                                           "es\":["
                                                                                           "2,3,4,"
                                                                                           "5],"
                                                                                           "\"timeD"
                                                                                           "eltas\""
                                                                                           ":[0,1,"
                                                                                           "10,100]"
                                                                                           "}");
    assert_int_equal(p.idle, 1000);
    assert_int_equal(p.program, 10000);
    assert_int_equal(p.gc, 100000);
    assert_int_equal(p.all, 1111000);
    profile_clear(&p);
}

static void equal_functions_are_one(void **state)
{
    struct profile p;
    read_good(
        &p,
        "{\"nodes\":[{\"id\":1," FRAME(
            "f") ",\"children\":[2]},"
                 "{\"id\":2," FRAME(
                     "\\u0066") ",\"children\":[3]},{\"\\u0069d\":3,\"callFrame\":"
                                "{\"functionName\":\"f\",\"url\":\"\",\"lineNumber\":0}}]" TIMES);
    assert_int_equal(p.node_count, 3);
    assert_int_equal(p.functions.count, 2);
    profile_clear(&p);
}

static void a_nul_in_a_name_does_not_cut_it(void **state)
{
    struct profile p;
    read_good(&p, "{\"nodes\":[{\"id\":2," FRAME("a\\u0000b") ",\"children\":[3]},{\"id\":3," FRAME(
                      "x") "}]" TIMES);
    assert_string_equal(p.functions.items[0].name, "a?b");
    profile_clear(&p);
}

static void a_profile_without_samples_is_empty_but_good(void **state)
{
    struct profile p;
    read_good(&p, NODES ",\"startTime\":5,\"endTime\":5,\"samples\":[],\"timeDeltas\":[]}");
    assert_int_equal(p.all, 0);
    assert_int_equal(p.sample_count, 0);
    profile_clear(&p);
}

static void refuses_trees_that_are_none(void **state)
{
    check_refused("{\"nodes\":[]" TIMES, ERR_INVALID, "\"nodes\" is empty", NULL);
    check_refused("{\"nodes\":[{\"id\":2," FRAME("a") ",\"children\":[2]}]" TIMES, ERR_INVALID,
                  "the nodes form a circle", "{\"id\":2");
    check_refused("{\"nodes\":[{\"id\":2," FRAME("a") ",\"children\":[3]},{\"id\":3," FRAME(
                      "b") ",\"children\":[2]}]" TIMES,
                  ERR_INVALID, "the nodes form a circle", "{\"id\":2");
    check_refused("{\"nodes\":[{\"id\":1," FRAME("a") "},{\"id\":2," FRAME(
                      "b") ",\"children\":[3]},{\"id\":3," FRAME("c") ",\"children\":[2]}]" TIMES,
                  ERR_INVALID, "node 2 is in a circle", "{\"id\":2");
    check_refused("{\"nodes\":[{\"id\":1," FRAME("a") ",\"children\":[2,3]},{\"id\":2," FRAME(
                      "b") ",\"children\":[3]},{\"id\":3," FRAME("c") "}]" TIMES,
                  ERR_INVALID, "node 3 is named as a child twice, by the nodes 1 and 2",
                  "{\"id\":2");
    check_refused("{\"nodes\":[{\"id\":1," FRAME("a") ",\"children\":[9]}]" TIMES, ERR_INVALID,
                  "node 1 has a child 9 that does not exist", "{\"id\":1");
    check_refused("{\"nodes\":[{\"id\":1," FRAME("a") ",\"children\":[-9]}]" TIMES, ERR_INVALID,
                  "does not exist", "{\"id\":1");
    check_refused("{\"nodes\":[{\"id\":1," FRAME("a") "},{\"id\":4," FRAME("b") "}]" TIMES,
                  ERR_INVALID, "the nodes 1 and 4 both have no parent", "{\"id\":4");
    check_refused("{\"nodes\":[{\"id\":1," FRAME("a") "},{\"id\":1," FRAME("b") "}]" TIMES,
                  ERR_INVALID, "two nodes have the id 1", "{\"id\":1," FRAME("b"));
    check_refused(
        "{\"nodes\":[{\"id\":9000000000," FRAME("a") "},{\"id\":9000000000," FRAME("b") "}]" TIMES,
        ERR_INVALID, "two nodes have the id 9000000000", NULL);
}

static void refuses_nodes_with_missing_or_wrong_parts(void **state)
{
    check_refused("{\"nodes\":[{\"id\":1}]" TIMES, ERR_INVALID, "node 1 has no \"callFrame\"",
                  "{\"id\":1}");
    check_refused("{\"nodes\":[{" FRAME("a") "}]" TIMES, ERR_INVALID, "a node has no \"id\"", "{");
    check_refused("{\"nodes\":[{\"id\":1,\"callFrame\":{}}]" TIMES, ERR_INVALID,
                  "no \"functionName\"", "{}");
    check_refused("{\"nodes\":[{\"id\":1,\"callFrame\":null}]" TIMES, ERR_INVALID,
                  "\"callFrame\" is no object", "null");
    check_refused("{\"nodes\":[{\"id\":\"1\"}]" TIMES, ERR_INVALID, "\"id\" is no number", "1\"");
    check_refused("{\"nodes\":[{\"id\":-1}]" TIMES, ERR_INVALID, "\"id\" is out of range", "-1");
    check_refused("{\"nodes\":[{\"id\":1e99}]" TIMES, ERR_INVALID, "\"id\" is out of range",
                  "1e99");
    check_refused("{\"nodes\":[{\"callFrame\":{\"functionName\":1}}]" TIMES, ERR_INVALID,
                  "\"functionName\" is no string", "1}");
    check_refused("{\"nodes\":[{\"callFrame\":{\"url\":[]}}]" TIMES, ERR_INVALID,
                  "\"url\" is no string", "[]");
    check_refused("{\"nodes\":[{\"callFrame\":{\"lineNumber\":\"x\"}}]" TIMES, ERR_INVALID,
                  "\"lineNumber\" is no number", "x");
    check_refused("{\"nodes\":[{\"callFrame\":{\"lineNumber\":4294967295}}]" TIMES, ERR_INVALID,
                  "\"lineNumber\" is out of range", "4294967295");
    check_refused("{\"nodes\":[{\"children\":{}}]" TIMES, ERR_SYNTAX, "unexpected character '{'",
                  "{}");
    check_refused("{\"nodes\":[{\"children\":[\"2\"]}]" TIMES, ERR_SYNTAX,
                  "unexpected character '\"'", "\"2\"");
    check_refused("{\"nodes\":[{\"children\":[2],\"children\":[3]}]" TIMES, ERR_INVALID,
                  "\"children\" stands here twice", NULL);
    check_refused("{\"nodes\":[7]" TIMES, ERR_INVALID, "a node is no object", "7");
    check_refused("{\"nodes\":{}" TIMES, ERR_INVALID, "\"nodes\" is no array", "{}");
}

static void refuses_bad_samples_and_times(void **state)
{
    check_refused(NODES
                  ",\"startTime\":0,\"endTime\":9,\"samples\":[2,44,3],\"timeDeltas\":[1,1,1]}",
                  ERR_INVALID, "a sample hit node 44, which does not exist", "44,3");
    check_refused(NODES ",\"startTime\":0,\"endTime\":9,\"samples\":[2],\"timeDeltas\":[1,1]}",
                  ERR_INVALID, "\"samples\" has fewer elements", "]");
    check_refused(NODES ",\"startTime\":0,\"endTime\":9,\"samples\":[2,3],\"timeDeltas\":[1]}",
                  ERR_INVALID, "\"samples\" has more elements", "3]");
    check_refused(NODES ",\"startTime\":0,\"endTime\":9,\"samples\":[2,x],\"timeDeltas\":[1,1]}",
                  ERR_SYNTAX, "unexpected character 'x'", "x");
    check_refused(NODES ",\"startTime\":0,\"endTime\":9,\"samples\":[2],\"timeDeltas\":[null]}",
                  ERR_SYNTAX, "unexpected character 'n'", "null");
    check_refused(NODES ",\"startTime\":0,\"endTime\":9,\"samples\":2,\"timeDeltas\":[1]}",
                  ERR_SYNTAX, "unexpected character '2'", "2,");
    check_refused(NODES ",\"startTime\":10,\"endTime\":9,\"samples\":[],\"timeDeltas\":[]}",
                  ERR_INVALID, "\"endTime\" lies before \"startTime\"", NULL);
    check_refused(NODES ",\"startTime\":\"x\",\"endTime\":9,\"samples\":[],\"timeDeltas\":[]}",
                  ERR_INVALID, "\"startTime\" is no number", NULL);
    check_refused(NODES ",\"startTime\":0,\"endTime\":9,\"samples\":[2,2],"
                        "\"timeDeltas\":[1,9223372036854776]}",
                  ERR_INVALID, "292 years", NULL);
    check_refused(NODES ",\"startTime\":0,\"endTime\":9,\"samples\":[2,2],"
                        "\"timeDeltas\":[9223372036854775807,9223372036854775807]}",
                  ERR_INVALID, "292 years", NULL);
    check_refused(NODES ",\"startTime\":0,\"endTime\":9,\"samples\":[2,2],"
                        "\"timeDeltas\":[-9e300,-9223372036854775808]}",
                  ERR_INVALID, "292 years", NULL);
}

static void refuses_missing_and_doubled_keys(void **state)
{
    check_refused(NODES ",\"startTime\":0,\"endTime\":9,\"samples\":[]}", ERR_INVALID,
                  "there is no \"timeDeltas\"", NULL);
    check_refused(NODES ",\"startTime\":0,\"endTime\":9,\"timeDeltas\":[]}", ERR_INVALID,
                  "there is no \"samples\"", NULL);
    check_refused(NODES ",\"endTime\":9,\"samples\":[],\"timeDeltas\":[]}", ERR_INVALID,
                  "there is no \"startTime\"", NULL);
    check_refused(NODES ",\"startTime\":9,\"samples\":[],\"timeDeltas\":[]}", ERR_INVALID,
                  "there is no \"endTime\"", NULL);
    check_refused("{\"timeDeltas\":[],\"startTime\":1,\"endTime\":1,\"samples\":[]}", ERR_INVALID,
                  "there is no \"nodes\"", NULL);
    check_refused(NODES ",\"samples\":[],\"samples\":[]}", ERR_INVALID,
                  "\"samples\" stands here twice", NULL);
    check_refused(NODES ",\"nodes\":[]}", ERR_INVALID, "\"nodes\" stands here twice", NULL);
}

static void refuses_what_is_no_profile(void **state)
{
    check_refused("", ERR_INVALID, "the file is empty", NULL);
    check_refused("[]", ERR_INVALID, "this is no JSON object", NULL);
    check_refused("{}", ERR_INVALID, "neither a CPU profile (no \"nodes\")", NULL);
    check_refused("{\"a\":{\"nodes\":[]}}", ERR_INVALID, "neither", NULL);
    check_refused("{\"snapshot\":{}}", ERR_INVALID, "this is a heap snapshot", NULL);
    check_refused("\x1f\x8b\x08", ERR_INVALID, "gzip", NULL);
    check_refused("hello", ERR_SYNTAX, "unexpected character 'h'", "hello");
    check_refused("{\"a\":1 \"b\":2}", ERR_SYNTAX, "unexpected character '\"'", "\"b");
    check_refused(NODES TIMES "x", ERR_SYNTAX, "the text should end here", "x");
}

static void every_cut_of_a_profile_is_refused(void **state)
{
    static const char text[] = NODES TIMES;
    for (size_t len = 1; len < sizeof text - 1; len++) {
        struct profile p;
        struct profile_error error;
        assert_int_equal(read_text(&p, text, len, &error), ERR_SYNTAX);
        assert_string_equal(error.text, "the text ends too early");
        assert_int_equal(error.offset, len);
    }
}

/* A chain of `depth` nodes with ids from 1 on. */
static void write_chain(struct buf *text, unsigned depth)
{
    assert_int_equal(buf_addstr(text, "{\"nodes\":["), 0);
    for (unsigned i = 1; i <= depth; i++)
        assert_int_equal(buf_addf(text, "%s{\"id\":%u," FRAME("f") ",\"children\":[%u]}",
                                  i > 1 ? "," : "", i, i + 1),
                         0);
    assert_int_equal(buf_addf(text, ",{\"id\":%u," FRAME("f") "}]" TIMES, depth + 1), 0);
}

static void deep_stacks_need_no_recursion_and_are_bounded(void **state)
{
    struct profile p;
    struct profile_error error;
    AUTOBUF struct buf text = BUF_INIT(4 << 20);
    write_chain(&text, LIMIT_PROFILE_DEPTH - 1);
    assert_int_equal(read_text(&p, text.data, text.len, &error), 0);
    assert_int_equal(p.node_count, LIMIT_PROFILE_DEPTH);
    profile_clear(&p);
    buf_reset(&text);
    write_chain(&text, LIMIT_PROFILE_DEPTH);
    assert_int_equal(read_text(&p, text.data, text.len, &error), ERR_INVALID);
    assert_string_equal(error.text, "the stack is deeper than 4096 frames");
}

static void many_samples_are_walked_in_blocks(void **state)
{
    struct profile p;
    struct profile_error error;
    AUTOBUF struct buf text = BUF_INIT(4 << 20);
    assert_int_equal(buf_addstr(&text, NODES ",\"startTime\":0,\"endTime\":15000,\"samples\":["),
                     0);
    for (int i = 0; i < 5000; i++)
        assert_int_equal(buf_addf(&text, "%s%d", i ? "," : "", 2 + i % 2), 0);
    assert_int_equal(buf_addstr(&text, "],\"timeDeltas\":["), 0);
    for (int i = 0; i < 5000; i++)
        assert_int_equal(buf_addf(&text, "%s%d", i ? "," : "", 2 + i % 2), 0);
    assert_int_equal(buf_addstr(&text, "]}"), 0);
    assert_int_equal(read_text(&p, text.data, text.len, &error), 0);
    assert_int_equal(p.sample_count, 5000);
    assert_int_equal(find_node(&p, "a")->self, 2500 * 3 * 1000);
    /* The last one ends at 12500 and so gets 2500, not 2. */
    assert_int_equal(find_node(&p, "b")->self, (2499 * 2 + 2500) * 1000);
    profile_clear(&p);
}

static void reads_what_real_versions_wrote(void **state)
{
    static const struct {
        const char *file;
        uint32_t nodes;
        uint64_t samples, all_us, idle_us, gc_us;
    } files[] = {
        {"tests/fixtures/profiles/node8.cpuprofile", 44, 567, 1204359, 1063979, 31838},
        {"tests/fixtures/profiles/node12.cpuprofile", 34, 563, 1201025, 1062455, 15432},
        {"tests/fixtures/profiles/node20.cpuprofile", 35, 234, 497066, 392290, 20898},
        {"tests/fixtures/profiles/node26.cpuprofile", 35, 571, 1201038, 1106830, 24215},
    };
    for (size_t i = 0; i < ARRAY_SIZE(files); i++) {
        struct profile p;
        struct profile_error error;
        AUTOBUF struct buf text = BUF_INIT(1 << 20);
        assert_int_equal(path_read(files[i].file, &text), 0);
        assert_int_equal(read_text(&p, text.data, text.len, &error), 0);
        assert_int_equal(p.node_count, files[i].nodes);
        assert_int_equal(p.sample_count, files[i].samples);
        assert_int_equal(p.all, files[i].all_us * 1000);
        assert_int_equal(p.idle, files[i].idle_us * 1000);
        assert_int_equal(p.gc, files[i].gc_us * 1000);
        profile_clear(&p);
    }
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(a_sample_costs_the_time_up_to_the_next),
        cmocka_unit_test(a_negative_delta_costs_nothing),
        cmocka_unit_test(hit_counts_do_not_matter),
        cmocka_unit_test(the_order_of_keys_and_ids_does_not_matter),
        cmocka_unit_test(counts_v8s_own_nodes_apart),
        cmocka_unit_test(equal_functions_are_one),
        cmocka_unit_test(a_nul_in_a_name_does_not_cut_it),
        cmocka_unit_test(a_profile_without_samples_is_empty_but_good),
        cmocka_unit_test(refuses_trees_that_are_none),
        cmocka_unit_test(refuses_nodes_with_missing_or_wrong_parts),
        cmocka_unit_test(refuses_bad_samples_and_times),
        cmocka_unit_test(refuses_missing_and_doubled_keys),
        cmocka_unit_test(refuses_what_is_no_profile),
        cmocka_unit_test(every_cut_of_a_profile_is_refused),
        cmocka_unit_test(deep_stacks_need_no_recursion_and_are_bounded),
        cmocka_unit_test(many_samples_are_walked_in_blocks),
        cmocka_unit_test(reads_what_real_versions_wrote),
    };
    return cmocka_run_group_tests(tests, NULL, NULL);
}
