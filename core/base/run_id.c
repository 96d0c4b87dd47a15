/* run_id.c - drawn, never derived: two runs of the same configuration are two runs. */
#include "core/base/run_id.h"

#include <errno.h>
#include <inttypes.h>
#include <stdio.h>
#include <string.h>
#include <sys/random.h>

#include "core/base/err.h"

int run_id_draw(char id[RUN_ID_ROOM])
{
    uint64_t x;
    ssize_t n;

    do
        n = getrandom(&x, sizeof x, 0);
    while (n < 0 && errno == EINTR);
    if (n != (ssize_t)sizeof x)
        return err(ERR_FAILED, "cannot draw a run's id: %s", strerror(errno));
    snprintf(id, RUN_ID_ROOM, "%016" PRIx64, x);
    return 0;
}

bool run_id_is(const char *text)
{
    return text && strlen(text) == RUN_ID_ROOM - 1 &&
           strspn(text, "0123456789abcdef") == RUN_ID_ROOM - 1;
}

bool run_id_owns(const struct run_identity *run, const char *id)
{
    return *id ? strcmp(run->id, id) == 0 : run->unnamed || !*run->id;
}
