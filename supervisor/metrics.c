#include "supervisor/metrics.h"

#include <errno.h>
#include <fcntl.h>
#include <sys/mman.h>
#include <unistd.h>

#include "lib/base/auto.h"
#include "lib/base/limits.h"
#include "lib/base/log.h"
#include "lib/base/mem.h"
#include "lib/base/procfs.h"
#include "lib/base/str.h"
#include "supervisor/app.h"
#include "supervisor/instance.h"
#include "supervisor/slots.h"
#include "supervisor/supervisor.h"

enum {
    FIRST_MS = 100,
    ROUND_MS = 1000,
    PER_PHASE = 64, /* instances in one go, about half a millisecond */
    PHASES_MAX = 8,
};

static void on_phase(uv_timer_t *timer);

/* ---- life -------------------------------------------------------------------------------------- */

/* Sparse: pages that were never written take no memory. */
static int make_file(struct keep_link *keep)
{
    AUTOCLOSE int fd = memfd_create("metrics", MFD_CLOEXEC);
    if (fd < 0 || ftruncate(fd, (off_t)LIMIT_INSTANCES * HISTORY_BYTES) < 0)
        return -errno;
    int r = keep_store(keep, fd, "metrics");
    return r < 0 ? r : TAKE_FD(fd);
}

void metrics_start(struct metrics *m, struct supervisor *sup)
{
    *m = (struct metrics){.sup = sup, .fd = keep_take(&sup->keep, "metrics")};
    int r = m->fd < 0 ? make_file(&sup->keep) : m->fd;
    if (r < 0)
        log_warn(r, "there is no history of what processes use");
    m->fd = r < 0 ? -1 : r;
    (void)uv_timer_init(&sup->loop, &m->timer);
    m->timer.data = m;
    (void)uv_timer_start(&m->timer, on_phase, FIRST_MS, 0);
}

void metrics_stop(struct metrics *m)
{
    uv_close((uv_handle_t *)&m->timer, NULL);
}

void metrics_clear(struct metrics *m)
{
    proc_tree_clear(&m->tree);
    if (m->fd >= 0)
        (void)close(m->fd);
    m->fd = -1;
}

/* ---- the history ------------------------------------------------------------------------------- */

/* Slots are used again: who has written a page stands in it. */
static uint64_t owner_of(const struct instance *in)
{
    uint64_t sum = 0xcbf29ce484222325u;
    for (const char *p = in->app->spec.name; *p; p++)
        sum = (sum ^ (unsigned char)*p) * 0x100000001b3u;
    return (sum ^ in->number) * 0x100000001b3u + (uint64_t)in->pm_id;
}

static off_t place_of(const struct instance *in)
{
    return (off_t)slots_index(&in->sup->slots, in->slot) * HISTORY_BYTES;
}

bool metrics_history(const struct instance *in, struct history *ret_history)
{
    int fd = in->sup->metrics.fd;
    if (fd < 0 || !in->slot)
        return false;
    if (pread(fd, ret_history, sizeof *ret_history, place_of(in)) != sizeof *ret_history)
        return false;
    history_claim(ret_history, owner_of(in));
    return true;
}

void metrics_instance_gone(const struct instance *in)
{
    int fd = in->sup->metrics.fd;
    if (fd >= 0 && in->slot)
        (void)fallocate(fd, FALLOC_FL_PUNCH_HOLE | FALLOC_FL_KEEP_SIZE, place_of(in),
                        HISTORY_BYTES);
}

int64_t metrics_step(const struct supervisor *sup)
{
    return (int64_t)uv_now(&sup->loop) / HISTORY_STEP_MS;
}

/* A page is written whole or not at all, also when we are killed in it. */
static void write_sample(struct instance *in, int64_t step)
{
    struct usage *use = &in->usage;
    struct history h;
    const struct history_sample sample = {
        .cpu_percent = use->cpu_count ? use->cpu_sum / use->cpu_count : in->cpu_percent,
        .memory_bytes = in->rss_bytes,
        .tree_bytes = metrics_tree_rss(in),
        .fds = use->fds,
        .threads = in->meter.threads,
        .processes = use->others + 1,
    };
    use->cpu_sum = use->cpu_count = 0;
    use->step = step;
    if (!metrics_history(in, &h))
        return;
    history_set(&h, step, &sample);
    (void)!pwrite(in->sup->metrics.fd, &h, sizeof h, place_of(in));
}

/* ---- looking ----------------------------------------------------------------------------------- */

uint64_t metrics_tree_rss(const struct instance *in)
{
    return in->process ? in->rss_bytes + in->usage.other_bytes : 0;
}

static void look(struct instance *in)
{
    struct usage *use = &in->usage;
    int64_t step = metrics_step(in->sup);
    instance_measure(in);
    use->cpu_sum += in->cpu_percent;
    use->cpu_count++;
    if (step == use->step)
        return;
    int fds = procfs_count_fds(in->process->pid);
    use->fds = fds > 0 ? (unsigned)fds : 0;
    write_sample(in, step);
}

/* By the environment that we have given its ancestor. */
static pid_t whose_orphan(void *arg, pid_t pid)
{
    struct supervisor *sup = arg;
    struct app *app;
    struct instance *in;
    AUTOSTRLIST struct strlist env = {0};
    int64_t number;
    /* We too are the keeper's child, and may have been started by an app. */
    if (pid == getpid() || procfs_environment(pid, &env) < 0 ||
        !str_eq(env_get(&env, "PROCTOR_HOME"), sup->home))
        return 0;
    const char *name = env_get(&env, "PROCTOR_APP"), *text = env_get(&env, "PROCTOR_INSTANCE");
    app = name ? supervisor_app(sup, name) : NULL;
    if (!app || !text || str_to_int(text, 0, LIMIT_INSTANCES, &number) < 0)
        return 0;
    in = app_instance(app, (unsigned)number);
    return in ? instance_pid(in) : 0;
}

static void look_at_trees(struct metrics *m)
{
    struct app *app;
    struct instance *in;
    size_t count = 0;
    AUTOFREE struct proc_tree_root *roots =
        xcalloc(supervisor_instance_count(m->sup) + 1, sizeof *roots);
    LIST_EACH(app, &m->sup->apps)
    LIST_EACH(in, &app->instances)
    if (in->process)
        roots[count++] = (struct proc_tree_root){.pid = in->process->pid, .owner = in};
    if (count == 0)
        return;
    m->looked = true;
    m->tree.reaper = m->sup->keep.sock >= 0 ? m->sup->keep.keeper_pid : 0;
    m->tree.whose = whose_orphan;
    m->tree.arg = m->sup;
    proc_tree_look(&m->tree, roots, count);
    for (size_t i = 0; i < count; i++) {
        in = roots[i].owner;
        in->usage.other_bytes = roots[i].rss_bytes;
        in->usage.others = roots[i].processes;
    }
}

void metrics_refresh(struct supervisor *sup)
{
    struct app *app;
    struct instance *in;
    if (!sup->metrics.looked)
        look_at_trees(&sup->metrics);
    LIST_EACH(app, &sup->apps)
    LIST_EACH(in, &app->instances)
    if (in->process && in->usage.step == 0)
        look(in);
}

static void on_phase(uv_timer_t *timer)
{
    struct metrics *m = timer->data;
    struct app *app;
    struct instance *in;
    size_t count = supervisor_instance_count(m->sup);
    unsigned phases =
        count / PER_PHASE < PHASES_MAX ? (unsigned)(count / PER_PHASE) + 1 : PHASES_MAX;
    m->phase = (m->phase + 1) % phases;
    if (m->phase == 0 && !m->skip_tree)
        look_at_trees(m);
    if (m->phase == 0)
        m->skip_tree = !m->skip_tree;
    LIST_EACH(app, &m->sup->apps)
    LIST_EACH(in, &app->instances)
    if (in->state == INSTANCE_ONLINE && in->process && (unsigned)in->pm_id % phases == m->phase)
        look(in);
    (void)uv_timer_start(timer, on_phase, ROUND_MS / phases, 0);
}
