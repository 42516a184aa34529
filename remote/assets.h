/* assets.h -- the files of the page (remote/web/), which are part of the program. */
#pragma once

#include <stdbool.h>

struct http_request;

/* Replies to GET and HEAD of a path that is a file of ours, or says 304 to who has it.  False:
 * no such file, nothing was done. */
bool assets_reply(struct http_request *r);
