/* rundir_data.c - compares the data that a run began with and the present data. */
#include <inttypes.h>
#include <stdio.h>
#include <string.h>

#include "coordinator/run/rundir_internal.h"

/* The digest of a section in the manifest; NULL: none. */
static const char *digest_of(const json_t *manifest, const char *name)
{
    const json_t *section;
    size_t i;

    json_array_foreach(json_object_get(manifest, "data"), i, section)
    {
        const char *its = json_string_value(json_object_get(section, "name"));

        if (its && strcmp(its, name) == 0)
            return json_string_value(json_object_get(section, "digest"));
    }
    return NULL;
}

int rundir_compare_data(const char *directory, const struct sections *now, rundir_differs *differs,
                        void *context)
{
    json_t *manifest = rundir_manifest(directory);
    int code = 0;

    for (int i = 0; i < now->n && code == 0; i++) {
        const char *name = now->each[i].name, *before = digest_of(manifest, name);
        char digest[20];

        snprintf(digest, sizeof digest, "%016" PRIx64, survey_digest(&now->each[i]));
        if (before && strcmp(before, digest) != 0)
            code = differs(context, name, before, digest);
    }
    json_decref(manifest);
    return code;
}
