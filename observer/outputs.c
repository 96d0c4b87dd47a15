/* outputs.c - before anything is opened, refuses outputs that would overwrite each other or an
 * input. */
#include <libgen.h>
#include <limits.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/stat.h>

#include "core/base/err.h"
#include "core/base/outfile.h"
#include "observer/arguments.h"

struct output_place { /* where an output goes */
    const char *option, *path;
    bool there, shared; /* shared: a device, which several outputs may use */
    struct stat st;
    char real[PATH_MAX + 256]; /* for a file that does not exist yet */
};

static void place_find(struct output_place *p, const char *option, const char *path)
{
    char *target = outfile_target(path), *copy = target ? strdup(target) : NULL;

    *p = (struct output_place){.option = option, .path = path};
    p->there = stat(path, &p->st) == 0;
    p->shared = p->there && S_ISCHR(p->st.st_mode);
    if (copy && !p->there && realpath(dirname(copy), p->real)) {
        const char *slash = strrchr(target, '/');

        snprintf(p->real + strlen(p->real), sizeof p->real - strlen(p->real), "/%.255s",
                 slash ? slash + 1 : target);
    }
    free(copy);
    free(target);
}

static bool is_same(const struct output_place *a, const struct output_place *b)
{
    if (a->there != b->there || a->shared)
        return false;
    if (a->there)
        return a->st.st_dev == b->st.st_dev && a->st.st_ino == b->st.st_ino;
    return *a->real && strcmp(a->real, b->real) == 0;
}

/* Files that a replay reads. */
static int check_inputs(const struct arguments *a, const struct output_place *out)
{
    static const char *const names[] = {"metrics.jsonl", "configuration.conf", "manifest.json"};

    for (int i = 0; i < a->n_replays; i++)
        for (size_t k = 0; k < sizeof names / sizeof *names; k++) {
            char path[PATH_MAX];
            struct stat st;

            snprintf(path, sizeof path, "%s/%s", a->replays[i], names[k]);
            if (out->there && stat(path, &st) == 0 && st.st_ino == out->st.st_ino &&
                st.st_dev == out->st.st_dev)
                return err(ERR_USAGE, "%s would overwrite '%s', which --replay reads", out->option,
                           path);
        }
    return 0;
}

static int check_runs(const struct arguments *a)
{
    struct stat one, other;

    for (int i = 0; i < a->n_replays; i++)
        for (int k = 0; k < i; k++)
            if (stat(a->replays[i], &one) == 0 && stat(a->replays[k], &other) == 0 &&
                one.st_dev == other.st_dev && one.st_ino == other.st_ino)
                return err(ERR_USAGE, "'%s' and '%s' are the same run directory", a->replays[k],
                           a->replays[i]);
    for (int i = 0; i < a->n_endpoints; i++)
        for (int k = 0; k < i; k++)
            if (strcmp(a->endpoints[i], a->endpoints[k]) == 0)
                return err(ERR_USAGE, "'%s' is given twice", a->endpoints[i]);
    return 0;
}

int outputs_check(const struct arguments *a)
{
    const char *const given[][2] = {{"--jsonl", a->jsonl},
                                    {"--csv", a->csv},
                                    {"--png", a->png},
                                    {"--lines", a->lines ? "/dev/stdout" : NULL}};
    struct output_place places[4];
    int n = 0;

    TRY(check_runs(a));
    for (int i = 0; i < 4; i++) {
        if (!given[i][1])
            continue;
        place_find(&places[n], given[i][0], given[i][1]);
        for (int k = 0; k < n; k++)
            if (is_same(&places[n], &places[k]))
                return err(ERR_USAGE, "%s and %s would write into the same file, '%s'",
                           places[k].option, places[n].option, places[k].path);
        TRY(check_inputs(a, &places[n++]));
    }
    return 0;
}
