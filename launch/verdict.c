/* verdict.c - the status file. */
#include "launch/verdict.h"

#include <errno.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <unistd.h>

#include "core/err.h"

static void put_line(FILE *f, const char *key, const char *value)
{
    fprintf(f, "%s=", key);
    for (; *value; value++)
        fputc(*value == '\n' || *value == '\r' ? ' ' : *value, f);
    fputc('\n', f);
}

/* Closes f; whether everything reached the disk. */
static bool finish(FILE *f)
{
    bool good = fflush(f) == 0 && !ferror(f) && fsync(fileno(f)) == 0;

    return fclose(f) == 0 && good;
}

static int write_file(const char *path, const struct verdict *v)
{
    char fresh[4096];
    FILE *f;

    if (snprintf(fresh, sizeof fresh, "%s.new", path) >= (int)sizeof fresh)
        return err(ERR_CANTCREAT, "METALOOP_STATUS has more than %zu bytes", sizeof fresh - 5);
    f = fopen(fresh, "w");
    if (!f)
        return err(ERR_CANTCREAT, "cannot create '%s' (METALOOP_STATUS): %s", fresh,
                   strerror(errno));
    fprintf(f, "exit=%d\n", v->status);
    put_line(f, "reason", v->reason);
    put_line(f, "restart", v->restart ? "yes" : "no");
    put_line(f, "lost", v->lost);
    if (!finish(f) || rename(fresh, path) != 0) {
        err(ERR_IO, "cannot write '%s' (METALOOP_STATUS): %s", path, strerror(errno));
        unlink(fresh);
        return ERR_IO;
    }
    return 0;
}

int verdict_write(const struct verdict *v)
{
    const char *path = getenv("METALOOP_STATUS");

    return path && *path ? write_file(path, v) : 0;
}
