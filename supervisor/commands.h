/* commands.h -- the requests of the CLI that the supervisor answers itself (app.*, ping, daemon.kill). */
#pragma once

#include <jansson.h>
#include <stdbool.h>

struct peer;

/* Runs a request whose fields were checked; false when there is no such command. */
bool command_run(struct peer *peer, const char *id, const char *method, json_t *params);
