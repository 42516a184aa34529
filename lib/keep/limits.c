#include "lib/keep/limits.h"

#include <fcntl.h>
#include <string.h>
#include <unistd.h>

#define OOM_FILE "/proc/self/oom_score_adj"

void keep_limits_remember(struct keep_limits *l)
{
    (void)memset(l, 0, sizeof *l);
    (void)getrlimit(RLIMIT_NOFILE, &l->nofile);
    int fd = open(OOM_FILE, O_RDONLY | O_CLOEXEC);
    if (fd < 0)
        return;
    if (read(fd, l->oom_score_adj, sizeof l->oom_score_adj - 1) < 0)
        l->oom_score_adj[0] = '\0';
    (void)close(fd);
}

static void write_oom(const char *text)
{
    int fd = open(OOM_FILE, O_WRONLY | O_CLOEXEC);
    if (fd < 0)
        return;
    /* Only root may lower it. */
    (void)!write(fd, text, strlen(text));
    (void)close(fd);
}

void keep_limits_set(const struct keep_limits *l, bool ours)
{
    struct rlimit nofile = l->nofile;
    nofile.rlim_cur = ours ? nofile.rlim_max : nofile.rlim_cur;
    (void)setrlimit(RLIMIT_NOFILE, &nofile);
    write_oom(ours ? "-1000" : l->oom_score_adj);
}
