#include "agent/inspector/extract.h"

#include <string.h>

#include "lib/base/err.h"
#include "lib/base/limits.h"
#include "lib/base/str.h"

static int on_json(void *arg, enum jpush_event event, const char *at);

void extract_init(struct extract *x, extract_sink_cb sink, void *arg)
{
    *x = (struct extract){.sink = sink, .arg = arg};
    buf_init(&x->message, LIMIT_INSPECTOR_MESSAGE);
}

void extract_clear(struct extract *x)
{
    buf_clear(&x->message);
    x->started = x->copying = false;
}

static void start_message(struct extract *x)
{
    jpush_init(&x->json, on_json, x);
    buf_reset(&x->message);
    x->id = 0;
    x->method[0] = '\0';
    x->size = 0;
    x->member = MEMBER_OTHER;
    x->started = true;
    x->in_profile = x->copying = x->copied = false;
}

static enum extract_member member_of(const char *key)
{
    return str_eq(key, "id")       ? MEMBER_ID
           : str_eq(key, "method") ? MEMBER_METHOD
           : str_eq(key, "result") ? MEMBER_RESULT
                                   : MEMBER_OTHER;
}

static bool is_awaited(const struct extract *x)
{
    return x->awaited_id > 0 && x->id == x->awaited_id;
}

static int start_copy(struct extract *x, const char *at)
{
    if (x->copied)
        return ERR_PROTOCOL;
    x->copying = true;
    x->copy_from = at;
    return 0;
}

/* `at` is one past the bytes to hand on.  There are none when a number ended with the fragment before. */
static int copy_until(struct extract *x, const char *at)
{
    return at > x->copy_from ? x->sink(x->arg, x->copy_from, (size_t)(at - x->copy_from)) : 0;
}

static int end_copy(struct extract *x, const char *at)
{
    x->copying = false;
    x->copied = true;
    return copy_until(x, at);
}

static int on_profile(struct extract *x, enum jpush_event event, const char *at)
{
    if (event == JPUSH_BEGIN && is_awaited(x))
        return start_copy(x, at);
    if (event == JPUSH_END && x->copying)
        return end_copy(x, at);
    return 0;
}

static int on_top_scalar(struct extract *x)
{
    if (x->member == MEMBER_METHOD)
        memcpy(x->method, x->json.text, sizeof x->method);
    if (x->member != MEMBER_ID)
        return 0;
    /* Twice is broken: the profile would have been matched with one of them. */
    if (x->id != 0)
        return ERR_PROTOCOL;
    if (str_to_int(x->json.text, 1, INT64_MAX, &x->id) < 0)
        x->id = 0;
    return 0;
}

static int on_json(void *arg, enum jpush_event event, const char *at)
{
    struct extract *x = arg;
    if (x->json.depth == 1 && event == JPUSH_KEY) {
        x->member = member_of(x->json.text);
        x->in_profile = false;
    }
    if (x->json.depth == 1)
        return event == JPUSH_END ? on_top_scalar(x) : 0;
    if (x->member != MEMBER_RESULT)
        return 0;
    if (event == JPUSH_KEY)
        x->in_profile = str_eq(x->json.text, "profile");
    return x->in_profile ? on_profile(x, event, at) : 0;
}

/* Small messages are kept whole; a profile on its way to the sink is not kept as well. */
static int collect(struct extract *x, const char *data, size_t len)
{
    if (x->copying || x->copied || x->size > LIMIT_INSPECTOR_MESSAGE) {
        buf_reset(&x->message);
        return 0;
    }
    return buf_add(&x->message, data, len);
}

static int message_over(struct extract *x)
{
    x->started = false;
    if (!jpush_done(&x->json))
        return ERR_PROTOCOL;
    if (x->copied)
        return EXTRACT_PROFILE;
    if (x->size <= LIMIT_INSPECTOR_MESSAGE)
        return EXTRACT_MESSAGE;
    return is_awaited(x) ? ERR_PROTOCOL : EXTRACT_SKIPPED;
}

int extract_feed(struct extract *x, const char *data, size_t len, bool final)
{
    if (!x->started)
        start_message(x);
    x->size += len;
    x->copy_from = data;
    int r = jpush_feed(&x->json, data, len);
    if (r == ERR_SYNTAX)
        return ERR_PROTOCOL;
    if (r == 0 && x->copying)
        r = copy_until(x, data + len);
    if (r == 0)
        r = collect(x, data, len);
    if (r < 0)
        return r;
    return final ? message_over(x) : EXTRACT_MORE;
}
