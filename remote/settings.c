#include "remote/settings.h"

#include <getopt.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <unistd.h>

#include "lib/base/auto.h"
#include "lib/base/err.h"
#include "lib/base/mem.h"
#include "lib/base/path.h"
#include "lib/base/str.h"

#define DAY_MS (24 * 3600 * INT64_C(1000))

enum {
    AGENT_LIFE_S = 90 * 24 * 3600,
    LIFE_MIN_S = 3,
    LIFE_MAX_S = 3650 * 24 * 3600,
    NAMES_MAX = 50
};

const char settings_usage[] =
    "usage: proctor-console --data DIR [--listen A:P] [--agent-listen A:P] [--name HOST]...\n"
    "                       [--public-web H:P] [--public-agents H:P]\n"
    "                       [--keep-days N] [--keep-size SIZE] [--agent-cert-life TIME]\n"
    "       proctor-console token|user|host ... --data DIR      (administration: token --help, "
    "...)\n"
    "\n"
    "  --data DIR            where everything is kept; made at the first start (0700),\n"
    "                        or an empty one\n"
    "  --listen A:P          web page and API (default 127.0.0.1:7443; port 0: any free one)\n"
    "  --agent-listen A:P    the agents' port (default 127.0.0.1:7444)\n"
    "  --name HOST           a name under which browsers and agents reach this console; may be\n"
    "                        given again; the first one goes into what `token create enrol` "
    "prints\n"
    "  --public-web H:P      what others are told instead of --listen, behind a proxy or a\n"
    "                        port forwarding; --public-agents is the same for --agent-listen\n"
    "  --keep-days N         how long profiles are kept (default 30)\n"
    "  --keep-size SIZE      how much disk they may take (default 20G); the oldest go first\n"
    "  --agent-cert-life T   life of agents' certificates (default 2160h; renewed at two thirds)\n";

enum option_number {
    DATA = 256,
    LISTEN,
    AGENT_LISTEN,
    NAME,
    PUBLIC_WEB,
    PUBLIC_AGENTS,
    KEEP_DAYS,
    KEEP_SIZE,
    LIFE,
    HELP,
    VERSION
};

static const struct option options[] = {
    {"data", required_argument, NULL, DATA},
    {"listen", required_argument, NULL, LISTEN},
    {"agent-listen", required_argument, NULL, AGENT_LISTEN},
    {"name", required_argument, NULL, NAME},
    {"public-web", required_argument, NULL, PUBLIC_WEB},
    {"public-agents", required_argument, NULL, PUBLIC_AGENTS},
    {"keep-days", required_argument, NULL, KEEP_DAYS},
    {"keep-size", required_argument, NULL, KEEP_SIZE},
    {"agent-cert-life", required_argument, NULL, LIFE},
    {"help", no_argument, NULL, HELP},
    {"version", no_argument, NULL, VERSION},
    {0},
};

static int wrong(char *reterr_text, size_t size, const char *option, const char *value,
                 const char *expected)
{
    (void)snprintf(reterr_text, size, "%s '%s': %s", option, value, expected);
    return ERR_USAGE;
}

static void replace(char **old, const char *value)
{
    free(*old);
    *old = xstrdup(value);
}

static void replace_path(char **old, const char *value)
{
    AUTOFREE char *cwd = path_cwd();
    free(*old);
    *old = path_resolve(cwd, value);
}

/* A DNS name or an address, as it may stand in a URL. */
static bool is_name(const char *name)
{
    size_t len = strlen(name);
    return len > 0 && len <= 253 && name[0] != '-' &&
           strspn(name, "abcdefghijklmnopqrstuvwxyzABCDEFGHIJKLMNOPQRSTUVWXYZ0123456789.-:") == len;
}

static int take_public(char **ret_value, const char *option, const char *value, char *text,
                       size_t size)
{
    const char *colon = strrchr(value, ':');
    int64_t port;
    if (!colon || colon == value || strlen(value) > 250 || strpbrk(value, " /@\"") ||
        str_to_int(colon + 1, 1, 65535, &port) < 0)
        return wrong(text, size, option, value, "expected HOST:PORT");
    replace(ret_value, value);
    return 0;
}

static int take_number(struct settings *s, int number, const char *value, char *text, size_t size)
{
    int64_t n;
    switch (number) {
    case KEEP_DAYS:
        if (str_to_int(value, 1, 36500, &n) < 0)
            return wrong(text, size, "--keep-days", value, "expected a number of days from 1 on");
        s->retention.keep_ms = n * DAY_MS;
        return 0;
    case KEEP_SIZE:
        if (str_to_size(value, &n) < 0 || n < 1 << 20)
            return wrong(text, size, "--keep-size", value,
                         "expected a size from 1M on, such as 20G");
        s->retention.limit_bytes = (uint64_t)n;
        return 0;
    default:
        if (str_to_duration_us(value, 1000000, &n) < 0 || n / 1000000 < LIFE_MIN_S ||
            n / 1000000 > LIFE_MAX_S)
            return wrong(text, size, "--agent-cert-life", value, "expected a time such as 2160h");
        s->agent_life_s = n / 1000000;
        return 0;
    }
}

static int take(struct settings *s, int number, const char *value, char *text, size_t size)
{
    switch (number) {
    case DATA:
        if (!value[0])
            return wrong(text, size, "--data", value, "expected a folder");
        replace_path(&s->data, value);
        return 0;
    case LISTEN:
        replace(&s->listen, value);
        return 0;
    case AGENT_LISTEN:
        replace(&s->agent_listen, value);
        return 0;
    case PUBLIC_WEB:
        return take_public(&s->public_web, "--public-web", value, text, size);
    case PUBLIC_AGENTS:
        return take_public(&s->public_agents, "--public-agents", value, text, size);
    case NAME:
        if (!is_name(value) || s->names.count >= NAMES_MAX)
            return wrong(text, size, "--name", value, "expected a host name or an IP address");
        strlist_add(&s->names, value);
        return 0;
    default:
        return take_number(s, number, value, text, size);
    }
}

int settings_read(struct settings *s, int argc, char **argv, char *reterr_text, size_t size)
{
    *s = (struct settings){.listen = xstrdup("127.0.0.1:7443"),
                           .agent_listen = xstrdup("127.0.0.1:7444"),
                           .agent_life_s = AGENT_LIFE_S,
                           .retention = RETENTION_DEFAULT};
    opterr = 0;
    for (int c; (c = getopt_long(argc, argv, ":", options, NULL)) != -1;) {
        if (c == HELP || c == VERSION) {
            (void)fputs(c == HELP ? settings_usage : "proctor-console " PROCTOR_VERSION "\n",
                        stdout);
            return 1;
        }
        if (c == ':' || c == '?') {
            (void)snprintf(reterr_text, size, "%s %s",
                           c == ':' ? "a value is missing behind" : "unknown option",
                           argv[optind - 1]);
            return ERR_USAGE;
        }
        int r = take(s, c, optarg, reterr_text, size);
        if (r < 0)
            return r;
    }
    if (optind < argc)
        return wrong(reterr_text, size, "argument", argv[optind], "unknown command");
    if (!s->data) {
        (void)snprintf(reterr_text, size, "--data DIR is missing");
        return ERR_USAGE;
    }
    return 0;
}

void settings_clear(struct settings *s)
{
    free(s->data);
    free(s->listen);
    free(s->agent_listen);
    free(s->public_web);
    free(s->public_agents);
    strlist_clear(&s->names);
    *s = (struct settings){0};
}

/* ---- names ----------------------------------------------------------------------------------- */

/* Without port, with the brackets of an IPv6 address. */
static char *host_of(const char *address)
{
    const char *colon = strrchr(address, ':');
    return colon ? xstrndup(address, (size_t)(colon - address)) : xstrdup(address);
}

static bool is_wildcard(const char *host)
{
    return str_eq(host, "0.0.0.0") || str_eq(host, "[::]") || str_eq(host, "") || str_eq(host, "*");
}

static char *machine_name(void)
{
    char name[256] = "";
    if (gethostname(name, sizeof name - 1) < 0 || !is_name(name))
        return xstrdup("localhost");
    return xstrdup(name);
}

char *settings_public_address(const struct settings *s, const char *told, const char *address)
{
    if (told)
        return xstrdup(told);
    const char *port = strrchr(address, ':');
    AUTOFREE char *host = s->names.count > 0 ? xstrdup(s->names.items[0]) : host_of(address);
    if (is_wildcard(host)) {
        free(host);
        host = machine_name();
    }
    bool bare_ipv6 = strchr(host, ':') && host[0] != '[';
    return xasprintf(bare_ipv6 ? "[%s]%s" : "%s%s", host, port ? port : "");
}

static void add_address(struct strlist *names, const char *address)
{
    AUTOFREE char *host = host_of(address);
    if (is_wildcard(host)) {
        strlist_add_taken(names, machine_name());
        return;
    }
    size_t len = strlen(host);
    if (host[0] == '[' && len > 2)
        strlist_add_taken(names, xstrndup(host + 1, len - 2));
    else
        strlist_add(names, host);
}

void settings_all_names(const struct settings *s, struct strlist *ret_names)
{
    strlist_copy(ret_names, &s->names);
    add_address(ret_names, s->listen);
    add_address(ret_names, s->agent_listen);
    if (s->public_web)
        add_address(ret_names, s->public_web);
    if (s->public_agents)
        add_address(ret_names, s->public_agents);
}
