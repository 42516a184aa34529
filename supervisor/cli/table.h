/* table.h -- a table of text with aligned columns, which fits the terminal's width by shortening
 * one of them. */
#pragma once

#include <stdbool.h>
#include <stddef.h>
#include <stdio.h>

#include "supervisor/cli/say.h"

struct table_column {
    const char *title;
    bool right;   /* numbers */
    bool shrinks; /* may be shortened with "…" when the table is too wide */
};

struct table {
    const struct table_column *columns; /* borrowed */
    size_t column_count;
    struct table_cell *cells; /* row by row */
    size_t cell_count;
};

void table_init(struct table *t, const struct table_column *columns, size_t column_count);
void table_clear(struct table *t);
#define AUTOTABLE __attribute__((cleanup(table_clear)))

/* Adds the next cell, row by row.  The text is copied and made safe; NULL stands for "-". */
void table_add(struct table *t, const char *text, enum color color);

/* How wide it is when nothing is shortened. */
unsigned table_width(const struct table *t);

/* `width`: columns of the terminal, 0: any. */
void table_print(const struct table *t, FILE *out, unsigned width, bool colors);
