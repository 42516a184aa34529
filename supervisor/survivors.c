#include "supervisor/survivors.h"

#include <signal.h>
#include <stdlib.h>
#include <unistd.h>

#include "lib/base/log.h"
#include "lib/base/mem.h"
#include "lib/base/procfs.h"
#include "lib/base/str.h"
#include "supervisor/app.h"
#include "supervisor/instance.h"
#include "supervisor/process.h"
#include "supervisor/slots.h"
#include "supervisor/supervisor.h"

enum {
    STOP_MS = 1600, /* as a stop's default kill_timeout */
    KILL_MS = 1000, /* a large one needs some time to go, and has its ports until then */
    STEP_MS = 10,
};

struct survivors {
    struct supervisor *sup;
    int sig; /* what each one gets; 0: it is only counted */
    size_t count;
    struct found {
        pid_t pid;
        uint64_t start_ticks;
    } * found; /* in /proc */
    size_t found_count;
};

/* ---- in the slots ---------------------------------------------------------------------------- */

/* Has it an instance that goes on with it? */
static bool is_claimed(struct supervisor *sup, const struct slot *slot)
{
    struct app *app;
    struct instance *in;
    LIST_EACH(app, &sup->apps)
    LIST_EACH(in, &app->instances)
    if (in->slot == slot)
        return true;
    return false;
}

static void say_stopped(const char *app, const char *instance, pid_t pid)
{
    log_warn(0, "%s-%s: pid %d still runs from before and is stopped", app, instance, (int)pid);
}

static void on_survivor(void *arg, const struct slot *slot)
{
    struct survivors *s = arg;
    char number[16];
    if (is_claimed(s->sup, slot))
        return;
    s->count++;
    (void)snprintf(number, sizeof number, "%u", slot->instance);
    if (s->sig == SIGINT)
        say_stopped(slot->app, number, slot->pid);
    if (s->sig)
        (void)process_group_signal(slot->pid, s->sig);
}

static void forget_unclaimed(void *arg, struct slot *slot)
{
    if (!is_claimed(arg, slot))
        slots_release(slot);
}

/* ---- in /proc -------------------------------------------------------------------------------- */

/* `proctor start` in an app's shell hands the app's environment down to our own programs. */
static bool is_ours(pid_t pid)
{
    char name[64];
    procfs_program(pid, name, sizeof name);
    return str_starts(name, "proctor");
}

static bool looks_like_an_app(void *arg, pid_t pid, const struct proc_stat *st)
{
    struct survivors *s = arg;
    AUTOSTRLIST struct strlist env = {0};
    if (st->pgrp != pid || st->state == 'Z' || is_ours(pid) || procfs_environment(pid, &env) < 0)
        return false;
    const char *app = env_get(&env, "PROCTOR_APP"), *number = env_get(&env, "PROCTOR_INSTANCE");
    if (!app || !number || !str_eq(env_get(&env, "PROCTOR_HOME"), s->sup->home))
        return false;
    s->found = xreallocarray(s->found, s->found_count + 1, sizeof *s->found);
    s->found[s->found_count++] = (struct found){.pid = pid, .start_ticks = st->start_ticks};
    say_stopped(app, number, pid);
    return false;
}

static void each_found(struct survivors *s)
{
    struct proc_stat st;
    for (size_t i = 0; i < s->found_count; i++) {
        const struct found *f = &s->found[i];
        if (procfs_stat(f->pid, &st) < 0 || st.start_ticks != f->start_ticks || st.state == 'Z')
            continue;
        s->count++;
        if (s->sig)
            (void)process_group_signal(f->pid, s->sig);
    }
}

/* ---- all ------------------------------------------------------------------------------------- */

static size_t signal_all(struct survivors *s, int sig)
{
    s->sig = sig;
    s->count = 0;
    (void)slots_survivors(&s->sup->slots, on_survivor, s);
    each_found(s);
    return s->count;
}

/* How many are left of `count`. */
static size_t wait_gone(struct survivors *s, size_t count, int wait_ms)
{
    for (int ms = 0; ms < wait_ms && count > 0; ms += STEP_MS) {
        (void)usleep(STEP_MS * 1000);
        count = signal_all(s, 0);
    }
    return count;
}

void survivors_stop(struct supervisor *sup)
{
    struct survivors s = {.sup = sup};
    if (sup->slots.fresh)
        (void)procfs_find(looks_like_an_app, &s);
    size_t count = signal_all(&s, SIGINT);
    count = wait_gone(&s, count, STOP_MS);
    if (count > 0)
        (void)wait_gone(&s, signal_all(&s, SIGKILL), KILL_MS);
    free(s.found);
    slots_each(&sup->slots, forget_unclaimed, sup);
}
