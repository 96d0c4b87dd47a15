/* config.h - the configuration: one table of keys parses, checks, prints and documents.
 *
 * Syntax by libconfuse. cluster.conf is the table with comments; docs/configuration.md is printed
 * from it. Unknown keys are errors that name file, line and the nearest known key. */
#ifndef CORE_CONFIG_CONFIG_H
#define CORE_CONFIG_CONFIG_H

#include <stdbool.h>
#include <stdint.h>
#include <stdio.h>

#include "core/base/config_key.h"

enum { CONFIG_DATA_MAX = 32, CONFIG_MODEL_MAX = 8, CONFIG_STAGE_MAX = 32 };

struct config_table; /* every key: core/config/config_internal.h */

struct run_config {
    char *name;
    int64_t seed;
    char *directory; /* "runs/NAME" if none was given */
};

struct cluster_config {
    int64_t threads; /* per rank; 0: the cores this rank may use, shared among a host's workers */
    char *schedule;  /* dynamic | static */
    double lease;    /* seconds of silence after which a rank is lost */
    int64_t max_restarts; /* launch/run: how often a run that was lost starts again */
    double start_limit;   /* seconds every rank has to start */
    double task_limit;    /* seconds a rank may take for tasks of which nothing is known */
    double audit;         /* share of a round's tasks that are done twice */
    double max_failed;    /* share of a round's tasks that may be set aside */
    int64_t memory;       /* MiB per thread for kept activations; beyond it they are recomputed */
};

struct data_config {
    char *name; /* the section's title */
    char *format, *path, *labels, *names;
    struct strings inputs, targets; /* of a table */
    char *label, *task, *time, *weight, *missing;
    int64_t window, least;
    struct strings classes;
    int64_t first;  /* classes; 0: all */
    int64_t subset; /* images; 0: all */
    int64_t resize, channels;
    char *crop;        /* none | centre | fit */
    double background; /* 0 black, 1 white */
    int64_t margin;
    double thicken, rotate; /* pixels, degrees */
    bool invert;
    double texture;
    char *rotations; /* none | draw | classes */
    char *domain;    /* the target section it is a part of */
    char *style;     /* glyphs */
    int64_t size;    /* glyphs: pixels a side */
    int64_t seed;    /* generators, subset, texture */
    double amplitude_min, amplitude_max, phase_min, phase_max, x_min, x_max; /* sinusoid */
    int64_t grid; /* sinusoid: even points on which evaluation measures */
};

struct model_config {
    char *name;            /* the section's title; "model" of the one without */
    char *type;            /* mlp | conv4 | lenet | resnet12 | layers */
    struct strings widths; /* mlp: hidden widths, each a whole number */
    char *activation;      /* mlp: relu | tanh | gelu | silu */
    int64_t dropout;       /* mlp: per cent of hidden units */
    int64_t input_dropout; /* mlp: per cent of inputs */
    int64_t filters;       /* conv4; resnet12: of the first block */
    char *reduction;       /* conv4: stride | maxpool */
    char *pool;            /* conv4, before the head: mean | flatten */
    char *norm;            /* conv4, resnet12: batch | group | layer */
    int64_t groups;        /* norm = group: of channels */
    char *statistics;      /* batchnorm: auto | batch | running */
    /* layers: "conv filters=64 kernel=3 stride=2 pad=1", "relu", ... "head" */
    struct strings layers;
};

struct stage_config {
    char *name; /* the section's title */
    char *method, *model, *loss;
    struct strings data, data_weights; /* sections; whole numbers, empty: all the same */
    char *draw;                        /* of classes: balanced | natural; empty: see the table */
    struct strings normalize, normalize_targets; /* none | computed | means, deviations */
    int64_t way, way_max, shot, shot_max, query, tasks, inner_steps; /* ..._max 0: the same */
    double inner_rate;
    int64_t rounds;
    char *optimizer;
    double rate, momentum, beta1, beta2, epsilon, weight_decay, clip;
    char *schedule;
    double rate_end, step_factor;
    int64_t step_every;
    /* transfer methods */
    struct strings target; /* data sections adapted to */
    char *start, *anchor;  /* stages; empty: the one before */
    int64_t batch, target_batch, batches, steps;
    double weight, weight_end; /* of the method's own term */
    char *weight_schedule;     /* constant | rise | linear */
    struct strings layers;     /* names of layers whose features are compared */
    double temperature;
    double body_rate; /* share of the rate */
    int64_t warm_up;
    struct strings discriminator; /* hidden widths */
    double discriminator_rate;
    char *init;              /* file of parameters that it starts from; empty: none */
    struct strings init_map; /* "theirs=ours": names in that file */
    bool init_strict;        /* everything of the network must be in it */
    char *guard;             /* best | last | off */
    struct strings old;      /* data sections of the old task */
    struct strings evaluate; /* data sections measured on; empty: evaluate.data */
    int64_t augment_crop;    /* pixels; training alone */
    bool augment_flip;
    double augment_brightness, augment_contrast;
    void *own; /* owned: the keys of methods and losses (config_own) */
};

struct evaluate_config {
    struct strings data;            /* names of data sections; empty: the stage's own */
    int64_t every;                  /* rounds between evaluations; 0: only at the end */
    int64_t episodes, steps, query; /* steps, query 0: as the stage */
    int64_t batch;                  /* samples of whole sets at a time */
    bool inductive;                 /* few-shot, batch statistics: also by the support's */
};

struct checkpoint_config {
    int64_t every, keep;
};

struct progress_config {
    double every;
};

struct metrics_config {
    char *endpoint;   /* tcp://ADDRESS:PORT of the stream; empty: none */
    char *snapshot;   /* of the history; empty: the next port */
    char *server_key; /* file of the coordinator's secret key; empty: no keys */
    char *allowed;    /* file or directory of observers' public keys */
    bool insecure;    /* beyond this machine without keys */
};

struct config {
    struct config_table *table; /* owned: every key */
    config_owners *owners;      /* borrowed: as it was read with */
    struct run_config run;
    struct cluster_config cluster;
    int n_data;
    struct data_config data[CONFIG_DATA_MAX];
    int n_models;
    struct model_config models[CONFIG_MODEL_MAX];
    int n_stages;
    struct stage_config stages[CONFIG_STAGE_MAX];
    struct evaluate_config evaluate;
    struct checkpoint_config checkpoint;
    struct progress_config progress;
    struct metrics_config metrics;
};

/* Reads the file and applies each "section.key=value" ("stage.meta.rounds=100", "run.seed=3";
 * lists as "evaluate.data=a,b") of sets (n_sets) in order; "model.KEY=" is of the only model, or
 * of the one called "model". Where no model is described there is one, "model", of defaults.
 * Checks types, ranges, choices and, once the last set is in, that every data set and model
 * named (a stage's data and model, evaluate.data) is defined and that there is a stage. Strings
 * are UTF-8; "${...}" in double quotes is refused, not expanded. Thread-safe. Errors:
 * ERR_NOINPUT; ERR_CONFIG with "FILE:LINE: ..." or "--set '...': ..."; ERR_MEMORY. On error *c
 * is empty. */
int config_read(struct config *c, const char *path, const char *const *sets, int n_sets,
                config_owners *owners);

/* The same from text already in memory; `name` stands for the file in errors. */
int config_parse(struct config *c, const char *text, const char *name, const char *const *sets,
                 int n_sets, config_owners *owners);

/* The same from what config_print wrote, in this version or an earlier one, which wrote every
 * key of every method: a stage may have keys that its method does not take. */
int config_recall(struct config *c, const char *text, const char *name, const char *const *sets,
                  int n_sets, config_owners *owners);
int config_recall_file(struct config *c, const char *path, config_owners *owners);

/* The struct that the own keys of what the stage chooses by the key `kind`, its "method" or "loss",
 * fill; borrowed from c. */
const void *config_own(const struct config *c, const struct stage_config *s, const char *kind);

/* Sets another run directory than the configuration's. ERR_CONFIG, ERR_MEMORY. */
int config_set_directory(struct config *c, const char *directory);

/* evaluate.data becomes this one section. ERR_CONFIG if there is none of this name; ERR_MEMORY. */
int config_set_domain(struct config *c, const char *domain);

/* Frees what c owns. */
void config_release(struct config *c);

/* The whole effective configuration, every key that its stages take, in a form that config_parse
 * reads back to the same. */
void config_print(const struct config *c, FILE *out);
char *config_text(
    const struct config *c); /* the same as a string, owned by the caller; NULL: no memory */

/* Every key: section, type, default, range, meaning. `markdown` gives the table of
 * docs/configuration.md. */
int config_document(FILE *out, bool markdown, config_owners *owners); /* ERR_MEMORY */

struct config_change {        /* of a value between two configurations */
    const char *key;          /* "stage.meta.rate"; "stages": the list of their names */
    const char *before, *now; /* as in a file */
    bool allowed;             /* whether a run may be resumed with it */
    int stage;                /* index of the stage whose key it is; -1: no stage's */
};

/* Tells each change once, in the table's order, through each(); strings are the callee's for the
 * call. A data or model section that only one of both has is no change of the run: what uses it
 * is a key of its own. ERR_MEMORY. */
int config_compare(const struct config *before, const struct config *now,
                   void (*each)(void *context, const struct config_change *change), void *context);

const struct data_config *config_find_data(const struct config *c, const char *name); /* or NULL */
const struct model_config *config_find_model(const struct config *c,
                                             const char *name); /* "": the first; or NULL */
const struct stage_config *config_find_stage(const struct config *c,
                                             const char *name); /* or NULL */

/* The entry of `words` (ended by NULL) nearest to `word` by edit distance, or NULL when none is
 * near. */
const char *config_nearest(const char *word, const char *const *words);

#endif
