#include "supervisor/cli/monit/monit.h"

#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#include "lib/base/auto.h"
#include "lib/base/err.h"
#include "lib/base/mem.h"
#include "lib/base/str.h"

void monit_init(struct monit *m, const char *log_dir)
{
    *m = (struct monit){0};
    log_pane_init(&m->log, log_dir);
    job_init(&m->job);
}

void monit_clear(struct monit *m)
{
    job_end(&m->job);
    feed_clear(&m->feed);
    log_pane_clear(&m->log);
    free(m->chosen);
    free(m->confirm);
    m->chosen = m->confirm = NULL;
}

const struct feed_row *monit_row(const struct monit *m)
{
    return m->at < m->feed.count ? &m->feed.rows[m->at] : NULL;
}

/* ---- choosing ---------------------------------------------------------------------------------- */

static void choose(struct monit *m, size_t at)
{
    size_t count = m->feed.count;
    m->at = count == 0 ? 0 : at < count ? at : count - 1;
    const struct feed_row *row = monit_row(m);
    free(m->chosen);
    m->chosen = xstrdup_null(row ? row->label : NULL);
    log_pane_choose(&m->log, m->chosen);
}

void monit_refresh(struct monit *m, feed_stop_cb stop)
{
    if (feed_ask(&m->feed, stop) < 0)
        return;
    for (size_t i = 0; i < m->feed.count; i++)
        if (str_eq(m->feed.rows[i].label, m->chosen))
            m->at = i;
    choose(m, m->at);
}

static void move(struct monit *m, long by)
{
    long to = (long)m->at + by;
    choose(m, to > 0 ? (size_t)to : 0);
}

/* ---- commands ---------------------------------------------------------------------------------- */

static void start(struct monit *m, const char *verb, const char *target)
{
    const char *const plain[] = {"proctor", verb, target, NULL};
    const char *const capture[] = {"proctor", "profile", "cpu", target, "-d", "10s", NULL};
    bool profiles = str_eq(verb, "profile");
    int r = job_start(&m->job, profiles ? capture : plain, profiles);
    if (r < 0)
        (void)snprintf(m->note, sizeof m->note, "cannot %s %s: %s", verb, target, err_str(r));
    else
        (void)snprintf(m->job.text, sizeof m->job.text, "%s %s%s", verb, target,
                       profiles ? ": 10 s of CPU" : "");
}

static void command(struct monit *m, int key)
{
    static const struct {
        int key;
        const char *verb;
    } verbs[] = {{'r', "restart"}, {'l', "reload"}, {'p', "profile"}};
    if (!m->chosen || !strchr("rlps", key))
        return;
    if (m->job.pid) {
        (void)snprintf(m->note, sizeof m->note, "the command before has not ended yet");
        return;
    }
    for (size_t i = 0; i < ARRAY_SIZE(verbs); i++)
        if (verbs[i].key == key)
            start(m, verbs[i].verb, m->chosen);
    if (key != 's')
        return;
    m->confirm = xstrdup(m->chosen);
    (void)snprintf(m->note, sizeof m->note, "stop %s?  y: yes, any other key: no", m->chosen);
}

static void confirm(struct monit *m, int key)
{
    AUTOFREE char *target = TAKE(m->confirm);
    if (key == 'y' || key == 'Y')
        start(m, "stop", target);
    else
        (void)snprintf(m->note, sizeof m->note, "%s was not stopped", target);
}

void monit_key(struct monit *m, int key)
{
    long page = m->list_height > 1 ? (long)m->list_height - 1 : 1;
    m->note[0] = '\0';
    if (m->confirm) {
        confirm(m, key);
        return;
    }
    switch (key) {
    case MONIT_UP:
    case 'k':
        move(m, -1);
        break;
    case MONIT_DOWN:
    case 'j':
        move(m, 1);
        break;
    case MONIT_PAGE_UP:
        move(m, -page);
        break;
    case MONIT_PAGE_DOWN:
        move(m, page);
        break;
    case MONIT_HOME:
    case 'g':
        choose(m, 0);
        break;
    case MONIT_END:
    case 'G':
        choose(m, m->feed.count);
        break;
    case 'q':
        m->quit = true;
        break;
    default:
        command(m, key);
    }
}
