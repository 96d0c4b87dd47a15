/* torch.h - what the torch slots of layers share. */
#ifndef CORE_MATH_LAYER_TORCH_H
#define CORE_MATH_LAYER_TORCH_H

#include <stdarg.h>
#include <stdio.h>

#include "core/math/layer.h"

/* The input as a map, [n, channels, height, width]; so is the output from now on. */
static inline const char *torch_map(struct torch_text *t)
{
    const char *x = t->flat ? "x[:, :, None, None]" : "x";

    t->flat = false;
    return x;
}

/* The input as [n, features]; so is the output from now on. */
static inline const char *torch_vector(struct torch_text *t)
{
    const char *x = t->flat ? "x" : "x.flatten(1)";

    t->flat = true;
    return x;
}

/* forward, from a format, and no module: a layer with parameters fills it in afterwards. */
static inline void __attribute__((format(printf, 2, 3)))
torch_function(struct torch_text *t, const char *format, ...)
{
    va_list args;

    va_start(args, format);
    vsnprintf(t->forward, sizeof t->forward, format, args);
    va_end(args);
    t->module[0] = '\0';
}

#endif
