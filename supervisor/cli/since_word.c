#include "supervisor/cli/since_word.h"

#include <time.h>

#include "lib/base/auto.h"
#include "lib/base/err.h"
#include "lib/base/str.h"

/* Seconds since the epoch of one of these forms; -1: it is none. */
static int64_t read_date(const char *text, time_t now)
{
    static const char *const forms[] = {"%Y-%m-%d",       "%Y-%m-%d %H:%M",    "%Y-%m-%d %H:%M:%S",
                                        "%Y-%m-%dT%H:%M", "%Y-%m-%dT%H:%M:%S", "%H:%M",
                                        "%H:%M:%S"};
    for (size_t i = 0; i < ARRAY_SIZE(forms); i++) {
        struct tm today, tm = {.tm_isdst = -1};
        bool is_clock = forms[i][1] == 'H';
        if (is_clock && localtime_r(&now, &today))
            tm = (struct tm){.tm_year = today.tm_year,
                             .tm_mon = today.tm_mon,
                             .tm_mday = today.tm_mday,
                             .tm_isdst = -1};
        const char *end = strptime(text, forms[i], &tm);
        bool utc = end && !is_clock && str_eq(end, "Z");
        if (!end || (*end && !utc))
            continue;
        time_t t = utc ? timegm(&tm) : mktime(&tm);
        if (is_clock && t > now) {
            tm.tm_mday--;
            tm.tm_isdst = -1;
            t = mktime(&tm);
        }
        return t;
    }
    return -1;
}

int since_word(const char *text, int64_t now_ms, int64_t *ret_ms)
{
    int64_t us;
    if (str_to_duration_us(text, 1000000, &us) == 0) {
        *ret_ms = us / 1000 < now_ms ? now_ms - us / 1000 : 0;
        return 0;
    }
    int64_t seconds = read_date(text, (time_t)(now_ms / 1000));
    if (seconds < 0)
        return ERR_SYNTAX;
    *ret_ms = seconds * 1000;
    return 0;
}
