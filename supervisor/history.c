#include "supervisor/history.h"

#include <string.h>

/* A number as 11 bits and a power of two: exact up to 2047, to 1 in 2048 up to 2^41. */
enum { FRACTION_BITS = 11, POWER_MAX = 31, PAGE_SHIFT = 12 };

static uint16_t pack(uint64_t value)
{
    unsigned power = 0;
    uint64_t half = 0;
    while (value + half >= 1u << FRACTION_BITS && power < POWER_MAX) {
        half = value & 1;
        value >>= 1;
        power++;
    }
    value += half;
    if (value >= 1u << FRACTION_BITS)
        value = (1u << FRACTION_BITS) - 1;
    return (uint16_t)(power << FRACTION_BITS | value);
}

static uint64_t unpack(uint16_t packed)
{
    return (uint64_t)(packed & ((1u << FRACTION_BITS) - 1)) << (packed >> FRACTION_BITS);
}

/* Memory is counted in pages of 4 KiB, whatever those of the host are. */
static uint16_t pack_bytes(uint64_t bytes)
{
    return pack(bytes >> PAGE_SHIFT);
}

static uint64_t unpack_bytes(uint16_t packed)
{
    return unpack(packed) << PAGE_SHIFT;
}

void history_claim(struct history *h, uint64_t owner)
{
    if (h->version == HISTORY_VERSION && h->owner == owner && h->last >= 0)
        return;
    (void)memset(h, 0, sizeof *h);
    h->version = HISTORY_VERSION;
    h->owner = owner;
}

void history_set(struct history *h, int64_t step, const struct history_sample *sample)
{
    if (step <= 0 || step <= h->last - HISTORY_STEPS)
        return;
    if (step - h->last >= HISTORY_STEPS)
        (void)memset(h->processes, 0, sizeof h->processes);
    else
        for (int64_t skipped = h->last + 1; skipped < step; skipped++)
            h->processes[skipped % HISTORY_STEPS] = 0;
    int64_t i = step % HISTORY_STEPS;
    h->last = step > h->last ? step : h->last;
    h->cpu[i] = pack((uint64_t)(sample->cpu_percent * 10 + 0.5));
    h->memory[i] = pack_bytes(sample->memory_bytes);
    h->tree[i] = pack_bytes(sample->tree_bytes);
    h->fds[i] = pack(sample->fds);
    h->threads[i] = pack(sample->threads);
    h->processes[i] =
        sample->processes < UINT8_MAX ? (uint8_t)sample->processes : (uint8_t)UINT8_MAX;
}

bool history_get(const struct history *h, int64_t step, struct history_sample *ret_sample)
{
    if (step <= 0 || step > h->last || step <= h->last - HISTORY_STEPS)
        return false;
    int64_t i = step % HISTORY_STEPS;
    if (h->processes[i] == 0)
        return false;
    *ret_sample = (struct history_sample){
        .cpu_percent = (double)unpack(h->cpu[i]) / 10,
        .memory_bytes = unpack_bytes(h->memory[i]),
        .tree_bytes = unpack_bytes(h->tree[i]),
        .fds = unpack(h->fds[i]),
        .threads = unpack(h->threads[i]),
        .processes = h->processes[i],
    };
    return true;
}
