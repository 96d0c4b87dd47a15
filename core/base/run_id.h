/* run_id.h - what tells one run from another: 16 lower-case hexadecimal digits, drawn when a run
 * begins. */
#ifndef CORE_BASE_RUN_ID_H
#define CORE_BASE_RUN_ID_H

#include <stdbool.h>

enum { RUN_ID_ROOM = 17 }; /* with the closing NUL; "": none */

struct run_identity {
    char id[RUN_ID_ROOM];
    bool unnamed; /* the run began before there were ids: files that tell none are its own, too */
};

/* A new one, from the system's random numbers. ERR_FAILED. */
int run_id_draw(char id[RUN_ID_ROOM]);

/* Whether text, which may be NULL, is one. */
bool run_id_is(const char *text);

/* Whether a file that tells this id ("": none) is of that run. */
bool run_id_owns(const struct run_identity *run, const char *id);

#endif
