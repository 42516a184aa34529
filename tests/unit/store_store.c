#include "remote/store/store.h"

#include "tests/unit/store_support.h"

#include <signal.h>

#include "lib/base/limits.h"
#include "lib/base/loop.h"
#include "remote/store/accounts.h"
#include "remote/store/sql.h"

static uv_loop_t loop;
static struct store *store;
static int done_count, closed_count;
static bool asking;

static int open_store(void **state)
{
    if (make_folder(state) < 0)
        return -1;
    AUTOFREE char *dir = data_dir();
    done_count = closed_count = 0;
    assert_int_equal(uv_loop_init(&loop), 0);
    assert_int_equal(store_open(&store, &loop, dir), 0);
    return 0;
}

static void on_store_closed(void *arg)
{
    closed_count++;
}

static int close_store(void **state)
{
    if (store)
        store_close(store, on_store_closed, NULL);
    assert_int_equal(uv_run(&loop, UV_RUN_DEFAULT), 0);
    assert_int_equal(closed_count, 1);
    assert_int_equal(uv_loop_close(&loop), 0);
    store = NULL;
    return remove_folder(state);
}

/* ---- pieces of work -------------------------------------------------------------------------- */

struct piece {
    int number;
    int fail; /* what the work returns in the end */
    int result;
    bool ready;
};

static void on_done(void *arg, int result)
{
    assert_false(asking);
    struct piece *p = arg;
    assert_false(p->ready);
    p->ready = true;
    p->result = result;
    done_count++;
}

static int add_audit(struct db *to, void *arg)
{
    const struct piece *p = arg;
    struct audit_row row = {.at_ms = p->number, .who = "user ann", .what = "login"};
    int r = audit_add(to, &row);
    return r < 0 ? r : p->fail;
}

static int count_audit(struct db *from, void *arg)
{
    int64_t count = 0;
    int r = sql_get_int(from, "SELECT COUNT(*) FROM audit", NO_ARGS, &count);
    return r < 0 ? r : (int)count;
}

static void write_piece(struct piece *p, store_work_cb work)
{
    asking = true;
    store_write(store, work, on_done, p);
    asking = false;
}

static void run_until(int count)
{
    while (done_count < count)
        (void)uv_run(&loop, UV_RUN_ONCE);
}

static int read_count(void)
{
    struct piece p = {0};
    store_read(store, count_audit, on_done, &p);
    while (!p.ready)
        (void)uv_run(&loop, UV_RUN_ONCE);
    return p.result;
}

/* ---- tests ----------------------------------------------------------------------------------- */

static void writes_and_then_reads(void **state)
{
    struct piece p = {.number = 1, .fail = 42};
    write_piece(&p, add_audit);
    run_until(1);
    assert_int_equal(p.result, 42);
    assert_int_equal(read_count(), 1);
}

static void one_that_fails_undoes_only_itself(void **state)
{
    struct piece pieces[100] = {{0}};
    for (int i = 0; i < 100; i++) {
        pieces[i] = (struct piece){.number = i, .fail = i % 7 == 3 ? ERR_INVALID : 0};
        write_piece(&pieces[i], add_audit);
    }
    run_until(100);
    int expected = 0;
    for (int i = 0; i < 100; i++) {
        assert_int_equal(pieces[i].result, pieces[i].fail);
        expected += pieces[i].fail == 0;
    }
    assert_int_equal(read_count(), expected);
}

static int bring_and_fail(struct db *to, void *arg)
{
    const struct piece *p = arg;
    int r = bring(to, (unsigned)p->number, (unsigned)p->number, 1000, 1);
    return r < 0 ? r : p->fail;
}

static int add_the_host(struct db *to, void *arg)
{
    add_host(to, HOST_1, "one");
    return 0;
}

/* Rows and bytes: of those that fail nothing stays in the files that they share with the others. */
static void files_are_undone_with_their_rows(void **state)
{
    struct piece pieces[20] = {{0}}, host = {0};
    AUTOFREE char *dir = data_dir();
    write_piece(&host, add_the_host);
    for (int i = 0; i < 20; i++) {
        pieces[i] = (struct piece){.number = i, .fail = i % 2 ? ERR_INVALID : 0};
        write_piece(&pieces[i], bring_and_fail);
    }
    run_until(21);
    assert_tally("segments", 1, 10000);
    assert_tally("incoming", 0, 0);
    assert_int_equal(db_open(dir, &db), 0);
    for (unsigned i = 0; i < 20; i += 2)
        assert_profile(i, i, 1000);
    close_db();
}

static struct piece late;

static void on_first_done(void *arg, int result)
{
    done_count++;
    write_piece(&late, add_audit);
}

static void callbacks_may_ask_for_more(void **state)
{
    late = (struct piece){.number = 2};
    struct piece first = {.number = 1};
    store_write(store, add_audit, on_first_done, &first);
    run_until(2);
    assert_true(late.ready);
    assert_int_equal(read_count(), 2);
}

static int order[300], order_count;

static int note_order(struct db *to, void *arg)
{
    order[order_count++] = ((struct piece *)arg)->number;
    return 0;
}

static void writes_keep_their_order(void **state)
{
    struct piece pieces[300] = {{0}};
    order_count = 0;
    for (int i = 0; i < 300; i++) {
        pieces[i].number = i;
        write_piece(&pieces[i], note_order);
    }
    run_until(300);
    for (int i = 0; i < 300; i++)
        assert_int_equal(order[i], i);
}

static void nobody_needs_to_be_told(void **state)
{
    struct piece p = {.number = 1};
    store_write(store, add_audit, NULL, &p);
    struct piece last = {.number = 2};
    write_piece(&last, add_audit);
    run_until(1);
    assert_int_equal(read_count(), 2);
}

static int wait_for_pipe(struct db *to, void *arg)
{
    char byte;
    return (int)read(*(int *)arg, &byte, 1);
}

static void on_counted(void *arg, int result)
{
    done_count++;
    ((int *)arg)[result == ERR_BUSY ? 1 : 0]++;
}

static int no_work(struct db *to, void *arg)
{
    return 0;
}

static void a_full_queue_takes_no_more(void **state)
{
    int ends[2], results[2] = {0};
    assert_int_equal(pipe(ends), 0);
    store_write(store, wait_for_pipe, NULL, &ends[0]);
    for (unsigned i = 0; i < LIMIT_STORE_QUEUE + 600; i++)
        store_write(store, no_work, on_counted, results);
    /* Reads have a queue of their own. */
    assert_int_equal(read_count(), 0);
    assert_int_equal(write(ends[1], "x", 1), 1);
    run_until((int)LIMIT_STORE_QUEUE + 601);
    /* What the writer has taken off the queue by then makes room for others. */
    assert_true(results[1] > 300 && results[1] <= 601);
    assert_int_equal(results[0] + results[1], LIMIT_STORE_QUEUE + 600);
    (void)close(ends[0]);
    (void)close(ends[1]);
}

static void closing_finishes_what_waits(void **state)
{
    static struct piece pieces[500], refused;
    memset(pieces, 0, sizeof pieces);
    refused = (struct piece){0};
    for (int i = 0; i < 500; i++) {
        pieces[i].number = i;
        write_piece(&pieces[i], add_audit);
    }
    store_close(store, on_store_closed, NULL);
    write_piece(&refused, add_audit);
    assert_int_equal(uv_run(&loop, UV_RUN_DEFAULT), 0);
    assert_int_equal(closed_count, 1);
    assert_int_equal(done_count, 501);
    assert_int_equal(refused.result, ERR_STOPPING);
    store = NULL;
    open_db();
    assert_int_equal(count_audit(db, NULL), 500);
    close_db();
}

static void on_done_after_close(void *arg, int result)
{
    done_count++;
    if (done_count < 5)
        store_write(store, no_work, on_done_after_close, NULL);
}

static void callbacks_may_ask_while_it_closes(void **state)
{
    store_write(store, no_work, on_done_after_close, NULL);
    store_close(store, on_store_closed, NULL);
    assert_int_equal(uv_run(&loop, UV_RUN_DEFAULT), 0);
    assert_int_equal(done_count, 5);
    assert_int_equal(closed_count, 1);
    store = NULL;
}

static void one_that_cannot_be_opened_leaves_nothing(void **state)
{
    AUTOFREE char *file = in_folder("file");
    put_file(file, "x");
    struct store *none = NULL;
    assert_int_equal(store_open(&none, &loop, file), -ENOTDIR);
    assert_null(none);
}

/* ---- others ---------------------------------------------------------------------------------- */

static int changes;

static void on_changed(void *arg)
{
    changes++;
}

static void on_time(uv_timer_t *timer)
{
    *(bool *)timer->data = true;
}

static void run_ms(uint64_t ms, int until_changes)
{
    bool over = false;
    uv_timer_t timer;
    assert_int_equal(uv_timer_init(&loop, &timer), 0);
    timer.data = &over;
    assert_int_equal(uv_timer_start(&timer, on_time, ms, 0), 0);
    while (!over && changes < until_changes)
        (void)uv_run(&loop, UV_RUN_ONCE);
    uv_close((uv_handle_t *)&timer, NULL);
    (void)uv_run(&loop, UV_RUN_NOWAIT);
}

/* `count` transactions of a process beside us; how many of them worked is its exit status. */
static pid_t command_beside(int count)
{
    AUTOFREE char *dir = data_dir();
    pid_t pid = fork();
    assert_true(pid >= 0);
    if (pid > 0)
        return pid;
    struct db *mine = NULL;
    int worked = 0;
    if (db_open(dir, &mine) < 0)
        _exit(255);
    for (int i = 0; i < count; i++) {
        struct piece p = {.number = 1000000 + i};
        int r = db_begin(mine);
        if (r == 0)
            r = add_audit(mine, &p);
        if (r == 0)
            r = db_commit(mine);
        worked += r == 0;
    }
    db_close(mine);
    _exit(worked);
}

static void assert_worked(pid_t pid, int count)
{
    int status;
    assert_int_equal(waitpid(pid, &status, 0), pid);
    assert_true(WIFEXITED(status));
    assert_int_equal(WEXITSTATUS(status), count);
}

static void sees_changes_of_others_and_not_its_own(void **state)
{
    struct piece p = {.number = 1};
    changes = 0;
    store_watch(store, on_changed, NULL);
    write_piece(&p, add_audit);
    run_until(1);
    run_ms(1200, 1);
    assert_int_equal(changes, 0);
    assert_worked(command_beside(1), 1);
    run_ms(5000, 1);
    assert_int_equal(changes, 1);
    store_watch(store, NULL, NULL);
    assert_worked(command_beside(1), 1);
    run_ms(700, 2);
    assert_int_equal(changes, 1);
}

static struct piece busy_piece;
static bool keep_busy;
static int own_writes;

static void on_busy_done(void *arg, int result)
{
    assert_int_equal(result, 0);
    own_writes++;
    if (keep_busy)
        store_write(store, add_audit, on_busy_done, &busy_piece);
}

static void on_child(uv_timer_t *timer)
{
    int status;
    pid_t *pid = timer->data;
    if (waitpid(*pid, &status, WNOHANG) != *pid)
        return;
    assert_true(WIFEXITED(status));
    assert_int_equal(WEXITSTATUS(status), 50);
    keep_busy = false;
    uv_close((uv_handle_t *)timer, NULL);
}

/* The server writes all the time, and a command gets its turn again and again. */
static void two_processes_write_at_the_same_time(void **state)
{
    uv_timer_t timer;
    keep_busy = true;
    own_writes = 0;
    pid_t pid = command_beside(50);
    for (int i = 0; i < 20; i++)
        store_write(store, add_audit, on_busy_done, &busy_piece);
    assert_int_equal(uv_timer_init(&loop, &timer), 0);
    timer.data = &pid;
    assert_int_equal(uv_timer_start(&timer, on_child, 10, 10), 0);
    while (keep_busy)
        (void)uv_run(&loop, UV_RUN_ONCE);
    int before;
    do {
        before = own_writes;
        run_ms(100, 1000000);
    } while (own_writes != before);
    assert_int_equal(read_count(), 50 + own_writes);
    assert_true(own_writes > 50);
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test_setup_teardown(writes_and_then_reads, open_store, close_store),
        cmocka_unit_test_setup_teardown(one_that_fails_undoes_only_itself, open_store, close_store),
        cmocka_unit_test_setup_teardown(files_are_undone_with_their_rows, open_store, close_store),
        cmocka_unit_test_setup_teardown(callbacks_may_ask_for_more, open_store, close_store),
        cmocka_unit_test_setup_teardown(writes_keep_their_order, open_store, close_store),
        cmocka_unit_test_setup_teardown(nobody_needs_to_be_told, open_store, close_store),
        cmocka_unit_test_setup_teardown(a_full_queue_takes_no_more, open_store, close_store),
        cmocka_unit_test_setup_teardown(closing_finishes_what_waits, open_store, close_store),
        cmocka_unit_test_setup_teardown(callbacks_may_ask_while_it_closes, open_store, close_store),
        cmocka_unit_test_setup_teardown(one_that_cannot_be_opened_leaves_nothing, open_store,
                                        close_store),
        cmocka_unit_test_setup_teardown(sees_changes_of_others_and_not_its_own, open_store,
                                        close_store),
        cmocka_unit_test_setup_teardown(two_processes_write_at_the_same_time, open_store,
                                        close_store),
    };
    return cmocka_run_group_tests(tests, NULL, NULL);
}
