/* model.h - models by name, and a free list of layers: configuration to layer specs. */
#ifndef CORE_PLAN_MODEL_H
#define CORE_PLAN_MODEL_H

#include "core/config/config.h"
#include "core/math/net.h"

struct model_ops {
    const char *name;
    const char *summary;
    /* Fills specs with the layers from input to head; NULL: only counts them. norm: the
     * normalisation of this model. Returns how many, at least one, or ERR_CONFIG. */
    int (*specs)(const struct model_config *m, struct layer_spec norm, struct layer_spec *specs);
};

extern const struct model_ops *const model_table[];   /* ended by NULL */
const struct model_ops *model_find(const char *name); /* NULL if absent */

/* The layers of the configured model in a stage that is measured few-shot, or on whole sets: with
 * statistics = auto, batch normalisation keeps running statistics in the latter. A line of
 * model.layers may say otherwise. first: a layer before them, or NULL. *specs is the caller's, to
 * be freed, also after an error. Returns how many, or ERR_CONFIG, ERR_MEMORY. */
int model_specs(const struct model_config *m, bool few_shot, const struct layer_spec *first,
                struct layer_spec **specs);

/* Plans the network of those layers (net_plan). The caller releases net. */
int model_plan(const struct model_config *m, bool few_shot, const struct layer_spec *first,
               struct net *net, struct shape in, int n_out, const struct loss *loss);

#endif
