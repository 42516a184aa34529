#include "supervisor/restart_rule.h"

#include "ecosystem/spec.h"

enum instance_event restart_rule(const struct app_spec *spec, struct restart_history *h,
                                 int64_t now_ms, bool stopping, bool again)
{
    if (stopping)
        return again ? EV_EXITED_AGAIN : EV_EXITED_DONE;
    if (!spec->autorestart)
        return EV_EXITED_DONE;
    int64_t window_ms = (int64_t)spec->min_uptime_ms * spec->max_restarts;
    bool quick = now_ms - h->started_ms < spec->min_uptime_ms && now_ms - h->created_ms < window_ms;
    if (quick)
        h->unstable++;
    if (quick && h->unstable >= (unsigned)spec->max_restarts)
        return EV_EXITED_ERROR;
    if (spec->max_restarts == 0)
        return EV_EXITED_ERROR;
    return spec->restart_delay_ms > 0 ? EV_EXITED_LATER : EV_EXITED_AGAIN;
}
