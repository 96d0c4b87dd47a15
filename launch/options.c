/* options.c - one table of options; each verb names those it takes. */
#include "launch/options.h"

#include <errno.h>
#include <stddef.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#include "core/base/err.h"
#include "core/config/config.h"

enum kind { FLAG, TEXT, NUMBER, SIZE, DURATION, SET };

static const struct option {
    const char *name, *value; /* value: shown in help; NULL for a flag */
    enum kind kind;
    size_t offset;
    const char *help;
} table[] = {
    {"set", "KEY=VALUE", SET, 0,
     "change one key of the configuration, for example stage.meta.rounds=100"},
    {"run", "DIR", TEXT, offsetof(struct options, run),
     "directory of the run, instead of run.directory"},
    {"resume", NULL, FLAG, offsetof(struct options, resume),
     "continue from the newest valid checkpoint, or start if there is none"},
    {"overwrite", NULL, FLAG, offsetof(struct options, overwrite),
     "remove the run that is in the directory, and start"},
    {"other-data", NULL, FLAG, offsetof(struct options, other_data),
     "with --resume: continue although the data have changed since the run began"},
    {"data-root", "DIR", TEXT, offsetof(struct options, data_root),
     "directory that data paths are relative to; default: METALOOP_DATA, or else data/"},
    {"checkpoint", "FILE", TEXT, offsetof(struct options, checkpoint), "file with the parameters"},
    {"episodes", "N", NUMBER, offsetof(struct options, episodes),
     "episodes to measure, instead of evaluate.episodes"},
    {"domain", "NAME", TEXT, offsetof(struct options, domain),
     "data section to measure on, instead of evaluate.data"},
    {"stage", "NAME", TEXT, offsetof(struct options, stage),
     "stage to use; default: the last one (`evaluate`, `export`: that of the checkpoint)"},
    {"params", "FILE", TEXT, offsetof(struct options, params),
     "file with the parameters (safetensors)"},
    {"anchor", "FILE", TEXT, offsetof(struct options, anchor),
     "file with the anchor's parameters (safetensors)"},
    {"task", "FILE", TEXT, offsetof(struct options, task), "file with the task (safetensors)"},
    {"out", "PATH", TEXT, offsetof(struct options, out), "file or directory for the result"},
    {"model", "NAME", TEXT, offsetof(struct options, model),
     "data section whose model to write, if each target has its own"},
    {"python", "FILE", TEXT, offsetof(struct options, python),
     "also write a PyTorch module: the class Net, which loads the parameters"},
    {"tasks", "N", NUMBER, offsetof(struct options, tasks),
     "print the tasks of the first N rounds (with --out DIR: write them)"},
    {"time-limit", "TIME", DURATION, offsetof(struct options, time_limit),
     "save and stop before this time has passed: seconds, [H:]M:S or D-H:M:S"},
    {"support", "DIR", TEXT, offsetof(struct options, support),
     "to adapt to: a folder, .zip or .tar with a folder of images for each class, or a table"},
    {"query", "DIR", TEXT, offsetof(struct options, query),
     "to answer: a directory, archive or file of images, or a table; more may follow"},
    {"save", "FILE", TEXT, offsetof(struct options, save),
     "write the adapted model (safetensors): a checkpoint for `predict` without --support"},
    {"steps", "N", NUMBER, offsetof(struct options, steps),
     "inner steps, instead of those of evaluation"},
    {"protocol", "NAME", TEXT, offsetof(struct options, protocol),
     "inductive or transductive; default: as evaluation measures"},
    {"csv", NULL, FLAG, offsetof(struct options, csv), "print CSV, with all probabilities"},
    {"ranks", "N,...", TEXT, offsetof(struct options, ranks),
     "numbers of ranks to simulate, one or several, separated by commas"},
    {"hosts", "N", NUMBER, offsetof(struct options, hosts),
     "hosts of the largest number of ranks; default: 16 cores a host"},
    {"threads", "N", NUMBER, offsetof(struct options, threads),
     "compute threads of a worker; default: cluster.threads, or 1 if that is 0"},
    {"network", "NAME", TEXT, offsetof(struct options, network),
     "link of each host in each direction: 10G, 25G, 100G (default) or 200G"},
    {"faults", "FILE", TEXT, offsetof(struct options, faults),
     "ranks and hosts that are lost, stop or are slow, one a line (docs/simulate.md)"},
    {"trace", "FILE", TEXT, offsetof(struct options, trace),
     "what each rank does, as a trace for SimGrid's smpirun -replay (one number of ranks)"},
    {"png", "FILE", TEXT, offsetof(struct options, png), "draw the curve into this file"},
    {"oversubscription", "X", SIZE, offsetof(struct options, oversubscription),
     "bandwidth of all links, divided by that of the switch; default: 1"},
    {"task-seconds", "S", SIZE, offsetof(struct options, task_seconds),
     "seconds that a thread needs for a task; default: measured here"},
    {"jitter", "X", SIZE, offsetof(struct options, jitter),
     "share by which tasks differ in length at most; default: 0"},
    {"tasks-each", "N", NUMBER, offsetof(struct options, tasks_each),
     "tasks of a round for each compute thread, instead of the stage's tasks of a round"},
    {"rounds", "N", NUMBER, offsetof(struct options, rounds),
     "rounds to count, after one that is not; default: 4"},
    {"seed", "N", NUMBER, offsetof(struct options, seed),
     "seed of the differences between tasks; default: 1"},
    {"real", NULL, FLAG, offsetof(struct options, real),
     "compute the tasks too: the digest is the one that training has"},
    {"gradients", NULL, FLAG, offsetof(struct options, gradients),
     "compare the derivatives of this configuration with finite differences"},
    {"leaks", NULL, FLAG, offsetof(struct options, leaks),
     "compare the classes and images of training with those of evaluation"},
    {"print-config", NULL, FLAG, offsetof(struct options, print_config),
     "print the whole effective configuration"},
    {"all", NULL, FLAG, offsetof(struct options, all), "print everything that is in the file"},
    {"json", NULL, FLAG, offsetof(struct options, json), "print one JSON object (docs/json.md)"},
    {"quiet", NULL, FLAG, offsetof(struct options, quiet), "print warnings, but no progress"},
    {"markdown", NULL, FLAG, offsetof(struct options, markdown), "print a markdown table"},
};

enum { N_OPTIONS = sizeof table / sizeof *table };

static bool verb_takes(const struct verb *v, const char *name)
{
    size_t n = strlen(name);

    for (const char *p = v->options; (p = strstr(p, name)); p += n)
        if ((p == v->options || p[-1] == ' ') && (p[n] == ' ' || p[n] == '\0'))
            return true;
    return false;
}

static int unknown_option(const struct verb *v, const char *name)
{
    const char *names[N_OPTIONS + 2], *near;
    int n = 0;

    for (int i = 0; i < N_OPTIONS; i++)
        if (verb_takes(v, table[i].name))
            names[n++] = table[i].name;
    names[n++] = "help";
    names[n] = NULL;
    near = config_nearest(name, names);
    return err(ERR_USAGE, "'%s' has no option '--%s'%s%s%s (metaloop %s --help lists all)", v->name,
               name, near ? ", did you mean '--" : "", near ? near : "", near ? "'?" : "", v->name);
}

/* Seconds, minutes:seconds, hours:minutes:seconds, days-hours:minutes:seconds. */
static int store_duration(const char *name, const char *value, double *seconds)
{
    unsigned days = 0, part[3];
    int n, end = 0;
    bool dated = sscanf(value, "%6u-%n", &days, &end) == 1 && end > 0;
    const char *rest = dated ? value + end : value;

    n = sscanf(rest, "%9u%n:%2u%n:%2u%n", &part[0], &end, &part[1], &end, &part[2], &end);
    if (n < (dated ? 3 : 1) || rest[end] || strspn(rest, "0123456789:") != strlen(rest))
        return err(ERR_USAGE, "'--%s' needs a time such as 90, 15:00 or 1-12:00:00, not '%s'", name,
                   value);
    *seconds = dated ? 86400.0 * days : 0;
    for (int i = 0, unit = 1; i < n; i++, unit *= 60)
        *seconds += (double)part[n - 1 - i] * unit;
    if (*seconds <= 0)
        return err(ERR_USAGE, "'--%s' needs a time above 0, not '%s'", name, value);
    return 0;
}

static int store_size(const char *name, const char *value, double *size)
{
    char *end;

    errno = 0;
    *size = strtod(value, &end);
    if (errno || end == value || *end || !(*size > 0 && *size < 1e9))
        return err(ERR_USAGE, "'--%s' needs a number above 0, not '%s'", name, value);
    return 0;
}

static int store(struct options *o, const struct option *p, const char *value)
{
    void *place = (char *)o + p->offset;
    char *end;

    switch (p->kind) {
    case FLAG:
        *(bool *)place = true;
        return 0;
    case TEXT:
        *(const char **)place = value;
        return 0;
    case NUMBER:
        errno = 0;
        *(int64_t *)place = strtoll(value, &end, 10);
        if (errno || end == value || *end || *(int64_t *)place < 1)
            return err(ERR_USAGE, "'--%s' needs a number of at least 1, not '%s'", p->name, value);
        return 0;
    case SIZE:
        return store_size(p->name, value, place);
    case DURATION:
        return store_duration(p->name, value, place);
    default:
        if (o->n_sets == SETS_MAX)
            return err(ERR_USAGE, "more than %d --set", SETS_MAX);
        o->sets[o->n_sets++] = value;
        return 0;
    }
}

static int read_option(struct options *o, const struct verb *v, int argc, char **argv, int *at)
{
    const char *word = argv[*at] + 2, *equals = strchr(word, '=');
    char name[64];

    snprintf(name, sizeof name, "%.*s", equals ? (int)(equals - word) : 63, word);
    for (int i = 0; i < N_OPTIONS; i++) {
        if (strcmp(table[i].name, name) != 0 || !verb_takes(v, name))
            continue;
        if (table[i].kind == FLAG)
            return equals ? err(ERR_USAGE, "'--%s' takes no value", name)
                          : store(o, &table[i], NULL);
        if (equals)
            return store(o, &table[i], equals + 1);
        if (*at + 1 >= argc)
            return err(ERR_USAGE, "'--%s' needs a value: %s", name, table[i].value);
        return store(o, &table[i], argv[++*at]);
    }
    return unknown_option(v, name);
}

static void verb_help(const struct verb *v)
{
    printf("usage: metaloop %s %s [OPTION]...\n\n%s\n", v->name, v->places, v->summary);
    if (v->text)
        printf("\n%s\n", v->text);
    printf("\noptions:\n");
    for (int i = 0; i < N_OPTIONS; i++)
        if (verb_takes(v, table[i].name)) {
            char left[48];

            snprintf(left, sizeof left, "--%s%s%s", table[i].name, table[i].value ? " " : "",
                     table[i].value ? table[i].value : "");
            printf("  %-22s %s\n", left, table[i].help);
        }
    printf("  %-22s %s\n", "--help", "this text");
}

int options_read(struct options *o, const struct verb *v, int argc, char **argv)
{
    *o = (struct options){.places = argv + 2};
    for (int i = 2; i < argc; i++) {
        if (strcmp(argv[i], "--help") == 0 || strcmp(argv[i], "-h") == 0) {
            verb_help(v);
            return 1;
        }
        if (strncmp(argv[i], "--", 2) == 0) {
            TRY(read_option(o, v, argc, argv, &i));
            continue;
        }
        if (o->n_places == v->max_places)
            return err(ERR_USAGE, "'%s' does not take '%s'; usage: metaloop %s %s", v->name,
                       argv[i], v->name, v->places);
        o->places[o->n_places++] = argv[i];
    }
    if (o->n_places < v->min_places)
        return err(ERR_USAGE, "'%s' needs more arguments; usage: metaloop %s %s [OPTION]...",
                   v->name, v->name, v->places);
    return 0;
}

void options_help(const struct verb *const *verbs)
{
    printf("metaloop - exact, distributed meta-learning and transfer learning\n\n"
           "usage: launch/run -n RANKS train|evaluate CONFIGURATION [OPTION]...\n"
           "       metaloop VERB ... [OPTION]...\n\n");
    for (; *verbs; verbs++)
        printf("  %-10s %s\n", (*verbs)->name, (*verbs)->summary);
    printf("\n'metaloop VERB --help' describes each verb.\n");
}

const char *options_data_root(const struct options *o)
{
    const char *root = getenv("METALOOP_DATA");

    if (o->data_root)
        return o->data_root;
    return root && *root ? root : "data";
}
