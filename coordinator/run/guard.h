/* guard.h - adversarial adaptation is known to collapse; this watches it without a single label of the target.
 *
 * At the stage's beginning, wherever the stage is evaluated and at its end the encoder is looked at on the same batches
 * of both domains (PURPOSE_WATCH). An encoder is unsafe where its predictions have collapsed onto few classes, or where
 * samples that the source encoder is sure of have changed class as one. Its score is
 *
 *     H(mean prediction) - mean H(prediction) - KL(mean prediction of the target || of the source)
 *
 * for classes (few-shot: minus the squared mean discrepancy of the features). The best safe encoder is kept, the source
 * encoder counting as the first, and the stage ends with it, or with the last encoder, as stage.guard says: never with one
 * that is unsafe or scores below the source encoder. docs/transfer.md. */
#ifndef COORDINATOR_RUN_GUARD_H
#define COORDINATOR_RUN_GUARD_H

#include "core/plan/setup.h"

struct train;

enum alarm {
    ALARM_COLLAPSE = 1,
    ALARM_SWAP = 2,          /* classes */
    ALARM_DISCRIMINATOR = 4, /* wins or loses altogether: the encoder learns nothing */
};

struct watch { /* at one model */
    double score;
    double entropy, agreement, discrepancy; /* means */
    double spread, prior;                   /* H(mean prediction), KL to the source's; nats */
    double right_source, right_target;      /* of the discriminator, shares */
    unsigned alarms;
};

struct guard {
    bool active;
    struct watch source_only[CONFIG_DATA_MAX]; /* of each model */
    double best_score[CONFIG_DATA_MAX];
    real *best;    /* (P) owned: every model at its best */
    real *model;   /* owned (P of a model) */
    unsigned told; /* alarms already told of */
};

/* Whether a stage is watched. */
bool guard_wanted(const struct stage *s);

/* Takes room for the stage at hand, for a checkpoint's best encoder to be read into t->guard.best. ERR_MEMORY. */
int guard_take(struct train *t);

/* At the stage's beginning: compares the domains' inputs and looks at the source encoder. Where a run goes on (guard_take
 * was called) only looks. Nothing where the stage is not watched. Errors of crew_round. */
int guard_open(struct train *t);
/* What a look's sums (enum watch_slot, from `batches` batches) say of an encoder of stage s. */
void guard_judge(const struct stage *s, const double *w, double batches, struct watch *l);

/* Keeps the n parameters of model b if the look at them is safe and better than the best so far. */
void guard_note(struct guard *g, size_t n, int b, const real *theta, const struct watch *l);

/* Whether the stage may end with the encoder that was looked at last; best: only if none before was better. */
bool guard_accepts(const struct guard *g, int b, const struct watch *last, bool best);

int guard_watch(struct train *t);  /* now */
int guard_finish(struct train *t); /* the last look; theta is what the stage ends with */
void guard_close(struct guard *g);

#endif
