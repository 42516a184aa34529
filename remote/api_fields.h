/* api_fields.h -- reads the members of a request's JSON body, each with its limits; the first one that does not fit is named in one
 * sentence.  Unknown members are nobody's business, null is the same as absent.  Pure.
 *
 *     struct fields f = FIELDS(body);
 *     const char *name = field_text(&f, "name", FIELD_REQUIRED, 1, 64);
 *     int64_t ttl_ms = field_int(&f, "ttl_ms", DEFAULT, 1, MOST);
 *     if (f.error < 0)                  ERR_INVALID; f.text: "name" is missing */
#pragma once

#include <jansson.h>
#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>

enum { FIELD_SENTENCE = 256 };

struct fields {
    const json_t *object;
    const char *where; /* before each name in sentences: "targets[3]" */
    int error; /* 0, or that of the first field that did not fit; then further ones are not looked at */
    char text[FIELD_SENTENCE];
};

// clang-format off
#define FIELDS(body) {.object = (body), .where = ""}
// clang-format on

enum field_need { FIELD_OPTIONAL, FIELD_REQUIRED };

/* The text, borrowed from the object; NULL: absent, or an error.  Lengths in bytes.  Control characters are refused. */
const char *field_text(struct fields *f, const char *name, enum field_need need, size_t min,
                       size_t max);

/* The same, also with control characters: passwords, PEM. */
const char *field_raw_text(struct fields *f, const char *name, enum field_need need, size_t min,
                           size_t max);

/* A UUID in canonical form, or one of version 7. */
const char *field_uuid(struct fields *f, const char *name, enum field_need need, bool v7);

/* A lower-case word with digits and hyphens, at most 32 characters: kinds, states. */
const char *field_word(struct fields *f, const char *name, enum field_need need);

/* `fallback` when absent; FIELD_NONE: it must not be absent. */
#define FIELD_NONE INT64_MIN
int64_t field_int(struct fields *f, const char *name, int64_t fallback, int64_t min, int64_t max);

bool field_bool(struct fields *f, const char *name);

/* An array of `min` to `max` elements; NULL: an error. */
const json_t *field_array(struct fields *f, const char *name, size_t min, size_t max);

/* Notes that something does not fit, unless something did not before: "targets[3].host" must be …. */
void field_refuse(struct fields *f, const char *name, const char *fmt, ...)
    __attribute__((format(printf, 3, 4)));

/* Overwrites a text member's bytes, for secrets: the body is about to be freed. */
void field_wipe(json_t *object, const char *name);

/* The rule of field_word(), for words that come otherwise. */
bool field_word_valid(const char *word);
