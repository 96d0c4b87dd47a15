/* setup.h - a configuration made ready: data sets open, every stage's network planned.
 *
 * Coordinator and workers build it from the same configuration text, so indices mean the same on
 * every rank; layout digests are compared when workers report. */
#ifndef CORE_SETUP_H
#define CORE_SETUP_H

#include "core/config.h"
#include "core/data.h"
#include "core/net.h"
#include "core/optim.h"
#include "core/task.h"

struct stage {
    const struct stage_config *config; /* borrowed */
    int index, data;                   /* of the stage; of its data section */
    struct task_size train, evaluate;  /* evaluate: the largest query among its data sections */
    int evaluate_steps;
    struct net net;
    struct optim_spec optim;
};

struct setup {
    const struct config *config; /* borrowed */
    char *root;                  /* owned: the data root */
    int n_data;
    struct data data[CONFIG_DATA_MAX];
    int n_stages;
    struct stage *stages; /* owned */
    int n_evaluate;       /* data sections that evaluation measures on; 0: the stage's own */
    int evaluate[CONFIG_DATA_MAX];
};

/* Opens the data sections that stages and evaluation name, plans the networks, and checks that every
 * class can fill shot + query and that way fits. Errors name section and key, class, or path.
 * On error nothing is left open. Not collective. */
int setup_open(struct setup *s, const struct config *config, const char *root);
void setup_close(struct setup *s);

/* The stage of that name, or the last where name is NULL. ERR_USAGE. */
int setup_stage(const struct setup *s, const char *name, const struct stage **stage);

/* Digest of every stage's layout. */
uint64_t setup_digest(const struct setup *s);

/* The query size per class with which data section `data` is evaluated in this stage. */
uint32_t setup_query(const struct setup *s, const struct stage *stage, int data);

#endif
