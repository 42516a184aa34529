/* json.h -- small helpers over jansson, for control messages and records only (never for profiles). */
#pragma once

#include <jansson.h>
#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>

struct buf;
struct strlist;

static inline void auto_json_(json_t **j)
{
    json_decref(*j);
}
#define AUTOJSON __attribute__((cleanup(auto_json_)))

/* One object from `len` bytes; NULL when it is anything else (duplicate keys and nesting of more than LIMIT_JSON_DEPTH
 * levels are refused). */
json_t *json_object_parse(const char *text, size_t len);

/* Appends the compact text of `j`. Returns 0 or what buf_add() returns. */
int json_to_buf(const json_t *j, struct buf *out);

/* Members with a fallback for one that is missing or of another type.  Strings are borrowed. */
const char *json_get_string(const json_t *object, const char *key, const char *fallback);
int64_t json_get_int(const json_t *object, const char *key, int64_t fallback);
double json_get_number(const json_t *object, const char *key, double fallback);
bool json_get_bool(const json_t *object, const char *key, bool fallback);

/* Sets a string member; NULL sets nothing.  In a text that is not UTF-8 every byte from 0x80 on becomes '?'. */
void json_set_string(json_t *object, const char *key, const char *value);
void json_set_int(json_t *object, const char *key, int64_t value);
void json_set_bool(json_t *object, const char *key, bool value);
/* Milliseconds; 0 is null: it was not yet. */
void json_set_time(json_t *object, const char *key, int64_t at_ms);

/* Lists of strings as arrays; elements that are no strings are skipped when reading. */
json_t *json_from_strlist(const struct strlist *list);
void json_to_strlist(const json_t *array, struct strlist *list);

/* Environment lists as objects {"NAME":"value"}.  JSON carries UTF-8 only: in a value every byte from 0x80 on becomes '?'
 * when it is not UTF-8 as a whole, and a variable whose name is not is passed over with a debug log line. */
json_t *json_from_env(const struct strlist *env);
void json_to_env(const json_t *object, struct strlist *env);
