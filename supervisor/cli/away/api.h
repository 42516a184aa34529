/* api.h -- the console's API as the commands here use it: who we are, where it is, and JSON in and out. */
#pragma once

#include <jansson.h>
#include <stdbool.h>
#include <stdint.h>

#include "supervisor/cli/away/https.h"

struct args;

struct api {
    struct https *https;
    const char *url; /* --console; borrowed */
    char *more;      /* " --console URL": what hints add to a command */
    bool
        lost; /* the last request got no answer, or one that says "not now": it may be sent again */
    char text[HTTPS_TEXT]; /* the sentence of the last request that failed */
};

/* Reads --console, --token-file (or $PROCTOR_TOKEN_FILE) and --ca.  Returns an exit code (cmd.h), with the sentence said; nothing
 * is sent yet. */
int api_open(struct api *a, const char *command, const struct args *args);
void api_close(struct api *a);
#define AUTOAPI __attribute__((cleanup(api_close)))

/* Each returns 0 or an error, the console's own or those of https.h, with a sentence in a->text. `path` is below /api/v1/; `body`
 * is borrowed, NULL stands for {}. `*ret_answer` is the caller's. */
int api_get(struct api *a, const char *path, json_t **ret_answer);
int api_post(struct api *a, const char *path, json_t *body, json_t **ret_answer);

/* The result of a capture, whole or not at all, into the empty file `fd`. */
int api_fetch_result(struct api *a, const char *profile, int fd);

/* Says what failed ("cannot list the captures: …"); returns the exit code. */
int api_say(const struct api *a, const char *what, int r);
