/* method_work.h - what a worker does with the method of a stage: work space, evaluation, cost. */
#ifndef WORKER_METHOD_WORK_H
#define WORKER_METHOD_WORK_H

#include "worker/contract/method.h"

/* The work space of a method for tasks of that stage, in training or in evaluation. */
struct method_spec method_spec_of(const struct setup *s, const struct stage *stage, bool evaluates);

/* Takes all work space from the arena (which may be measuring). */
void method_init(struct method *m, const struct setup *setup, const struct stage *stage,
                 const struct method_spec *spec, struct arena *arena);

/* Calls the hook after each pass from now on: borrowed. */
void method_hook(struct method *m, const struct pass_hook *hook);

/* Adapts theta to ep's support and measures on its query before every step and after the last:
 * METRIC_CURVE of steps 0 .. steps, and METRIC_LOSS, METRIC_ACCURACY after the last; then the
 * stage's inductive_metrics, if it has them. outputs, if not NULL: ((steps + 1) x n_query x n_out).
 * ERR_NONFINITE. */
int method_evaluate(struct method *m, const struct episode *ep, const real *theta,
                    struct task_metrics *metrics, real *outputs);

/* Adapts theta to ep's support, as method_evaluate does: a points into the method's work space
 * until its next call. Its statistics are there if the network has any: to answer transductively
 * set them to NULL. ERR_NONFINITE. */
int method_adapt(struct method *m, const struct episode *ep, const real *theta, struct adapted *a);

/* The outputs (n_query x a->n_out) of ep's query, which live in the work space. Its spec may have
 * no inner steps, and needs room for as many support samples as there are classes. */
const real *method_answer(struct method *m, const struct episode *ep, const struct adapted *a);

/* Measures theta on ep's source batch, in evaluation mode: METRIC_SAMPLES, and METRIC_CURVE of step
 * 0 as sums over samples. data: whose samples they are. outputs, if not NULL: (n x outputs).
 * ERR_NONFINITE. */
int method_measure(struct method *m, const struct episode *ep, int data, const real *theta,
                   struct task_metrics *metrics, real *outputs);

/* The outputs of ep's source batch at theta, in evaluation mode, *n_out of each sample, which live
 * in the work space. data: whose samples they are. */
const real *method_label(struct method *m, const struct episode *ep, int data, const real *theta,
                         int *n_out);

/* Useful floating-point operations of one training task, of middle size if they differ. Few-shot: a
 * gradient per inner step, a Hessian-vector product (twice a gradient) per inner step where exact,
 * and the query's gradient. Batches: a gradient of each. */
double method_flops(const struct setup *setup, const struct stage *stage);

#endif
