#include "lib/wire/method.h"

#include "tests/unit/support.h"

#include <ctype.h>

/* The table itself is private to its file; taken in whole, so that no row can be forgotten here. */
#include "lib/wire/method.c"

#include "lib/base/json.h"

enum { TEXT = 400 };

/* ---- values that fit and that do not --------------------------------------------------------- */

static json_t *string_of(long long len)
{
    AUTOFREE char *text = xcalloc(1, (size_t)len + 1);
    memset(text, 'x', (size_t)len);
    return json_string(text);
}

static json_t *array_of(long long len)
{
    json_t *array = json_array();
    for (long long i = 0; i < len; i++)
        (void)json_array_append_new(array, json_string("x"));
    return array;
}

static json_t *object_of(long long len)
{
    json_t *object = json_object();
    for (long long i = 0; i < len; i++) {
        AUTOFREE char *key = xasprintf("k%lld", i);
        json_set_string(object, key, "x");
    }
    return object;
}

/* A value of the field's type and this size (or this number). */
static json_t *value_of(const struct wire_field *f, long long size)
{
    switch (f->type) {
    case WIRE_STRING:
        return string_of(size);
    case WIRE_INT:
        return json_integer(size);
    case WIRE_BOOL:
        return json_true();
    case WIRE_OBJECT:
        return object_of(size);
    case WIRE_ARRAY:
    case WIRE_STRINGS:
        return array_of(size);
    case WIRE_UUID:
        return size == 36 ? json_string("01890a5d-ac96-774b-bcce-b302099a8057") : string_of(size);
    }
    return NULL;
}

static json_t *all_fields(const struct wire_method *m)
{
    json_t *params = json_object();
    for (const struct wire_field *f = m->fields; f->name; f++)
        (void)json_object_set_new(params, f->name, value_of(f, f->min));
    return params;
}

static void assert_refused(const struct wire_method *m, const json_t *params, const char *field)
{
    char text[TEXT] = "";
    AUTOFREE char *quoted = xasprintf("field \"%s\"", field);
    assert_int_equal(wire_method_check(m, params, text, sizeof text), ERR_INVALID);
    assert_true(str_starts(text, m->name));
    assert_non_null(strstr(text, quoted));
}

static void assert_fits(const struct wire_method *m, const json_t *params)
{
    char text[TEXT] = "";
    if (wire_method_check(m, params, text, sizeof text) < 0)
        fail_msg("%s", text);
}

static void assert_refused_with(const struct wire_method *m, const struct wire_field *f,
                                json_t *value)
{
    AUTOJSON json_t *params = all_fields(m);
    (void)json_object_set_new(params, f->name, value);
    assert_refused(m, params, f->name);
}

/* ---- the tests ------------------------------------------------------------------------------- */

static void every_row_takes_its_fields_at_both_limits(void **state)
{
    for (size_t i = 0; i < ARRAY_SIZE(methods); i++) {
        AUTOJSON json_t *params = all_fields(&methods[i]);
        (void)json_object_set_new(params, "a field that nobody knows", json_null());
        assert_fits(&methods[i], params);
        for (const struct wire_field *f = methods[i].fields; f->name; f++) {
            (void)json_object_set_new(params, f->name, value_of(f, f->max));
            assert_fits(&methods[i], params);
        }
    }
}

static void a_required_field_may_not_be_missing(void **state)
{
    for (size_t i = 0; i < ARRAY_SIZE(methods); i++) {
        for (const struct wire_field *f = methods[i].fields; f->name; f++) {
            AUTOJSON json_t *params = all_fields(&methods[i]);
            (void)json_object_del(params, f->name);
            if (f->required)
                assert_refused(&methods[i], params, f->name);
            else
                assert_fits(&methods[i], params);
        }
    }
}

static void a_field_may_not_be_of_another_type(void **state)
{
    for (size_t i = 0; i < ARRAY_SIZE(methods); i++) {
        const struct wire_method *m = &methods[i];
        for (const struct wire_field *f = m->fields; f->name; f++) {
            assert_refused_with(m, f, json_null());
            assert_refused_with(m, f, json_real(7.0));
            if (f->type != WIRE_INT)
                assert_refused_with(m, f, json_integer(f->min));
            if (f->type != WIRE_BOOL)
                assert_refused_with(m, f, json_false());
            if (f->type != WIRE_STRING && f->type != WIRE_UUID)
                assert_refused_with(m, f, json_string("7"));
            if (f->type != WIRE_OBJECT)
                assert_refused_with(m, f, json_object());
            if (f->type != WIRE_ARRAY && f->type != WIRE_STRINGS)
                assert_refused_with(m, f, json_array());
            if (f->type == WIRE_STRINGS)
                assert_refused_with(m, f, json_pack("[si]", "x", 1));
            if (f->type != WIRE_UUID)
                continue;
            assert_refused_with(m, f, json_string("01890A5D-AC96-774B-BCCE-B302099A8057"));
            assert_refused_with(m, f, json_string("01890a5d-ac96-474b-bcce-b302099a8057"));
        }
    }
}

static void a_field_may_not_be_past_its_limits(void **state)
{
    for (size_t i = 0; i < ARRAY_SIZE(methods); i++) {
        for (const struct wire_field *f = methods[i].fields; f->name; f++) {
            if (f->type == WIRE_BOOL)
                continue;
            assert_refused_with(&methods[i], f, value_of(f, f->max + 1));
            if (f->type == WIRE_INT || f->min > 0)
                assert_refused_with(&methods[i], f, value_of(f, f->min - 1));
        }
    }
}

static void a_message_is_found_in_its_directions_only(void **state)
{
    for (size_t i = 0; i < ARRAY_SIZE(methods); i++) {
        for (unsigned from = WIRE_CLI_TO_SUPERVISOR; from <= WIRE_PROBE_TO_SUPERVISOR; from <<= 1) {
            const struct wire_method *found =
                wire_method_find(methods[i].name, (enum wire_from)from);
            if (methods[i].from & from)
                assert_ptr_equal(found, &methods[i]); /* so no row hides another */
            else
                assert_true(!found || found != &methods[i]);
        }
    }
    assert_null(wire_method_find("capture.start", WIRE_PROBE_TO_SUPERVISOR));
    assert_null(wire_method_find("daemon.kill", WIRE_AGENT_TO_SUPERVISOR));
    assert_null(wire_method_find("", WIRE_CLI_TO_SUPERVISOR));
    assert_null(wire_method_find("ping ", WIRE_CLI_TO_SUPERVISOR));
}

static void the_sentence_is_cut_to_the_space_there_is(void **state)
{
    char text[10];
    AUTOJSON json_t *params = json_object();
    assert_int_equal(wire_method_check(wire_method_find("app.start", WIRE_CLI_TO_SUPERVISOR),
                                       params, text, sizeof text),
                     ERR_INVALID);
    assert_string_equal(text, "app.start");
}

/* ---- against the documentation --------------------------------------------------------------- */

/* Up to the channel, whose messages are another table's. */
static void read_protocol(struct buf *text)
{
    assert_int_equal(path_read("docs/PROTOCOL.md", text), 0);
    char *channel = strstr(text->data, "\n## Channel");
    assert_non_null(channel);
    buf_cut(text, (size_t)(channel - text->data));
}

static void the_documentation_names_every_message_and_field(void **state)
{
    AUTOBUF struct buf text = BUF_INIT(1 << 20);
    read_protocol(&text);
    for (size_t i = 0; i < ARRAY_SIZE(methods); i++) {
        AUTOFREE char *name = xasprintf("`%s`", methods[i].name);
        if (!strstr(buf_str(&text), name))
            fail_msg("docs/PROTOCOL.md does not name %s", name);
        for (const struct wire_field *f = methods[i].fields; f->name; f++) {
            AUTOFREE char *field = xasprintf("`%s`", f->name);
            if (!strstr(buf_str(&text), field))
                fail_msg("docs/PROTOCOL.md does not name %s of %s", field, name);
        }
    }
}

static bool is_method(const char *name)
{
    for (size_t i = 0; i < ARRAY_SIZE(methods); i++)
        if (str_eq(methods[i].name, name))
            return true;
    return false;
}

static void every_documented_message_is_in_the_table(void **state)
{
    AUTOBUF struct buf text = BUF_INIT(1 << 20);
    read_protocol(&text);
    unsigned count = 0;
    /* The first cell of a row of a table: | `a`, `b` | … */
    for (char *rest = text.data, *line; (line = strsep(&rest, "\n"));) {
        if (!str_starts(line, "| `"))
            continue;
        char *cell = line + 2;
        cell[strcspn(cell, "|")] = '\0';
        for (char *name; (name = strsep(&cell, "`"));) {
            if (!islower((unsigned char)name[0]) || strchr(name, '*'))
                continue;
            if (!is_method(name))
                fail_msg("docs/PROTOCOL.md tells of `%s`, which is not in the table", name);
            count++;
        }
    }
    assert_true(count >= ARRAY_SIZE(methods));
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(every_row_takes_its_fields_at_both_limits),
        cmocka_unit_test(a_required_field_may_not_be_missing),
        cmocka_unit_test(a_field_may_not_be_of_another_type),
        cmocka_unit_test(a_field_may_not_be_past_its_limits),
        cmocka_unit_test(a_message_is_found_in_its_directions_only),
        cmocka_unit_test(the_sentence_is_cut_to_the_space_there_is),
        cmocka_unit_test(the_documentation_names_every_message_and_field),
        cmocka_unit_test(every_documented_message_is_in_the_table),
    };
    return cmocka_run_group_tests(tests, NULL, NULL);
}
