#include "supervisor/closer.h"

#include "lib/base/json.h"
#include "lib/base/log.h"
#include "supervisor/probe.h"

/* An app that ends is held no longer than this. */
enum { CLOSER_MS = 1800 };

static void on_phase(void *arg, const char *phase)
{
}

static void on_done(void *arg, const json_t *end, bool overdue)
{
    log_debug("closer: %s", end ? json_get_string(end, "state", "?") : "the probe was killed");
}

void closer_start(struct supervisor *sup, pid_t pid, unsigned port, const char *path,
                  int node_major)
{
    struct probe *probe;
    AUTOJSON json_t *begin = json_object();
    json_set_string(begin, "kind", "close");
    json_set_int(begin, "pid", pid);
    json_set_int(begin, "port", port);
    json_set_string(begin, "path", path);
    json_set_int(begin, "node_major", node_major);
    json_set_bool(begin, "close", true);
    static const struct probe_watch watch = {.on_phase = on_phase, .on_done = on_done};
    int r = probe_start(sup, NULL, pid, begin, -1, &watch, &probe);
    if (r < 0)
        log_err(r, "the inspector of process %d cannot be closed", (int)pid);
    else
        probe_limit(probe, CLOSER_MS);
}
