/* The route table against openapi.json, and the pure parts: paths, queries, cookies, fields, orders, names of files. */
#include "remote/api.h"

#include "tests/unit/support.h"

#include "lib/base/err.h"
#include "lib/base/json.h"
#include "lib/base/str.h"
#include "remote/api_call.h"
#include "remote/api_fields.h"
#include "remote/api_order.h"
#include "remote/api_path.h"
#include "remote/openapi.h"
#include "remote/profile_view.h"
#include "remote/store/profiles.h"

/* ---- the table and openapi.json -------------------------------------------------------------- */

static json_t *doc;

static int load_doc(void **state)
{
    size_t len;
    const char *text = openapi_text(&len);
    doc = json_object_parse(text, len);
    return doc ? 0 : -1;
}

static int free_doc(void **state)
{
    json_decref(doc);
    return 0;
}

static const char *method_word(enum http_method method)
{
    return method == HTTP_GET ? "get" : method == HTTP_POST ? "post" : "delete";
}

static const char *role_word(enum api_access access)
{
    return access == API_ANYONE ? "anyone" : role_name((enum role)access);
}

static const json_t *operation_of(const struct api_route *route)
{
    const json_t *path = json_object_get(json_object_get(doc, "paths"), route->path);
    return json_object_get(path, method_word(route->method));
}

static void every_route_is_described_as_it_is(void **state)
{
    const struct api_route *route;
    for (size_t i = 0; (route = api_route_at(i)); i++) {
        const json_t *op = operation_of(route);
        if (!op)
            fail_msg("%s %s is not in openapi.json", method_word(route->method), route->path);
        assert_string_equal(json_get_string(op, "x-role", ""), role_word(route->access));
        assert_true(json_is_boolean(json_object_get(op, "x-changes")));
        assert_int_equal(json_get_bool(op, "x-changes", false), route->changes);
        assert_non_null(json_get_string(op, "summary", NULL));
        assert_int_equal(json_object_get(op, "security") != NULL, route->access == API_ANYONE);
    }
}

static void everything_described_is_a_route(void **state)
{
    const char *path, *method;
    json_t *methods, *op;
    size_t described = 0, routes = 0;
    while (api_route_at(routes))
        routes++;
    json_object_foreach(json_object_get(doc, "paths"), path, methods)
        json_object_foreach(methods, method, op)
    {
        bool found = false;
        for (size_t i = 0; i < routes; i++)
            found |= operation_of(api_route_at(i)) == op;
        if (!found)
            fail_msg("%s %s of openapi.json is no route", method, path);
        described++;
    }
    assert_int_equal(described, routes);
}

static const json_t *resolve(const json_t *j)
{
    const char *ref = json_get_string(j, "$ref", NULL);
    if (!ref)
        return j;
    assert_true(str_starts(ref, "#/components/"));
    AUTOFREE char *copy = xstrdup(ref + strlen("#/"));
    const json_t *at = doc;
    char *rest = copy;
    for (char *step; (step = strsep(&rest, "/"));)
        at = json_object_get(at, step);
    if (!at)
        fail_msg("%s leads nowhere", ref);
    return at;
}

/* All members, also of what is referred to, have a type. */
static void check_schema(const json_t *schema, unsigned depth)
{
    const char *name;
    json_t *member;
    schema = resolve(schema);
    assert_true(depth < 10);
    assert_non_null(json_object_get(schema, "type"));
    json_object_foreach(json_object_get(schema, "properties"), name, member)
        check_schema(member, depth + 1);
    if (json_is_object(json_object_get(schema, "items")))
        check_schema(json_object_get(schema, "items"), depth + 1);
    size_t i;
    json_array_foreach(json_object_get(schema, "required"), i, member) assert_non_null(
        json_object_get(json_object_get(schema, "properties"), json_string_value(member)));
}

static void check_content(const json_t *message)
{
    const json_t *content = json_object_get(message, "content");
    if (content)
        check_schema(json_object_get(json_object_get(content, "application/json"), "schema"), 0);
}

static void every_reply_and_body_has_fields_with_types(void **state)
{
    const struct api_route *route;
    for (size_t i = 0; (route = api_route_at(i)); i++) {
        const json_t *op = operation_of(route);
        const char *status;
        json_t *response;
        bool succeeds = false;
        check_content(json_object_get(op, "requestBody"));
        json_object_foreach(json_object_get(op, "responses"), status, response)
        {
            const json_t *r = resolve(response);
            assert_non_null(json_get_string(r, "description", NULL));
            check_content(r);
            bool bare = str_eq(status, "204") || str_eq(status, "304");
            assert_int_equal(json_object_get(r, "content") != NULL, !bare);
            succeeds |= status[0] == '2';
        }
        assert_true(succeeds);
    }
}

/* Each {…} of a path is a parameter of it, and the other way round. */
static void path_parameters_are_described(void **state)
{
    const struct api_route *route;
    for (size_t i = 0; (route = api_route_at(i)); i++) {
        size_t in_path = 0, described = 0, p;
        json_t *parameter;
        for (const char *c = route->path; *c; c++)
            in_path += *c == '{';
        json_array_foreach(json_object_get(operation_of(route), "parameters"), p, parameter)
        {
            const json_t *one = resolve(parameter);
            if (!str_eq(json_get_string(one, "in", NULL), "path"))
                continue;
            AUTOFREE char *braced = xasprintf("{%s}", json_get_string(one, "name", ""));
            assert_non_null(strstr(route->path, braced));
            described++;
        }
        assert_int_equal(in_path, described);
    }
}

static void what_changes_something_is_never_a_get(void **state)
{
    const struct api_route *route;
    for (size_t i = 0; (route = api_route_at(i)); i++)
        assert_int_equal(route->changes, route->method != HTTP_GET);
}

/* ---- finding a route ------------------------------------------------------------------------- */

static const struct api_route *found;
static char *params[API_PARAMS];
static char allowed[40];

static int find(enum http_method method, const char *path)
{
    for (size_t i = 0; i < API_PARAMS; i++)
        params[i] = NULL;
    return api_route_find(method, path, &found, params, allowed);
}

static void a_request_finds_its_route(void **state)
{
    assert_int_equal(find(HTTP_GET, "/api/v1/hosts"), 0);
    assert_string_equal(found->path, "/api/v1/hosts");
    assert_int_equal(find(HTTP_POST, "/api/v1/captures/abc/stop"), 0);
    assert_string_equal(found->path, "/api/v1/captures/{id}/stop");
    assert_string_equal(params[0], "abc");
    free(params[0]);
    assert_int_equal(find(HTTP_DELETE, "/api/v1/users/a%40b"), 0);
    assert_string_equal(params[0], "a@b");
    free(params[0]);
}

static void head_goes_where_get_goes(void **state)
{
    assert_int_equal(find(HTTP_HEAD, "/api/v1/hosts"), 0);
    assert_int_equal(found->method, HTTP_GET);
    assert_int_equal(find(HTTP_HEAD, "/api/v1/login"), ERR_UNSUPPORTED);
    assert_string_equal(allowed, "POST");
}

static void a_known_path_says_its_methods(void **state)
{
    assert_int_equal(find(HTTP_DELETE, "/api/v1/captures"), ERR_UNSUPPORTED);
    assert_string_equal(allowed, "GET, HEAD, POST");
    assert_int_equal(find(HTTP_POST, "/api/v1/profiles/x"), ERR_UNSUPPORTED);
    assert_string_equal(allowed, "GET, HEAD, DELETE");
}

static void an_unknown_path_is_not_found(void **state)
{
    static const char *const paths[] = {"/api/v1",
                                        "/api/v1/",
                                        "/api/v1/hosts/",
                                        "/api/v1/hosts//revoke",
                                        "/api/v1/hosts/a/b",
                                        "/api/v2/hosts",
                                        "/api/v1/hostsx",
                                        "/api/v1/hosts/%zz",
                                        "/api/v1/hosts/%00",
                                        "/api/v1/hosts/%ff",
                                        ""};
    for (size_t i = 0; i < ARRAY_SIZE(paths); i++)
        assert_int_equal(find(HTTP_GET, paths[i]), ERR_NOT_FOUND);
}

/* ---- paths, queries, cookies ----------------------------------------------------------------- */

static void assert_decoded(const char *text, bool plus, const char *expected)
{
    AUTOFREE char *decoded = api_decode(text, strlen(text), plus);
    if (!expected) {
        assert_null(decoded);
        return;
    }
    assert_non_null(decoded);
    assert_string_equal(decoded, expected);
}

static void percent_codes_are_decoded(void **state)
{
    assert_decoded("a%20b%2Fc%2f", false, "a b/c/");
    assert_decoded("a+b", false, "a+b");
    assert_decoded("a+b%2B", true, "a b+");
    assert_decoded("%C3%A4", false, "ä");
    assert_decoded("", false, "");
}

static void malformed_codes_are_refused(void **state)
{
    assert_decoded("%", false, NULL);
    assert_decoded("%4", false, NULL);
    assert_decoded("%g1", false, NULL);
    assert_decoded("a%00b", false, NULL);
    assert_decoded("%c3", false, NULL);
    char text[API_PARAM_MAX + 2] = "";
    memset(text, 'a', API_PARAM_MAX);
    assert_decoded(text, false, text);
    text[API_PARAM_MAX] = 'a';
    assert_decoded(text, false, NULL);
}

static void assert_member(const char *query, const char *name, const char *expected)
{
    AUTOFREE char *value = api_query_member(query, name);
    if (!expected) {
        assert_null(value);
        return;
    }
    assert_non_null(value);
    assert_string_equal(value, expected);
}

static void members_of_a_query_are_found(void **state)
{
    assert_member("a=1&b=2", "a", "1");
    assert_member("a=1&b=2", "b", "2");
    assert_member("ab=1&b=2", "b", "2");
    assert_member("a=1&a=2", "a", "1");
    assert_member("a=x%26y&b=1", "a", "x&y");
    assert_member("a", "a", "");
    assert_member("a=", "a", "");
    assert_member("&&a=1", "a", "1");
    assert_member("a=b=c", "a", "b=c");
    assert_member("", "a", NULL);
    assert_member("b=1", "a", NULL);
    assert_member("a=%", "a", NULL);
    assert_true(api_query_has("a=%", "a"));
    assert_false(api_query_has("b=a", "a"));
}

static void assert_cookie(const char *header, const char *expected)
{
    AUTOFREE char *value = api_cookie(header, "__Host-proctor_session");
    if (!expected) {
        assert_null(value);
        return;
    }
    assert_non_null(value);
    assert_string_equal(value, expected);
}

static void a_cookie_is_found_among_others(void **state)
{
    assert_cookie("__Host-proctor_session=abc", "abc");
    assert_cookie("x=1; __Host-proctor_session=abc; y=2", "abc");
    assert_cookie("x=1;__Host-proctor_session=abc ;y", "abc");
    assert_cookie("x__Host-proctor_session=1; __Host-proctor_session=abc", "abc");
    assert_cookie("__Host-proctor_session=", "");
    assert_cookie("__Host-proctor_session", NULL);
    assert_cookie("x=__Host-proctor_session=1", NULL);
    assert_cookie("", NULL);
    assert_cookie(";;; ", NULL);
}

/* ---- fields ---------------------------------------------------------------------------------- */

static json_t *object_of(const char *text)
{
    AUTOFREE char *copy = xstrdup(text);
    for (char *c = copy; *c; c++)
        if (*c == '\'')
            *c = '"';
    json_t *j = json_object_parse(copy, strlen(copy));
    assert_non_null(j);
    return j;
}

static void a_field_that_fits_is_read(void **state)
{
    AUTOJSON json_t *j = object_of("{'s':'text','n':5,'b':true,'w':'cpu-2','z':null}");
    struct fields f = FIELDS(j);
    assert_string_equal(field_text(&f, "s", FIELD_REQUIRED, 1, 4), "text");
    assert_int_equal(field_int(&f, "n", FIELD_NONE, 5, 5), 5);
    assert_int_equal(field_int(&f, "absent", 7, 1, 2), 7);
    assert_int_equal(field_int(&f, "z", 8, 1, 2), 8);
    assert_true(field_bool(&f, "b"));
    assert_string_equal(field_word(&f, "w", FIELD_REQUIRED), "cpu-2");
    assert_null(field_text(&f, "z", FIELD_OPTIONAL, 1, 4));
    assert_int_equal(f.error, 0);
}

#define ASSERT_REFUSED(body, call, sentence)                                                       \
    do {                                                                                           \
        AUTOJSON json_t *j_ = object_of(body);                                                     \
        struct fields f = FIELDS(j_);                                                              \
        (void)call;                                                                                \
        assert_int_equal(f.error, ERR_INVALID);                                                    \
        assert_string_equal(f.text, sentence);                                                     \
    } while (0)

static void the_field_that_does_not_fit_is_named(void **state)
{
    ASSERT_REFUSED("{}", field_text(&f, "name", FIELD_REQUIRED, 1, 64), "\"name\" is missing");
    ASSERT_REFUSED("{'name':null}", field_text(&f, "name", FIELD_REQUIRED, 1, 64),
                   "\"name\" is missing");
    ASSERT_REFUSED("{'name':5}", field_text(&f, "name", FIELD_REQUIRED, 1, 64),
                   "\"name\" must be a text of 1 to 64 bytes");
    ASSERT_REFUSED("{'name':''}", field_text(&f, "name", FIELD_REQUIRED, 1, 64),
                   "\"name\" must be a text of 1 to 64 bytes");
    ASSERT_REFUSED("{'name':'a\\nb'}", field_text(&f, "name", FIELD_REQUIRED, 1, 64),
                   "\"name\" must not hold control characters");
    ASSERT_REFUSED("{'n':1.5}", field_int(&f, "n", 0, 1, 9),
                   "\"n\" must be a whole number from 1 to 9");
    ASSERT_REFUSED("{'n':10}", field_int(&f, "n", 0, 1, 9),
                   "\"n\" must be a whole number from 1 to 9");
    ASSERT_REFUSED("{'n':'1'}", field_int(&f, "n", 0, 1, 9),
                   "\"n\" must be a whole number from 1 to 9");
    ASSERT_REFUSED("{}", field_int(&f, "n", FIELD_NONE, 1, 9), "\"n\" is missing");
    ASSERT_REFUSED("{'b':1}", field_bool(&f, "b"), "\"b\" must be true or false");
    ASSERT_REFUSED("{}", field_bool(&f, "b"), "\"b\" is missing");
    ASSERT_REFUSED("{'w':'CPU'}", field_word(&f, "w", FIELD_REQUIRED),
                   "\"w\" must be a word of 1 to 32 small letters, digits and hyphens");
    ASSERT_REFUSED("{'l':{}}", field_array(&f, "l", 1, 2), "\"l\" must be a list of 1 to 2");
    ASSERT_REFUSED("{'l':[]}", field_array(&f, "l", 1, 2), "\"l\" must be a list of 1 to 2");
}

static void the_first_of_several_is_told(void **state)
{
    AUTOJSON json_t *j = object_of("{'a':5,'b':5}");
    struct fields f = FIELDS(j);
    (void)field_text(&f, "a", FIELD_REQUIRED, 1, 2);
    (void)field_text(&f, "b", FIELD_REQUIRED, 1, 2);
    assert_string_equal(f.text, "\"a\" must be a text of 1 to 2 bytes");
}

static void a_secret_is_wiped_in_place(void **state)
{
    AUTOJSON json_t *j = object_of("{'password':'secret','n':1}");
    field_wipe(j, "password");
    field_wipe(j, "n");
    field_wipe(j, "absent");
    assert_int_equal(json_get_string(j, "password", "x")[0], 0);
}

/* ---- orders ---------------------------------------------------------------------------------- */

#define ID "01890000-0000-7000-8000-000000000001"
#define HOST "01890000-0000-7000-8000-00000000000a"
#define TARGET "{'host':'" HOST "','app':'api','instance':0}"

static int parse(const char *text, struct capture_order *order, char *why)
{
    AUTOJSON json_t *j = object_of(text);
    why[0] = '\0';
    int r = order_parse(j, order, why, FIELD_SENTENCE);
    if (r == 0)
        order_clear(order);
    return r;
}

static void assert_order_refused(const char *text, const char *sentence)
{
    char why[FIELD_SENTENCE];
    struct capture_order order;
    assert_int_equal(parse(text, &order, why), ERR_INVALID);
    assert_string_equal(why, sentence);
}

static void an_order_is_read_whole(void **state)
{
    char why[FIELD_SENTENCE];
    struct capture_order o;
    AUTOJSON json_t *j = object_of(
        "{'id':'" ID "','kind':'cpu','duration_ms':10000,'interval_us':1000,'wait_ms':5,'more':1,"
        "'targets':[" TARGET ",{'host':'" HOST "','app':'api','instance':1,'pid':77}]}");
    assert_int_equal(order_parse(j, &o, why, sizeof why), 0);
    assert_string_equal(o.id, ID);
    assert_string_equal(o.kind, "cpu");
    assert_int_equal(o.duration_ms, 10000);
    assert_int_equal(o.interval_us, 1000);
    assert_int_equal(o.interval_bytes, 0);
    assert_int_equal(o.wait_ms, 5);
    assert_int_equal(o.target_count, 2);
    assert_string_equal(o.targets[1].app, "api");
    assert_int_equal(o.targets[1].instance, 1);
    assert_int_equal(o.targets[1].pid, 77);
    assert_int_equal(o.targets[0].pid, 0);
    order_clear(&o);
}

static void an_order_without_what_it_needs_is_refused(void **state)
{
    assert_order_refused("{'kind':'cpu','targets':[" TARGET "]}", "\"id\" is missing");
    assert_order_refused(
        "{'id':'01890000-0000-4000-8000-000000000001','kind':'cpu','targets':[" TARGET "]}",
        "\"id\" must be a UUID of version 7, in lower case");
    assert_order_refused("{'id':'" ID "','targets':[" TARGET "]}", "\"kind\" is missing");
    assert_order_refused("{'id':'" ID "','kind':'cpu'}", "\"targets\" is missing");
    assert_order_refused("{'id':'" ID "','kind':'cpu','targets':[]}",
                         "\"targets\" must be a list of 1 to 100");
}

static void a_wrong_target_is_named_with_its_number(void **state)
{
    assert_order_refused("{'id':'" ID "','kind':'cpu','targets':[" TARGET ",5]}",
                         "\"targets[1]\" must be an object");
    assert_order_refused("{'id':'" ID "','kind':'cpu','targets':[" TARGET
                         ",{'host':'web1','app':'api'}]}",
                         "\"targets[1].host\" must be a UUID, in lower case");
    assert_order_refused("{'id':'" ID "','kind':'cpu','targets':[{'host':'" HOST "'}]}",
                         "\"targets[0].app\" is missing");
    assert_order_refused("{'id':'" ID "','kind':'cpu','targets':[{'host':'" HOST
                         "','app':'a','instance':-1}]}",
                         "\"targets[0].instance\" must be a whole number from 0 to 4096");
    assert_order_refused("{'id':'" ID "','kind':'cpu','targets':[{'host':'" HOST
                         "','app':'a','pid':0}]}",
                         "\"targets[0].pid\" must be a whole number from 1 to 1073741824");
    assert_order_refused("{'id':'" ID "','kind':'cpu','targets':[" TARGET "," TARGET "]}",
                         "\"targets[1].host\" is the same process as \"targets[0]\"");
}

static void an_interval_belongs_to_its_kind(void **state)
{
    assert_order_refused("{'id':'" ID "','kind':'heap','interval_us':1000,'targets':[" TARGET "]}",
                         "\"interval_us\" belongs to captures of kind \"cpu\"");
    assert_order_refused("{'id':'" ID "','kind':'cpu','interval_bytes':4096,'targets':[" TARGET
                         "]}",
                         "\"interval_bytes\" belongs to captures of kind \"heap\"");
    assert_order_refused("{'id':'" ID "','kind':'cpu','interval_us':10,'targets':[" TARGET "]}",
                         "\"interval_us\" must be a whole number from 50 to 10000000");
    assert_order_refused("{'id':'" ID "','kind':'cpu','duration_ms':0,'targets':[" TARGET "]}",
                         "\"duration_ms\" must be a whole number from 1 to 86400000");
}

/* ---- views ----------------------------------------------------------------------------------- */

static void assert_file_name(const char *app, const char *kind, const char *expected)
{
    char name[PROFILE_FILE];
    struct profile_row row = {.created_ms = 1763615761000, .instance = 0};
    (void)snprintf(row.app, sizeof row.app, "%s", app);
    (void)snprintf(row.kind, sizeof row.kind, "%s", kind);
    profile_file_name(&row, name);
    assert_string_equal(name, expected);
}

static void a_download_has_a_name_that_is_safe(void **state)
{
    assert_file_name("api", "cpu", "api-0-cpu-20251120-051601.cpuprofile");
    assert_file_name("api", "heap", "api-0-heap-20251120-051601.heapprofile");
    assert_file_name("../a b\"c", "stack", "_._a_b_c-0-stack-20251120-051601.json");
    assert_file_name("-rf", "cpu", "_rf-0-cpu-20251120-051601.cpuprofile");
}

static void errors_have_their_status(void **state)
{
    assert_int_equal(http_status_of(ERR_INVALID), 400);
    assert_int_equal(http_status_of(ERR_LOGIN), 401);
    assert_int_equal(http_status_of(ERR_DENIED), 403);
    assert_int_equal(http_status_of(ERR_NOT_FOUND), 404);
    assert_int_equal(http_status_of(ERR_EXISTS), 409);
    assert_int_equal(http_status_of(ERR_UNSUPPORTED), 409);
    assert_int_equal(http_status_of(ERR_FULL), 409);
    assert_int_equal(http_status_of(ERR_EXPIRED), 409);
    assert_int_equal(http_status_of(ERR_POLICY), 403);
    assert_int_equal(http_status_of(ERR_TOO_BIG), 413);
    assert_int_equal(http_status_of(ERR_TOO_MANY), 429);
    assert_int_equal(http_status_of(ERR_BUSY), 503);
    assert_int_equal(http_status_of(-ENOSPC), 507);
    assert_int_equal(http_status_of(-EIO), 500);
    /* The other way round it is the same. */
    static const int statuses[] = {400, 401, 403, 404, 409, 413, 429, 503, 507};
    for (size_t i = 0; i < ARRAY_SIZE(statuses); i++)
        assert_int_equal(http_status_of(http_error_of(statuses[i])), statuses[i]);
    assert_int_equal(http_error_of(405), ERR_UNSUPPORTED);
    assert_int_equal(http_error_of(411), ERR_INVALID);
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(every_route_is_described_as_it_is),
        cmocka_unit_test(everything_described_is_a_route),
        cmocka_unit_test(every_reply_and_body_has_fields_with_types),
        cmocka_unit_test(path_parameters_are_described),
        cmocka_unit_test(what_changes_something_is_never_a_get),
        cmocka_unit_test(a_request_finds_its_route),
        cmocka_unit_test(head_goes_where_get_goes),
        cmocka_unit_test(a_known_path_says_its_methods),
        cmocka_unit_test(an_unknown_path_is_not_found),
        cmocka_unit_test(percent_codes_are_decoded),
        cmocka_unit_test(malformed_codes_are_refused),
        cmocka_unit_test(members_of_a_query_are_found),
        cmocka_unit_test(a_cookie_is_found_among_others),
        cmocka_unit_test(a_field_that_fits_is_read),
        cmocka_unit_test(the_field_that_does_not_fit_is_named),
        cmocka_unit_test(the_first_of_several_is_told),
        cmocka_unit_test(a_secret_is_wiped_in_place),
        cmocka_unit_test(an_order_is_read_whole),
        cmocka_unit_test(an_order_without_what_it_needs_is_refused),
        cmocka_unit_test(a_wrong_target_is_named_with_its_number),
        cmocka_unit_test(an_interval_belongs_to_its_kind),
        cmocka_unit_test(a_download_has_a_name_that_is_safe),
        cmocka_unit_test(errors_have_their_status),
    };
    return cmocka_run_group_tests(tests, load_doc, free_doc);
}
