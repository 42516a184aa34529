/* profile_view.h -- a stored result as the API shows it.  Pure. */
#pragma once

#include <jansson.h>

struct profile_row;

/* PROFILE, owned by the caller: id (the capture's), host, host_name, app, instance, kind, created_ms, stored_ms, keep, removed, bytes,
 * stored_bytes, sha256, file (the name that a download gets). */
json_t *profile_view(const struct profile_row *row);

enum { PROFILE_FILE = 256 };

/* "api-0-cpu-20251120-051601.cpuprofile": letters, digits, dots, hyphens and underscores only; the time is UTC. */
void profile_file_name(const struct profile_row *row, char ret_name[static PROFILE_FILE]);
