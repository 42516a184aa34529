/* answer.h -- what proctor-load says on its standard output, for ecosystem_load_answer().
 *
 * A value stands on the lines of its file, so that whoever reads the answer as JSON text knows the
 * line of everything in it. */
#pragma once

struct buf;
struct config_error;
struct node;

/* {"value": …}.  Returns 0 or ERR_TOO_BIG. */
int answer_value(const struct node *root, struct buf *out);

/* {"error": {"text", "line", "column"}}. */
int answer_error(const struct config_error *error, struct buf *out);
