#include "supervisor/cli/capture_run.h"

#include <signal.h>
#include <stdbool.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/time.h>
#include <time.h>
#include <unistd.h>

#include "lib/base/auto.h"
#include "lib/base/buf.h"
#include "lib/base/err.h"
#include "lib/base/json.h"
#include "lib/base/mem.h"
#include "lib/base/str.h"
#include "lib/wire/client.h"
#include "supervisor/cli/say.h"
#include "supervisor/cli/text.h"

enum { TICK_US = 200000, LINE_BYTES = 4096 };

struct capture_run {
    struct client *client;
    struct capture_job *jobs;
    struct client_request *requests;
    size_t count;
    int64_t duration_ms;
    int64_t running_ms; /* monotonic, when the first began to measure; 0: not yet */
    int told;           /* Ctrl-Cs that were acted on */
    bool terminal;
};

/* In the order in which they are entered. */
static const char *const phases[] = {"waiting",  "open",    "start", "running",
                                     "stopping", "sending", "stored"};

static volatile sig_atomic_t presses;

static void on_interrupt(int sig)
{
    presses++;
}

static void on_tick(int sig)
{
    /* Only interrupts poll(). */
}

static int64_t now_ms(void)
{
    struct timespec now;
    (void)clock_gettime(CLOCK_MONOTONIC, &now);
    return (int64_t)now.tv_sec * 1000 + now.tv_nsec / 1000000;
}

/* ---- the line -------------------------------------------------------------------------------- */

static const char *known_phase(const char *name)
{
    for (size_t i = 0; i < ARRAY_SIZE(phases); i++)
        if (str_eq(phases[i], name))
            return phases[i];
    return phases[0];
}

static void add_phases(const struct capture_run *run, struct buf *line)
{
    if (run->count == 1) {
        (void)buf_addf(line, "%s: %s", run->jobs[0].label, run->jobs[0].phase);
        return;
    }
    (void)buf_addf(line, "%zu captures:", run->count);
    const char *separator = " ";
    for (size_t p = 0; p < ARRAY_SIZE(phases); p++) {
        size_t n = 0;
        for (size_t i = 0; i < run->count; i++)
            n += !run->requests[i].answered && run->jobs[i].phase == phases[p];
        if (n > 0) {
            (void)buf_addf(line, "%s%zu %s", separator, n, phases[p]);
            separator = ", ";
        }
    }
}

static void add_time(const struct capture_run *run, struct buf *line)
{
    char elapsed[TEXT_SHORT], total[TEXT_SHORT];
    if (run->running_ms == 0)
        return;
    (void)text_seconds(now_ms() - run->running_ms, elapsed);
    if (run->duration_ms > 0)
        (void)buf_addf(line, ", %s of %s", elapsed, text_seconds(run->duration_ms, total));
    else
        (void)buf_addf(line, ", %s%s", elapsed, run->told == 0 ? " (Ctrl-C ends it)" : "");
}

static void draw(const struct capture_run *run)
{
    if (!run->terminal)
        return;
    AUTOBUF struct buf line = BUF_INIT(LINE_BYTES);
    add_phases(run, &line);
    add_time(run, &line);
    if (run->told == 1)
        (void)buf_addstr(&line, "; ending, Ctrl-C again drops the result");
    if (run->told > 1)
        (void)buf_addstr(&line, "; cancelling");
    AUTOFREE char *text = buf_take(&line);
    text_make_safe(text);
    (void)fprintf(stderr, "\r%.*s\x1b[K", (int)text_fit(text, say_width(stderr) - 1), text);
    (void)fflush(stderr);
}

static void erase(const struct capture_run *run)
{
    if (run->terminal)
        (void)fputs("\r\x1b[K", stderr);
}

/* ---- Ctrl-C ---------------------------------------------------------------------------------- */

static bool send_to_all(const struct capture_run *run, const char *method)
{
    for (size_t i = 0; i < run->count; i++) {
        if (run->requests[i].answered)
            continue;
        AUTOJSON json_t *params = json_object();
        json_set_string(params, "id", json_get_string(run->jobs[i].params, "id", ""));
        if (client_send(run->client, method, params) < 0)
            return false;
    }
    return true;
}

/* One press is one step, however often it is looked at.  What could not be sent is tried again at
 * the next tick. */
static int obey(struct capture_run *run)
{
    if (presses <= run->told)
        return 0;
    if (run->told >= 2)
        return ERR_CANCELLED;
    if (!send_to_all(run, run->told == 0 ? "capture.stop" : "capture.cancel"))
        return 0;
    run->told++;
    if (!run->terminal)
        say_note(run->told == 1 ? "ending the capture; another interrupt drops the result"
                                : "cancelling the capture");
    return 0;
}

static int on_progress(void *arg, const json_t *params)
{
    struct capture_job *job = arg;
    struct capture_run *run = job->run;
    const char *phase = params ? json_get_string(params, "phase", NULL) : NULL;
    if (phase) {
        job->phase = known_phase(phase);
        if (str_eq(phase, "running") && run->running_ms == 0)
            run->running_ms = now_ms();
        if (!run->terminal)
            say_note("%s: %s", job->label, phase);
    }
    int r = obey(run);
    draw(run);
    return r;
}

/* ---- running --------------------------------------------------------------------------------- */

static void set_timer(int us)
{
    const struct itimerval timer = {{0, us}, {0, us}};
    (void)setitimer(ITIMER_REAL, &timer, NULL);
}

static void catch_signals(void (*interrupt)(int))
{
    /* No SA_RESTART: waiting must end. */
    const struct sigaction stop = {.sa_handler = interrupt}, tick = {.sa_handler = on_tick};
    (void)sigaction(SIGINT, &stop, NULL);
    (void)sigaction(SIGTERM, &stop, NULL);
    (void)sigaction(SIGHUP, &stop, NULL);
    (void)sigaction(SIGALRM, &tick, NULL);
}

int capture_run(struct client *c, struct capture_job *jobs, size_t count, int64_t duration_ms)
{
    AUTOFREE struct client_request *requests = xcalloc(count, sizeof *requests);
    struct capture_run run = {.client = c,
                              .jobs = jobs,
                              .requests = requests,
                              .count = count,
                              .duration_ms = duration_ms,
                              .terminal = isatty(STDERR_FILENO) == 1};
    for (size_t i = 0; i < count; i++) {
        jobs[i].run = &run;
        jobs[i].phase = phases[0];
        requests[i] = (struct client_request){.method = "capture.start",
                                              .params = jobs[i].params,
                                              .on_progress = on_progress,
                                              .arg = &jobs[i],
                                              .answer = &jobs[i].answer};
    }
    catch_signals(on_interrupt);
    set_timer(TICK_US);
    int r = client_call_all(c, requests, count);
    set_timer(0);
    catch_signals(SIG_DFL);
    erase(&run);
    for (size_t i = 0; i < count; i++)
        jobs[i].result = requests[i].answered ? requests[i].result : r < 0 ? r : ERR_FAILED;
    return r;
}

void capture_jobs_clear(struct capture_job *jobs, size_t count)
{
    for (size_t i = 0; i < count; i++) {
        free(jobs[i].label);
        json_decref(jobs[i].params);
        msg_clear(&jobs[i].answer);
    }
    free(jobs);
}
