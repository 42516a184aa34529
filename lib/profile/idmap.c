#include "lib/profile/idmap.h"

#include <errno.h>
#include <stdlib.h>
#include <string.h>

#include "lib/profile/hash.h"

/* An array may have this many entries per id before a hash table is smaller. */
enum { SPARSE = 8, SMALL = 1 << 16 };

static int init_slots(struct idmap *m, uint32_t count)
{
    size_t slot_count = 16;
    while (slot_count / 2 < count)
        slot_count *= 2;
    m->slots = calloc(slot_count, sizeof *m->slots);
    if (!m->slots)
        return -ENOMEM;
    for (size_t i = 0; i < slot_count; i++)
        m->slots[i].number = IDMAP_NONE;
    m->slot_count = slot_count;
    m->seed = hash_seed();
    return 0;
}

int idmap_init(struct idmap *m, uint32_t count, int64_t max_id)
{
    *m = (struct idmap){0};
    uint64_t needed = (uint64_t)max_id + 1;
    if (needed > (uint64_t)count * SPARSE + SMALL)
        return init_slots(m, count);
    m->numbers = calloc(needed, sizeof *m->numbers);
    if (!m->numbers)
        return -ENOMEM;
    memset(m->numbers, 0xff, needed * sizeof *m->numbers);
    m->number_count = needed;
    return 0;
}

void idmap_clear(struct idmap *m)
{
    free(m->numbers);
    free(m->slots);
    *m = (struct idmap){0};
}

/* The slot of the id, or the free one where it would be. */
static size_t slot_of(const struct idmap *m, int64_t id)
{
    size_t slot = hash_mix((uint64_t)id, m->seed) & (m->slot_count - 1);
    while (m->slots[slot].number != IDMAP_NONE && m->slots[slot].id != id)
        slot = (slot + 1) & (m->slot_count - 1);
    return slot;
}

uint32_t idmap_find_slot(const struct idmap *m, int64_t id)
{
    return m->slots ? m->slots[slot_of(m, id)].number : IDMAP_NONE;
}

bool idmap_add(struct idmap *m, int64_t id, uint32_t number)
{
    if (idmap_find(m, id) != IDMAP_NONE)
        return false;
    if (m->numbers)
        m->numbers[id] = number;
    else
        m->slots[slot_of(m, id)] = (struct idmap_slot){.id = id, .number = number};
    return true;
}

void idmap_renumber(struct idmap *m, const uint32_t *new_numbers)
{
    for (uint64_t i = 0; i < m->number_count; i++)
        if (m->numbers[i] != IDMAP_NONE)
            m->numbers[i] = new_numbers[m->numbers[i]];
    for (size_t i = 0; i < m->slot_count; i++)
        if (m->slots[i].number != IDMAP_NONE)
            m->slots[i].number = new_numbers[m->slots[i].number];
}
