/* table.c - all optimizers. */
#include <stddef.h>

#include "core/base/table.h"
#include "core/math/optim.h"

extern const struct optim_ops optim_adam, optim_sgd;

const struct optim_ops *const optim_table[] = {&optim_adam, &optim_sgd, NULL};

const struct optim_ops *optim_find(const char *name)
{
    return table_find(optim_table, name);
}
