#include "supervisor/cli/top/report.h"

#include <inttypes.h>
#include <stdint.h>
#include <stdio.h>
#include <string.h>

#include "lib/base/buf.h"
#include "lib/profile/profile.h"
#include "lib/profile/table.h"
#include "lib/profile/view.h"
#include "supervisor/cli/top/place.h"

enum { FIGURE_BYTES = 32, FIGURE_MIN = 8, NAME_MIN = 8, NAME_MAX_PLAIN = 60, LOCATION_MIN = 8 };

/* The widths of a table's columns. */
struct layout {
    int figure;     /* SELF and TOTAL */
    size_t figures; /* all that stands left of the names: both, their percentages, and the blanks
                       between */
    size_t name;
};

/* Names may be as long as the file. */
#define NAME_BYTES (SIZE_MAX / 4)

/* A figure of a row: milliseconds, or kilobytes and megabytes. */
static const char *figure(const struct profile *p, uint64_t value, char space[static FIGURE_BYTES])
{
    double amount = (double)value;
    if (p->kind == PROFILE_CPU)
        (void)snprintf(space, FIGURE_BYTES, "%.1f ms", amount / 1e6);
    else if (amount < 1024 * 1024)
        (void)snprintf(space, FIGURE_BYTES, "%.1f KB", amount / 1024);
    else
        (void)snprintf(space, FIGURE_BYTES, "%.1f MB", amount / (1024 * 1024));
    return space;
}

static const char *duration(uint64_t us, char space[static FIGURE_BYTES])
{
    double ms = (double)us / 1e3;
    if (ms < 1000)
        (void)snprintf(space, FIGURE_BYTES, "%.1f ms", ms);
    else
        (void)snprintf(space, FIGURE_BYTES, "%.2f s", ms / 1e3);
    return space;
}

static double percent(uint64_t part, uint64_t whole)
{
    return whole > 0 ? 100.0 * (double)part / (double)whole : 0;
}

static int add_head(struct buf *out, const struct profile *p)
{
    char first[FIGURE_BYTES], second[FIGURE_BYTES];
    if (p->kind == PROFILE_HEAP)
        return buf_addf(out, "Heap profile: %s sampled; 100 %% is all of it.\n\n",
                        figure(p, p->all, first));
    uint64_t busy = p->all - p->idle;
    return buf_addf(
        out,
        "CPU profile: %s, %" PRIu64 " samples, idle %.1f %%.\n"
        "100 %% below is the time that was not idle, %s: gc %.1f %%, program %.1f %%.\n\n",
        duration(p->duration_us, first), p->sample_count, percent(p->idle, p->all),
        duration(busy / 1000, second), percent(p->gc, busy), percent(p->program, busy));
}

static size_t row_count(const struct report *report)
{
    return report->table->count < report->limit ? report->table->count : report->limit;
}

/* The columns are as wide as what they hold, but in a terminal a name gets no more than half of
 * what is left. */
static struct layout measure(const struct report *report)
{
    struct layout l = {.figure = FIGURE_MIN, .name = strlen("FUNCTION")};
    for (size_t i = 0; i < row_count(report); i++) {
        const struct profile_row *row = &report->table->rows[i];
        char space[FIGURE_BYTES];
        AUTOBUF struct buf name = BUF_INIT(NAME_BYTES);
        (void)place_add_name(&name, row->function);
        size_t name_width = place_width(buf_str(&name));
        int figure_width = (int)strlen(figure(report->profile, row->total, space));
        l.name = name_width > l.name ? name_width : l.name;
        l.figure = figure_width > l.figure ? figure_width : l.figure;
    }
    l.figures = 2 * ((size_t)l.figure + strlen("  100.0%")) + strlen(" ") + strlen("   ");
    size_t most = report->width ? NAME_MIN : NAME_MAX_PLAIN;
    if (report->width > l.figures + 2 * NAME_MIN)
        most = (report->width - l.figures) / 2;
    l.name = l.name < most ? l.name : most;
    return l;
}

/* The name, cut at its end, and blanks up to the width of the column. */
static int add_name(struct buf *out, const struct function *f, size_t width)
{
    AUTOBUF struct buf name = BUF_INIT(NAME_BYTES);
    int r = place_add_name(&name, f);
    if (r < 0)
        return r;
    const char *text = buf_str(&name);
    size_t columns = place_width(text);
    if (columns > width)
        return buf_addf(out, "%.*s…", (int)(place_head_end(text, width - 1) - text), text);
    return buf_addf(out, "%s%*s", text, (int)(width - columns), "");
}

/* The location, cut on its left. */
static int add_location(struct buf *out, const struct report *report, const struct function *f,
                        size_t used)
{
    AUTOBUF struct buf location = BUF_INIT(NAME_BYTES);
    int r = place_add_location(&location, f, report->cwd);
    if (r < 0 || location.len == 0)
        return r;
    const char *text = buf_str(&location);
    size_t left = SIZE_MAX;
    if (report->width)
        left = report->width > used + LOCATION_MIN ? report->width - used : LOCATION_MIN;
    if (place_width(text) > left)
        return buf_addf(out, "  …%s", place_tail(text, left - 1));
    return buf_addf(out, "  %s", text);
}

static int add_row(struct buf *out, const struct report *report, const struct profile_row *row,
                   const struct layout *l)
{
    const struct profile *p = report->profile;
    uint64_t whole = p->all - p->idle;
    char self[FIGURE_BYTES], total[FIGURE_BYTES];
    int r = buf_addf(out, "%*s %6.1f%% %*s %6.1f%%   ", l->figure, figure(p, row->self, self),
                     percent(row->self, whole), l->figure, figure(p, row->total, total),
                     percent(row->total, whole));
    if (r == 0)
        r = add_name(out, row->function, l->name);
    if (r == 0)
        r = add_location(out, report, row->function, l->figures + l->name + 2);
    if (r < 0)
        return r;
    while (out->data[out->len - 1] == ' ')
        out->data[--out->len] = '\0';
    return buf_addc(out, '\n');
}

int report_text(struct buf *out, const struct report *report)
{
    struct layout l = measure(report);
    size_t rows = row_count(report);
    int r = add_head(out, report->profile);
    if (r == 0)
        r = buf_addf(out, "%*s %7s %*s %7s   %-*s  %s\n", l.figure, "SELF", "SELF %", l.figure,
                     "TOTAL", "TOTAL %", (int)l.name, "FUNCTION", "LOCATION");
    for (size_t i = 0; r == 0 && i < rows; i++)
        r = add_row(out, report, &report->table->rows[i], &l);
    if (r == 0 && rows < report->table->count)
        r = buf_addf(out, "%zu of %zu functions; -n N shows more.\n", rows, report->table->count);
    return r;
}

/* ---- JSON ------------------------------------------------------------------------------------ */

int report_json(struct buf *out, const struct report *report)
{
    int r = profile_view_table(out, report->profile, report->table, report->limit);
    return r < 0 ? r : buf_addc(out, '\n');
}
