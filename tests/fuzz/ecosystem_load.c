/* Any bytes as an ecosystem file: either a sentence or apps that can be copied, selected and sent.
 */
#include <assert.h>
#include <stddef.h>
#include <stdint.h>
#include <string.h>

#include "ecosystem/config_error.h"
#include "ecosystem/ecosystem.h"
#include "ecosystem/spec_json.h"
#include "lib/base/auto.h"
#include "lib/base/json.h"

int LLVMFuzzerTestOneInput(const uint8_t *data, size_t size);

static void use(const struct app_spec *spec)
{
    AUTOSPEC struct app_spec copy = {0}, back = {0};
    char text[256];
    app_spec_copy(&copy, spec);
    assert(app_spec_equal(&copy, spec));
    AUTOJSON json_t *j = app_spec_to_json(&copy);
    assert(j);
    bool resolved = copy.name && copy.script[0] == '/' && copy.cwd && copy.cwd[0] == '/' &&
                    copy.interpreter && copy.interpreter[0] == '/';
    int r = app_spec_from_json(j, &back, text, sizeof text);
    /* What was read once is accepted again when it is resolved. */
    assert((r == 0) == resolved || str_eq(copy.interpreter, "none") ||
           strstr(text, "expected an absolute path"));
    assert(r < 0 || back.instances == copy.instances);
}

int LLVMFuzzerTestOneInput(const uint8_t *data, size_t size)
{
    struct config_error error;
    char space[CONFIG_ERROR_TEXT];
    AUTOECO struct ecosystem *eco = NULL;
    int r = ecosystem_load_text("fuzz.json", (const char *)data, size, &eco, NULL, &error);
    if (r < 0) {
        assert(!eco && error.text[0]);
        assert(strlen(config_error_format(&error, space)) > 0);
        return 0;
    }
    assert(eco->count > 0 && eco->warnings.count <= ECOSYSTEM_WARNINGS + 1);
    ecosystem_select_env(eco, "production");
    for (size_t i = 0; i < eco->count; i++)
        use(&eco->apps[i]);
    return 0;
}
