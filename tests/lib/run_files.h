/* run_files.h - a run's directory for tests: a place, who works in it, and how it is taken. */
#ifndef TESTS_LIB_RUN_FILES_H
#define TESTS_LIB_RUN_FILES_H

#include <errno.h>
#include <fcntl.h>
#include <jansson.h>
#include <setjmp.h>
#include <signal.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/resource.h>
#include <sys/stat.h>
#include <sys/wait.h>
#include <unistd.h>

#include <cmocka.h>

#include "coordinator/run/rundir.h"
#include "core/base/err.h"
#include "core/base/outfile.h"

static char directory[] = "/tmp/test_rundir[1]_XXXXXX";

static struct comm ends[2];
static struct crew_worker workers[2];
static struct crew crew = {.comm = ends, .workers = workers};

static inline int setup(void **unused)
{
    (void)unused;
    assert_int_equal(comm_open("local", ends, 2), 0);
    return mkdtemp(directory) ? 0 : -1;
}

static inline int teardown(void **unused)
{
    char command[300];

    (void)unused;
    comm_close(&ends[1]);
    comm_close(&ends[0]);
    snprintf(command, sizeof command, "rm -r '%s'", directory);
    return system(command);
}

static inline const char *path_in(const char *name)
{
    static char path[300];

    snprintf(path, sizeof path, "%s/%s", directory, name);
    return path;
}

static inline void touch(const char *name, const char *text)
{
    FILE *f = fopen(path_in(name), "w");

    assert_non_null(f);
    fputs(text, f);
    fclose(f);
}

static inline int take(struct rundir *d, enum rundir_mode mode, const char *run_id)
{
    const struct rundir_start start = {.mode = mode, .run_id = run_id};

    return rundir_take(d, directory, &start);
}

static inline int open_run(struct rundir *d, enum rundir_mode mode)
{
    TRY(take(d, mode, ""));
    return rundir_begin(d, "run { }\n", &crew, "1");
}

static inline void emit(struct rundir *d, int round)
{
    struct field fields[] = {INTEGER("round", round), NUMBER("loss", 1.0 / 3), {0}};

    sink_emit(&d->metrics, "round", fields);
}

/* Every line is a JSON object; the events of this kind, and the sum of their member `events`. */
static inline int count_lines(const char *path, const char *kind, json_int_t *events)
{
    FILE *f = fopen(path, "r");
    char *line = NULL;
    size_t room = 0;
    ssize_t n;
    int found = 0;

    assert_non_null(f);
    *events = 0;
    while ((n = getline(&line, &room, f)) > 0) {
        json_t *o = json_loads(line, 0, NULL);

        assert_true(json_is_object(o) && line[n - 1] == '\n');
        if (strcmp(json_string_value(json_object_get(o, "kind")), kind) == 0) {
            found++;
            *events += json_integer_value(json_object_get(o, "events"));
        }
        json_decref(o);
    }
    free(line);
    fclose(f);
    return found;
}

#endif
