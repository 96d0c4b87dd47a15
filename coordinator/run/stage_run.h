/* stage_run.h - the stage at hand: its parameters, how far it is, what it has come to. */
#ifndef COORDINATOR_RUN_STAGE_RUN_H
#define COORDINATOR_RUN_STAGE_RUN_H

#include "coordinator/crew/crew.h"
#include "coordinator/run/evaluate.h"
#include "coordinator/run/guard.h"
#include "core/file/checkpoint.h"
#include "core/plan/scale.h"

struct stage_run {
    const struct setup *setup; /* borrowed, set by the caller */
    const struct stage *stage; /* borrowed; NULL: none has begun */

    const uint64_t *init_digest; /* borrowed, (n_stages): inits.h; NULL: not known */

    struct arena arena;           /* owned: of the vectors below */
    real *theta;                  /* (P) the parameters of the stage, all its models */
    real *grad;                   /* (P of a model) the mean gradient of a round */
    real *state;                  /* (n_state x P) of the optimizer */
    real *scratch;                /* (P) */
    struct domain_models domains; /* of a stage whose tasks step a model each; else zero */
    struct guard guard;
    real *kept[CONFIG_STAGE_MAX]; /* owned: results of earlier stages that a later one needs */

    struct scale_note note; /* on its data */
    uint64_t round;         /* done in this stage, whose steps are made */

    bool owes;              /* one more round is done, and its step is owed, ... */
    size_t settled;         /* ... but for so many parameters */
    struct round_sum total; /* of that round */
    double norm;            /* of its gradient, once it is known */

    double failed;   /* tasks set aside in this stage */
    uint64_t hash;   /* of theta */
    double loss;     /* of the last round; not a number: there was none */
    double accuracy; /* of the last round; < 0: the stage has none */
    /* owned: of each section it is measured on, the last one; episodes 0: none */
    struct evaluation last[CONFIG_DATA_MAX];
};

/* Makes `stage` the one at hand, at round 0. Its parameters are drawn, or handed over by the stage
 * that it starts from (core/plan/hand_over.h) or by a file (core/plan/stage_init.h). The result of
 * the stage before is kept if a later one needs it. It may read the training section
 * (core/plan/scale.h). ERR_MEMORY, ERR_DATA, ERR_CONFIG; errors of stage_init_open. */
int stage_run_begin(struct stage_run *s, const struct stage *stage);

/* Makes the stage of a checkpoint the one at hand: parameters, optimizer, best encoders, and what
 * it keeps of earlier stages. *info is what checkpoint_peek said of it, and is filled by
 * checkpoint_read. Errors of checkpoint_read; ERR_DATA if the configuration does not have that
 * stage. */
int stage_run_read(struct stage_run *s, const char *path, struct checkpoint_info *info);

/* Adds what a checkpoint of this stage keeps beside its own parameters: results of earlier stages,
 * best encoders. */
void stage_run_add_kept(const struct stage_run *s, struct checkpoint_info *info);

/* Parameters of the stage that this one is anchored to; NULL: it has no anchor. */
const real *stage_run_anchor(const struct stage_run *s);

/* The next round of training; it borrows from s. If a step is owed, its parameters need
 * stage_run_settle. */
struct round stage_run_round(const struct stage_run *s);

/* A round is done, and its step is owed: an optimizer step, or the models that the workers stepped.
 * total's words are borrowed until stage_run_settle has been called for all parameters. */
void stage_run_owe(struct stage_run *s, const struct round_sum *total);

/* Makes the step that is owed, if one is, for the parameters before `end`. */
void stage_run_settle(struct stage_run *s, size_t end);

/* Makes the rest of the step that is owed, counts its round and makes its digest. Returns the
 * gradient's norm; not a number if the workers stepped. */
double stage_run_finish(struct stage_run *s);

/* The first segment whose parameters or optimizer state are not finite; NULL: all are. */
const char *stage_run_not_finite(const struct stage_run *s);

/* Rounds done in this stage, with that whose step is owed. */
uint64_t stage_run_reached(const struct stage_run *s);

/* True if every round of the stage is done; the last one's step may be owed. */
bool stage_run_is_done(const struct stage_run *s);

void stage_run_rehash(struct stage_run *s); /* after theta was changed */

/* The reals that a checkpoint of the largest stage holds: theta, optimizer state, what it keeps. */
size_t stage_run_room(const struct setup *setup);

/* Bytes that the stage which takes most holds: its vectors, its guard's, results of earlier
 * stages. */
size_t stage_run_size(const struct setup *setup);

void stage_run_release(struct stage_run *s); /* gives back its vectors and what it kept */

#endif
