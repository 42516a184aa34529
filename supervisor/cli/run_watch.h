/* run_watch.h -- what `proctor run` makes of the apps that it looks after: do any still run or wait, and with which code does it
 * end?  Pure. */
#pragma once

#include <jansson.h>
#include <stdbool.h>

/* Is any of these apps (of app.list) running, on its way, or waiting for its next start? */
bool run_watch_alive(const json_t *apps);

/* As a shell says it: the code of an end, 128 and the number of its signal.  Of several the first that is not 0; 1 for one that
 * never ran. */
int run_watch_code(const json_t *apps);
