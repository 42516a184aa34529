/* Analyses: what a child prints, how it ends, and what becomes of it; proctor-analyze is played by scripts. */
#include "remote/analysis.h"

#include "tests/unit/store_support.h"

#include <signal.h>
#include <time.h>

#include "lib/base/log.h"
#include "remote/analysis_child.h"
#include "remote/store/db_private.h"
#include "remote/store/store.h"

/* ---- pieces ---------------------------------------------------------------------------------- */

static int next(const char *text, size_t *pos, struct analysis_piece *piece)
{
    AUTOBUF struct buf out = BUF_INIT(4096);
    (void)buf_addstr(&out, text);
    int r = analysis_piece_next(&out, pos, piece);
    /* What is borrowed goes with the buffer. */
    if (r > 0)
        piece->data = text + (piece->data - out.data);
    return r;
}

static void reads_piece_after_piece(void **state)
{
    const char *text = "top 5\nhelloend 0\n";
    struct analysis_piece piece;
    size_t pos = 0;
    assert_int_equal(next(text, &pos, &piece), 1);
    assert_string_equal(piece.name, "top");
    assert_memory_equal(piece.data, "hello", 5);
    assert_int_equal(next(text, &pos, &piece), 1);
    assert_string_equal(piece.name, "end");
    assert_int_equal(piece.len, 0);
    assert_int_equal(next(text, &pos, &piece), 0);
}

static void refuses_what_is_no_piece(void **state)
{
    const char *const texts[] = {"top",
                                 "top 5",
                                 "top five\n",
                                 "top -1\n",
                                 " 5\nxxx",
                                 "top 6\nshort",
                                 "a-name-that-is-too-long 1\nx",
                                 "top 18446744073709551615\nx"};
    for (size_t i = 0; i < ARRAY_SIZE(texts); i++) {
        struct analysis_piece piece;
        size_t pos = 0;
        assert_int_equal(next(texts[i], &pos, &piece), ERR_PROTOCOL);
    }
}

/* ---- around a test --------------------------------------------------------------------------- */

enum { DEADLINE_MS = 300, WAIT_MS = 400, CALLS_MAX = 250 };

/* A whole answer of the program. */
#define VIEWS "printf 'top 3\\none''top-total 3\\ntwo''tree 5\\nthreeend 0\\n'"

static uv_loop_t loop;
static struct store *store;
static struct analysis *analysis;

/* What was answered, in its order. */
static struct call {
    int r;
    char text[200];
    size_t len;
} calls[CALLS_MAX];
static unsigned call_count;

static void on_call(void *arg, int r, const char *text, size_t len)
{
    assert_true(call_count < CALLS_MAX);
    struct call *c = &calls[call_count++];
    c->r = r;
    c->len = len;
    (void)snprintf(c->text, sizeof c->text, "%.*s", (int)len, text);
}

/* The program of the next test; it counts its runs. */
static char *make_program(const char *script)
{
    char *path = in_folder("analyser");
    AUTOFREE char *text = xasprintf("#!/bin/sh\necho >> %s/runs\n%s\n", folder, script);
    put_file(path, text);
    assert_int_equal(chmod(path, 0700), 0);
    return path;
}

static unsigned runs(void)
{
    AUTOFREE char *path = in_folder("runs");
    struct stat st;
    return stat(path, &st) < 0 ? 0 : (unsigned)st.st_size;
}

static char *program;

static void open_with(const char *script, uint64_t deadline_ms, uint64_t wait_ms)
{
    program = make_program(script);
    const struct analysis_settings settings = {
        .program = program, .deadline_ms = deadline_ms, .wait_ms = wait_ms};
    analysis = analysis_new(&loop, store, &settings);
}

static int make_store(void **state)
{
    log_init("test", LOG_LEVEL_ERROR);
    call_count = 0;
    if (make_db(state) < 0 || uv_loop_init(&loop) < 0)
        return -1;
    for (unsigned n = 1; n <= 3; n++)
        bring_one(n, 1000 + n);
    close_db();
    AUTOFREE char *dir = data_dir();
    return store_open(&store, &loop, dir);
}

static int remove_store(void **state)
{
    if (analysis)
        analysis_close(analysis, NULL, NULL);
    analysis = NULL;
    free(TAKE(program));
    store_close(store, NULL, NULL);
    assert_int_equal(uv_run(&loop, UV_RUN_DEFAULT), 0);
    assert_int_equal(uv_loop_close(&loop), 0);
    assert_no_child();
    return remove_folder(state);
}

static void ask(unsigned n, const char *name)
{
    char id[UUID_TEXT];
    nth_id(n, id);
    analysis_get(analysis, id, name, on_call, NULL);
}

static void wait_for(unsigned count)
{
    while (call_count < count)
        (void)uv_run(&loop, UV_RUN_ONCE);
}

/* Asks and waits for the answer. */
static const struct call *answer_of(unsigned n, const char *name)
{
    unsigned before = call_count;
    ask(n, name);
    wait_for(before + 1);
    return &calls[before];
}

static void assert_refused(const struct call *c, int r, const char *sentence)
{
    assert_int_equal(c->r, r);
    assert_string_equal(c->text, sentence);
    assert_int_equal(c->len, strlen(sentence));
}

/* ---- views ----------------------------------------------------------------------------------- */

static void a_view_is_made_once_and_kept(void **state)
{
    open_with(VIEWS, 0, 0);
    ask(1, "top");
    ask(1, "tree");
    wait_for(2);
    assert_string_equal(calls[0].text, "one");
    assert_string_equal(calls[1].text, "three");
    assert_string_equal(answer_of(1, "top-total")->text, "two");
    assert_int_equal(runs(), 1);
}

static void what_is_not_there_is_told_in_a_sentence(void **state)
{
    open_with(VIEWS, 0, 0);
    assert_refused(answer_of(99, "top"), ERR_NOT_FOUND, "there is no such profile");
    analysis_get(analysis, "nonsense", "top", on_call, NULL);
    wait_for(2);
    assert_refused(&calls[1], ERR_NOT_FOUND, "there is no such profile");
    assert_int_equal(runs(), 0);
}

static void the_bytes_of_a_removed_profile_are_not_looked_for(void **state)
{
    AUTOFREE char *dir = data_dir();
    assert_int_equal(db_open(dir, &db), 0);
    remove_one(1);
    close_db();
    open_with(VIEWS, 0, 0);
    assert_refused(answer_of(1, "top"), ERR_NOT_FOUND, "the bytes of this profile were removed");
}

static void a_view_that_was_not_made_is_told(void **state)
{
    open_with("printf 'top 3\\noneend 0\\n'", 0, 0);
    assert_refused(answer_of(1, "tree"), ERR_UNSUPPORTED, "there is no such view of this profile");
}

/* ---- failures -------------------------------------------------------------------------------- */

static void the_analysers_sentence_comes_through_and_is_kept(void **state)
{
    static const char sentence[] = "the text ends too early (at byte 7)";
    open_with("printf 'error 42\\nSYNTAX the text ends too early (at byte 7)'", 0, 0);
    assert_refused(answer_of(1, "top"), ERR_SYNTAX, sentence);
    assert_refused(answer_of(1, "tree"), ERR_SYNTAX, sentence);
    assert_int_equal(runs(), 1);
}

static void one_that_takes_too_long_is_ended(void **state)
{
    open_with("exec sleep 60", DEADLINE_MS, 0);
    assert_refused(answer_of(1, "top"), -ETIMEDOUT, "the analysis took longer than it may");
    assert_refused(answer_of(1, "top"), -ETIMEDOUT, "the analysis took longer than it may");
    assert_int_equal(runs(), 1);
}

static void one_that_takes_all_its_cpu_time_is_told_as_that(void **state)
{
    open_with("kill -XCPU $$", 0, 0);
    assert_refused(answer_of(1, "top"), -ETIMEDOUT, "the analysis took longer than it may");
}

/* For want of memory, perhaps: the next one may fare better. */
static void one_that_was_killed_is_tried_again(void **state)
{
    static const char sentence[] =
        "the analysis was killed by somebody, or for want of memory; try again";
    open_with("kill -KILL $$", 0, 0);
    assert_refused(answer_of(1, "top"), ERR_BUSY, sentence);
    assert_refused(answer_of(1, "top"), ERR_BUSY, sentence);
    assert_int_equal(runs(), 2);
}

static void one_that_breaks_is_not_tried_again(void **state)
{
    open_with("kill -SYS $$", 0, 0);
    AUTOFREE char *sentence = xasprintf("the analysis ended with signal %d", SIGSYS);
    assert_refused(answer_of(1, "top"), ERR_FAILED, sentence);
    assert_refused(answer_of(1, "top"), ERR_FAILED, sentence);
    assert_int_equal(runs(), 1);
}

static void one_that_exits_with_a_code_has_failed(void **state)
{
    open_with(VIEWS "; exit 7", 0, 0);
    assert_refused(answer_of(1, "top"), ERR_FAILED, "the analysis ended with code 7");
}

static void nonsense_is_no_view(void **state)
{
    static const char *const scripts[] = {"echo nonsense", "printf 'top 3\\none'",
                                          "printf 'error 3\\nbad'"};
    for (unsigned i = 0; i < ARRAY_SIZE(scripts); i++) {
        open_with(scripts[i], 0, 0);
        assert_refused(answer_of(i + 1, "top"), ERR_PROTOCOL, "the analysis printed nonsense");
        analysis_close(analysis, NULL, NULL);
        free(TAKE(program));
    }
    analysis = NULL;
}

static void one_that_prints_without_end_is_ended(void **state)
{
    open_with("exec cat /dev/zero", 0, 0);
    assert_refused(answer_of(1, "top"), ERR_TOO_BIG, "the analysis prints more than it may");
}

static void one_that_cannot_be_started_is_told(void **state)
{
    const struct analysis_settings settings = {.program = "/nowhere/analyser"};
    analysis = analysis_new(&loop, store, &settings);
    assert_int_equal(answer_of(1, "top")->r, -ENOENT);
    assert_true(calls[0].len > 0);
}

/* As under a parent that ignores SIGCHLD: the kernel reaps the child, and nobody can ask how it ended. */
static void one_that_somebody_else_reaped_has_ended(void **state)
{
    struct timespec cpu_before, cpu_after;
    (void)signal(SIGCHLD, SIG_IGN);
    open_with(VIEWS, 0, 0);
    (void)clock_gettime(CLOCK_PROCESS_CPUTIME_ID, &cpu_before);
    assert_refused(answer_of(1, "top"), -ECHILD, "the analysis ended, and how is not known");
    (void)clock_gettime(CLOCK_PROCESS_CPUTIME_ID, &cpu_after);
    (void)signal(SIGCHLD, SIG_DFL);
    assert_true(cpu_after.tv_sec - cpu_before.tv_sec < 2);
}

/* ---- many ------------------------------------------------------------------------------------ */

static void the_third_waits_for_its_turn_but_not_for_ever(void **state)
{
    open_with("exec sleep 60", 3 * WAIT_MS, WAIT_MS);
    for (unsigned n = 1; n <= 3; n++)
        ask(n, "top");
    wait_for(1);
    assert_refused(&calls[0], ERR_BUSY, "too many analyses are before this one; try again later");
    assert_int_equal(runs(), 2);
    wait_for(3);
    assert_int_equal(calls[1].r, -ETIMEDOUT);
    assert_int_equal(calls[2].r, -ETIMEDOUT);
    /* It was not this profile's fault. */
    assert_int_equal(answer_of(3, "top")->r, -ETIMEDOUT);
}

static void the_third_gets_its_turn(void **state)
{
    open_with("sleep 0.2; " VIEWS, 0, 0);
    for (unsigned n = 1; n <= 3; n++)
        ask(n, "top");
    wait_for(3);
    for (unsigned i = 0; i < 3; i++)
        assert_string_equal(calls[i].text, "one");
    assert_int_equal(runs(), 3);
}

static void more_than_a_hundred_wait_for_one_child(void **state)
{
    enum { WAITERS = 100, MORE = 20 };
    open_with("sleep 0.2; " VIEWS, 0, 0);
    for (unsigned i = 0; i < WAITERS + MORE; i++)
        ask(1, "top");
    wait_for(WAITERS + MORE);
    unsigned refused = 0;
    for (unsigned i = 0; i < call_count; i++)
        if (calls[i].r < 0) {
            assert_refused(&calls[i], ERR_BUSY,
                           "too many analyses are before this one; try again later");
            refused++;
        }
    assert_int_equal(refused, MORE);
    assert_int_equal(runs(), 1);
}

static void closing_ends_what_runs_and_what_waits(void **state)
{
    open_with("exec sleep 60", 0, 0);
    for (unsigned n = 1; n <= 3; n++)
        ask(n, "top");
    while (runs() < 2)
        (void)uv_run(&loop, UV_RUN_NOWAIT);
    analysis_close(analysis, NULL, NULL);
    wait_for(3);
    unsigned cancelled = 0, stopped = 0;
    for (unsigned i = 0; i < 3; i++) {
        cancelled += calls[i].r == ERR_CANCELLED;
        stopped += calls[i].r == ERR_STOPPING;
    }
    assert_int_equal(cancelled, 2);
    assert_int_equal(stopped, 1);
    analysis = NULL;
}

static void closing_while_it_is_looked_up_is_fine(void **state)
{
    open_with(VIEWS, 0, 0);
    ask(1, "top");
    analysis_close(analysis, NULL, NULL);
    wait_for(1);
    assert_int_equal(calls[0].r, ERR_STOPPING);
    assert_int_equal(runs(), 0);
    analysis = NULL;
}

/* ---- notes ----------------------------------------------------------------------------------- */

static void what_the_program_notes_is_logged_once(void **state)
{
    AUTOFREE char *path = in_folder("log");
    AUTOCLOSE int saved = dup(STDERR_FILENO);
    open_with("printf 'note 13\\nno seccomp...'; " VIEWS, 0, 0);
    log_init("test", LOG_LEVEL_WARN);
    assert_non_null(freopen(path, "we", stderr));
    ask(1, "top");
    ask(2, "top");
    wait_for(2);
    (void)fflush(stderr);
    (void)dup2(saved, STDERR_FILENO);
    assert_string_equal(calls[0].text, "one");
    AUTOBUF struct buf text = BUF_INIT(65536);
    assert_int_equal(path_read(path, &text), 0);
    const char *first = strstr(buf_str(&text), "proctor-analyze: no seccomp...");
    assert_non_null(first);
    assert_null(strstr(first + 1, "proctor-analyze:"));
}

/* ---- what is too large ----------------------------------------------------------------------- */

/* As if a result of that size were stored. */
static void claim_bytes(unsigned n, uint64_t bytes)
{
    char id[UUID_TEXT];
    AUTOFREE char *dir = data_dir();
    nth_id(n, id);
    AUTOFREE char *sql =
        xasprintf("UPDATE blobs SET bytes = %llu WHERE sha256 = (SELECT blob FROM profiles WHERE"
                  " id = '%s')",
                  (unsigned long long)bytes, id);
    assert_int_equal(db_open(dir, &db), 0);
    begin();
    assert_int_equal(db_exec(db, sql), 0);
    commit();
    close_db();
}

static void a_result_past_the_limit_starts_no_child(void **state)
{
    claim_bytes(1, LIMIT_ANALYSIS_RESULT + (LIMIT_ANALYSIS_RESULT >> 1));
    claim_bytes(2, LIMIT_ANALYSIS_RESULT);
    open_with(VIEWS, 0, 0);
    assert_refused(answer_of(1, "top"), ERR_TOO_BIG,
                   "the result of 1.50 GiB is larger than what is analysed (1 GiB): download it");
    assert_int_equal(runs(), 0);
    assert_int_equal(answer_of(2, "top")->r, 0);
}

#define ROW(name) cmocka_unit_test_setup_teardown(name, make_store, remove_store)

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(reads_piece_after_piece),
        cmocka_unit_test(refuses_what_is_no_piece),
        ROW(a_view_is_made_once_and_kept),
        ROW(what_is_not_there_is_told_in_a_sentence),
        ROW(the_bytes_of_a_removed_profile_are_not_looked_for),
        ROW(a_view_that_was_not_made_is_told),
        ROW(the_analysers_sentence_comes_through_and_is_kept),
        ROW(one_that_takes_too_long_is_ended),
        ROW(one_that_takes_all_its_cpu_time_is_told_as_that),
        ROW(one_that_was_killed_is_tried_again),
        ROW(one_that_breaks_is_not_tried_again),
        ROW(one_that_exits_with_a_code_has_failed),
        ROW(nonsense_is_no_view),
        ROW(one_that_prints_without_end_is_ended),
        ROW(one_that_cannot_be_started_is_told),
        ROW(one_that_somebody_else_reaped_has_ended),
        ROW(the_third_waits_for_its_turn_but_not_for_ever),
        ROW(the_third_gets_its_turn),
        ROW(more_than_a_hundred_wait_for_one_child),
        ROW(closing_ends_what_runs_and_what_waits),
        ROW(closing_while_it_is_looked_up_is_fine),
        ROW(what_the_program_notes_is_logged_once),
        ROW(a_result_past_the_limit_starts_no_child),
    };
    return cmocka_run_group_tests(tests, NULL, NULL);
}
