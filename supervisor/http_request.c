#include "supervisor/http_request.h"

#include <string.h>
#include <strings.h>

#include "lib/base/auto.h"
#include "lib/base/limits.h"

struct text {
    const char *at;
    size_t len;
};

static bool is(struct text t, const char *s)
{
    return t.len == strlen(s) && memcmp(t.at, s, t.len) == 0;
}

static bool is_anyhow(struct text t, const char *s)
{
    return t.len == strlen(s) && strncasecmp(t.at, s, t.len) == 0;
}

/* Cuts the line that `rest` begins with off it; false: there is no whole one. */
static bool take_line(struct text *rest, struct text *ret_line)
{
    const char *end = memchr(rest->at, '\n', rest->len);
    if (!end)
        return false;
    size_t len = (size_t)(end - rest->at);
    *ret_line = (struct text){rest->at, len > 0 && end[-1] == '\r' ? len - 1 : len};
    rest->at += len + 1;
    rest->len -= len + 1;
    return true;
}

/* Cuts off what is before the next `c`; all of it when there is none. */
static struct text take_until(struct text *rest, char c)
{
    const char *end = memchr(rest->at, c, rest->len);
    struct text first = {rest->at, end ? (size_t)(end - rest->at) : rest->len};
    size_t gone = first.len + (end != NULL);
    rest->at += gone;
    rest->len -= gone;
    return first;
}

static struct text trim(struct text t)
{
    while (t.len > 0 && (t.at[0] == ' ' || t.at[0] == '\t')) {
        t.at++;
        t.len--;
    }
    while (t.len > 0 && (t.at[t.len - 1] == ' ' || t.at[t.len - 1] == '\t'))
        t.len--;
    return t;
}

static bool is_clean(struct text t)
{
    for (size_t i = 0; i < t.len; i++)
        if (((unsigned char)t.at[i] < 0x20 && t.at[i] != '\t') || t.at[i] == 0x7f)
            return false;
    return true;
}

static bool is_token(struct text t)
{
    static const char others[] = "!#$%&'*+-.^_`|~";
    for (size_t i = 0; i < t.len; i++) {
        char c = t.at[i];
        bool alnum = (c >= 'a' && c <= 'z') || (c >= 'A' && c <= 'Z') || (c >= '0' && c <= '9');
        if (!alnum && (c == '\0' || !strchr(others, c)))
            return false;
    }
    return t.len > 0;
}

/* ---- the request line ------------------------------------------------------------------------- */

static int read_request_line(struct text line, bool *ret_head_only)
{
    if (!is_clean(line))
        return 400;
    struct text method = take_until(&line, ' ');
    struct text target = take_until(&line, ' ');
    if (!is_token(method) || target.len == 0 || target.at[0] != '/')
        return 400;
    if (!is(line, "HTTP/1.1") && !is(line, "HTTP/1.0"))
        return line.len == 8 && memcmp(line.at, "HTTP/", 5) == 0 ? 505 : 400;
    *ret_head_only = is(method, "HEAD");
    if (!is(take_until(&target, '?'), "/metrics"))
        return 404;
    return is(method, "GET") || *ret_head_only ? 200 : 405;
}

/* ---- fields ----------------------------------------------------------------------------------- */

static bool is_port(struct text t)
{
    for (size_t i = 0; i < t.len; i++)
        if (t.at[i] < '0' || t.at[i] > '9')
            return false;
    return t.len > 0;
}

static bool is_our_name(struct text host)
{
    static const char *const names[] = {"localhost", "[::1]"};
    const char *colon = memrchr(host.at, ':', host.len);
    const char *bracket = memrchr(host.at, ']', host.len);
    if (colon && (!bracket || colon > bracket)) {
        struct text port = {colon + 1, (size_t)(host.at + host.len - colon - 1)};
        if (!is_port(port))
            return false;
        host.len = (size_t)(colon - host.at);
    }
    for (size_t i = 0; i < ARRAY_SIZE(names); i++)
        if (is_anyhow(host, names[i]))
            return true;
    /* 127.x.y.z: a name with a letter in it might be anybody's. */
    if (host.len < 7 || memcmp(host.at, "127.", 4) != 0)
        return false;
    for (size_t i = 0; i < host.len; i++)
        if (host.at[i] != '.' && (host.at[i] < '0' || host.at[i] > '9'))
            return false;
    return true;
}

/* 200 when the field may stand there. */
static int read_field(struct text line, unsigned *hosts)
{
    if (!is_clean(line) || !memchr(line.at, ':', line.len))
        return 400;
    struct text name = take_until(&line, ':');
    struct text value = trim(line);
    if (!is_token(name))
        return 400;
    if (is_anyhow(name, "Transfer-Encoding"))
        return 400;
    if (is_anyhow(name, "Content-Length") && !is(value, "0"))
        return 400;
    if (!is_anyhow(name, "Host"))
        return 200;
    if (++*hosts > 1)
        return 400;
    return is_our_name(value) ? 200 : 403;
}

int http_request_status(const char *bytes, size_t len, bool *ret_head_only)
{
    struct text rest = {bytes, len}, line;
    unsigned hosts = 0;
    bool head_only = false;
    if (len == 0 || !take_line(&rest, &line))
        return len >= LIMIT_METRICS_HEAD ? 431 : 0;
    int status = read_request_line(line, &head_only);
    for (;;) {
        if (rest.len == 0 || !take_line(&rest, &line))
            return len >= LIMIT_METRICS_HEAD ? 431 : 0;
        if (line.len == 0)
            break;
        int r = read_field(line, &hosts);
        if (r != 200 && (status == 200 || r == 400))
            status = r;
    }
    *ret_head_only = head_only;
    return status == 200 && hosts == 0 ? 400 : status;
}

const char *http_request_reason(int status)
{
    static const struct {
        int status;
        const char *reason;
    } reasons[] = {
        {200, "OK"},
        {400, "Bad Request"},
        {403, "Forbidden"},
        {404, "Not Found"},
        {405, "Method Not Allowed"},
        {431, "Request Header Fields Too Large"},
        {500, "Internal Server Error"},
        {505, "HTTP Version Not Supported"},
    };
    for (size_t i = 0; i < ARRAY_SIZE(reasons); i++)
        if (reasons[i].status == status)
            return reasons[i].reason;
    return "Error";
}
