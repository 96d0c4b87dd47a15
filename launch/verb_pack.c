/* verb_pack.c - `metaloop pack`: converts any image set to mapped .npy files. */
#include <signal.h>
#include <stdio.h>
#include <string.h>

#include "core/base/err.h"
#include "core/base/plural.h"
#include "core/data/pack.h"
#include "core/data/survey.h"
#include "launch/notes.h"
#include "launch/portion.h"
#include "launch/solo.h"
#include "launch/verbs.h"

static bool ends_with(const char *path, const char *end)
{
    size_t n = strlen(path), m = strlen(end);

    return n >= m && strcmp(path + n - m, end) == 0;
}

static volatile sig_atomic_t stopped;

static void on_signal(int signal)
{
    stopped = signal;
}

/* While files are written: their temporaries are removed before the program ends. */
static void signals_catch(void)
{
    struct sigaction a = {.sa_handler = on_signal, .sa_flags = SA_RESTART};

    sigaction(SIGINT, &a, NULL);
    sigaction(SIGTERM, &a, NULL);
    sigaction(SIGHUP, &a, NULL);
}

static int image_written(void *context, uint64_t n, uint64_t of)
{
    if (stopped)
        return err(ERR_STOPPED, "stopped by %s after %ju of %ju images: nothing is written",
                   strsignal(stopped), (uintmax_t)n, (uintmax_t)of);
    portion_show(context, n, of);
    return 0;
}

static int pack_to(const struct data *d, const char *dest, double every)
{
    struct portion portion;
    struct pack_watch watch = {.written = image_written, .context = &portion};
    struct survey range = {.kind = 'u'};
    int code;

    portion_begin(&portion, "packing", "images", every);
    signals_catch();
    code = data_pack(d, dest, &watch);
    portion_end(&portion);
    TRY(code);
    snprintf(range.name, sizeof range.name, "%s", d->name);
    range.low = (float)watch.low / 255;
    range.high = (float)watch.high / 255;
    notes_of_range(&range);
    printf("packed %u class%s of %d x %d x %d into '%s'\n", d->n_classes, plural_es(d->n_classes),
           d->shape.h, d->shape.w, d->shape.c, dest);
    return 0;
}

/* The source is an ordinary data section, so --set data.source.resize=28 and the like apply. */
static int section_read(struct config *c, const struct options *o)
{
    const char *format = ends_with(o->places[0], ".npz") ? "npz" : "folder";
    char section[4096];

    snprintf(section, sizeof section,
             "data source { format = '%s' path = '%s' }\nstage none { data = 'source' }\n", format,
             o->places[0]);
    if (strchr(o->places[0], '\'') || strlen(o->places[0]) > 3000)
        return err(ERR_USAGE, "'%s' cannot be a data path", o->places[0]);
    return config_parse(c, section, "pack", o->sets, o->n_sets, NULL);
}

static int pack(const struct options *o)
{
    struct config config;
    struct data d;
    int code;

    TRY(section_read(&config, o));
    code = data_open_streamed(&d, &config.data[0], options_data_root(o));
    if (code >= 0) {
        notes_of_data(&d);
        code = pack_to(&d, o->places[1], o->quiet ? 0 : config.progress.every);
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
    .options = "set data-root quiet",
    .summary =
        "convert an image set to .npy files, which open at once and are shared by a host's ranks",
    .text = "SOURCE is a folder of class folders with PNG or JPEG images, a .zip, .tar.gz or\n"
            ".npz, relative to the data root. Writes DEST.npy, DEST_labels.npy and\n"
            "DEST_classes.txt. Any key of a data section can be set: --set\n"
            "data.source.resize=28, --set data.source.format=idx.",
    .run = pack,
};
