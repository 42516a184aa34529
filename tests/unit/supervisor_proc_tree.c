#include "supervisor/proc_tree.h"

#include "tests/unit/support.h"

#include <signal.h>
#include <sys/prctl.h>

enum { FAMILY_MAX = 8 };

/* What the children tell of themselves. */
static int told[2];
static pid_t stranger;
static unsigned asked;

static void tell_and_wait(void)
{
    pid_t pid = getpid();
    (void)!write(told[1], &pid, sizeof pid);
    for (;;)
        (void)pause();
}

static pid_t hear(void)
{
    pid_t pid = 0;
    assert_int_equal(read(told[0], &pid, sizeof pid), sizeof pid);
    return pid;
}

/* A session with a child, and a grandchild that makes itself a session of its own. */
static pid_t start_family(void)
{
    pid_t root = fork();
    if (root == 0) {
        (void)setsid();
        if (fork() == 0)
            tell_and_wait();
        if (fork() == 0) {
            if (fork() == 0) {
                (void)setsid();
                tell_and_wait();
            }
            tell_and_wait();
        }
        tell_and_wait();
    }
    return root;
}

static void end_all(const pid_t *pids, size_t count)
{
    for (size_t i = 0; i < count; i++)
        (void)kill(pids[i], SIGKILL);
    while (waitpid(-1, NULL, 0) > 0)
        continue;
}

static int set_up(void **state)
{
    /* Orphans become ours, as they become the keeper's. */
    (void)prctl(PR_SET_CHILD_SUBREAPER, 1);
    asked = 0;
    return pipe(told);
}

static int tear_down(void **state)
{
    (void)close(told[0]);
    return close(told[1]);
}

static void counts_the_family_and_nobody_else(void **state)
{
    struct proc_tree t = {0};
    pid_t pids[FAMILY_MAX] = {0};
    struct proc_tree_root roots[2] = {{.pid = start_family()}, {.pid = start_family()}};
    for (int i = 0; i < FAMILY_MAX; i++)
        pids[i] = hear();
    for (int look = 0; look < 3; look++) {
        proc_tree_look(&t, roots, 2);
        assert_int_equal(roots[0].processes, 3);
        assert_int_equal(roots[1].processes, 3);
        assert_true(roots[0].rss_bytes > 0);
        assert_int_equal(t.member_count, 6);
        assert_true(t.stranger_count > 0);
    }
    end_all(pids, FAMILY_MAX);
    proc_tree_look(&t, roots, 2);
    assert_int_equal(roots[0].processes + roots[1].processes, 0);
    assert_int_equal(roots[0].rss_bytes, 0);
    proc_tree_clear(&t);
}

static pid_t whose(void *arg, pid_t pid)
{
    asked += pid == stranger;
    return pid == stranger ? *(pid_t *)arg : 0;
}

static void an_orphan_stays_in_its_family(void **state)
{
    struct proc_tree seen = {0}, fresh = {0};
    pid_t pids[4], middle = 0;
    struct proc_tree_root root = {.pid = start_family()};
    for (int i = 0; i < 4; i++) {
        pids[i] = hear();
        /* The one in a session of its own, whose parent is not the root. */
        if (pids[i] != root.pid && getsid(pids[i]) == pids[i])
            stranger = pids[i];
    }
    proc_tree_look(&seen, &root, 1);
    assert_int_equal(root.processes, 3);
    for (int i = 0; i < 4; i++)
        if (pids[i] != root.pid && pids[i] != stranger) {
            middle = pids[i];
            (void)kill(middle, SIGKILL);
        }
    /* Its father's end makes it ours. */
    for (int i = 0; i < 5000 && root.processes != 1; i++) {
        (void)usleep(1000);
        proc_tree_look(&seen, &root, 1);
    }
    assert_int_equal(root.processes, 1);
    /* One who looks for the first time asks, once. */
    proc_tree_look(&fresh, &root, 1);
    assert_int_equal(root.processes, 0);
    proc_tree_clear(&fresh);
    fresh = (struct proc_tree){.reaper = getpid(), .whose = whose, .arg = &root.pid};
    for (int look = 0; look < 3; look++) {
        proc_tree_look(&fresh, &root, 1);
        assert_int_equal(root.processes, 1);
    }
    assert_int_equal(asked, 1);
    proc_tree_clear(&fresh);
    proc_tree_clear(&seen);
    end_all(pids, 4);
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test_setup_teardown(counts_the_family_and_nobody_else, set_up, tear_down),
        cmocka_unit_test_setup_teardown(an_orphan_stays_in_its_family, set_up, tear_down),
    };
    return cmocka_run_group_tests(tests, NULL, NULL);
}
