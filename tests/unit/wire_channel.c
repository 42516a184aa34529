#include "lib/wire/channel.h"

#include "tests/unit/support.h"

#include <ctype.h>

#include "lib/base/err.h"
#include "lib/base/json.h"
#include "lib/base/limits.h"
#include "lib/base/str.h"

#define UUID "01890a5d-ac96-774b-bcce-b302099a8057"
#define AGENT_HELLO                                                                                \
    "{\"type\":\"hello\",\"min_version\":1,\"max_version\":1,\"capabilities\":[\"capture\"],"      \
    "\"release\":\"0.1.0\",\"id\":\"" UUID "\",\"hostname\":\"web-1\",\"later\":[1]}"

enum { TEXT = 400 };

static int parse(const char *text, enum channel_from from, enum channel_phase phase,
                 char reterr_text[static TEXT])
{
    const struct channel_type *type;
    json_t *message = NULL;
    reterr_text[0] = '\0';
    int r = channel_parse(text, strlen(text), from, phase, &type, &message, reterr_text, TEXT);
    json_decref(message);
    return r;
}

static void takes_a_message_with_fields_of_later_versions(void **state)
{
    char text[TEXT];
    assert_int_equal(parse(AGENT_HELLO, CHANNEL_AGENT, CHANNEL_HELLO, text), 0);
    assert_int_equal(parse("{\"type\":\"ping\"}", CHANNEL_CONSOLE, CHANNEL_OPEN, text), 0);
}

static void refuses_what_is_unknown_or_comes_at_the_wrong_time(void **state)
{
    char text[TEXT];
    assert_int_equal(parse("{\"type\":\"ping\"}", CHANNEL_AGENT, CHANNEL_HELLO, text),
                     ERR_PROTOCOL);
    assert_string_equal(text, "message ping is not allowed now");
    assert_int_equal(parse(AGENT_HELLO, CHANNEL_AGENT, CHANNEL_OPEN, text), ERR_PROTOCOL);
    assert_int_equal(parse("{\"type\":\"evaluate\"}", CHANNEL_CONSOLE, CHANNEL_OPEN, text),
                     ERR_PROTOCOL);
    assert_string_equal(text, "message evaluate is unknown");
    /* The other side's. */
    assert_int_equal(
        parse("{\"type\":\"capture.stop\",\"id\":\"" UUID "\"}", CHANNEL_AGENT, CHANNEL_OPEN, text),
        ERR_PROTOCOL);
    assert_int_equal(parse("{\"kind\":\"ping\"}", CHANNEL_AGENT, CHANNEL_OPEN, text), ERR_PROTOCOL);
}

static void refuses_what_is_no_object_or_has_wrong_fields(void **state)
{
    char text[TEXT];
    assert_int_equal(parse("[1]", CHANNEL_AGENT, CHANNEL_OPEN, text), ERR_SYNTAX);
    assert_int_equal(parse("", CHANNEL_AGENT, CHANNEL_OPEN, text), ERR_SYNTAX);
    assert_int_equal(
        parse("{\"type\":\"capture.stop\",\"id\":\"../../x\"}", CHANNEL_CONSOLE, CHANNEL_OPEN, text),
        ERR_INVALID);
    assert_non_null(strstr(text, "\"id\""));
    assert_int_equal(
        parse("{\"type\":\"blob.go\",\"blob\":1,\"offset\":-1}", CHANNEL_CONSOLE, CHANNEL_OPEN, text),
        ERR_INVALID);
}

static void refuses_what_is_too_long(void **state)
{
    char reason[TEXT];
    const struct channel_type *type;
    json_t *message = NULL;
    size_t len = LIMIT_CHANNEL_MESSAGE + 1;
    AUTOFREE char *text = xcalloc(1, len + 1);
    memset(text, ' ', len);
    assert_int_equal(channel_parse(text, len, CHANNEL_AGENT, CHANNEL_OPEN, &type, &message, reason,
                                   sizeof reason),
                     ERR_TOO_BIG);
}

static void what_is_added_can_be_parsed(void **state)
{
    char text[TEXT];
    AUTOBUF struct buf out = BUF_INIT(4096);
    AUTOJSON json_t *fields = json_object();
    json_set_int(fields, "blob", 7);
    json_set_int(fields, "offset", 65536);
    assert_int_equal(channel_add(&out, "blob.ack", fields), 0);
    assert_int_equal(parse(buf_str(&out), CHANNEL_CONSOLE, CHANNEL_OPEN, text), 0);
}

static void the_highest_version_that_both_speak_is_chosen(void **state)
{
    assert_int_equal(channel_choose_version(1, 1), 1);
    assert_int_equal(channel_choose_version(1, 9), CHANNEL_VERSION);
    assert_int_equal(channel_choose_version(CHANNEL_VERSION + 1, 9), 0);
    assert_int_equal(channel_choose_version(3, 2), 0);
}

/* ---- against the documentation --------------------------------------------------------------- */

static void read_section(struct buf *text)
{
    assert_int_equal(path_read("docs/PROTOCOL.md", text), 0);
    char *begin = strstr(text->data, "\n## Channel");
    assert_non_null(begin);
    buf_consume(text, (size_t)(begin - text->data));
    char *end = strstr(text->data + 1, "\n## ");
    if (end)
        buf_cut(text, (size_t)(end - text->data));
}

static void the_documentation_names_every_message_and_field(void **state)
{
    AUTOBUF struct buf text = BUF_INIT(1 << 20);
    read_section(&text);
    const struct channel_type *type;
    for (size_t i = 0; (type = channel_type_at(i)); i++) {
        AUTOFREE char *name = xasprintf("`%s`", type->name);
        char *row = strstr(buf_str(&text), name);
        if (!row)
            fail_msg("docs/PROTOCOL.md does not name %s", name);
        for (const struct wire_field *f = type->fields; f->name; f++) {
            AUTOFREE char *field = xasprintf("`%s`", f->name);
            if (!strstr(buf_str(&text), field))
                fail_msg("docs/PROTOCOL.md does not name %s of %s", field, name);
        }
    }
}

static bool is_type(const char *name)
{
    const struct channel_type *type;
    for (size_t i = 0; (type = channel_type_at(i)); i++)
        if (str_eq(type->name, name))
            return true;
    return false;
}

static void every_documented_message_is_in_the_table(void **state)
{
    AUTOBUF struct buf text = BUF_INIT(1 << 20);
    read_section(&text);
    for (char *rest = text.data, *line; (line = strsep(&rest, "\n"));) {
        if (!str_starts(line, "| `"))
            continue;
        char *cell = line + 2;
        cell[strcspn(cell, "|")] = '\0';
        for (char *name; (name = strsep(&cell, "`"));)
            if (islower((unsigned char)name[0]) && !is_type(name))
                fail_msg("docs/PROTOCOL.md tells of `%s`, which is not in the table", name);
    }
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(takes_a_message_with_fields_of_later_versions),
        cmocka_unit_test(refuses_what_is_unknown_or_comes_at_the_wrong_time),
        cmocka_unit_test(refuses_what_is_no_object_or_has_wrong_fields),
        cmocka_unit_test(refuses_what_is_too_long),
        cmocka_unit_test(what_is_added_can_be_parsed),
        cmocka_unit_test(the_highest_version_that_both_speak_is_chosen),
        cmocka_unit_test(the_documentation_names_every_message_and_field),
        cmocka_unit_test(every_documented_message_is_in_the_table),
    };
    return cmocka_run_group_tests(tests, NULL, NULL);
}
