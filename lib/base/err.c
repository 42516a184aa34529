#include "lib/base/err.h"

#include <errno.h>
#include <string.h>

/* libuv's codes that are not -errno; named here so that libc-only programs need no libuv to print them. */
enum { CODE_UV_EOF = -4095 };

struct err_row {
    int value;
    const char *name;
    const char *text;
};

static const struct err_row rows[] = {
#define X(name, value, json, text) {value, json, text},
    ERR_LIST(X)
#undef X
        {CODE_UV_EOF, "EOF", "end of file"},
    {0, NULL, NULL},
};

static const struct err_row *find_value(int r)
{
    for (const struct err_row *row = rows; row->name; row++)
        if (row->value == r)
            return row;
    return NULL;
}

const char *err_str(int r)
{
    if (r >= 0)
        return "success";
    const struct err_row *row = find_value(r);
    if (row)
        return row->text;
    const char *text = strerrordesc_np(-r);
    return text ? text : "unknown error";
}

const char *err_name(int r)
{
    if (r >= 0)
        return "OK";
    const struct err_row *row = find_value(r);
    if (row)
        return row->name;
    const char *name = strerrorname_np(-r);
    return name ? name : "UNKNOWN";
}

int err_from_name(const char *name)
{
    for (const struct err_row *row = rows; row->name; row++)
        if (strcmp(row->name, name) == 0)
            return row->value;
    for (int e = 1; e < 134; e++) {
        const char *known = strerrorname_np(e);
        if (known && strcmp(known, name) == 0)
            return -e;
    }
    return ERR_FAILED;
}
