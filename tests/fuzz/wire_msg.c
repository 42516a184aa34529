/* Any bytes as lines of the control protocol: what is taken for a message can be written again and
 * read again, and its fields can be checked against every row of the table. */
#include <assert.h>
#include <stdint.h>
#include <string.h>

#include "lib/base/buf.h"
#include "lib/base/json.h"
#include "lib/base/limits.h"
#include "lib/base/str.h"
#include "lib/wire/method.h"
#include "lib/wire/msg.h"

int LLVMFuzzerTestOneInput(const uint8_t *data, size_t size);

static void check_fields(const struct msg *m)
{
    char text[300];
    for (unsigned from = WIRE_CLI_TO_SUPERVISOR; from <= WIRE_PROBE_TO_SUPERVISOR; from <<= 1) {
        const struct wire_method *method = wire_method_find(m->method, (enum wire_from)from);
        if (method && wire_method_check(method, m->params, text, sizeof text) < 0)
            assert(str_starts(text, method->name));
    }
}

static int write_again(struct buf *out, const struct msg *m)
{
    switch (m->kind) {
    case MSG_REQUEST:
    case MSG_NOTIFICATION:
        return msg_add_request(out, m->id, m->method, m->params, m->fds_wanted);
    case MSG_RESULT:
        return msg_add_result(out, m->id, m->result, m->fds_wanted);
    case MSG_ERROR:
        return msg_add_error(out, m->id, m->error, m->error_text, m->error_data);
    }
    return -1;
}

static void check(const struct msg *m)
{
    AUTOBUF struct buf out = BUF_INIT(LIMIT_CONTROL_LINE);
    AUTOMSG struct msg again = {0};
    assert((m->kind == MSG_NOTIFICATION) == !m->id);
    assert(m->fds_wanted <= LIMIT_CONTROL_FDS && m->fd_count == 0);
    assert(m->kind != MSG_ERROR || m->error < 0);
    if (m->method)
        check_fields(m);
    assert(write_again(&out, m) == 0);
    assert(memchr(out.data, '\n', out.len) == out.data + out.len - 1);
    assert(msg_parse(out.data, out.len - 1, &again) == 0);
    assert(again.kind == m->kind && str_eq(again.id, m->id) && again.error == m->error);
    if (m->method)
        assert(str_eq(again.method, m->method) && json_equal(again.params, m->params));
    if (m->kind == MSG_RESULT)
        assert(json_equal(again.result, m->result));
}

int LLVMFuzzerTestOneInput(const uint8_t *data, size_t size)
{
    const char *line = (const char *)data, *end = line + size;
    while (line < end) {
        const char *newline = memchr(line, '\n', (size_t)(end - line));
        size_t len = (size_t)((newline ? newline : end) - line);
        AUTOMSG struct msg m = {0};
        if (msg_parse(line, len, &m) == 0)
            check(&m);
        line += len + 1;
    }
    return 0;
}
