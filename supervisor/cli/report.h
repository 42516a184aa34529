/* report.h -- what of a support bundle must not leave a host.  Pure. */
#pragma once

#include <jansson.h>

/* Removes, wherever it stands: environments, arguments, what apps have written or told.  How many arguments or variables there
 * were stays. */
void report_strip(json_t *j);
