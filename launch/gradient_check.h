/* gradient_check.h - the derivatives of a configured network, proved on one of its own tasks. */
#ifndef LAUNCH_GRADIENT_CHECK_H
#define LAUNCH_GRADIENT_CHECK_H

#include "launch/solo.h"

/* Prints each check with its error; ERR_FAILED where one is beyond what the precision explains. */
int prove_gradients(const struct solo *s);

#endif
