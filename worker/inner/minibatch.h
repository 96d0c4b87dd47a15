/* minibatch.h - a few samples of a support at a time, in an order drawn for each pass over it. */
#ifndef WORKER_INNER_MINIBATCH_H
#define WORKER_INNER_MINIBATCH_H

#include "core/base/arena.h"
#include "core/math/layer.h"
#include "worker/inner/episode.h"

struct minibatch {
    int size;           /* samples of one; 0: the whole support */
    size_t inputs;      /* reals of a sample */
    int targets;        /* of a sample of regression */
    uint32_t *order;    /* (n) of the pass at hand over the support */
    uint32_t pass;      /* over the support, from 1; 0: order is not drawn yet */
    real *x, *target;   /* (size x inputs), (size x targets) */
    real *weight;       /* (size) */
    int *label;         /* (size) */
    struct batch taken; /* what minibatch_take returned last */
};

/* Takes room for minibatches of `size` of n samples of that shape and so many targets. A size
 * of 0 or of n and more stands for the whole support, and takes nothing. */
void minibatch_init(struct minibatch *m, int size, int n, struct shape in, int targets,
                    struct arena *arena);

/* Inner step k's samples: positions k size .. (k + 1) size - 1 of the support's orders, one pass
 * after the other, a pure function of seed, round, slot and k. Good until the next call. */
const struct batch *minibatch_take(struct minibatch *m, const struct episode *ep, int k);

#endif
