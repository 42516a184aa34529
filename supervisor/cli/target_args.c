#include "supervisor/cli/target_args.h"

#include <regex.h>
#include <stdio.h>
#include <string.h>
#include <unistd.h>

#include "lib/base/auto.h"
#include "lib/base/err.h"
#include "lib/base/json.h"
#include "lib/base/mem.h"
#include "lib/base/path.h"
#include "supervisor/cli/app_file.h"
#include "supervisor/cli/args.h"
#include "supervisor/cli/cmd.h"
#include "supervisor/cli/connect.h"
#include "supervisor/cli/say.h"

/* ---- deciding -------------------------------------------------------------------------------- */

bool target_is_pattern(const char *operand)
{
    size_t len = strlen(operand);
    return len > 2 && operand[0] == '/' && operand[len - 1] == '/';
}

static void add_once(struct strlist *names, const char *name)
{
    for (size_t i = 0; i < names->count; i++)
        if (str_eq(names->items[i], name))
            return;
    strlist_add(names, name);
}

/* Adds the apps that are wanted; how many rows there were. */
static size_t add_matching(const json_t *apps, const regex_t *pattern, const char *script,
                           struct strlist *names)
{
    size_t i, count = 0;
    json_t *app;
    json_array_foreach((json_t *)apps, i, app)
    {
        const char *name = json_get_string(app, "name", "");
        const char *own = json_get_string(json_object_get(app, "spec"), "script", "");
        bool wanted = pattern ? regexec(pattern, name, 0, NULL, 0) == 0 : str_eq(own, script);
        if (!wanted)
            continue;
        add_once(names, name);
        count++;
    }
    return count;
}

static int resolve_pattern(const char *operand, const json_t *apps, struct strlist *names,
                           char text[static TARGET_TEXT])
{
    AUTOFREE char *inner = xstrndup(operand + 1, strlen(operand) - 2);
    regex_t pattern;
    char why[100];
    int r = regcomp(&pattern, inner, REG_EXTENDED | REG_NOSUB);
    if (r != 0) {
        (void)regerror(r, &pattern, why, sizeof why);
        (void)snprintf(text, TARGET_TEXT, "'%.100s' is no pattern: %s", operand, why);
        return ERR_SYNTAX;
    }
    size_t count = add_matching(apps, &pattern, NULL, names);
    regfree(&pattern);
    if (count > 0)
        return 0;
    (void)snprintf(text, TARGET_TEXT, "there is no app whose name matches %.100s", operand);
    return ERR_NOT_FOUND;
}

static bool is_name(const char *operand, const json_t *apps)
{
    size_t i;
    json_t *app;
    json_array_foreach((json_t *)apps, i, app)
    {
        if (str_eq(json_get_string(app, "name", ""), operand))
            return true;
    }
    return false;
}

int target_resolve(const char *operand, const json_t *apps, const char *cwd, struct strlist *names,
                   char reterr_text[static TARGET_TEXT])
{
    if (target_is_pattern(operand))
        return resolve_pattern(operand, apps, names, reterr_text);
    AUTOFREE char *path = path_resolve(cwd, operand);
    if (is_name(operand, apps) || add_matching(apps, NULL, path, names) == 0)
        add_once(names, operand);
    return 0;
}

/* ---- asking ---------------------------------------------------------------------------------- */

/* Can it be something that the supervisor does not know by itself? */
static bool needs_list(const char *operand)
{
    return strchr(operand, '/') || access(operand, F_OK) == 0;
}

int target_expand(struct client *c, struct strlist *targets)
{
    AUTOMSG struct msg answer = {0};
    AUTOSTRLIST struct strlist names = {0};
    AUTOFREE char *cwd = path_cwd();
    char text[TARGET_TEXT];
    bool needed = false;
    for (size_t i = 0; i < targets->count; i++)
        needed |= needs_list(targets->items[i]);
    if (!needed)
        return CMD_DONE;
    json_t *params = json_object();
    json_set_bool(params, "detail", true);
    int code = connect_call(c, "cannot list", "app.list", params, &answer);
    for (size_t i = 0; code == CMD_DONE && i < targets->count; i++) {
        if (target_resolve(targets->items[i], json_object_get(answer.result, "apps"), cwd, &names,
                           text) == 0)
            continue;
        say_error("%s", text);
        code = CMD_FAILED;
    }
    strlist_clear(targets);
    *targets = names;
    names = (struct strlist){0};
    return code;
}

int target_args(struct client *c, const struct args *args, size_t first, struct strlist *targets)
{
    int code = CMD_DONE;
    for (size_t i = first; code == CMD_DONE && i < args->operand_count; i++) {
        if (app_file_is(args->operands[i]))
            code = app_file_names(args->operands[i], targets);
        else
            strlist_add(targets, args->operands[i]);
    }
    if (code == CMD_DONE)
        code = connect_running(c);
    return code == CMD_DONE ? target_expand(c, targets) : code;
}
