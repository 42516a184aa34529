#include "supervisor/cli/app_rows.h"

#include <stdio.h>

#include "lib/base/auto.h"
#include "lib/base/json.h"
#include "lib/base/mem.h"
#include "supervisor/cli/app_table.h"
#include "supervisor/cli/cmd.h"
#include "supervisor/cli/out.h"
#include "supervisor/cli/say.h"
#include "supervisor/cli/text.h"

int app_rows_print(const json_t *result, const char *done, bool as_json)
{
    int code = CMD_DONE;
    size_t i, count = 0;
    json_t *row;
    json_array_foreach(json_object_get(result, "instances"), i, row)
    {
        AUTOFREE char *label = app_label(row);
        const char *error = json_get_string(row, "error", NULL);
        text_make_safe(label);
        if (error) {
            say_error("%s: %s", label, error);
            code = CMD_FAILED;
        } else if (!as_json) {
            (void)printf("%s %s", count++ ? "," : done, label);
        }
    }
    if (count > 0)
        (void)puts("");
    if (as_json)
        out_json(result);
    return code;
}
