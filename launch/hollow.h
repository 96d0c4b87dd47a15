/* hollow.h - a configuration of which only the sizes are real: for simulations of many ranks. */
#ifndef LAUNCH_HOLLOW_H
#define LAUNCH_HOLLOW_H

#include "core/plan/setup.h"
#include "worker/engine.h"

/* Makes every vector of an open setup shorter: that of `stage` to a few thousand parameters, others
 * in proportion, and piece_bytes, so that they travel in about as many pieces as whole ones. Tasks,
 * metrics and everything else stay. *scale: the parameters that one stands for. The
 * caller gives piece_bytes back its value. ERR_MEMORY. */
int hollow_setup(struct setup *s, const struct stage *stage, double *scale);

/* An engine that computes nothing: a contribution of small random numbers, a pure function of the
 * task, and metrics of 0. As the functions of engine.h. */
int hollow_open(struct engine *e, const struct setup *s);
void hollow_begin(struct engine *e, const struct stage *stage, enum purpose purpose,
                  const real *anchor);
int hollow_run(struct engine *e, const struct task *t, const real *theta, real *state);

#endif
