/* Any bytes as JSON5: never a crash; what is strict JSON means the same, and a tree written as JSON is
 * read as it was. */
#include <assert.h>
#include <stddef.h>
#include <stdint.h>
#include <string.h>

#include "ecosystem/config_error.h"
#include "ecosystem/node.h"
#include "ecosystem/read_json.h"
#include "ecosystem/read_json5.h"
#include "lib/base/auto.h"
#include "lib/base/buf.h"
#include "lib/base/str.h"

int LLVMFuzzerTestOneInput(const uint8_t *data, size_t size);

static void compare(const struct node *a, const struct node *b, bool with_lines)
{
    assert(a->kind == b->kind && a->truth == b->truth && a->len == b->len);
    assert(!with_lines || (a->line == b->line && a->key_line == b->key_line));
    assert(str_eq(a->key, b->key));
    assert(a->len == 0 || memcmp(a->text, b->text, a->len) == 0);
    const struct node *y = b->first;
    for (const struct node *x = a->first; x; x = x->next, y = y->next) {
        assert(y);
        compare(x, y, with_lines);
    }
    assert(!y);
}

int LLVMFuzzerTestOneInput(const uint8_t *data, size_t size)
{
    const char *text = (const char *)data;
    struct config_error error;
    AUTONODE struct node strict = {0}, loose = {0}, again = {0};
    AUTOBUF struct buf out = BUF_INIT(64 << 20);
    bool is_strict = read_json(text, size, &strict, &error) == 0;
    if (read_json5(text, size, &loose, &error) < 0) {
        assert(!is_strict && error.text[0] && !loose.first);
        return 0;
    }
    if (is_strict)
        compare(&strict, &loose, true);
    assert(node_to_json(&loose, &out) == 0);
    assert(read_json(buf_str(&out), out.len, &again, &error) == 0);
    compare(&loose, &again, false);
    return 0;
}
