/* rundir_data.c - compares the data that a run began with and the present data. */
#include <inttypes.h>
#include <stdio.h>
#include <string.h>

#include "coordinator/run/rundir_internal.h"

const char *rundir_told(const json_t *manifest, const char *list, const char *key, const char *name)
{
    const json_t *entry;
    size_t i;

    json_array_foreach(json_object_get(manifest, list), i, entry)
    {
        const char *its = json_string_value(json_object_get(entry, key));

        if (its && strcmp(its, name) == 0)
            return json_string_value(json_object_get(entry, "digest"));
    }
    return NULL;
}

int rundir_compare_data(const char *directory, const struct sections *now, rundir_differs *differs,
                        void *context)
{
    json_t *manifest = rundir_manifest(directory);
    int code = 0;

    for (int i = 0; i < now->n && code == 0; i++) {
        const char *name = now->each[i].name;
        const char *before = rundir_told(manifest, "data", "name", name);
        char digest[20];

        snprintf(digest, sizeof digest, "%016" PRIx64, survey_digest(&now->each[i]));
        if (before && strcmp(before, digest) != 0)
            code = differs(context, name, before, digest);
    }
    json_decref(manifest);
    return code;
}
