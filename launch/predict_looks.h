/* predict_looks.h - says if images look otherwise than those that a model was trained on. */
#ifndef LAUNCH_PREDICT_LOOKS_H
#define LAUNCH_PREDICT_LOOKS_H

#include <stddef.h>

#include "core/data/looks.h"

/* A sentence for each way in which the images of `path` look otherwise than those of training
 * section `name`, through say(). Looks without an image tell nothing. */
void looks_compare(const char *path, const struct looks *seen, const char *name,
                   const struct looks *trained, void (*say)(const char *sentence));

#endif
