/* console.h -- the console server: its parts, opened in their order and closed in the other. */
#pragma once

#include <uv.h>

#include "remote/api.h"
#include "remote/authority.h"
#include "remote/settings.h"

struct agents;

struct console {
    uv_loop_t loop;
    const struct settings *settings;
    struct strlist names;
    char *password_file; /* NULL: there is none any more */
    struct authority authority;
    struct store *store;
    struct live *live;
    struct api api; /* knows all parts */
    struct http *http;
    struct agents *agents;
    uv_signal_t on_term;
    uv_signal_t on_int;
    uv_timer_t retention;
    uv_timer_t renewal; /* of the server's certificate */
    int loading;        /* what is still read from the store before we listen */
    bool failed;
    bool closing;
};

/* Opens everything; the ready line is printed when both ports listen.  Errors are logged. */
int console_open(struct console *c, const struct settings *settings);

/* Runs until SIGTERM or SIGINT, or until something failed; then everything is closed.  Returns the exit code. */
int console_run(struct console *c);
