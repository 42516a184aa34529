/* api_profiles.c -- stored results: lists, downloads, views, keeping and removing. */
#include <errno.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <unistd.h>

#include "lib/base/auto.h"
#include "lib/base/err.h"
#include "lib/base/json.h"
#include "lib/base/mem.h"
#include "lib/base/str.h"
#include "remote/analysis.h"
#include "remote/api_call.h"
#include "remote/api_routes.h"
#include "remote/live.h"
#include "remote/profile_source.h"
#include "remote/profile_view.h"
#include "remote/store/profiles.h"

static void fail_profile(struct api_call *c, int r)
{
    if (r == ERR_NOT_FOUND)
        api_fail(c, r, "there is no such profile");
    else
        api_fail(c, r, NULL);
}

/* ---- lists ----------------------------------------------------------------------------------- */

struct list_state {
    char *host, *app, *kind, *before;
    size_t limit;
    struct profile_list rows;
};

static void list_state_clear(void *state)
{
    struct list_state *s = state;
    free(s->host);
    free(s->app);
    free(s->kind);
    free(s->before);
    profile_list_clear(&s->rows);
}

static int read_list(struct db *db, void *arg)
{
    struct api_call *c = arg;
    struct list_state *s = c->state;
    const struct profile_filter filter = {
        .host = s->host, .app = s->app, .kind = s->kind, .before = s->before, .limit = s->limit};
    return profiles_list(db, &filter, &s->rows);
}

static void on_list(void *arg, int result)
{
    struct api_call *c = arg;
    const struct list_state *s = c->state;
    if (result < 0) {
        api_fail(c, result, NULL);
        return;
    }
    json_t *rows = json_array(), *view = json_object();
    for (size_t i = 0; i < s->rows.count; i++)
        (void)json_array_append_new(rows, profile_view(&s->rows.rows[i]));
    bool full = s->rows.count > 0 && s->rows.count == s->limit;
    (void)json_object_set_new(view, "profiles", rows);
    (void)json_object_set_new(view, "next",
                              full ? json_string(s->rows.rows[s->rows.count - 1].id) : json_null());
    api_reply(c, 200, view);
}

void api_profiles(struct api_call *c)
{
    struct list_state *s = api_state(c, sizeof *s, list_state_clear);
    if (api_query_uuid(c, "host", &s->host) && api_query_text(c, "app", LIMIT_NAME, &s->app) &&
        api_query_word(c, "kind", &s->kind) && api_query_uuid(c, "before", &s->before) &&
        api_query_limit(c, &s->limit))
        api_read(c, read_list, on_list);
}

/* ---- one ------------------------------------------------------------------------------------- */

/* What the handlers below work with. */
struct one {
    struct profile_row row;
    int fd; /* of a download */
    bool keep;
    struct audit_row note;
};

static void one_clear(void *state)
{
    const struct one *s = state;
    if (s->fd >= 0)
        (void)close(s->fd);
}

/* NULL: replied. */
static struct one *one_new(struct api_call *c)
{
    if (!api_param_uuid(c, "profile"))
        return NULL;
    struct one *s = api_state(c, sizeof *s, one_clear);
    s->fd = -1;
    return s;
}

static int read_one(struct db *db, void *arg)
{
    struct api_call *c = arg;
    struct one *s = c->state;
    return profiles_get(db, c->params[0], &s->row);
}

static void on_one(void *arg, int result)
{
    struct api_call *c = arg;
    const struct one *s = c->state;
    if (result < 0)
        fail_profile(c, result);
    else
        api_reply_one(c, 200, "profile", profile_view(&s->row));
}

void api_profile(struct api_call *c)
{
    if (one_new(c))
        api_read(c, read_one, on_one);
}

/* ---- downloads ------------------------------------------------------------------------------- */

static int open_one(struct db *db, void *arg)
{
    struct api_call *c = arg;
    struct one *s = c->state;
    int r = profiles_get(db, c->params[0], &s->row);
    return r < 0 ? r : profiles_open(db, &s->row, &s->fd);
}

/* Is the tag in the header's list?  A weak one fits, too: our bytes never change. */
static bool tag_fits(const char *header, const char *tag)
{
    return header && (strstr(header, tag) || str_eq(header, "*"));
}

static void reply_bytes(struct api_call *c, struct one *s)
{
    struct http_request *r = c->request;
    char file[PROFILE_FILE], sha256[SHA256_TEXT], tag[SHA256_TEXT + 2];
    sha256_to_hex(s->row.sums.sha256, sha256);
    (void)snprintf(tag, sizeof tag, "\"%s\"", sha256);
    http_header(r, "ETag", tag);
    if (tag_fits(r->if_none_match, tag)) {
        http_reply(r, 304, "application/json", NULL, 0);
        api_call_free(c);
        return;
    }
    profile_file_name(&s->row, file);
    AUTOFREE char *disposition = xasprintf("attachment; filename=\"%s\"", file);
    http_header(r, "Content-Disposition", disposition);
    http_reply_source(r, 200, "application/json", s->row.sums.bytes,
                      profile_source_new(&s->row, TAKE_FD(s->fd)));
    api_call_free(c);
}

static void on_opened(void *arg, int result)
{
    struct api_call *c = arg;
    struct one *s = c->state;
    if (result == ERR_NOT_FOUND && s->row.id[0])
        api_fail(c, result, "the bytes of this profile were removed");
    else if (result < 0)
        fail_profile(c, result);
    else
        reply_bytes(c, s);
}

void api_profile_raw(struct api_call *c)
{
    if (one_new(c))
        api_read(c, open_one, on_opened);
}

/* ---- views ----------------------------------------------------------------------------------- */

/* It is the stored result that does not fit, not the request. */
static bool is_unreadable(int r)
{
    return r == ERR_INVALID || r == ERR_SYNTAX || r == ERR_TOO_BIG || r == -ETIMEDOUT;
}

static void on_analysed(void *arg, int r, const char *text, size_t len)
{
    struct api_call *c = arg;
    if (is_unreadable(r)) {
        api_reply(c, 422, api_error_body(r, text));
        return;
    }
    if (r < 0) {
        api_fail(c, r, "%s", text);
        return;
    }
    http_reply(c->request, 200, "application/json", text, len);
    api_call_free(c);
}

void api_profile_top(struct api_call *c)
{
    AUTOFREE char *sort = NULL;
    if (!api_param_uuid(c, "profile") || !api_query_word(c, "sort", &sort))
        return;
    bool total = str_eq(sort, "total");
    if (sort && !total && !str_eq(sort, "self"))
        api_fail(c, ERR_INVALID, "\"sort\" of the query must be self or total");
    else
        analysis_get(c->api->analysis, c->params[0], total ? "top-total" : "top", on_analysed, c);
}

void api_profile_tree(struct api_call *c)
{
    if (api_param_uuid(c, "profile"))
        analysis_get(c->api->analysis, c->params[0], "tree", on_analysed, c);
}

/* ---- keeping and removing -------------------------------------------------------------------- */

static void publish(const struct api_call *c, const struct profile_row *row)
{
    if (!live_watched(c->api->live))
        return;
    AUTOJSON json_t *event = json_object();
    json_set_string(event, "type", "profile");
    (void)json_object_set_new(event, "profile", profile_view(row));
    live_publish(c->api->live, event);
}

static void note_row(struct one *s)
{
    (void)snprintf(s->note.text, sizeof s->note.text, "%s of %s-%lld on %s (%s)", s->row.kind,
                   s->row.app, (long long)s->row.instance, s->row.host_name, s->row.id);
}

static int write_keep(struct db *db, void *arg)
{
    struct api_call *c = arg;
    struct one *s = c->state;
    int r = profiles_set_keep(db, c->params[0], s->keep);
    if (r < 0 || (r = profiles_get(db, c->params[0], &s->row)) < 0)
        return r;
    note_row(s);
    return audit_add(db, &s->note);
}

static void on_kept(void *arg, int result)
{
    struct api_call *c = arg;
    const struct one *s = c->state;
    if (result < 0) {
        fail_profile(c, result);
        return;
    }
    publish(c, &s->row);
    api_reply_one(c, 200, "profile", profile_view(&s->row));
}

void api_profile_keep(struct api_call *c)
{
    struct fields f = FIELDS(c->body);
    bool keep = field_bool(&f, "keep");
    if (f.error < 0) {
        api_fail_fields(c, &f);
        return;
    }
    struct one *s = one_new(c);
    if (!s)
        return;
    s->keep = keep;
    api_note(c, &s->note, keep ? "profile.keep" : "profile.unkeep", "%s", "");
    api_write(c, write_keep, on_kept);
}

static int write_removal(struct db *db, void *arg)
{
    struct api_call *c = arg;
    struct one *s = c->state;
    int r = profiles_remove(db, c->params[0]);
    if (r < 0 || (r = profiles_get(db, c->params[0], &s->row)) < 0)
        return r;
    note_row(s);
    return audit_add(db, &s->note);
}

static void on_removed(void *arg, int result)
{
    struct api_call *c = arg;
    const struct one *s = c->state;
    if (result < 0) {
        fail_profile(c, result);
        return;
    }
    publish(c, &s->row);
    api_reply(c, 204, NULL);
}

void api_profile_remove(struct api_call *c)
{
    struct one *s = one_new(c);
    if (!s)
        return;
    api_note(c, &s->note, "profile.remove", "%s", "");
    api_write(c, write_removal, on_removed);
}
