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

struct config_method method_config(int i)
{
    const struct method_ops *ops = method_table[i];

    if (!ops)
        return (struct config_method){0};
    return (struct config_method){ops->name, ops->takes, ops->keys, ops->keys_size};
}

const struct method_traits *method_traits_of(const char *name)
{
    const struct method_ops *ops = method_find(name);

    return ops ? &ops->traits : NULL;
}
