/* model.h - models by name, and a free list of layers: configuration to layer specs. */
#ifndef CORE_MODEL_H
#define CORE_MODEL_H

#include "core/config.h"
#include "core/layer.h"

struct model_ops {
    const char *name;
    const char *summary;
    /* Appends to specs (at most max); returns how many, or ERR_CONFIG. */
    int (*specs)(const struct model_config *m, struct layer_spec *specs, int max);
};

extern const struct model_ops *const model_table[]; /* ended by NULL */
const struct model_ops *model_find(const char *name);

/* The layers of the configured model. Returns how many, or ERR_CONFIG. */
int model_specs(const struct model_config *m, struct layer_spec *specs, int max);

#endif
