/* settings.h -- $PROCTOR_HOME/settings.json: what concerns the host and no single app.
 *
 *     {"log_quota": "2G",                       what the folder of logs may hold; the oldest archives go first
 *      "metrics_listen": "127.0.0.1:9209"}      where Prometheus may read what processes use; nowhere without it */
#pragma once

#include <stddef.h>
#include <stdint.h>

enum { SETTINGS_ADDRESS = 64 };

struct settings {
    int64_t log_quota_bytes;
    char metrics_listen
        [SETTINGS_ADDRESS]; /* "": nowhere; else an address of this host's loopback, and a port */
};

enum { SETTINGS_TEXT = 400 };

/* Reads the file; without it everything has its default.  On ERR_INVALID or another error `reterr_text` is a sentence that
 * names the file, and nothing is changed. */
int settings_read(const char *path, struct settings *ret_settings, char reterr_text[SETTINGS_TEXT]);
