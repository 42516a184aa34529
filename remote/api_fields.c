#include "remote/api_fields.h"

#include <ctype.h>
#include <inttypes.h>
#include <stdarg.h>
#include <stdio.h>
#include <string.h>

#include "lib/base/err.h"
#include "lib/base/uuid.h"
#include "lib/secure/hash.h"

void field_refuse(struct fields *f, const char *name, const char *fmt, ...)
{
    char sentence[FIELD_SENTENCE];
    va_list ap;
    if (f->error < 0)
        return;
    va_start(ap, fmt);
    (void)vsnprintf(sentence, sizeof sentence, fmt, ap);
    va_end(ap);
    f->error = ERR_INVALID;
    const char *dot = f->where[0] && name[0] ? "." : "";
    (void)snprintf(f->text, sizeof f->text, "\"%.40s%s%.40s\" %.150s", f->where, dot, name,
                   sentence);
}

/* The member, NULL when it is absent or null; then it is refused if it must be there. */
static const json_t *take(struct fields *f, const char *name, enum field_need need)
{
    if (f->error < 0)
        return NULL;
    const json_t *value = json_object_get(f->object, name);
    if (value && !json_is_null(value))
        return value;
    if (need == FIELD_REQUIRED)
        field_refuse(f, name, "is missing");
    return NULL;
}

const char *field_raw_text(struct fields *f, const char *name, enum field_need need, size_t min,
                           size_t max)
{
    const json_t *value = take(f, name, need);
    if (!value)
        return NULL;
    size_t len = json_string_length(value);
    if (json_is_string(value) && len >= min && len <= max)
        return json_string_value(value);
    field_refuse(f, name, "must be a text of %zu to %zu bytes", min, max);
    return NULL;
}

const char *field_text(struct fields *f, const char *name, enum field_need need, size_t min,
                       size_t max)
{
    const char *text = field_raw_text(f, name, need, min, max);
    for (const char *c = text; c && *c; c++) {
        if (iscntrl((unsigned char)*c)) {
            field_refuse(f, name, "must not hold control characters");
            return NULL;
        }
    }
    return text;
}

const char *field_uuid(struct fields *f, const char *name, enum field_need need, bool v7)
{
    const json_t *value = take(f, name, need);
    if (!value)
        return NULL;
    const char *text = json_string_value(value);
    if (text && (v7 ? uuid_valid_v7(text) : uuid_valid(text)))
        return text;
    field_refuse(f, name,
                 v7 ? "must be a UUID of version 7, in lower case"
                    : "must be a UUID, in lower case");
    return NULL;
}

bool field_word_valid(const char *word)
{
    size_t len = strspn(word, "abcdefghijklmnopqrstuvwxyz0123456789-");
    return len > 0 && len <= 32 && !word[len];
}

const char *field_word(struct fields *f, const char *name, enum field_need need)
{
    const json_t *value = take(f, name, need);
    if (!value)
        return NULL;
    const char *text = json_string_value(value);
    if (text && field_word_valid(text))
        return text;
    field_refuse(f, name, "must be a word of 1 to 32 small letters, digits and hyphens");
    return NULL;
}

int64_t field_int(struct fields *f, const char *name, int64_t fallback, int64_t min, int64_t max)
{
    const json_t *value = take(f, name, fallback == FIELD_NONE ? FIELD_REQUIRED : FIELD_OPTIONAL);
    if (!value)
        return fallback;
    int64_t number = json_integer_value(value);
    if (json_is_integer(value) && number >= min && number <= max)
        return number;
    field_refuse(f, name, "must be a whole number from %" PRId64 " to %" PRId64, min, max);
    return fallback;
}

bool field_bool(struct fields *f, const char *name)
{
    const json_t *value = take(f, name, FIELD_REQUIRED);
    if (value && !json_is_boolean(value))
        field_refuse(f, name, "must be true or false");
    return json_is_true(value);
}

const json_t *field_array(struct fields *f, const char *name, size_t min, size_t max)
{
    const json_t *value = take(f, name, FIELD_REQUIRED);
    if (!value)
        return NULL;
    if (json_is_array(value) && json_array_size(value) >= min && json_array_size(value) <= max)
        return value;
    field_refuse(f, name, "must be a list of %zu to %zu", min, max);
    return NULL;
}

void field_wipe(json_t *object, const char *name)
{
    const json_t *value = json_object_get(object, name);
    if (json_is_string(value))
        secret_wipe((char *)json_string_value(value), json_string_length(value));
}
