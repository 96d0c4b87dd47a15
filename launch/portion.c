/* portion.c - n of all, per cent, time left. */
#include "launch/portion.h"

#include <inttypes.h>
#include <stdio.h>
#include <unistd.h>

#include "core/base/clock.h"

#define REDRAW 0.1 /* seconds */

void portion_begin(struct portion *s, const char *doing, const char *what, double every)
{
    *s = (struct portion){.doing = doing, .what = what, .every = every};
    s->terminal = isatty(STDERR_FILENO);
    s->start = s->shown = clock_seconds();
}

void portion_show(struct portion *s, uint64_t n, uint64_t of)
{
    double now = clock_seconds(), passed = now - s->start;
    char left[32] = "?";

    if (s->every <= 0 || now - s->shown < (s->terminal ? REDRAW : s->every))
        return;
    if (n > 0)
        clock_text(passed * (double)(of - n) / (double)n, left, sizeof left);
    fprintf(stderr, "%s%s %s: %" PRIu64 " of %" PRIu64 ", %.0f %%, %s left%s",
            s->terminal ? "\r" : "", s->doing, s->what, n, of, 100 * (double)n / (double)of, left,
            s->terminal ? "\033[K" : "\n");
    s->shown = now;
    s->drawn = true;
}

void portion_end(struct portion *s)
{
    if (s->terminal && s->drawn)
        fputs("\r\033[K", stderr);
    s->drawn = false;
}
