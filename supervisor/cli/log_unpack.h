/* log_unpack.h -- an archive of a log as a file that can be read like any other. */
#pragma once

/* Opens `path` (a plain archive or index) or `path`.zst, unpacked into a file without a name.  The descriptor, -ENOENT when
 * there is neither, or an error. */
int log_unpack(const char *path);
