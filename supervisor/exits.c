#include "supervisor/exits.h"

#include <signal.h>
#include <stdlib.h>
#include <string.h>

#include "lib/base/auto.h"
#include "lib/base/json.h"
#include "lib/base/mem.h"
#include "lib/base/str.h"

// clang-format off
#define X(name, word) [name] = (word),
static const char *const cause_words[] = {EXIT_CAUSES(X)};
static const char *const then_words[] = {EXIT_SEQUELS(X)};
static const char *const oom_words[] = {OOM_WORDS(X)};
#undef X
// clang-format on

enum exit_cause exit_cause_of(const struct exit_status *status, enum exit_cause asked, int sent,
                              enum oom oom)
{
    if (asked != CAUSE_NONE)
        return asked;
    if (status->unknown)
        return CAUSE_NONE;
    if (oom != OOM_NO)
        return CAUSE_OOM;
    if (!status->by_signal)
        return status->code == 0 ? CAUSE_EXIT : CAUSE_FAILURE;
    return status->code == sent ? CAUSE_SIGNALLED : CAUSE_SIGNAL;
}

enum exit_then exit_then_of(enum instance_event event)
{
    if (event == EV_EXITED_AGAIN)
        return THEN_AGAIN;
    if (event == EV_EXITED_LATER)
        return THEN_LATER;
    return event == EV_EXITED_ERROR ? THEN_GAVE_UP : THEN_DOWN;
}

char *exit_tail_of(const char *text)
{
    size_t len = strlen(text);
    const char *from = len > EXIT_STDERR_BYTES ? text + len - EXIT_STDERR_BYTES : text;
    const char *newline = from > text && from[-1] != '\n' ? strchr(from, '\n') : NULL;
    if (newline && newline[1])
        from = newline + 1;
    return len > 0 ? xstrdup(from) : NULL;
}

/* ---- the ring -------------------------------------------------------------------------------- */

void exits_add(struct exits *x, struct exit_entry *e)
{
    bool again = x->count > 0 && x->items[x->count - 1].seq == e->seq;
    if (again) {
        free(x->items[--x->count].stderr_tail);
    } else if (x->count == EXITS_KEPT) {
        free(x->items[0].stderr_tail);
        memmove(x->items, x->items + 1, --x->count * sizeof x->items[0]);
    }
    x->items[x->count++] = *e;
    *e = (struct exit_entry){0};
}

void exits_clear(struct exits *x)
{
    for (unsigned i = 0; i < x->count; i++)
        free(x->items[i].stderr_tail);
    *x = (struct exits){0};
}

/* ---- JSON ------------------------------------------------------------------------------------ */

static void set_status(json_t *j, const struct exit_status *status)
{
    json_set_int(j, "at_ms", status->at_ms);
    json_set_bool(j, "core", status->core);
    if (status->unknown)
        json_set_bool(j, "unknown", true);
    else
        json_set_int(j, status->by_signal ? "signal" : "code", status->code);
    if (!status->unknown && status->by_signal)
        json_set_string(j, "signal_name", sigabbrev_np(status->code));
}

static json_t *entry_to_json(const struct exit_entry *e)
{
    json_t *j = json_object();
    json_set_int(j, "seq", e->seq);
    json_set_int(j, "pid", e->pid);
    set_status(j, &e->status);
    json_set_int(j, "started_at_ms", e->started_ms);
    json_set_int(j, "uptime_ms", e->uptime_ms);
    json_set_string(j, "cause", cause_words[e->cause]);
    json_set_bool(j, "asked", e->cause >= CAUSE_STOP);
    json_set_bool(j, "forced", e->forced);
    json_set_string(j, "oom", oom_words[e->oom]);
    json_set_string(j, "then", then_words[e->then]);
    json_set_string(j, "stderr", e->stderr_tail);
    return j;
}

json_t *exits_to_json(const struct exits *x)
{
    json_t *array = json_array();
    for (unsigned i = 0; i < x->count; i++)
        (void)json_array_append_new(array, entry_to_json(&x->items[i]));
    return array;
}

/* 0, the first, for a word that is not known. */
static unsigned find_word(const char *const *words, size_t count, const json_t *j, const char *key)
{
    const char *word = json_get_string(j, key, "");
    for (unsigned i = 0; i < count; i++)
        if (str_eq(words[i], word))
            return i;
    return 0;
}

static void entry_from_json(struct exit_entry *e, const json_t *j)
{
    const char *text = json_get_string(j, "stderr", NULL);
    int64_t signal = json_get_int(j, "signal", 0);
    *e = (struct exit_entry){
        .seq = (unsigned)json_get_int(j, "seq", 0),
        .pid = (pid_t)json_get_int(j, "pid", 0),
        .status = {.by_signal = signal > 0,
                   .core = json_get_bool(j, "core", false),
                   .unknown = json_get_bool(j, "unknown", false),
                   .code = (int)(signal > 0 ? signal : json_get_int(j, "code", 0)),
                   .at_ms = json_get_int(j, "at_ms", 0)},
        .started_ms = json_get_int(j, "started_at_ms", 0),
        .uptime_ms = json_get_int(j, "uptime_ms", 0),
        .cause = find_word(cause_words, ARRAY_SIZE(cause_words), j, "cause"),
        .then = find_word(then_words, ARRAY_SIZE(then_words), j, "then"),
        .oom = find_word(oom_words, ARRAY_SIZE(oom_words), j, "oom"),
        .forced = json_get_bool(j, "forced", false),
        .stderr_tail = text ? xstrdup(text) : NULL,
    };
}

void exits_from_json(struct exits *x, const json_t *array)
{
    size_t i;
    json_t *item;
    json_array_foreach((json_t *)array, i, item)
    {
        struct exit_entry e;
        entry_from_json(&e, item);
        exits_add(x, &e);
    }
}
