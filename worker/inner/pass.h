/* pass.h - a hook that sees each pass after it is done: worker/trace.h, when a task is
 * computed again. */
#ifndef WORKER_INNER_PASS_H
#define WORKER_INNER_PASS_H

#include "core/math/net.h"

enum pass_kind {
    PASS_FORWARD, /* tape: the values it left; loss: of its outputs */
    /* tape: gradients of activations; vector: of the parameters, which was zero before */
    PASS_BACKWARD,
    PASS_STEP,    /* vector: theta after the step */
    PASS_HVP,     /* tangents: what it left; vector: H v, which was zero before */
    PASS_ADJOINT, /* vector: the adjoint after a step back */
};

struct pass {
    enum pass_kind kind;
    int step;              /* inner step; of the query: the steps done before it */
    const char *set;       /* the samples: "support", "query" */
    int n;                 /* how many */
    const struct net *net; /* which the tape is of; vector is laid out as its layout says */
    const struct tape *tape;
    double loss;
    const real *vector;
};

/* Borrowed by the caller of the pass. The pass goes on whatever the hook sees. */
struct pass_hook {
    void (*after)(void *context, const struct pass *p);
    void *context;
};

/* Nothing, if nobody looks. */
static inline void pass_done(const struct pass_hook *h, struct pass p)
{
    if (h)
        h->after(h->context, &p);
}

#endif
