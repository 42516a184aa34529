/* Any object as an app spec of a control message: refused with a sentence, or one that goes out and
 * comes back equal. */
#include <assert.h>
#include <stddef.h>
#include <stdint.h>

#include "ecosystem/spec.h"
#include "ecosystem/spec_json.h"
#include "lib/base/json.h"

int LLVMFuzzerTestOneInput(const uint8_t *data, size_t size);

int LLVMFuzzerTestOneInput(const uint8_t *data, size_t size)
{
    char text[128] = "";
    AUTOSPEC struct app_spec spec = {0}, back = {0};
    AUTOJSON json_t *j = json_object_parse((const char *)data, size);
    if (!j)
        return 0;
    if (app_spec_from_json(j, &spec, text, sizeof text) < 0) {
        assert(text[0] && !spec.script);
        return 0;
    }
    assert(spec.script[0] == '/' && spec.cwd[0] == '/' && spec.interpreter[0]);
    AUTOJSON json_t *again = app_spec_to_json(&spec);
    assert(app_spec_from_json(again, &back, text, sizeof text) == 0);
    assert(app_spec_equal(&spec, &back));
    return 0;
}
