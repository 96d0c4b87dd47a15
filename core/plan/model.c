/* model.c - the models mlp, conv4, lenet, resnet12 and a list of layers. */
#include "core/plan/model.h"

#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#include "core/base/err.h"
#include "core/base/nearest.h"
#include "core/base/table.h"

/* Adds the next layer; if specs is NULL it is only counted. */
static void put(struct layer_spec *specs, int *n, struct layer_spec s)
{
    if (specs)
        specs[*n] = s;
    ++*n;
}

static const struct layer_spec head = {.type = "dense", .head = true, .bias = true};

/* A dropout layer, if there is something to drop. */
static void put_dropout(struct layer_spec *specs, int *n, int64_t percent)
{
    if (percent)
        put(specs, n, (struct layer_spec){.type = "dropout", .percent = (int)percent});
}

/* Hidden layers of the given widths, each with its activation and dropout behind that. */
static int mlp_specs(const struct model_config *m, struct layer_spec norm, struct layer_spec *specs)
{
    struct layer_spec activation = {0};
    int n = 0;

    (void)norm;
    snprintf(activation.type, sizeof activation.type, "%s", m->activation);
    put(specs, &n, (struct layer_spec){.type = "flatten"});
    put_dropout(specs, &n, m->input_dropout);
    for (int i = 0; i < m->widths.n; i++) {
        put(specs, &n,
            (struct layer_spec){
                .type = "dense", .filters = atoi(m->widths.items[i]), .bias = true});
        put(specs, &n, activation);
        put_dropout(specs, &n, m->dropout);
    }
    put(specs, &n, head);
    return n;
}

/* Group normalisation, or batch normalisation by model.statistics, for a stage that is measured
 * few-shot or on whole sets. */
static struct layer_spec norm_of(const struct model_config *m, bool few_shot)
{
    bool automatic = strcmp(m->statistics, "auto") == 0;
    int groups = strcmp(m->norm, "layer") == 0 ? 1 : (int)m->groups;

    if (strcmp(m->norm, "batch") != 0)
        return (struct layer_spec){.type = "groupnorm", .groups = groups};
    return (struct layer_spec){.type = "batchnorm",
                               .running =
                                   automatic ? !few_shot : strcmp(m->statistics, "running") == 0,
                               .follows_target = automatic};
}

/* Four blocks of 3x3 convolution, batch norm, relu; halved by stride (Omniglot, Finn et al. 2017)
 * or by 2x2 max-pooling (mini-ImageNet). */
static int conv4_specs(const struct model_config *m, struct layer_spec norm,
                       struct layer_spec *specs)
{
    bool stride = strcmp(m->reduction, "stride") == 0;
    int n = 0;

    for (int i = 0; i < 4; i++) {
        put(specs, &n,
            (struct layer_spec){.type = "conv",
                                .filters = (int)m->filters,
                                .kernel = 3,
                                .stride = stride ? 2 : 1,
                                .pad = 1});
        put(specs, &n, norm);
        put(specs, &n, (struct layer_spec){.type = "relu"});
        if (!stride)
            put(specs, &n, (struct layer_spec){.type = "maxpool", .kernel = 2, .stride = 2});
    }
    if (strcmp(m->pool, "mean") == 0)
        put(specs, &n, (struct layer_spec){.type = "meanpool"});
    else
        put(specs, &n, (struct layer_spec){.type = "flatten"});
    put(specs, &n, head);
    return n;
}

/* LeNet as in ADDA (Tzeng et al. 2017): 20 and 50 filters of 5x5 without padding, each with relu
 * and then 2x2 max-pooling (in the other order it would be the same function), 500 features. As it
 * starts, with biases 0, a blank part of an image sits on relu's kink: differences prove no
 * gradient there. */
static int lenet_specs(const struct model_config *m, struct layer_spec norm,
                       struct layer_spec *specs)
{
    int n = 0;

    (void)m, (void)norm;
    for (int filters = 20; filters <= 50; filters += 30) {
        put(specs, &n,
            (struct layer_spec){.type = "conv", .filters = filters, .kernel = 5, .bias = true});
        put(specs, &n, (struct layer_spec){.type = "relu"});
        put(specs, &n, (struct layer_spec){.type = "maxpool", .kernel = 2});
    }
    put(specs, &n, (struct layer_spec){.type = "flatten"});
    put(specs, &n, (struct layer_spec){.type = "dense", .filters = 500, .bias = true});
    put(specs, &n, (struct layer_spec){.type = "relu"});
    put(specs, &n, head);
    return n;
}

/* ResNet-12 of few-shot learning (Oreshkin et al. 2018; Lee et al. 2019): four residual blocks of
 * 1, 2.5, 5 and 10 times the filters, each behind the last's 2x2 max-pooling; the mean of the map;
 * the head. */
static int resnet12_specs(const struct model_config *m, struct layer_spec norm,
                          struct layer_spec *specs)
{
    static const int halves[] = {2, 5, 10, 20};
    int n = 0;

    for (int i = 0; i < 4; i++) {
        put(specs, &n,
            (struct layer_spec){.type = "residual",
                                .filters = (int)m->filters * halves[i] / 2,
                                .groups = norm.groups,
                                .running = norm.running,
                                .follows_target = norm.follows_target});
        put(specs, &n, (struct layer_spec){.type = "maxpool", .kernel = 2});
    }
    put(specs, &n, (struct layer_spec){.type = "meanpool"});
    put(specs, &n, head);
    return n;
}

static const char *const spec_keys[] = {"filters", "features", "kernel", "stride",  "pad",
                                        "percent", "groups",   "bias",   "running", NULL};

static int spec_set(struct layer_spec *s, const char *key, int value)
{
    struct {
        const char *key;
        int *place;
    } fields[] = {{"filters", &s->filters}, {"features", &s->filters}, {"kernel", &s->kernel},
                  {"stride", &s->stride},   {"pad", &s->pad},          {"percent", &s->percent},
                  {"groups", &s->groups}};

    for (size_t i = 0; i < sizeof fields / sizeof *fields; i++)
        if (strcmp(fields[i].key, key) == 0) {
            *fields[i].place = value;
            return 0;
        }
    if (strcmp(key, "bias") == 0 || strcmp(key, "running") == 0) {
        *(strcmp(key, "bias") == 0 ? &s->bias : &s->running) = value != 0;
        s->follows_target &= strcmp(key, "running") != 0;
        return 0;
    }
    return -1;
}

/* One word of a layer's line: key=value. */
static int spec_word(struct layer_spec *s, const char *line, const char *word)
{
    const char *equals = strchr(word, '=');
    char key[16], hint[NEAREST_HINT], *end = NULL;
    long value = equals ? strtol(equals + 1, &end, 10) : -1;

    if (!equals || end == equals + 1 || *end || value < 0 || value > 65536)
        return err(ERR_CONFIG, "layer '%s': '%s' is not key=number", line, word);
    snprintf(key, sizeof key, "%.*s", (int)(equals - word), word);
    if (spec_set(s, key, (int)value) < 0)
        return err(ERR_CONFIG, "layer '%s': unknown key '%s'%s", line, key,
                   nearest_hint(key, spec_keys, hint));
    return 0;
}

static int spec_type(struct layer_spec *s, const char *line, const char *type)
{
    const char *names[40];
    char hint[NEAREST_HINT];
    int n = 0;

    *s = strcmp(type, "head") == 0 ? head : (struct layer_spec){.bias = true};
    if (s->head)
        return 0;
    snprintf(s->type, sizeof s->type, "%s", type);
    if (layer_find(type) && layer_find(type)->kind != LAYER_INPUT)
        return 0;
    for (int i = 0; layer_table[i] && n < 38; i++)
        if (layer_table[i]->kind != LAYER_INPUT)
            names[n++] = layer_table[i]->name;
    names[n++] = "head";
    names[n] = NULL;
    return err(ERR_CONFIG, "layer '%s': unknown layer '%s'%s", line, type,
               nearest_hint(type, names, hint));
}

/* "conv filters=64 kernel=3 stride=2 pad=1" */
static int spec_parse(struct layer_spec *s, struct layer_spec norm, const char *line)
{
    char words[256], *save, *word;

    snprintf(words, sizeof words, "%s", line);
    word = strtok_r(words, " \t", &save);
    if (!word)
        return err(ERR_CONFIG, "'layers' has an empty line");
    TRY(spec_type(s, line, word));
    s->running = norm.running, s->follows_target = norm.follows_target;
    while ((word = strtok_r(NULL, " \t", &save)))
        TRY(spec_word(s, line, word));
    return 0;
}

static int layers_specs(const struct model_config *m, struct layer_spec norm,
                        struct layer_spec *specs)
{
    int n = 0;

    if (m->layers.n == 0)
        return err(ERR_CONFIG, "'type' is layers, but 'layers' is empty");
    for (int i = 0; i < m->layers.n; i++) {
        struct layer_spec s;

        TRY(spec_parse(&s, norm, m->layers.items[i]));
        put(specs, &n, s);
    }
    return n;
}

static const struct model_ops mlp = {
    "mlp", "fully connected: widths, activation, dropout, input_dropout", mlp_specs};
static const struct model_ops conv4 = {
    "conv4", "four convolutions: filters, reduction, pool, norm, statistics", conv4_specs};
static const struct model_ops lenet = {"lenet", "two convolutions and a hidden layer, as in ADDA",
                                       lenet_specs};
static const struct model_ops resnet12 = {
    "resnet12", "four residual blocks: filters of the first, norm, statistics", resnet12_specs};
static const struct model_ops layers = {"layers", "the lines of model.layers, from input to head",
                                        layers_specs};

const struct model_ops *const model_table[] = {&mlp, &conv4, &lenet, &resnet12, &layers, NULL};

const struct model_ops *model_find(const char *name)
{
    return table_find(model_table, name);
}

int model_specs(const struct model_config *m, bool few_shot, const struct layer_spec *first,
                struct layer_spec **specs)
{
    const struct model_ops *ops = model_find(m->type);
    int n;

    *specs = NULL;
    if (!ops)
        return err(ERR_CONFIG, "unknown model '%s'", m->type);
    n = ops->specs(m, norm_of(m, few_shot), NULL);
    TRY(n);
    n += first != NULL;
    *specs = malloc((size_t)n * sizeof **specs);
    if (!*specs)
        return err(ERR_MEMORY, "no memory for %d layers", n);
    if (first)
        **specs = *first;
    TRY(ops->specs(m, norm_of(m, few_shot), *specs + (first != NULL)));
    return n;
}

int model_plan(const struct model_config *m, bool few_shot, const struct layer_spec *first,
               struct net *net, struct shape in, int n_out, const struct loss *loss)
{
    struct layer_spec *specs;
    int code = model_specs(m, few_shot, first, &specs);

    if (code >= 0)
        code = net_plan(net, specs, code, in, n_out, loss);
    free(specs);
    return code;
}
