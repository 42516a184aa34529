#include "remote/assets.h"

#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <strings.h>

#include "lib/base/str.h"
#include "lib/secure/hash.h"
#include "remote/assets_table.h"
#include "remote/http.h"

static const char the_page[] = "/index.html";

/* ---- finding --------------------------------------------------------------------------------- */

static int by_path(const void *path, const void *asset)
{
    return strcmp(path, ((const struct asset *)asset)->path);
}

static const struct asset *find(const char *path)
{
    return bsearch(path, assets_table, assets_count, sizeof assets_table[0], by_path);
}

/* Do files stand in the folder that the path begins with? */
static bool in_folder(const char *path)
{
    size_t len = 1 + strcspn(path + 1, "/");
    for (size_t i = 0; i < assets_count; i++)
        if (strncmp(assets_table[i].path, path, len) == 0 && assets_table[i].path[len] == '/')
            return true;
    return false;
}

/* Names of apps have dots, so that only the first word of a path tells a file from a page.  A
 * file that is missing must not become a page: a browser would take it for a broken script. */
static bool is_page(const char *path)
{
    size_t len = strcspn(path + 1, "/");
    return !memchr(path + 1, '.', len) && !in_folder(path);
}

static const struct asset *find_for(const char *path)
{
    const struct asset *a = find(path);
    if (!a && str_eq(path, "/favicon.ico"))
        return find("/icon.svg");
    return !a && is_page(path) ? find(the_page) : a;
}

/* ---- replying -------------------------------------------------------------------------------- */

/* A weight of zero ("gzip;q=0", "gzip; q=0.000") forbids. */
static bool has_weight(const char *parameter)
{
    parameter += strspn(parameter, "; \t");
    if (strncasecmp(parameter, "q=", 2) != 0)
        return true;
    parameter += 2;
    return parameter[strspn(parameter, "0.")] >= '1' && parameter[strspn(parameter, "0.")] <= '9';
}

bool assets_may_gzip(const char *accept_encoding)
{
    static const char gzip[] = "gzip";
    size_t len = sizeof gzip - 1;
    const char *word = accept_encoding;
    while (word && *word) {
        word += strspn(word, ", \t");
        if (strncasecmp(word, gzip, len) == 0 && strchr(",; \t", word[len]))
            return has_weight(word + len);
        word += strcspn(word, ",");
    }
    return false;
}

/* One of a list, weak or not: the quotes belong to the tag, so that no part of another one is
 * taken for it. */
static bool has_it(const char *if_none_match, const char *etag)
{
    return if_none_match && (str_eq(if_none_match, "*") || strstr(if_none_match, etag));
}

static void reply(struct http_request *r, const struct asset *a, bool gzip)
{
    char etag[SHA256_TEXT + sizeof "\"-gzip\""];
    const char *bytes = assets_bytes + a->begin;
    (void)snprintf(etag, sizeof etag, "\"%s%s\"", a->sha256, gzip ? "-gzip" : "");
    /* "no-cache": kept, but asked for each time. */
    http_header(r, "Cache-Control", "no-cache");
    http_header(r, "ETag", etag);
    if (a->gzip_bytes > 0)
        http_header(r, "Vary", "Accept-Encoding");
    if (has_it(r->if_none_match, etag)) {
        http_reply(r, 304, NULL, NULL, 0);
        return;
    }
    if (gzip)
        http_header(r, "Content-Encoding", "gzip");
    if (gzip)
        http_reply(r, 200, a->type, bytes + a->bytes, a->gzip_bytes);
    else
        http_reply(r, 200, a->type, bytes, a->bytes);
}

bool assets_reply(struct http_request *r)
{
    const struct asset *a = find_for(r->path);
    if (!a)
        return false;
    reply(r, a, a->gzip_bytes > 0 && assets_may_gzip(r->accept_encoding));
    return true;
}
