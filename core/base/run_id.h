/* run_id.h - the id of a run: 16 lower-case hexadecimal digits, drawn when a run
 * begins. */
#ifndef CORE_BASE_RUN_ID_H
#define CORE_BASE_RUN_ID_H

#include <stdbool.h>

enum { RUN_ID_ROOM = 17 }; /* with the closing NUL; "": none */

struct run_identity {
    char id[RUN_ID_ROOM];
    bool unnamed; /* the run began before there were ids: files without an id belong to it, too */
};

/* Draws an id from the system's random numbers. ERR_FAILED. */
int run_id_draw(char id[RUN_ID_ROOM]);

/* Whether text is an id; NULL is none. */
bool run_id_is(const char *text);

/* Whether a file with this id ("": none) belongs to that run. */
bool run_id_owns(const struct run_identity *run, const char *id);

#endif
