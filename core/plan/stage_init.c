/* stage_init.c - pairs a stage's parameters with the tensors of a file. */
#include "core/plan/stage_init.h"

#include <math.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#include "core/base/err.h"
#include "core/plan/hand_over.h"
#include "core/plan/task_kind.h"

static const char *path_of(const struct stage_init *in)
{
    return in->stage->config->init;
}

static const struct segment *segment_of(const struct stage_init *in, int i)
{
    return &in->stage->model.segments[i];
}

/* A parameter of the network itself, or of an old head: the file has to have it. */
static bool is_needed(const struct stage_init *in, int i)
{
    const struct segment *s = segment_of(in, i);

    return s->role == ROLE_OLD || (s->offset < in->stage->net.layout.n && s->role != ROLE_SCALE);
}

/* ---- pairs ---- */

static bool knows_a_name(const struct state_dict *d, const struct layout *l)
{
    for (int i = 0; i < l->n_segments; i++)
        if (state_dict_find(d, l->segments[i].name))
            return true;
    return false;
}

static void find_origin(struct stage_init *in, int i)
{
    const struct segment *s = segment_of(in, i);
    const char *name = hand_over_name(in->stage, s);
    struct origin *o = &in->origins[i];

    o->entry = name ? state_dict_find(&in->dict, name) : NULL;
    if (!name)
        o->kind = ORIGIN_NEW;
    else if (!o->entry)
        o->kind = ORIGIN_ABSENT;
    else
        o->kind = state_entry_fits(o->entry, s) ? ORIGIN_FILE : ORIGIN_SHAPE;
}

/* A head of which a part has another shape is another head. */
static void settle_head(struct stage_init *in)
{
    bool other = false;

    for (int i = 0; i < in->stage->model.n_segments; i++)
        other |= segment_of(in, i)->role == ROLE_HEAD && in->origins[i].kind == ORIGIN_SHAPE;
    for (int i = 0; i < in->stage->model.n_segments && other; i++)
        if (segment_of(in, i)->role == ROLE_HEAD && in->origins[i].kind == ORIGIN_FILE)
            in->origins[i].kind = ORIGIN_SHAPE;
}

static void find_origins(struct stage_init *in)
{
    for (int i = 0; i < in->stage->model.n_segments; i++)
        find_origin(in, i);
    settle_head(in);
    for (int i = 0; i < in->stage->model.n_segments; i++)
        if (in->origins[i].kind == ORIGIN_FILE)
            in->origins[i].entry->taken = true;
}

/* ---- what is refused ---- */

/* A tensor that is not taken and has the segment's shape; NULL: none. */
static const char *other_of_shape(const struct stage_init *in, const struct segment *s)
{
    for (int i = 0; i < in->dict.n; i++)
        if (!in->dict.entries[i].taken && state_entry_fits(&in->dict.entries[i], s))
            return in->dict.entries[i].tensor->name;
    return NULL;
}

static int refuse(const struct stage_init *in, int i)
{
    const struct segment *s = segment_of(in, i);
    const struct origin *o = &in->origins[i];
    const char *other = other_of_shape(in, s), *name = hand_over_name(in->stage, s);
    char have[96], want[96];

    shape_text(s->n_dims, s->dims, want, sizeof want);
    if (o->kind == ORIGIN_ABSENT)
        return err(ERR_DATA,
                   "'%s' has no '%s' %s%s%s%s: name it in init_map, or set init_strict = false to "
                   "draw it anew",
                   path_of(in), name, want, other ? " ('" : "", other ? other : "",
                   other ? "' has that shape)" : "");
    shape_text(o->entry->tensor->n_dims, o->entry->tensor->dims, have, sizeof have);
    return err(ERR_DATA,
               "'%s': '%s' is %s, the network's '%s' is %s: another model, or init_strict = false "
               "to draw it anew",
               path_of(in), o->entry->tensor->name, have, s->name, want);
}

/* The length of the name's part before its last dot. */
static size_t module_length(const char *name)
{
    const char *dot = strrchr(name, '.');

    return dot ? (size_t)(dot - name) : 0;
}

/* A weight or bias is left, of a module of which another tensor is taken: the network has none. */
static int check_left(const struct stage_init *in, const struct state_entry *left)
{
    size_t n = module_length(left->name);

    if (!left->taken && strcmp(left->name, "normalize1.mean") == 0)
        return err(ERR_DATA,
                   "'%s' has the means of normalized inputs, this stage does not normalize: set "
                   "normalize = {\"computed\"}, or init_strict = false to leave them",
                   path_of(in));
    if (left->taken ||
        (strcmp(left->name + n, ".bias") != 0 && strcmp(left->name + n, ".weight") != 0))
        return 0;
    for (int i = 0; i < in->stage->net.layout.n_segments; i++) {
        const char *name = in->stage->net.layout.segments[i].name;
        const struct origin *o = &in->origins[i];

        if (o->kind == ORIGIN_FILE && module_length(name) == n && strncmp(name, left->name, n) == 0)
            return err(ERR_DATA,
                       "'%s' has '%s', but the network's '%.*s' has no %s: a model with one, or "
                       "init_strict = false to leave it",
                       path_of(in), left->tensor->name, (int)n, left->name, left->name + n + 1);
    }
    return 0;
}

static int check_strict(const struct stage_init *in)
{
    for (int i = 0; i < in->stage->model.n_segments; i++) {
        const struct origin *o = &in->origins[i];
        bool head = segment_of(in, i)->role == ROLE_HEAD;

        if (is_needed(in, i) && (o->kind == ORIGIN_ABSENT || (o->kind == ORIGIN_SHAPE && !head)))
            return refuse(in, i);
    }
    for (int i = 0; i < in->dict.n; i++)
        TRY(check_left(in, &in->dict.entries[i]));
    return 0;
}

/* Statistics that do not move must have been estimated. */
static int check_statistics(const struct stage_init *in)
{
    for (int i = 0; i < in->stage->model.n_segments; i++)
        if (segment_of(in, i)->role == ROLE_STAT && in->origins[i].kind != ORIGIN_FILE &&
            in->stage->optim.still > 0 && !in->stage->measured->few_shot)
            return err(ERR_DATA,
                       "'%s' has no '%s', and with a frozen body the stage does not estimate it: "
                       "set model.statistics = \"batch\", or body_rate",
                       path_of(in), segment_of(in, i)->name);
    return 0;
}

static int check_numbers(const struct stage_init *in, const struct tensor *t)
{
    if (!dtype_is_real(t->dtype))
        return err(ERR_DATA, "'%s': tensor '%s' is %s, not F64, F32, F16 or BF16", path_of(in),
                   t->name, dtype_name(t->dtype));
    for (size_t k = 0; k < t->n; k++)
        if (!isfinite((real)tensor_get(t, k)))
            return err(ERR_DATA, "'%s': tensor '%s' has a number that is not finite, element %zu",
                       path_of(in), t->name, k);
    return 0;
}

static int check_taken(const struct stage_init *in)
{
    bool any = false;

    for (int i = 0; i < in->stage->model.n_segments; i++)
        if (in->origins[i].kind == ORIGIN_FILE) {
            any |= is_needed(in, i);
            TRY(check_numbers(in, in->origins[i].entry->tensor));
        }
    return any ? 0
               : err(ERR_DATA,
                     "'%s' has nothing that fits the network: no tensor with a name and shape of "
                     "it (init_map says which is which; metaloop inspect --all lists them)",
                     path_of(in));
}

/* ---- opening ---- */

static int fill(struct stage_init *in)
{
    const struct stage *stage = in->stage;

    in->origins = calloc((size_t)stage->model.n_segments + 1, sizeof *in->origins);
    if (!in->origins)
        return err(ERR_MEMORY, "no memory for %d segments", stage->model.n_segments);
    if (stage->config->init_map.n == 0 && !knows_a_name(&in->dict, &stage->net.layout))
        in->by_order = state_dict_order(&in->dict, &stage->net.layout);
    find_origins(in);
    TRY(check_taken(in));
    if (stage->config->init_strict)
        TRY(check_strict(in));
    return check_statistics(in);
}

int stage_init_open(struct stage_init *in, const struct stage *stage)
{
    int code;

    *in = (struct stage_init){.stage = stage};
    code = state_dict_open(&in->dict, path_of(in), stage->config->init_map.items,
                           stage->config->init_map.n);
    if (code >= 0)
        code = fill(in);
    if (code < 0) {
        stage_init_close(in);
        return err_within(code, "stage '%s'", stage->config->name);
    }
    return 0;
}

void stage_init_close(struct stage_init *in)
{
    state_dict_close(&in->dict);
    free(in->origins);
    *in = (struct stage_init){0};
}

int stage_init_take(const struct stage_init *in, real *theta)
{
    const struct layout *model = &in->stage->model;
    real *torch = malloc(model->n * sizeof *torch);

    if (!torch)
        return err(ERR_MEMORY, "no memory for %zu parameters", model->n);
    for (int i = 0; i < model->n_segments; i++) {
        const struct tensor *t = in->origins[i].entry ? in->origins[i].entry->tensor : NULL;

        if (in->origins[i].kind != ORIGIN_FILE)
            continue;
        for (size_t k = 0; k < t->n; k++)
            torch[k] = (real)tensor_get(t, k);
        for (int b = 0; b < in->stage->n_models; b++)
            layout_import(&model->segments[i], torch, theta + (size_t)b * model->n);
    }
    free(torch);
    return 0;
}

/* ---- in words ---- */

void stage_init_reason(const struct stage_init *in, int i, char *text, size_t n)
{
    const struct origin *o = &in->origins[i];
    const struct tensor *t = o->entry ? o->entry->tensor : NULL;
    char shape[96];

    if (o->kind == ORIGIN_NEW)
        snprintf(text, n, "'%s' makes a new one", in->stage->config->method);
    else if (!t)
        snprintf(text, n, "not in the file");
    else if (state_entry_fits(o->entry, segment_of(in, i)))
        snprintf(text, n, "as the rest of the head");
    else {
        shape_text(t->n_dims, t->dims, shape, sizeof shape);
        snprintf(text, n, "'%.400s' is %s", t->name, shape);
    }
}

static void describe_left(const struct stage_init *in, void (*say)(void *context, const char *line),
                          void *context)
{
    for (int i = 0; i < in->dict.n; i++) {
        char line[640];

        snprintf(line, sizeof line, "  left: %.500s", in->dict.entries[i].tensor->name);
        if (!in->dict.entries[i].taken)
            say(context, line);
    }
}

void stage_init_describe(const struct stage_init *in, void (*say)(void *context, const char *line),
                         void *context)
{
    char line[1400], reason[640];

    snprintf(line, sizeof line, "  starts from '%.1000s', digest %016lx, %s", path_of(in),
             (unsigned long)in->dict.digest,
             in->by_order ? "by order and shape, because no name is the network's" : "by name");
    say(context, line);
    for (int i = 0; i < in->stage->model.n_segments; i++) {
        const struct origin *o = &in->origins[i];
        const char *name = segment_of(in, i)->name;

        stage_init_reason(in, i, reason, sizeof reason);
        if (o->kind == ORIGIN_FILE)
            snprintf(line, sizeof line, "  %-28s <- %.500s, %s", name, o->entry->tensor->name,
                     dtype_name(o->entry->tensor->dtype));
        else
            snprintf(line, sizeof line, "  %-28s drawn anew: %s", name, reason);
        say(context, line);
    }
    describe_left(in, say, context);
}
