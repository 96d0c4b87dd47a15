/* distill.h - losses against a teacher, each a mean over samples; first order. docs/math.md, (3.3)
 * and (3.4). No allocation. */
#ifndef CORE_MATH_LOSS_DISTILL_H
#define CORE_MATH_LOSS_DISTILL_H

#include "core/base/real.h"

/* student, teacher, g: (n, c) logits, rows contiguous; temperature > 0.
 * With p = softmax(teacher / temperature), q = softmax(student / temperature):
 *     value = - mean over samples of sum over k of p_k log q_k
 *     grad:  g OVERWRITTEN with its gradient for the student, (q - p) / (temperature n)
 * This gradient falls as 1 / temperature^2 where logits are small beside the temperature. Hinton
 * et al. (2015) multiply the loss by temperature^2 for that: the caller does, here is no such
 * factor. */
double distill_value(int n, int c, double temperature, const real *student, const real *teacher);
void distill_grad(int n, int c, double temperature, const real *student, const real *teacher,
                  real *g);

/* y: what a regressor makes of the student's hidden layer, hint: the teacher's, g: (n, width).
 *     value = mean over samples of |y - hint|^2 / 2
 *     grad:  g OVERWRITTEN with its gradient for y, (y - hint) / n */
double hint_value(int n, int width, const real *y, const real *hint);
void hint_grad(int n, int width, const real *y, const real *hint, real *g);

#endif
