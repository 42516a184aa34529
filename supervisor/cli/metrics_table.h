/* metrics_table.h -- what processes use, as people see it: now, and the most in the last hour. */
#pragma once

#include <jansson.h>
#include <stdio.h>

/* Prints the table of "processes" of app.metrics answers. */
void metrics_table_print(const json_t *processes, FILE *out);

/* The largest of an array of numbers, at least `least`; null is no number. */
double metrics_peak(const json_t *values, double least);
