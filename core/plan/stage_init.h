/* stage_init.h - what a stage takes from the file that it starts from: stage.NAME.init.
 *
 * Rank 0 alone reads the file. A parameter of the stage is taken from the tensor of its name and
 * shape; the parameters that are not keep their initial values. */
#ifndef CORE_PLAN_STAGE_INIT_H
#define CORE_PLAN_STAGE_INIT_H

#include <stdbool.h>

#include "core/file/state_dict.h"
#include "core/plan/setup.h"

enum origin_kind {
    ORIGIN_FILE,   /* it is taken */
    ORIGIN_ABSENT, /* no tensor of the file has its name */
    ORIGIN_SHAPE,  /* the tensor of its name has another shape; a head is taken whole or not */
    ORIGIN_NEW,    /* the method makes a new one */
};

struct origin { /* of a segment of stage->model */
    enum origin_kind kind;
    struct state_entry *entry; /* of its name, in dict; NULL: none */
};

struct stage_init {
    const struct stage *stage; /* borrowed */
    struct state_dict dict;    /* owned: the file, open */
    bool by_order;             /* no name was the network's: state_dict_order */
    struct origin *origins;    /* owned, (model.n_segments) */
};

/* Opens the file and finds what the stage takes. After an error nothing is open: ERR_NOINPUT;
 * ERR_CONFIG for init_map; ERR_DATA if nothing fits, if a tensor to take is not of real and finite
 * numbers, if init_strict asks for more than there is, or if the stage keeps statistics as they
 * are and the file has none; ERR_MEMORY. */
int stage_init_open(struct stage_init *in, const struct stage *stage);
void stage_init_close(struct stage_init *in); /* also one of zeros */

/* Puts what is taken into theta, all models of the stage. ERR_MEMORY. */
int stage_init_take(const struct stage_init *in, real *theta);

/* What is taken, drawn anew and left, a line at a time. */
void stage_init_describe(const struct stage_init *in, void (*say)(void *context, const char *line),
                         void *context);

/* "not in the file": why segment i of the model is not taken; text: room for n bytes. */
void stage_init_reason(const struct stage_init *in, int i, char *text, size_t n);

#endif
