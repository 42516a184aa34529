#include "ecosystem/config_error.h"

#include <stdarg.h>
#include <stdbool.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#include "lib/base/auto.h"
#include "lib/base/utf8.h"

static const char ellipsis[] = "…";

/* C0, DEL, and C1 in UTF-8, which a terminal obeys as well. */
static bool is_control(const char *text)
{
    unsigned char c = (unsigned char)text[0], next = (unsigned char)text[1];
    return c < 0x20 || c == 0x7f || (c == 0xc2 && next < 0xa0);
}

void config_error_copy(char *to, size_t size, const char *text)
{
    const char *end = text + strlen(text);
    size_t room = size - 1;
    if ((size_t)(end - text) > room)
        room -= sizeof ellipsis - 1;
    while (text < end) {
        int len = utf8_char(text, (size_t)(end - text));
        bool good = len > 0 && !is_control(text);
        size_t step = len > 0 ? (size_t)len : 1, put = good ? step : 1;
        if (put > room) {
            memcpy(to, ellipsis, sizeof ellipsis);
            return;
        }
        memcpy(to, good ? text : "?", put);
        to += put;
        room -= put;
        text += step;
    }
    *to = '\0';
}

int config_error_set(struct config_error *e, int code, unsigned line, const char *key,
                     const char *fmt, ...)
{
    *e = (struct config_error){.line = line};
    config_error_copy(e->key, sizeof e->key, key ? key : "");
    AUTOFREE char *text = NULL;
    va_list ap;
    va_start(ap, fmt);
    int len = vasprintf(&text, fmt, ap);
    va_end(ap);
    if (len < 0)
        abort();
    config_error_copy(e->text, sizeof e->text, text);
    return code;
}

void config_error_place(struct config_error *e, const char *file, const char *app)
{
    if (file)
        config_error_copy(e->file, sizeof e->file, file);
    if (app)
        config_error_copy(e->app, sizeof e->app, app);
}

const char *config_error_format(const struct config_error *e, char space[static CONFIG_ERROR_TEXT])
{
    char place[sizeof e->file + 32] = "", app[sizeof e->app + 16] = "",
                                key[sizeof e->key + 16] = "";
    if (e->file[0] && e->line && e->column)
        (void)snprintf(place, sizeof place, "%s:%u:%u: ", e->file, e->line, e->column);
    else if (e->file[0] && e->line)
        (void)snprintf(place, sizeof place, "%s:%u: ", e->file, e->line);
    else if (e->file[0])
        (void)snprintf(place, sizeof place, "%s: ", e->file);
    if (e->app[0])
        (void)snprintf(app, sizeof app, "app \"%s\": ", e->app);
    if (e->key[0])
        (void)snprintf(key, sizeof key, "key \"%s\": ", e->key);
    (void)snprintf(space, CONFIG_ERROR_TEXT, "%s%s%s%s", place, app, key, e->text);
    return space;
}
