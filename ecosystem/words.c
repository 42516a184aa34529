#include "ecosystem/words.h"

#include <string.h>

#include "lib/base/auto.h"
#include "lib/base/err.h"
#include "lib/base/mem.h"
#include "lib/base/str.h"
#include "lib/base/utf8.h"

static bool is_blank(char c)
{
    return c == ' ' || c == '\t' || c == '\n' || c == '\r';
}

/* Does the backslash at `p` take the next character's meaning? */
static bool escapes(const char *p, char quote)
{
    return *p == '\\' && quote != '\'' && p[1] && (strchr("\"'\\", p[1]) || is_blank(p[1]));
}

/* Copies one word to `out` and moves on behind it; false when a quote is not closed. */
static bool take_word(const char **text, char *out)
{
    char quote = '\0';
    const char *p = *text;
    for (; *p && (quote || !is_blank(*p)); p++) {
        if (escapes(p, quote))
            *out++ = *++p;
        else if (quote ? *p == quote : *p == '"' || *p == '\'')
            quote = quote ? '\0' : *p;
        else
            *out++ = *p;
    }
    *out = '\0';
    *text = p;
    return quote == '\0';
}

int words_split(const char *text, struct strlist *words)
{
    AUTOSTRLIST struct strlist found = {0};
    AUTOFREE char *word = xcalloc(1, strlen(text) + 1);
    for (;;) {
        while (is_blank(*text))
            text++;
        if (!*text)
            break;
        if (!take_word(&text, word))
            return ERR_SYNTAX;
        strlist_add(&found, word);
    }
    strlist_copy(words, &found);
    return 0;
}

bool text_is_utf8(const char *text)
{
    for (size_t left = strlen(text); left > 0;) {
        int len = utf8_char(text, left);
        if (len <= 0)
            return false;
        text += len;
        left -= (size_t)len;
    }
    return true;
}
