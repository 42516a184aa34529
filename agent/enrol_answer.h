/* enrol_answer.h -- what a console answers to an enrolment: foreign bytes, read and checked without I/O. */
#pragma once

#include <stddef.h>
#include <stdint.h>

#include "agent/identity.h"
#include "lib/secure/hash.h"

/* More than two certificates and some names take. */
enum { ENROL_ANSWER_MAX = 64 << 10 };

struct enrol_token;

/* Reads a 201's body into `ret_id`, which is an empty identity but for the key.  The CA must be the one that the token names,
 * the certificate one by it for our key.  0, or ERR_SYNTAX, ERR_INVALID, ERR_EXPIRED, ERR_UNTRUSTED with a sentence; what was
 * filled in is freed with the identity. */
int enrol_answer_read(const char *body, size_t len, const struct enrol_token *token, int64_t now_ms,
                      struct identity *ret_id, char *reterr_text, size_t size);

/* The error that any other status stands for, with the console's own sentence when it says one. */
int enrol_answer_refusal(long status, const char *body, size_t len, const struct enrol_token *token,
                         char *reterr_text, size_t size);
