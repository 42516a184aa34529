#include "supervisor/cli/table.h"

#include <stdlib.h>
#include <string.h>

#include "lib/base/auto.h"
#include "lib/base/mem.h"
#include "supervisor/cli/text.h"

enum { GAP = 2, SHRUNK_MIN = 6 };

struct table_cell {
    char *text;
    enum color color;
};

void table_init(struct table *t, const struct table_column *columns, size_t column_count)
{
    *t = (struct table){.columns = columns, .column_count = column_count};
}

void table_clear(struct table *t)
{
    for (size_t i = 0; i < t->cell_count; i++)
        free(t->cells[i].text);
    free(t->cells);
    *t = (struct table){.columns = t->columns, .column_count = t->column_count};
}

void table_add(struct table *t, const char *text, enum color color)
{
    t->cells = xreallocarray(t->cells, t->cell_count + 1, sizeof *t->cells);
    struct table_cell *cell = &t->cells[t->cell_count++];
    *cell = (struct table_cell){xstrdup(text ? text : "-"), color};
    text_make_safe(cell->text);
    for (char *c = cell->text; *c; c++)
        if (*c == '\n' || *c == '\t')
            *c = ' ';
}

/* The width of every column; the one that shrinks gives way to `limit` (0: none). */
static void measure(const struct table *t, unsigned limit, unsigned *widths)
{
    unsigned total = 0;
    for (size_t i = 0; i < t->column_count; i++)
        widths[i] = text_width(t->columns[i].title);
    for (size_t i = 0; i < t->cell_count; i++) {
        unsigned width = text_width(t->cells[i].text), *column = &widths[i % t->column_count];
        *column = width > *column ? width : *column;
    }
    for (size_t i = 0; i < t->column_count; i++)
        total += widths[i] + (i ? GAP : 0);
    for (size_t i = 0; i < t->column_count && limit && total > limit; i++) {
        if (!t->columns[i].shrinks || widths[i] <= SHRUNK_MIN)
            continue;
        unsigned spare = widths[i] - SHRUNK_MIN, over = total - limit;
        unsigned less = over < spare ? over : spare;
        widths[i] -= less;
        total -= less;
    }
}

unsigned table_width(const struct table *t)
{
    AUTOFREE unsigned *widths = xcalloc(t->column_count, sizeof *widths);
    unsigned total = 0;
    measure(t, 0, widths);
    for (size_t i = 0; i < t->column_count; i++)
        total += widths[i] + (i ? GAP : 0);
    return total;
}

static void put_blanks(FILE *out, unsigned count)
{
    (void)fprintf(out, "%*s", (int)count, "");
}

/* One cell, without blanks after it when it is the last of its row. */
static void put_cell(FILE *out, const char *text, unsigned width, bool right, bool last,
                     const char *color)
{
    unsigned own = text_width(text);
    bool cut = own > width;
    size_t len = cut ? text_fit(text, width - 1) : strlen(text);
    AUTOFREE char *shown = xasprintf("%.*s%s", (int)len, text, cut ? "…" : "");
    own = text_width(shown);
    unsigned blanks = own < width ? width - own : 0;
    if (right)
        put_blanks(out, blanks);
    (void)fprintf(out, "%s%s%s", color, shown, *color ? COLOR_RESET : "");
    if (!right && !last)
        put_blanks(out, blanks);
    (void)fputs(last ? "\n" : "  ", out);
}

void table_print(const struct table *t, FILE *out, unsigned width, bool colors)
{
    AUTOFREE unsigned *widths = xcalloc(t->column_count, sizeof *widths);
    measure(t, width, widths);
    for (size_t i = 0; i < t->column_count; i++)
        put_cell(out, t->columns[i].title, widths[i], t->columns[i].right, i + 1 == t->column_count,
                 colors ? say_color(COLOR_BOLD) : "");
    for (size_t i = 0; i < t->cell_count; i++) {
        size_t column = i % t->column_count;
        put_cell(out, t->cells[i].text, widths[column], t->columns[column].right,
                 column + 1 == t->column_count, colors ? say_color(t->cells[i].color) : "");
    }
}
