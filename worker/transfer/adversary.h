/* adversary.h - the discriminator between domains, and the encoder that learns to deceive it:
 * adda and joint. */
#ifndef WORKER_TRANSFER_ADVERSARY_H
#define WORKER_TRANSFER_ADVERSARY_H

#include "worker/transfer/batch.h"

/* D(f) is the discriminator's probability of the source, M the encoder that learns, M_s the
 * anchor's frozen encoder:
 *     L_D = - mean log D(M_s(source)) - mean log (1 - D(M(target)))                  math.md (7.3)
 *     L_M = - mean log D(M(target))                                                  math.md (7.4)
 */

/* What adda and joint tell, beside the loss. */
enum adversary_metric {
    ADVERSARY_DISCREPANCY, /* L_M, if the method has another loss beside it */
    ADVERSARY_LOSS,        /* L_D */
    ADVERSARY_SOURCE,      /* the discriminator's accuracy on features of the source, ... */
    ADVERSARY_TARGET,      /* ... of the target */
    ADVERSARY_METRICS,
};
extern const char *const adversary_metrics[]; /* their names, ended by NULL */

int adversary_plan(struct stage *s, const struct setup *setup); /* appends the discriminator */

/* Takes work space from the arena. */
void adversary_init(struct method *m, const struct method_spec *spec, struct arena *arena);

/* grad (P) += the gradient of encoder * L_M for the encoder's segments, of discriminator * L_D
 * for the discriminator's. Metrics: ADVERSARY_LOSS, _SOURCE and _TARGET, as means. Returns L_M;
 * not finite if a loss is not. */
double adversary_grad(struct method *m, const struct episode *ep, const real *theta, double encoder,
                      double discriminator, real *grad, struct task_metrics *metrics);

/* ---- watch.c ---- */

/* Measures the target, compared with the anchor's outputs for it and for the source: enum
 * watch_slot. Takes as many samples of each domain as the smaller batch has. */
int adversary_watch(struct method *m, const struct episode *ep, const real *theta,
                    struct task_metrics *metrics);
size_t adversary_watch_scratch(const struct method *m, const struct method_spec *spec); /* bytes */

#endif
