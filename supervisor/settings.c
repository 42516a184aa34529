#include "supervisor/settings.h"

#include <errno.h>
#include <stdio.h>
#include <string.h>

#include "lib/base/auto.h"
#include "lib/base/buf.h"
#include "lib/base/err.h"
#include "lib/base/json.h"
#include "lib/base/limits.h"
#include "lib/base/path.h"
#include "lib/base/str.h"
#include "supervisor/log_archives.h"
#include "supervisor/loopback.h"

static const char *const known_keys[] = {"log_quota", "metrics_listen"};

static int bad(const char *path, const char *problem, char reterr_text[SETTINGS_TEXT])
{
    (void)snprintf(reterr_text, SETTINGS_TEXT, "%s: %s", path, problem);
    return ERR_INVALID;
}

static int check_keys(const char *path, json_t *root, char reterr_text[SETTINGS_TEXT])
{
    const char *key;
    json_t *value;
    json_object_foreach(root, key, value)
    {
        char text[200];
        const char *nearest = str_nearest(key, known_keys, ARRAY_SIZE(known_keys));
        if (str_eq(nearest, key))
            continue;
        (void)snprintf(text, sizeof text, "there is no setting \"%.64s\"%s%s%s", key,
                       nearest ? "; did you mean \"" : "", nearest ? nearest : "",
                       nearest ? "\"?" : "");
        return bad(path, text, reterr_text);
    }
    return 0;
}

static int read_quota(const char *path, const json_t *root, int64_t *bytes,
                      char reterr_text[SETTINGS_TEXT])
{
    const json_t *value = json_object_get(root, "log_quota");
    int64_t size = -1;
    if (!value)
        return 0;
    if (json_is_integer(value))
        size = json_integer_value(value);
    if (json_is_string(value) && str_to_size(json_string_value(value), &size) < 0)
        size = -1;
    if (size <= 0)
        return bad(path, "\"log_quota\" must be a size like \"2G\", or a number of bytes",
                   reterr_text);
    *bytes = size;
    return 0;
}

static int read_listen(const char *path, const json_t *root, char listen[SETTINGS_ADDRESS],
                       char reterr_text[SETTINGS_TEXT])
{
    const json_t *value = json_object_get(root, "metrics_listen");
    struct sockaddr_storage address;
    if (!value || json_is_null(value))
        return 0;
    const char *text = json_string_value(value);
    if (!text || strlen(text) >= SETTINGS_ADDRESS || loopback_parse(text, &address) < 0)
        return bad(path,
                   "\"metrics_listen\" must be an address of this host alone and a port, like "
                   "\"127.0.0.1:9209\" or \"[::1]:9209\"",
                   reterr_text);
    (void)snprintf(listen, SETTINGS_ADDRESS, "%s", text);
    return 0;
}

int settings_read(const char *path, struct settings *ret_settings, char reterr_text[SETTINGS_TEXT])
{
    struct settings settings = {.log_quota_bytes = LOG_QUOTA_DEFAULT};
    AUTOBUF struct buf text = BUF_INIT(LIMIT_POLICY_FILE);
    int r = path_read(path, &text);
    if (r == -ENOENT) {
        *ret_settings = settings;
        return 0;
    }
    if (r < 0) {
        (void)snprintf(reterr_text, SETTINGS_TEXT, "%s: %s", path, err_str(r));
        return r;
    }
    json_error_t error;
    AUTOJSON json_t *root = json_loadb(buf_str(&text), text.len, JSON_REJECT_DUPLICATES, &error);
    if (!root || !json_is_object(root)) {
        char place[300];
        (void)snprintf(place, sizeof place, "line %d: %s", error.line, error.text);
        return bad(path, root ? "it must be an object" : place, reterr_text);
    }
    r = check_keys(path, root, reterr_text);
    if (r == 0)
        r = read_quota(path, root, &settings.log_quota_bytes, reterr_text);
    if (r == 0)
        r = read_listen(path, root, settings.metrics_listen, reterr_text);
    if (r == 0)
        *ret_settings = settings;
    return r;
}
