#include "lib/base/str.h"

#include <ctype.h>
#include <errno.h>
#include <stdarg.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#include "lib/base/auto.h"
#include "lib/base/err.h"
#include "lib/base/mem.h"

enum { DISTANCE_MAX = 64 };

bool str_starts(const char *s, const char *prefix)
{
    return strncmp(s, prefix, strlen(prefix)) == 0;
}

bool str_ends(const char *s, const char *suffix)
{
    size_t len = strlen(s), suffix_len = strlen(suffix);
    return len >= suffix_len && strcmp(s + len - suffix_len, suffix) == 0;
}

int str_to_int(const char *s, int64_t min, int64_t max, int64_t *ret_value)
{
    const char *digits = *s == '-' ? s + 1 : s;
    if (!isdigit((unsigned char)*digits))
        return ERR_SYNTAX;
    char *end;
    errno = 0;
    long long value = strtoll(s, &end, 10);
    if (*end)
        return ERR_SYNTAX;
    if (errno == ERANGE || value < min || value > max)
        return -ERANGE;
    *ret_value = value;
    return 0;
}

struct unit {
    const char *name;
    int64_t factor;
};

/* number [blank] unit, where a decimal point is allowed: 1.5s. */
static int to_scaled(const char *s, const struct unit *units, int64_t bare, int64_t *ret_value)
{
    if (!isdigit((unsigned char)*s))
        return ERR_SYNTAX;
    char *end;
    errno = 0;
    size_t digits = strspn(s, "0123456789.");
    AUTOFREE char *number = xstrndup(s, digits);
    double value = strtod(number, &end);
    if (*end || errno == ERANGE)
        return ERR_SYNTAX;
    const char *name = s + digits;
    name += strspn(name, " ");
    int64_t factor = *name ? 0 : bare;
    for (const struct unit *u = units; factor == 0 && u->name; u++)
        if (strcasecmp(u->name, name) == 0)
            factor = u->factor;
    if (factor == 0)
        return ERR_SYNTAX;
    double scaled = value * (double)factor;
    if (scaled >= 9.2e18)
        return -ERANGE;
    *ret_value = (int64_t)(scaled + 0.5);
    return 0;
}

int str_to_duration_us(const char *s, int64_t bare_unit_us, int64_t *ret_us)
{
    static const struct unit units[] = {
        {"us", 1},         {"ms", 1000},      {"s", 1000000},     {"sec", 1000000}, {"m", 60000000},
        {"min", 60000000}, {"h", 3600000000}, {"d", 86400000000}, {NULL, 0},
    };
    return to_scaled(s, units, bare_unit_us, ret_us);
}

int str_to_size(const char *s, int64_t *ret_bytes)
{
    static const struct unit units[] = {
        {"b", 1},         {"k", 1 << 10},    {"kb", 1 << 10},    {"kib", 1 << 10}, {"m", 1 << 20},
        {"mb", 1 << 20},  {"mib", 1 << 20},  {"g", 1 << 30},     {"gb", 1 << 30},  {"gib", 1 << 30},
        {"t", 1LL << 40}, {"tb", 1LL << 40}, {"tib", 1LL << 40}, {NULL, 0},
    };
    return to_scaled(s, units, 1, ret_bytes);
}

static unsigned min3(unsigned a, unsigned b, unsigned c)
{
    unsigned ab = a < b ? a : b;
    return ab < c ? ab : c;
}

unsigned str_distance(const char *a, const char *b)
{
    size_t la = strlen(a), lb = strlen(b);
    if (la > DISTANCE_MAX || lb > DISTANCE_MAX)
        return DISTANCE_MAX;
    unsigned rows[3][DISTANCE_MAX + 1];
    unsigned *before = rows[0], *last = rows[1], *row = rows[2];
    for (size_t j = 0; j <= lb; j++)
        last[j] = (unsigned)j;
    for (size_t i = 1; i <= la; i++) {
        row[0] = (unsigned)i;
        for (size_t j = 1; j <= lb; j++) {
            int ca = tolower((unsigned char)a[i - 1]), cb = tolower((unsigned char)b[j - 1]);
            row[j] = min3(last[j] + 1, row[j - 1] + 1, last[j - 1] + (ca != cb));
            bool swapped = i > 1 && j > 1 && ca == tolower((unsigned char)b[j - 2]) &&
                           cb == tolower((unsigned char)a[i - 2]);
            if (swapped && before[j - 2] + 1 < row[j])
                row[j] = before[j - 2] + 1;
        }
        unsigned *free_row = before;
        before = last;
        last = row;
        row = free_row;
    }
    return last[lb];
}

const char *str_nearest(const char *s, const char *const *candidates, size_t count)
{
    const char *best = NULL;
    size_t len = strlen(s);
    unsigned best_distance = (unsigned)len / 3 + 1;
    for (size_t i = 0; i < count; i++) {
        unsigned distance = str_distance(s, candidates[i]);
        /* DISTANCE_MAX says "far", whatever the length of `s` would forgive.  With half of it wrong it is another
         * word: "q" is no slip for "0". */
        if (distance >= DISTANCE_MAX || distance * 2 >= len)
            continue;
        if (distance <= best_distance && (!best || distance < best_distance)) {
            best = candidates[i];
            best_distance = distance;
        }
    }
    return best;
}

void strlist_add_taken(struct strlist *l, char *s)
{
    l->items = xreallocarray(l->items, l->count + 2, sizeof *l->items);
    l->items[l->count++] = s;
    l->items[l->count] = NULL;
}

void strlist_add(struct strlist *l, const char *s)
{
    strlist_add_taken(l, xstrdup(s));
}

void strlist_addf(struct strlist *l, const char *fmt, ...)
{
    char *s = NULL;
    va_list ap;
    va_start(ap, fmt);
    int len = vasprintf(&s, fmt, ap);
    va_end(ap);
    if (len < 0)
        abort();
    strlist_add_taken(l, s);
}

void strlist_copy(struct strlist *to, const struct strlist *from)
{
    for (size_t i = 0; i < from->count; i++)
        strlist_add(to, from->items[i]);
}

bool strlist_equal(const struct strlist *a, const struct strlist *b)
{
    if (a->count != b->count)
        return false;
    for (size_t i = 0; i < a->count; i++)
        if (strcmp(a->items[i], b->items[i]) != 0)
            return false;
    return true;
}

void strlist_clear(struct strlist *l)
{
    for (size_t i = 0; i < l->count; i++)
        free(l->items[i]);
    free(l->items);
    *l = (struct strlist){0};
}

static size_t env_index(const struct strlist *env, const char *name)
{
    size_t len = strlen(name);
    for (size_t i = 0; i < env->count; i++)
        if (strncmp(env->items[i], name, len) == 0 && env->items[i][len] == '=')
            return i;
    return env->count;
}

void env_set(struct strlist *env, const char *name, const char *value)
{
    char *entry = xasprintf("%s=%s", name, value);
    size_t i = env_index(env, name);
    if (i == env->count) {
        strlist_add_taken(env, entry);
        return;
    }
    free(env->items[i]);
    env->items[i] = entry;
}

void env_unset(struct strlist *env, const char *name)
{
    size_t i = env_index(env, name);
    if (i == env->count)
        return;
    free(env->items[i]);
    env->count--;
    /* The terminating NULL moves down with the rest. */
    memmove(env->items + i, env->items + i + 1, (env->count - i + 1) * sizeof *env->items);
}

const char *env_get(const struct strlist *env, const char *name)
{
    size_t i = env_index(env, name);
    return i == env->count ? NULL : env->items[i] + strlen(name) + 1;
}
