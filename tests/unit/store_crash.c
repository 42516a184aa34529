/* A process that writes all the time is killed at any moment: what it was told is on disk is there, and nothing is torn. */
#include "tests/unit/store_support.h"

#include <fcntl.h>
#include <signal.h>
#include <sys/random.h>
#include <time.h>

#include "remote/store/segments.h"
#include "remote/store/sql.h"
#include "remote/store/store.h"

enum { ROUNDS = 20, WIDTH = 8, MOST = 100000 };

/* What the writer tells us, one letter and a number each: 's' stored, 'd' about to be removed, 'r' removed. */
struct word {
    char what;
    unsigned number;
};

static size_t length_of(unsigned n)
{
    return n % 23 == 5 ? SEGMENT_OWN_BYTES + n % 100 : 200 + (n * 7919) % 60000;
}

/* ---- the writer ------------------------------------------------------------------------------ */

static uv_loop_t loop;
static struct store *store;
static int tell_fd;
static unsigned next_number;

static void tell(char what, unsigned number)
{
    struct word w = {.what = what, .number = number};
    if (write(tell_fd, &w, sizeof w) != sizeof w)
        _exit(3);
}

struct turn {
    unsigned number;
    unsigned old; /* to be removed; 0: none */
};

static int store_result(struct db *to, void *arg)
{
    unsigned n = ((struct turn *)arg)->number;
    return bring(to, n, n, length_of(n), 1);
}

static int remove_result(struct db *to, void *arg)
{
    char id[UUID_TEXT];
    nth_id(((struct turn *)arg)->old, id);
    int r = profiles_remove(to, id);
    return r == ERR_NOT_FOUND ? 0 : r;
}

static int mend_holes(struct db *to, void *arg)
{
    return retention_step(to, &(struct retention){0}, 0);
}

static void on_stored(void *arg, int result);
static void on_removed(void *arg, int result);

static void next_turn(struct turn *t)
{
    t->number = next_number++;
    store_write(store, store_result, on_stored, t);
}

static void on_stored(void *arg, int result)
{
    struct turn *t = arg;
    if (result < 0)
        _exit(4);
    tell('s', t->number);
    if (t->number % 3 == 0 || t->number < 30) {
        next_turn(t);
        return;
    }
    t->old = t->number - 20;
    tell('d', t->old);
    store_write(store, remove_result, on_removed, t);
}

static void on_removed(void *arg, int result)
{
    struct turn *t = arg;
    if (result < 0)
        _exit(5);
    tell('r', t->old);
    if (t->old % 10 == 0)
        store_write(store, mend_holes, NULL, NULL);
    next_turn(t);
}

static void write_for_ever(int fd, unsigned first)
{
    static struct turn turns[WIDTH];
    AUTOFREE char *dir = data_dir();
    tell_fd = fd;
    next_number = first;
    if (uv_loop_init(&loop) < 0 || store_open(&store, &loop, dir) < 0)
        _exit(2);
    for (int i = 0; i < WIDTH; i++)
        next_turn(&turns[i]);
    (void)uv_run(&loop, UV_RUN_DEFAULT);
    _exit(6);
}

/* ---- who looks ------------------------------------------------------------------------------- */

static char fate[MOST]; /* the last word about each */
static unsigned highest;

static void sleep_random_ms(unsigned most)
{
    unsigned random;
    assert_int_equal(getrandom(&random, sizeof random, 0), sizeof random);
    unsigned us = random % (most * 1000);
    (void)nanosleep(&(struct timespec){.tv_nsec = us * 1000L}, NULL);
}

static int listen_to(int fd)
{
    struct word w;
    int words = 0;
    for (; read(fd, &w, sizeof w) == sizeof w; words++) {
        assert_true(w.number < MOST);
        fate[w.number] = w.what;
        highest = w.number > highest ? w.number : highest;
    }
    return words;
}

static int write_and_kill(unsigned first, unsigned most_ms)
{
    int ends[2], status;
    assert_int_equal(pipe(ends), 0);
    assert_true(fcntl(ends[0], F_SETPIPE_SZ, 1 << 20) > 0);
    pid_t pid = fork();
    assert_true(pid >= 0);
    if (pid == 0) {
        (void)close(ends[0]);
        write_for_ever(ends[1], first);
    }
    (void)close(ends[1]);
    sleep_random_ms(most_ms);
    assert_int_equal(kill(pid, SIGKILL), 0);
    assert_int_equal(waitpid(pid, &status, 0), pid);
    assert_true(WIFSIGNALED(status));
    int words = listen_to(ends[0]);
    (void)close(ends[0]);
    return words;
}

static int64_t number(const char *sql)
{
    int64_t value = -1;
    assert_int_equal(sql_get_int(db, sql, NO_ARGS, &value), 1);
    return value;
}

/* All that rows speak of is there, whole; and there is nothing else. */
static void assert_whole(void)
{
    struct profile_list list;
    assert_int_equal(profiles_list(db, &(struct profile_filter){.limit = MOST}, &list), 0);
    for (size_t i = 0; i < list.count; i++) {
        unsigned n = (unsigned)strtoul(list.rows[i].id + 24, NULL, 16);
        highest = n > highest ? n : highest;
        if (!list.rows[i].removed)
            assert_profile(n, n, length_of(n));
    }
    profile_list_clear(&list);
    struct tally segments = tally_of("segments");
    assert_int_equal(segments.files, number("SELECT COUNT(*) FROM segments"));
    assert_int_equal(segments.bytes, number("SELECT COALESCE(SUM(bytes), 0) FROM segments"));
    assert_int_equal(number("SELECT COALESCE(SUM(live_bytes), 0) FROM segments"),
                     number("SELECT COALESCE(SUM(stored_bytes), 0) FROM blobs"
                            " WHERE segment IS NOT NULL"));
    assert_tally("incoming", 0, 0);
    assert_int_equal(number("SELECT COUNT(*) FROM captures"),
                     number("SELECT COUNT(*) FROM profiles"));
}

static void assert_told(void)
{
    char id[UUID_TEXT];
    struct profile_row row;
    for (unsigned n = 1; n <= highest; n++) {
        nth_id(n, id);
        if (fate[n] == 's' || fate[n] == 'r') {
            assert_int_equal(profiles_get(db, id, &row), 0);
            assert_int_equal(row.removed, fate[n] == 'r');
        }
    }
}

static void what_was_acknowledged_survives_a_kill_at_any_moment(void **state)
{
    int words = 0;
    close_db();
    int rounds = 0;
    /* A slow machine says little before it is killed: more rounds then, and more time. */
    unsigned most_ms = 120;
    for (; rounds < ROUNDS || (words <= ROUNDS && rounds < 10 * ROUNDS); rounds++) {
        int said = write_and_kill(highest + 1, most_ms);
        most_ms += said == 0 ? 60 : 0;
        words += said;
        open_db();
        assert_whole();
        assert_told();
        close_db();
    }
    assert_true(words > ROUNDS);
    print_message("%d words of %u results in %d rounds\n", words, highest, rounds);
    assert_no_child();
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test_setup_teardown(what_was_acknowledged_survives_a_kill_at_any_moment,
                                        make_db, remove_db),
    };
    return cmocka_run_group_tests(tests, NULL, NULL);
}
