/* script.h -- a configuration that is a program: runs node once, which answers with JSON. */
#pragma once

struct buf;
struct config_error;

/* Runs the file with the `node` in PATH, in this directory and environment; `env_name` ("" for none)
 * is what an exported function gets as {env}.  What it prints goes to standard error when it fails,
 * and nowhere else.  Returns 0 with the answer (answer.h), which may be an error of the file, in
 * `out`; or an error with its sentence. */
int script_run(const char *file, const char *env_name, struct buf *out,
               struct config_error *reterr);
