#include "supervisor/cli/away/patience.h"

enum patience_word patience_lost(struct patience *p, int64_t now_ms)
{
    if (!p->lost) {
        *p = (struct patience){.lost = true, .lost_ms = now_ms};
        return PATIENCE_TELL;
    }
    return now_ms - p->lost_ms >= PATIENCE_MS ? PATIENCE_OVER : PATIENCE_TRY;
}

bool patience_answered(struct patience *p)
{
    bool was_lost = p->lost;
    p->lost = false;
    return was_lost;
}
