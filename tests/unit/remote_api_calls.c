/* Whole calls of the API, from the request to the reply: with the real store, accounts, hosts and captures; the web server is played by
 * the test. */
#include "remote/api.h"

#include "tests/unit/support.h"

#include <inttypes.h>
#include <uv.h>

#include "lib/base/err.h"
#include "lib/base/json.h"
#include "lib/base/log.h"
#include "lib/base/loop.h"
#include "lib/base/str.h"
#include "lib/base/uuid.h"
#include "lib/secure/cert.h"
#include "remote/authority.h"
#include "remote/dispatch.h"
#include "remote/fleet.h"
#include "remote/history.h"
#include "remote/live.h"
#include "remote/logs.h"
#include "remote/store/captures.h"
#include "remote/store/db.h"
#include "remote/store/hosts.h"
#include "remote/store/profiles.h"
#include "remote/store/store.h"

#define PASSWORD "correct horse battery"
#define OUR_HOST "127.0.0.1:7443"
#define OUR_PAGE "https://127.0.0.1:7443"

static uv_loop_t loop;
static struct api api;
static struct authority authority;

/* ---- the web server -------------------------------------------------------------------------- */

/* The reply of the last request. */
static struct {
    int count;
    int status;
    struct buf body;
    struct buf headers; /* "Name: value\n" */
    json_t *json;       /* NULL when it is none */
} reply = {.body = BUF_INIT(16 << 20), .headers = BUF_INIT(65536)};

const char *http_method_name(enum http_method method)
{
    static const char *const names[] = {"GET", "HEAD", "POST", "DELETE"};
    return names[method];
}

void http_header(struct http_request *r, const char *name, const char *value)
{
    (void)buf_addf(&reply.headers, "%s: %s\n", name, value);
}

static void request_free(struct http_request *r)
{
    char *const texts[] = {r->path,          r->query, r->host,         r->origin,       r->cookie,
                           r->authorization, r->csrf,  r->content_type, r->if_none_match};
    for (size_t i = 0; i < ARRAY_SIZE(texts); i++)
        free(texts[i]);
    buf_clear(&r->body);
    free(r);
}

void http_reply(struct http_request *r, int status, const char *type, const void *data, size_t len)
{
    reply.count++;
    reply.status = status;
    (void)buf_add(&reply.body, data, len);
    reply.json = json_object_parse(buf_str(&reply.body), reply.body.len);
    request_free(r);
}

void http_reply_json(struct http_request *r, int status, const json_t *body)
{
    AUTOBUF struct buf text = BUF_INIT(16 << 20);
    if (body)
        assert_int_equal(json_to_buf(body, &text), 0);
    assert_int_equal(body == NULL, status == 204);
    http_reply(r, status, "application/json", buf_str(&text), text.len);
}

void http_reply_error(struct http_request *r, int error, const char *fmt, ...)
{
    http_reply(r, error == ERR_NOT_FOUND ? 404 : 500, "text/plain", "", 0);
}

/* In the place of a status: the connection ends before the length that was promised. */
enum { CUT_OFF = -1 };

void http_reply_source(struct http_request *r, int status, const char *type, uint64_t length,
                       struct http_source *source)
{
    char piece[1000];
    int n;
    AUTOBUF struct buf text = BUF_INIT(16 << 20);
    while ((n = source->read(source, piece, sizeof piece)) > 0)
        assert_int_equal(buf_add(&text, piece, (size_t)n), 0);
    source->close(source);
    if (length != HTTP_LENGTH_UNKNOWN)
        assert_true(n < 0 ? text.len < length : text.len == length);
    http_reply(r, n < 0 ? CUT_OFF : status, type, buf_str(&text), text.len);
}

static int published;

void live_publish(struct live *l, const json_t *event)
{
    published++;
}

void live_publish_text(struct live *l, const char *text, size_t len)
{
    published++;
}

bool live_watched(const struct live *l)
{
    return true;
}

/* ---- around a test --------------------------------------------------------------------------- */

static char *tokens[3]; /* by role: "Bearer …" */

static struct db *open_folder(void)
{
    struct db *db;
    assert_int_equal(db_open(folder, &db), 0);
    assert_int_equal(db_begin(db), 0);
    return db;
}

static void close_folder(struct db *db)
{
    assert_int_equal(db_commit(db), 0);
    db_close(db);
}

static void add_token(struct db *db, enum role role)
{
    struct api_token_row row = {.role = role, .created_ms = 1, .name = "ci"};
    struct api_token token = {0};
    (void)snprintf(token.id, sizeof token.id, "%016d", (int)role + 1);
    secret_make(token.secret);
    sha256(token.secret, strlen(token.secret), row.secret_sha256);
    memcpy(row.id, token.id, sizeof row.id);
    assert_int_equal(api_tokens_add(db, &row), 0);
    AUTOFREE char *text = api_token_text(&token);
    tokens[role] = xasprintf("Bearer %s", text);
}

static void fill_folder(void)
{
    static const char *const names[] = {NULL};
    struct user_row row = {.name = "root", .role = ROLE_ADMIN, .created_ms = 1};
    AUTOFREE char *hash = password_hash(PASSWORD);
    AUTOFREE char *address = in_folder("address.json");
    (void)snprintf(row.password, sizeof row.password, "%s", hash);
    struct db *db = open_folder();
    assert_int_equal(users_add(db, &row), 0);
    for (int role = ROLE_VIEWER; role <= ROLE_ADMIN; role++)
        add_token(db, (enum role)role);
    close_folder(db);
    assert_int_equal(authority_open(&authority, folder, names), 0);
    authority.agent_life_s = 3600;
    put_file(address, "{\"web\":\"127.0.0.1:7443\",\"agents\":\"127.0.0.1:7444\",\"names\":[]}");
}

static void on_loaded(void *arg, int r)
{
    assert_int_equal(r, 0);
    --*(int *)arg;
}

static int set_up(void **state)
{
    int loading = 2;
    log_init("test", LOG_LEVEL_ERROR);
    if (make_folder(state) < 0 || uv_loop_init(&loop) < 0)
        return -1;
    authority = (struct authority){0};
    fill_folder();
    api = (struct api){.authority = &authority,
                       .name = "test",
                       .data_dir = folder,
                       .agents_address = "127.0.0.1:7444"};
    if (store_open(&api.store, &loop, folder) < 0)
        return -1;
    api.auth = auth_new(&loop, api.store);
    api.fleet = fleet_new(api.store, NULL);
    api.dispatch = dispatch_new(&loop, api.store, api.fleet, NULL);
    api.history = history_new(&loop, api.store);
    api.logs = logs_new(&loop, api.fleet);
    fleet_load(api.fleet, on_loaded, &loading);
    dispatch_load(api.dispatch, on_loaded, &loading);
    while (loading > 0)
        (void)uv_run(&loop, UV_RUN_ONCE);
    return 0;
}

static void clear_reply(void)
{
    json_decref(TAKE(reply.json));
    buf_clear(&reply.body);
    buf_clear(&reply.headers);
    reply.status = 0;
}

static int tear_down(void **state)
{
    clear_reply();
    logs_close(api.logs);
    history_close(api.history);
    dispatch_close(api.dispatch);
    auth_free(api.auth);
    store_close(api.store, NULL, NULL);
    (void)uv_run(&loop, UV_RUN_DEFAULT);
    dispatch_free(api.dispatch);
    history_free(api.history);
    logs_free(api.logs);
    fleet_free(api.fleet);
    authority_close(&authority);
    for (size_t i = 0; i < ARRAY_SIZE(tokens); i++)
        free(tokens[i]);
    return loop_end(&loop) == 0 ? remove_folder(state) : -1;
}

/* ---- requests -------------------------------------------------------------------------------- */

struct from {
    const char *token, *cookie, *csrf, *origin, *type, *if_none_match;
};

#define AS(role) ((struct from){.token = tokens[role]})
#define NOBODY ((struct from){0})

/* "/api/v1/hosts?a=b" under /api/v1/; `body` NULL: none; apostrophes stand for quotes. */
static int ask(enum http_method method, const char *path, const char *body, struct from from)
{
    struct http_request *r = xcalloc(1, sizeof *r);
    int before = reply.count;
    clear_reply();
    r->method = method;
    r->path = xasprintf("/api/v1/%.*s", (int)strcspn(path, "?"), path);
    r->query = xstrdup(strchr(path, '?') ? strchr(path, '?') + 1 : "");
    r->host = xstrdup(OUR_HOST);
    r->origin = xstrdup_null(from.origin);
    r->cookie = xstrdup_null(from.cookie);
    r->authorization = xstrdup_null(from.token);
    r->csrf = xstrdup_null(from.csrf);
    r->if_none_match = xstrdup_null(from.if_none_match);
    r->content_type =
        body ? xstrdup(from.type ? from.type : "application/json; charset=utf-8") : NULL;
    (void)snprintf(r->address, sizeof r->address, "192.0.2.1");
    buf_init(&r->body, 256 << 10);
    for (const char *c = body ? body : ""; *c; c++)
        assert_int_equal(buf_addc(&r->body, *c == '\'' ? '"' : *c), 0);
    api_handle(&api, r);
    while (reply.count == before)
        (void)uv_run(&loop, UV_RUN_ONCE);
    assert_int_equal(reply.count, before + 1);
    return reply.status;
}

static const json_t *at(const char *path)
{
    AUTOFREE char *copy = xstrdup(path);
    const json_t *j = reply.json;
    char *rest = copy;
    for (char *step; (step = strsep(&rest, "."));)
        j = json_is_array(j) ? json_array_get(j, (size_t)atoi(step)) : json_object_get(j, step);
    return j;
}

static const char *text_at(const char *path)
{
    const char *text = json_string_value(at(path));
    return text ? text : "";
}

static int64_t int_at(const char *path)
{
    assert_true(json_is_integer(at(path)));
    return json_integer_value(at(path));
}

static void assert_fails(int status, const char *name, const char *message)
{
    assert_int_equal(reply.status, status);
    assert_string_equal(text_at("error.name"), name);
    assert_string_equal(text_at("error.message"), message);
}

/* ---- who may do what ------------------------------------------------------------------------- */

/* The route's path with something in the place of {…}, under /api/v1/. */
static char *path_of(const struct api_route *route)
{
    const char *path = route->path + strlen("/api/v1/"), *brace = strchr(path, '{');
    if (!brace)
        return xstrdup(path);
    const char *with =
        str_starts(brace, "{name}") ? "nobody" : "01890000-0000-7000-8000-000000000001";
    return xasprintf("%.*s%s%s", (int)(brace - path), path, with, strchr(brace, '}') + 1);
}

static bool needs_analysis(const struct api_route *route)
{
    return str_ends(route->path, "/top") || str_ends(route->path, "/tree");
}

static void every_route_is_for_its_role(void **state)
{
    const struct api_route *route;
    for (size_t i = 0; (route = api_route_at(i)); i++) {
        AUTOFREE char *path = path_of(route);
        if (route->access == API_ANYONE || needs_analysis(route))
            continue;
        assert_int_equal(ask(route->method, path, NULL, NOBODY), 401);
        assert_fails(401, "LOGIN", "not logged in");
        for (int role = ROLE_VIEWER; role <= ROLE_ADMIN; role++) {
            int status = ask(route->method, path, NULL, AS(role));
            if (role < (int)route->access)
                assert_int_equal(status, 403);
            else if (status == 401 || status == 403 || status >= 500)
                fail_msg("%s %s as %s: %d", http_method_name(route->method), path,
                         role_name((enum role)role), status);
        }
    }
}

/* Logs in; the cookie as a browser sends it, and the CSRF value: static, until the next time. */
static struct from session_of(const char *name, const char *password)
{
    static char cookie[200], csrf[100];
    AUTOFREE char *body = xasprintf("{'name':'%s','password':'%s'}", name, password);
    assert_int_equal(ask(HTTP_POST, "login", body, (struct from){.origin = OUR_PAGE}), 200);
    const char *set = strstr(buf_str(&reply.headers), "Set-Cookie: ");
    assert_non_null(set);
    set += strlen("Set-Cookie: ");
    (void)snprintf(cookie, sizeof cookie, "%.*s", (int)strcspn(set, ";"), set);
    (void)snprintf(csrf, sizeof csrf, "%s", text_at("csrf"));
    return (struct from){.cookie = cookie, .csrf = csrf, .origin = OUR_PAGE};
}

static void a_session_changes_things_only_with_its_csrf_value_and_from_our_page(void **state)
{
    const struct api_route *route;
    struct from good = session_of("root", PASSWORD);
    for (size_t i = 0; (route = api_route_at(i)); i++) {
        AUTOFREE char *path = path_of(route);
        if (!route->changes || route->access == API_ANYONE || str_ends(path, "logout"))
            continue;
        struct from bare = good, wrong = good, elsewhere = good;
        bare.csrf = NULL;
        wrong.csrf = "0000";
        elsewhere.origin = "https://evil.example";
        assert_int_equal(ask(route->method, path, NULL, bare), 403);
        assert_int_equal(ask(route->method, path, NULL, wrong), 403);
        assert_fails(403, "DENIED", "the header x-csrf-token is missing or not this session's");
        assert_int_equal(ask(route->method, path, NULL, elsewhere), 403);
        assert_fails(403, "DENIED", "the request comes from another site's page");
        assert_int_not_equal(ask(route->method, path, NULL, good), 403);
    }
    good.csrf = NULL;
    assert_int_equal(ask(HTTP_GET, "users", NULL, good), 200);
}

static void a_login_from_another_page_is_refused(void **state)
{
    const struct from elsewhere = {.origin = "https://evil.example"};
    assert_int_equal(
        ask(HTTP_POST, "login", "{'name':'root','password':'" PASSWORD "'}", elsewhere), 403);
}

static void a_session_begins_and_ends(void **state)
{
    struct from s = session_of("root", PASSWORD);
    assert_string_equal(text_at("user.name"), "root");
    assert_string_equal(text_at("user.role"), "admin");
    assert_int_equal(ask(HTTP_GET, "session", NULL, s), 200);
    assert_string_equal(text_at("csrf"), s.csrf);
    assert_string_equal(text_at("console.name"), "test");
    assert_int_equal(ask(HTTP_POST, "logout", NULL, s), 204);
    assert_non_null(strstr(buf_str(&reply.headers), "Set-Cookie: __Host-proctor_session=;"));
    assert_int_equal(ask(HTTP_GET, "session", NULL, s), 401);
    assert_int_equal(ask(HTTP_GET, "session", NULL, AS(ROLE_VIEWER)), 200);
    assert_string_equal(text_at("user.name"), "token 0000000000000001 (ci)");
    assert_null(at("csrf"));
}

static void a_wrong_login_says_little_and_then_waits(void **state)
{
    for (int i = 0; i < 5; i++) {
        assert_int_equal(ask(HTTP_POST, "login", "{'name':'nobody','password':'guess'}", NOBODY),
                         401);
        assert_fails(401, "LOGIN", "wrong name or password");
    }
    assert_int_equal(ask(HTTP_POST, "login", "{'name':'nobody','password':'guess'}", NOBODY), 429);
    assert_string_equal(buf_str(&reply.headers), "Retry-After: 1\n");
}

static void a_password_is_changed_by_its_user(void **state)
{
    struct from s = session_of("root", PASSWORD);
    assert_int_equal(ask(HTTP_POST, "password", "{'old':'wrong','new':'a new password'}", s), 403);
    assert_int_equal(ask(HTTP_POST, "password", "{'old':'" PASSWORD "','new':'short'}", s), 400);
    assert_fails(400, "INVALID", "\"new\" must be a text of 10 to 1024 bytes");
    assert_int_equal(ask(HTTP_POST, "password", "{'old':'" PASSWORD "','new':'a new password'}", s),
                     204);
    assert_int_equal(ask(HTTP_GET, "session", NULL, s), 200);
    (void)session_of("root", "a new password");
}

/* ---- requests that do not fit ---------------------------------------------------------------- */

static void what_does_not_fit_is_told(void **state)
{
    assert_int_equal(ask(HTTP_GET, "nothing", NULL, NOBODY), 404);
    assert_int_equal(ask(HTTP_DELETE, "captures", NULL, NOBODY), 405);
    assert_string_equal(buf_str(&reply.headers), "Allow: GET, HEAD, POST\n");
    assert_int_equal(ask(HTTP_POST, "login", "{}", (struct from){.type = "text/plain"}), 415);
    assert_int_equal(ask(HTTP_POST, "login", "{'name':", NOBODY), 400);
    assert_true(str_starts(text_at("error.message"), "the body is not JSON: line 1, column 8: "));
    assert_int_equal(ask(HTTP_POST, "login", "[]", NOBODY), 400);
    assert_fails(400, "SYNTAX", "the body must be a JSON object");
    assert_int_equal(ask(HTTP_POST, "login", "{'name':1,'name':2}", NOBODY), 400);
    assert_int_equal(ask(HTTP_GET, "captures?limit=501", NULL, AS(ROLE_VIEWER)), 400);
    assert_fails(400, "INVALID", "\"limit\" of the query must be a whole number from 1 to 500");
    assert_int_equal(ask(HTTP_GET, "captures?before=x", NULL, AS(ROLE_VIEWER)), 400);
    assert_fails(400, "INVALID", "\"before\" of the query must be a UUID, in lower case");
    assert_int_equal(ask(HTTP_GET, "profiles?kind=CPU", NULL, AS(ROLE_VIEWER)), 400);
    assert_int_equal(ask(HTTP_GET, "profiles?app=%zz", NULL, AS(ROLE_VIEWER)), 400);
    assert_int_equal(ask(HTTP_GET, "captures/17", NULL, AS(ROLE_VIEWER)), 404);
    assert_int_equal(ask(HTTP_GET, "profiles/01890000-0000-7000-8000-000000000001/top?sort=size",
                         NULL, AS(ROLE_VIEWER)),
                     400);
    assert_int_equal(ask(HTTP_GET, "health", NULL, NOBODY), 200);
    assert_int_equal(ask(HTTP_GET, "openapi.json", NULL, NOBODY), 200);
    assert_string_equal(text_at("openapi"), "3.1.0");
}

/* ---- users and tokens ------------------------------------------------------------------------ */

static void users_are_added_changed_and_removed(void **state)
{
    struct from admin = AS(ROLE_ADMIN);
    assert_int_equal(
        ask(HTTP_POST, "users", "{'name':'ann','role':'viewer','password':'" PASSWORD "'}", admin),
        201);
    assert_string_equal(text_at("user.role"), "viewer");
    assert_int_equal(
        ask(HTTP_POST, "users", "{'name':'ann','role':'viewer','password':'" PASSWORD "'}", admin),
        409);
    assert_int_equal(
        ask(HTTP_POST, "users", "{'name':'a:b','role':'viewer','password':'" PASSWORD "'}", admin),
        400);
    assert_int_equal(
        ask(HTTP_POST, "users", "{'name':'bob','role':'king','password':'" PASSWORD "'}", admin),
        400);
    assert_fails(400, "INVALID", "\"role\" must be viewer, operator or admin");
    struct from ann = session_of("ann", PASSWORD);
    assert_int_equal(ask(HTTP_GET, "users", NULL, ann), 403);
    assert_int_equal(ask(HTTP_POST, "users/ann/role", "{'role':'admin'}", admin), 200);
    assert_int_equal(ask(HTTP_GET, "users", NULL, ann), 200);
    assert_int_equal(json_array_size(at("users")), 2);
    assert_null(strstr(buf_str(&reply.body), "scrypt"));
    assert_int_equal(ask(HTTP_POST, "users/ann/password", "{'password':'another password'}", admin),
                     204);
    assert_int_equal(ask(HTTP_GET, "users", NULL, ann), 401);
    assert_int_equal(ask(HTTP_DELETE, "users/ann", NULL, admin), 204);
    assert_int_equal(ask(HTTP_DELETE, "users/ann", NULL, admin), 404);
    assert_int_equal(ask(HTTP_DELETE, "users/root", NULL, admin), 400);
    assert_fails(400, "INVALID", "no admin would be left");
    assert_int_equal(ask(HTTP_POST, "users/root/role", "{'role':'viewer'}", admin), 400);
}

static void a_token_is_shown_once_and_works_until_it_is_removed(void **state)
{
    struct from root = session_of("root", PASSWORD);
    assert_int_equal(ask(HTTP_POST, "tokens", "{'name':'ci','role':'operator','ttl_ms':0}", root),
                     201);
    AUTOFREE char *bearer = xasprintf("Bearer %s", text_at("token"));
    AUTOFREE char *path = xasprintf("tokens/%s", text_at("id"));
    assert_true(json_is_null(at("expires_ms")));
    assert_int_equal(ask(HTTP_GET, "session", NULL, (struct from){.token = bearer}), 200);
    assert_string_equal(text_at("user.role"), "operator");
    assert_int_equal(ask(HTTP_GET, "tokens", NULL, root), 200);
    assert_int_equal(json_array_size(at("tokens")), 4);
    assert_null(strstr(buf_str(&reply.body), "pa1."));
    assert_non_null(strstr(buf_str(&reply.body), "\"owner\":\"root\""));
    assert_int_equal(ask(HTTP_DELETE, path, NULL, root), 204);
    assert_int_equal(ask(HTTP_DELETE, path, NULL, root), 404);
    assert_int_equal(ask(HTTP_GET, "session", NULL, (struct from){.token = bearer}), 401);
    assert_int_equal(ask(HTTP_POST, "tokens", "{'name':'ci','role':'operator','ttl_ms':5}", root),
                     400);
    assert_fails(400, "INVALID", "\"ttl_ms\" must be 0 (for ever) or at least 1000");
}

/* ---- hosts ----------------------------------------------------------------------------------- */

/* A request of a new key, with the line ends that JSON wants. */
static char *make_csr(void)
{
    char *key, *csr;
    AUTOBUF struct buf text = BUF_INIT(65536);
    assert_int_equal(key_make(&key), 0);
    assert_int_equal(csr_make(key, "whatever", &csr), 0);
    for (const char *c = csr; *c; c++)
        assert_int_equal(*c == '\n' ? buf_addstr(&text, "\\n") : buf_addc(&text, *c), 0);
    free(key);
    free(csr);
    return buf_take(&text);
}

static int enrol(const char *secret, const char *csr)
{
    AUTOFREE char *body = xasprintf("{'secret':'%s','csr':'%s','hostname':'web1'}", secret, csr);
    return ask(HTTP_POST, "enrol", body, NOBODY);
}

/* The id of a new host; the caller frees. */
static char *enrol_host(void)
{
    AUTOFREE char *csr = make_csr();
    assert_int_equal(ask(HTTP_POST, "enrolments", NULL, AS(ROLE_ADMIN)), 201);
    AUTOFREE char *secret = xstrdup(strrchr(text_at("token"), '.') + 1);
    assert_int_equal(enrol(secret, csr), 201);
    return xstrdup(text_at("host"));
}

static void a_host_is_enrolled_with_a_string_that_is_good_once(void **state)
{
    AUTOFREE char *csr = make_csr();
    struct cert_facts facts;
    assert_int_equal(ask(HTTP_POST, "enrolments", "{'ttl_ms':60000}", AS(ROLE_ADMIN)), 201);
    assert_true(str_starts(text_at("token"), "pt1.127.0.0.1:7443."));
    AUTOFREE char *secret = xstrdup(strrchr(text_at("token"), '.') + 1);
    assert_int_equal(enrol(secret, "rubbish"), 400);
    assert_fails(400, "INVALID",
                 "\"csr\" must be a certificate request in PEM, signed by its own EC P-256 key");
    assert_int_equal(enrol(secret, csr), 201);
    assert_string_equal(text_at("agents"), "127.0.0.1:7444");
    assert_string_equal(text_at("name"), "test");
    assert_string_equal(text_at("ca"), authority.ca_cert_pem);
    assert_int_equal(cert_read(text_at("certificate"), &facts), 0);
    assert_string_equal(facts.common_name, text_at("host"));
    AUTOFREE char *path = xasprintf("hosts/%s", text_at("host"));
    assert_int_equal(enrol(secret, csr), 409);
    assert_fails(409, "EXISTS", "this enrolment string was used already");
    assert_int_equal(ask(HTTP_GET, path, NULL, AS(ROLE_VIEWER)), 200);
    assert_string_equal(text_at("host.name"), "web1");
    assert_int_equal(int_at("host.certificate_until_ms"), facts.not_after_s * 1000);
    secret[0] = secret[0] == 'A' ? 'B' : 'A';
    assert_int_equal(enrol(secret, csr), 403);
    assert_fails(403, "DENIED", "this enrolment string is not known here");
}

static void who_guesses_enrolment_strings_must_wait(void **state)
{
    AUTOFREE char *csr = make_csr();
    static const char guess[] = "AAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAA";
    for (int i = 0; i < 20; i++)
        assert_int_equal(enrol(guess, csr), 403);
    assert_int_equal(enrol(guess, csr), 429);
}

static void a_host_is_revoked(void **state)
{
    AUTOFREE char *host = enrol_host();
    AUTOFREE char *path = xasprintf("hosts/%s/revoke", host);
    assert_int_equal(ask(HTTP_POST, path, NULL, AS(ROLE_ADMIN)), 200);
    assert_true(json_is_true(at("host.revoked")));
    assert_int_equal(ask(HTTP_POST, path, NULL, AS(ROLE_ADMIN)), 200);
    assert_int_equal(ask(HTTP_GET, "hosts", NULL, AS(ROLE_VIEWER)), 200);
    assert_true(json_is_true(at("hosts.0.revoked")));
    assert_int_equal(
        ask(HTTP_POST, "hosts/01890000-0000-7000-8000-000000000001/revoke", NULL, AS(ROLE_ADMIN)),
        404);
    assert_int_equal(
        ask(HTTP_GET, "processes?host=01890000-0000-7000-8000-000000000001", NULL, AS(ROLE_VIEWER)),
        404);
    assert_int_equal(ask(HTTP_GET, "processes", NULL, AS(ROLE_VIEWER)), 200);
}

/* ---- captures -------------------------------------------------------------------------------- */

static int start_capture(const char *id, const char *kind, const char *host)
{
    AUTOFREE char *body = xasprintf("{'id':'%s','kind':'%s','duration_ms':1000,'targets':[{'host':'"
                                    "%s','app':'api','instance':0}]}",
                                    id, kind, host);
    return ask(HTTP_POST, "captures", body, AS(ROLE_OPERATOR));
}

static int64_t count_audit(const char *what)
{
    int64_t count = 0;
    size_t i;
    json_t *row;
    assert_int_equal(ask(HTTP_GET, "audit?limit=500", NULL, AS(ROLE_ADMIN)), 200);
    json_array_foreach(at("audit"), i, row) count +=
        str_eq(json_get_string(row, "what", NULL), what);
    return count;
}

static void a_capture_is_ordered_listed_and_cancelled(void **state)
{
    char id[UUID_TEXT], other[UUID_TEXT];
    AUTOFREE char *host = enrol_host();
    uuid_make(id);
    uuid_make(other);
    assert_int_equal(start_capture(id, "cpu", "01890000-0000-7000-8000-000000000001"), 404);
    assert_int_equal(start_capture(id, "cpu", host), 202);
    assert_string_equal(text_at("captures.0.id"), id);
    assert_string_equal(text_at("captures.0.state"), "queued");
    assert_string_equal(text_at("captures.0.requester"), "token 0000000000000002 (ci)");
    assert_int_equal(start_capture(id, "cpu", host), 202);
    assert_int_equal(start_capture(id, "heap", host), 409);
    assert_int_equal(start_capture(other, "heap", host), 202);
    assert_int_equal(count_audit("capture.start"), 2);
    AUTOFREE char *one = xasprintf("captures/%s", id);
    assert_int_equal(ask(HTTP_GET, one, NULL, AS(ROLE_VIEWER)), 200);
    assert_string_equal(text_at("capture.kind"), "cpu");
    assert_int_equal(ask(HTTP_GET, "captures?state=queued&kind=cpu", NULL, AS(ROLE_VIEWER)), 200);
    assert_int_equal(json_array_size(at("captures")), 1);
    assert_true(json_is_null(at("next")));
    assert_int_equal(ask(HTTP_GET, "captures?limit=1", NULL, AS(ROLE_VIEWER)), 200);
    AUTOFREE char *next = xasprintf("captures?limit=1&before=%s", text_at("next"));
    assert_int_equal(ask(HTTP_GET, next, NULL, AS(ROLE_VIEWER)), 200);
    assert_int_equal(json_array_size(at("captures")), 1);
    AUTOFREE char *cancel = xasprintf("captures/%s/cancel", id);
    assert_int_equal(ask(HTTP_POST, cancel, NULL, AS(ROLE_OPERATOR)), 200);
    assert_string_equal(text_at("captures.0.state"), "cancelled");
    assert_int_equal(count_audit("capture.cancel"), 1);
    assert_int_equal(ask(HTTP_POST, "captures/01890000-0000-7000-8000-000000000001/stop", NULL,
                         AS(ROLE_OPERATOR)),
                     404);
}

/* ---- profiles -------------------------------------------------------------------------------- */

struct result {
    const char *id, *host;
    struct buf bytes; /* compressed */
    struct blob_sums sums;
    int left;
};

static int write_result(struct db *db, void *arg)
{
    const struct result *result = arg;
    const struct blob_sums *sums = &result->sums;
    struct capture_row capture = {
        .created_ms = 1763615761000, .app = "api", .kind = "cpu", .state = "done"};
    struct profile_row row = {
        .created_ms = 1763615761000, .stored_ms = 2, .app = "api", .kind = "cpu", .sums = *sums};
    uint64_t offset;
    (void)snprintf(row.id, sizeof row.id, "%s", result->id);
    (void)snprintf(row.host, sizeof row.host, "%s", result->host);
    (void)snprintf(capture.id, sizeof capture.id, "%s", result->id);
    (void)snprintf(capture.request, sizeof capture.request, "%s", result->id);
    (void)snprintf(capture.host, sizeof capture.host, "%s", result->host);
    int r = captures_add(db, &capture);
    if (r == 0)
        r = incoming_begin(db, result->id, sums->stored_bytes, sums->stored_sha256, &offset);
    if (r == 0)
        r = incoming_add(db, result->id, 0, result->bytes.data, result->bytes.len);
    return r < 0 ? r : profiles_add(db, &row);
}

static void on_result(void *arg, int r)
{
    struct result *result = arg;
    assert_int_equal(r, 0);
    result->left = 0;
}

/* A stored result of the host, with these bytes; `harm` says that one of the stored ones is wrong. */
static void add_result(const char *id, const char *host, const char *text, bool harm)
{
    struct result result = {.id = id, .host = host, .bytes = BUF_INIT(1 << 20), .left = 1};
    AUTOFREE char *plain = in_folder("plain");
    AUTOFREE char *packed = in_folder("packed");
    put_file(plain, text);
    put_file(packed, "");
    FILE *in = fopen(plain, "re"), *out = fopen(packed, "r+e");
    assert_int_equal(blob_compress(fileno(in), fileno(out), &result.sums), 0);
    (void)fclose(in);
    (void)fclose(out);
    assert_int_equal(path_read(packed, &result.bytes), 0);
    result.sums.sha256[0] ^= harm;
    store_write(api.store, write_result, on_result, &result);
    while (result.left > 0)
        (void)uv_run(&loop, UV_RUN_ONCE);
    buf_clear(&result.bytes);
}

static void a_result_is_downloaded_kept_and_removed(void **state)
{
    AUTOFREE char *host = enrol_host();
    char id[UUID_TEXT];
    uuid_make(id);
    AUTOFREE char *text = xcalloc(1, 200001);
    for (int i = 0; i < 200000; i++)
        text[i] = (char)('a' + i * 7 % 26);
    add_result(id, host, text, false);
    AUTOFREE char *one = xasprintf("profiles/%s", id);
    AUTOFREE char *raw = xasprintf("profiles/%s/raw", id);
    AUTOFREE char *keep = xasprintf("profiles/%s/keep", id);
    assert_int_equal(ask(HTTP_GET, "profiles?app=api&kind=cpu", NULL, AS(ROLE_VIEWER)), 200);
    assert_string_equal(text_at("profiles.0.id"), id);
    assert_string_equal(text_at("profiles.0.host_name"), "web1");
    assert_int_equal(ask(HTTP_GET, one, NULL, AS(ROLE_VIEWER)), 200);
    assert_int_equal(int_at("profile.bytes"), 200000);
    AUTOFREE char *tag = xasprintf("\"%s\"", text_at("profile.sha256"));
    assert_int_equal(ask(HTTP_GET, raw, NULL, AS(ROLE_VIEWER)), 200);
    assert_string_equal(buf_str(&reply.body), text);
    assert_non_null(
        strstr(buf_str(&reply.headers), "filename=\"api-0-cpu-20251120-051601.cpuprofile\""));
    assert_non_null(strstr(buf_str(&reply.headers), tag));
    struct from again = {.token = tokens[ROLE_VIEWER], .if_none_match = tag};
    assert_int_equal(ask(HTTP_HEAD, raw, NULL, AS(ROLE_VIEWER)), 200);
    assert_int_equal(count_audit("profile.download"), 1);
    assert_int_equal(ask(HTTP_GET, raw, NULL, again), 304);
    assert_int_equal(reply.body.len, 0);
    published = 0;
    assert_int_equal(ask(HTTP_POST, keep, "{'keep':true}", AS(ROLE_OPERATOR)), 200);
    assert_true(json_is_true(at("profile.keep")));
    assert_int_equal(ask(HTTP_POST, keep, "{'keep':1}", AS(ROLE_OPERATOR)), 400);
    assert_int_equal(ask(HTTP_DELETE, one, NULL, AS(ROLE_OPERATOR)), 204);
    assert_int_equal(published, 2);
    assert_int_equal(ask(HTTP_GET, raw, NULL, AS(ROLE_VIEWER)), 404);
    assert_fails(404, "NOT_FOUND", "the bytes of this profile were removed");
    assert_int_equal(ask(HTTP_GET, one, NULL, AS(ROLE_VIEWER)), 200);
    assert_true(json_is_true(at("profile.removed")));
    assert_int_equal(count_audit("profile.remove"), 1);
}

static void a_damaged_result_is_cut_off_before_its_end(void **state)
{
    AUTOFREE char *host = enrol_host();
    char id[UUID_TEXT];
    uuid_make(id);
    add_result(id, host, "{\"nodes\":[]}", true);
    AUTOFREE char *raw = xasprintf("profiles/%s/raw", id);
    assert_int_equal(ask(HTTP_GET, raw, NULL, AS(ROLE_VIEWER)), CUT_OFF);
}

/* ---- the audit log --------------------------------------------------------------------------- */

static void refusals_are_noted_once_for_address_and_reason(void **state)
{
    struct from s = session_of("root", PASSWORD);
    const struct from stranger = {.token = "Bearer rubbish"}, no_csrf = {.cookie = s.cookie};
    for (int i = 0; i < 5; i++) {
        assert_int_equal(ask(HTTP_GET, "hosts", NULL, stranger), 401);
        assert_int_equal(ask(HTTP_GET, "users", NULL, AS(ROLE_VIEWER)), 403);
        assert_int_equal(ask(HTTP_POST, "logout", NULL, no_csrf), 403);
        assert_int_equal(ask(HTTP_POST, "enrol",
                             "{'secret':'AAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAA','csr':'x','"
                             "hostname':'liar'}",
                             NOBODY),
                         403);
    }
    for (int i = 0; i < 8; i++)
        (void)ask(HTTP_POST, "login", "{'name':'root','password':'guess'}", NOBODY);
    assert_int_equal(reply.status, 429);
    assert_non_null(strstr(buf_str(&reply.headers), "Retry-After: "));
    /* What is written after them is there when they are. */
    assert_int_equal(ask(HTTP_POST, "enrolments", NULL, AS(ROLE_ADMIN)), 201);
    assert_int_equal(count_audit("token.refused"), 1);
    assert_int_equal(count_audit("request.refused"), 1);
    assert_int_equal(count_audit("enrol.refused"), 1);
    assert_int_equal(count_audit("request.slowed"), 1);
    /* Nothing that a stranger calls himself. */
    assert_null(strstr(buf_str(&reply.body), "liar"));
    assert_non_null(
        strstr(buf_str(&reply.body), "GET /api/v1/users: the role viewer may not do this"));
}

static void wrong_tokens_are_told_when_to_try_again(void **state)
{
    const struct from stranger = {.token = "Bearer rubbish"};
    for (int i = 0; i < 20; i++)
        assert_int_equal(ask(HTTP_GET, "hosts", NULL, stranger), 401);
    assert_int_equal(ask(HTTP_GET, "hosts", NULL, stranger), 429);
    assert_string_equal(buf_str(&reply.headers), "Retry-After: 1\n");
    assert_int_equal(ask(HTTP_GET, "hosts", NULL, AS(ROLE_VIEWER)), 200);
}

static void bodies_are_small_where_nobody_has_said_who_he_is(void **state)
{
    struct http_request r = {.method = HTTP_POST, .path = (char *)"/api/v1/login"};
    assert_int_equal(api_body_limit(&r), LIMIT_HTTP_BODY_ANYONE);
    r.cookie = (char *)"a=b";
    assert_int_equal(api_body_limit(&r), LIMIT_HTTP_BODY_ANYONE);
    r.path = (char *)"/api/v1/captures";
    assert_int_equal(api_body_limit(&r), LIMIT_HTTP_BODY);
    r.cookie = NULL;
    assert_int_equal(api_body_limit(&r), LIMIT_HTTP_BODY_ANYONE);
    r.authorization = (char *)"Bearer x";
    assert_int_equal(api_body_limit(&r), LIMIT_HTTP_BODY);
}

static bool send_log(void *arg, const char *host, const char *type, json_t *fields)
{
    json_t **answer = arg;
    (void)json_object_set(*answer, "id", json_object_get(fields, "id"));
    (void)json_object_set(*answer, "asked", fields);
    return true;
}

static void on_answer_timer(uv_timer_t *timer)
{
    AUTOJSON json_t *answer = timer->data;
    const json_t *asked = json_object_get(answer, "asked");
    assert_string_equal(json_get_string(asked, "stream", ""), "out");
    assert_int_equal(json_get_int(asked, "lines", 0), 200);
    logs_take(api.logs, json_get_string(answer, "host", ""), answer);
    uv_close((uv_handle_t *)timer, NULL);
}

static void the_past_of_a_process_is_told(void **state)
{
    AUTOFREE char *host = enrol_host(), *series = xasprintf("series?host=%s&app=web", host);
    AUTOFREE char *exits = xasprintf("exits?host=%s&app=web", host);
    AUTOFREE char *log = xasprintf("logs?host=%s&app=web", host);
    AUTOJSON json_t *list =
        json_pack("[{s:s,s:i,s:i,s:f,s:i,s:{s:i,s:i,s:b,s:b,s:i}}]", "app", "web", "instance", 0,
                  "pid", 7, "cpu", 12.34, "memory", 8192, "exit", "at_ms", 5, "code", 3, "core", 0,
                  "asked", 0, "uptime_ms", 1);
    history_take(api.history, host, list, loop_wall_ms());
    assert_int_equal(ask(HTTP_GET, series, NULL, AS(ROLE_VIEWER)), 200);
    assert_int_equal(int_at("step_ms"), 10000);
    size_t known = 0, i;
    json_t *point;
    json_array_foreach(at("points"), i, point)
    {
        assert_int_equal(json_array_size(point), 3);
        if (json_is_null(json_array_get(point, 1)))
            continue;
        known++;
        assert_true(json_real_value(json_array_get(point, 1)) == 12.3);
        assert_int_equal(json_integer_value(json_array_get(point, 2)), 8192);
    }
    assert_int_equal(known, 1);
    /* It is written beside the reading. */
    do
        assert_int_equal(ask(HTTP_GET, exits, NULL, AS(ROLE_VIEWER)), 200);
    while (json_array_size(at("exits")) == 0);
    assert_int_equal(int_at("exits.0.code"), 3);
    assert_int_equal(ask(HTTP_GET, log, NULL, AS(ROLE_VIEWER)), 503);
    assert_fails(503, "UNREACHABLE", "the host web1 is not connected");

    uv_timer_t timer;
    json_t *answer =
        json_pack("{s:s,s:s,s:i,s:b}", "host", host, "text", "said", "at_ms", 9, "cut", 0);
    fleet_set_connected(api.fleet, host, true, NULL, 1);
    logs_on_send(api.logs, send_log, &answer);
    (void)uv_timer_init(&loop, &timer);
    timer.data = answer;
    (void)uv_timer_start(&timer, on_answer_timer, 20, 0);
    assert_int_equal(ask(HTTP_GET, log, NULL, AS(ROLE_VIEWER)), 200);
    assert_string_equal(text_at("text"), "said");
    assert_int_equal(int_at("at_ms"), 9);
    assert_true(json_is_false(at("cut")));
    (void)uv_run(&loop, UV_RUN_NOWAIT);
}

static void the_audit_log_tells_who_did_what_and_no_secret(void **state)
{
    struct from root = session_of("root", PASSWORD);
    assert_int_equal(
        ask(HTTP_POST, "login", "{'name':'my secret','password':'guess word'}", NOBODY), 401);
    assert_int_equal(ask(HTTP_POST, "tokens", "{'name':'ci','role':'viewer'}", root), 201);
    AUTOFREE char *secret = xstrdup(strrchr(text_at("token"), '.') + 1);
    free(enrol_host());
    assert_int_equal(ask(HTTP_GET, "audit", NULL, root), 200);
    static const char *const whats[] = {"host.enrol", "enrolment.add", "token.add", "login.refused",
                                        "login"};
    assert_int_equal(json_array_size(at("audit")), ARRAY_SIZE(whats));
    for (size_t i = 0; i < ARRAY_SIZE(whats); i++)
        assert_string_equal(json_get_string(json_array_get(at("audit"), i), "what", ""), whats[i]);
    assert_string_equal(text_at("audit.0.who"), "host web1");
    assert_string_equal(text_at("audit.2.who"), "user root");
    assert_string_equal(text_at("audit.2.address"), "192.0.2.1");
    assert_null(strstr(buf_str(&reply.body), secret));
    assert_null(strstr(buf_str(&reply.body), "my secret"));
    assert_int_equal(ask(HTTP_GET, "audit?limit=3", NULL, root), 200);
    AUTOFREE char *next = xasprintf("audit?before=%" PRId64, int_at("next"));
    assert_int_equal(ask(HTTP_GET, next, NULL, root), 200);
    assert_int_equal(json_array_size(at("audit")), 2);
}

#define TEST(test) cmocka_unit_test_setup_teardown(test, set_up, tear_down)

int main(void)
{
    const struct CMUnitTest tests[] = {
        TEST(every_route_is_for_its_role),
        TEST(a_session_changes_things_only_with_its_csrf_value_and_from_our_page),
        TEST(a_login_from_another_page_is_refused),
        TEST(a_session_begins_and_ends),
        TEST(a_wrong_login_says_little_and_then_waits),
        TEST(a_password_is_changed_by_its_user),
        TEST(what_does_not_fit_is_told),
        TEST(users_are_added_changed_and_removed),
        TEST(a_token_is_shown_once_and_works_until_it_is_removed),
        TEST(a_host_is_enrolled_with_a_string_that_is_good_once),
        TEST(who_guesses_enrolment_strings_must_wait),
        TEST(a_host_is_revoked),
        TEST(a_capture_is_ordered_listed_and_cancelled),
        TEST(a_result_is_downloaded_kept_and_removed),
        TEST(a_damaged_result_is_cut_off_before_its_end),
        TEST(the_past_of_a_process_is_told),
        TEST(the_audit_log_tells_who_did_what_and_no_secret),
        TEST(refusals_are_noted_once_for_address_and_reason),
        TEST(wrong_tokens_are_told_when_to_try_again),
        TEST(bodies_are_small_where_nobody_has_said_who_he_is),
    };
    return cmocka_run_group_tests(tests, NULL, NULL);
}
