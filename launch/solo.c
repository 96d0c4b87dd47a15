/* solo.c - configuration to setup in one process. */
#include "launch/solo.h"

#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/stat.h>

#include "core/base/err.h"
#include "core/base/nearest.h"
#include "core/base/table.h"
#include "core/file/checkpoint.h"
#include "core/file/checkpoint_files.h"
#include "core/math/blas.h"
#include "core/plan/scale.h"
#include "worker/method/table.h"

int check_methods(const struct config *c)
{
    char hint[NEAREST_HINT];

    for (int i = 0; i < c->n_stages; i++)
        if (!method_find(c->stages[i].method))
            return err(ERR_CONFIG, "stage '%s': unknown method '%s'%s", c->stages[i].name,
                       c->stages[i].method, table_hint(method_table, c->stages[i].method, hint));
    return 0;
}

int check_first(const struct config *c)
{
    const struct stage_config *first = &c->stages[0];
    const struct method_traits *traits = method_traits_of(first->method);

    if (traits && traits->new_head && !*first->init)
        return err(ERR_CONFIG, "stage '%s': method '%s' needs a stage before it, or 'init'",
                   first->name, first->method);
    return 0;
}

int settle_statistics(struct config *c, const char *path)
{
    struct checkpoint_info info;

    TRY(checkpoint_peek(path, &info));
    for (int i = 0; i < c->n_models && !info.statistics; i++) {
        struct model_config *m = &c->models[i];

        if (strcmp(m->statistics, "auto") != 0)
            continue;
        free(m->statistics);
        m->statistics = strdup("batch");
        if (!m->statistics)
            return err(ERR_MEMORY, "no memory for the configuration");
    }
    return 0;
}

/* memory: what a checkpoint tells of the data; NULL: they are opened. */
static int solo_finish(struct solo *s, const struct options *o, const char *memory)
{
    int code = check_methods(&s->config);

    blas_single_thread();
    if (code >= 0 && !o->params && !o->gradients)
        code = check_first(&s->config);
    if (code >= 0 && o->params)
        code = settle_statistics(&s->config, o->params);
    if (code >= 0)
        code = setup_recall(&s->setup, &s->config, options_data_root(o), method_traits_of, memory);
    if (code >= 0)
        code = setup_stage(&s->setup, o->stage, &s->stage);
    if (code < 0)
        solo_close(s);
    return code;
}

int solo_open(struct solo *s, const struct options *o)
{
    *s = (struct solo){0};
    TRY(config_read(&s->config, o->places[0], o->sets, o->n_sets, stage_owner));
    return solo_finish(s, o, NULL);
}

int solo_open_text(struct solo *s, const struct options *o, const char *text, const char *name)
{
    *s = (struct solo){0};
    TRY(config_recall(&s->config, text, name, o->sets, o->n_sets, stage_owner));
    return solo_finish(s, o, NULL);
}

static int recall(struct solo *s, const struct options *o, const char *path, const char *text,
                  const char *memory)
{
    struct checkpoint_info info;
    int code;

    TRY(checkpoint_peek(path, &info));
    TRY(config_recall(&s->config, text, path, o->sets, o->n_sets, stage_owner));
    code = solo_finish(s, o, memory);
    TRY(code == ERR_DATA ? err_within(code, "'%s'", path) : code);
    code = o->stage ? 0 : setup_stage(&s->setup, info.stage_name, &s->stage);
    if (code < 0)
        solo_close(s);
    return code;
}

static void complain(void *context, const char *sentence)
{
    (void)context;
    fprintf(stderr, "warning: %s; the one before it is used\n", sentence);
}

int solo_find_checkpoint(const char *given, char *path, size_t n)
{
    struct stat st;
    int found;

    snprintf(path, n, "%s", given);
    if (stat(given, &st) != 0 || !S_ISDIR(st.st_mode))
        return 0;
    found = checkpoint_newest(given, NULL, path, n, complain, NULL);
    return found ? found : err(ERR_NOINPUT, "'%s' holds no checkpoint", given);
}

int solo_open_checkpoint(struct solo *s, const struct options *o, const char *path)
{
    char *text = NULL, *memory = NULL;
    int code = checkpoint_configuration(path, &text);

    *s = (struct solo){0};
    if (code >= 0)
        code = checkpoint_text(path, "data", &memory);
    if (code >= 0)
        code = recall(s, o, path, text, memory);
    free(text);
    free(memory);
    return code;
}

int solo_draw(const struct setup *s, const struct stage *stage, uint64_t seed, real *theta)
{
    struct scale_note note;

    layout_init(&stage->model, seed, stage->index, theta);
    return scale_fill(s, stage, 1, true, theta, &note);
}

void solo_close(struct solo *s)
{
    setup_close(&s->setup);
    config_release(&s->config);
}
