/* Any bytes as policy.json: either a sentence, or a policy that answers every question with yes or
 * a sentence. */
#include <assert.h>
#include <stdint.h>
#include <string.h>

#include "lib/base/err.h"
#include "supervisor/policy.h"

int LLVMFuzzerTestOneInput(const uint8_t *data, size_t size);

static void ask(const struct policy *p, const char *kind, const char *app, const char *role)
{
    static const int64_t durations[] = {0, 1000, INT64_MAX};
    static const int majors[] = {0, 8, 26};
    char text[500];
    for (int i = 0; i < 6; i++) {
        const struct policy_ask what = {.kind = kind,
                                        .app = app,
                                        .duration_ms = durations[i % 3],
                                        .node_major = majors[i % 3],
                                        .away = i > 2,
                                        .role = role};
        text[0] = '\0';
        int r = policy_check(p, &what, text, sizeof text);
        assert(r == 0 || (r == ERR_POLICY && text[0]));
        assert(!p->broken || r == ERR_POLICY);
        assert(!what.away || !strstr(text, p->path));
        assert(!what.away || p->roles.count > 0 || r == ERR_POLICY);
    }
}

int LLVMFuzzerTestOneInput(const uint8_t *data, size_t size)
{
    struct policy p;
    policy_init(&p, "/no/such/policy.json");
    int r = policy_read(&p, (const char *)data, size);
    assert(r == 0 || r == ERR_INVALID);
    assert((r == 0) == !p.broken);
    assert(r < 0 || (p.max_duration_ms > 0 && p.max_duration_ms <= INT64_MAX / 1000));
    assert(!p.broken || (p.broken[0] && strlen(p.broken) < 500));
    ask(&p, "cpu", "web", NULL);
    ask(&p, "heap", "web", "operator");
    ask(&p, "", "a[b*?\\", "");
    policy_clear(&p);
    return 0;
}
