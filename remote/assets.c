#include "remote/assets.h"

#include <stddef.h>
#include <stdio.h>
#include <string.h>

#include "lib/base/auto.h"
#include "lib/base/str.h"
#include "lib/secure/hash.h"
#include "remote/http.h"

/* path, symbols in assets_files.S, type */
#define ASSETS(X)                                                                                  \
    X("/", page_html, "text/html; charset=utf-8")                                                  \
    X("/page.css", page_css, "text/css; charset=utf-8")                                            \
    X("/page.js", page_js, "text/javascript; charset=utf-8")                                       \
    X("/icon.svg", icon_svg, "image/svg+xml")

#define X(path, symbol, type) extern const char symbol##_begin[], symbol##_end[];
ASSETS(X)
#undef X

enum { ETAG_TEXT = SHA256_TEXT + 2 };

static const struct asset {
    const char *path, *begin, *end, *type;
} assets[] = {
#define X(path, symbol, type) {path, symbol##_begin, symbol##_end, type},
    ASSETS(X)
#undef X
};

static char etags[ARRAY_SIZE(assets)][ETAG_TEXT];

/* The hash of the bytes in quotes. */
static const char *etag_of(size_t i)
{
    uint8_t hash[SHA256_BYTES];
    char hex[SHA256_TEXT];
    if (!etags[i][0]) {
        sha256(assets[i].begin, (size_t)(assets[i].end - assets[i].begin), hash);
        sha256_to_hex(hash, hex);
        (void)snprintf(etags[i], sizeof etags[i], "\"%s\"", hex);
    }
    return etags[i];
}

/* One of a list, weak or not: the quotes belong to the tag, so that no part of another one is
 * taken for it. */
static bool has_it(const char *if_none_match, const char *etag)
{
    return if_none_match && (str_eq(if_none_match, "*") || strstr(if_none_match, etag));
}

bool assets_reply(struct http_request *r)
{
    for (size_t i = 0; i < ARRAY_SIZE(assets); i++) {
        const struct asset *a = &assets[i];
        if (!str_eq(r->path, a->path))
            continue;
        /* "no-cache": kept, but asked for each time. */
        http_header(r, "Cache-Control", "no-cache");
        http_header(r, "ETag", etag_of(i));
        if (has_it(r->if_none_match, etag_of(i)))
            http_reply(r, 304, NULL, NULL, 0);
        else
            http_reply(r, 200, a->type, a->begin, (size_t)(a->end - a->begin));
        return true;
    }
    return false;
}
