#include "ecosystem/option_set.h"

#include <stdlib.h>
#include <string.h>

#include "ecosystem/config_error.h"
#include "ecosystem/node.h"
#include "lib/base/auto.h"
#include "lib/base/buf.h"
#include "lib/base/err.h"
#include "lib/base/limits.h"
#include "lib/base/mem.h"
#include "lib/base/str.h"

static int env_error(const char *key, const struct node *v, struct config_error *reterr,
                     const char *problem)
{
    AUTOFREE char *place = xasprintf("%s.%s", key, v->key);
    return config_error_set(reterr, ERR_INVALID, v->line, place, "%s", problem);
}

static int env_value(const char *key, const struct node *v, struct buf *text,
                     struct config_error *reterr)
{
    int r = 0;
    switch (v->kind) {
    case NODE_NULL:
        return env_error(key, v, reterr, "null is no value; write \"\" or leave the variable out");
    case NODE_BOOL:
        r = buf_addstr(text, v->truth ? "true" : "false");
        break;
    case NODE_NUMBER:
    case NODE_STRING:
        r = buf_add(text, v->text, v->len);
        break;
    case NODE_LIST:
    case NODE_OBJECT:
        r = node_to_json(v, text);
        break;
    }
    if (r < 0)
        return env_error(key, v, reterr,
                         "longer than the 128 KiB that the kernel allows for a variable");
    if (strlen(buf_str(text)) != text->len)
        return env_error(key, v, reterr, "contains a NUL character");
    return 0;
}

static int add_variable(const char *key, const struct node *v, struct strlist *env,
                        struct config_error *reterr)
{
    if (v->key[0] == '\0')
        return config_error_set(reterr, ERR_INVALID, v->line, key, "a variable has an empty name");
    if (strchr(v->key, '='))
        return env_error(key, v, reterr, "a variable's name must not contain '='");
    AUTOBUF struct buf entry = BUF_INIT(LIMIT_STRING - 1);
    int r = buf_addf(&entry, "%s=", v->key);
    if (r < 0)
        return config_error_set(reterr, ERR_INVALID, v->line, key, "a variable's name is too long");
    r = env_value(key, v, &entry, reterr);
    if (r == 0)
        strlist_add_taken(env, buf_take(&entry));
    return r;
}

int option_read_env(const char *key, const struct node *value, struct strlist *env,
                    struct config_error *reterr)
{
    char found[NODE_FOUND_TEXT];
    AUTOSTRLIST struct strlist list = {0};
    if (value->kind != NODE_OBJECT)
        return config_error_set(reterr, ERR_INVALID, value->line, key, "expected %s, found %s",
                                "an object of names and values", node_found(value, found));
    for (const struct node *v = value->first; v; v = v->next) {
        if (list.count == LIMIT_LIST)
            return config_error_set(reterr, ERR_INVALID, v->line, key, "has more than %u entries",
                                    LIMIT_LIST);
        int r = add_variable(key, v, &list, reterr);
        if (r < 0)
            return r;
    }
    strlist_clear(env);
    *env = list;
    list = (struct strlist){0};
    return 0;
}
