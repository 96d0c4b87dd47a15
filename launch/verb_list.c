/* verb_list.c - `metaloop list`: the entries of a table, one per line. */
#include <stdio.h>
#include <string.h>

#include "core/base/err.h"
#include "core/base/nearest.h"
#include "core/config/config.h"
#include "core/data/data.h"
#include "core/math/layer.h"
#include "core/math/loss.h"
#include "core/math/optim.h"
#include "core/plan/model.h"
#include "launch/verbs.h"
#include "worker/method/table.h"

#define LIST(function, type, table)                                                                \
    static void function(const struct options *o)                                                  \
    {                                                                                              \
        (void)o;                                                                                   \
        for (const struct type *const *p = table; *p; p++)                                         \
            printf("%-15s %s\n", (*p)->name, (*p)->summary);                                       \
    }

LIST(list_methods, method_ops, method_table)
LIST(list_models, model_ops, model_table)
LIST(list_layers, layer_ops, layer_table)
LIST(list_losses, loss_ops, loss_table)
LIST(list_optimizers, optim_ops, optim_table)
LIST(list_formats, data_ops, data_table)

static void list_keys(const struct options *o)
{
    config_document(stdout, o->markdown, stage_owner);
}

static const struct {
    const char *name;
    void (*print)(const struct options *o);
} topics[] = {
    {"methods", list_methods}, {"models", list_models},         {"layers", list_layers},
    {"losses", list_losses},   {"optimizers", list_optimizers}, {"formats", list_formats},
    {"keys", list_keys},
};

enum { N_TOPICS = sizeof topics / sizeof *topics };

static int list(const struct options *o)
{
    const char *names[N_TOPICS + 1];
    char hint[NEAREST_HINT];

    for (int i = 0; i < N_TOPICS; i++) {
        names[i] = topics[i].name;
        if (strcmp(names[i], o->places[0]) == 0) {
            topics[i].print(o);
            return 0;
        }
    }
    names[N_TOPICS] = NULL;
    return err(ERR_USAGE, "unknown list '%s'%s", o->places[0],
               nearest_hint(o->places[0], names, hint));
}

const struct verb verb_list = {
    .name = "list",
    .places = "methods|models|layers|losses|optimizers|formats|keys",
    .min_places = 1,
    .max_places = 1,
    .options = "markdown",
    .summary = "print what is available, one line each",
    .run = list,
};
