/* Records from the spool are foreign bytes: what is read must come out again as it went in, and
 * what the supervisor answers must leave a record that can be read. */
#include <assert.h>
#include <stdint.h>
#include <stdlib.h>
#include <string.h>

#include "agent/record.h"
#include "lib/base/auto.h"
#include "lib/base/buf.h"
#include "lib/base/json.h"
#include "lib/base/limits.h"
#include "lib/wire/blob.h"

int LLVMFuzzerTestOneInput(const uint8_t *data, size_t size);

static void to_text(const struct record *r, struct buf *out)
{
    AUTOJSON json_t *json = record_to_json(r);
    assert(json_to_buf(json, out) == 0);
}

/* Out, in, and out again. */
static void check_round_trip(const struct record *r)
{
    char why[RECORD_TEXT];
    AUTORECORD struct record again;
    record_init(&again);
    AUTOBUF struct buf first = BUF_INIT(LIMIT_CAPTURE_RECORD);
    AUTOBUF struct buf second = BUF_INIT(LIMIT_CAPTURE_RECORD);
    to_text(r, &first);
    assert(record_parse(first.data, first.len, &again, why) == 0);
    to_text(&again, &second);
    assert(first.len == second.len && memcmp(first.data, second.data, first.len) == 0);
}

static void as_file(const char *text, size_t len)
{
    char why[RECORD_TEXT];
    AUTORECORD struct record r;
    record_init(&r);
    if (record_parse(text, len, &r, why) == 0)
        check_round_trip(&r);
}

/* What only the agent itself may say, in words of others. */
static void check_ours(const struct record *r)
{
    assert(!r->from_console && !r->delivered && !r->role);
    assert(!r->sha256 && !r->stored_sha256 && r->stored_bytes == RECORD_UNKNOWN);
}

/* The same bytes as a request of the console. */
static void as_console_request(const char *text, size_t len)
{
    char why[RECORD_TEXT];
    AUTOJSON json_t *message = json_object_parse(text, len);
    AUTORECORD struct record r;
    record_init(&r);
    if (!message || record_from_console(message, "01890a5d-ac96-774b-bcce-b302099a8057", 1, &r, why) < 0)
        return;
    assert(r.from_console && r.role && !r.delivered && !record_packed(&r));
    check_round_trip(&r);
    AUTOJSON json_t *told = record_for_console(record_to_json(&r));
    assert(!json_object_get(told, "delivered"));
    struct blob_sums sums = {.bytes = len, .stored_bytes = len / 2};
    memcpy(sums.sha256, text, len < sizeof sums.sha256 ? len : sizeof sums.sha256);
    record_pack(&r, &sums);
    assert(record_packed(&r));
    check_round_trip(&r);
}

/* The same bytes as what the supervisor says about a capture. */
static void as_messages(const char *text, size_t len)
{
    static const char request[] = "{\"id\":\"01890a5d-ac96-774b-bcce-b302099a8057\",\"kind\":"
                                  "\"heap\",\"app\":\"a\",\"not_after_ms\":9}";
    char why[RECORD_TEXT];
    AUTOJSON json_t *params = json_object_parse(request, sizeof request - 1);
    AUTOJSON json_t *message = json_object_parse(text, len);
    AUTORECORD struct record r;
    record_init(&r);
    assert(record_from_request(params, 1, &r, why) == 0);
    if (!message)
        return;
    (void)record_progress(&r, message, 2);
    check_round_trip(&r);
    if (record_answer(&r, message, 3) == 0)
        check_round_trip(&r);
    record_fail(&r, json_get_string(message, "error", NULL),
                json_get_string(message, "message", NULL), 4);
    check_round_trip(&r);
    check_ours(&r);
}

int LLVMFuzzerTestOneInput(const uint8_t *data, size_t size)
{
    if (size > LIMIT_CAPTURE_RECORD)
        return 0;
    as_file((const char *)data, size);
    as_messages((const char *)data, size);
    as_console_request((const char *)data, size);
    return 0;
}
