/* capture_table.h -- records of captures as a table, and finding one by the beginning of its id. */
#pragma once

#include <jansson.h>
#include <stdbool.h>

/* On standard output.  `hosts`: with the names of their hosts. */
void capture_table_print(const json_t *captures, bool hosts);

/* The whole id that `prefix` begins; NULL with the sentence said when there is none, or more than one.  The caller frees. */
char *capture_table_find(const json_t *captures, const char *prefix);
