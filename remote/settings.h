/* settings.h -- the command line of the console server. */
#pragma once

#include <stdbool.h>
#include <stdint.h>

#include "lib/base/str.h"
#include "remote/store/profiles.h"

struct settings {
    char *data;         /* absolute */
    char *listen;       /* of the web port, "A:P" */
    char *agent_listen; /* of the agent port */
    char *public_web; /* "host:port" that others are told instead of where we listen; NULL: none */
    char *public_agents; /* the same for the agent port */
    struct strlist names;
    int64_t agent_life_s;
    struct retention retention;
};

/* 0, 1 (help or version was printed), or ERR_USAGE with a sentence.  `settings` is to be cleared in every case. */
int settings_read(struct settings *s, int argc, char **argv, char *reterr_text, size_t size);
void settings_clear(struct settings *s);

extern const char settings_usage[];

/* What others are told about what listens at `address` ("127.0.0.1:41234"): `told` if that is set, else the first of `names` with the port,
 * else the address itself, else, for a wildcard, this machine's name.  "host:port"; the caller frees. */
char *settings_public_address(const struct settings *s, const char *told, const char *address);

/* All names that the server's certificate is for and that Host may say. */
void settings_all_names(const struct settings *s, struct strlist *ret_names);
