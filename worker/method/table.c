/* table.c - every method there is. */
#include <string.h>

#include "worker/method.h"

extern const struct method_ops method_adda, method_coral, method_dan, method_finetune,
    method_fitnet, method_fomaml, method_joint, method_kd, method_lwf, method_maml, method_pretrain;

const struct method_ops *const method_table[] = {
    &method_maml, &method_fomaml, &method_pretrain, &method_finetune, &method_dan,    &method_coral,
    &method_adda, &method_joint,  &method_lwf,      &method_kd,       &method_fitnet, NULL};

const struct method_ops *method_find(const char *name)
{
    for (const struct method_ops *const *ops = method_table; *ops; ops++)
        if (strcmp((*ops)->name, name) == 0)
            return *ops;
    return NULL;
}

struct config_method method_config(int i)
{
    const struct method_ops *ops = method_table[i];

    if (!ops)
        return (struct config_method){0};
    return (struct config_method){ops->name, ops->takes, ops->keys, ops->keys_size};
}

const struct form *method_form(const char *name)
{
    const struct method_ops *ops = method_find(name);

    return ops ? &ops->form : NULL;
}
