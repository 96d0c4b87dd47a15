/* loss.c - what of a batch is there. */
#include "core/math/loss.h"

#include <math.h>
#include <stddef.h>

#include "core/base/err.h"

bool loss_is_regression(const struct loss *l)
{
    return l->ops->entry != NULL;
}

int loss_targets(const struct loss *l, int n_out)
{
    return n_out / l->per_target;
}

struct batch batch_sample(const struct batch *b, int i, int targets)
{
    return (struct batch){
        .n = 1,
        .label = b->label ? b->label + i : NULL,
        .target = b->target ? b->target + (size_t)i * (size_t)targets : NULL,
        .weight = b->weight ? b->weight + i : NULL,
        .classes = b->classes,
    };
}

static bool has_target(const struct batch *b, int i, int targets)
{
    for (int j = 0; j < targets; j++)
        if (!isnan(b->target[i * targets + j]))
            return true;
    return false;
}

bool batch_is_empty(const struct batch *b, int targets)
{
    for (int i = 0; i < b->n; i++)
        if (batch_weight(b, i) > 0 &&
            (b->label ? b->label[i] >= 0 : !b->target || has_target(b, i, targets)))
            return false;
    return true;
}

int loss_check_targets(const struct loss *l, const struct batch *b, int targets)
{
    for (int i = 0; l->ops->refuses && b->target && i < b->n * targets; i++) {
        const char *why = isnan(b->target[i]) ? NULL : l->ops->refuses(b->target[i]);

        if (why)
            return err(ERR_DATA, "target %g %s", (double)b->target[i], why);
    }
    return 0;
}
