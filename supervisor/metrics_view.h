/* metrics_view.h -- what processes use, as `app.metrics` answers it and as Prometheus reads it. */
#pragma once

#include <jansson.h>
#include <stdint.h>

struct buf;
struct instance;
struct supervisor;

/* One instance, after metrics_refresh(); with `points` steps of its history up to the present one.  The caller's reference. */
json_t *metrics_view(struct instance *in, int64_t points);

/* Everything, in the text format 0.0.4.  0, or what buf_add() says. */
int metrics_text(struct supervisor *sup, struct buf *out);
