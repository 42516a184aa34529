#include "supervisor/cli/text.h"

#include <stdio.h>
#include <string.h>
#include <time.h>

#include "lib/base/auto.h"
#include "lib/base/utf8.h"

/* ---- width ----------------------------------------------------------------------------------- */

struct range {
    uint32_t first, last;
};

/* Marks that join the character before them.  Not every script's, but those that names and messages
 * have. */
static const struct range zero_wide[] = {
    {0x0300, 0x036f}, {0x0483, 0x0489}, {0x0591, 0x05bd}, {0x064b, 0x065f},   {0x0e34, 0x0e3a},
    {0x0e47, 0x0e4e}, {0x1ab0, 0x1aff}, {0x1dc0, 0x1dff}, {0x200b, 0x200f},   {0x20d0, 0x20ff},
    {0x302a, 0x302f}, {0xfe00, 0xfe0f}, {0xfe20, 0xfe2f}, {0xe0100, 0xe01ef},
};

static const struct range two_wide[] = {
    {0x1100, 0x115f},   {0x231a, 0x231b},   {0x23e9, 0x23ec},   {0x2614, 0x2615},
    {0x26a1, 0x26a1},   {0x2705, 0x2705},   {0x274c, 0x274c},   {0x2e80, 0x303e},
    {0x3041, 0xa4cf},   {0xac00, 0xd7a3},   {0xf900, 0xfaff},   {0xfe30, 0xfe6f},
    {0xff00, 0xff60},   {0xffe0, 0xffe6},   {0x1f300, 0x1f64f}, {0x1f680, 0x1f6ff},
    {0x1f900, 0x1f9ff}, {0x20000, 0x3fffd},
};

static int in_ranges(uint32_t c, const struct range *ranges, size_t count)
{
    for (size_t i = 0; i < count; i++)
        if (c >= ranges[i].first && c <= ranges[i].last)
            return 1;
    return 0;
}

static uint32_t decode(const char *p, int len)
{
    const unsigned char *u = (const unsigned char *)p;
    if (len == 1)
        return u[0];
    uint32_t c = u[0] & (0xffu >> (len + 1));
    for (int i = 1; i < len; i++)
        c = c << 6 | (u[i] & 0x3fu);
    return c;
}

/* The length of the character at `p` and its columns. */
static size_t next_char(const char *p, size_t left, unsigned *ret_columns)
{
    int len = utf8_char(p, left);
    *ret_columns = 1;
    if (len <= 1)
        return 1;
    uint32_t c = decode(p, len);
    if (in_ranges(c, zero_wide, ARRAY_SIZE(zero_wide)))
        *ret_columns = 0;
    else if (in_ranges(c, two_wide, ARRAY_SIZE(two_wide)))
        *ret_columns = 2;
    return (size_t)len;
}

unsigned text_width(const char *s)
{
    unsigned width = 0, columns;
    size_t left = strlen(s);
    for (size_t n; left > 0; s += n, left -= n) {
        n = next_char(s, left, &columns);
        width += columns;
    }
    return width;
}

size_t text_fit(const char *s, unsigned columns)
{
    size_t left = strlen(s), used = 0;
    while (left > 0) {
        unsigned more;
        size_t n = next_char(s + used, left, &more);
        if (more > columns)
            break;
        columns -= more;
        used += n;
        left -= n;
    }
    return used;
}

void text_make_safe(char *s)
{
    size_t left = strlen(s);
    while (left > 0) {
        int len = utf8_char(s, left);
        unsigned char c = (unsigned char)*s;
        /* U+0080 to U+009F are control characters too. */
        int control = len == 1   ? (c < 0x20 && c != '\n' && c != '\t') || c == 0x7f
                      : len == 2 ? c == 0xc2 && (unsigned char)s[1] < 0xa0
                                 : 0;
        size_t n = len > 0 ? (size_t)len : 1;
        if (control || len <= 0)
            memset(s, '?', n);
        s += n;
        left -= n;
    }
}

/* ---- numbers --------------------------------------------------------------------------------- */

const char *text_age(int64_t ms, char out[static TEXT_SHORT])
{
    long long s = ms < 0 ? 0 : ms / 1000;
    if (s < 60)
        (void)snprintf(out, TEXT_SHORT, "%llds", s);
    else if (s < 3600)
        (void)snprintf(out, TEXT_SHORT, "%lldm", s / 60);
    else if (s < 2LL * 86400)
        (void)snprintf(out, TEXT_SHORT, "%lldh", s / 3600);
    else
        (void)snprintf(out, TEXT_SHORT, "%lldd", s / 86400);
    return out;
}

const char *text_seconds(int64_t ms, char out[static TEXT_SHORT])
{
    if (ms < 0)
        ms = 0;
    if (ms < 120000)
        (void)snprintf(out, TEXT_SHORT, "%.1f s", (double)ms / 1000);
    else
        (void)snprintf(out, TEXT_SHORT, "%lld min %lld s", (long long)ms / 60000,
                       (long long)ms % 60000 / 1000);
    return out;
}

const char *text_bytes(int64_t bytes, char out[static TEXT_SHORT])
{
    static const char units[] = "BKMGTP";
    double value = (double)(bytes < 0 ? 0 : bytes);
    size_t unit = 0;
    /* 1023.95 would be shown as 1024.0 */
    while (value >= 1023.95 && unit + 2 < sizeof units) {
        value /= 1024;
        unit++;
    }
    (void)snprintf(out, TEXT_SHORT, unit == 0 || value >= 99.95 ? "%.0f%c" : "%.1f%c", value,
                   units[unit]);
    return out;
}

const char *text_percent(double percent, char out[static TEXT_SHORT])
{
    (void)snprintf(out, TEXT_SHORT, percent < 9.95 ? "%.1f%%" : "%.0f%%",
                   percent < 0 ? 0 : percent);
    return out;
}

const char *text_micros(int64_t us, char out[static TEXT_SHORT])
{
    if (us < 1000)
        (void)snprintf(out, TEXT_SHORT, "%lld us", (long long)us);
    else if (us < 1000000)
        (void)snprintf(out, TEXT_SHORT, "%.1f ms", (double)us / 1e3);
    else
        (void)snprintf(out, TEXT_SHORT, "%.1f s", (double)us / 1e6);
    return out;
}

const char *text_clock(int64_t epoch_ms, int millis, char out[static TEXT_SHORT])
{
    time_t seconds = (time_t)(epoch_ms / 1000);
    struct tm tm;
    (void)localtime_r(&seconds, &tm);
    size_t n = strftime(out, TEXT_SHORT, millis ? "%Y-%m-%dT%H:%M:%S" : "%Y-%m-%d %H:%M:%S", &tm);
    if (millis)
        (void)snprintf(out + n, TEXT_SHORT - n, ".%03d", (int)(epoch_ms % 1000));
    return out;
}

const char *text_utc(int64_t epoch_ms, char out[static TEXT_SHORT])
{
    time_t seconds = (time_t)(epoch_ms / 1000);
    struct tm tm;
    (void)gmtime_r(&seconds, &tm);
    size_t n = strftime(out, TEXT_SHORT, "%Y-%m-%dT%H:%M:%S", &tm);
    (void)snprintf(out + n, TEXT_SHORT - n, ".%03dZ", (int)(epoch_ms % 1000));
    return out;
}
