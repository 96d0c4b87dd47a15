/* table.c - all losses. */
#include <stddef.h>

#include "core/base/err.h"
#include "core/base/table.h"
#include "core/math/loss.h"

extern const struct loss_ops loss_bce, loss_crossentropy, loss_huber, loss_mae, loss_mse,
    loss_poisson, loss_quantile;

const struct loss_ops *const loss_table[] = {
    &loss_crossentropy, &loss_mse,     &loss_mae, &loss_huber,
    &loss_quantile,     &loss_poisson, &loss_bce, NULL,
};

const struct loss_ops *loss_find(const char *name)
{
    return table_find(loss_table, name);
}

struct loss loss_plain(const char *name)
{
    return (struct loss){.ops = loss_find(name), .per_target = 1};
}

int loss_form(struct loss *l, const char *name, const void *own)
{
    *l = loss_plain(name);
    if (!l->ops)
        return err(ERR_CONFIG, "unknown loss '%s'", name);
    l->own = own;
    if (l->ops->per_target)
        l->per_target = l->ops->per_target(own);
    return l->per_target < 0 ? l->per_target : 0;
}
