/* http_head.h -- the head of a request: strict HTTP/1.1 (RFC 9112), parsed in place; no I/O.
 *
 * What two parsers could read differently is refused: bare line feeds, folded lines, blanks
 * before a colon, fields twice that may come once, both ways to announce a body. */
#pragma once

#include <stdbool.h>
#include <stddef.h>

/* The fields that count for something: enum, name in lower case, what more than one of them
 * means: refused ('\0'), or joined by this. */
#define HTTP_FIELDS(X)                                                                             \
    X(HTTP_HOST, "host", '\0')                                                                     \
    X(HTTP_ORIGIN, "origin", '\0')                                                                 \
    X(HTTP_COOKIE, "cookie", ';')                                                                  \
    X(HTTP_AUTHORIZATION, "authorization", '\0')                                                   \
    X(HTTP_CSRF, "x-csrf-token", '\0')                                                             \
    X(HTTP_CONTENT_TYPE, "content-type", '\0')                                                     \
    X(HTTP_CONTENT_LENGTH, "content-length", '\0')                                                 \
    X(HTTP_TRANSFER_ENCODING, "transfer-encoding", ',')                                            \
    X(HTTP_IF_NONE_MATCH, "if-none-match", ',')                                                    \
    X(HTTP_ACCEPT_ENCODING, "accept-encoding", ',')                                                \
    X(HTTP_CONNECTION, "connection", ',')                                                          \
    X(HTTP_UPGRADE, "upgrade", ',')                                                                \
    X(HTTP_EXPECT, "expect", ',')                                                                  \
    X(HTTP_WS_KEY, "sec-websocket-key", '\0')                                                      \
    X(HTTP_WS_VERSION, "sec-websocket-version", '\0')

enum http_field {
#define X(field, name, join) field,
    HTTP_FIELDS(X)
#undef X
        HTTP_FIELD_COUNT
};

struct http_head {
    char *method, *path, *query;    /* `query`: "" when there is none.  Borrowed from the text */
    bool minor_0;                   /* HTTP/1.0 */
    char *fields[HTTP_FIELD_COUNT]; /* owned; NULL: absent */
};

/* How many bytes the head has, with the empty line at its end; 0: it is not whole yet.  `from`:
 * how many were looked at before. */
size_t http_head_length(const char *data, size_t len, size_t from);

/* `text`: the head, NUL-terminated; it is changed.  0; else the status to refuse with (400, 431,
 * 505) and a sentence (a literal).  Cleared by the caller in both cases. */
int http_head_parse(char *text, size_t len, struct http_head *ret_head, const char **reterr_text);
void http_head_clear(struct http_head *h);

/* Is `word` one of the comma-separated words of a field?  Without case; a NULL list has none. */
bool http_list_has(const char *list, const char *word);
