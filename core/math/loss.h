/* loss.h - losses over a batch of outputs, each a mean over what is there. docs/math.md, section
 * 3. */
#ifndef CORE_MATH_LOSS_H
#define CORE_MATH_LOSS_H

#include <stdbool.h>
#include <stddef.h>

#include "core/base/config_key.h"
#include "core/base/real.h"

/* n samples; inputs x in the network's shape; label (n) for classification, else NULL; target (n x
 * targets) for regression, else NULL; weight (n), each at least 0, or NULL: 1 each. All borrowed.
 * A label of -1 and a target that is NaN are holes: nothing is known there, nothing is asked.
 * With fewer classes than the network has outputs, losses of classes see the first of them alone:
 * the rest are as if they were not there, and get no gradient. */
struct batch {
    int n;
    const real *x;
    const int *label;
    const real *target;
    const real *weight;
    int classes; /* labels are below it; 0: as many as outputs */
};

struct loss { /* as a stage has it */
    const struct loss_ops *ops;
    const void *own; /* borrowed: its parameters, in a struct of its own; NULL: it has none */
    int per_target;  /* outputs for each target; 1 for classes */
};

/* y, yt, gy, gyt: (n, c), rows contiguous. With w the weight of a sample, all are of
 *     sum of w * l / sum of w       over the samples, or entries, that are no holes;
 * 0, and so are gradient and tangent, if the weights there sum to 0. */
struct loss_ops {
    const char *name;
    const char *summary;
    double (*value)(const struct loss *l, const struct batch *b, int c, const real *y);
    void (*grad)(const struct loss *l, const struct batch *b, int c, const real *y, real *gy);
    /* gyt = d grad along yt. NULL: refused inside an unrolled inner loop. */
    void (*grad_tangent)(const struct loss *l, const struct batch *b, int c, const real *y,
                         const real *yt, real *gyt);
    /* The share answered rightly, 0 to 1, in the same mean; NULL if that means nothing. */
    double (*accuracy)(const struct loss *l, const struct batch *b, int c, const real *y);
    /* A loss that is a sum over entries (core/math/loss/entry.h): its term for output j of a
     * sample, against its target. NULL for others. */
    struct loss_term (*entry)(const struct loss *l, int j, real y, real target);
    bool direct; /* an output is an estimate of its target, in its units */
    /* Rows of section `stage` of its own, ended by {0}, offsets in a struct of keys_size bytes:
     * loss->own. NULL: none. */
    const struct config_key *keys;
    size_t keys_size;
    /* Outputs for each target, by own. ERR_CONFIG. NULL: one. */
    int (*per_target)(const void *own);
    /* Why a target cannot be one of this loss, as "target 3 ..." goes on; else NULL. Targets are
     * then not normalized. NULL: any number. */
    const char *(*refuses)(real target);
    /* The target that an output expects: of a logarithm, the number. NULL: the output itself, as
     * targets are normalized. */
    double (*expects)(double y);
    /* What output r of a target stands for, if there are several: a quantile. NULL: the target. */
    double (*level)(const struct loss *l, int r);
};

extern const struct loss_ops *const loss_table[];   /* ended by NULL */
const struct loss_ops *loss_find(const char *name); /* NULL: no such name */

/* A loss without parameters; ops NULL: there is none of that name. */
struct loss loss_plain(const char *name);

/* A loss with its parameters, which it borrows. ERR_CONFIG: there is none of that name, or they
 * cannot be. */
int loss_form(struct loss *l, const char *name, const void *own);

/* Whether it compares with targets; else with classes. */
bool loss_is_regression(const struct loss *l);

/* Targets of a sample for which the network gives n_out outputs. */
int loss_targets(const struct loss *l, int n_out);

/* ERR_DATA if a target of b, `targets` of a sample, cannot be one of the loss. */
int loss_check_targets(const struct loss *l, const struct batch *b, int targets);

/* Sample i of b alone; `targets` of a sample of regression. */
struct batch batch_sample(const struct batch *b, int i, int targets);

/* Whether b has labels or targets, but only holes and weights of 0. */
bool batch_is_empty(const struct batch *b, int targets);

/* ---- its slots, as functions ---- */

/* As ops->value. */
static inline double loss_value(const struct loss *l, const struct batch *b, int c, const real *y)
{
    return l->ops->value(l, b, c, y);
}

/* As ops->grad. */
static inline void loss_grad(const struct loss *l, const struct batch *b, int c, const real *y,
                             real *gy)
{
    l->ops->grad(l, b, c, y, gy);
}

/* Whether shares answered rightly mean something. */
static inline bool loss_has_accuracy(const struct loss *l)
{
    return l->ops->accuracy != NULL;
}

/* 0 if the loss has none. */
static inline double loss_accuracy(const struct loss *l, const struct batch *b, int c,
                                   const real *y)
{
    return l->ops->accuracy ? l->ops->accuracy(l, b, c, y) : 0;
}

/* Outputs of c that stand for a class of b: the first ones. */
static inline int batch_classes(const struct batch *b, int c)
{
    return b->classes > 0 && b->classes < c ? b->classes : c;
}

/* The weight of sample i. */
static inline real batch_weight(const struct batch *b, int i)
{
    return b->weight ? b->weight[i] : 1;
}

#endif
