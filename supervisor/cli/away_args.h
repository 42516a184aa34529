/* away_args.h -- the options that send a command to a console instead of this host's supervisor. */
#pragma once

struct args;

// clang-format off
#define AWAY_OPTIONS                                                                               \
    {"console", 0, "URL", "of a console (https://...): there, and not on this host"},              \
    {"token-file", 0, "FILE", "holds the API token; or $PROCTOR_TOKEN_FILE"},                      \
    {"ca", 0, "FILE", "certificates of who may vouch for the console, in PEM"}
// clang-format on

/* Are they complete?  An exit code (cmd.h), with the sentence said. */
int away_args_check(const char *command, const struct args *args);
