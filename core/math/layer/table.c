/* table.c - all layers. */
#include <stddef.h>

#include "core/base/table.h"
#include "core/math/layer.h"

/* clang-format off */
#define LAYERS(_) \
    _(batchnorm) _(batchnorm_relu) _(conv2d) _(conv1d) _(dense) _(dropout) _(flatten) _(gelu) \
    _(groupnorm) _(layernorm) _(leaky_relu) _(maxpool) _(meanpool) _(normalize) _(relu) \
    _(residual) _(silu) _(tanh)
/* clang-format on */

#define DECLARE(name) extern const struct layer_ops layer_##name;
#define POINT(name) &layer_##name,

LAYERS(DECLARE)
const struct layer_ops *const layer_table[] = {LAYERS(POINT) NULL};

const struct layer_ops *layer_find(const char *name)
{
    return table_find(layer_table, name);
}
