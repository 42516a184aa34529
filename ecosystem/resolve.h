/* resolve.h -- turns what a person wrote into what can be started: absolute paths of script,
 * interpreter, working directory and files, a name, and the whole environment of its own.
 *
 * Runs in the command-line program, as the calling user and with that user's directory and
 * environment: it looks at files, but starts nothing.  Resolving twice does nothing more. */
#pragma once

struct app_spec;
struct config_error;
struct strlist;

/* `cwd`: the caller's directory, absolute, as the shell names it (path_cwd()).  `env`: the caller's
 * environment, whose PATH is searched after the PATH of the app's own `env`.
 *
 * A script is looked for in the app's cwd, then, when it has no slash, in PATH.  One with a blank
 * that is no file is a command: `script` becomes bash, `interpreter` "none", `args` ["-c",
 * command]; further args are handed to the command as they are.
 *
 * Without an interpreter the script's extension decides (.js .mjs .cjs node, .sh bash, .py python3,
 * .rb ruby, .php php, .pl perl); of others, an executable file (binary, or with a #! line) runs by
 * itself and text runs with node.
 *
 * The files of env_file are read and their variables put under those of env; PORT is set from port.
 * `exec_mode` auto becomes fork or cluster.  A user or group must be there, and only root may choose
 * one.
 *
 * Returns 0 or ERR_INVALID; the error has app, key, sentence and the app's line (or file and
 * line in an env_file).  After a failure
 * the spec may be resolved in part. */
int app_spec_resolve(struct app_spec *spec, const char *cwd, const struct strlist *env,
                     struct config_error *reterr);
