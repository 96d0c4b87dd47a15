/* print.h - results on standard output. */
#ifndef LAUNCH_PRINT_H
#define LAUNCH_PRINT_H

#include <jansson.h>

#include "coordinator/run/evaluate.h"

void print_json(json_t *o); /* one line; takes o */

/* The loss and accuracy of an evaluation after each inner step; data: whose it is. */
void print_curve(const char *data, const struct evaluation *e);

#endif
