#include "remote/analyze/sandbox.h"

#include "tests/unit/support.h"

#include <fcntl.h>
#include <linux/filter.h>
#include <linux/seccomp.h>
#include <signal.h>
#include <stddef.h>
#include <sys/mman.h>
#include <sys/prctl.h>
#include <sys/socket.h>
#include <sys/syscall.h>

#if defined(__SANITIZE_ADDRESS__)
#define SANITIZED 1
#elif defined(__has_feature)
#if __has_feature(address_sanitizer)
#define SANITIZED 1
#endif
#endif
#ifndef SANITIZED
#define SANITIZED 0
#endif

enum { OWN_ERROR = 99 };

#define MEMORY (512ull << 20)

/* Runs `work` in a sandbox of its own process; how that ended, as waitpid() says it. */
static int run_inside(int (*work)(void), unsigned cpu_seconds)
{
    int status = 0;
    pid_t pid = fork();
    assert_true(pid >= 0);
    if (pid == 0) {
        if (sandbox_enter(MEMORY, cpu_seconds) < 0)
            _exit(OWN_ERROR);
        _exit(work());
    }
    assert_int_equal(waitpid(pid, &status, 0), pid);
    assert_no_child();
    return status;
}

static void needs_the_kernel(void)
{
    if (SANITIZED)
        skip();
}

/* ---- forbidden calls ------------------------------------------------------------------------- */

static int opens(void)
{
    return open("/dev/null", O_RDONLY | O_CLOEXEC) < 0;
}

static int makes_a_socket(void)
{
    return socket(AF_INET, SOCK_STREAM | SOCK_CLOEXEC, 0) < 0;
}

static int makes_a_file_in_memory(void)
{
    return memfd_create("x", MFD_CLOEXEC) < 0;
}

static int forks(void)
{
    return fork() < 0;
}

static int runs_a_program(void)
{
    return execl("/bin/true", "true", NULL);
}

static int kills(void)
{
    return kill(getppid(), 0);
}

static void a_forbidden_call_ends_the_process(void **state)
{
    static int (*const calls[])(void) = {opens, makes_a_socket, makes_a_file_in_memory,
                                         forks, runs_a_program, kills};
    needs_the_kernel();
    for (size_t i = 0; i < ARRAY_SIZE(calls); i++) {
        int status = run_inside(calls[i], 10);
        assert_true(WIFSIGNALED(status));
        assert_int_equal(WTERMSIG(status), SIGSYS);
    }
}

/* ---- what is left ---------------------------------------------------------------------------- */

static int compare(const void *a, const void *b)
{
    return *(const char *)a - *(const char *)b;
}

/* Sorting is not as innocent as it looks: see the filter. */
static int works(void)
{
    AUTOBUF struct buf b = BUF_INIT(64 << 20);
    char *space;
    bool good = buf_reserve(&b, 32 << 20, &space) == 0;
    for (size_t i = 0; good && i < 32 << 20; i += 4096)
        space[i] = (char)i;
    if (good)
        qsort(space, 100000, 1, compare);
    return good && write(STDOUT_FILENO, "", 0) == 0 ? 0 : 1;
}

static void memory_and_what_is_open_can_be_used(void **state)
{
    int status = run_inside(works, 10);
    assert_true(WIFEXITED(status));
    assert_int_equal(WEXITSTATUS(status), 0);
}

static int takes_too_much(void)
{
    void *p = mmap(NULL, MEMORY, PROT_READ | PROT_WRITE, MAP_PRIVATE | MAP_ANONYMOUS, -1, 0);
    return p == MAP_FAILED && errno == ENOMEM ? 0 : 1;
}

static void memory_past_the_limit_is_not_given(void **state)
{
    needs_the_kernel();
    int status = run_inside(takes_too_much, 10);
    assert_true(WIFEXITED(status));
    assert_int_equal(WEXITSTATUS(status), 0);
}

static int spins(void)
{
    for (volatile bool on = true; on;)
        continue;
    return 0;
}

static void the_cpu_time_ends_with_its_own_signal(void **state)
{
    int status = run_inside(spins, 1);
    assert_true(WIFSIGNALED(status));
    assert_int_equal(WTERMSIG(status), SIGXCPU);
}

/* ---- a kernel without seccomp ---------------------------------------------------------------- */

/* One that knows no filters says EINVAL. */
static int forbid_filters(void)
{
    struct sock_filter program[] = {
        BPF_STMT(BPF_LD | BPF_W | BPF_ABS, offsetof(struct seccomp_data, nr)),
        BPF_JUMP(BPF_JMP | BPF_JEQ | BPF_K, __NR_prctl, 0, 3),
        BPF_STMT(BPF_LD | BPF_W | BPF_ABS, offsetof(struct seccomp_data, args[0])),
        BPF_JUMP(BPF_JMP | BPF_JEQ | BPF_K, PR_SET_SECCOMP, 0, 1),
        BPF_STMT(BPF_RET | BPF_K, SECCOMP_RET_ERRNO | EINVAL),
        BPF_STMT(BPF_RET | BPF_K, SECCOMP_RET_ALLOW),
    };
    const struct sock_fprog filter = {.len = ARRAY_SIZE(program), .filter = program};
    if (prctl(PR_SET_NO_NEW_PRIVS, 1, 0, 0, 0) < 0)
        return -1;
    return prctl(PR_SET_SECCOMP, SECCOMP_MODE_FILTER, &filter);
}

static void a_kernel_without_seccomp_is_told(void **state)
{
    int status = 0;
    needs_the_kernel();
    pid_t pid = fork();
    assert_true(pid >= 0);
    if (pid == 0)
        _exit(forbid_filters() < 0 ? OWN_ERROR : sandbox_enter(MEMORY, 10));
    assert_int_equal(waitpid(pid, &status, 0), pid);
    assert_true(WIFEXITED(status));
    assert_int_equal(WEXITSTATUS(status), SANDBOX_NO_SECCOMP);
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(a_forbidden_call_ends_the_process),
        cmocka_unit_test(memory_and_what_is_open_can_be_used),
        cmocka_unit_test(memory_past_the_limit_is_not_given),
        cmocka_unit_test(the_cpu_time_ends_with_its_own_signal),
        cmocka_unit_test(a_kernel_without_seccomp_is_told),
    };
    return cmocka_run_group_tests(tests, NULL, NULL);
}
