#include "remote/store/series.h"

#include <stdlib.h>

#include "lib/base/mem.h"

static int64_t round_up(int64_t value, int64_t unit)
{
    return (value + unit - 1) / unit * unit;
}

static size_t count_of(int64_t from_ms, int64_t to_ms, int64_t step_ms)
{
    int64_t first = from_ms / step_ms, end = (to_ms + step_ms - 1) / step_ms;
    return (size_t)(end - first);
}

void series_init(struct series *s, int64_t from_ms, int64_t to_ms, size_t most)
{
    /* Aligned to the step, a stretch may touch one piece more than its length says. */
    int64_t pieces = most > 1 ? (int64_t)most - 1 : 1;
    int64_t step_ms = round_up((to_ms - from_ms + pieces - 1) / pieces, MINUTE_PLACE_MS);
    while (count_of(from_ms, to_ms, step_ms) > most)
        step_ms *= 2;
    *s = (struct series){.from_ms = from_ms / step_ms * step_ms,
                         .step_ms = step_ms,
                         .count = count_of(from_ms, to_ms, step_ms)};
    s->points = xcalloc(s->count, sizeof *s->points);
}

void series_clear(struct series *s)
{
    free(s->points);
    *s = (struct series){0};
}

static void add(struct series *s, int64_t at_ms, int64_t samples, uint32_t cpu, int64_t memory)
{
    if (at_ms < s->from_ms || (size_t)((at_ms - s->from_ms) / s->step_ms) >= s->count)
        return;
    struct series_point *p = &s->points[(at_ms - s->from_ms) / s->step_ms];
    p->samples += samples;
    p->cpu += samples * cpu;
    if (memory > p->memory)
        p->memory = memory;
}

static void add_value(struct series *s, int64_t at_ms, const struct minute_value *v)
{
    if (s->last_ms && at_ms - s->last_ms == 2 * MINUTE_PLACE_MS)
        add(s, at_ms - MINUTE_PLACE_MS, 1, s->last.cpu, (int64_t)s->last.pages * MINUTE_PAGE);
    add(s, at_ms, 1, v->cpu, (int64_t)v->pages * MINUTE_PAGE);
    s->last_ms = at_ms;
    s->last = *v;
}

void series_add_minute(struct series *s, const struct minute *m)
{
    for (unsigned i = 0; i < MINUTE_PLACES; i++)
        if (m->have & 1u << i)
            add_value(s, m->number * MINUTE_MS + (int64_t)i * MINUTE_PLACE_MS, &m->values[i]);
}

void series_add_span(struct series *s, int64_t at_ms, int64_t len_ms, int64_t samples,
                     uint32_t cpu_average, int64_t memory_most)
{
    int64_t end_ms = at_ms + len_ms;
    int64_t last_ms = s->from_ms + (int64_t)s->count * s->step_ms;
    if (at_ms < s->from_ms)
        at_ms = s->from_ms;
    if (end_ms > last_ms)
        end_ms = last_ms;
    /* Each point that it touches: how its samples were spread nobody knows any more. */
    for (; at_ms < end_ms; at_ms = (at_ms / s->step_ms + 1) * s->step_ms)
        add(s, at_ms, samples, cpu_average, memory_most);
}
