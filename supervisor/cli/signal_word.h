/* signal_word.h -- signals as people write them. */
#pragma once

/* "HUP", "SIGHUP", "hup", "1"; -EINVAL for anything else.  Pure. */
int signal_word(const char *text);
