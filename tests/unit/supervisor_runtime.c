#include "supervisor/runtime.h"

#include "tests/unit/support.h"

#include <sys/stat.h>

#include "ecosystem/spec.h"
#include "lib/base/loop.h"

/* ---- the version's text ---------------------------------------------------------------------- */

static void reads_versions(void **state)
{
    static const struct {
        const char *text;
        int major, minor, patch;
    } rows[] = {
        {"v20.20.2\n", 20, 20, 2},
        {"v0.12.18\n", 0, 12, 18},
        {"v8.17.0", 8, 17, 0},
        {"v26.10.0\n", 26, 10, 0},
        {"v25.0.0-nightly20260101\n", 25, 0, 0},
        {"v100.0.1\nmore", 100, 0, 1},
    };
    for (size_t i = 0; i < ARRAY_SIZE(rows); i++) {
        struct runtime_version v = {0};
        assert_true(runtime_read_version(rows[i].text, &v));
        assert_true(v.is_node);
        assert_int_equal(v.major, rows[i].major);
        assert_int_equal(v.minor, rows[i].minor);
        assert_int_equal(v.patch, rows[i].patch);
    }
}

static void anything_else_is_no_version(void **state)
{
    static const char *const texts[] = {
        "",           "v",           "20.20.2\n",     "v20\n",      "v20.1\n",    "v20.1.\n",
        "v20.1.x\n",  "V20.1.2\n",   " v20.1.2",      "v20.1.2x",   "v20.1.2.3",  "v-20.1.2\n",
        "v+20.1.2\n", "v 20.1.2\n",  "v20. 1.2\n",    "v20.-1.2\n", "v20.1.+2\n", "1.4.4\n",
        "Python 3.1", "v2000.1.2\n", "v20.99999.2\n",
    };
    for (size_t i = 0; i < ARRAY_SIZE(texts); i++) {
        struct runtime_version v = {.major = 77};
        if (runtime_read_version(texts[i], &v))
            fail_msg("\"%s\" was taken for a version", texts[i]);
        assert_int_equal(v.major, 77);
    }
}

/* ---- asking ---------------------------------------------------------------------------------- */

static uv_loop_t loop;
static struct runtimes *runtimes;
static int fds_before;

struct asked {
    unsigned answers;
    struct runtime_version version;
    struct asked *forget; /* inside the callback */
};

static void on_known(void *arg, const struct runtime_version *version)
{
    struct asked *a = arg;
    a->answers++;
    a->version = *version;
    if (a->forget)
        runtimes_forget(runtimes, a->forget);
}

static int warm_up(void **state)
{
    (void)setenv("PROCTOR_LOG", "error", 1);
    return uv_loop_init(&loop) < 0 ? -1 : loop_end(&loop);
}

static int set_up(void **state)
{
    fds_before = count_fds();
    if (make_folder(state) < 0 || uv_loop_init(&loop) < 0)
        return -1;
    runtimes = runtimes_new(&loop);
    return 0;
}

static int tear_down(void **state)
{
    if (runtimes)
        runtimes_free(runtimes);
    runtimes = NULL;
    /* What was asked is killed and still has to be reaped. */
    (void)uv_run(&loop, UV_RUN_DEFAULT);
    if (loop_end(&loop) != 0 || count_fds() != fds_before)
        return -1;
    if (waitpid(-1, NULL, WNOHANG) != -1 || errno != ECHILD)
        return -1;
    return remove_folder(state);
}

static int ask(const char *interpreter, const char *script, struct asked *a)
{
    struct app_spec spec = {.interpreter = (char *)interpreter, .script = (char *)script};
    return runtimes_ask(runtimes, &spec, &a->version, on_known, a);
}

/* Another program under a name that makes it a candidate: an ELF file, for others are not run.  The
 * caller frees. */
static char *copy_program(const char *from, const char *name)
{
    AUTOFREE char *found = path_find_program("/", from, getenv("PATH"));
    char *path = in_folder(name);
    assert_non_null(found);
    AUTOFREE char *command = xasprintf("cp -L '%s' '%s'", found, path);
    assert_int_equal(system(command), 0);
    return path;
}

/* The real Node of this machine; the caller frees. */
static char *real_node(void)
{
    char *node = path_find_program("/", "node", getenv("PATH"));
    if (!node)
        skip();
    return node;
}

static void the_real_node_is_asked_once(void **state)
{
    AUTOFREE char *node = real_node();
    struct asked a = {0}, b = {0}, c = {0};
    int r = ask(node, "/app/server.js", &a);
    if (r == 1)
        skip(); /* a wrapper, not the program itself */
    assert_int_equal(ask(node, "/app/other.js", &b), 0);
    assert_int_equal(a.answers, 0);
    (void)uv_run(&loop, UV_RUN_DEFAULT);
    assert_int_equal(a.answers, 1);
    assert_int_equal(b.answers, 1);
    assert_true(a.version.is_node && a.version.major >= 4);
    assert_memory_equal(&a.version, &b.version, sizeof a.version);
    /* What `node -v` says itself. */
    char text[64] = "";
    AUTOFREE char *command = xasprintf("'%s' -v", node);
    FILE *f = popen(command, "re");
    assert_non_null(fgets(text, sizeof text, f));
    (void)pclose(f);
    struct runtime_version said;
    assert_true(runtime_read_version(text, &said));
    assert_memory_equal(&a.version, &said, sizeof said);
    /* Known now. */
    assert_int_equal(ask(node, "/app/server.js", &c), 1);
    assert_memory_equal(&c.version, &said, sizeof said);
    /* "none" with the program as the script is the same. */
    struct asked d = {0};
    assert_int_equal(ask("none", node, &d), 1);
    assert_int_equal(d.version.major, said.major);
}

static void only_what_may_be_node_is_run(void **state)
{
    AUTOFREE char *wrapper = in_folder("node-wrapper"), *none = in_folder("node-none");
    AUTOFREE char *ran = in_folder("ran");
    AUTOFREE char *text = xasprintf("#!/bin/sh\ntouch %s\necho v20.0.0\n", ran);
    put_file(wrapper, text);
    assert_int_equal(chmod(wrapper, 0700), 0);
    const char *const rows[][2] = {
        {wrapper, "/app/server.js"}, {none, "/app/server.js"},  {"/bin/sh", "/app/run.sh"},
        {"none", "/bin/sleep"},      {"/bin/sleep", "/app/py"}, {"none", wrapper},
    };
    for (size_t i = 0; i < ARRAY_SIZE(rows); i++) {
        struct asked a = {.version.is_node = true};
        assert_int_equal(ask(rows[i][0], rows[i][1], &a), 1);
        assert_false(a.version.is_node);
    }
    assert_int_equal(access(ran, F_OK), -1);
}

static void what_says_no_version_is_no_node(void **state)
{
    /* cat -v copies its empty input; false fails. */
    static const char *const programs[] = {"cat", "false"};
    for (size_t i = 0; i < ARRAY_SIZE(programs); i++) {
        AUTOFREE char *path = copy_program(programs[i], i ? "node-two" : "node-one");
        struct asked a = {0}, again = {0};
        assert_int_equal(ask(path, "/app/server.js", &a), 0);
        (void)uv_run(&loop, UV_RUN_DEFAULT);
        assert_int_equal(a.answers, 1);
        assert_false(a.version.is_node);
        assert_int_equal(ask(path, "/app/server.js", &again), 1);
        assert_false(again.version.is_node);
    }
}

static void a_new_file_at_the_same_path_is_asked_again(void **state)
{
    AUTOFREE char *path = copy_program("cat", "node");
    struct asked a = {0}, b = {0};
    assert_int_equal(ask(path, "/app/server.js", &a), 0);
    (void)uv_run(&loop, UV_RUN_DEFAULT);
    assert_int_equal(ask(path, "/app/server.js", &a), 1);
    AUTOFREE char *next = copy_program("false", "next");
    assert_int_equal(rename(next, path), 0);
    assert_int_equal(ask(path, "/app/server.js", &b), 0);
    (void)uv_run(&loop, UV_RUN_DEFAULT);
    assert_int_equal(b.answers, 1);
}

static void a_program_that_cannot_be_run_is_no_node(void **state)
{
    AUTOFREE char *path = in_folder("node");
    struct asked a = {0};
    put_file(path, "\177ELF is only its beginning");
    assert_int_equal(ask(path, "/app/server.js", &a), 1);
    assert_int_equal(chmod(path, 0700), 0);
    assert_int_equal(ask(path, "/app/server.js", &a), 1);
    assert_false(a.version.is_node);
    assert_no_child();
}

static void who_was_forgotten_is_not_answered(void **state)
{
    AUTOFREE char *path = copy_program("cat", "node");
    struct asked a = {0}, b = {0}, c = {0};
    assert_int_equal(ask(path, "/app/server.js", &a), 0);
    assert_int_equal(ask(path, "/app/server.js", &b), 0);
    assert_int_equal(ask(path, "/app/server.js", &c), 0);
    runtimes_forget(runtimes, &a);
    runtimes_forget(runtimes, &a);
    b.forget = &c;
    (void)uv_run(&loop, UV_RUN_DEFAULT);
    assert_int_equal(a.answers, 0);
    assert_int_equal(b.answers, 1);
    assert_int_equal(c.answers, 0);
}

static void ending_while_a_question_runs_kills_it(void **state)
{
    AUTOFREE char *path = copy_program("cat", "node");
    struct asked a = {0};
    assert_int_equal(ask(path, "/app/server.js", &a), 0);
    runtimes_free(runtimes);
    runtimes = NULL;
    (void)uv_run(&loop, UV_RUN_DEFAULT);
    assert_int_equal(a.answers, 0);
    assert_no_child();
}

#define ON_LOOP(test) cmocka_unit_test_setup_teardown(test, set_up, tear_down)

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(reads_versions),
        cmocka_unit_test(anything_else_is_no_version),
        ON_LOOP(the_real_node_is_asked_once),
        ON_LOOP(only_what_may_be_node_is_run),
        ON_LOOP(what_says_no_version_is_no_node),
        ON_LOOP(a_new_file_at_the_same_path_is_asked_again),
        ON_LOOP(a_program_that_cannot_be_run_is_no_node),
        ON_LOOP(who_was_forgotten_is_not_answered),
        ON_LOOP(ending_while_a_question_runs_kills_it),
    };
    return cmocka_run_group_tests(tests, warm_up, NULL);
}
