/* table.c - every discrepancy there is. */
#include <string.h>

#include "core/math/discrepancy.h"

extern const struct discrepancy_ops discrepancy_coral, discrepancy_mmd;

const struct discrepancy_ops *const discrepancy_table[] = {
    &discrepancy_coral,
    &discrepancy_mmd,
    NULL,
};

const struct discrepancy_ops *discrepancy_find(const char *name)
{
    for (const struct discrepancy_ops *const *ops = discrepancy_table; *ops; ops++)
        if (strcmp((*ops)->name, name) == 0)
            return *ops;
    return NULL;
}
