/* Any bytes as YAML: refused with a sentence, or an answer that is JSON with the same content, on the
 * same lines but where an alias stands for earlier ones. */
#include <assert.h>
#include <stddef.h>
#include <stdint.h>
#include <string.h>

#include "ecosystem/config_error.h"
#include "ecosystem/ecosystem.h"
#include "ecosystem/node.h"
#include "ecosystem/read_json.h"
#include "lib/base/auto.h"
#include "lib/base/buf.h"
#include "lib/base/err.h"
#include "lib/base/limits.h"
#include "lib/base/str.h"
#include "supervisor/cli/load/answer.h"
#include "supervisor/cli/load/yaml.h"

int LLVMFuzzerTestOneInput(const uint8_t *data, size_t size);

static void compare(const struct node *a, const struct node *b)
{
    assert(a->kind == b->kind && a->truth == b->truth && a->len == b->len);
    assert(a->line == b->line);
    assert(a->len == 0 || memcmp(a->text, b->text, a->len) == 0);
    const struct node *y = b->first;
    for (const struct node *x = a->first; x; x = x->next, y = y->next) {
        assert(y && x->key_line == y->key_line && str_eq(x->key, y->key));
        compare(x, y);
    }
    assert(!y);
}

int LLVMFuzzerTestOneInput(const uint8_t *data, size_t size)
{
    struct config_error error = {0};
    AUTONODE struct node root = {0}, again = {0};
    AUTOBUF struct buf out = BUF_INIT(LIMIT_ECOSYSTEM_ANSWER);
    struct ecosystem *eco = NULL;
    if (yaml_read((const char *)data, size, &root, &error) < 0) {
        assert(error.text[0] && !root.first);
        return 0;
    }
    if (answer_value(&root, &out) < 0)
        return 0;
    /* A key may stand twice, which is for the reader of the answer to refuse. */
    if (read_json(buf_str(&out), out.len, &again, &error) < 0)
        assert(strstr(error.text, "given twice"));
    else
        compare(&root, again.first);
    (void)ecosystem_load_answer("a.yml", buf_str(&out), out.len, &eco, NULL, &error);
    ecosystem_free(eco);
    return 0;
}
