#include "ecosystem/env_file.h"

#include <stdbool.h>
#include <stdlib.h>
#include <string.h>

#include "ecosystem/config_error.h"
#include "ecosystem/words.h"
#include "lib/base/auto.h"
#include "lib/base/buf.h"
#include "lib/base/err.h"
#include "lib/base/limits.h"
#include "lib/base/mem.h"
#include "lib/base/str.h"

static bool is_blank(char c)
{
    return c == ' ' || c == '\t' || c == '\r' || c == '\n' || c == '\v' || c == '\f';
}

/* A copy of the text without the blanks at both ends. */
static char *trimmed(const char *text, size_t len)
{
    while (len && is_blank(*text)) {
        text++;
        len--;
    }
    while (len && is_blank(text[len - 1]))
        len--;
    return xstrndup(text, len);
}

/* \n in double quotes. */
static char *unescape(char *text)
{
    char *to = text;
    for (const char *from = text; *from; from++) {
        bool line_feed = from[0] == '\\' && from[1] == 'n';
        *to++ = line_feed ? '\n' : *from;
        from += line_feed;
    }
    *to = '\0';
    return text;
}

/* The value behind '='; moves on to the end of its last line. */
static char *take_value(const char **text)
{
    const char *p = *text;
    while (*p == ' ' || *p == '\t')
        p++;
    const char *close = *p && strchr("\"'`", *p) ? strchr(p + 1, *p) : NULL;
    if (close) {
        char quote = *p;
        char *value = xstrndup(p + 1, (size_t)(close - p - 1));
        *text = close + strcspn(close, "\n");
        return quote == '"' ? unescape(value) : value;
    }
    size_t line = strcspn(p, "\n"), len = strcspn(p, "#\n");
    /* A quote without its end belongs to the value. */
    *text = p + line;
    return trimmed(p, len);
}

static char *take_name(const char *text, size_t len)
{
    static const char export[] = "export ";
    AUTOFREE char *name = trimmed(text, len);
    size_t skip = str_starts(name, export) ? sizeof export - 1 : 0;
    return trimmed(name + skip, strlen(name + skip));
}

static unsigned line_of(const char *text, const char *at)
{
    unsigned line = 1;
    for (; text < at; text++)
        line += *text == '\n';
    return line;
}

static int refuse(struct config_error *reterr, const char *text, const char *at, const char *name,
                  const char *problem)
{
    return config_error_set(reterr, ERR_INVALID, line_of(text, at), name, "%s", problem);
}

static int parse(const char *text, struct strlist *env, struct config_error *reterr)
{
    for (const char *p = text; *p;) {
        while (is_blank(*p))
            p++;
        const char *start = p;
        size_t line = strcspn(p, "\n"), equals = strcspn(p, "=\n");
        if (*p == '#' || p[equals] != '=') {
            p += line;
            continue;
        }
        AUTOFREE char *name = take_name(p, equals);
        p += equals + 1;
        AUTOFREE char *value = take_value(&p);
        if (!*name)
            continue;
        if (strlen(name) + strlen(value) + 1 >= LIMIT_STRING)
            return refuse(reterr, text, start, name,
                          "longer than the 128 KiB that the kernel allows for a variable");
        if (env->count >= LIMIT_LIST && !env_get(env, name))
            return refuse(reterr, text, start, NULL, "there are more than 4096 variables");
        env_set(env, name, value);
    }
    return 0;
}

int env_file_parse(const char *text, size_t len, struct strlist *env, struct config_error *reterr)
{
    static const char bom[] = "\xef\xbb\xbf";
    AUTOFREE char *copy = calloc(1, len + 1);
    if (!copy)
        return config_error_set(reterr, ERR_TOO_BIG, 0, NULL, "there is no memory for it");
    memcpy(copy, text, len);
    if (strlen(copy) != len)
        return refuse(reterr, copy, copy + strlen(copy), NULL, "contains a NUL character");
    if (!text_is_utf8(copy))
        return config_error_set(reterr, ERR_INVALID, 0, NULL, "is not UTF-8");
    return parse(copy + (str_starts(copy, bom) ? strlen(bom) : 0), env, reterr);
}
