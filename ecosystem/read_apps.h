/* read_apps.h -- a tree of nodes -> the apps of an ecosystem: the shapes of a file and the keys of
 * an app. */
#pragma once

struct config_error;
struct ecosystem;
struct node;

/* Adds the apps of `root`, and warnings.  On failure `reterr` has everything but the file. */
int read_apps(struct ecosystem *eco, const struct node *root, struct config_error *reterr);
