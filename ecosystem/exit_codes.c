#include "ecosystem/exit_codes.h"

#include <signal.h>
#include <stdint.h>
#include <stdio.h>
#include <string.h>
#include <strings.h>

#include "lib/base/str.h"

int signal_from_text(const char *text)
{
    int64_t number;
    if (str_to_int(text, 1, SIGRTMAX, &number) == 0)
        return (int)number;
    if (strncasecmp(text, "SIG", 3) == 0)
        text += 3;
    for (int i = 1; i < NSIG; i++) {
        const char *name = sigabbrev_np(i);
        if (name && strcasecmp(name, text) == 0)
            return i;
    }
    return 0;
}

const char *signal_name(int signal, char space[static EXIT_CODE_TEXT])
{
    const char *name = sigabbrev_np(signal);
    if (name)
        (void)snprintf(space, EXIT_CODE_TEXT, "SIG%s", name);
    else
        (void)snprintf(space, EXIT_CODE_TEXT, "%d", signal);
    return space;
}

bool exit_code_normal(const char *text, char space[static EXIT_CODE_TEXT])
{
    int64_t code;
    if (str_to_int(text, 0, 255, &code) == 0) {
        (void)snprintf(space, EXIT_CODE_TEXT, "%d", (int)code);
        return true;
    }
    /* A number past 255 is no code, and must not become a signal. */
    int signal = strspn(text, "0123456789+-") == strlen(text) ? 0 : signal_from_text(text);
    if (signal == 0)
        return false;
    signal_name(signal, space);
    return true;
}

bool exit_codes_match(const struct strlist *codes, int code, int signal)
{
    char exit[EXIT_CODE_TEXT];
    if (signal)
        signal_name(signal, exit);
    else
        (void)snprintf(exit, sizeof exit, "%d", code);
    for (size_t i = 0; i < codes->count; i++)
        if (strcmp(codes->items[i], exit) == 0)
            return true;
    return false;
}
