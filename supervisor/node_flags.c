#include "supervisor/node_flags.h"

#include <stdlib.h>
#include <string.h>

#include "ecosystem/spec.h"
#include "lib/base/auto.h"
#include "lib/base/err.h"
#include "lib/base/mem.h"
#include "lib/base/str.h"
#include "supervisor/runtime.h"

/* Node 8's cluster leaves workers alone; it does not know the underscore spelling. */
static const char flags_8[] = "--inspect-port=127.0.0.1:0";

/* From 9 on a primary that sees "--inspect" in NODE_OPTIONS gives its workers port 1, and they die.  `--debug_port` is
 * the same option under a name that this test does not know. */
static const char flags_10[] = "--debug_port=127.0.0.1:0";

/* The quoted backslash keeps the word "--inspect" out of the text; Node's own reader takes it away. */
static const char flags_12[] = "--debug_port=127.0.0.1:0 \"--in\\spect-publish-uid=stderr\"";

static const char *flags_for(int major)
{
    if (major >= 12)
        return flags_12;
    if (major >= 10)
        return flags_10;
    return major == 8 ? flags_8 : NULL;
}

static bool is_forced(const struct strlist *env)
{
    const char *value = env_get(env, "FORCE_INSPECTOR");
    return value && (str_eq(value, "1") || str_eq(value, "true"));
}

/* One word of NODE_OPTIONS or of the command line, without a quote before it. */
static bool word_names_inspector(const char *word)
{
    word += *word == '"';
    return str_starts(word, "--inspect") || str_starts(word, "--debug-port") ||
           str_starts(word, "--debug_port");
}

static bool names_inspector(const char *options)
{
    for (const char *at = options; at && *at; at += strcspn(at, " ")) {
        at += strspn(at, " ");
        if (word_names_inspector(at))
            return true;
    }
    return false;
}

/* --inspect, --inspect=…, --inspect-brk…, but neither --inspect-port nor --inspect-publish-uid. */
static bool opens_inspector(const char *options)
{
    for (const char *at = options; at && *at; at += strcspn(at, " ")) {
        at += strspn(at, " ");
        const char *rest = at + (*at == '"');
        if (!str_starts(rest, "--inspect"))
            continue;
        rest += strlen("--inspect");
        if (strchr("= \"", *rest) || str_starts(rest, "-brk") || str_starts(rest, "-wait"))
            return true;
    }
    return false;
}

enum inspector_flags node_flags_apply(const struct runtime_version *version,
                                      const struct app_spec *spec, struct strlist *env,
                                      bool *ret_user_opens)
{
    const char *options = env_get(env, "NODE_OPTIONS");
    int unused;
    bool named = names_inspector(options), opens = opens_inspector(options);
    for (size_t i = 0; i < spec->node_args.count; i++) {
        named |= names_inspector(spec->node_args.items[i]);
        opens |= opens_inspector(spec->node_args.items[i]);
    }
    *ret_user_opens = opens;
    if (!version->is_node)
        return FLAGS_NONE;
    if (named)
        return FLAGS_USERS;
    if (node_flags_refusal(version, spec, env, &unused))
        return FLAGS_NONE;
    const char *flags = flags_for(version->major);
    AUTOFREE char *joined =
        options && *options ? xasprintf("%s %s", options, flags) : xstrdup(flags);
    env_set(env, "NODE_OPTIONS", joined);
    return FLAGS_OURS;
}

const char *node_flags_refusal(const struct runtime_version *version, const struct app_spec *spec,
                               const struct strlist *env, int *ret_error)
{
    *ret_error = ERR_UNSUPPORTED_VERSION;
    if (!version->is_node)
        return "this app is not run by a Node.js binary that we know; set \"interpreter\" to the "
               "node "
               "program itself, not to a wrapper";
    if (version->major < 8)
        return "Node below 8 has no inspector that can be opened safely";
    if (version->major == 9)
        return "Node 9 cannot be told to use a safe inspector port; use 8, 10 or newer";
    if (version->major == 8 && !is_forced(env))
        return "Node 8 shows its inspector to all local users while a capture runs, so it is off; "
               "set "
               "FORCE_INSPECTOR=1 in the app's env and reload it";
    if (spec->profiling == PROFILING_OFF) {
        *ret_error = ERR_POLICY;
        return "profiling is switched off for this app (\"profiling\": false)";
    }
    return NULL;
}
