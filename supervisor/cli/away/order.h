/* order.h -- captures ordered at a console: sent, followed to their end, their results fetched.
 *
 * The captures go on whatever becomes of this program or of the connection; a console that does not answer is tried again
 * (patience.h). */
#pragma once

#include <jansson.h>
#include <stddef.h>
#include <stdint.h>

struct api;
struct capture_job;

struct order {
    struct api *api;
    json_t *request;          /* the body of POST captures, but for `id` and `targets`; borrowed */
    struct capture_job *jobs; /* `params` of each is its target */
    size_t count;
    int64_t duration_ms; /* 0: until stopped */
    const char *output;  /* -o: where the results will go */
};

/* Returns 0 when each job has its `result` and `answer` as capture_report() takes them; else why nothing was ordered, with the
 * sentence in api->text. */
int order_run(const struct order *order);

/* Fills in `result` and `answer` of one capture that has ended, as the API tells it (`record`, borrowed), and fetches its result. */
void order_take(struct api *api, json_t *record, const char *output, struct capture_job *job);
