/* err.c - the code is the return value; the sentence is kept here, one per thread. */
#include "core/base/err.h"

#include <stdarg.h>
#include <stdio.h>
#include <string.h>

#include "core/base/habitat.h"

static _Thread_local char own[ERR_SENTENCE];

static char *sentence(void)
{
    char *place = habitat ? habitat->sentence() : NULL;

    return place ? place : own;
}

int err(int code, const char *fmt, ...)
{
    char fresh[ERR_SENTENCE]; /* the arguments may point into the sentence */
    va_list args;

    va_start(args, fmt);
    vsnprintf(fresh, sizeof fresh, fmt, args);
    va_end(args);
    memcpy(sentence(), fresh, sizeof fresh);
    return code;
}

int err_within(int code, const char *fmt, ...)
{
    char prefix[ERR_SENTENCE / 2];
    va_list args;

    va_start(args, fmt);
    vsnprintf(prefix, sizeof prefix, fmt, args);
    va_end(args);
    return err(code, "%s: %s", prefix, sentence());
}

const char *err_text(void)
{
    return sentence();
}

int err_exit_status(int code)
{
    static const struct {
        int code, status;
    } table[] = {
        {ERR_USAGE, 64}, {ERR_DATA, 65},    {ERR_NOINPUT, 66}, {ERR_CANTCREAT, 73},
        {ERR_IO, 74},    {ERR_STOPPED, 75}, {ERR_CONFIG, 78},
    };

    for (size_t i = 0; i < sizeof table / sizeof *table; i++)
        if (table[i].code == code)
            return table[i].status;
    return code < 0 ? 1 : 0;
}
