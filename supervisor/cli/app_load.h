/* app_load.h -- an ecosystem file of any kind, read: JSON here, the others by the program
 * proctor-load, which has the libraries and runs node for it. */
#pragma once

struct config_error;
struct ecosystem;
struct strlist;

/* As ecosystem_load_file().  `env_name`: what --env chooses, for a file that computes; NULL: none. */
int app_load(const char *path, const char *env_name, struct ecosystem **ret_eco,
             struct strlist *reterr_warnings, struct config_error *reterr);
