#include "supervisor/launch.h"

#include <errno.h>
#include <string.h>

#include "ecosystem/spec.h"
#include "lib/base/auto.h"
#include "lib/base/err.h"
#include "lib/base/log.h"
#include "lib/base/loop.h"
#include "lib/base/mem.h"
#include "lib/base/path.h"
#include "lib/base/spawn.h"
#include "supervisor/app.h"
#include "supervisor/instance.h"
#include "supervisor/instance_keep.h"
#include "supervisor/ipc.h"
#include "supervisor/logs.h"
#include "supervisor/slots.h"
#include "supervisor/supervisor.h"

/* What is left of the shell's environment with "env_inherit": false. */
static const char *const small_base[] = {"PATH",  "HOME", "USER", "LOGNAME",
                                         "SHELL", "LANG", "TZ",   "TMPDIR"};

void launch_command(const struct instance *in, struct strlist *argv)
{
    const struct app_spec *spec = &in->app->spec;
    if (!str_eq(spec->interpreter, "none")) {
        strlist_add(argv, spec->interpreter);
        strlist_copy(argv, &spec->node_args);
    }
    strlist_add(argv, spec->script);
    strlist_copy(argv, &spec->args);
}

static void base_environment(const struct app *app, struct strlist *env)
{
    if (app->spec.env_inherit) {
        strlist_copy(env, &app->shell_env);
        return;
    }
    for (size_t i = 0; i < ARRAY_SIZE(small_base); i++) {
        const char *value = env_get(&app->shell_env, small_base[i]);
        if (value)
            env_set(env, small_base[i], value);
    }
}

void launch_environment(const struct instance *in, struct strlist *env,
                        enum inspector_flags *ret_flags, bool *ret_user_opens)
{
    const struct app *app = in->app;
    char number[16];
    (void)snprintf(number, sizeof number, "%u", in->number);
    base_environment(app, env);
    if (str_starts(path_base(app->spec.interpreter), "python"))
        env_set(env, "PYTHONUNBUFFERED", "1");
    for (size_t i = 0; i < app->spec.env.count; i++) {
        const char *entry = app->spec.env.items[i];
        AUTOFREE char *name = xstrndup(entry, strcspn(entry, "="));
        env_set(env, name, entry + strlen(name) + 1);
    }
    env_set(env, "NODE_APP_INSTANCE", number);
    env_set(env, "PROCTOR_HOME", app->sup->home);
    env_set(env, "PROCTOR_APP", app->spec.name);
    env_set(env, "PROCTOR_INSTANCE", number);
    *ret_flags = node_flags_apply(&in->runtime, &app->spec, env, ret_user_opens);
}

static int spawn_it(struct instance *in, char *const *argv, char *const *envp, int ipc_fd,
                    char **reterr_text)
{
    const struct app_spec *spec = &in->app->spec;
    pid_t pid;
    int pidfd;
    enum spawn_step step;
    const struct spawn s = {
        .file = argv[0],
        .argv = argv,
        .envp = envp,
        .cwd = spec->cwd,
        .fds = {-1, in->out.pipe_write, in->err.pipe_write, ipc_fd},
        .fd_count = ipc_fd < 0 ? 3 : 4,
        .new_session = true,
        .nofile_soft = spawn_raise_nofile(),
        .pid_slot = &in->slot->pid,
    };
    /* It names the process together with the pid, which the child writes at once. */
    in->slot->start_ticks = 0;
    int r = spawn_start(&s, &pid, &pidfd, &step);
    if (r < 0) {
        const char *what = step == SPAWN_CWD ? spec->cwd : argv[0];
        *reterr_text = xasprintf("%s: %s: %s", what, spawn_step_text(step), err_str(r));
        return r;
    }
    in->process = process_watch(&in->sup->loop, pid, pidfd, in->slot, instance_process_exited, in);
    in->pgid = pid;
    instance_commit(in);
    /* Without it the next supervisor finds the process by its number and start time. */
    (void)keep_store(&in->sup->keep, pidfd, "i%d.pid", in->pm_id);
    return 0;
}

int launch_process(struct instance *in, char **reterr_text)
{
    AUTOSTRLIST struct strlist argv = {0};
    AUTOSTRLIST struct strlist env = {0};
    if (!in->slot)
        in->slot = slots_take(&in->sup->slots, in->app->spec.name, in->number, (unsigned)in->pm_id);
    if (!in->slot) {
        *reterr_text = xasprintf("more than %u instances on this host", LIMIT_INSTANCES);
        return ERR_TOO_BIG;
    }
    int r = logs_open(in);
    if (r < 0) {
        *reterr_text =
            xasprintf("cannot open the log files in %s/logs: %s", in->sup->home, err_str(r));
        return r;
    }
    launch_command(in, &argv);
    launch_environment(in, &env, &in->flags, &in->user_opens);
    in->err_from = in->err.offset;
    inspector_process_started(&in->inspector, in->user_opens);
    AUTOCLOSE int ipc_fd = -1;
    r = ipc_open(in, &ipc_fd);
    if (r < 0) {
        *reterr_text = xasprintf("cannot make an IPC channel: %s", err_str(r));
        return r;
    }
    ipc_environment(in, &env);
    in->pgid = 0;
    instance_commit(in);
    r = spawn_it(in, argv.items, env.items, ipc_fd, reterr_text);
    if (r < 0)
        ipc_close(in);
    return r;
}
