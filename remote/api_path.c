#include "remote/api_path.h"

#include <ctype.h>
#include <stdlib.h>
#include <string.h>

#include "lib/base/auto.h"
#include "lib/base/mem.h"
#include "lib/base/utf8.h"

static int hex_digit(char c)
{
    if (c >= '0' && c <= '9')
        return c - '0';
    c = (char)tolower((unsigned char)c);
    return c >= 'a' && c <= 'f' ? c - 'a' + 10 : -1;
}

/* One character at text[*i], or -1. */
static int decode_one(const char *text, size_t len, size_t *i, bool plus)
{
    if (plus && text[*i] == '+')
        return ' ';
    if (text[*i] != '%')
        return (unsigned char)text[*i];
    if (len - *i < 3)
        return -1;
    int high = hex_digit(text[*i + 1]), low = hex_digit(text[*i + 2]);
    *i += 2;
    return high < 0 || low < 0 ? -1 : high * 16 + low;
}

static bool is_utf8(const char *text, size_t len)
{
    for (int n; len > 0; text += n, len -= (size_t)n)
        if ((n = utf8_char(text, len)) <= 0)
            return false;
    return true;
}

char *api_decode(const char *text, size_t len, bool plus)
{
    AUTOFREE char *out = xcalloc(1, API_PARAM_MAX + 1);
    size_t n = 0;
    for (size_t i = 0; i < len; i++) {
        int c = decode_one(text, len, &i, plus);
        if (c <= 0 || n == API_PARAM_MAX)
            return NULL;
        out[n++] = (char)c;
    }
    return is_utf8(out, n) ? TAKE(out) : NULL;
}

static void clear_params(char **params)
{
    for (size_t i = 0; i < API_PARAMS; i++) {
        free(params[i]);
        params[i] = NULL;
    }
}

/* The piece of the path at {…}. */
static bool take_param(const char **pattern, const char **path, char **ret_param)
{
    size_t len = strcspn(*path, "/");
    if (len == 0)
        return false;
    *ret_param = api_decode(*path, len, false);
    *path += len;
    *pattern += strcspn(*pattern, "}") + 1;
    return *ret_param != NULL;
}

bool api_path_match(const char *pattern, const char *path, char *ret_params[static API_PARAMS])
{
    char *params[API_PARAMS] = {NULL};
    size_t count = 0;
    bool fits = true;
    while (fits && *pattern) {
        if (*pattern == '{')
            fits = count < API_PARAMS && take_param(&pattern, &path, &params[count++]);
        else
            fits = *pattern++ == *path++;
    }
    if (!fits || *path) {
        clear_params(params);
        return false;
    }
    memcpy(ret_params, params, sizeof params);
    return true;
}

/* Where the value of the first member of that name begins; NULL: none. */
static const char *find_member(const char *query, const char *name, size_t *ret_len)
{
    size_t name_len = strlen(name);
    for (const char *at = query;; at++) {
        size_t len = strcspn(at, "&");
        if (len >= name_len && strncmp(at, name, name_len) == 0 &&
            (len == name_len || at[name_len] == '=')) {
            size_t skip = len == name_len ? len : name_len + 1;
            *ret_len = len - skip;
            return at + skip;
        }
        at += len;
        if (!*at)
            return NULL;
    }
}

char *api_query_member(const char *query, const char *name)
{
    size_t len;
    const char *value = find_member(query, name, &len);
    return value ? api_decode(value, len, true) : NULL;
}

bool api_query_has(const char *query, const char *name)
{
    size_t len;
    return find_member(query, name, &len) != NULL;
}

char *api_cookie(const char *header, const char *name)
{
    size_t name_len = strlen(name);
    for (const char *at = header; *at;) {
        at += strspn(at, " \t");
        size_t len = strcspn(at, ";");
        if (len > name_len && strncmp(at, name, name_len) == 0 && at[name_len] == '=') {
            const char *value = at + name_len + 1;
            size_t value_len = len - name_len - 1;
            while (value_len > 0 && (value[value_len - 1] == ' ' || value[value_len - 1] == '\t'))
                value_len--;
            return xstrndup(value, value_len);
        }
        at += len;
        at += *at == ';';
    }
    return NULL;
}
