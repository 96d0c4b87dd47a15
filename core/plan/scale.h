/* scale.h - what a stage's inputs and targets are normalised by: constants that are kept with its
 * parameters, so that evaluation, prediction and later stages use those of the training.
 *
 * Inputs: the network's first layer, "normalize1", so that each network (teacher, encoder, student)
 * has its own. Targets: the segments "targets.mean" and "targets.deviation" (n_target each) at the
 * end of the model; losses are taken of (target - mean) / deviation. */
#ifndef CORE_PLAN_SCALE_H
#define CORE_PLAN_SCALE_H

#include "core/math/loss.h"
#include "core/plan/setup.h"

/* Fills stage->normalize and stage->normalize_targets: the stage's own, or those of the stage that
 * it starts from. stage->start and data are known. ERR_CONFIG for lists that do not fit the
 * data. */
int scale_form(const struct setup *s, struct stage *stage);

/* Whether a list asks for something. */
static inline bool scale_wanted(const struct strings *list)
{
    return list->n > 0 && strcmp(list->items[0], "none") != 0;
}

/* Appends the targets' segments to stage->model, if it has normalized targets. */
int scale_add_targets(const struct setup *s, struct stage *stage);

struct scale_note { /* for the user; empty: there is nothing to say */
    char text[256];
};

/* Fills the constants of theta (n_models models of the stage) with the numbers that were given, or
 * with those of its training section, which is then read whole. Those that an earlier stage hands
 * over stay as they are, unless `all` is set. ERR_CONFIG, ERR_DATA, ERR_MEMORY. */
int scale_fill(const struct setup *s, const struct stage *stage, int n_models, bool all,
               real *theta, struct scale_note *note);

struct target_scale {
    int n;                        /* 0: targets stay as they are */
    const real *mean, *deviation; /* (n) borrowed */
};

/* Those of the targets, in theta (P of a model). */
struct target_scale scale_targets(const struct stage *stage, const real *theta);

/* Normalises n rows of targets in place; holes stay holes. */
void scale_apply(struct target_scale s, int n, real *targets);

#endif
