/* setup.c - from configuration to open data and planned stages. */
#include "core/plan/setup.h"

#include <stdlib.h>
#include <string.h>
#include <xxhash.h>

#include "core/base/err.h"
#include "core/base/nearest.h"
#include "core/data/mapped.h"
#include "core/data/recall.h"

static void mark_used(const struct config *c, const struct strings *names, bool *used)
{
    for (int i = 0; i < names->n; i++)
        used[config_find_data(c, names->items[i]) - c->data] = true;
}

/* From the checkpoint's memory, if it has that section; else from its files. */
static int open_section(struct setup *s, int i)
{
    int code = s->memory ? data_recall(&s->data[i], s->memory, s->config->data[i].name) : 1;

    return code > 0 ? data_open(&s->data[i], &s->config->data[i], s->root) : code;
}

/* Only sections that a stage names are opened: a configuration may have more than this run uses. */
static int open_used(struct setup *s)
{
    const struct config *c = s->config;
    bool used[CONFIG_DATA_MAX] = {false};

    for (int i = 0; i < c->n_stages; i++) {
        mark_used(c, &c->stages[i].data, used);
        mark_used(c, &c->stages[i].target, used);
        mark_used(c, &c->stages[i].old, used);
        mark_used(c, &c->stages[i].evaluate, used);
    }
    mark_used(c, &c->evaluate.data, used);
    for (int i = 0; i < c->n_data; i++) {
        if (used[i])
            TRY(open_section(s, i));
        s->n_data = i + 1;
    }
    return 0;
}

static int setup_fill(struct setup *s)
{
    TRY(open_used(s));
    for (int i = 0; i < s->n_stages; i++)
        TRY(stage_open(s, i));
    return setup_heads(s);
}

int setup_open(struct setup *s, const struct config *config, const char *root,
               method_traits_find *traits_of)
{
    return setup_recall(s, config, root, traits_of, NULL);
}

int setup_recall(struct setup *s, const struct config *config, const char *root,
                 method_traits_find *traits_of, const char *memory)
{
    int code;

    *s = (struct setup){
        .config = config, .traits_of = traits_of, .memory = memory, .n_stages = config->n_stages};
    s->root = strdup(root);
    s->stages = calloc((size_t)config->n_stages, sizeof *s->stages);
    code = s->root && s->stages ? setup_fill(s) : err(ERR_MEMORY, "no memory for the stages");
    s->memory = NULL;
    if (code < 0)
        setup_close(s);
    return code;
}

void setup_close(struct setup *s)
{
    for (int i = 0; i < s->n_data; i++)
        if (s->data[i].ops)
            data_close(&s->data[i]);
    for (int i = 0; s->stages && i < s->n_stages; i++)
        stage_close(&s->stages[i]);
    free(s->stages);
    free(s->root);
    *s = (struct setup){0};
}

int setup_stage(const struct setup *s, const char *name, const struct stage **stage)
{
    const char *names[CONFIG_STAGE_MAX + 1] = {0};
    char hint[NEAREST_HINT];

    *stage = &s->stages[s->n_stages - 1];
    for (int i = 0; name && i < s->n_stages; i++) {
        names[i] = s->stages[i].config->name;
        if (strcmp(names[i], name) == 0) {
            *stage = &s->stages[i];
            return 0;
        }
    }
    return name ? err(ERR_USAGE, "unknown stage '%s'%s", name, nearest_hint(name, names, hint)) : 0;
}

uint64_t setup_digest(const struct setup *s)
{
    uint64_t digest = 0;

    for (int i = 0; i < s->n_stages; i++) {
        uint64_t layout = layout_digest(&s->stages[i].layout);

        digest = XXH64(&layout, sizeof layout, digest);
    }
    return digest;
}

int setup_survey(const struct setup *s, struct survey *out, int *n)
{
    *n = 0;
    for (int i = 0; i < s->n_data; i++)
        if (s->data[i].ops)
            TRY(data_survey(&s->data[i], &out[(*n)++]));
    return 0;
}

/* Whether the outputs of some stage stand for the classes of section i. */
static bool is_head(const struct setup *s, int i)
{
    for (int k = 0; k < s->n_stages; k++)
        if (setup_head(s, &s->stages[k]) == i)
            return true;
    return false;
}

char *setup_memory(const struct setup *s, const struct survey *each, int n)
{
    struct recalled all[CONFIG_DATA_MAX];
    int k = 0;

    for (int i = 0; i < s->n_data; i++)
        if (s->data[i].ops && k < n) {
            all[k] = (struct recalled){&s->data[i], &each[k], is_head(s, i)};
            k++;
        }
    return recall_text(all, k);
}

/* A file was modified. 1: its content is still the same. */
static int look_again(const struct data *d, const struct mapped *map, const struct survey *known)
{
    struct survey now;

    TRY(data_survey(d, &now));
    if (known->sampled || now.pixels != known->pixels)
        return err(ERR_DATA, "'%s' was modified after this run began", map->path);
    return 1;
}

static struct mapped *data_map(const struct data *d)
{
    return d->ops && d->ops->map ? d->ops->map(d) : NULL;
}

static int check_files_of(const struct data *d, const struct survey *known, int n)
{
    struct mapped *map = data_map(d);
    int code = mapped_changed(map);

    for (int i = 0; i < n && code > 0; i++)
        if (strcmp(known[i].name, d->name) == 0)
            code = look_again(d, map, &known[i]);
    return code < 0 ? err_within(code, "data '%s'", d->name) : code;
}

int setup_check_files(const struct setup *s, const struct survey *known, int n)
{
    bool written = false;

    for (int i = 0; i < s->n_data; i++) {
        int code = check_files_of(&s->data[i], known, n);

        TRY(code);
        written |= code > 0;
    }
    for (int i = 0; i < s->n_data && written; i++)
        mapped_accept(data_map(&s->data[i]));
    return 0;
}
