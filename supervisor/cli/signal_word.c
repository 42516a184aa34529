#include "supervisor/cli/signal_word.h"

#include <errno.h>
#include <signal.h>
#include <string.h>
#include <strings.h>

#include "lib/base/str.h"

enum { SIGNALS_MAX = 64 };

int signal_word(const char *text)
{
    int64_t number;
    if (str_to_int(text, 1, SIGNALS_MAX, &number) == 0)
        return (int)number;
    const char *name = strncasecmp(text, "SIG", 3) == 0 ? text + 3 : text;
    for (int sig = 1; sig <= SIGNALS_MAX; sig++) {
        const char *known = sigabbrev_np(sig);
        if (known && strcasecmp(known, name) == 0)
            return sig;
    }
    return -EINVAL;
}
