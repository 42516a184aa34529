/* config_error.h -- why a configuration cannot be used: the place, the key and one sentence.
 *
 * For errors that a person must act on.  It is a plain value: nothing to free.  Text from outside
 * is made printable on its way in (control characters and bytes that are not UTF-8 become '?') and
 * cut to the field's size at a character's boundary. */
#pragma once

#include <stddef.h>

#include "lib/base/limits.h"

struct config_error {
    char file[256];           /* "" when it was no file */
    unsigned line;            /* from 1; 0 when unknown */
    unsigned column;          /* from 1, for syntax errors only; else 0 */
    char app[LIMIT_NAME + 1]; /* "" when it is about no app in particular */
    char key[160];            /* "" likewise; "env.PORT" inside an environment */
    char text[640];           /* the sentence, without a full stop */
};

enum { CONFIG_ERROR_TEXT = 1536 };

/* Starts an error: everything but line, key and text is emptied.  `key` may be NULL.  Returns
 * `code`, so that a caller can `return config_error_set(reterr, ERR_INVALID, …)`. */
int config_error_set(struct config_error *e, int code, unsigned line, const char *key,
                     const char *fmt, ...) __attribute__((format(printf, 5, 6)));

/* Adds what the caller of the failed function knows; NULL leaves a field as it is. */
void config_error_place(struct config_error *e, const char *file, const char *app);

/* The whole error in one line:
 *     apps.json:7: app "api": key "instances": expected a number or "max", found "many"
 *     apps.json:3:14: unexpected character '}'
 * Returns `space`. */
const char *config_error_format(const struct config_error *e, char space[static CONFIG_ERROR_TEXT]);

/* Copies `text` to `to`, printable and cut as described above; "…" stands for what was cut. */
void config_error_copy(char *to, size_t size, const char *text);
