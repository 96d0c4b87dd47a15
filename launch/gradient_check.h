/* gradient_check.h - proves the derivatives of a configured network by finite differences, on its
 * own tasks. */
#ifndef LAUNCH_GRADIENT_CHECK_H
#define LAUNCH_GRADIENT_CHECK_H

#include "launch/solo.h"

/* Prints the error of each check. ERR_FAILED if one is larger than the precision explains;
 * ERR_USAGE if the stage adapts to several targets. */
int gradient_check(const struct solo *s);

#endif
