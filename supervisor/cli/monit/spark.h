/* spark.h -- a row of small bars for a row of numbers.  Pure. */
#pragma once

#include <stdbool.h>
#include <stddef.h>

enum { SPARK_MAX = 40, SPARK_BYTES = SPARK_MAX * 3 + 1 };

/* One character per value; a negative value is a blank.  `low` and `high` are the ends of the scale.  `fine`: bars of
 * Unicode, otherwise of ASCII. */
const char *spark_draw(const double *values, size_t count, double low, double high, bool fine,
                       char out[SPARK_BYTES]);

/* The scale for CPU (percent), and for memory, where small changes of a large number shall be seen. */
void spark_cpu_scale(const double *values, size_t count, double *ret_low, double *ret_high);
void spark_memory_scale(const double *values, size_t count, double *ret_low, double *ret_high);
