#include "remote/analyze/sandbox.h"

#include <errno.h>
#include <linux/audit.h>
#include <linux/filter.h>
#include <linux/seccomp.h>
#include <stddef.h>
#include <sys/prctl.h>
#include <sys/resource.h>
#include <sys/syscall.h>

#include "lib/base/auto.h"

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

#if defined(__x86_64__)
#define OUR_ARCH AUDIT_ARCH_X86_64
#elif defined(__aarch64__)
#define OUR_ARCH AUDIT_ARCH_AARCH64
#else
#error "proctor runs on x86-64 and arm64"
#endif

static int limit(int what, uint64_t value, uint64_t most)
{
    const struct rlimit l = {.rlim_cur = value, .rlim_max = most};
    return setrlimit(what, &l) < 0 ? -errno : 0;
}

#define ALLOW(name)                                                                                \
    BPF_JUMP(BPF_JMP | BPF_JEQ | BPF_K, __NR_##name, 0, 1),                                        \
        BPF_STMT(BPF_RET | BPF_K, SECCOMP_RET_ALLOW)

/* glibc's malloc, stdio and qsort (which asks sysinfo how much memory there is), and what the analysis itself does. */
static struct sock_filter filter[] = {
    BPF_STMT(BPF_LD | BPF_W | BPF_ABS, offsetof(struct seccomp_data, arch)),
    BPF_JUMP(BPF_JMP | BPF_JEQ | BPF_K, OUR_ARCH, 1, 0),
    BPF_STMT(BPF_RET | BPF_K, SECCOMP_RET_KILL_PROCESS),
    BPF_STMT(BPF_LD | BPF_W | BPF_ABS, offsetof(struct seccomp_data, nr)),
    ALLOW(read),
    ALLOW(pread64),
    ALLOW(write),
    ALLOW(lseek),
    ALLOW(fstat),
    ALLOW(newfstatat),
    ALLOW(close),
    ALLOW(mmap),
    ALLOW(mremap),
    ALLOW(munmap),
    ALLOW(mprotect),
    ALLOW(madvise),
    ALLOW(brk),
    ALLOW(futex),
    ALLOW(getrandom),
    ALLOW(sysinfo),
    ALLOW(clock_gettime),
    ALLOW(rt_sigreturn),
    ALLOW(exit),
    ALLOW(exit_group),
    BPF_STMT(BPF_RET | BPF_K, SECCOMP_RET_KILL_PROCESS),
};

static int limit_calls(void)
{
    const struct sock_fprog program = {.len = ARRAY_SIZE(filter), .filter = filter};
    if (prctl(PR_SET_NO_NEW_PRIVS, 1, 0, 0, 0) < 0)
        return -errno;
    if (prctl(PR_SET_SECCOMP, SECCOMP_MODE_FILTER, &program) < 0)
        return errno == EINVAL ? SANDBOX_NO_SECCOMP : -errno;
    return 0;
}

int sandbox_enter(uint64_t memory_bytes, unsigned cpu_seconds)
{
    /* SIGXCPU comes at the first limit, unless it is the second one too: that kills. */
    int r = limit(RLIMIT_CPU, cpu_seconds, cpu_seconds + 1);
    if (r < 0 || SANITIZED)
        return r;
    (void)prctl(PR_SET_DUMPABLE, 0, 0, 0, 0);
    r = limit(RLIMIT_AS, memory_bytes, memory_bytes);
    if (r == 0)
        r = limit(RLIMIT_CORE, 0, 0);
    return r < 0 ? r : limit_calls();
}
