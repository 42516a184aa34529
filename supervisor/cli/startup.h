/* startup.h -- what startup and unstartup have in common: which unit of systemd is meant, and systemctl. */
#pragma once

#include <stdbool.h>

struct args;

struct startup {
    bool own;   /* a user's own unit (systemctl --user) */
    char *user; /* of a system unit */
    char *home; /* PROCTOR_HOME of that user */
    char *name; /* of the unit, without ".service" */
    char *path; /* of its file */
};

/* Reads --user, -u, --name.  An exit code, with the sentence said. */
int startup_init(struct startup *s, const struct args *args, const char *command);
void startup_clear(struct startup *s);
#define AUTOSTARTUP __attribute__((cleanup(startup_clear)))

/* A system unit needs root.  An exit code, with the command to run instead said. */
int startup_may_write(const struct startup *s, const char *command);

/* Runs `systemctl [--user] WORDS…`; true when it could be run, and ended with 0.  NULL ends the words. */
bool startup_systemctl(const struct startup *s, const char *first, const char *second);
