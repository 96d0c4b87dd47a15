/* align.h - learning the source's labels while the domains' features are kept alike: dan and
 * coral. */
#ifndef WORKER_TRANSFER_ALIGN_H
#define WORKER_TRANSFER_ALIGN_H

#include "core/math/discrepancy.h"
#include "worker/transfer/batch.h"

/* loss = L_source + weight * sum over the named layers of the discrepancy between the features of
 * the source's and of the target's batch.                                          math.md (7.2) */
struct align {
    const struct discrepancy_ops *ops;
    struct discrepancy_spec spec;
};

/* The first of the method's own metrics: the sum of the discrepancies, before its weight. */
enum { ALIGN_DISCREPANCY };

int align_plan(const struct align *a, struct stage *s); /* ERR_CONFIG: layers, sizes of batches */

/* Takes work space from the arena. */
void align_init(const struct align *a, struct method *m, const struct method_spec *spec,
                struct arena *arena);

/* Adds the gradient of the loss above to grad, and its parts to metrics. ERR_NONFINITE. */
int align_grad(const struct align *a, struct method *m, const struct episode *ep, const real *theta,
               real *grad, struct task_metrics *metrics);

/* How many activations stage.layers names; 1 if it is empty: the head's input. */
int taps_count(const struct stage *s);

/* The i-th of them in net, the stage's or its anchor's. ERR_CONFIG: a layer that is not there. */
int tap_find(const struct stage *s, const struct net *net, int i);

/* ERR_CONFIG: that net, whose it is ("model", "teacher"), has no layer `name`, and which was
 * meant. */
int tap_unknown(const struct stage *s, const char *whose, const struct net *net, const char *name);

#endif
