/* task_kind.h - what a task can be: one const struct for each kind, one file each in
 * core/plan/kind/.
 *
 * The sampler, the engine, the files of failed tasks, `inspect`, `replay` and `check` ask the kind
 * and never compare purposes. What a worker does with a task is in worker/task_work.h, by the same
 * kinds:
 * core knows no engine. tests/conform/conform_task.c runs over the table. */
#ifndef CORE_PLAN_TASK_KIND_H
#define CORE_PLAN_TASK_KIND_H

#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>
#include <stdio.h>

#include "core/plan/task.h"

struct sampler;
struct setup;
struct stage;

enum gives {                 /* what a task leaves behind beside its metrics */
             GIVES_GRADIENT, /* a contribution to the round's sum */
             /* parameters of its own, which travel with it and are stepped on the worker */
             GIVES_STATE,
             GIVES_METRICS, /* nothing: it measures */
};

/* The kinds of one round agree in purpose, gives, anchor, tasks and file. */
struct task_kind {
    const char *name; /* "evaluation episode" */
    enum purpose purpose;
    enum gives gives;
    bool evaluates; /* on a worker: in the method's work space for evaluation, not for training */
    bool anchor;    /* needs the parameters of the stage's anchor */
    bool few_shot;  /* label k is the k-th class of the task; else a label is a class of the set */
    const char *tasks; /* plural, for messages: "episodes" */
    const char *file;  /* first part of the name of a failed task's file: "task", "episode" */
    const char *unit;  /* evaluation: what its figures are means over, "sample", ... */
    const char *units; /* ... in the plural, ... */
    int counted;       /* ... and the metric that counts them: enum metric_slot */

    /* Tasks of this kind in a round of the stage. amount: what `amount` gave, or the batches to
     * watch. 0: the stage has none of this kind. Training: answers as soon as the stage's targets
     * are known. */
    uint32_t (*count)(const struct stage *s, uint32_t amount);
    /* Evaluation: how much there is to measure on section `data` if `episodes` are asked for:
     * episodes, or samples of the set. NULL for other purposes. */
    uint32_t (*amount)(const struct setup *setup, const struct stage *s, int data,
                       int64_t episodes);
    /* Sets the stage's sizes of such tasks. Called once, if count says that there are some.
     * ERR_CONFIG. */
    int (*plan)(const struct setup *setup, struct stage *s);
    /* Whether tasks can be drawn from section `data`, which has the right shape; raises the stage's
     * sizes if a section needs more. ERR_CONFIG, ERR_DATA. NULL: any section will do. */
    int (*fits)(const struct setup *setup, struct stage *s, int data);

    /* Size of the largest task that `draw` makes of the sampler's section. */
    struct task_size (*size)(const struct sampler *s);
    /* Fills the lists of t, which has room for `size` and whose place and seed are set: a pure
     * function of seed, stage, section, round and slot. nth: its number among the tasks of its kind
     * in the round. */
    void (*draw)(const struct sampler *s, uint32_t nth, struct task *t);
    /* Whether t is a task that this kind could have drawn: sections, sizes, ids. ERR_DATA, naming
     * slot and round, or section and id. The lists of t are as long as its sizes say. */
    int (*check)(const struct setup *setup, const struct stage *s, const struct task *t);

    /* Of a stage, in words, for `check`: ", 5-way 1-shot, ...". Writes at most n bytes, always
     * ends. */
    void (*describe)(const struct setup *setup, const struct stage *s, char *text, size_t n);
    /* Of a task, in words, for `check --tasks`: " alpha, beta turned 90", " 2 of 'ink': 5 17". */
    void (*describe_task)(const struct setup *setup, const struct task *t, FILE *to);
};

extern const struct task_kind kind_episode, kind_batch, kind_domain, kind_watch,
    kind_evaluation_episode, kind_whole_set;

/* Ended by NULL. Training kinds share a round in this order: slots of the first, then of the
 * next. */
extern const struct task_kind *const task_kinds[];

/* The kind of the task in this slot of a round of the stage; NULL if no kind has it. Slot 0 always
 * has one:
 * it answers for the whole round. */
const struct task_kind *task_kind_at(const struct stage *s, enum purpose purpose, uint32_t slot);

/* The kind that rounds of this purpose are of: that of slot 0. */
const struct task_kind *task_kind_of_round(const struct stage *s, enum purpose purpose);

/* Tasks that a round of this purpose has, of all its kinds; amount: of evaluation what the kind's
 * `amount` gave, of watching the batches. */
uint32_t task_kinds_count(const struct stage *s, enum purpose purpose, uint32_t amount);

/* First slot of a kind in a round of training. */
uint32_t task_kind_first(const struct stage *s, const struct task_kind *kind);

/* "train", "evaluate", "watch": in events and in what `replay` prints. */
const char *purpose_name(enum purpose purpose);

/* Reals of the state that travels with a training task of the stage: its model (P), then each of
 * its optimizer's vectors (P); 0 if its tasks have none. */
size_t task_state_size(const struct stage *s);

/* kind->check, that t names this stage, and that it has a round exactly if its kind trains. */
int task_check(const struct setup *setup, const struct stage *s, const struct task_kind *kind,
               const struct task *t);

/* One list of a task. */
struct task_list {
    const char *name; /* "classes", "turns", "support", "queries", "source", "targets" */
    const uint32_t *ids;
    uint32_t n;
};
enum { TASK_LISTS = 6 };

/* The lists of a task that are not empty, as it stands, without its stage; returns how many. */
int task_lists(const struct task *t, struct task_list lists[TASK_LISTS]);

#endif
