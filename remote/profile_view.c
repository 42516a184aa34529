#include "remote/profile_view.h"

#include <ctype.h>
#include <inttypes.h>
#include <stdio.h>
#include <string.h>
#include <time.h>

#include "lib/base/auto.h"
#include "lib/base/json.h"
#include "lib/base/str.h"
#include "remote/store/profiles.h"

/* What programs that read such files look for. */
static const char *file_ending(const char *kind)
{
    static const char *const endings[][2] = {
        {"cpu", "cpuprofile"},
        {"heap", "heapprofile"},
        {"snapshot", "heapsnapshot"},
        {"allocations", "heaptimeline"},
    };
    for (size_t i = 0; i < ARRAY_SIZE(endings); i++)
        if (str_eq(kind, endings[i][0]))
            return endings[i][1];
    return "json";
}

void profile_file_name(const struct profile_row *row, char ret_name[static PROFILE_FILE])
{
    char when[32] = "";
    struct tm utc;
    time_t seconds = (time_t)(row->created_ms / 1000);
    if (gmtime_r(&seconds, &utc))
        (void)strftime(when, sizeof when, "%Y%m%d-%H%M%S", &utc);
    (void)snprintf(ret_name, PROFILE_FILE, "%s-%" PRId64 "-%s-%s.%s", row->app, row->instance,
                   row->kind, when, file_ending(row->kind));
    for (char *c = ret_name; *c; c++)
        if (!isalnum((unsigned char)*c) && !strchr("._-", *c))
            *c = '_';
    /* A name that begins with a dot would be hidden, with a hyphen an option. */
    if (ret_name[0] == '.' || ret_name[0] == '-')
        ret_name[0] = '_';
}

json_t *profile_view(const struct profile_row *row)
{
    char sha256[SHA256_TEXT], file[PROFILE_FILE];
    json_t *j = json_object();
    sha256_to_hex(row->sums.sha256, sha256);
    profile_file_name(row, file);
    json_set_string(j, "id", row->id);
    json_set_string(j, "host", row->host);
    json_set_string(j, "host_name", row->host_name);
    json_set_string(j, "app", row->app);
    json_set_int(j, "instance", row->instance);
    json_set_string(j, "kind", row->kind);
    json_set_int(j, "created_ms", row->created_ms);
    json_set_int(j, "stored_ms", row->stored_ms);
    json_set_bool(j, "keep", row->keep);
    json_set_bool(j, "removed", row->removed);
    json_set_int(j, "bytes", (int64_t)row->sums.bytes);
    json_set_int(j, "stored_bytes", (int64_t)row->sums.stored_bytes);
    json_set_string(j, "sha256", sha256);
    json_set_string(j, "file", file);
    return j;
}
