/* runtime.h -- which runtime an interpreter is: Node and its version, found once per binary.
 *
 * A binary is known by path, device, inode and mtime; a new one at the same path is asked again.  Only ELF files whose
 * name begins with "node", or that interpret JavaScript, are run (`FILE -v`, 5 s limit); a shell wrapper is never run, its
 * command line means something else. */
#pragma once

#include <stdbool.h>
#include <uv.h>

struct app_spec;
struct strlist;

struct runtime_version {
    bool is_node;
    int major, minor, patch;
};

/* The answer for one request, from the loop; the version is borrowed. */
typedef void (*runtime_cb)(void *arg, const struct runtime_version *version);

struct runtimes;
struct runtimes *runtimes_new(uv_loop_t *loop);

/* Ends running questions without their callbacks; the loop must run once more before it ends. */
void runtimes_free(struct runtimes *rs);

/* Asks for the runtime that runs `spec`.  Known ones are answered at once: 1 and `*ret_version`.  Otherwise 0, and `done`
 * comes later; `arg` may be forgotten with runtimes_forget(). */
int runtimes_ask(struct runtimes *rs, const struct app_spec *spec,
                 struct runtime_version *ret_version, runtime_cb done, void *arg);
void runtimes_forget(struct runtimes *rs, void *arg);

/* "v20.20.2\n" -> 20, 20, 2; false for anything else.  Pure. */
bool runtime_read_version(const char *text, struct runtime_version *ret_version);
