/* arguments.h - the command line of metaloop-observe. */
#ifndef OBSERVER_ARGUMENTS_H
#define OBSERVER_ARGUMENTS_H

#include <stdbool.h>

#include "observer/view/view.h"

enum { ENDPOINTS_MAX = 16, COMMANDS_MAX = 16 };

struct arguments { /* all texts are borrowed from argv */
    const char *endpoints[ENDPOINTS_MAX], *replays[ENDPOINTS_MAX];
    int n_endpoints, n_replays;
    struct on_command commands[COMMANDS_MAX];
    int n_commands;
    const char *http, *token, *tensorboard, *jsonl, *csv, *png, *key, *server_key;
    bool lines;
    double every, linger; /* seconds */
};

/* Reads the command line into *a. Returns 1 if it asked for help or the version, which then have
 * been printed. ERR_USAGE names a wrong argument and suggests the nearest right one; more than
 * ENDPOINTS_MAX endpoints or runs are refused too. */
int arguments_read(struct arguments *a, int argc, char **argv);

/* Checks, before anything is opened, that no two outputs go into one file, none goes into what
 * --replay reads, and no run is named twice. ERR_USAGE. */
int outputs_check(const struct arguments *a);

extern const char observer_version[];

#endif
