/* setup.h - a configuration made ready: data sets open, every stage planned.
 *
 * Coordinator and workers build it from the same configuration text, so indices mean the same on
 * every rank; layout digests are compared when workers report. */
#ifndef CORE_PLAN_SETUP_H
#define CORE_PLAN_SETUP_H

#include "core/config/config.h"
#include "core/data/augment.h"
#include "core/data/data.h"
#include "core/data/survey.h"
#include "core/math/net.h"
#include "core/math/optim.h"
#include "core/plan/method_traits.h"
#include "core/plan/metric.h"
#include "core/plan/task.h"

struct task_kind; /* core/plan/task_kind.h */

struct aux {          /* a network beside the main one */
    const char *name; /* borrowed: static */
    struct net net;   /* owned */
    size_t offset;    /* of its weights in the model */
};

struct mixed { /* a data section that few-shot tasks are drawn from */
    int data;
    uint32_t weight; /* its share of the tasks, among the weights of all of them */
};

enum { DRAWN_NAME = 80 };

struct drawn_metrics {         /* metrics that tell what tasks drew: core/plan/drawn.h */
    int first, n, n_sizes;     /* slots; the first n_sizes of them are of way and shot */
    char (*names)[DRAWN_NAME]; /* owned, (n) */
};

/* The parameters of a stage are n_models models; a model is the network's segments, then each
 * network's beside it. There are several if each target has a model of its own: the segments of a
 * model are then named "TARGET.conv1.weight". */
struct stage {
    const struct stage_config *config;  /* borrowed */
    const struct stage_config *shape;   /* borrowed: whose way, shot, query and inner loop it has */
    const struct method_traits *traits; /* borrowed */
    const void *own;                    /* borrowed: what the method's own keys hold */
    int index, data;                    /* of the stage; of its data section */
    int start, anchor;                  /* stages before it; -1: none */
    const struct strings *normalize, *normalize_targets; /* borrowed: core/plan/scale.h */
    int n_mixed;         /* sections that training draws from; the first is `data` */
    struct mixed *mixed; /* owned, (n_mixed) */
    int n_targets, target[CONFIG_DATA_MAX];
    int n_old, old[CONFIG_DATA_MAX]; /* data sections measured with the network "old" */
    int n_evaluate, evaluate_data[CONFIG_DATA_MAX]; /* data sections that it is measured on */
    const struct task_kind *measured;               /* what it is measured with */
    struct task_size train, evaluate;               /* the largest */
    struct task_size train_least, evaluate_least;   /* the smallest, of few-shot tasks */
    uint32_t batch, target_batch;                   /* samples of a step */
    int inner_steps, evaluate_steps; /* of the inner loop; 0: the few-shot tasks have none */
    /* classes of a few-shot task of evaluation, if the method says so; 0: way */
    uint32_t evaluate_way;
    uint32_t n_tasks; /* of a round, of all its kinds (core/plan/task_kind.h) */
    struct net net;   /* owned */
    int n_aux;
    struct aux *aux;             /* owned, (n_aux) */
    struct layout model, layout; /* owned */
    int n_models;
    uint32_t steps; /* of a task on its own model; 0: the coordinator steps */
    int n_metrics,
        own_metrics;         /* slots of a task's metrics (metric.h); the method's own begin here */
    int n_fits, fit_metrics; /* targets whose fit is measured; where their slots begin */
    int inductive_metrics;   /* where the slots of enum curve_sum by the support's statistics begin;
                              * 0: it is not measured so */
    struct drawn_metrics drawn;
    struct optim_spec optim;
    struct augment augment; /* of the samples of training */
};

enum matched { MATCHED_NOT, MATCHED_NAMES, MATCHED_ORDER, MATCHED_NUMBERS };

struct setup {
    const struct config *config; /* borrowed */
    method_traits_find *traits_of;
    char *root;         /* owned: the data root */
    const char *memory; /* borrowed until it is open: setup_recall; NULL: data are opened */
    int n_data;
    struct data data[CONFIG_DATA_MAX];
    /* how the classes of data set i were found to be those of a head's section */
    enum matched matched[CONFIG_DATA_MAX];
    int matched_with[CONFIG_DATA_MAX]; /* the index of that section */
    int n_stages;
    struct stage *stages; /* owned */
};

/* Opens the data sections that stages and evaluation name, plans the networks, and checks that what
 * a stage draws is there: every class can fill shot + query, way fits, batches have samples. Errors
 * name section and key, class, or path: ERR_CONFIG, also for a method that `traits_of` does not
 * know.
 * On error nothing is left open. Not collective. */
int setup_open(struct setup *s, const struct config *config, const char *root,
               method_traits_find *traits_of);
void setup_close(struct setup *s);

/* The same from a checkpoint: data sections that `memory` (setup_memory; NULL: none) tells of are
 * not opened, but taken as it tells: nothing can be drawn of them. ERR_DATA if it is damaged. */
int setup_recall(struct setup *s, const struct config *config, const char *root,
                 method_traits_find *traits_of, const char *memory);

/* What setup_recall needs to know of the data, as one text, owned by the caller; each: the surveys
 * of all open sections (setup_survey). NULL: no memory. */
char *setup_memory(const struct setup *s, const struct survey *each, int n);

/* The stage of that name, or the last if name is NULL. ERR_USAGE. */
int setup_stage(const struct setup *s, const char *name, const struct stage **stage);

/* What the data sets hold: out[CONFIG_DATA_MAX], *n of them, those that are open, in the
 * configuration's order. ERR_DATA if a mapped file shrinks meanwhile. */
int setup_survey(const struct setup *s, struct survey *out, int *n);

/* Looks whether a file that is mapped has been cut, replaced or rewritten since that survey:
 * ERR_DATA, naming section and file. Cheap: a stat for each; one that was written to is read again,
 * and may hold the same. */
int setup_check_files(const struct setup *s, const struct survey *known, int n);

/* Digest of every stage's layout. */
uint64_t setup_digest(const struct setup *s);

/* ---- heads.c ---- */

/* Matches the classes of all sections that share a head, by name: a section in another order is
 * given the order of the one that the head is trained on. ERR_DATA, naming stage, sections and
 * class, if names differ. Stages are planned. */
int setup_heads(struct setup *s);

/* The data section whose classes the outputs of a stage stand for; -1: the classes of an episode.
 */
int setup_head(const struct setup *s, const struct stage *stage);

/* ---- stage.c ---- */

/* Plans stage `index` of an open setup, those before it being planned. After an error too,
 * stage_close releases what the stage holds. ERR_CONFIG, ERR_DATA, ERR_MEMORY. */
int stage_open(struct setup *s, int index);
void stage_close(struct stage *stage); /* one of zeros may be closed */

/* For methods: appends a network to the stage's model, its segments of the given role named
 * "NAME.fc1.weight". Its statistics stay statistics. `name` is static. What stage_aux returned
 * before may have moved. ERR_CONFIG, ERR_MEMORY. */
int stage_add(struct stage *stage, const char *name, enum role role, const struct layer_spec *specs,
              int n_specs, struct shape in, int n_out, const char *loss);

/* For methods: no gradient enters the main network above activation `act`; the layers behind it
 * stay
 * as they are. */
void stage_idle_behind(struct stage *stage, int act);

/* ---- stage_metrics.c ---- */

/* Fills n_metrics and own_metrics of a stage that is planned otherwise: the curve of the longer of
 * its inner loops, in training and in evaluation, or what a watch sums if that is more, what is
 * measured inductively, and the method's own. */
void stage_count_metrics(const struct setup *s, struct stage *stage);

/* Words of the largest round_sum of any stage. */
size_t setup_sum_words(const struct setup *s);

/* The slot of the method's own metric of that name (traits->metrics); -1: it has none. */
int stage_metric(const struct stage *stage, const char *name);

/* Metrics of a task of the stage: n_metrics zeros from the arena (which may be measuring). */
struct task_metrics stage_metrics(const struct stage *stage, struct arena *arena);

/* ---- stage_facts.c ---- */

const struct aux *stage_aux(const struct stage *stage, const char *name); /* NULL: it has none */

/* Whether data section `data` is of the old task, measured with its head (lwf). */
bool stage_measures_old(const struct stage *stage, int data);

/* Whether a prediction depends on the other samples of its batch or query set: batch statistics. */
bool stage_is_transductive(const struct stage *stage);

/* Whether few-shot evaluation of the stage also answers each query alone, by the support's
 * statistics: it is transductive, and evaluate.inductive is on. */
bool stage_is_measured_inductively(const struct setup *s, const struct stage *stage);

/* The query size per class with which data section `data` is evaluated in this stage. */
uint32_t stage_query(const struct setup *s, const struct stage *stage, int data);

/* ERR_CONFIG if data section d has no samples to take batches of. */
int stage_has_samples(const struct stage *stage, const struct data *d);

/* The model that data section `data` is measured with; -1: none, there are several and it belongs
 * to none. */
int stage_model(const struct setup *s, const struct stage *stage, int data);

/* The weight of the method's own term in round t, 1 .. rounds. */
double stage_weight(const struct stage *stage, uint64_t t);

#endif
