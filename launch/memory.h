/* memory.h - what the processes of a run will hold, before any of them is started. */
#ifndef LAUNCH_MEMORY_H
#define LAUNCH_MEMORY_H

#include <jansson.h>
#include <stddef.h>

#include "core/plan/setup.h"

enum memory_owner {
    OWNER_THREAD, /* each compute thread of a worker */
    OWNER_WORKER, /* each worker process, beside its threads */
    OWNER_FIRST,  /* rank 0 */
    OWNERS
};

struct memory_row {
    const char *name; /* static */
    size_t bytes[OWNERS];
};

enum { MEMORY_ROWS = 16 };

struct memory {
    int n, n_threads; /* rows; compute threads of a worker */
    struct memory_row rows[MEMORY_ROWS];
    size_t thread; /* all rows of a thread */
    size_t worker; /* a worker process with its threads */
    size_t first;  /* rank 0 beside workers */
    size_t alone;  /* coordinator and worker in one process */
    /* bytes of data files, whose pages the processes of a host share; in none of the sums */
    size_t mapped;
    size_t twice; /* bytes that worker and first both count and one process alone has once */
    /* bytes of messages that a worker holds on top if it passes them on: from 3 ranks on */
    size_t passed;
};

/* Plans the memory of an open setup, all stages' largest. n_threads: of a worker. */
struct memory memory_plan(const struct setup *s, int n_threads);

void memory_print(const struct memory *m);   /* a table for people, on standard output */
json_t *memory_json(const struct memory *m); /* the same as an object; the caller's */

#endif
