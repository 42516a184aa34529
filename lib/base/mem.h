/* mem.h -- allocation for sizes that we choose ourselves: it aborts when memory is out.
 *
 * Sizes chosen outside (frames, files, profiles) use buf.h or checked calloc() instead. */
#pragma once

#include <stddef.h>

void *xcalloc(size_t count, size_t size);
void *xreallocarray(void *p, size_t count, size_t size);
char *xstrdup(const char *s);
char *xstrndup(const char *s, size_t len);

/* NULL gives NULL. */
char *xstrdup_null(const char *s);
char *xasprintf(const char *fmt, ...) __attribute__((format(printf, 1, 2)));
