/* err.c - the code travels as the return value, the sentence waits here, one per thread. */
#include "core/base/err.h"

#include <stdarg.h>
#include <stdio.h>
#include <string.h>

enum { TEXT_MAX = 1024 };

static _Thread_local char text[TEXT_MAX];

int err(int code, const char *fmt, ...)
{
    char fresh[TEXT_MAX]; /* the arguments may point into text */
    va_list args;

    va_start(args, fmt);
    vsnprintf(fresh, sizeof fresh, fmt, args);
    va_end(args);
    memcpy(text, fresh, sizeof text);
    return code;
}

int err_within(int code, const char *fmt, ...)
{
    char prefix[TEXT_MAX / 2];
    va_list args;

    va_start(args, fmt);
    vsnprintf(prefix, sizeof prefix, fmt, args);
    va_end(args);
    return err(code, "%s: %s", prefix, text);
}

const char *err_text(void)
{
    return text;
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
