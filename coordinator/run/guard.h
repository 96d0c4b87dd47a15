/* guard.h - adversarial adaptation is known to collapse; the guard notices, without a single label
 * of the target.
 *
 * At the stage's beginning, whenever the stage is evaluated and at its end, run/watch.c measures
 * the encoder on the same batches of both domains. The guard judges what was measured. An encoder
 * is unsafe if its predictions have collapsed onto few classes, or if most of the samples that the
 * source encoder is sure of in some class have moved together to another class. The score of an
 * encoder is
 *
 *     H(mean prediction) - mean H(prediction) - KL(mean prediction of the target || of the source)
 *
 * for classes (few-shot: minus the squared mean discrepancy of the features). The guard keeps the
 * best safe encoder; the source encoder is the first. As stage.guard says, the stage ends with the
 * best or with the last encoder, but never with one that is unsafe or scores below the source
 * encoder. docs/transfer.md. */
#ifndef COORDINATOR_RUN_GUARD_H
#define COORDINATOR_RUN_GUARD_H

#include "core/plan/setup.h"

enum alarm {
    ALARM_COLLAPSE = 1,
    ALARM_SWAP = 2,          /* of classes */
    ALARM_DISCRIMINATOR = 4, /* it wins or loses every time: the encoder learns nothing */
};

enum { ALARMS = 3 };

struct watch { /* what one measurement of one model says */
    double score;
    double entropy, agreement, discrepancy; /* means */
    double spread, prior;                   /* H(mean prediction), KL to the source's; nats */
    double right_source, right_target;      /* shares of the discriminator's right answers */
    unsigned alarms;                        /* of enum alarm */
};

struct guard {
    bool active;                               /* room is taken, the stage is guarded */
    struct watch source_only[CONFIG_DATA_MAX]; /* each model with the source encoder */
    double best_score[CONFIG_DATA_MAX];        /* of each model */
    real *best;                                /* owned (P): every model at its best */
    real *model;                               /* owned (P of a model): guard_source */
    unsigned told;                             /* alarms that were told already */
};

/* True if the stage adapts to a target and stage.guard does not say "off". */
bool guard_wanted(const struct stage *stage);

/* Takes room for the stage; g->best is the caller's to fill, from a checkpoint or by guard_begin.
 * ERR_MEMORY. */
int guard_take(struct guard *g, const struct stage *stage);

/* Makes the source encoder the best of every model, before anything that a signal may interrupt.
 * theta (P): the stage's parameters. anchor: those of the stage that it is anchored to, with the
 * source encoder. */
void guard_begin(struct guard *g, const struct stage *stage, const real *theta, const real *anchor);

/* Model b of theta (P) with the source encoder in the place of its own (P of a model). Valid until
 * the next call. */
const real *guard_source(struct guard *g, const struct stage *stage, int b, const real *theta,
                         const real *anchor);

/* Fills *w from the sums of a measurement (enum watch_slot) over so many batches. */
void guard_judge(const struct stage *stage, const double *sums, double batches, struct watch *w);

/* Keeps the parameters theta (n) of model b if the measurement of them is safe and better than the
 * best so far. */
void guard_note(struct guard *g, size_t n, int b, const real *theta, const struct watch *w);

/* True if the stage may end with the encoder that was measured last. best: only if none before was
 * better. */
bool guard_accepts(const struct guard *g, int b, const struct watch *last, bool best);

/* The alarms of w that were not told before; they count as told from now on. */
unsigned guard_news(struct guard *g, const struct watch *w);

void guard_close(struct guard *g); /* gives the room back; *g is zero afterwards */

#endif
