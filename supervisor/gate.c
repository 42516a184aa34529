#include "supervisor/gate.h"

#include <stdio.h>

#include "ecosystem/spec.h"
#include "lib/base/err.h"
#include "lib/base/str.h"
#include "supervisor/app.h"
#include "supervisor/instance.h"
#include "supervisor/launch.h"
#include "supervisor/node_flags.h"
#include "supervisor/policy.h"
#include "supervisor/supervisor.h"

/* Of no other version does the environment count, and putting one together is dear. */
static const char *refusal_of_version(const struct instance *in, int *ret_error)
{
    AUTOSTRLIST struct strlist env = {0};
    enum inspector_flags next_flags; /* what the next start would get; the process has in->flags */
    bool next_opens;
    if (in->runtime.major == 8)
        launch_environment(in, &env, &next_flags, &next_opens);
    return node_flags_refusal(&in->runtime, &in->app->spec, &env, ret_error);
}

/* Why this process cannot be profiled; NULL when it can. */
static const char *refusal(const struct instance *in, int *ret_error)
{
    const char *text = refusal_of_version(in, ret_error);
    if (text)
        return text;
    *ret_error = ERR_UNSUPPORTED;
    if (in->flags == FLAGS_USERS && !in->user_opens)
        return "its own options name an inspector port (--inspect-port, --debug-port), so a "
               "signal would open that one, perhaps for everybody; take them out and reload the "
               "app";
    if (in->flags == FLAGS_NONE)
        return "the process was started without the options that make profiling safe; reload the "
               "app";
    return NULL;
}

int gate_check(const struct instance *in, const struct policy_ask *ask, char *reterr_text,
               size_t size)
{
    int error;
    struct policy_ask whole = *ask;
    whole.app = in->app->spec.name;
    whole.node_major = in->runtime.major;
    int r = policy_check(&in->sup->policy, &whole, reterr_text, size);
    if (r < 0)
        return r;
    if (!in->process || in->state == INSTANCE_STOPPING) {
        (void)snprintf(reterr_text, size, "%s is %s", instance_name(in),
                       instance_state_word(in->state));
        return ERR_NOT_RUNNING;
    }
    const char *text = refusal(in, &error);
    if (!text)
        return 0;
    (void)snprintf(reterr_text, size, "%s: %s", instance_name(in), text);
    return error;
}
