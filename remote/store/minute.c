#include "remote/store/minute.h"

#include "lib/base/err.h"

enum { SEVEN_BITS = 0x7f, MORE = 0x80, NUMBER_BYTES = 5 };

int64_t minute_of(int64_t at_ms)
{
    return at_ms / MINUTE_MS;
}

static uint32_t to_number(double value)
{
    if (!(value > 0))
        return 0;
    return value < UINT32_MAX ? (uint32_t)(value + 0.5) : UINT32_MAX;
}

void minute_set(struct minute *m, int64_t at_ms, double cpu_percent, int64_t memory_bytes)
{
    int64_t place = at_ms % MINUTE_MS / MINUTE_PLACE_MS;
    m->have |= 1u << place;
    m->values[place].cpu = to_number(cpu_percent * 10);
    m->values[place].pages = to_number((double)memory_bytes / MINUTE_PAGE);
}

void minute_merge(struct minute *m, const struct minute *other)
{
    for (unsigned i = 0; i < MINUTE_PLACES; i++)
        if ((other->have & ~m->have) & 1u << i)
            m->values[i] = other->values[i];
    m->have |= other->have;
}

/* ---- bytes ----------------------------------------------------------------------------------- */

static uint8_t *put(uint8_t *at, uint64_t number)
{
    for (; number > SEVEN_BITS; number >>= 7)
        *at++ = (uint8_t)(number | MORE);
    *at++ = (uint8_t)number;
    return at;
}

/* Small differences of either sign become small numbers. */
static uint64_t fold(int64_t difference)
{
    return difference < 0 ? ((uint64_t)-difference << 1) - 1 : (uint64_t)difference << 1;
}

static int64_t unfold(uint64_t number)
{
    return number & 1 ? -(int64_t)((number + 1) >> 1) : (int64_t)(number >> 1);
}

size_t minute_pack(const struct minute *m, uint8_t ret_bytes[static MINUTE_PACKED])
{
    uint8_t *at = ret_bytes;
    int64_t before = 0;
    *at++ = (uint8_t)m->have;
    *at++ = (uint8_t)(m->have >> 8);
    for (unsigned i = 0; i < MINUTE_PLACES; i++) {
        if (!(m->have & 1u << i))
            continue;
        at = put(at, m->values[i].cpu);
        at = put(at, fold((int64_t)m->values[i].pages - before));
        before = m->values[i].pages;
    }
    return (size_t)(at - ret_bytes);
}

struct reading {
    const uint8_t *at;
    const uint8_t *end;
};

static int get(struct reading *in, uint64_t *ret_number)
{
    uint64_t number = 0;
    for (unsigned i = 0; i < NUMBER_BYTES && in->at < in->end; i++) {
        uint8_t byte = *in->at++;
        number |= (uint64_t)(byte & SEVEN_BITS) << 7 * i;
        if (!(byte & MORE)) {
            *ret_number = number;
            return 0;
        }
    }
    return ERR_INVALID;
}

static int get_value(struct reading *in, int64_t before, struct minute_value *ret_value)
{
    uint64_t cpu, folded;
    if (get(in, &cpu) < 0 || get(in, &folded) < 0 || cpu > UINT32_MAX)
        return ERR_INVALID;
    int64_t pages = before + unfold(folded);
    if (pages < 0 || pages > UINT32_MAX)
        return ERR_INVALID;
    *ret_value = (struct minute_value){.cpu = (uint32_t)cpu, .pages = (uint32_t)pages};
    return 0;
}

int minute_unpack(int64_t number, const void *bytes, size_t len, struct minute *ret_minute)
{
    struct minute m = {.number = number};
    struct reading in = {.at = bytes, .end = (const uint8_t *)bytes + len};
    int64_t before = 0;
    if (len < 2)
        return ERR_INVALID;
    m.have = (unsigned)(in.at[0] | in.at[1] << 8);
    in.at += 2;
    if (m.have >> MINUTE_PLACES)
        return ERR_INVALID;
    for (unsigned i = 0; i < MINUTE_PLACES; i++) {
        if (!(m.have & 1u << i))
            continue;
        if (get_value(&in, before, &m.values[i]) < 0)
            return ERR_INVALID;
        before = m.values[i].pages;
    }
    if (in.at != in.end)
        return ERR_INVALID;
    *ret_minute = m;
    return 0;
}
