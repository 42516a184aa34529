#include "remote/http_head.h"

#include <ctype.h>
#include <stdlib.h>
#include <string.h>
#include <strings.h>

#include "lib/base/auto.h"
#include "lib/base/mem.h"
#include "lib/base/str.h"
#include "lib/secure/hash.h"

/* Lines of one head. Browsers send twenty. */
enum { LINES_MAX = 100 };

static const struct {
    const char *name;
    char join;
} fields[] = {
#define X(field, name, join) {name, join},
    HTTP_FIELDS(X)
#undef X
};

size_t http_head_length(const char *data, size_t len, size_t from)
{
    /* The end may lie across what was looked at before. */
    size_t at = from > 3 ? from - 3 : 0;
    const char *end = len > at ? memmem(data + at, len - at, "\r\n\r\n", 4) : NULL;
    return end ? (size_t)(end - data) + 4 : 0;
}

/* ---- characters ------------------------------------------------------------------------------ */

static bool is_token_char(char c)
{
    return isalnum((unsigned char)c) || (c != '\0' && strchr("!#$%&'*+-.^_`|~", c));
}

static bool is_token(const char *text)
{
    if (!*text)
        return false;
    for (; *text; text++)
        if (!is_token_char(*text))
            return false;
    return true;
}

/* Printable, escapes of two digits, no zero byte. */
static bool is_sound_target(const char *text)
{
    for (; *text; text++) {
        if (*text <= ' ' || *text > '~' || *text == '#')
            return false;
        if (*text == '%' && (!isxdigit((unsigned char)text[1]) ||
                             !isxdigit((unsigned char)text[2]) || strncmp(text, "%00", 3) == 0))
            return false;
    }
    return true;
}

/* Bytes past ASCII are somebody's names; control characters are nobody's. */
static bool is_sound_value(const char *text)
{
    for (; *text; text++)
        if (((unsigned char)*text < ' ' && *text != '\t') || *text == 127)
            return false;
    return true;
}

/* ---- lines ----------------------------------------------------------------------------------- */

/* Ends the line that begins at `*at` with a NUL, and moves on; NULL past the last, which is
 * empty. */
static char *next_line(char **at)
{
    char *line = *at;
    char *end = strstr(line, "\r\n");
    if (!end || end == line)
        return NULL;
    *end = '\0';
    *at = end + 2;
    return line;
}

static bool is_version(const char *text)
{
    return strlen(text) == 8 && str_starts(text, "HTTP/") && isdigit((unsigned char)text[5]) &&
           text[6] == '.' && isdigit((unsigned char)text[7]);
}

static int parse_first_line(char *line, struct http_head *h, const char **reterr_text)
{
    char *target = strchr(line, ' ');
    char *version = target ? strchr(target + 1, ' ') : NULL;
    *reterr_text = "the first line is no request";
    if (!version)
        return 400;
    *target++ = '\0';
    *version++ = '\0';
    if (!is_token(line))
        return 400;
    h->minor_0 = str_eq(version, "HTTP/1.0");
    if (!h->minor_0 && !str_eq(version, "HTTP/1.1")) {
        *reterr_text = "only HTTP 1.1 is spoken here";
        return is_version(version) ? 505 : 400;
    }
    *reterr_text = "the target is no path, or has an unsound escape in it";
    if (target[0] != '/' || !is_sound_target(target))
        return 400;
    char *question = strchr(target, '?');
    h->method = line;
    h->path = target;
    h->query = question ? question + 1 : target + strlen(target);
    if (question)
        *question = '\0';
    return 0;
}

static char *trim(char *text)
{
    text += strspn(text, " \t");
    size_t len = strlen(text);
    while (len > 0 && (text[len - 1] == ' ' || text[len - 1] == '\t'))
        text[--len] = '\0';
    return text;
}

/* Wiped, as cookies and tokens are among them. */
static void free_value(char *value)
{
    if (value)
        secret_wipe(value, strlen(value));
    free(value);
}

static int keep(struct http_head *h, enum http_field field, const char *value,
                const char **reterr_text)
{
    char *old = h->fields[field];
    if (!old) {
        h->fields[field] = xstrdup(value);
        return 0;
    }
    *reterr_text = "a header that may come once comes twice";
    if (fields[field].join == '\0')
        return 400;
    h->fields[field] = xasprintf("%s%c %s", old, fields[field].join, value);
    free_value(old);
    return 0;
}

static int parse_field(char *line, struct http_head *h, const char **reterr_text)
{
    char *colon = strchr(line, ':');
    *reterr_text = "a header line is malformed";
    if (!colon)
        return 400;
    *colon = '\0';
    char *value = trim(colon + 1);
    if (!is_token(line) || !is_sound_value(value))
        return 400;
    for (int f = 0; f < HTTP_FIELD_COUNT; f++)
        if (strcasecmp(line, fields[f].name) == 0)
            return keep(h, (enum http_field)f, value, reterr_text);
    return 0;
}

int http_head_parse(char *text, size_t len, struct http_head *ret_head, const char **reterr_text)
{
    *ret_head = (struct http_head){0};
    *reterr_text = "there is a zero byte in the head";
    if (memchr(text, '\0', len))
        return 400;
    char *at = text;
    char *line = next_line(&at);
    int status = line ? parse_first_line(line, ret_head, reterr_text) : 400;
    for (int lines = 0; status == 0 && (line = next_line(&at)); lines++) {
        status = parse_field(line, ret_head, reterr_text);
        if (status == 0 && lines >= LINES_MAX) {
            *reterr_text = "there are too many headers";
            status = 431;
        }
    }
    return status;
}

void http_head_clear(struct http_head *h)
{
    for (int f = 0; f < HTTP_FIELD_COUNT; f++)
        free_value(h->fields[f]);
    *h = (struct http_head){0};
}

bool http_list_has(const char *list, const char *word)
{
    size_t len = strlen(word);
    while (list && *list) {
        list += strspn(list, ", \t");
        size_t n = strcspn(list, ", \t");
        if (n == len && strncasecmp(list, word, len) == 0)
            return true;
        list += n;
    }
    return false;
}
