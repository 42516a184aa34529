/* safe_mode.h -- a supervisor that only watches: the keeper saw it come down again and again with this state.
 *
 * Logs flow, exits are recorded, questions are answered; nothing is started, changed or captured until `proctor upgrade`
 * has another one follow. */
#pragma once

#include <stdbool.h>

struct peer;
struct supervisor;

/* Answers a request that is not for now: true when it has. */
bool safe_mode_refuses(struct peer *peer, const char *id);

/* A sentence for people; NULL when all is well.  The caller frees. */
char *safe_mode_explain(const struct supervisor *sup);

/* How a supervisor ended, from a status of waitpid(): "killed by signal 11".  `text` is returned. */
enum { SAFE_MODE_END_TEXT = 40 };
const char *safe_mode_end(int status, char text[static SAFE_MODE_END_TEXT]);
