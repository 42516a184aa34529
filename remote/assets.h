/* assets.h -- the files of the page (remote/web/ and what it is built with), which are part of
 * the program. */
#pragma once

#include <stdbool.h>

struct http_request;

/* Replies to GET and HEAD of a path that is a file of ours, or of a page: the paths of pages
 * ("/fleet", "/app/a.b") all give index.html, which looks at the address itself.  What somebody
 * has already is not sent again (304), and gzipped is what may be.  False: there is no such
 * file, nothing was done. */
bool assets_reply(struct http_request *r);

/* ---- parts, pure ----------------------------------------------------------------------------- */

/* May the reply to a request with this Accept-Encoding (NULL: absent) be gzipped? */
bool assets_may_gzip(const char *accept_encoding);
