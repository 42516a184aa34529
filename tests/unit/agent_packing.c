/* Packing, and expanding what was packed, on a real loop. */
#include "agent/packing.h"

#include "tests/unit/support.h"

#include <fcntl.h>
#include <sys/stat.h>
#include <uv.h>

#include "agent/amend.h"
#include "agent/spool.h"
#include "agent/unpacking.h"
#include "lib/base/err.h"
#include "lib/base/limits.h"

#define NOW INT64_C(1700000000000)

enum { WAIT_MS = 20000, DONE_MAX = 32 };

struct done {
    char id[UUID_TEXT];
    bool has_result;
};

struct expanded {
    char request[16];
    int fd;
};

static uv_loop_t loop;
static struct spool spool;
static struct amends amends;
static struct packing packing;
static struct unpacking unpacking;
static struct done done[DONE_MAX];
static unsigned done_count;
static struct expanded expanded[DONE_MAX];
static unsigned expanded_count;
static bool late, closed;

static void on_done(void *arg, const struct record *r)
{
    assert_in_range(done_count, 0, DONE_MAX - 1);
    struct done *one = &done[done_count++];
    memcpy(one->id, r->id, UUID_TEXT);
    one->has_result = record_has_result(r);
}

static void on_expanded(void *arg, const char *request, struct record *r, int fd)
{
    assert_in_range(expanded_count, 0, DONE_MAX - 1);
    struct expanded *one = &expanded[expanded_count++];
    (void)snprintf(one->request, sizeof one->request, "%s", request);
    one->fd = fd;
}

static unsigned beats;

static void on_waits(void *arg, const char *request)
{
    beats++;
}

/* With a clock that has been steady for long. */
static void retain(int64_t now_ms)
{
    spool.steady_ms = 0;
    spool_retain(&spool, now_ms, 1);
}

static void on_found(void *arg, struct record *r)
{
    fail();
}

static void open_all(void)
{
    assert_int_equal(uv_loop_init(&loop), 0);
    assert_int_equal(spool_open(&spool, folder, 0), 0);
    amends_init(&amends, &loop, &spool);
    packing_init(&packing, &loop, &spool, &amends, on_done, NULL);
    unpacking_init(&unpacking, &loop, &spool, on_waits, on_expanded, NULL);
    assert_int_equal(spool_scan(&spool, NOW, on_found, NULL), 0);
    closed = false;
}

static void close_all(void)
{
    if (closed)
        return;
    closed = true;
    packing_close(&packing);
    unpacking_close(&unpacking);
    amends_close(&amends);
    (void)uv_run(&loop, UV_RUN_DEFAULT);
    assert_int_equal(uv_loop_close(&loop), 0);
    spool_close(&spool);
}

static int set_up(void **state)
{
    done_count = expanded_count = 0;
    if (make_folder(state) < 0)
        return -1;
    open_all();
    return 0;
}

static int tear_down(void **state)
{
    close_all();
    for (unsigned i = 0; i < expanded_count; i++)
        if (expanded[i].fd >= 0)
            (void)close(expanded[i].fd);
    return remove_folder(state);
}

static const char *id_of(int n)
{
    static char ids[4][UUID_TEXT];
    static unsigned next;
    char *id = ids[next++ % 4];
    (void)snprintf(id, UUID_TEXT, "01890a5d-ac96-774b-bcce-%012d", n);
    return id;
}

static char *file_of(int n, const char *extension)
{
    return xasprintf("%s/spool/%s%s", folder, id_of(n), extension);
}

static bool there(int n, const char *extension)
{
    AUTOFREE char *path = file_of(n, extension);
    return access(path, F_OK) == 0;
}

/* A capture that has ended with that result; text that packs well. */
static void store(int n, size_t bytes)
{
    AUTORECORD struct record r;
    AUTOFREE char *path = file_of(n, ".cpuprofile");
    AUTOFREE char *text = xcalloc(1, bytes + 1);
    for (size_t i = 0; i < bytes; i++)
        text[i] = (char)('a' + (i * 7 + (size_t)n) % 23);
    record_init(&r);
    (void)strcpy(r.id, id_of(n));
    r.app = xstrdup("web");
    r.created_ms = r.not_after_ms = NOW + n;
    r.bytes = (int64_t)bytes;
    record_end(&r, RECORD_DONE, NOW + n);
    assert_int_equal(path_write_atomic(path, text, bytes, 0600), 0);
    assert_int_equal(spool_save(&spool, &r), 0);
    spool_ended(&spool, &r);
}

static void on_late(uv_timer_t *timer)
{
    late = true;
}

/* Runs the loop until `is_over`, which returns true. */
static void run_until(bool (*is_over)(void))
{
    uv_timer_t deadline;
    late = false;
    (void)uv_timer_init(&loop, &deadline);
    (void)uv_timer_start(&deadline, on_late, WAIT_MS, 0);
    while (!is_over() && !late)
        (void)uv_run(&loop, UV_RUN_ONCE);
    uv_close((uv_handle_t *)&deadline, NULL);
    (void)uv_run(&loop, UV_RUN_NOWAIT);
    assert_false(late);
}

static bool all_packed(void)
{
    return !packing.busy && !spool_next_unpacked(&spool);
}

static bool is_stuck(void)
{
    return !packing.busy && uv_is_active((uv_handle_t *)&packing.again);
}

static bool one_expanded(void)
{
    return expanded_count == 1;
}

static bool sixteen_expanded(void)
{
    return expanded_count == 16;
}

static void read_back(int n, struct record *r)
{
    char why[RECORD_TEXT];
    record_init(r);
    assert_int_equal(spool_read(&spool, id_of(n), r, why), 0);
}

static int expand(const char *request, int n)
{
    AUTORECORD struct record r;
    read_back(n, &r);
    return unpacking_add(&unpacking, request, &r);
}

static void sleep_a_while(uv_work_t *work)
{
    (void)usleep(300000);
}

static bool has_beaten(void)
{
    return beats >= 4;
}

/* All threads are busy: two wait, and hear of it. */
static void tells_those_who_wait_that_it_goes_on(void **state)
{
    static uv_work_t busy[4];
    store(1, 1000);
    packing_run(&packing);
    run_until(all_packed);
    for (int i = 0; i < 4; i++)
        assert_int_equal(uv_queue_work(&loop, &busy[i], sleep_a_while, NULL), 0);
    beats = 0;
    unpacking.beat_ms = 20;
    assert_int_equal(expand("r1", 1), 0);
    assert_int_equal(expand("r2", 1), 0);
    run_until(has_beaten);
    assert_int_equal(expanded_count, 0);
    while (expanded_count < 2)
        (void)uv_run(&loop, UV_RUN_ONCE);
    assert_false(uv_is_active((uv_handle_t *)&unpacking.beat));
}

/* ---- packing --------------------------------------------------------------------------------- */

static void packs_the_newest_first_and_says_so_in_the_records(void **state)
{
    for (int n = 1; n <= 5; n++)
        store(n, 10000);
    packing_run(&packing);
    packing_run(&packing);
    assert_int_equal(done_count, 0);
    run_until(all_packed);
    assert_int_equal(done_count, 5);
    for (int n = 1; n <= 5; n++) {
        AUTORECORD struct record r;
        struct stat st;
        AUTOFREE char *path = file_of(n, ".cpuprofile.zst");
        assert_string_equal(done[5 - n].id, id_of(n));
        assert_true(done[5 - n].has_result);
        assert_false(there(n, ".cpuprofile"));
        assert_int_equal(stat(path, &st), 0);
        assert_int_equal(st.st_mode & 0777, 0600);
        read_back(n, &r);
        assert_true(record_packed(&r));
        assert_int_equal(r.bytes, 10000);
        assert_int_equal(r.stored_bytes, st.st_size);
        assert_int_equal(spool_find(&spool, id_of(n))->result_bytes, st.st_size);
        assert_true(st.st_size < 1000);
    }
    /* And that stays so. */
    close_all();
    open_all();
    assert_true(all_packed());
}

static void goes_on_with_the_others_when_one_cannot_be_packed(void **state)
{
    AUTOFREE char *blocker = file_of(2, ".cpuprofile.zst.tmp");
    for (int n = 1; n <= 3; n++)
        store(n, 10000);
    assert_int_equal(mkdir(blocker, 0700), 0);
    packing_run(&packing);
    run_until(is_stuck);
    assert_true(there(2, ".cpuprofile"));
    assert_true(there(1, ".cpuprofile.zst") && there(3, ".cpuprofile.zst"));
    assert_false(there(2, ".cpuprofile.zst"));
    assert_int_equal(rmdir(blocker), 0);
    /* It is tried again by itself. */
    run_until(all_packed);
    while (packing.busy || !there(2, ".cpuprofile.zst"))
        (void)uv_run(&loop, UV_RUN_ONCE);
    assert_int_equal(done_count, 3);
    assert_false(there(2, ".cpuprofile"));
}

static void keeps_a_result_whose_record_cannot_be_written(void **state)
{
    AUTOFREE char *blocker = file_of(1, ".json.tmp");
    AUTOFREE char *record = file_of(1, ".json");
    AUTOFREE char *aside = file_of(1, ".aside");
    store(1, 10000);
    /* Neither anew nor over the old one. */
    assert_int_equal(mkdir(blocker, 0700), 0);
    assert_int_equal(rename(record, aside), 0);
    assert_int_equal(symlink(aside, record), 0);
    packing_run(&packing);
    run_until(all_packed);
    assert_true(there(1, ".cpuprofile"));
    assert_false(there(1, ".cpuprofile.zst"));
    assert_false(spool_find(&spool, id_of(1))->packed);
    assert_int_equal(rmdir(blocker), 0);
}

static void says_that_a_result_is_missing(void **state)
{
    AUTOFREE char *path = file_of(1, ".cpuprofile");
    store(1, 100);
    store(2, 100);
    assert_int_equal(unlink(path), 0);
    packing_run(&packing);
    run_until(all_packed);
    while (amends.current)
        (void)uv_run(&loop, UV_RUN_ONCE);
    assert_int_equal(done_count, 2);
    AUTORECORD struct record r;
    read_back(1, &r);
    assert_string_equal(r.warnings.items[0], RECORD_RESULT_MISSING);
    assert_int_equal(spool_find(&spool, id_of(1))->result_bytes, RECORD_UNKNOWN);
}

static void packs_nothing_that_was_removed_meanwhile(void **state)
{
    store(1, 8 << 20);
    store(2, 100);
    spool.limit_bytes = 1000;
    spool.entries[1].packed = true; /* so that the first one is packed first */
    packing_run(&packing);
    assert_string_equal(packing.id, id_of(1));
    retain(NOW);
    assert_false(there(1, ".cpuprofile"));
    run_until(all_packed);
    assert_false(there(1, ".cpuprofile.zst"));
    assert_int_equal(done_count, 0);
    AUTORECORD struct record r;
    read_back(1, &r);
    assert_false(record_packed(&r));
    assert_string_equal(r.warnings.items[0], RECORD_RESULT_REMOVED);
}

static void forgets_a_capture_that_is_being_packed(void **state)
{
    store(1, 8 << 20);
    packing_run(&packing);
    spool.keep_ms = -1;
    retain(NOW + 100);
    assert_int_equal(spool.count, 0);
    run_until(all_packed);
    assert_false(there(1, ".cpuprofile") || there(1, ".cpuprofile.zst") || there(1, ".json"));
}

/* A minute of packing must not keep the next agent waiting. */
static void gives_up_at_once_when_it_is_closed(void **state)
{
    AUTOFREE char *path = file_of(1, ".cpuprofile");
    store(1, 100);
    /* Nothing but a hole, of LIMIT_RESULT bytes. */
    assert_int_equal(truncate(path, (off_t)LIMIT_RESULT), 0);
    packing_run(&packing);
    for (int i = 0; i < 500 && !there(1, ".cpuprofile.zst.tmp"); i++)
        (void)usleep(1000);
    uint64_t before = uv_hrtime();
    close_all();
    assert_true(uv_hrtime() - before < 2 * UINT64_C(1000000000));
    assert_true(there(1, ".cpuprofile"));
    assert_false(there(1, ".cpuprofile.zst") || there(1, ".cpuprofile.zst.tmp"));
    assert_int_equal(done_count, 0);
    /* The next one packs it: but not 8 GiB in a test. */
    assert_int_equal(truncate(path, 100), 0);
    open_all();
    packing_run(&packing);
    run_until(all_packed);
    assert_int_equal(done_count, 1);
}

/* ---- amending -------------------------------------------------------------------------------- */

static int results[4];
static unsigned result_count;

static void on_amended(void *arg, int result, const struct record *r)
{
    assert_in_range(result_count, 0, 3);
    results[result_count++] = result;
    assert_true((r != NULL) == (result == 0 || result == ERR_CANCELLED));
}

static bool set_bytes(struct record *r, void *arg)
{
    r->bytes = 4711;
    return arg != NULL;
}

static bool all_amended(void)
{
    return result_count == 3;
}

static void amends_one_record_after_the_other(void **state)
{
    AUTORECORD struct record r;
    result_count = 0;
    store(1, 100);
    amend_start(&amends, id_of(1), set_bytes, on_amended, &amends);
    amend_start(&amends, id_of(1), set_bytes, on_amended, NULL);
    amend_start(&amends, id_of(2), set_bytes, on_amended, &amends);
    /* What a thread is at is not removed. */
    spool.keep_ms = -1;
    retain(NOW + 100);
    assert_int_equal(spool.count, 1);
    run_until(all_amended);
    assert_int_equal(results[0], 0);
    assert_int_equal(results[1], ERR_CANCELLED);
    assert_int_equal(results[2], -ENOENT);
    read_back(1, &r);
    assert_int_equal(r.bytes, 4711);
    assert_int_equal(spool_find(&spool, id_of(1))->result_bytes, 4711);
    retain(NOW + 100);
    assert_int_equal(spool.count, 0);
}

static void begins_no_amendment_after_the_end(void **state)
{
    result_count = 0;
    store(1, 100);
    for (int i = 0; i < 3; i++)
        amend_start(&amends, id_of(1), set_bytes, on_amended, &amends);
    close_all();
    assert_int_equal(result_count, 3);
    assert_int_equal(results[0], 0);
    assert_int_equal(results[1], ERR_STOPPING);
    assert_int_equal(results[2], ERR_STOPPING);
}

/* ---- expanding ------------------------------------------------------------------------------- */

static void expands_into_a_file_that_has_no_name(void **state)
{
    int fds = 0;
    char text[64];
    store(1, 300000);
    packing_run(&packing);
    run_until(all_packed);
    fds = count_fds();
    assert_int_equal(expand("r1", 1), 0);
    assert_int_equal(expanded_count, 0);
    run_until(one_expanded);
    int fd = expanded[0].fd;
    assert_true(fd >= 0);
    assert_int_equal(fcntl(fd, F_GETFL) & O_ACCMODE, O_RDONLY);
    assert_true(fcntl(fd, F_GETFD) & FD_CLOEXEC);
    struct stat st;
    assert_int_equal(fstat(fd, &st), 0);
    assert_int_equal(st.st_size, 300000);
    assert_int_equal(st.st_nlink, 0);
    assert_int_equal(read(fd, text, 3), 3);
    assert_memory_equal(text, "bip", 3);
    assert_int_equal(count_fds(), fds + 1);
    /* It outlives what it was made from. */
    spool.keep_ms = -1;
    retain(NOW + 100);
    assert_int_equal(pread(fd, text, 3, 299997), 3);
}

static void expands_one_at_a_time_and_not_too_many(void **state)
{
    char name[16];
    store(1, 1000);
    packing_run(&packing);
    run_until(all_packed);
    for (int i = 0; i < 16; i++) {
        (void)snprintf(name, sizeof name, "r%d", i);
        assert_int_equal(expand(name, 1), 0);
    }
    assert_int_equal(expand("more", 1), ERR_BUSY);
    run_until(sixteen_expanded);
    for (int i = 0; i < 16; i++) {
        (void)snprintf(name, sizeof name, "r%d", i);
        assert_string_equal(expanded[i].request, name);
        assert_true(expanded[i].fd >= 0);
        /* Each has a place of its own in it. */
        assert_int_equal(lseek(expanded[i].fd, 0, SEEK_CUR), 0);
        assert_int_equal(lseek(expanded[i].fd, 10, SEEK_SET), 10);
    }
}

static void says_what_is_wrong_with_a_packed_result(void **state)
{
    AUTOFREE char *gone = file_of(1, ".cpuprofile.zst");
    AUTOFREE char *cut = file_of(2, ".cpuprofile.zst");
    AUTOFREE char *wrong = file_of(3, ".cpuprofile.zst");
    AUTOFREE char *other = file_of(4, ".cpuprofile.zst");
    struct stat st;
    for (int n = 1; n <= 4; n++)
        store(n, 100000);
    packing_run(&packing);
    run_until(all_packed);
    for (int n = 1; n <= 3; n++)
        assert_int_equal(expand("r", n), 0);
    assert_int_equal(unlink(gone), 0);
    assert_int_equal(truncate(cut, 20), 0);
    /* A good one, but another. */
    AUTOBUF struct buf bytes = BUF_INIT(1 << 20);
    assert_int_equal(path_read(other, &bytes), 0);
    assert_int_equal(stat(wrong, &st), 0);
    assert_int_equal(path_write_atomic(wrong, bytes.data, bytes.len, 0600), 0);
    while (expanded_count < 3)
        (void)uv_run(&loop, UV_RUN_ONCE);
    assert_true(expanded[0].fd == -ENOENT || expanded[0].fd >= 0); /* it was begun before */
    assert_int_equal(expanded[1].fd, ERR_MISMATCH);
    assert_int_equal(expanded[2].fd, ERR_MISMATCH);
}

static void expands_nothing_after_the_end(void **state)
{
    store(1, 1 << 20);
    packing_run(&packing);
    run_until(all_packed);
    int fds = count_fds();
    for (int i = 0; i < 3; i++)
        assert_int_equal(expand("r", 1), 0);
    close_all();
    assert_int_equal(expanded_count, 0);
    assert_true(count_fds() < fds);
}

int main(void)
{
#define TEST(name) cmocka_unit_test_setup_teardown(name, set_up, tear_down)
    const struct CMUnitTest tests[] = {
        TEST(packs_the_newest_first_and_says_so_in_the_records),
        TEST(tells_those_who_wait_that_it_goes_on),
        TEST(goes_on_with_the_others_when_one_cannot_be_packed),
        TEST(keeps_a_result_whose_record_cannot_be_written),
        TEST(says_that_a_result_is_missing),
        TEST(packs_nothing_that_was_removed_meanwhile),
        TEST(forgets_a_capture_that_is_being_packed),
        TEST(gives_up_at_once_when_it_is_closed),
        TEST(amends_one_record_after_the_other),
        TEST(begins_no_amendment_after_the_end),
        TEST(expands_into_a_file_that_has_no_name),
        TEST(expands_one_at_a_time_and_not_too_many),
        TEST(says_what_is_wrong_with_a_packed_result),
        TEST(expands_nothing_after_the_end),
    };
    return cmocka_run_group_tests(tests, NULL, NULL);
}
