/* str.h -- small string helpers: comparison, parsing of numbers and durations, string lists. */
#pragma once

#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>

static inline bool str_eq(const char *a, const char *b)
{
    return a == b || (a && b && __builtin_strcmp(a, b) == 0);
}

bool str_starts(const char *s, const char *prefix);
bool str_ends(const char *s, const char *suffix);

/* A whole decimal number, nothing before or after it.  Returns 0, ERR_SYNTAX, or -ERANGE outside min..max. */
int str_to_int(const char *s, int64_t min, int64_t max, int64_t *ret_value);

/* A duration: "250", "250ms", "1.5s", "2m", "1h", "100us".  A bare number counts `bare_unit_us` microseconds each.
 * Returns 0 and microseconds, ERR_SYNTAX, or -ERANGE past ~292,000 years' worth of sense (INT64_MAX). */
int str_to_duration_us(const char *s, int64_t bare_unit_us, int64_t *ret_us);

/* A size: "512", "512K", "1.5G", "150MB", "64KiB" (1024-based).  Same errors. */
int str_to_size(const char *s, int64_t *ret_bytes);

/* Edit distance with swaps (Damerau-Levenshtein, optimal string alignment), case-insensitive, at most 64 characters each; longer counts as far. */
unsigned str_distance(const char *a, const char *b);

/* The candidate nearest to `s`, or NULL when none is near enough to be a slip of the pen. */
const char *str_nearest(const char *s, const char *const *candidates, size_t count);

/* A NULL-terminated, owned list of strings (argv, envp).  `items` is NULL while empty. */
struct strlist {
    char **items;
    size_t count;
};

void strlist_add(struct strlist *l, const char *s);
/* Takes `s`. */
void strlist_add_taken(struct strlist *l, char *s);
void strlist_addf(struct strlist *l, const char *fmt, ...) __attribute__((format(printf, 2, 3)));
void strlist_copy(struct strlist *to, const struct strlist *from);
bool strlist_equal(const struct strlist *a, const struct strlist *b);
void strlist_clear(struct strlist *l);
#define AUTOSTRLIST __attribute__((cleanup(strlist_clear)))

/* Environment lists ("NAME=value"): set replaces or adds; get returns the value or NULL (borrowed). */
void env_set(struct strlist *env, const char *name, const char *value);
void env_unset(struct strlist *env, const char *name);
const char *env_get(const struct strlist *env, const char *name);
