/* model.h - models by name, and a free list of layers: configuration to layer specs. */
#ifndef CORE_PLAN_MODEL_H
#define CORE_PLAN_MODEL_H

#include "core/config/config.h"
#include "core/math/layer.h"

struct model_ops {
    const char *name;
    const char *summary;
    /* Appends to specs (at most max); returns how many, or ERR_CONFIG. norm: a batchnorm of this model. */
    int (*specs)(const struct model_config *m, struct layer_spec norm, struct layer_spec *specs,
                 int max);
};

extern const struct model_ops *const model_table[]; /* ended by NULL */
const struct model_ops *model_find(const char *name);

/* The layers of the configured model in a stage that is measured few-shot, or on whole sets: with statistics = auto,
 * batch normalisation keeps running statistics in the latter. A line of model.layers may say otherwise. Returns how many,
 * or ERR_CONFIG. */
int model_specs(const struct model_config *m, bool few_shot, struct layer_spec *specs, int max);

#endif
