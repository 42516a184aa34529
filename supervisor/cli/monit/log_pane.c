#include "supervisor/cli/monit/log_pane.h"

#include <stdlib.h>
#include <string.h>

#include "lib/base/auto.h"
#include "lib/base/mem.h"
#include "lib/base/str.h"
#include "supervisor/cli/text.h"

enum { FIRST_LINES = 200, LINES_PER_LOOK = 2000, LINE_BYTES = 1000, ESC = 0x1b, STREAMS = 2 };

/* The end of the escape sequence that begins at `p`. */
static const char *skip_escape(const char *p)
{
    p++;
    if (*p == '[') {
        p++;
        while (*p && (*p < '@' || *p > '~'))
            p++;
    } else if (*p == ']') {
        while (*p && *p != '\a' && *p != ESC)
            p++;
        if (*p == ESC && p[1] == '\\')
            p++;
    }
    return *p ? p + 1 : p;
}

void log_pane_make_plain(char *text)
{
    char *to = text;
    for (const char *p = text; *p;) {
        if (*p == ESC) {
            p = skip_escape(p);
            continue;
        }
        if (*p != '\r')
            *to++ = *p == '\t' || *p == '\n' ? ' ' : *p;
        p++;
    }
    *to = '\0';
    text_make_safe(text);
}

void log_pane_init(struct log_pane *p, const char *dir)
{
    *p = (struct log_pane){.dir = xstrdup(dir)};
}

static void forget(struct log_pane *p)
{
    for (size_t i = 0; i < LOG_PANE_LINES; i++) {
        free(p->lines[i].text);
        p->lines[i].text = NULL;
    }
    p->first = p->count = 0;
    if (p->label)
        log_set_clear(&p->set);
    free(p->label);
    p->label = NULL;
}

void log_pane_clear(struct log_pane *p)
{
    forget(p);
    free(p->dir);
    p->dir = NULL;
}

void log_pane_choose(struct log_pane *p, const char *label)
{
    if (str_eq(p->label, label))
        return;
    forget(p);
    if (!label)
        return;
    p->label = xstrdup(label);
    log_set_init(&p->set, p->dir);
    p->set.out = p->set.err = true;
    strlist_add(&p->set.targets, label);
    (void)log_set_scan(&p->set);
    log_set_seek_tail(&p->set, FIRST_LINES);
}

static void add(struct log_pane *p, const struct log_source *source)
{
    size_t len = source->line.len < LINE_BYTES ? source->line.len : LINE_BYTES;
    char *text = xstrndup(source->line.text, len);
    log_pane_make_plain(text);
    size_t at = (p->first + p->count) % LOG_PANE_LINES;
    free(p->lines[at].text);
    p->lines[at] = (struct log_pane_line){.text = text, .is_err = source->name.is_err};
    if (p->count < LOG_PANE_LINES)
        p->count++;
    else
        p->first = (p->first + 1) % LOG_PANE_LINES;
}

bool log_pane_read(struct log_pane *p)
{
    const struct log_source *source;
    size_t taken = 0;
    if (!p->label)
        return false;
    /* One stream may have no file yet. */
    if (p->set.count < STREAMS)
        (void)log_set_scan(&p->set);
    (void)log_set_check(&p->set);
    while (taken < LINES_PER_LOOK && (source = log_set_next(&p->set, false))) {
        add(p, source);
        taken++;
    }
    p->more = taken == LINES_PER_LOOK;
    return taken > 0;
}

const struct log_pane_line *log_pane_line(const struct log_pane *p, size_t back)
{
    if (back >= p->count)
        return NULL;
    return &p->lines[(p->first + p->count - 1 - back) % LOG_PANE_LINES];
}
