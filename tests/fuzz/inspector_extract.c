/* Messages of an inspector in fragments: the first byte says how they are cut, a zero byte ends a message.
 *
 * What comes out must not depend on the cuts, and the verdict on the grammar must be that of jscan, which reads the same
 * language from memory; only what is no UTF-8 does the extractor let pass. */
#include <assert.h>
#include <stdint.h>
#include <stdlib.h>
#include <string.h>

#include "agent/inspector/cdp.h"
#include "agent/inspector/extract.h"
#include "lib/base/buf.h"
#include "lib/base/err.h"
#include "lib/base/jscan.h"
#include "lib/base/limits.h"

int LLVMFuzzerTestOneInput(const uint8_t *data, size_t size);

enum { AWAITED = 7 };

static int on_bytes(void *arg, const char *data, size_t len)
{
    assert(len > 0);
    return buf_add(arg, data, len);
}

/* Feeds one message in pieces of `piece` bytes (0: whole), each from memory of its own. */
static int feed(struct extract *x, const char *text, size_t len, size_t piece)
{
    size_t at = 0;
    int r;
    do {
        size_t n = piece == 0 || len - at < piece ? len - at : piece;
        char *copy = malloc(n ? n : 1);
        if (n > 0)
            memcpy(copy, text + at, n);
        at += n;
        r = extract_feed(x, copy, n, at == len);
        free(copy);
    } while (r == EXTRACT_MORE && at < len);
    return r;
}

static enum jscan_error verdict_of(const char *text, size_t len)
{
    struct jscan s;
    jscan_init(&s, text, len, JPUSH_MAX_DEPTH);
    enum jscan_token first = jscan_next(&s), t = first;
    while (t != JSCAN_END && t != JSCAN_ERROR)
        t = jscan_next(&s);
    return s.error == JSCAN_OK && first != JSCAN_OBJECT ? JSCAN_UNEXPECTED : s.error;
}

static bool has_high_byte(const char *text, size_t len)
{
    for (size_t i = 0; i < len; i++)
        if ((unsigned char)text[i] >= 0x80)
            return true;
    return false;
}

static void check_grammar(const char *text, size_t len, int found)
{
    enum jscan_error error = verdict_of(text, len);
    if (error == JSCAN_TOO_DEEP || has_high_byte(text, len))
        return;
    /* Twice an id or a profile is grammar, and refused. */
    if (found >= 0)
        assert(error == JSCAN_OK);
    else if (error == JSCAN_OK)
        assert(found == ERR_PROTOCOL);
}

static void check_profile(const struct buf *sunk)
{
    struct jscan s;
    if (has_high_byte(sunk->data, sunk->len))
        return;
    jscan_init(&s, sunk->data, sunk->len, JPUSH_MAX_DEPTH);
    enum jscan_token t;
    while ((t = jscan_next(&s)) != JSCAN_END && t != JSCAN_ERROR)
        continue;
    assert(t == JSCAN_END);
}

static void check_message(const struct extract *x, const char *text, size_t len)
{
    assert(x->message.len == len && (len == 0 || memcmp(x->message.data, text, len) == 0));
    struct cdp_message m;
    if (cdp_parse(text, len, &m) < 0)
        return;
    /* jansson looks at the same members. */
    if (m.id > 0 && m.id == AWAITED && !has_high_byte(text, len))
        assert(x->id == m.id || strchr(text, '\\'));
    cdp_message_clear(&m);
}

/* Returns false when the connection would end here. */
static bool one_message(struct extract *whole, struct extract *cut, struct buf sunk[2],
                        const char *text, size_t len, size_t piece)
{
    int found = feed(whole, text, len, 0);
    int again = feed(cut, text, len, piece);
    assert(found == again);
    assert(found != EXTRACT_MORE);
    check_grammar(text, len, found);
    if (found < 0)
        return false;
    assert(whole->id == cut->id && strcmp(whole->method, cut->method) == 0);
    assert(sunk[0].len == sunk[1].len &&
           (sunk[0].len == 0 || memcmp(sunk[0].data, sunk[1].data, sunk[0].len) == 0));
    if (found == EXTRACT_PROFILE)
        check_profile(&sunk[0]);
    if (found == EXTRACT_MESSAGE)
        check_message(whole, text, len);
    buf_reset(&sunk[0]);
    buf_reset(&sunk[1]);
    return true;
}

int LLVMFuzzerTestOneInput(const uint8_t *data, size_t size)
{
    if (size < 1)
        return 0;
    struct buf sunk[2] = {BUF_INIT(1u << 20), BUF_INIT(1u << 20)};
    struct extract x[2];
    size_t piece = data[0] % 16 + 1;
    char *text = malloc(size);
    memcpy(text, data + 1, size - 1);
    text[size - 1] = '\0';
    for (int i = 0; i < 2; i++) {
        extract_init(&x[i], on_bytes, &sunk[i]);
        x[i].awaited_id = AWAITED;
    }
    for (size_t at = 0; at < size; at += strlen(text + at) + 1)
        if (!one_message(&x[0], &x[1], sunk, text + at, strlen(text + at), piece))
            break;
    for (int i = 0; i < 2; i++) {
        extract_clear(&x[i]);
        buf_clear(&sunk[i]);
    }
    free(text);
    return 0;
}
