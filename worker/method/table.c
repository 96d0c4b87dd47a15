/* table.c - every method there is. */
#include <string.h>

#include "worker/method.h"

extern const struct method_ops method_fomaml, method_maml;

const struct method_ops *const method_table[] = {&method_fomaml, &method_maml, NULL};

const struct method_ops *method_find(const char *name)
{
    for (const struct method_ops *const *ops = method_table; *ops; ops++)
        if (strcmp((*ops)->name, name) == 0)
            return *ops;
    return NULL;
}
