#include "lib/keep/policy.h"

#include <signal.h>
#include <sys/wait.h>

#include "lib/keep/keep.h"

/* A death later than this is not what the state did to it. */
enum { EXIT_SOON_MS = 10000, BUG_SOON_MS = 60000, DELAY_MS = 10, DELAY_MAX_MS = 5000 };

static const struct {
    unsigned tries;
    enum stage next;
    bool other; /* the next stage is with the other program */
    uint32_t flags;
} stages[] = {
    [STAGE_NORMAL] = {3, STAGE_SAFE, false, 0},
    [STAGE_SAFE] = {2, STAGE_PREVIOUS, true, KEEP_SAFE},
    [STAGE_PREVIOUS] = {2, STAGE_SAFE, false, 0},
    [STAGE_UPGRADED] = {1, STAGE_PREVIOUS, true, KEEP_UPGRADED},
};

bool policy_is_crash(int status, bool up, int64_t up_ms)
{
    static const int bugs[] = {SIGSEGV, SIGABRT, SIGBUS, SIGILL, SIGFPE, SIGSYS, SIGTRAP};
    if (!up || WIFEXITED(status))
        return !up || up_ms < EXIT_SOON_MS;
    for (unsigned i = 0; i < sizeof bugs / sizeof *bugs; i++)
        if (WTERMSIG(status) == bugs[i])
            return up_ms < BUG_SOON_MS;
    return false;
}

int policy_ended(struct policy *p, bool crash, bool *ret_other)
{
    p->row = crash ? p->row + 1 : 0;
    p->tries = crash ? p->tries + 1 : 0;
    bool next = p->tries == stages[p->stage].tries;
    *ret_other = next && stages[p->stage].other;
    if (next)
        *p = (struct policy){.stage = stages[p->stage].next, .row = p->row};
    if (p->row < 2)
        return 0;
    return p->row > 10 ? DELAY_MAX_MS : DELAY_MS << (p->row - 2);
}

void policy_up(struct policy *p)
{
    p->stage = p->stage == STAGE_UPGRADED ? STAGE_NORMAL : p->stage;
}

uint32_t policy_flags(const struct policy *p)
{
    return stages[p->stage].flags;
}
