/* predict_model.h - a checkpoint made ready to answer: its network, what its outputs mean, how its
 * images are read, and what it has made of a support. */
#ifndef LAUNCH_PREDICT_MODEL_H
#define LAUNCH_PREDICT_MODEL_H

#include "launch/solo.h"
#include "worker/method_work.h"

struct predict_model {
    struct solo solo;           /* configuration, data as they are remembered, stage */
    const char *path;           /* borrowed: of the checkpoint */
    int data;                   /* the section that its images are read like */
    struct data_config section; /* its keys, without those that say which images; borrowed */
    bool tabular;               /* its samples are rows of tables, not images */
    bool few_shot;
    bool coupled;   /* a query's answer depends on the others of its batch */
    bool inductive; /* few-shot, batch statistics: queries are answered by the support's */
    int steps;      /* of the inner loop, that were or will be done */
    real *theta;    /* owned: (P of the stage) */
    real *own;      /* within theta: of the model that answers */
    real *memory;   /* owned: of a file that holds an adapted model; else NULL */
    real *observed; /* owned: likewise, its support's statistics; NULL: the file has none */
    char **classes; /* owned: what each output means */
    uint32_t n_classes;
    struct arena arena;    /* that it adapted in */
    struct adapted answer; /* few-shot: what answers need */
    uint32_t n_support;    /* images; 0: it was adapted before */
    struct looks support;  /* how these look */
};

/* Reads configuration, data and parameters from the file `checkpoint`; --stage, --domain, --steps,
 * --set. An adapted model (predict_save) is ready; a model of whole sets is, too; any other needs
 * predict_adapt. ERR_NOINPUT, ERR_DATA, ERR_USAGE, ERR_CONFIG. predict_close also after an
 * error. */
int predict_open(struct predict_model *p, const struct options *o, const char *checkpoint);

/* Queries are answered by the support's statistics from now on, or by their own; before
 * predict_adapt. ERR_USAGE if the model cannot answer so. */
int predict_protocol(struct predict_model *p, bool inductive);

/* Whether it needs a support. */
bool predict_waits(const struct predict_model *p);

/* Takes the class names of d. ERR_MEMORY. */
int predict_classes(struct predict_model *p, const struct data *d);

/* Whether its method takes a support of any number of classes. */
bool predict_takes_any(const struct predict_model *p);

/* Writes what was adapted, as a checkpoint that predict_open takes. ERR_CANTCREAT, ERR_IO; ERR_DATA
 * naming a class whose name is not UTF-8. */
int predict_save(const struct predict_model *p, const char *path);

/* Frees what it holds, also after an error. */
void predict_close(struct predict_model *p);

/* The section of the configuration with another path (borrowed), for images there. */
struct data_config predict_section(const struct predict_model *p, const char *path);

/* ERR_NOINPUT if nothing is there. */
int predict_there(const char *path);

#endif
