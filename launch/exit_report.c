/* exit_report.c - writes the file that METALOOP_STATUS names. */
#include "launch/exit_report.h"

#include <stdio.h>
#include <stdlib.h>

#include "core/base/err.h"
#include "core/base/outfile.h"

static void put_line(FILE *f, const char *key, const char *value)
{
    fprintf(f, "%s=", key);
    for (; *value; value++)
        fputc(*value == '\n' || *value == '\r' ? ' ' : *value, f);
    fputc('\n', f);
}

/* Owned by the caller; NULL: no memory. */
static char *text_of(const struct exit_report *r, size_t *n)
{
    char *text = NULL;
    FILE *f = open_memstream(&text, n);

    if (!f)
        return NULL;
    fprintf(f, "exit=%d\n", r->status);
    put_line(f, "reason", r->reason);
    put_line(f, "restart", r->restart ? "yes" : "no");
    put_line(f, "lost", r->lost);
    put_line(f, "wrong", r->wrong);
    put_line(f, "run", r->run);
    if (fclose(f) == 0)
        return text;
    free(text);
    return NULL;
}

int exit_report_write(const struct exit_report *r)
{
    const char *path = getenv("METALOOP_STATUS");
    size_t n;
    char *text;
    int code;

    if (!path || !*path)
        return 0;
    text = text_of(r, &n);
    code = text ? outfile_whole(path, text, n) : err(ERR_MEMORY, "no memory for the exit report");
    free(text);
    return code < 0 ? err_within(code, "METALOOP_STATUS") : 0;
}
