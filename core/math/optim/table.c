/* table.c - every optimizer there is. */
#include <string.h>

#include "core/math/optim.h"

extern const struct optim_ops optim_adam, optim_sgd;

const struct optim_ops *const optim_table[] = {&optim_adam, &optim_sgd, NULL};

const struct optim_ops *optim_find(const char *name)
{
    for (const struct optim_ops *const *ops = optim_table; *ops; ops++)
        if (strcmp((*ops)->name, name) == 0)
            return *ops;
    return NULL;
}
