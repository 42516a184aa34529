/* schema.h -- the tables, as a list of steps: step i brings a database of version i to version i + 1. */
#pragma once

#include <stddef.h>

/* In the head of the file: it is ours ("prct"). */
#define SCHEMA_APPLICATION 0x70726374

extern const char *const schema_steps[];
extern const size_t schema_version;
