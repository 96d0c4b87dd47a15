/* arguments.h - the command line of metaloop-observe. */
#ifndef OBSERVER_ARGUMENTS_H
#define OBSERVER_ARGUMENTS_H

#include <stdbool.h>

enum { ENDPOINTS_MAX = 16 };

struct arguments { /* all borrowed from argv */
    const char *endpoints[ENDPOINTS_MAX], *replays[ENDPOINTS_MAX];
    int n_endpoints, n_replays;
    const char *http, *token, *tensorboard, *jsonl, *csv, *png, *key, *server_key;
    bool lines;
    double every, linger; /* seconds */
};

/* ERR_USAGE names the argument and suggests the nearest one. Returns 1 when help or the version was asked for and
 * printed. */
int arguments_read(struct arguments *a, int argc, char **argv);

/* Before anything is opened: no two outputs into one file, none over what --replay reads, no run twice. ERR_USAGE. */
int outputs_check(const struct arguments *a);

extern const char observer_version[];

#endif
