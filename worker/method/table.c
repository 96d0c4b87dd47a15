/* table.c - all methods, one per line. */
#include "worker/method/table.h"

#include "core/base/table.h"

/* clang-format off */
#define METHODS(_) \
    _(maml)     \
    _(fomaml)   \
    _(anil)     \
    _(metasgd)  \
    _(reptile)  \
    _(protonet) \
    _(imaml)    \
    _(pretrain) \
    _(finetune) \
    _(dan)      \
    _(coral)    \
    _(adda)     \
    _(joint)    \
    _(lwf)      \
    _(kd)       \
    _(fitnet)
/* clang-format on */

#define DECLARE(name) extern const struct method_ops method_##name;
#define POINT(name) &method_##name,

METHODS(DECLARE)
const struct method_ops *const method_table[] = {METHODS(POINT) NULL};

const struct method_ops *method_find(const char *name)
{
    return table_find(method_table, name);
}

struct config_owner stage_owner(int i)
{
    enum { METHODS = sizeof method_table / sizeof *method_table - 1 };
    const struct method_ops *m = i < METHODS ? method_table[i] : NULL;
    const struct loss_ops *l = i < METHODS ? NULL : loss_table[i - METHODS];

    if (m)
        return (struct config_owner){"method", m->name, m->takes, m->keys, m->keys_size};
    if (l)
        return (struct config_owner){"loss", l->name, NULL, l->keys, l->keys_size};
    return (struct config_owner){0};
}

const struct method_traits *method_traits_of(const char *name)
{
    const struct method_ops *ops = method_find(name);

    return ops ? &ops->traits : NULL;
}
