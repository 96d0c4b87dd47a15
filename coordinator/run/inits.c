/* inits.c - digests of the files that stages start from, now and in the manifest. */
#include "coordinator/run/inits.h"

#include <inttypes.h>
#include <stdio.h>
#include <string.h>

#include "coordinator/run/rundir_internal.h"
#include "core/base/err.h"
#include "core/plan/stage_init.h"

/* The digest that the manifest tells of a stage's file; NULL: none. */
static const char *told(const json_t *manifest, const char *stage)
{
    return rundir_told(manifest, "init", "stage", stage);
}

static int look(const struct stage *stage, uint64_t *digest,
                void (*say)(void *context, const char *line), void *context)
{
    struct stage_init file;
    char line[160];

    TRY(stage_init_open(&file, stage));
    *digest = file.dict.digest;
    snprintf(line, sizeof line, "stage '%.120s'", stage->config->name);
    say(context, line);
    stage_init_describe(&file, say, context);
    stage_init_close(&file);
    return 0;
}

int inits_look(struct inits *in, const struct setup *s, int begun, const char *directory,
               void (*say)(void *context, const char *line), void *context)
{
    json_t *manifest = begun >= 0 ? rundir_manifest(directory) : NULL;
    int code = 0;

    *in = (struct inits){.setup = s, .begun = begun};
    for (int i = 0; i < s->n_stages && code == 0; i++) {
        const struct stage *stage = &s->stages[i];
        const char *before = told(manifest, stage->config->name);

        if (!*stage->config->init)
            continue;
        if (i > begun)
            code = look(stage, &in->digest[i], say, context);
        else if (before)
            sscanf(before, "%16" SCNx64, &in->digest[i]);
    }
    json_decref(manifest);
    return code;
}

int inits_compare(const struct inits *in, const char *directory, rundir_differs *differs,
                  void *context)
{
    json_t *manifest = rundir_manifest(directory);
    int code = 0;

    for (int i = in->begun + 1; i < in->setup->n_stages && code == 0; i++) {
        const char *name = in->setup->stages[i].config->name, *before = told(manifest, name);
        char now[20];

        snprintf(now, sizeof now, "%016" PRIx64, in->digest[i]);
        if (before && in->digest[i] && strcmp(before, now) != 0)
            code = differs(context, name, before, now);
    }
    json_decref(manifest);
    return code;
}

json_t *inits_json(const struct inits *in)
{
    json_t *list = json_array();

    for (int i = 0; i < in->setup->n_stages; i++) {
        const struct stage_config *c = in->setup->stages[i].config;
        char digest[20];

        snprintf(digest, sizeof digest, "%016" PRIx64, in->digest[i]);
        if (in->digest[i])
            json_array_append_new(list, json_pack("{s:s, s:s, s:s}", "stage", c->name, "file",
                                                  c->init, "digest", digest));
    }
    return list;
}
