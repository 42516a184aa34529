#include "supervisor/cli/capture_watch.h"

#include <signal.h>
#include <stdarg.h>
#include <stdio.h>
#include <time.h>
#include <unistd.h>

#include "lib/base/auto.h"
#include "lib/base/buf.h"
#include "lib/base/str.h"
#include "supervisor/cli/say.h"
#include "supervisor/cli/text.h"

enum { LINE_BYTES = 4096 };

/* In the order in which they are entered. */
static const char *const phases[] = {"waiting",  "open",    "start", "running",
                                     "stopping", "sending", "stored"};

static volatile sig_atomic_t presses;

static void on_interrupt(int sig)
{
    presses++;
}

static int64_t now_ms(void)
{
    struct timespec now;
    (void)clock_gettime(CLOCK_MONOTONIC, &now);
    return (int64_t)now.tv_sec * 1000 + now.tv_nsec / 1000000;
}

static void catch_signals(void (*interrupt)(int))
{
    /* No SA_RESTART: waiting must end. */
    const struct sigaction stop = {.sa_handler = interrupt};
    (void)sigaction(SIGINT, &stop, NULL);
    (void)sigaction(SIGTERM, &stop, NULL);
    (void)sigaction(SIGHUP, &stop, NULL);
}

/* ---- the line -------------------------------------------------------------------------------- */

static const char *known_phase(const char *name)
{
    for (size_t i = 0; i < ARRAY_SIZE(phases); i++)
        if (str_eq(phases[i], name))
            return phases[i];
    return phases[0];
}

static void add_phases(const struct capture_watch *w, struct buf *line)
{
    if (w->count == 1) {
        (void)buf_addf(line, "%s: %s", w->items[0].label, w->items[0].phase);
        return;
    }
    (void)buf_addf(line, "%zu captures:", w->count);
    const char *separator = " ";
    for (size_t p = 0; p < ARRAY_SIZE(phases); p++) {
        size_t n = 0;
        for (size_t i = 0; i < w->count; i++)
            n += !w->items[i].ended && w->items[i].phase == phases[p];
        if (n > 0) {
            (void)buf_addf(line, "%s%zu %s", separator, n, phases[p]);
            separator = ", ";
        }
    }
}

static void add_time(const struct capture_watch *w, struct buf *line)
{
    char elapsed[TEXT_SHORT], total[TEXT_SHORT];
    if (w->running_ms == 0)
        return;
    (void)text_seconds(now_ms() - w->running_ms, elapsed);
    if (w->duration_ms > 0)
        (void)buf_addf(line, ", %s of %s", elapsed, text_seconds(w->duration_ms, total));
    else
        (void)buf_addf(line, ", %s%s", elapsed, w->told == 0 ? " (Ctrl-C ends it)" : "");
}

void capture_watch_draw(const struct capture_watch *w)
{
    if (!w->terminal || w->settled)
        return;
    AUTOBUF struct buf line = BUF_INIT(LINE_BYTES);
    add_phases(w, &line);
    add_time(w, &line);
    if (w->told == 1)
        (void)buf_addstr(&line, "; ending, Ctrl-C again drops the result");
    if (w->told > 1)
        (void)buf_addstr(&line, "; cancelling");
    AUTOFREE char *text = buf_take(&line);
    text_make_safe(text);
    (void)fprintf(stderr, "\r%.*s\x1b[K", (int)text_fit(text, say_width(stderr) - 1), text);
    (void)fflush(stderr);
}

static void erase(const struct capture_watch *w)
{
    if (w->terminal)
        (void)fputs("\r\x1b[K", stderr);
}

void capture_watch_note(const struct capture_watch *w, const char *fmt, ...)
{
    va_list ap;
    va_start(ap, fmt);
    AUTOFREE char *text = NULL;
    if (vasprintf(&text, fmt, ap) < 0)
        text = NULL;
    va_end(ap);
    erase(w);
    say_note("%s", text ? text : fmt);
    capture_watch_draw(w);
}

/* ---- what happens ---------------------------------------------------------------------------- */

void capture_watch_begin(struct capture_watch *w, struct watch_item *items, size_t count,
                         int64_t duration_ms)
{
    *w = (struct capture_watch){.items = items,
                                .count = count,
                                .duration_ms = duration_ms,
                                .terminal = isatty(STDERR_FILENO) == 1};
    for (size_t i = 0; i < count; i++)
        items[i].phase = phases[0];
    presses = 0;
    catch_signals(on_interrupt);
}

void capture_watch_end(struct capture_watch *w)
{
    catch_signals(SIG_DFL);
    erase(w);
}

void capture_watch_phase(struct capture_watch *w, struct watch_item *item, const char *phase)
{
    item->phase = known_phase(phase);
    if (str_eq(phase, "running") && w->running_ms == 0)
        w->running_ms = now_ms();
    if (!w->terminal)
        say_note("%s: %s", item->label, phase);
}

enum watch_order capture_watch_order(const struct capture_watch *w)
{
    static const enum watch_order orders[] = {WATCH_STOP, WATCH_CANCEL, WATCH_LEAVE};
    if (w->settled)
        return capture_watch_leaving(w) ? WATCH_LEAVE : WATCH_GO_ON;
    return presses > w->told ? orders[w->told] : WATCH_GO_ON;
}

void capture_watch_obeyed(struct capture_watch *w)
{
    if (w->told == 2)
        return;
    w->told++;
    if (!w->terminal)
        say_note(w->told == 1 ? "ending the capture; another interrupt drops the result"
                              : "cancelling the capture");
}

void capture_watch_settled(struct capture_watch *w)
{
    erase(w);
    w->settled = true;
    w->settled_presses = presses;
}

bool capture_watch_leaving(const struct capture_watch *w)
{
    return w->settled ? presses > w->settled_presses : presses > 2;
}
