/* predict_adapt.c - the support of a few-shot model: folders of images, or a table with labels. */
#include "launch/predict_adapt.h"

#include <stdlib.h>

#include "core/base/err.h"
#include "core/data/survey.h"
#include "launch/predict_table.h"

static int check_way(const struct predict_model *p, const struct data *d, const char *path)
{
    const struct stage *stage = p->solo.stage;
    uint32_t least = (uint32_t)stage->shape->way, most = (uint32_t)stage->net.n_out;
    char range[32];

    if (d->n_classes < 2)
        return err(ERR_DATA, "'%s' holds one class, '%s': there is nothing to tell it from", path,
                   p->n_classes ? p->classes[0] : "");
    if (predict_takes_any(p) || (d->n_classes >= least && d->n_classes <= most))
        return 0;
    snprintf(range, sizeof range, least < most ? "%u to %u" : "%u", least, most);
    return err(
        ERR_DATA,
        "'%s' holds %u classes, stage '%s' was trained to tell %s apart, as many as its head "
        "has outputs for; a protonet takes any number",
        path, d->n_classes, stage->config->name, range);
}

struct support_samples { /* owned, each (n) */
    real *x, *weight;
    int *label;
};

/* Every sample of d, with its class as label. */
static int read_support(struct predict_model *p, const struct data *d, struct support_samples *s)
{
    size_t size = shape_size(d->shape);

    for (uint32_t i = 0; i < d->n_samples; i++) {
        uint32_t class_id;

        TRY(data_read_flat(d, i, s->x + i * size));
        TRY(data_label_flat(d, i, &class_id));
        s->label[i] = (int)class_id;
        s->weight[i] = data_weight_flat(d, i);
    }
    p->n_support = d->n_samples;
    return 0;
}

static int adapt(struct predict_model *p, const struct data *d, struct support_samples *s)
{
    struct episode ep = {.seed = (uint64_t)p->solo.config.run.seed,
                         .support = {.n = (int)d->n_samples,
                                     .x = s->x,
                                     .label = s->label,
                                     .weight = d->weighted ? s->weight : NULL,
                                     .classes = (int)d->n_classes}};
    struct method_spec spec = {.evaluate = true,
                               .steps = p->steps,
                               .n_support = (int)d->n_samples,
                               .n_query = 1,
                               .memory = (size_t)p->solo.config.cluster.memory << 20};
    struct arena measure = arena_measuring();
    struct method m;

    method_init(&m, &p->solo.setup, p->solo.stage, &spec, &measure);
    TRY(arena_init(&p->arena, measure.peak));
    method_init(&m, &p->solo.setup, p->solo.stage, &spec, &p->arena);
    TRY(read_support(p, d, s));
    TRY(method_adapt(&m, &ep, p->own, &p->answer));
    if (!p->inductive)
        p->answer.statistics = NULL;
    return 0;
}

static int adapt_in_room(struct predict_model *p, const struct data *d)
{
    struct support_samples s = {
        .x = malloc(d->n_samples * shape_size(d->shape) * sizeof *s.x),
        .weight = malloc(d->n_samples * sizeof *s.weight),
        .label = malloc(d->n_samples * sizeof *s.label),
    };
    int code = s.x && s.weight && s.label
                   ? adapt(p, d, &s)
                   : err(ERR_MEMORY, "no memory for %u samples", d->n_samples);

    free(s.x);
    free(s.weight);
    free(s.label);
    return code;
}

static int adapt_to(struct predict_model *p, const struct data *d, const char *path)
{
    const struct shape *in = &p->solo.stage->net.in;
    struct survey survey;

    TRY(predict_classes(p, d));
    TRY(check_way(p, d, path));
    if (d->shape.h != in->h || d->shape.w != in->w || d->shape.c != in->c)
        return err(ERR_DATA, "'%s' holds samples of %d x %d x %d, the model takes %d x %d x %d",
                   path, d->shape.h, d->shape.w, d->shape.c, in->h, in->w, in->c);
    TRY(data_survey(d, &survey));
    p->support = survey.looks;
    return adapt_in_room(p, d);
}

static int adapt_to_table(struct predict_model *p, const char *support)
{
    struct predict_table t;
    int code;

    TRY(predict_table_open(&t, p, support, true));
    code = adapt_to(p, &t.data, support);
    data_close(&t.data);
    return code;
}

static int adapt_to_folders(struct predict_model *p, const char *support)
{
    struct data_config c = predict_section(p, support);
    struct data d;
    int code;

    c.name = "support";
    TRY(predict_there(support));
    TRY(data_open(&d, &c, ""));
    code = adapt_to(p, &d, support);
    data_close(&d);
    return code;
}

int predict_adapt(struct predict_model *p, const char *support)
{
    return p->tabular ? adapt_to_table(p, support) : adapt_to_folders(p, support);
}
