/* The manual page says what the table of settings says. */
#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>
#include <cmocka.h>

#include <stdlib.h>
#include <string.h>

#include "ecosystem/options.h"
#include "lib/base/auto.h"
#include "lib/base/buf.h"
#include "lib/base/mem.h"
#include "lib/base/path.h"
#include "lib/base/str.h"

static struct buf page = BUF_INIT(1 << 20);

static int read_page(void **state)
{
    return path_read("docs/man/proctor-ecosystem.5", &page);
}

static int free_page(void **state)
{
    buf_clear(&page);
    return 0;
}

/* The text of one item, from behind its first line to the next item. */
static char *item_of(const char *key)
{
    AUTOFREE char *start = xasprintf("\n.It Va %s : ", key);
    const char *at = strstr(buf_str(&page), start);
    if (!at)
        fail_msg("the page does not have %s", key);
    const char *text = strchr(at + 1, '\n'), *it = strstr(text, "\n.It "),
               *el = strstr(text, "\n.El");
    const char *end = it && it < el ? it : el;
    return xstrndup(text, (size_t)(end - text));
}

static bool has_line(const char *text, const char *fmt, const char *word)
    __attribute__((format(printf, 2, 0)));

static bool has_line(const char *text, const char *fmt, const char *word)
{
    char line[200];
#pragma GCC diagnostic push
#pragma GCC diagnostic ignored "-Wformat-nonliteral"
    (void)snprintf(line, sizeof line, fmt, word);
#pragma GCC diagnostic pop
    return strstr(text, line) != NULL;
}

/* Words of the page without its line breaks and its backslashes. */
static char *flat(const char *text)
{
    char *out = xstrdup(text), *to = out;
    for (const char *p = out; *p; p++) {
        if (p[0] == '\\' && p[1] == '&')
            p++;
        else
            *to++ = *p == '\n' ? ' ' : *p;
    }
    *to = '\0';
    return out;
}

static void describes_every_setting(void **state)
{
    for (const struct option *o = options; o < options + option_count; o++) {
        AUTOFREE char *item = item_of(o->key), *words = flat(item);
        if (!strstr(words, o->help))
            fail_msg("%s: the page does not say: %s", o->key, o->help);
        for (int i = 0; i < OPTION_ALIASES && o->aliases[i]; i++)
            if (!has_line(item, "\n.Va %s ", o->aliases[i]))
                fail_msg("%s: the page does not have its alias %s", o->key, o->aliases[i]);
        if (o->fallback && !has_line(item, "\nDefault:\n.Cm %s .", o->fallback) &&
            !has_line(item, "\nDefault:\n.Cm \"%s\" .", o->fallback))
            fail_msg("%s: the page does not say that the default is %s", o->key, o->fallback);
        if (o->acts == (strstr(item, "\nNot acted on yet.") != NULL))
            fail_msg("%s: the page is wrong about whether something acts on it", o->key);
    }
}

/* Every item with a type is a setting. */
static void describes_nothing_else(void **state)
{
    for (const char *p = buf_str(&page); (p = strstr(p, "\n.It Va ")); p++) {
        const char *key = p + strlen("\n.It Va ");
        AUTOFREE char *name = xstrndup(key, strcspn(key, " \n"));
        if (!str_eq(name, "env_NAME") && !option_find(name, NULL))
            fail_msg("there is no setting %s", name);
    }
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(describes_every_setting),
        cmocka_unit_test(describes_nothing_else),
    };
    return cmocka_run_group_tests(tests, read_page, free_page);
}
