#include "ecosystem/resolve.h"

#include <errno.h>
#include <fcntl.h>
#include <grp.h>
#include <pwd.h>
#include <stdarg.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <strings.h>
#include <sys/stat.h>
#include <unistd.h>

#include "ecosystem/config_error.h"
#include "ecosystem/env_file.h"
#include "ecosystem/option_set.h"
#include "ecosystem/options.h"
#include "ecosystem/spec.h"
#include "ecosystem/words.h"
#include "lib/base/auto.h"
#include "lib/base/buf.h"
#include "lib/base/err.h"
#include "lib/base/limits.h"
#include "lib/base/mem.h"
#include "lib/base/path.h"
#include "lib/base/str.h"

/* One run of app_spec_resolve(). */
struct resolver {
    struct app_spec *spec;
    const char *caller_cwd;
    const char *search; /* a PATH */
    struct config_error *error;
};

static int refuse(const struct resolver *rs, const char *key, const char *fmt, ...)
    __attribute__((format(printf, 3, 4)));

static int refuse(const struct resolver *rs, const char *key, const char *fmt, ...)
{
    AUTOFREE char *text = NULL;
    va_list ap;
    va_start(ap, fmt);
    int len = vasprintf(&text, fmt, ap);
    va_end(ap);
    if (len < 0)
        abort();
    int r = config_error_set(rs->error, ERR_INVALID, rs->spec->line, key, "%s", text);
    config_error_place(rs->error, NULL, rs->spec->name);
    return r;
}

/* `*field` becomes `value`, which is taken. */
static void replace(char **field, char *value)
{
    free(*field);
    *field = value;
}

static bool is_file(const char *path)
{
    struct stat st;
    return stat(path, &st) == 0 && S_ISREG(st.st_mode);
}

/* An absolute path of a program in PATH, or NULL. */
static char *find_in_path(const struct resolver *rs, const char *name)
{
    AUTOFREE char *found = path_find_program(rs->caller_cwd, name, rs->search);
    return found ? path_resolve(rs->caller_cwd, found) : NULL;
}

static int resolve_cwd(const struct resolver *rs)
{
    struct app_spec *spec = rs->spec;
    struct stat st;
    replace(&spec->cwd, path_resolve(rs->caller_cwd, spec->cwd ? spec->cwd : "."));
    if (stat(spec->cwd, &st) < 0)
        return refuse(rs, "cwd", "there is no usable directory %s: %s", spec->cwd, err_str(-errno));
    return S_ISDIR(st.st_mode) ? 0 : refuse(rs, "cwd", "%s is not a directory", spec->cwd);
}

static int resolve_name(const struct resolver *rs, bool is_command)
{
    struct app_spec *spec = rs->spec;
    char space[NAME_PROBLEM_TEXT];
    if (spec->name)
        return 0;
    AUTOFREE char *name = app_name_from_script(spec->script, is_command);
    const char *problem = app_name_problem(name, space);
    if (problem)
        return refuse(rs, "name", "missing, and \"%s\" (from the script) cannot stand for it: %s",
                      name, problem);
    spec->name = TAKE(name);
    return 0;
}

/* The script as a file, or why there is none. */
static int find_script(const struct resolver *rs, char **ret_path)
{
    const char *script = rs->spec->script;
    struct stat st;
    AUTOFREE char *path = path_resolve(rs->spec->cwd, script);
    int r = stat(path, &st) < 0 ? -errno : 0;
    if (r == 0 && S_ISREG(st.st_mode)) {
        *ret_path = TAKE(path);
        return 0;
    }
    bool searchable = !strchr(script, '/') && script[0] != '~';
    char *found = searchable ? find_in_path(rs, script) : NULL;
    if (found) {
        *ret_path = found;
        return 0;
    }
    if (r == 0)
        return refuse(rs, "script", "%s is %s, not a file", path,
                      S_ISDIR(st.st_mode) ? "a directory" : "something special");
    if (r != -ENOENT)
        return refuse(rs, "script", "cannot use %s: %s", path, err_str(r));
    if (searchable)
        return refuse(rs, "script", "there is no \"%s\" in %s and no such program in PATH", script,
                      rs->spec->cwd);
    return refuse(rs, "script", "there is no file %s", path);
}

static bool is_command(const struct app_spec *spec)
{
    if (!strpbrk(spec->script, " \t"))
        return false;
    AUTOFREE char *path = path_resolve(spec->cwd, spec->script);
    return !is_file(path);
}

/* bash -c 'command', or bash -c 'command "$@"' bash args… */
static int resolve_command(const struct resolver *rs)
{
    struct app_spec *spec = rs->spec;
    if (spec->interpreter && !str_eq(spec->interpreter, "none") &&
        !str_eq(spec->interpreter, "bash"))
        return refuse(rs, "script", "there is no file \"%s\" in %s; arguments belong into \"args\"",
                      spec->script, spec->cwd);
    char *shell = find_in_path(rs, "bash");
    if (!shell)
        shell = find_in_path(rs, "sh");
    if (!shell)
        return refuse(rs, "script", "the command \"%s\" needs bash, which is not in PATH",
                      spec->script);
    struct strlist args = {0};
    strlist_add(&args, "-c");
    strlist_addf(&args, "%s%s", spec->script, spec->args.count ? " \"$@\"" : "");
    if (spec->args.count)
        strlist_add(&args, path_base(shell));
    strlist_copy(&args, &spec->args);
    strlist_clear(&spec->args);
    spec->args = args;
    replace(&spec->script, shell);
    replace(&spec->interpreter, xstrdup("none"));
    return 0;
}

static const char *interpreter_of_extension(const char *script)
{
    static const char *const table[][2] = {
        {".js", "node"},    {".mjs", "node"}, {".cjs", "node"}, {".sh", "bash"},
        {".py", "python3"}, {".rb", "ruby"},  {".php", "php"},  {".pl", "perl"},
    };
    const char *dot = strrchr(path_base(script), '.');
    for (size_t i = 0; dot && i < ARRAY_SIZE(table); i++)
        if (strcasecmp(dot, table[i][0]) == 0)
            return table[i][1];
    return NULL;
}

enum content { CONTENT_TEXT, CONTENT_HASHBANG, CONTENT_BINARY };

static int look_at_content(const char *path, enum content *ret_content)
{
    char head[512];
    AUTOCLOSE int fd = open(path, O_RDONLY | O_CLOEXEC | O_NONBLOCK);
    if (fd < 0)
        return -errno;
    ssize_t len = read(fd, head, sizeof head);
    if (len < 0)
        return -errno;
    if (memchr(head, '\0', (size_t)len))
        *ret_content = CONTENT_BINARY;
    else
        *ret_content = len > 2 && memcmp(head, "#!", 2) == 0 ? CONTENT_HASHBANG : CONTENT_TEXT;
    return 0;
}

/* For a script whose extension says nothing: "none" or "node". */
static int interpreter_of_content(const struct resolver *rs, const char **ret_name)
{
    const struct app_spec *spec = rs->spec;
    bool executable = access(spec->script, X_OK) == 0;
    enum content content = CONTENT_BINARY;
    int r = look_at_content(spec->script, &content);
    if (r < 0 && !executable)
        return refuse(rs, "script", "cannot read %s: %s", spec->script, err_str(r));
    if (content == CONTENT_BINARY && !executable)
        return refuse(rs, "script",
                      "%s is a program without the permission to execute it (chmod +x)",
                      spec->script);
    /* Arguments for the interpreter say that there is one. */
    bool itself = content == CONTENT_BINARY ||
                  (content == CONTENT_HASHBANG && executable && spec->node_args.count == 0);
    *ret_name = itself ? "none" : "node";
    return 0;
}

static int find_interpreter(const struct resolver *rs, const char *name, bool chosen)
{
    struct app_spec *spec = rs->spec;
    AUTOFREE char *found = NULL;
    if (strchr(name, '/') || name[0] == '~') {
        AUTOFREE char *path = path_resolve(spec->cwd, name);
        found = path_find_program(spec->cwd, path, NULL);
        if (!found)
            return refuse(rs, "interpreter", "there is no program %s that can be executed", path);
    } else {
        found = find_in_path(rs, name);
    }
    if (!found && chosen)
        return refuse(rs, "interpreter", "there is no program \"%s\" in PATH", name);
    if (!found)
        return refuse(rs, "interpreter", "%s needs \"%s\", and there is no such program in PATH",
                      path_base(spec->script), name);
    replace(&spec->interpreter, TAKE(found));
    return 0;
}

static int resolve_interpreter(const struct resolver *rs)
{
    struct app_spec *spec = rs->spec;
    const char *name = spec->interpreter;
    bool chosen = name != NULL;
    if (!name)
        name = interpreter_of_extension(spec->script);
    if (!name) {
        int r = interpreter_of_content(rs, &name);
        if (r < 0)
            return r;
    }
    if (!str_eq(name, "none")) {
        AUTOFREE char *wanted = xstrdup(name);
        return find_interpreter(rs, wanted, chosen);
    }
    if (access(spec->script, X_OK) < 0)
        return refuse(rs, "script", "%s cannot be executed: %s", spec->script, err_str(-errno));
    if (!chosen)
        spec->interpreter = xstrdup("none");
    return 0;
}

/* Paths and arguments travel as JSON. */
static int check_encoding(const struct resolver *rs)
{
    const struct app_spec *spec = rs->spec;
    for (const struct option *o = options; o < options + option_count; o++) {
        const char *text = o->type == OPTION_PATH || o->type == OPTION_LOG_FILE
                               ? *(char *const *)option_field_const(o, spec)
                               : NULL;
        if (text && !text_is_utf8(text))
            return refuse(rs, o->key, "%s is not UTF-8", text);
    }
    for (size_t i = 0; i < spec->env_file.count; i++)
        if (!text_is_utf8(spec->env_file.items[i]))
            return refuse(rs, "env_file", "%s is not UTF-8", spec->env_file.items[i]);
    if (!text_is_utf8(spec->cwd))
        return refuse(rs, "cwd", "%s is not UTF-8", spec->cwd);
    if (!text_is_utf8(spec->script))
        return refuse(rs, "script", "%s is not UTF-8", spec->script);
    if (!text_is_utf8(spec->interpreter))
        return refuse(rs, "interpreter", "%s is not UTF-8", spec->interpreter);
    for (size_t i = 0; i < spec->args.count; i++)
        if (!text_is_utf8(spec->args.items[i]))
            return refuse(rs, "args", "the argument \"%s\" is not UTF-8", spec->args.items[i]);
    return 0;
}

static int resolve_program(const struct resolver *rs, bool command)
{
    if (command)
        return resolve_command(rs);
    char *script = NULL;
    int r = find_script(rs, &script);
    if (r < 0)
        return r;
    replace(&rs->spec->script, script);
    return resolve_interpreter(rs);
}

/* ---- environment, user and files -------------------------------------------------------------- */

/* Adds the variables of one file. */
static int read_env_file(const struct resolver *rs, const char *path, struct strlist *env)
{
    AUTOBUF struct buf text = BUF_INIT(LIMIT_ENV_FILE);
    struct config_error error = {0};
    int r = path_read(path, &text);
    if (r < 0)
        return refuse(rs, "env_file", "cannot read %s: %s", path, err_str(r));
    r = env_file_parse(buf_str(&text), text.len, env, &error);
    if (r == 0)
        return 0;
    *rs->error = error;
    config_error_place(rs->error, path, rs->spec->name);
    return r;
}

/* env over port over the files. */
static int resolve_env(const struct resolver *rs)
{
    struct app_spec *spec = rs->spec;
    AUTOSTRLIST struct strlist files = {0}, env = {0};
    char port[16];
    for (size_t i = 0; i < spec->env_file.count; i++) {
        AUTOFREE char *path = path_resolve(spec->cwd, spec->env_file.items[i]);
        int r = read_env_file(rs, path, &env);
        if (r < 0)
            return r;
        strlist_add_taken(&files, TAKE(path));
    }
    (void)snprintf(port, sizeof port, "%d", spec->port);
    if (spec->port)
        env_set(&env, "PORT", port);
    for (size_t i = 0; i < spec->env.count; i++) {
        const char *entry = spec->env.items[i], *equals = strchr(entry, '=');
        AUTOFREE char *name = xstrndup(entry, (size_t)(equals - entry));
        env_set(&env, name, equals + 1);
    }
    if (env.count > LIMIT_LIST)
        return refuse(rs, "env", "has more than %u entries with those of env_file", LIMIT_LIST);
    strlist_clear(&spec->env);
    strlist_clear(&spec->env_file);
    spec->env = env;
    spec->env_file = files;
    env = files = (struct strlist){0};
    return 0;
}

/* Out of range is no number of a user either. */
static bool is_number(const char *text)
{
    return text[strspn(text, "0123456789")] == '\0';
}

static int resolve_user(const struct resolver *rs)
{
    const char *uid = rs->spec->uid, *gid = rs->spec->gid;
    const struct passwd *user = uid && !is_number(uid) ? getpwnam(uid) : NULL;
    const struct group *group = gid && !is_number(gid) ? getgrnam(gid) : NULL;
    if (uid && !is_number(uid) && !user)
        return refuse(rs, "uid", "there is no user \"%s\"", uid);
    if (gid && !is_number(gid) && !group)
        return refuse(rs, "gid", "there is no group \"%s\"", gid);
    uid_t wanted = user ? user->pw_uid : uid ? (uid_t)strtoul(uid, NULL, 10) : geteuid();
    gid_t wanted_group = group ? group->gr_gid : gid ? (gid_t)strtoul(gid, NULL, 10) : getegid();
    if (geteuid() == 0 || (wanted == geteuid() && wanted_group == getegid()))
        return 0;
    return refuse(rs, wanted == geteuid() ? "gid" : "uid",
                  "only root can start apps as another user");
}

/* Relative to the app's directory; NULL in capitals is PM2's word for no file. */
static void resolve_paths(const struct resolver *rs)
{
    for (const struct option *o = options; o < options + option_count; o++) {
        if (o->type != OPTION_PATH && o->type != OPTION_LOG_FILE)
            continue;
        char **field = option_field(o, rs->spec);
        if (!*field || (o->type == OPTION_LOG_FILE && str_eq(*field, "true")))
            continue;
        const char *path = str_eq(*field, "NULL") ? "/dev/null" : *field;
        replace(field, path_resolve(rs->spec->cwd, path));
    }
}

static bool runs_node(const struct app_spec *spec)
{
    const char *name = path_base(spec->interpreter);
    return str_eq(name, "node") || str_eq(name, "nodejs");
}

static void resolve_node(const struct resolver *rs)
{
    static const char source_maps[] = "--enable-source-maps";
    struct app_spec *spec = rs->spec;
    bool is_node = runs_node(spec), has_maps = false;
    if (spec->exec_mode == EXEC_AUTO)
        spec->exec_mode = is_node && spec->instances_given ? EXEC_CLUSTER : EXEC_FORK;
    for (size_t i = 0; i < spec->node_args.count; i++)
        has_maps |= str_eq(spec->node_args.items[i], source_maps);
    if (is_node && spec->source_map_support && !has_maps)
        strlist_add(&spec->node_args, source_maps);
}

static int resolve_rest(const struct resolver *rs)
{
    resolve_paths(rs);
    resolve_node(rs);
    int r = resolve_user(rs);
    return r < 0 ? r : check_encoding(rs);
}

/* PATH of the app's own environment, then the caller's.  The caller frees. */
static char *search_path(const struct app_spec *spec, const struct strlist *env)
{
    const char *own = env_get(&spec->env, "PATH"), *callers = env_get(env, "PATH");
    if (!callers)
        callers = "/usr/local/bin:/usr/bin:/bin";
    return own && *own ? xasprintf("%s:%s", own, callers) : xstrdup(callers);
}

int app_spec_resolve(struct app_spec *spec, const char *cwd, const struct strlist *env,
                     struct config_error *reterr)
{
    struct resolver rs = {.spec = spec, .caller_cwd = cwd, .error = reterr};
    char space[NAME_PROBLEM_TEXT];
    *reterr = (struct config_error){0};
    if (!spec->script)
        return refuse(&rs, "script", "missing; every app needs one");
    const char *problem = spec->name ? app_name_problem(spec->name, space) : NULL;
    if (problem)
        return refuse(&rs, "name", "%s", problem);
    int r = resolve_cwd(&rs);
    if (r == 0)
        r = resolve_env(&rs);
    if (r < 0)
        return r;
    AUTOFREE char *search = search_path(spec, env);
    rs.search = search;
    bool command = is_command(spec);
    r = resolve_name(&rs, command);
    if (r < 0)
        return r;
    r = resolve_program(&rs, command);
    return r < 0 ? r : resolve_rest(&rs);
}
