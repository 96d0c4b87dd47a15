/* optim.h - optimizers: pure steps on a flat vector. No allocation, no clock, no globals. */
#ifndef CORE_MATH_OPTIM_H
#define CORE_MATH_OPTIM_H

#include <stddef.h>
#include <stdint.h>

#include "core/base/real.h"
#include "core/math/layout.h"

struct optim_spec {
    char name[16];
    double rate;     /* before the schedule                                            */
    double momentum; /* sgd                                                            */
    double beta1, beta2, epsilon; /* adam                                                    */
    double weight_decay;  /* added to the gradient, as torch.optim does                     */
    double clip;          /* largest Euclidean norm of the gradient; 0: none                */
    char schedule[16];    /* constant | cosine | step                                       */
    double rate_end;      /* cosine: at the last round                                      */
    int step_every;       /* step: rounds between ...                                       */
    double step_factor;   /* ... multiplications by this                                    */
    int rounds;           /* of the stage                                                   */
    double factor[ROLES]; /* of the rate, by role; 0: frozen                                 */
    double own[ROLES];    /* above 0: the role's own rate before the schedule, which ends at 0 */
    int warm_up;          /* rounds in which only the head steps                             */
    uint64_t still;       /* first rounds in which statistics do not move                    */
};

struct optim_ops {
    const char *name;
    const char *summary;
    int n_state; /* vectors of P reals                                                       */
    const char *const *state_names; /* n_state names: "momentum"; "exp_avg", "exp_avg_sq"    */
    /* Step number t (from 1) of n parameters at w with gradient g; state is n_state vectors of n
     * reals, `stride` reals apart, zero before the first step. */
    void (*step)(const struct optim_spec *o, double rate, uint64_t t, size_t n, const real *g,
                 real *w, real *state, size_t stride);
};

extern const struct optim_ops *const optim_table[];   /* ended by NULL */
const struct optim_ops *optim_find(const char *name); /* NULL: no such name */

/* The scheduled rate of round t, 1 .. rounds. */
double optim_rate(const struct optim_spec *o, uint64_t t);

/* Scales g (n) to norm `clip` if it is longer (clip > 0); returns the norm before. */
double optim_clip(real *g, size_t n, double clip);

/* The norm, before clipping, of the gradient g (P) of what steps in round t, without the stat
 * segments. */
double optim_norm(const struct optim_spec *o, const struct layout *l, uint64_t t, const real *g);

/* The part of optim_apply that concerns parameters from .. from + n - 1: parts that cover all
 * parameters, each once, are the whole step. norm: of the whole gradient; not read if the spec does
 * not clip. g is overwritten there. */
void optim_step(const struct optim_spec *o, const struct layout *l, uint64_t t, double norm,
                size_t from, size_t n, real *g, real *theta, real *state);

/* One outer step over the whole layout: segments by the named optimizer, clipped and scheduled, at
 * their role's share of the rate; segments of role stat by theta -= 0.1 g, which with g = stat -
 * observed is the running average (docs/math.md, section 4), after the rounds in which they are
 * still. A segment that is idle stays as it is, and one that warm_up holds back counts its steps
 * from its first one. g (P) is overwritten. Returns optim_norm. */
double optim_apply(const struct optim_spec *o, const struct layout *l, uint64_t t, real *g,
                   real *theta, real *state);

#endif
