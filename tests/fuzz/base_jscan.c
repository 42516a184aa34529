/* The tokenizer against jansson: both accept the same texts and read the same values.  Where their
 * rules differ on purpose (lone surrogates, \u0000 in keys, numbers past a double, the last levels
 * of depth) there is no verdict. */
#include <jansson.h>
#include <math.h>
#include <stdint.h>
#include <stdlib.h>
#include <string.h>

#include "lib/base/auto.h"
#include "lib/base/buf.h"
#include "lib/base/jscan.h"

int LLVMFuzzerTestOneInput(const uint8_t *data, size_t size);

enum { DEPTH = 2048, DEPTH_JUDGED = 2040 };

struct build {
    struct jscan s;
    json_t *open[DEPTH + 1];
    char *keys[DEPTH + 1];
    json_t *root;
    bool no_verdict;
};

static void require(bool condition)
{
    if (!condition)
        abort();
}

static void add_value(struct build *b, json_t *value, unsigned level)
{
    require(value != NULL);
    if (level == 0) {
        b->root = value;
    } else if (json_is_array(b->open[level])) {
        json_array_append_new(b->open[level], value);
    } else {
        require(json_object_set_new(b->open[level], b->keys[level], value) == 0);
        free(b->keys[level]);
        b->keys[level] = NULL;
    }
}

/* A \u escape of a surrogate that has no partner: in the decoded text a U+FFFD that is not in the
 * raw text. */
static size_t count_replacements(const char *text, size_t len)
{
    size_t count = 0;
    for (const char *p = text; (p = memmem(p, len - (size_t)(p - text), "\xef\xbf\xbd", 3)); p += 3)
        count++;
    return count;
}

static size_t count_escaped_replacements(const char *text, size_t len)
{
    size_t count = 0;
    for (size_t i = 0; i + 6 <= len; i++) {
        if (text[i] != '\\')
            continue;
        count += strncasecmp(text + i, "\\ufffd", 6) == 0;
        i++;
    }
    return count;
}

static void decode(struct build *b, struct buf *out, bool is_key)
{
    const struct jscan *s = &b->s;
    require(jscan_string(s, out) == 0);
    size_t raw = count_replacements(s->start, s->token_len);
    size_t escaped = count_escaped_replacements(s->start, s->token_len);
    if (out->len > 0 && count_replacements(out->data, out->len) != raw + escaped)
        b->no_verdict = true;
    bool has_nul = out->len > 0 && memchr(out->data, 0, out->len);
    if (is_key && has_nul)
        b->no_verdict = true;
    require(has_nul || jscan_is(s, buf_str(out)));
}

static void take_token(struct build *b, enum jscan_token t)
{
    AUTOBUF struct buf text = BUF_INIT(1 << 20);
    struct jscan *s = &b->s;
    require(s->start >= s->text && s->start + s->token_len <= s->text + s->len);
    if (s->depth > DEPTH_JUDGED)
        b->no_verdict = true;
    switch (t) {
    case JSCAN_OBJECT:
    case JSCAN_ARRAY: {
        json_t *value = t == JSCAN_OBJECT ? json_object() : json_array();
        add_value(b, value, s->depth - 1);
        b->open[s->depth] = value;
        return;
    }
    case JSCAN_KEY:
        decode(b, &text, true);
        free(b->keys[s->depth]);
        b->keys[s->depth] = buf_take(&text);
        return;
    case JSCAN_STRING:
        decode(b, &text, false);
        add_value(b, json_stringn(buf_str(&text), text.len), s->depth);
        return;
    case JSCAN_NUMBER: {
        double value = jscan_double(s);
        int64_t whole;
        if (jscan_int(s, &whole))
            require((double)whole == value);
        b->no_verdict |= !isfinite(value);
        add_value(b, json_real(isfinite(value) ? value : 0), s->depth);
        return;
    }
    case JSCAN_TRUE:
    case JSCAN_FALSE:
        add_value(b, json_boolean(t == JSCAN_TRUE), s->depth);
        return;
    case JSCAN_NULL:
        add_value(b, json_null(), s->depth);
        return;
    case JSCAN_OBJECT_END:
    case JSCAN_ARRAY_END:
    case JSCAN_END:
    case JSCAN_ERROR:
        return;
    }
}

static void check_against_judge(const char *text, size_t size)
{
    static struct build b;
    memset(&b, 0, sizeof b);
    jscan_init(&b.s, text, size, DEPTH);
    enum jscan_token t;
    while ((t = jscan_next(&b.s)) != JSCAN_END && t != JSCAN_ERROR)
        take_token(&b, t);
    char space[64];
    unsigned line, column;
    require(b.s.error_pos <= size && strlen(jscan_error_text(&b.s, space)) > 0);
    jscan_position(&b.s, b.s.error_pos, &line, &column);
    json_t *judge =
        json_loadb(text, size, JSON_DECODE_ANY | JSON_ALLOW_NUL | JSON_DECODE_INT_AS_REAL, NULL);
    /* jansson loses a NUL byte that it puts back. */
    bool has_nul = size > 0 && memchr(text, 0, size);
    if (!has_nul && !b.no_verdict && b.s.error != JSCAN_TOO_DEEP) {
        require((judge != NULL) == (t == JSCAN_END));
        require(!judge || json_equal(judge, b.root));
    }
    json_decref(judge);
    json_decref(b.root);
    for (unsigned i = 0; i <= DEPTH; i++)
        free(b.keys[i]);
}

struct sums {
    uint64_t sum;
    size_t count;
};

static bool add_int(void *arg, int64_t value)
{
    struct sums *sums = arg;
    sums->sum = sums->sum * 31 + (uint64_t)value;
    sums->count++;
    return true;
}

/* Both ways to read integers agree with each other and with the tokens; skip and jump end where
 * they should. */
static void check_arrays(const char *text, size_t size)
{
    struct jscan s, blocks, tokens;
    struct sums all = {0}, in_blocks = {0}, in_tokens = {0};
    jscan_init(&s, text, size, 16);
    blocks = tokens = s;
    bool good = jscan_int_array(&s, add_int, &all);
    int64_t values[3];
    int n;
    while ((n = jscan_int_block(&blocks, values, 3)) > 0)
        for (int i = 0; i < n; i++)
            add_int(&in_blocks, values[i]);
    require(good == (n == 0) && s.error == blocks.error && s.error_pos == blocks.error_pos);
    if (good) {
        require(all.sum == in_blocks.sum && all.count == in_blocks.count && s.pos == blocks.pos);
        require(jscan_next(&tokens) == JSCAN_ARRAY);
        while (jscan_next(&tokens) == JSCAN_NUMBER)
            in_tokens.count++;
        require(tokens.pos == s.pos && in_tokens.count == all.count);
        struct jscan jump;
        jscan_init(&jump, text, size, 16);
        require(jscan_jump(&jump) && jump.pos == s.pos);
    }
    struct jscan skip;
    jscan_init(&skip, text, size, 16);
    bool skipped = jscan_skip(&skip);
    require(skipped || !good);
    require(!skipped || (skip.depth == 0 && skip.pos <= size));
}

int LLVMFuzzerTestOneInput(const uint8_t *data, size_t size)
{
    AUTOFREE char *text = malloc(size ? size : 1);
    memcpy(text, data, size);
    check_against_judge(text, size);
    check_arrays(text, size);
    return 0;
}
