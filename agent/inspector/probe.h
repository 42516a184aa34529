/* probe.h -- the probe as a program: the control connection to the supervisor, and the one capture it serves.
 *
 * Descriptor 3 is the connection, descriptor 4 the file for the result (docs/PROTOCOL.md, "Supervisor → probe"). */
#pragma once

/* Runs to the end and returns the exit status: 0 when `end` was delivered. */
int probe_run(void);
