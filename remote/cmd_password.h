/* cmd_password.h -- a new password for an account: made, asked for at the terminal without showing it, or read from a pipe. */
#pragma once

struct cmd_job;

/* Fills job->password_hash, and job->generated with --generate.  0, or an error with its sentence. */
int cmd_password(struct cmd_job *job);
