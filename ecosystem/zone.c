#include "ecosystem/zone.h"

#include <ctype.h>
#include <stdlib.h>
#include <string.h>

#include "lib/base/auto.h"
#include "lib/base/buf.h"
#include "lib/base/err.h"
#include "lib/base/limits.h"
#include "lib/base/mem.h"
#include "lib/base/path.h"
#include "lib/base/str.h"

enum { DAY_S = 86400 };

/* A day of the year on which summer time begins or ends, as in a POSIX TZ text. */
struct change {
    char form; /* 'M' month.week.weekday, 'J' day 1..365 without 29 February, 'N' day 0..365 */
    int month, week, day; /* of 'J' and 'N' only day */
    int time_s;           /* on the wall of before */
};

/* What holds after the last transition of the table. */
struct rule {
    bool has_summer;
    int standard, summer; /* offsets */
    struct change start, end;
};

struct zone {
    size_t count;
    int64_t *times; /* from times[i] on offsets[i] is in force */
    int *offsets;
    int first; /* before times[0] */
    struct rule rule;
};

/* ---- the calendar ---------------------------------------------------------------------------- */

static bool is_leap(int64_t year)
{
    return (year % 4 == 0 && year % 100 != 0) || year % 400 == 0;
}

int civil_month_days(int64_t year, int month)
{
    static const int days[] = {31, 28, 31, 30, 31, 30, 31, 31, 30, 31, 30, 31};
    return days[month - 1] + (month == 2 && is_leap(year));
}

static int64_t floor_div(int64_t a, int64_t b)
{
    return a / b - (a % b < 0);
}

/* Days are counted in eras of 400 years that begin on 1 March, so that a leap day is the last. */
int64_t civil_seconds(int64_t year, int month, int day)
{
    int64_t y = month <= 2 ? year - 1 : year;
    int64_t era = floor_div(y, 400), of_era = y - era * 400;
    int64_t of_year = (153 * (month + (month > 2 ? -3 : 9)) + 2) / 5 + day - 1;
    int64_t days = of_era * 365 + of_era / 4 - of_era / 100 + of_year;
    return (era * 146097 + days - 719468) * DAY_S;
}

void civil_from_seconds(int64_t seconds, struct civil *ret_civil)
{
    int64_t day = floor_div(seconds, DAY_S), rest = seconds - day * DAY_S;
    int64_t z = day + 719468, era = floor_div(z, 146097), of_era = z - era * 146097;
    int64_t y = (of_era - of_era / 1460 + of_era / 36524 - of_era / 146096) / 365;
    int64_t of_year = of_era - (365 * y + y / 4 - y / 100);
    int64_t m = (5 * of_year + 2) / 153;
    *ret_civil = (struct civil){
        .year = y + era * 400 + (m >= 10),
        .month = (int)(m < 10 ? m + 3 : m - 9),
        .day = (int)(of_year - (153 * m + 2) / 5 + 1),
        .weekday = (int)((day + 4) - floor_div(day + 4, 7) * 7),
        .hour = (int)(rest / 3600),
        .minute = (int)(rest / 60 % 60),
        .second = (int)(rest % 60),
    };
}

/* ---- the rule for the time after the table --------------------------------------------------- */

/* The abbreviation of a zone, which nobody needs. */
static bool skip_abbreviation(const char **p)
{
    const char *start = *p;
    if (**p == '<') {
        while (**p && **p != '>')
            ++*p;
        return *(*p)++ == '>';
    }
    while (isalpha((unsigned char)**p))
        ++*p;
    return *p - start >= 3;
}

static bool take_number(const char **p, int max, int *ret_value)
{
    int value = 0;
    if (!isdigit((unsigned char)**p))
        return false;
    while (isdigit((unsigned char)**p) && value <= max)
        value = value * 10 + *(*p)++ - '0';
    *ret_value = value;
    return value <= max;
}

/* [+-]hh[:mm[:ss]] */
static bool take_time(const char **p, int *ret_seconds)
{
    int parts[3] = {0}, sign = **p == '-' ? -1 : 1;
    *p += **p == '-' || **p == '+';
    for (int i = 0; i < 3; i++) {
        if (i > 0 && **p != ':')
            break;
        *p += i > 0;
        if (!take_number(p, i ? 59 : 167, &parts[i]))
            return false;
    }
    *ret_seconds = sign * (parts[0] * 3600 + parts[1] * 60 + parts[2]);
    return true;
}

static bool take_change(const char **p, struct change *c)
{
    *c = (struct change){.form = 'N', .time_s = 7200};
    if (*(*p)++ != ',')
        return false;
    if (**p == 'M' || **p == 'J')
        c->form = *(*p)++;
    bool good = true;
    if (c->form == 'M') {
        good = take_number(p, 12, &c->month) && *(*p)++ == '.' && take_number(p, 5, &c->week);
        good = good && *(*p)++ == '.' && c->month > 0 && c->week > 0;
    }
    good = good && take_number(p, c->form == 'M' ? 6 : 365, &c->day);
    if (good && c->form == 'J')
        good = c->day > 0;
    if (!good || **p != '/')
        return good;
    ++*p;
    return take_time(p, &c->time_s);
}

/* "CET-1CEST,M3.5.0,M10.5.0/3" */
static bool read_rule(const char *p, struct rule *ret_rule)
{
    struct rule r = {0};
    if (!skip_abbreviation(&p) || !take_time(&p, &r.standard))
        return false;
    r.standard = -r.standard;
    r.summer = r.standard + 3600;
    if (*p) {
        r.has_summer = true;
        if (!skip_abbreviation(&p))
            return false;
        if (*p && *p != ',') {
            if (!take_time(&p, &r.summer))
                return false;
            r.summer = -r.summer;
        }
        if (!take_change(&p, &r.start) || !take_change(&p, &r.end))
            return false;
    }
    *ret_rule = r;
    return *p == '\0';
}

/* The time of a change on the wall. */
static int64_t change_in(const struct change *c, int64_t year)
{
    if (c->form != 'M') {
        bool later = c->form == 'J' && is_leap(year) && c->day >= 60;
        int day = c->form == 'J' ? c->day - 1 + later : c->day;
        return civil_seconds(year, 1, 1) + (int64_t)day * DAY_S + c->time_s;
    }
    struct civil first;
    int64_t start = civil_seconds(year, c->month, 1);
    civil_from_seconds(start, &first);
    int day = 1 + (c->day - first.weekday + 7) % 7 + (c->week - 1) * 7;
    while (day > civil_month_days(year, c->month))
        day -= 7;
    return start + (int64_t)(day - 1) * DAY_S + c->time_s;
}

static int rule_offset(const struct rule *r, int64_t time_s, int64_t *ret_until)
{
    *ret_until = INT64_MAX;
    if (!r->has_summer)
        return r->standard;
    struct civil now;
    civil_from_seconds(time_s, &now);
    int offset = r->standard;
    int64_t latest = INT64_MIN;
    /* The last change that is over and the first that is not, among those of three years. */
    for (int64_t year = now.year - 1; year <= now.year + 1; year++) {
        int64_t start = change_in(&r->start, year) - r->standard;
        int64_t end = change_in(&r->end, year) - r->summer;
        const int64_t at[] = {start, end};
        for (int i = 0; i < 2; i++) {
            if (at[i] <= time_s && at[i] >= latest) {
                latest = at[i];
                offset = i == 0 ? r->summer : r->standard;
            }
            if (at[i] > time_s && at[i] < *ret_until)
                *ret_until = at[i];
        }
    }
    return offset;
}

/* ---- files ----------------------------------------------------------------------------------- */

/* RFC 8536: a header and a block with times of 32 bits, then the same with 64, then the rule. */
struct header {
    uint32_t isut, isstd, leap, times, types, chars;
};

static uint32_t be32(const unsigned char *p)
{
    return (uint32_t)p[0] << 24 | (uint32_t)p[1] << 16 | (uint32_t)p[2] << 8 | p[3];
}

static int64_t be64(const unsigned char *p)
{
    return (int64_t)((uint64_t)be32(p) << 32 | be32(p + 4));
}

enum { HEADER_SIZE = 44, COUNT_MAX = 100000 };

static bool read_header(const unsigned char *p, size_t len, struct header *h)
{
    if (len < HEADER_SIZE || memcmp(p, "TZif", 4) != 0)
        return false;
    *h = (struct header){.isut = be32(p + 20),
                         .isstd = be32(p + 24),
                         .leap = be32(p + 28),
                         .times = be32(p + 32),
                         .types = be32(p + 36),
                         .chars = be32(p + 40)};
    return h->isut <= COUNT_MAX && h->isstd <= COUNT_MAX && h->leap <= COUNT_MAX &&
           h->times <= COUNT_MAX && h->types > 0 && h->types <= 256 && h->chars <= COUNT_MAX;
}

static size_t block_size(const struct header *h, size_t time_size)
{
    return h->times * (time_size + 1) + (size_t)h->types * 6 + h->chars +
           h->leap * (time_size + 4) + h->isstd + h->isut;
}

static bool read_block(const unsigned char *p, const struct header *h, struct zone *z)
{
    const unsigned char *indexes = p + (size_t)h->times * 8, *types = indexes + h->times;
    z->times = xcalloc(h->times + 1, sizeof *z->times);
    z->offsets = xcalloc(h->times + 1, sizeof *z->offsets);
    z->first = (int)be32(types);
    for (size_t i = 0; i < h->times; i++) {
        z->times[i] = be64(p + i * 8);
        if (indexes[i] >= h->types || (i > 0 && z->times[i] <= z->times[i - 1]))
            return false;
        z->offsets[i] = (int)be32(types + (size_t)indexes[i] * 6);
        if (abs(z->offsets[i]) > 7 * DAY_S)
            return false;
    }
    z->count = h->times;
    return abs(z->first) <= 7 * DAY_S;
}

/* Between two line feeds; an empty one leaves what the table ends with. */
static bool read_footer(const unsigned char *p, size_t len, struct zone *z)
{
    if (len < 2 || p[0] != '\n')
        return false;
    const unsigned char *end = memchr(p + 1, '\n', len - 1);
    if (!end)
        return false;
    AUTOFREE char *text = xstrndup((const char *)p + 1, (size_t)(end - p - 1));
    if (*text)
        return read_rule(text, &z->rule);
    z->rule.standard = z->count ? z->offsets[z->count - 1] : z->first;
    return true;
}

static bool parse(const unsigned char *p, size_t len, struct zone *z)
{
    struct header h;
    if (!read_header(p, len, &h) || p[4] < '2')
        return false;
    size_t skip = HEADER_SIZE + block_size(&h, 4);
    if (skip > len || !read_header(p + skip, len - skip, &h))
        return false;
    p += skip + HEADER_SIZE;
    len -= skip + HEADER_SIZE;
    size_t size = block_size(&h, 8);
    return size <= len && read_block(p, &h, z) && read_footer(p + size, len - size, z);
}

int zone_parse(const char *data, size_t len, struct zone **ret_zone)
{
    AUTOZONE struct zone *z = xcalloc(1, sizeof *z);
    if (!parse((const unsigned char *)data, len, z))
        return ERR_INVALID;
    *ret_zone = TAKE(z);
    return 0;
}

void zone_free(struct zone *z)
{
    if (!z)
        return;
    free(z->times);
    free(z->offsets);
    free(z);
}

static int load_file(const char *path, struct zone **ret_zone)
{
    AUTOBUF struct buf data = BUF_INIT(LIMIT_ZONE_FILE);
    int r = path_read(path, &data);
    if (r < 0)
        return ERR_NOT_FOUND;
    return zone_parse(buf_str(&data), data.len, ret_zone);
}

/* A name must not lead out of the folder. */
static bool is_good_name(const char *name)
{
    if (!isalpha((unsigned char)*name) || strlen(name) > 100 || strstr(name, ".."))
        return false;
    for (; *name; name++)
        if (!isalnum((unsigned char)*name) && !strchr("_+-/", *name))
            return false;
    return true;
}

static struct zone *utc(void)
{
    return xcalloc(1, sizeof(struct zone));
}

static int load_host(struct zone **ret_zone)
{
    const char *tz = getenv("TZ");
    if (tz && *tz == ':')
        tz++;
    if (tz && is_good_name(tz) && zone_load(tz, ret_zone) == 0)
        return 0;
    struct zone *z = utc();
    bool good = tz && *tz ? read_rule(tz, &z->rule) : true;
    if (good && tz) {
        *ret_zone = z;
        return 0;
    }
    if (load_file(tz && *tz == '/' ? tz : "/etc/localtime", ret_zone) < 0)
        *ret_zone = z;
    else
        zone_free(z);
    return 0;
}

int zone_load(const char *name, struct zone **ret_zone)
{
    const char *folder = getenv("TZDIR");
    if (!name)
        return load_host(ret_zone);
    if (str_eq(name, "UTC")) {
        *ret_zone = utc();
        return 0;
    }
    if (!is_good_name(name))
        return ERR_NOT_FOUND;
    AUTOFREE char *path = path_join(folder && *folder ? folder : "/usr/share/zoneinfo", name);
    return load_file(path, ret_zone);
}

/* ---- offsets --------------------------------------------------------------------------------- */

int zone_offset(const struct zone *z, int64_t time_s, int64_t *ret_until)
{
    size_t low = 0, high = z->count;
    while (low < high) {
        size_t middle = (low + high) / 2;
        if (z->times[middle] <= time_s)
            low = middle + 1;
        else
            high = middle;
    }
    if (low == z->count && time_s >= (z->count ? z->times[z->count - 1] : INT64_MIN))
        return rule_offset(&z->rule, time_s, ret_until);
    *ret_until = z->times[low];
    return low ? z->offsets[low - 1] : z->first;
}
