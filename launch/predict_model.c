/* predict_model.c - from a checkpoint to something that answers. */
#include "launch/predict_model.h"

#include <errno.h>
#include <jansson.h>
#include <stdlib.h>
#include <string.h>
#include <sys/stat.h>

#include "core/base/err.h"
#include "core/base/nearest.h"
#include "core/file/checkpoint.h"
#include "core/math/vec.h"
#include "core/plan/task_kind.h"

enum { NAME = 4096 };

/* ---- which stage, which section, which model ---- */

static int unknown_section(const struct predict_model *p, const char *name)
{
    const char *names[CONFIG_DATA_MAX + 1] = {0};
    char hint[NEAREST_HINT];

    for (int i = 0; i < p->solo.config.n_data; i++)
        names[i] = p->solo.config.data[i].name;
    return err(ERR_USAGE, "'%s' has no data section '%s'%s", p->path, name,
               nearest_hint(name, names, hint));
}

static bool is_open(const struct predict_model *p, int i)
{
    return i >= 0 && p->solo.setup.data[i].ops;
}

/* --domain, or the target that the stage adapts to, or its data. */
static int choose_section(struct predict_model *p, const char *domain)
{
    const struct setup *s = &p->solo.setup;
    const struct stage *stage = p->solo.stage;
    const struct data_config *found = domain ? config_find_data(s->config, domain) : NULL;

    p->data = stage->n_targets == 1 ? stage->target[0] : stage->data;
    if (domain) {
        p->data = found ? (int)(found - s->config->data) : -1;
        if (!is_open(p, p->data))
            return unknown_section(p, domain);
    }
    if (stage_model(s, stage, p->data) < 0)
        return err(ERR_USAGE,
                   "stage '%s' has a model for each of its %d targets: choose one with --domain, "
                   "for example %s",
                   stage->config->name, stage->n_targets, s->data[stage->target[0]].name);
    return 0;
}

/* Grey or in colour, and resized, as the network takes images; if these are not square, others must
 * have their size. */
static void make_section(struct predict_model *p)
{
    const struct shape *s = &p->solo.setup.data[p->data].shape;
    struct data_config *c = &p->section;

    *c = p->solo.config.data[p->data];
    p->tabular = strcmp(c->format, "table") == 0;
    c->path = c->labels = c->names = c->domain = c->time = NULL;
    c->rotations = NULL;
    c->classes = (struct strings){0};
    c->first = c->subset = c->least = 0;
    if (p->tabular)
        return;
    c->format = "folder";
    if (c->channels == 0 && (s->c == 1 || s->c == 3))
        c->channels = s->c;
    if (c->resize == 0 && s->h == s->w && s->h > 2 * c->margin)
        c->resize = s->h - 2 * c->margin;
}

struct data_config predict_section(const struct predict_model *p, const char *path)
{
    struct data_config c = p->section;

    c.path = (char *)path; /* nobody writes to it */
    return c;
}

int predict_there(const char *path)
{
    struct stat st;

    if (stat(path, &st) < 0)
        return err(ERR_NOINPUT, "cannot open '%s': %s", path, strerror(errno));
    return 0;
}

/* ---- what outputs mean ---- */

static int take_class(struct predict_model *p, const char *name)
{
    char **grown = realloc(p->classes, (p->n_classes + 1) * sizeof *grown);
    char *copy = strdup(name);

    if (grown)
        p->classes = grown;
    if (!grown || !copy) {
        free(copy);
        return err(ERR_MEMORY, "no memory for %u class names", p->n_classes);
    }
    grown[p->n_classes++] = copy;
    return 0;
}

int predict_classes(struct predict_model *p, const struct data *d)
{
    char name[NAME];

    for (uint32_t i = 0; i < d->n_classes; i++) {
        data_class_name(d, i, name, sizeof name);
        TRY(take_class(p, name));
    }
    return 0;
}

/* The classes of the section that the head was trained on; lwf: of the old head for its data. */
static int whole_set_classes(struct predict_model *p)
{
    const struct setup *s = &p->solo.setup;
    const struct stage *stage = p->solo.stage;
    bool old = stage_measures_old(stage, p->data) && stage->anchor >= 0;
    int head = setup_head(s, old ? &s->stages[stage->anchor] : stage);

    return predict_classes(p, &s->data[head < 0 ? stage->data : head]);
}

/* ---- protocol ---- */

int predict_protocol(struct predict_model *p, bool inductive)
{
    bool coupled = stage_is_transductive(p->solo.stage);

    if (!coupled && !inductive)
        return err(ERR_USAGE, "'--protocol transductive' needs batch statistics; this model "
                              "answers each query alone");
    if (coupled && inductive && !p->few_shot)
        return err(
            ERR_USAGE,
            "'--protocol inductive' needs a support, whose statistics stand for the batch's; "
            "stage '%s' was trained on whole data sets: by model.statistics = \"running\" "
            "it would answer so",
            p->solo.stage->config->name);
    if (coupled && inductive && p->n_classes > 0 && !p->observed)
        return err(ERR_USAGE,
                   "'%s' was saved without the statistics of its support: '--protocol inductive' "
                   "beside --save keeps them",
                   p->path);
    p->inductive = coupled && inductive;
    p->coupled = coupled && !inductive;
    p->answer.statistics = p->inductive ? p->observed : NULL;
    return 0;
}

/* ---- an adapted model's file ---- */

/* The statistics of the support, in a layout of one segment; of none if there are none. */
static int observed_layout(const struct predict_model *p, struct layout *l)
{
    size_t n = net_statistics(&p->solo.stage->net);

    *l = (struct layout){0};
    if (n == 0)
        return 0;
    return layout_add(l, (struct segment){.name = "batch", .n_dims = 1, .dims = {n}});
}

/* Of a file that was saved to answer inductively. */
static int read_observed(struct predict_model *p)
{
    struct layout l;
    int code = observed_layout(p, &l);

    if (code >= 0) {
        p->observed = malloc(l.n * sizeof *p->observed);
        code = p->observed ? checkpoint_read_kept(p->path, "statistics", &l, p->observed)
                           : err(ERR_MEMORY, "no memory for %zu numbers", l.n);
    }
    layout_release(&l);
    return code < 0 ? code : predict_protocol(p, true);
}

/* prototypes: what the method remembers of each class. */
static int memory_layout(const struct predict_model *p, struct method *m, struct layout *l)
{
    *l = (struct layout){0};
    if (!m->ops->remembers)
        return 0;
    return layout_add(l, (struct segment){.name = "prototypes",
                                          .n_dims = 2,
                                          .dims = {p->n_classes, m->ops->remembers(m)}});
}

static struct method plain_method(const struct predict_model *p)
{
    struct arena measure = arena_measuring();
    struct method_spec spec = {.evaluate = true, .n_support = 1, .n_query = 1};
    struct method m;

    method_init(&m, &p->solo.setup, p->solo.stage, &spec, &measure);
    return m;
}

static int read_memory(struct predict_model *p)
{
    struct method m = plain_method(p);
    struct layout l;
    int code = memory_layout(p, &m, &l);

    if (code >= 0 && l.n > 0) {
        p->memory = malloc(l.n * sizeof *p->memory);
        code = p->memory ? checkpoint_read_kept(p->path, "adapted", &l, p->memory)
                         : err(ERR_MEMORY, "no memory for %zu numbers", l.n);
    }
    layout_release(&l);
    p->answer = (struct adapted){.theta = p->own,
                                 .memory = p->memory,
                                 .n_out = p->memory ? (int)p->n_classes : m.net->n_out};
    return code;
}

static int read_adapted(struct predict_model *p, json_t *o)
{
    json_t *names = json_object_get(o, "classes"), *name;
    size_t i;

    if (!json_is_array(names) || json_array_size(names) == 0)
        return err(ERR_DATA, "'%s': 'adapted' in its metadata names no classes", p->path);
    json_array_foreach(names, i, name)
    {
        if (!json_is_string(name))
            return err(ERR_DATA, "'%s': 'adapted' in its metadata names no classes", p->path);
        TRY(take_class(p, json_string_value(name)));
    }
    p->steps = (int)json_integer_value(json_object_get(o, "steps"));
    if (!predict_takes_any(p) && p->n_classes > (uint32_t)p->solo.stage->net.n_out)
        return err(ERR_DATA, "'%s': 'adapted' in its metadata names %u classes, the model tells %d",
                   p->path, p->n_classes, p->solo.stage->net.n_out);
    TRY(read_memory(p));
    if (!json_is_true(json_object_get(o, "inductive")) || !stage_is_transductive(p->solo.stage))
        return 0;
    return read_observed(p);
}

/* An adapted model tells so in its metadata. */
static int recall_adapted(struct predict_model *p)
{
    char *text;
    json_t *o;
    int code;

    TRY(checkpoint_text(p->path, "adapted", &text));
    if (!text)
        return 0;
    o = json_loads(text, 0, NULL);
    code = read_adapted(p, o);
    json_decref(o);
    free(text);
    return code;
}

static int adapted_text(const struct predict_model *p, char **text)
{
    json_t *names = json_array(), *o;

    for (uint32_t i = 0; i < p->n_classes; i++)
        if (json_array_append_new(names, json_string(p->classes[i])) < 0) {
            json_decref(names);
            return err(ERR_DATA, "'--save' cannot write the class name '%s': it is not UTF-8",
                       p->classes[i]);
        }
    o = json_pack("{s:o, s:i, s:I}", "classes", names, "steps", p->steps, "support",
                  (json_int_t)p->n_support);
    if (p->inductive)
        json_object_set_new(o, "inductive", json_true());
    *text = json_dumps(o, JSON_COMPACT);
    json_decref(o);
    return *text ? 0 : err(ERR_MEMORY, "no memory for %u class names", p->n_classes);
}

static int write_adapted(const struct predict_model *p, const char *path, real *theta,
                         struct checkpoint_info *info)
{
    const struct layout *l = &p->solo.stage->layout;
    struct method m = plain_method(p);
    struct layout memory, observed;
    int code = memory_layout(p, &m, &memory), more = observed_layout(p, &observed);
    real *scratch = malloc(l->n * sizeof *scratch);

    if (memory.n > 0)
        info->kept[info->n_kept++] = (struct kept){"adapted", &memory, p->answer.memory};
    if (p->inductive)
        info->kept[info->n_kept++] = (struct kept){"statistics", &observed, p->answer.statistics};
    code = code < 0 ? code : more;
    memcpy(theta, p->theta, l->n * sizeof *theta);
    vec_copy(p->solo.stage->net.layout.n, p->answer.theta, theta + (p->own - p->theta));
    code = code < 0 || scratch ? code : err(ERR_MEMORY, "no memory to write '%s'", path);
    if (code >= 0) {
        info->hash = layout_hash(l, theta, scratch);
        code = checkpoint_write(path, l, theta, NULL, NULL, info);
    }
    free(scratch);
    layout_release(&memory);
    layout_release(&observed);
    return code;
}

int predict_save(const struct predict_model *p, const char *path)
{
    struct checkpoint_info info;
    char *configuration = NULL, *data = NULL, *adapted = NULL;
    real *theta = malloc(p->solo.stage->layout.n * sizeof *theta);
    int code = checkpoint_peek(p->path, &info);

    if (code >= 0)
        code = checkpoint_text(p->path, "configuration", &configuration);
    if (code >= 0)
        code = checkpoint_text(p->path, "data", &data);
    if (code >= 0)
        code = adapted_text(p, &adapted);
    if (code >= 0 && !theta)
        code = err(ERR_MEMORY, "no memory to write '%s'", path);
    info.configuration = configuration, info.data = data, info.adapted = adapted;
    if (code >= 0)
        code = write_adapted(p, path, theta, &info);
    free(configuration);
    free(data);
    free(adapted);
    free(theta);
    return code;
}

/* ---- opening ---- */

static int read_theta(struct predict_model *p)
{
    const struct stage *stage = p->solo.stage;
    struct checkpoint_info info;
    int model = stage_model(&p->solo.setup, stage, p->data), code;
    char of[CHECKPOINT_TEXT];

    p->theta = malloc(stage->layout.n * sizeof *p->theta);
    if (!p->theta)
        return err(ERR_MEMORY, "no memory for %zu parameters", stage->layout.n);
    p->own = p->theta + (size_t)model * stage->model.n;
    TRY(checkpoint_peek(p->path, &info));
    snprintf(of, sizeof of, "%s", info.stage_name);
    code = checkpoint_read(p->path, &stage->layout, p->theta, NULL, NULL, &info);
    if (code == ERR_DATA && strcmp(of, stage->config->name) != 0)
        code = err_within(code, "stage '%s', a file of stage '%s'", stage->config->name, of);
    return code;
}

int predict_open(struct predict_model *p, const struct options *o, const char *checkpoint)
{
    *p = (struct predict_model){.path = checkpoint};
    TRY(solo_open_checkpoint(&p->solo, o, checkpoint));
    TRY(choose_section(p, o->domain));
    make_section(p);
    TRY(read_theta(p));
    p->few_shot = p->solo.stage->measured->few_shot;
    p->coupled = stage_is_transductive(p->solo.stage);
    p->steps = o->steps ? (int)o->steps : p->solo.stage->evaluate_steps;
    if (p->solo.setup.data[p->data].n_target)
        return 0;
    return p->few_shot ? recall_adapted(p) : whole_set_classes(p);
}

bool predict_takes_any(const struct predict_model *p)
{
    return plain_method(p).ops->adapt != NULL;
}

bool predict_waits(const struct predict_model *p)
{
    return p->few_shot && p->n_classes == 0;
}

void predict_close(struct predict_model *p)
{
    for (uint32_t i = 0; i < p->n_classes; i++)
        free(p->classes[i]);
    free(p->classes);
    free(p->theta);
    free(p->memory);
    free(p->observed);
    arena_release(&p->arena);
    solo_close(&p->solo);
    *p = (struct predict_model){0};
}
