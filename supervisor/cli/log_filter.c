#include "supervisor/cli/log_filter.h"

#include <stdlib.h>
#include <string.h>

#include "lib/base/err.h"
#include "lib/base/mem.h"

int log_filter_pattern(struct log_filter *f, const char *text, bool ignore_case,
                       char reterr_text[static LOG_FILTER_TEXT])
{
    int r = regcomp(&f->pattern, text, REG_EXTENDED | REG_NOSUB | (ignore_case ? REG_ICASE : 0));
    f->has_pattern = r == 0;
    if (r == 0)
        return 0;
    (void)regerror(r, &f->pattern, reterr_text, LOG_FILTER_TEXT);
    return ERR_SYNTAX;
}

void log_filter_clear(struct log_filter *f)
{
    if (f->has_pattern)
        regfree(&f->pattern);
    *f = (struct log_filter){0};
}

bool log_filter_wants(const struct log_filter *f, const struct log_line *line)
{
    if (f->since_ms > 0 && line->time_ms < f->since_ms)
        return false;
    if (!f->has_pattern)
        return true;
    /* The text has no NUL behind it. */
    regmatch_t range = {.rm_so = 0, .rm_eo = (regoff_t)line->len};
    return regexec(&f->pattern, line->text, 0, &range, REG_STARTEND) == 0;
}

/* ---- the last ones --------------------------------------------------------------------------- */

static struct log_last_item *take_item(struct log_last *l, size_t lines)
{
    if (l->count < lines) {
        if (l->count == l->room) {
            l->room = l->room ? 2 * l->room : 16;
            l->items = xreallocarray(l->items, l->room, sizeof *l->items);
        }
        return &l->items[l->count++];
    }
    struct log_last_item *item = &l->items[l->next];
    l->next = (l->next + 1) % l->count;
    free(item->text);
    return item;
}

void log_last_add(struct log_last *l, size_t lines, const struct log_source *source)
{
    if (lines == 0)
        return;
    char *text = xcalloc(1, source->line.len + 1);
    memcpy(text, source->line.text, source->line.len);
    *take_item(l, lines) = (struct log_last_item){
        .source = source,
        .text = text,
        .len = source->line.len,
        .time_ms = source->line.time_ms,
    };
}

void log_last_each(const struct log_last *l, log_last_cb each, void *arg)
{
    for (size_t i = 0; i < l->count; i++) {
        const struct log_last_item *item = &l->items[(l->next + i) % l->count];
        const struct log_line line = {
            .text = item->text, .len = item->len, .time_ms = item->time_ms};
        each(arg, item->source, &line);
    }
}

void log_last_clear(struct log_last *l)
{
    for (size_t i = 0; i < l->count; i++)
        free(l->items[i].text);
    free(l->items);
    *l = (struct log_last){0};
}
