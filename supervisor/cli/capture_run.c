#include "supervisor/cli/capture_run.h"

#include <signal.h>
#include <stdbool.h>
#include <sys/time.h>

#include "lib/base/auto.h"
#include "lib/base/err.h"
#include "lib/base/json.h"
#include "lib/base/mem.h"
#include "lib/wire/client.h"
#include "supervisor/cli/capture_job.h"
#include "supervisor/cli/capture_watch.h"

enum { TICK_US = 200000 };

struct capture_run {
    struct client *client;
    struct client_request *requests;
    struct capture_watch watch;
};

/* What a request's callback gets. */
struct running {
    struct capture_run *run;
    struct watch_item *item;
};

/* ---- Ctrl-C ---------------------------------------------------------------------------------- */

static bool send_to_all(const struct capture_run *run, const char *method)
{
    for (size_t i = 0; i < run->watch.count; i++) {
        const struct client_request *request = &run->requests[i];
        if (request->answered)
            continue;
        AUTOJSON json_t *params = json_object();
        json_set_string(params, "id", json_get_string(request->params, "id", ""));
        if (client_send(run->client, method, params) < 0)
            return false;
    }
    return true;
}

/* What could not be sent is tried again at the next tick. */
static int obey(struct capture_run *run)
{
    enum watch_order order = capture_watch_order(&run->watch);
    if (order == WATCH_GO_ON)
        return 0;
    if (order == WATCH_LEAVE)
        return ERR_CANCELLED;
    if (send_to_all(run, order == WATCH_STOP ? "capture.stop" : "capture.cancel"))
        capture_watch_obeyed(&run->watch);
    return 0;
}

static int on_progress(void *arg, const json_t *params)
{
    const struct running *running = arg;
    struct capture_run *run = running->run;
    const char *phase = params ? json_get_string(params, "phase", NULL) : NULL;
    for (size_t i = 0; i < run->watch.count; i++)
        run->watch.items[i].ended = run->requests[i].answered;
    if (phase)
        capture_watch_phase(&run->watch, running->item, phase);
    int r = obey(run);
    capture_watch_draw(&run->watch);
    return r;
}

/* ---- running --------------------------------------------------------------------------------- */

static void on_tick(int sig)
{
    /* Only interrupts poll(). */
}

static void set_timer(int us)
{
    const struct sigaction tick = {.sa_handler = on_tick};
    const struct itimerval timer = {{0, us}, {0, us}};
    (void)sigaction(SIGALRM, &tick, NULL);
    (void)setitimer(ITIMER_REAL, &timer, NULL);
}

int capture_run(struct client *c, struct capture_job *jobs, size_t count, int64_t duration_ms)
{
    AUTOFREE struct client_request *requests = xcalloc(count, sizeof *requests);
    AUTOFREE struct watch_item *items = xcalloc(count, sizeof *items);
    AUTOFREE struct running *running = xcalloc(count, sizeof *running);
    struct capture_run run = {.client = c, .requests = requests};
    for (size_t i = 0; i < count; i++) {
        items[i].label = jobs[i].label;
        running[i] = (struct running){.run = &run, .item = &items[i]};
        requests[i] = (struct client_request){.method = "capture.start",
                                              .params = jobs[i].params,
                                              .on_progress = on_progress,
                                              .arg = &running[i],
                                              .answer = &jobs[i].answer};
    }
    capture_watch_begin(&run.watch, items, count, duration_ms);
    set_timer(TICK_US);
    int r = client_call_all(c, requests, count);
    set_timer(0);
    capture_watch_end(&run.watch);
    for (size_t i = 0; i < count; i++)
        jobs[i].result = requests[i].answered ? requests[i].result : r < 0 ? r : ERR_FAILED;
    return r;
}
