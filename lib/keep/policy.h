/* policy.h -- what follows when the supervisor has ended: a pure table.  What a supervisor adopts is the same each time, so one
 * that crashes by it crashes again.  Then it starts in safe mode, then as the previous program, then in safe mode, and so on. */
#pragma once

#include <stdbool.h>
#include <stdint.h>

enum stage { STAGE_NORMAL, STAGE_SAFE, STAGE_PREVIOUS, STAGE_UPGRADED };

struct policy {
    enum stage stage;
    unsigned tries; /* crashes one after another, in this stage … */
    unsigned row;   /* … and in all */
};

bool policy_is_crash(int status, bool up, int64_t up_ms); /* waitpid's status; up since then */
/* The supervisor has ended.  The delay until the next start; `*ret_other`: with the other program. */
int policy_ended(struct policy *p, bool crash, bool *ret_other);
void policy_up(struct policy *p);
uint32_t policy_flags(const struct policy *p); /* of SYNCED */
