/* table.c - all layers. */
#include <stddef.h>

#include "core/base/table.h"
#include "core/math/layer.h"

extern const struct layer_ops layer_batchnorm, layer_batchnorm_relu, layer_conv2d, layer_dense,
    layer_dropout, layer_flatten, layer_leaky_relu, layer_maxpool, layer_meanpool, layer_normalize,
    layer_relu, layer_residual, layer_tanh;

const struct layer_ops *const layer_table[] = {
    &layer_batchnorm,  &layer_batchnorm_relu,
    &layer_conv2d,     &layer_dense,
    &layer_dropout,    &layer_flatten,
    &layer_leaky_relu, &layer_maxpool,
    &layer_meanpool,   &layer_normalize,
    &layer_relu,       &layer_residual,
    &layer_tanh,       NULL,
};

const struct layer_ops *layer_find(const char *name)
{
    return table_find(layer_table, name);
}
