#include "ecosystem/cron.h"

#include <ctype.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <strings.h>

#include "ecosystem/words.h"
#include "ecosystem/zone.h"
#include "lib/base/auto.h"
#include "lib/base/err.h"
#include "lib/base/mem.h"
#include "lib/base/str.h"

enum { YEARS_AHEAD = 40, MINUTE_S = 60, HOUR_S = 3600, DAY_S = 86400 };

enum part { PART_SECOND, PART_MINUTE, PART_HOUR, PART_DAY, PART_MONTH, PART_WEEKDAY, PARTS };

struct part_kind {
    const char *name;
    int min, max;
    const char *words; /* of three letters each, the first means `min` */
};

// clang-format off
static const struct part_kind kinds[PARTS] = {
    [PART_SECOND] = {"second", 0, 59, NULL},
    [PART_MINUTE] = {"minute", 0, 59, NULL},
    [PART_HOUR] = {"hour", 0, 23, NULL},
    [PART_DAY] = {"day of the month", 1, 31, NULL},
    [PART_MONTH] = {"month", 1, 12, "JANFEBMARAPRMAYJUNJULAUGSEPOCTNOVDEC"},
    [PART_WEEKDAY] = {"day of the week", 0, 7, "SUNMONTUEWEDTHUFRISAT"},
};
static const char *const nicknames[][2] = {
    {"@yearly", "0 0 1 1 *"}, {"@annually", "0 0 1 1 *"}, {"@monthly", "0 0 1 * *"},
    {"@weekly", "0 0 * * 0"}, {"@daily", "0 0 * * *"}, {"@midnight", "0 0 * * *"},
    {"@hourly", "0 * * * *"},
};
// clang-format on

/* ---- parsing --------------------------------------------------------------------------------- */

struct parser {
    struct cron *cron;
    char *error; /* of CRON_ERROR_TEXT bytes */
};

static int refuse(const struct parser *ps, enum part part, const char *problem, const char *text)
{
    (void)snprintf(ps->error, CRON_ERROR_TEXT, "the %s \"%.40s\" %s", kinds[part].name, text,
                   problem);
    return ERR_SYNTAX;
}

static bool take_number(const struct part_kind *kind, const char **p, int *ret_value)
{
    int value = 0;
    if (isdigit((unsigned char)**p)) {
        while (isdigit((unsigned char)**p) && value <= kind->max)
            value = value * 10 + *(*p)++ - '0';
        *ret_value = value;
        return value >= kind->min && value <= kind->max;
    }
    for (int i = 0; kind->words && kind->words[(size_t)i * 3]; i++) {
        if (strncasecmp(*p, kind->words + (size_t)i * 3, 3) != 0)
            continue;
        *p += 3;
        *ret_value = kind->min + i;
        return !isalpha((unsigned char)**p) || **p == 'L' || **p == 'l';
    }
    return false;
}

static void set_bit(struct cron *c, enum part part, int value)
{
    switch (part) {
    case PART_SECOND:
        c->seconds |= 1ull << value;
        return;
    case PART_MINUTE:
        c->minutes |= 1ull << value;
        return;
    case PART_HOUR:
        c->hours |= 1u << value;
        return;
    case PART_DAY:
        c->days |= 1u << value;
        return;
    case PART_MONTH:
        c->months |= 1u << value;
        return;
    case PART_WEEKDAY:
        c->weekdays |= (uint8_t)(1u << value % 7);
        return;
    case PARTS:
        return;
    }
}

static int set_range(const struct parser *ps, enum part part, const char *item, const char *p,
                     const int range[2])
{
    int increment = 1;
    if (*p == '/') {
        char *end;
        p++;
        long value = isdigit((unsigned char)*p) ? strtol(p, &end, 10) : 0;
        if (value < 1 || value > kinds[part].max || *end)
            return refuse(ps, part, "has a step that cannot be", item);
        increment = (int)value;
        p = end;
    }
    if (*p)
        return refuse(ps, part, "cannot be understood", item);
    for (int i = range[0]; i <= range[1]; i += increment)
        set_bit(ps->cron, part, i);
    return 0;
}

/* MON#2, MONL; 1 when it is neither. */
static int parse_nth(const struct parser *ps, const char *item, const char *p, int weekday)
{
    bool last = (*p | 0x20) == 'l' && p[1] == '\0';
    bool nth = *p == '#' && p[1] >= '1' && p[1] <= '5' && p[2] == '\0';
    if (*p == '#' && !nth)
        return refuse(ps, PART_WEEKDAY, "has no number from 1 to 5 behind the #", item);
    if (!last && !nth)
        return 1;
    ps->cron->nth[last ? 0 : p[1] - '0'] |= (uint8_t)(1u << weekday % 7);
    return 0;
}

static int parse_item(const struct parser *ps, enum part part, const char *item)
{
    const struct part_kind *kind = &kinds[part];
    const char *p = item;
    int range[2] = {kind->min, part == PART_WEEKDAY ? 6 : kind->max};
    if (part == PART_DAY && strcasecmp(item, "L") == 0) {
        ps->cron->last_day = true;
        return 0;
    }
    if (*p == '*' || *p == '?')
        return set_range(ps, part, item, p + 1, range);
    if (!take_number(kind, &p, &range[0])) {
        char problem[48];
        (void)snprintf(problem, sizeof problem, "is not from %d to %d", kind->min, kind->max);
        return refuse(ps, part, problem, item);
    }
    int r = part == PART_WEEKDAY ? parse_nth(ps, item, p, range[0]) : 1;
    if (r <= 0)
        return r;
    range[1] = range[0];
    if (*p == '-') {
        p++;
        if (!take_number(kind, &p, &range[1]))
            return refuse(ps, part, "is a range without a good end", item);
        /* From Friday to Sunday. */
        if (part == PART_WEEKDAY && range[1] == 0)
            range[1] = 7;
        if (range[1] < range[0])
            return refuse(ps, part, "is a range that goes backwards", item);
    } else if (*p == '/') {
        return refuse(ps, part, "is a step without a range; write */N or FROM-TO/N", item);
    }
    return set_range(ps, part, item, p, range);
}

static int parse_part(const struct parser *ps, enum part part, const char *text)
{
    AUTOFREE char *copy = xstrdup(text);
    char *rest = copy;
    for (char *item; (item = strsep(&rest, ","));) {
        if (*item == '\0')
            return refuse(ps, part, "has an empty entry", text);
        int r = parse_item(ps, part, item);
        if (r < 0)
            return r;
    }
    return 0;
}

static bool is_all(const char *text)
{
    return str_eq(text, "*") || str_eq(text, "?");
}

static int parse_fields(const struct parser *ps, const struct strlist *fields)
{
    struct cron *c = ps->cron;
    size_t shift = fields->count == 5;
    c->fixed = true;
    for (size_t i = 0; i < fields->count; i++) {
        enum part part = (enum part)(i + shift);
        const char *text = fields->items[i];
        if (part == PART_WEEKDAY && *text == '+') {
            c->both_days = true;
            text++;
        }
        int r = parse_part(ps, part, text);
        if (r < 0)
            return r;
        if (part <= PART_HOUR && strpbrk(text, "*?-/"))
            c->fixed = false;
        if (part == PART_DAY)
            c->any_day = is_all(text);
        if (part == PART_WEEKDAY)
            c->any_weekday = is_all(text);
    }
    if (shift)
        c->seconds = 1;
    return 0;
}

static const char *expand(const char *text)
{
    for (size_t i = 0; i < ARRAY_SIZE(nicknames); i++)
        if (strcasecmp(text, nicknames[i][0]) == 0)
            return nicknames[i][1];
    return text;
}

int cron_parse(const char *text, struct cron *ret_cron, char reterr[static CRON_ERROR_TEXT])
{
    struct cron c = {0};
    const struct parser ps = {.cron = &c, .error = reterr};
    AUTOSTRLIST struct strlist fields = {0}, trimmed = {0};
    if (words_split(text, &trimmed) < 0 || trimmed.count == 0) {
        (void)snprintf(reterr, CRON_ERROR_TEXT, "it is empty or has a quote in it");
        return ERR_SYNTAX;
    }
    if (strcasecmp(trimmed.items[0], "@reboot") == 0) {
        (void)snprintf(reterr, CRON_ERROR_TEXT, "apps start with the host anyway");
        return ERR_SYNTAX;
    }
    (void)words_split(trimmed.count == 1 ? expand(trimmed.items[0]) : text, &fields);
    if (fields.count != 5 && fields.count != 6) {
        (void)snprintf(reterr, CRON_ERROR_TEXT, "it has %zu fields, and needs 5, or 6 with seconds",
                       fields.count);
        return ERR_SYNTAX;
    }
    int r = parse_fields(&ps, &fields);
    if (r < 0)
        return r;
    AUTOZONE struct zone *utc = NULL;
    int64_t next;
    r = zone_load("UTC", &utc);
    if (r < 0)
        return r;
    if (!cron_next(&c, utc, 0, &next)) {
        (void)snprintf(reterr, CRON_ERROR_TEXT, "such a day never comes");
        return ERR_SYNTAX;
    }
    *ret_cron = c;
    return 0;
}

bool cron_either_day(const struct cron *c)
{
    return !c->any_day && !c->any_weekday && !c->both_days;
}

/* ---- the next time --------------------------------------------------------------------------- */

static bool weekday_matches(const struct cron *c, const struct civil *t)
{
    unsigned bit = 1u << t->weekday;
    bool last = t->day + 7 > civil_month_days(t->year, t->month);
    return (c->weekdays & bit) || (c->nth[(t->day + 6) / 7] & bit) || (last && (c->nth[0] & bit));
}

static bool day_matches(const struct cron *c, const struct civil *t)
{
    bool last = t->day == civil_month_days(t->year, t->month);
    bool day = (c->days >> t->day & 1) || (c->last_day && last);
    bool weekday = weekday_matches(c, t);
    if (!(c->months >> t->month & 1))
        return false;
    return cron_either_day(c) ? day || weekday : day && weekday;
}

/* The lowest bit from `from` on, or -1. */
static int next_bit(uint64_t bits, int from)
{
    bits = from < 64 ? bits >> from << from : 0;
    return bits ? __builtin_ctzll(bits) : -1;
}

/* The first matching second of the day from `from` on, or -1. */
static int next_in_day(const struct cron *c, int from)
{
    for (int hour = next_bit(c->hours, from / HOUR_S); hour >= 0;
         hour = next_bit(c->hours, hour + 1)) {
        int rest = from > hour * HOUR_S ? from - hour * HOUR_S : 0;
        for (int minute = next_bit(c->minutes, rest / MINUTE_S); minute >= 0;
             minute = next_bit(c->minutes, minute + 1)) {
            int second =
                next_bit(c->seconds, rest > minute * MINUTE_S ? rest - minute * MINUTE_S : 0);
            if (second >= 0)
                return hour * HOUR_S + minute * MINUTE_S + second;
        }
    }
    return -1;
}

/* The first matching time on the wall in [from, until). */
static bool next_on_wall(const struct cron *c, int64_t from, int64_t until, int64_t *ret_wall)
{
    while (from < until) {
        struct civil t;
        civil_from_seconds(from, &t);
        int of_day = t.hour * HOUR_S + t.minute * MINUTE_S + t.second;
        int64_t day = from - of_day;
        if (!(c->months >> t.month & 1)) {
            from = t.month == 12 ? civil_seconds(t.year + 1, 1, 1)
                                 : civil_seconds(t.year, t.month + 1, 1);
            continue;
        }
        int found = day_matches(c, &t) ? next_in_day(c, of_day) : -1;
        if (found >= 0) {
            *ret_wall = day + found;
            return *ret_wall < until;
        }
        from = day + DAY_S;
    }
    return false;
}

/* What the clocks show once more at `at`: nothing before the returned time on the wall is new. */
static int64_t shown_before(const struct zone *z, int64_t at)
{
    int64_t repeated = INT64_MIN, unused, change;
    for (int64_t t = at - DAY_S; t < at; t = change) {
        int before = zone_offset(z, t, &change);
        if (change > at)
            break;
        if (zone_offset(z, change, &unused) < before)
            repeated = change + before;
    }
    return repeated;
}

/* Were clocks put forward at `at`, over a time that comes now? */
static bool left_out(const struct cron *c, const struct zone *z, int64_t at)
{
    int64_t unused, wall;
    int before = zone_offset(z, at - 1, &unused), offset = zone_offset(z, at, &unused);
    return c->fixed && offset > before && next_on_wall(c, at + before, at + offset, &wall);
}

/* Goes from one change of the clocks to the next; between them a second on the wall is one of time. */
bool cron_next(const struct cron *c, const struct zone *z, int64_t after_s, int64_t *ret_s)
{
    int64_t at = after_s + 1, limit = at + (int64_t)YEARS_AHEAD * 366 * DAY_S, until, wall;
    while (at < limit) {
        if (left_out(c, z, at)) {
            *ret_s = at;
            return true;
        }
        int offset = zone_offset(z, at, &until);
        int64_t from = at + offset, end = until < limit ? until : limit;
        int64_t repeated = c->fixed ? shown_before(z, at) : INT64_MIN;
        if (next_on_wall(c, from < repeated ? repeated : from, end + offset, &wall)) {
            *ret_s = wall - offset;
            return true;
        }
        at = end;
    }
    return false;
}
