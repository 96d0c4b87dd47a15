/* table.c - all discrepancies. */
#include <stddef.h>

#include "core/base/table.h"
#include "core/math/discrepancy.h"

extern const struct discrepancy_ops discrepancy_coral, discrepancy_mmd;

const struct discrepancy_ops *const discrepancy_table[] = {
    &discrepancy_coral,
    &discrepancy_mmd,
    NULL,
};

const struct discrepancy_ops *discrepancy_find(const char *name)
{
    return table_find(discrepancy_table, name);
}
