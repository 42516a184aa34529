#include "ecosystem/read_apps.h"

#include <stdio.h>
#include <string.h>

#include "ecosystem/config_error.h"
#include "ecosystem/cron.h"
#include "ecosystem/ecosystem.h"
#include "ecosystem/node.h"
#include "ecosystem/option_set.h"
#include "ecosystem/options.h"
#include "lib/base/auto.h"
#include "lib/base/err.h"
#include "lib/base/limits.h"
#include "lib/base/str.h"

/* One app while it is read. */
struct app_reader {
    struct ecosystem *eco;
    struct app_spec *spec;
    const struct node *object;
    const char *label; /* what messages call the app; NULL when it has no name yet */
    struct config_error *error;
};

static const char env_prefix[] = "env_";

/* As JavaScript sees it: 0, false, "" and null. */
static bool is_falsy(const struct node *n)
{
    switch (n->kind) {
    case NODE_NULL:
        return true;
    case NODE_BOOL:
        return !n->truth;
    case NODE_NUMBER:
        return n->number == 0;
    case NODE_STRING:
        return n->len == 0;
    case NODE_LIST:
    case NODE_OBJECT:
        return false;
    }
    return false;
}

/* The member of `object` that gives option `o`: of several names for it, the most direct one that
 * says something (as PM2 has it). */
static const struct node *member_for(const struct node *object, const struct option *o)
{
    enum { FALSY = 1000 };
    const struct node *best = NULL;
    unsigned best_rank = 0;
    for (const struct node *n = object->first; n; n = n->next) {
        unsigned rank;
        if (option_find(n->key, &rank) != o)
            continue;
        rank += is_falsy(n) ? FALSY : 0;
        if (best && rank >= best_rank)
            continue;
        best = n;
        best_rank = rank;
    }
    return best;
}

static bool is_env_block(const char *key)
{
    return str_starts(key, env_prefix) && key[strlen(env_prefix)];
}

static bool is_harmless(const struct ignored_key *ignored, const struct node *value)
{
    if (!ignored->harmless)
        return false;
    if (value->kind == NODE_BOOL)
        return str_eq(ignored->harmless, value->truth ? "true" : "false");
    return str_eq(ignored->harmless, value->text);
}

static void warn_unknown(struct app_reader *rd, const struct node *member)
{
    struct ecosystem *eco = rd->eco;
    const struct ignored_key *ignored = ignored_key_find(member->key);
    if (ignored && is_harmless(ignored, member))
        return;
    if (ignored && ignored->foreign) {
        ecosystem_warn(eco, member->key_line, rd->label, "key \"%s\" has no meaning here, ignored",
                       member->key);
        return;
    }
    if (ignored) {
        ecosystem_warn(eco, member->key_line, rd->label, "key \"%s\" is not supported yet, ignored",
                       member->key);
        return;
    }
    bool hint = eco->warnings_total < ECOSYSTEM_WARNINGS;
    const char *nearest = hint ? option_nearest(member->key) : NULL;
    ecosystem_warn(eco, member->key_line, rd->label, "unknown key \"%s\", ignored%s%s%s",
                   member->key, nearest ? "; did you mean \"" : "", nearest ? nearest : "",
                   nearest ? "\"?" : "");
}

/* What nobody acts on, and what means something else than with PM2. */
static void warn_known(struct app_reader *rd, const struct option *o, const struct node *member)
{
    struct cron cron;
    char unused[CRON_ERROR_TEXT];
    if (!o->acts && !app_spec_field_equal(o, rd->spec, &rd->eco->defaults))
        ecosystem_warn(rd->eco, member->key_line, rd->label, "key \"%s\" is not acted on yet",
                       member->key);
    if (o->type == OPTION_CRON && rd->spec->cron_restart &&
        cron_parse(rd->spec->cron_restart, &cron, unused) == 0 && cron_either_day(&cron))
        ecosystem_warn(rd->eco, member->key_line, rd->label,
                       "key \"%s\" restricts both days, and comes when one of them matches; with a "
                       "+ before the day of the week both must",
                       member->key);
}

static int read_member(struct app_reader *rd, const struct node *member)
{
    const struct option *o = option_find(member->key, NULL);
    if (!o && is_env_block(member->key) && !ignored_key_find(member->key)) {
        struct env_block *block = app_spec_env_block(rd->spec, member->key + strlen(env_prefix));
        return option_read_env(member->key, member, &block->env, rd->error);
    }
    if (!o) {
        warn_unknown(rd, member);
        return 0;
    }
    const struct node *counts = member_for(rd->object, o);
    if (counts != member) {
        ecosystem_warn(rd->eco, member->key_line, rd->label,
                       "key \"%s\" is ignored, \"%s\" says the same", member->key, counts->key);
        return 0;
    }
    int r = option_set(o, rd->spec, member, rd->error);
    if (r == 0)
        warn_known(rd, o, member);
    return r;
}

static const struct node *given(const struct app_reader *rd, const char *key)
{
    return member_for(rd->object, option_find(key, NULL));
}

/* Settings that depend on which others were given. */
static int settle(struct app_reader *rd)
{
    struct app_spec *spec = rd->spec;
    const struct node *autorestart = given(rd, "autorestart"), *restart = given(rd, "restart");
    if (autorestart && restart) {
        bool agreed = autorestart->truth == !str_eq(restart->text, "never");
        if (!agreed)
            ecosystem_warn(rd->eco, autorestart->key_line, rd->label,
                           "key \"%s\" is ignored, \"%s\" says more", autorestart->key,
                           restart->key);
        return option_set(option_find("restart", NULL), spec, restart, rd->error);
    }
    if (spec->type != APP_JOB)
        return 0;
    if (!autorestart && !restart) {
        spec->restart = RESTART_NEVER;
        spec->autorestart = false;
    }
    if (!given(rd, "cron_overlap"))
        spec->cron_overlap = CRON_SKIP;
    return 0;
}

static const char *string_of(const struct node *object, const char *key)
{
    const struct node *member = member_for(object, option_find(key, NULL));
    return member && member->kind == NODE_STRING ? member->text : NULL;
}

static size_t child_count(const struct node *n)
{
    size_t count = 0;
    for (const struct node *child = n->first; child; child = child->next)
        count++;
    return count;
}

/* The unknown key of `object` that looks like one of `names`, and which of them; NULL: none. */
static const struct node *misspelt(const struct node *object, const char *const *names,
                                   size_t count, const char **ret_name)
{
    for (const struct node *n = object->first; n; n = n->next) {
        if (option_find(n->key, NULL) || is_env_block(n->key) || ignored_key_find(n->key))
            continue;
        const char *name = str_nearest(n->key, names, count);
        if (!name)
            continue;
        *ret_name = name;
        return n;
    }
    return NULL;
}

enum { LINE_TEXT = 24 };

/* " (line 7)", or nothing where lines are not known. */
static const char *line_text(unsigned line, char space[static LINE_TEXT])
{
    space[0] = '\0';
    if (line)
        (void)snprintf(space, LINE_TEXT, " (line %u)", line);
    return space;
}

static int script_missing(struct app_reader *rd)
{
    static const char text[] = "missing; every app needs one";
    const char *const names[] = {"script"};
    const char *name;
    const struct node *n = misspelt(rd->object, names, ARRAY_SIZE(names), &name);
    if (!n)
        return config_error_set(rd->error, ERR_INVALID, rd->object->line, "script", "%s", text);
    char line[LINE_TEXT];
    return config_error_set(rd->error, ERR_INVALID, rd->object->line, "script",
                            "%s; did you mean \"%s\" for \"%s\"%s?", text, name, n->key,
                            line_text(n->key_line, line));
}

static int read_members(struct app_reader *rd)
{
    if (child_count(rd->object) > LIMIT_LIST)
        return config_error_set(rd->error, ERR_INVALID, rd->object->line, NULL,
                                "has more than %u keys", LIMIT_LIST);
    for (const struct node *member = rd->object->first; member; member = member->next) {
        int r = read_member(rd, member);
        if (r < 0)
            return r;
    }
    int settled = settle(rd);
    if (settled < 0)
        return settled;
    if (!rd->spec->script)
        return script_missing(rd);
    if (rd->spec->node_args.count && str_eq(rd->spec->interpreter, "none"))
        ecosystem_warn(rd->eco, rd->object->line, rd->label,
                       "key \"node_args\" is without effect, because the interpreter is \"none\"");
    return 0;
}

static int read_app(struct ecosystem *eco, const struct node *object, struct config_error *reterr)
{
    char found[NODE_FOUND_TEXT];
    if (object->kind != NODE_OBJECT)
        return config_error_set(reterr, ERR_INVALID, object->line, NULL,
                                "expected an app object, found %s", node_found(object, found));
    if (eco->count == LIMIT_APPS)
        return config_error_set(reterr, ERR_INVALID, object->line, NULL,
                                "more than %u apps in one file", LIMIT_APPS);
    const char *name = string_of(object, "name"), *script = string_of(object, "script");
    AUTOFREE char *derived = script ? app_name_from_script(script, strpbrk(script, " \t")) : NULL;
    struct app_reader rd = {
        .eco = eco, .spec = ecosystem_add(eco), .object = object, .error = reterr};
    rd.label = name ? name : derived;
    rd.spec->line = object->line;
    int r = read_members(&rd);
    if (r < 0)
        config_error_place(reterr, NULL, rd.label);
    return r;
}

static int read_list(struct ecosystem *eco, const struct node *list, const char *key,
                     struct config_error *reterr)
{
    if (!list->first)
        return config_error_set(reterr, ERR_INVALID, list->line, key, "the list of apps is empty");
    for (const struct node *app = list->first; app; app = app->next) {
        int r = read_app(eco, app, reterr);
        if (r < 0)
            return r;
    }
    return 0;
}

static int read_app_or_list(struct ecosystem *eco, const struct node *apps,
                            struct config_error *reterr)
{
    char found[NODE_FOUND_TEXT];
    if (apps->kind == NODE_LIST)
        return read_list(eco, apps, apps->key, reterr);
    if (apps->kind == NODE_OBJECT)
        return read_app(eco, apps, reterr);
    return config_error_set(reterr, ERR_INVALID, apps->line, apps->key,
                            "expected a list of apps, found %s", node_found(apps, found));
}

/* {"apps": …}: `apps` is that member. */
static int read_container(struct ecosystem *eco, const struct node *root, const struct node *apps,
                          struct config_error *reterr)
{
    static const char *const names[] = {"apps", "deploy"};
    char line[LINE_TEXT];
    for (const struct node *member = root->first; member; member = member->next) {
        /* Keys that begin with x- hold what others refer to, as in files of Docker Compose. */
        if (member == apps || str_eq(member->key, "deploy") || str_starts(member->key, "x-"))
            continue;
        if (str_eq(member->key, "pm2"))
            return config_error_set(reterr, ERR_INVALID, member->key_line, member->key,
                                    "says the same as \"apps\"%s; keep one of them",
                                    line_text(apps->key_line, line));
        const char *nearest = str_nearest(member->key, names, ARRAY_SIZE(names));
        ecosystem_warn(eco, member->key_line, NULL,
                       "unknown key \"%s\" beside \"%s\", ignored%s%s%s", member->key, apps->key,
                       nearest ? "; did you mean \"" : "", nearest ? nearest : "",
                       nearest ? "\"?" : "");
    }
    return read_app_or_list(eco, apps, reterr);
}

static int apps_missing(const struct node *root, struct config_error *reterr)
{
    char line[LINE_TEXT];
    static const char text[] = "there is neither \"apps\" nor \"script\" in it";
    const char *const names[] = {"apps", "script"};
    const char *name;
    const struct node *n = misspelt(root, names, ARRAY_SIZE(names), &name);
    if (n)
        return config_error_set(reterr, ERR_INVALID, root->line, NULL,
                                "%s; did you mean \"%s\" for \"%s\"%s?", text, name, n->key,
                                line_text(n->key_line, line));
    return config_error_set(reterr, ERR_INVALID, root->line, NULL,
                            "%s; write {\"apps\": [{\"name\": …, \"script\": …}]}", text);
}

int read_apps(struct ecosystem *eco, const struct node *root, struct config_error *reterr)
{
    char found[NODE_FOUND_TEXT];
    if (root->kind == NODE_LIST)
        return read_list(eco, root, NULL, reterr);
    if (root->kind != NODE_OBJECT)
        return config_error_set(reterr, ERR_INVALID, root->line, NULL,
                                "expected an object with \"apps\" or a list of apps, found %s",
                                node_found(root, found));
    const struct node *apps = node_get(root, "apps");
    if (!apps)
        apps = node_get(root, "pm2");
    if (apps)
        return read_container(eco, root, apps, reterr);
    if (member_for(root, option_find("script", NULL)))
        return read_app(eco, root, reterr);
    return apps_missing(root, reterr);
}
