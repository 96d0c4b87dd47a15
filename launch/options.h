/* options.h - the command line: verbs, their options, help. */
#ifndef LAUNCH_OPTIONS_H
#define LAUNCH_OPTIONS_H

#include <stdbool.h>
#include <stdint.h>

enum { SETS_MAX = 256 };

struct options {
    char **places; /* borrowed from argv: positional arguments */
    int n_places;
    const char *sets[SETS_MAX];
    int n_sets;
    const char *run, *data_root, *checkpoint, *domain, *stage, *params, *anchor, *task, *out;
    const char *model, *python;
    const char *support, *query, *save, *protocol;
    const char *ranks, *network, *faults, *png, *trace;
    int64_t episodes, tasks, hosts, threads, tasks_each, rounds, seed, steps; /* 0: not given */
    double oversubscription, task_seconds, jitter;                            /* 0: not given */
    double time_limit;                                                        /* seconds, 0: none */
    bool all, json, resume, overwrite, gradients, leaks, print_config, quiet, markdown, other_data,
        real, csv;
};

struct verb {
    const char *name;
    const char *places; /* "CONFIGURATION", shown in help */
    int min_places, max_places;
    const char *options; /* names of its options, separated by blanks */
    const char *summary;
    const char *text; /* more, for its --help */
    bool ranks;       /* runs on every rank of an mpirun; the others are one process */
    int (*run)(const struct options *o);
};

/* Reads argv[2..] for a verb; positional arguments move to its front, so that there may be any
 * number of them. ERR_USAGE names the argument and suggests the nearest one. Returns 1
 * when help was asked for and printed to standard output. */
int options_read(struct options *o, const struct verb *v, int argc, char **argv);

/* All verbs, one line each. */
void options_help(const struct verb *const *verbs);

/* --data-root, else METALOOP_DATA, else "data". */
const char *options_data_root(const struct options *o);

#endif
