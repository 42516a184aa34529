/* metrics_http.h -- a page for Prometheus: GET /metrics on the loopback, off unless settings.json says where.
 *
 * One answer per connection, a few connections at a time, each with a deadline.  The listening socket lies with the keeper,
 * so that a scrape in the moment of a restart of ours is answered by the next supervisor. */
#pragma once

#include <uv.h>

#include "lib/base/list.h"
#include "supervisor/settings.h"

struct metrics_listener;
struct supervisor;

struct metrics_http {
    struct supervisor *sup;
    struct metrics_listener *listener; /* NULL: off */
    struct list readers;
};

void metrics_http_init(struct metrics_http *h, struct supervisor *sup);

/* Listens where `address` says ("": nowhere), and there only.  On an error with a sentence what was before stays. */
int metrics_http_listen(struct metrics_http *h, const char *address,
                        char reterr_text[SETTINGS_TEXT]);

/* Ends it and cuts those off that are read to. */
void metrics_http_close(struct metrics_http *h);
