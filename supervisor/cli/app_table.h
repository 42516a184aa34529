/* app_table.h -- instances as people see them: the table of `list`, and their names. */
#pragma once

#include <jansson.h>

#include "supervisor/cli/say.h"

/* Prints the table of "apps" of an app.list answer. */
void app_table_print(const json_t *apps, FILE *out);
/* The same, whatever the width of the terminal is. */
void app_table_wide(const json_t *apps, FILE *out);
/* A row for each app, with what its instances use together, the age of the youngest, and what they are. */
void app_table_groups(const json_t *apps, FILE *out);

enum color app_status_color(const char *status);

/* "api-0" of an object with "name" and "instance".  The caller frees. */
char *app_label(const json_t *instance);
