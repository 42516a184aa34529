#include "supervisor/capture_target.h"

#include <stdio.h>

#include "lib/base/auto.h"
#include "lib/base/err.h"
#include "lib/base/json.h"
#include "lib/base/procfs.h"
#include "supervisor/app.h"
#include "supervisor/captures.h"
#include "supervisor/gate.h"
#include "supervisor/inspector.h"
#include "supervisor/instance.h"
#include "supervisor/policy.h"
#include "supervisor/safe_mode.h"
#include "supervisor/supervisor.h"

static int check_stderr(const struct instance *in, pid_t pid, char *text, size_t size)
{
    if (!inspector_reads_stderr_of(&in->inspector, pid)) {
        (void)snprintf(
            text, size,
            "process %d of %s does not write its stderr to us, where its inspector would tell its "
            "address; no signal was sent",
            (int)pid, instance_name(in));
        return ERR_UNSUPPORTED;
    }
    pid_t worker = inspector_silent_worker(&in->inspector, pid);
    if (worker > 0) {
        (void)snprintf(
            text, size,
            "%s has a cluster worker (process %d) whose stderr does not come to us (\"silent\"): "
            "Node "
            "would open its inspector too, and we could not close it; no signal was sent",
            instance_name(in), (int)worker);
        return ERR_UNSUPPORTED;
    }
    return 0;
}

/* The process to look into: the instance's own, or a child of it that runs the same program. */
static int choose_pid(const struct instance *in, const json_t *params, pid_t *ret_pid, char *text,
                      size_t size)
{
    pid_t own = instance_pid(in);
    pid_t pid = (pid_t)json_get_int(params, "pid", own);
    *ret_pid = pid;
    if (pid == own)
        return check_stderr(in, pid, text, size);
    if (!procfs_descends(pid, own))
        (void)snprintf(text, size, "process %d is not a child of %s", (int)pid, instance_name(in));
    else if (!procfs_same_program(pid, own))
        (void)snprintf(text, size, "process %d does not run the same Node.js program as %s",
                       (int)pid, instance_name(in));
    else
        return check_stderr(in, pid, text, size);
    return ERR_NOT_FOUND;
}

static int check_instance(struct instance *in, const json_t *params, bool local, char *text,
                          size_t size)
{
    const char *role = local ? NULL : json_get_string(params, "role", NULL);
    const struct policy_ask ask = {.kind = json_get_string(params, "kind", ""),
                                   .duration_ms = json_get_int(params, "duration_ms", 0),
                                   .away = !local,
                                   .role = role};
    policy_refresh(&in->sup->policy);
    int r = gate_check(in, &ask, text, size);
    if (r < 0)
        return r;
    if (in->capture) {
        (void)snprintf(text, size, "%s is being captured already (%s)", instance_name(in),
                       captures_id(in->capture));
        return ERR_BUSY;
    }
    return 0;
}

int capture_target_find(struct supervisor *sup, const json_t *params, bool local,
                        struct instance **ret_instance, pid_t *ret_pid, char *reterr_text,
                        size_t size)
{
    if (sup->safe) {
        AUTOFREE char *why = safe_mode_explain(sup);
        (void)snprintf(reterr_text, size, "%s", why);
        return ERR_SAFE_MODE;
    }
    const char *name = json_get_string(params, "app", "");
    unsigned number = (unsigned)json_get_int(params, "instance", 0);
    if (!local && !json_object_get(params, "role")) {
        (void)snprintf(reterr_text, size,
                       "the policy of this host wants a role for a capture that nobody on this "
                       "host has asked for");
        return ERR_POLICY;
    }
    struct app *app = supervisor_app(sup, name);
    struct instance *in = app ? app_instance(app, number) : NULL;
    if (!in) {
        (void)snprintf(reterr_text, size, app ? "%s has no instance %u" : "there is no app %s",
                       name, number);
        return ERR_NOT_FOUND;
    }
    int r = check_instance(in, params, local, reterr_text, size);
    if (r == 0)
        r = choose_pid(in, params, ret_pid, reterr_text, size);
    if (r == 0)
        *ret_instance = in;
    return r;
}
