/* api_download.c -- downloads are noted before they begin: what an app does can be read in them. */
#include <stdio.h>
#include <stdlib.h>

#include "lib/base/err.h"
#include "lib/base/log.h"
#include "remote/api_call.h"
#include "remote/api_routes.h"
#include "remote/store/profiles.h"

struct noting {
    struct profile_row row;
    struct audit_row note;
};

static int write_download(struct db *db, void *arg)
{
    struct api_call *c = arg;
    struct noting *s = c->state;
    int r = profiles_get(db, c->params[0], &s->row);
    if (r < 0)
        return r;
    (void)snprintf(s->note.text, sizeof s->note.text, "%s of %s-%lld on %s (%s)", s->row.kind,
                   s->row.app, (long long)s->row.instance, s->row.host_name, s->row.id);
    return audit_add(db, &s->note);
}

/* A full disk is no reason to keep what is on it. */
static void on_download_noted(void *arg, int result)
{
    struct api_call *c = arg;
    const struct noting *s = c->state;
    if (result < 0 && result != ERR_NOT_FOUND)
        log_err(result, "cannot note in the audit log that %s downloads %s, ignoring", s->note.who,
                c->params[0]);
    free(c->state);
    c->state = NULL;
    api_profile_raw(c);
}

void api_profile_download(struct api_call *c)
{
    if (c->request->method == HTTP_HEAD) {
        api_profile_raw(c);
        return;
    }
    if (!api_param_uuid(c, "profile"))
        return;
    struct noting *s = api_state(c, sizeof *s, NULL);
    api_note(c, &s->note, "profile.download", "%s", "");
    api_write(c, write_download, on_download_noted);
}
