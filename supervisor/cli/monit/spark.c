#include "supervisor/cli/monit/spark.h"

#include <stdio.h>
#include <string.h>

enum { LEVELS = 8 };

static const double CPU_LEAST = 10, MEMORY_SHARE = 0.1;

const char *spark_draw(const double *values, size_t count, double low, double high, bool fine,
                       char out[SPARK_BYTES])
{
    static const char *const bars[LEVELS] = {"▁", "▂", "▃", "▄", "▅", "▆", "▇", "█"};
    static const char *const plain[LEVELS] = {"_", ".", ":", "-", "=", "+", "*", "#"};
    size_t len = 0;
    for (size_t i = 0; i < count && i < SPARK_MAX; i++) {
        double share = high > low ? (values[i] - low) / (high - low) : 0;
        int level = (int)(share * LEVELS);
        level = level < 0 ? 0 : level >= LEVELS ? LEVELS - 1 : level;
        const char *bar = values[i] < 0 ? " " : fine ? bars[level] : plain[level];
        (void)snprintf(out + len, SPARK_BYTES - len, "%s", bar);
        len += strlen(bar);
    }
    out[len] = '\0';
    return out;
}

/* Of those that are there; false: there is none. */
static bool ends(const double *values, size_t count, double *ret_least, double *ret_most)
{
    bool any = false;
    for (size_t i = 0; i < count; i++) {
        if (values[i] < 0)
            continue;
        *ret_least = any && *ret_least < values[i] ? *ret_least : values[i];
        *ret_most = any && *ret_most > values[i] ? *ret_most : values[i];
        any = true;
    }
    return any;
}

void spark_cpu_scale(const double *values, size_t count, double *ret_low, double *ret_high)
{
    double least, most = 0;
    if (!ends(values, count, &least, &most))
        most = 0;
    *ret_low = 0;
    *ret_high = most > CPU_LEAST ? most : CPU_LEAST;
}

void spark_memory_scale(const double *values, size_t count, double *ret_low, double *ret_high)
{
    double least = 0, most = 0;
    (void)ends(values, count, &least, &most);
    double margin = most * MEMORY_SHARE / 2;
    *ret_low = least - margin;
    *ret_high = most + margin;
}
