/* verb_pack.c - `metaloop pack`: converts any image set to mapped .npy files. */
#include <stdio.h>
#include <string.h>

#include "core/base/err.h"
#include "core/base/plural.h"
#include "core/data/pack.h"
#include "core/data/survey.h"
#include "launch/notes.h"
#include "launch/solo.h"
#include "launch/verbs.h"

static bool ends_with(const char *path, const char *end)
{
    size_t n = strlen(path), m = strlen(end);

    return n >= m && strcmp(path + n - m, end) == 0;
}

static int pack(const struct options *o)
{
    const char *format = ends_with(o->places[0], ".npz") ? "npz" : "folder";
    char section[4096];
    struct config config;
    struct data d;
    int code;

    /* The source is an ordinary data section, so --set data.source.resize=28 and the like apply. */
    snprintf(section, sizeof section,
             "data source { format = '%s' path = '%s' }\nstage none { data = 'source' }\n", format,
             o->places[0]);
    if (strchr(o->places[0], '\'') || strlen(o->places[0]) > 3000)
        return err(ERR_USAGE, "'%s' cannot be a data path", o->places[0]);
    TRY(config_parse(&config, section, "pack", o->sets, o->n_sets, NULL));
    code = data_open(&d, &config.data[0], options_data_root(o));
    if (code >= 0) {
        struct survey known;

        code = data_survey(&d, &known);
        if (code >= 0)
            notes_of_data(&d, &known);
        code = code < 0 ? code : data_pack(&d, o->places[1]);
        if (code >= 0)
            printf("packed %u class%s of %d x %d x %d into '%s'\n", d.n_classes,
                   plural_es(d.n_classes), d.shape.h, d.shape.w, d.shape.c, o->places[1]);
        data_close(&d);
    }
    config_release(&config);
    return code;
}

const struct verb verb_pack = {
    .name = "pack",
    .places = "SOURCE DEST.npy",
    .min_places = 2,
    .max_places = 2,
    .options = "set data-root",
    .summary =
        "convert an image set to .npy files, which open at once and are shared by a host's ranks",
    .text = "SOURCE is a folder of class folders with PNG or JPEG images, a .zip, .tar.gz or\n"
            ".npz, relative to the data root. Writes DEST.npy, DEST_labels.npy and\n"
            "DEST_classes.txt. Any key of a data section can be set: --set\n"
            "data.source.resize=28, --set data.source.format=idx.",
    .run = pack,
};
