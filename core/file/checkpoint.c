/* checkpoint.c - layout and optimizer to and from safetensors. */
#include "core/file/checkpoint.h"

#include <inttypes.h>
#include <stdbool.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#define XXH_STATIC_LINKING_ONLY /* a state on the stack */
#include <xxhash.h>

#include "core/base/err.h"

#ifdef REAL64
static const enum dtype REAL_DTYPE = DTYPE_F64;
#else
static const enum dtype REAL_DTYPE = DTYPE_F32;
#endif

/* `where` is "" for parameters, "optimizer.exp_avg." or "kept.NAME." for other vectors. The caller
 * frees the result. NULL: no memory. */
static char *tensor_name(const struct segment *s, const char *where)
{
    size_t n = strlen(where) + strlen(s->name) + 1;
    char *name = malloc(n);

    if (name)
        snprintf(name, n, "%s%s", where, s->name);
    return name;
}

/* The content of a file before it is written. */
struct contents {
    int n;
    struct tensor *tensors; /* owned, (n), and their names */
    real *bulk;             /* owned: the vectors in the file's order, one behind the other */
    size_t used;            /* reals of bulk */
};

static void contents_release(struct contents *c)
{
    for (int i = 0; i < c->n; i++)
        free((char *)c->tensors[i].name);
    free(c->tensors);
    free(c->bulk);
}

/* One tensor per segment of a vector. */
static int add_vector(struct contents *c, const struct layout *l, const char *where,
                      const real *vector)
{
    real *bulk = c->bulk + c->used;

    for (int i = 0; i < l->n_segments; i++) {
        const struct segment *s = &l->segments[i];
        struct tensor *t = &c->tensors[c->n];

        *t = (struct tensor){.name = tensor_name(s, where),
                             .dtype = REAL_DTYPE,
                             .n_dims = s->n_dims,
                             .n = s->n,
                             .data = bulk + s->offset};
        if (!t->name)
            return err(ERR_MEMORY, "no memory for the name of a tensor");
        c->n++;
        memcpy(t->dims, s->dims, sizeof s->dims);
        layout_export(s, vector, bulk + s->offset);
    }
    c->used += l->n;
    return 0;
}

static int write_file(const char *path, const struct tensor *tensors, int n,
                      const struct checkpoint_info *info)
{
    char stage[16], round[24], seed[24], hash[20];
    enum { BESIDE = 2 };
    struct text texts[] = {
        {"format", "pt"},
        {"writer", "metaloop"},
        {"version", info->version},
        {"stage", stage},
        {"stage_name", info->stage_name},
        {"round", round},
        {"seed", seed},
        {"theta", hash},
        {"blas", info->blas},
        {"cpu", info->cpu},
        {"configuration", info->configuration},
        {"run_id", info->run.id}, /* "" is also written: see has_old_columns */
        [12] = {NULL, NULL},
        {NULL, NULL},
    };
    int n_texts = sizeof texts / sizeof *texts - BESIDE;

    if (info->data)
        texts[n_texts++] = (struct text){"data", info->data};
    if (info->adapted)
        texts[n_texts++] = (struct text){"adapted", info->adapted};

    snprintf(stage, sizeof stage, "%d", info->stage);
    snprintf(round, sizeof round, "%" PRIu64, info->round);
    snprintf(seed, sizeof seed, "%" PRIu64, info->seed);
    snprintf(hash, sizeof hash, "%016" PRIx64, info->hash);
    return safetensors_write(path, tensors, n, texts, n_texts);
}

static void state_prefix(const char *state, char where[KEPT_NAME + 8])
{
    snprintf(where, KEPT_NAME + 8, "optimizer.%s.", state);
}

static void kept_prefix(const char *name, char where[KEPT_NAME + 8])
{
    snprintf(where, KEPT_NAME + 8, "kept.%s.", name);
}

/* Tensors of a checkpoint; *room: their reals. */
static int count_tensors(const struct layout *l, int n_state, const struct checkpoint_info *info,
                         size_t *room)
{
    int n = (1 + n_state) * l->n_segments;

    *room = (size_t)(1 + n_state) * l->n;
    for (int i = 0; i < info->n_kept; i++) {
        n += info->kept[i].layout->n_segments;
        *room += info->kept[i].layout->n;
    }
    return n;
}

static int fill(struct contents *c, const struct layout *l, const real *theta,
                const struct optim_ops *ops, const real *state, const struct checkpoint_info *info)
{
    int n_state = state ? ops->n_state : 0;
    size_t room = 0;
    char where[KEPT_NAME + 8];

    c->tensors = calloc((size_t)count_tensors(l, n_state, info, &room), sizeof *c->tensors);
    c->bulk = malloc(room * sizeof *c->bulk);
    if (!c->tensors || !c->bulk)
        return err(ERR_MEMORY, "no memory for a copy of %zu parameters", room);
    TRY(add_vector(c, l, "", theta));
    for (int i = 0; i < n_state; i++) {
        state_prefix(ops->state_names[i], where);
        TRY(add_vector(c, l, where, state + (size_t)i * l->n));
    }
    for (int i = 0; i < info->n_kept; i++) {
        kept_prefix(info->kept[i].name, where);
        TRY(add_vector(c, info->kept[i].layout, where, info->kept[i].theta));
    }
    return 0;
}

int checkpoint_write(const char *path, const struct layout *l, const real *theta,
                     const struct optim_ops *ops, const real *state,
                     const struct checkpoint_info *info)
{
    struct contents c = {0};
    int code = fill(&c, l, theta, ops, state, info);

    code = code < 0 ? err_within(code, "cannot write '%s'", path)
                    : write_file(path, c.tensors, c.n, info);
    contents_release(&c);
    return code;
}

static int check_tensor(const char *path, const struct segment *s, const struct tensor *t,
                        const char *name)
{
    char have[96], want[96];

    if (!t)
        return err(ERR_DATA, "'%s' has no tensor '%s': a checkpoint of another model", path, name);
    shape_text(t->n_dims, t->dims, have, sizeof have);
    shape_text(s->n_dims, s->dims, want, sizeof want);
    if (!segment_has_shape(s, t->n_dims, t->dims))
        return err(ERR_DATA, "'%s': tensor '%s' is %s, the model needs %s", path, name, have, want);
    if (!dtype_is_real(t->dtype))
        return err(ERR_DATA, "'%s': tensor '%s' is %s, not F64, F32, F16 or BF16", path, name,
                   dtype_name(t->dtype));
    return 0;
}

/* Before runs had ids, metaloop wrote the columns of a dense layer on a map in memory order. */
static bool has_old_columns(const struct safetensors *f)
{
    const char *writer = safetensors_text(f, "writer");

    return writer && strcmp(writer, "metaloop") == 0 && !safetensors_text(f, "run_id");
}

static int check_columns(const struct safetensors *f, const char *path, const struct segment *s,
                         const char *name)
{
    if (!layout_reorders_columns(s) || !has_old_columns(f))
        return 0;
    return err(ERR_DATA,
               "'%s': tensor '%s' was written by an older metaloop, which ordered columns "
               "differently: train that stage again, with --overwrite or from another "
               "stage's checkpoint",
               path, name);
}

/* The tensor that holds a segment of a vector, checked. */
static int find_segment(const struct safetensors *f, const char *path, const struct segment *s,
                        const char *where, const struct tensor **t)
{
    char *name = tensor_name(s, where);
    int code;

    if (!name)
        return err(ERR_MEMORY, "no memory to read '%s'", path);
    *t = safetensors_find(f, name);
    code = check_tensor(path, s, *t, name);
    if (code == 0)
        code = check_columns(f, path, s, name);
    free(name);
    return code;
}

/* torch (P): room for a segment in PyTorch's order */
static int read_segments(const struct safetensors *f, const char *path, const struct layout *l,
                         const char *where, real *torch, real *vector)
{
    for (int i = 0; i < l->n_segments; i++) {
        const struct segment *s = &l->segments[i];
        const struct tensor *t = NULL;

        TRY(find_segment(f, path, s, where, &t));
        for (size_t k = 0; k < s->n; k++)
            torch[k] = (real)tensor_get(t, k);
        layout_import(s, torch, vector);
    }
    return 0;
}

/* Reads one vector. */
static int read_vector(const struct safetensors *f, const char *path, const struct layout *l,
                       const char *where, real *vector)
{
    real *torch = malloc(l->n * sizeof *torch);
    int code = torch ? read_segments(f, path, l, where, torch, vector)
                     : err(ERR_MEMORY, "no memory to read '%s'", path);

    free(torch);
    return code;
}

static bool is_parameter(const char *name)
{
    return strncmp(name, "optimizer.", 10) != 0 && strncmp(name, "kept.", 5) != 0;
}

/* A parameter that the model does not have means a file of another model. Only the counter of
 * running statistics, which PyTorch writes, is skipped. */
static int check_strangers(const struct safetensors *f, const char *path, const struct layout *l)
{
    for (int i = 0; i < f->n_tensors; i++) {
        const char *name = f->tensors[i].name, *dot = strrchr(name, '.');

        if (is_parameter(name) && !layout_find(l, name) &&
            !(dot && strcmp(dot, ".num_batches_tracked") == 0))
            return err(ERR_DATA,
                       "'%s' has a tensor '%s' that the model does not: a checkpoint of "
                       "another model",
                       path, name);
    }
    return 0;
}

static uint64_t text_number(const struct safetensors *f, const char *key, int base)
{
    const char *text = safetensors_text(f, key);

    return text ? strtoull(text, NULL, base) : 0;
}

static void text_copy(const struct safetensors *f, const char *key, char to[CHECKPOINT_TEXT])
{
    const char *text = safetensors_text(f, key);

    snprintf(to, CHECKPOINT_TEXT, "%s", text ? text : "");
}

static bool has_statistics(const struct safetensors *f)
{
    for (int i = 0; i < f->n_tensors; i++) {
        const char *name = f->tensors[i].name, *dot = strrchr(name, '.');

        if (is_parameter(name) && dot && strcmp(dot, ".running_mean") == 0)
            return true;
    }
    return false;
}

static void read_info(const struct safetensors *f, struct checkpoint_info *info)
{
    const char *id = safetensors_text(f, "run_id");

    *info = (struct checkpoint_info){
        .stage = (int)text_number(f, "stage", 10),
        .round = text_number(f, "round", 10),
        .seed = text_number(f, "seed", 10),
        .hash = text_number(f, "theta", 16),
        .statistics = has_statistics(f),
    };
    text_copy(f, "stage_name", info->stage_name);
    text_copy(f, "version", info->version);
    text_copy(f, "blas", info->blas);
    text_copy(f, "cpu", info->cpu);
    if (run_id_is(id))
        strcpy(info->run.id, id);
}

int checkpoint_check(const struct safetensors *f, const char *path)
{
    const char *told = safetensors_text(f, "theta");
    XXH64_state_t state;

    if (!told)
        return 0;
    XXH64_reset(&state, 0);
    for (int i = 0; i < f->n_tensors; i++) {
        const struct tensor *t = &f->tensors[i];

        if (is_parameter(t->name))
            XXH64_update(&state, t->data, t->n * dtype_size(t->dtype));
    }
    if (XXH64_digest(&state) != strtoull(told, NULL, 16))
        return err(ERR_DATA,
                   "'%s' is damaged: its parameters have digest %016" PRIx64 ", 'theta' is %s",
                   path, (uint64_t)XXH64_digest(&state), told);
    return 0;
}

static int file_open(struct safetensors *f, const char *path)
{
    int code;

    TRY(safetensors_open(f, path));
    code = checkpoint_check(f, path);
    if (code < 0)
        safetensors_close(f);
    return code;
}

static bool has_vector(const struct safetensors *f, const struct layout *l, const char *where)
{
    size_t n = strlen(where);

    for (int i = 0; i < f->n_tensors; i++)
        if (strncmp(f->tensors[i].name, where, n) == 0 &&
            strcmp(f->tensors[i].name + n, l->segments[0].name) == 0)
            return true;
    return false;
}

static int read_all(const struct safetensors *f, const char *path, const struct layout *l,
                    real *theta, const struct optim_ops *ops, real *state)
{
    TRY(check_strangers(f, path, l));
    TRY(read_vector(f, path, l, "", theta));
    for (int i = 0; state && i < ops->n_state; i++) {
        real *vector = state + (size_t)i * l->n;
        char where[KEPT_NAME + 8];

        memset(vector, 0, l->n * sizeof *vector);
        state_prefix(ops->state_names[i], where);
        if (has_vector(f, l, where))
            TRY(read_vector(f, path, l, where, vector));
    }
    return 0;
}

int checkpoint_read(const char *path, const struct layout *l, real *theta,
                    const struct optim_ops *ops, real *state, struct checkpoint_info *info)
{
    struct safetensors f;
    int code = file_open(&f, path);

    TRY(code);
    read_info(&f, info);
    code = read_all(&f, path, l, theta, ops, state);
    safetensors_close(&f);
    return code;
}

int checkpoint_read_kept(const char *path, const char *name, const struct layout *l, real *theta)
{
    char where[KEPT_NAME + 8];
    struct safetensors f;
    int code;

    TRY(file_open(&f, path));
    kept_prefix(name, where);
    code = read_vector(&f, path, l, where, theta);
    safetensors_close(&f);
    return code;
}

int checkpoint_peek(const char *path, struct checkpoint_info *info)
{
    struct safetensors f;

    TRY(file_open(&f, path));
    read_info(&f, info);
    safetensors_close(&f);
    return 0;
}

int checkpoint_text(const char *path, const char *key, char **text)
{
    struct safetensors f;
    const char *found;

    TRY(file_open(&f, path));
    found = safetensors_text(&f, key);
    *text = found ? strdup(found) : NULL;
    safetensors_close(&f);
    return found && !*text ? err(ERR_MEMORY, "no memory to read '%s'", path) : 0;
}

int checkpoint_configuration(const char *path, char **text)
{
    TRY(checkpoint_text(path, "configuration", text));
    return *text ? 0 : err(ERR_DATA, "'%s' carries no configuration", path);
}
