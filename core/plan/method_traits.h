/* method_traits.h - what everybody but the workers' mathematics must know of a method: what its
 * tasks draw, and what its parameter vector holds. Each method fills one beside its gradient
 * (worker/method/). */
#ifndef CORE_PLAN_METHOD_TRAITS_H
#define CORE_PLAN_METHOD_TRAITS_H

#include <stdbool.h>

struct setup;
struct stage;

/* What a task of the stage holds; a round may have tasks of both kinds. */
enum draws {
    DRAW_EPISODES = 1, /* few-shot tasks of `data`: way, shot, query */
    DRAW_SOURCE = 2,   /* labelled batches of `data`, ... */
    DRAW_TARGET = 4,   /* ... each with a batch of `target`, without labels */
};

struct method_traits {
    unsigned draws; /* of enum draws */
    bool anchor;    /* frozen parameters of an earlier stage stand beside its own */
    /* outputs, few-shot sizes and evaluation are those of the stage it starts from */
    bool inherits;
    bool adapts;        /* to a target without labels: it is watched (coordinator/run/guard.h) */
    bool keeps_best;    /* the guard chooses the parameters that the stage ends with */
    bool inner_loop;    /* its few-shot tasks take inner_steps steps on their support */
    bool same_outputs;  /* its outputs are compared with the anchor's, class by class */
    bool needs_classes; /* its mathematics is of classes: no regression */
    bool new_head;      /* the head is not taken from the stage it starts from */
    /* Names of the method's own numbers, ended by NULL; NULL: none. A task adds the i-th to
     * metrics->own[i], and a round tells their means over its tasks under these names. */
    const char *const *metrics;
    /* Appends the networks it needs beside the main one (stage_add), and sets the rates of roles
     * that are not the stage's. Called once the main network is planned. NULL: nothing.
     * ERR_CONFIG. */
    int (*plan)(struct stage *s, const struct setup *setup);
};

/* The traits of a method, or NULL if there is none of that name. */
typedef const struct method_traits *method_traits_find(const char *method);

#endif
