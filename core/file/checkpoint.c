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

/* `where`: "" for the parameters, "optimizer.exp_avg." or "kept.NAME." for others. */
static void tensor_name(const struct segment *s, const char *where, char *name, size_t n)
{

    snprintf(name, n, "%s%s", where, s->name);
}

/* One tensor per segment of a vector, exported into `bulk`. */
static void vector_tensors(const struct layout *l, const char *where, const real *vector,
                           real *bulk, struct tensor *tensors)
{
    for (int i = 0; i < l->n_segments; i++) {
        const struct segment *s = &l->segments[i];
        struct tensor *t = &tensors[i];

        *t = (struct tensor){.dtype = REAL_DTYPE, .n_dims = s->n_dims, .n = s->n};
        tensor_name(s, where, t->name, sizeof t->name);
        memcpy(t->dims, s->dims, sizeof s->dims);
        layout_export(s, vector, bulk + s->offset);
        t->data = bulk + s->offset;
    }
}

static int write_file(const char *path, const struct tensor *tensors, int n,
                      const struct checkpoint_info *info)
{
    char stage[16], round[24], seed[24], hash[20];
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
        {"run_id", info->run.id}, /* "" is told, too: see has_old_columns */
    };

    int n_texts = sizeof texts / sizeof *texts;

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

static void add_vector(const struct layout *l, const char *where, const real *vector, real **bulk,
                       struct tensor *tensors, int *n)
{
    vector_tensors(l, where, vector, *bulk, tensors + *n);
    *bulk += l->n;
    *n += l->n_segments;
}

int checkpoint_write(const char *path, const struct layout *l, const real *theta,
                     const struct optim_ops *ops, const real *state,
                     const struct checkpoint_info *info)
{
    int n_state = state ? ops->n_state : 0, n = 0, code;
    size_t room = 0;
    struct tensor *tensors =
        calloc((size_t)count_tensors(l, n_state, info, &room), sizeof *tensors);
    real *bulk = malloc(room * sizeof *bulk), *at = bulk;
    char where[KEPT_NAME + 8];

    if (!tensors || !bulk) {
        free(tensors);
        free(bulk);
        return err(ERR_MEMORY, "no memory to write '%s'", path);
    }
    add_vector(l, "", theta, &at, tensors, &n);
    for (int i = 0; i < n_state; i++) {
        state_prefix(ops->state_names[i], where);
        add_vector(l, where, state + (size_t)i * l->n, &at, tensors, &n);
    }
    for (int i = 0; i < info->n_kept; i++) {
        kept_prefix(info->kept[i].name, where);
        add_vector(info->kept[i].layout, where, info->kept[i].theta, &at, tensors, &n);
    }
    code = write_file(path, tensors, n, info);
    free(tensors);
    free(bulk);
    return code;
}

static void shape_text(int n, const size_t *dims, char *text, size_t size)
{
    int at = snprintf(text, size, "[");

    for (int i = 0; i < n && at < (int)size; i++)
        at += snprintf(text + at, size - (size_t)at, "%s%zu", i ? ", " : "", dims[i]);
    if (at < (int)size)
        snprintf(text + at, size - (size_t)at, "]");
}

static int same_shape(const struct segment *s, const struct tensor *t)
{
    return t->n_dims == s->n_dims &&
           memcmp(t->dims, s->dims, (size_t)s->n_dims * sizeof *s->dims) == 0;
}

static int check_tensor(const char *path, const struct segment *s, const struct tensor *t,
                        const char *name)
{
    char have[96], want[96];

    if (!t)
        return err(ERR_DATA, "'%s' has no tensor '%s': a checkpoint of another model", path, name);
    shape_text(t->n_dims, t->dims, have, sizeof have);
    shape_text(s->n_dims, s->dims, want, sizeof want);
    if (!same_shape(s, t))
        return err(ERR_DATA, "'%s': tensor '%s' is %s, the model needs %s", path, name, have, want);
    if (t->dtype != DTYPE_F32 && t->dtype != DTYPE_F64)
        return err(ERR_DATA, "'%s': tensor '%s' is %s, not F32 or F64", path, name,
                   dtype_name(t->dtype));
    return 0;
}

/* Before runs had ids, metaloop wrote the columns of a dense layer on a map as they lie in memory. */
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
               "'%s': tensor '%s' was written by an older metaloop, whose order of columns was "
               "not that of today: train that stage again, with --overwrite or from another "
               "stage's checkpoint",
               path, name);
}

/* Reads one vector. */
static int read_vector(const struct safetensors *f, const char *path, const struct layout *l,
                       const char *where, real *vector)
{
    real *torch = malloc(l->n * sizeof *torch);

    if (!torch)
        return err(ERR_MEMORY, "no memory to read '%s'", path);
    for (int i = 0; i < l->n_segments; i++) {
        const struct segment *s = &l->segments[i];
        const struct tensor *t;
        char name[96];
        int code;

        tensor_name(s, where, name, sizeof name);
        t = safetensors_find(f, name);
        code = check_tensor(path, s, t, name);
        if (code == 0)
            code = check_columns(f, path, s, name);
        if (code < 0) {
            free(torch);
            return code;
        }
        for (size_t k = 0; k < s->n; k++)
            torch[k] = (real)tensor_get(t, k);
        layout_import(s, torch, vector);
    }
    free(torch);
    return 0;
}

static bool is_parameter(const char *name)
{
    return strncmp(name, "optimizer.", 10) != 0 && strncmp(name, "kept.", 5) != 0;
}

/* A parameter the model has no place for: another model's file. Running statistics' counter is PyTorch's own. */
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
    char name[96];

    tensor_name(&l->segments[0], where, name, sizeof name);
    return safetensors_find(f, name) != NULL;
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

int checkpoint_configuration(const char *path, char **text)
{
    struct safetensors f;
    const char *found;
    int code = file_open(&f, path);

    TRY(code);
    found = safetensors_text(&f, "configuration");
    *text = found ? strdup(found) : NULL;
    safetensors_close(&f);
    return *text ? 0 : err(ERR_DATA, "'%s' carries no configuration", path);
}
