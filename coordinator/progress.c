/* progress.c - a bar, or lines. */
#include "coordinator/progress.h"

#include <inttypes.h>
#include <math.h>
#include <poll.h>
#include <stdarg.h>
#include <stdio.h>
#include <string.h>
#include <sys/ioctl.h>
#include <unistd.h>

#include "core/clock.h"

#define REDRAW 0.1 /* seconds */

enum { BAR = 20, LINE = 8192 };

void progress_open(struct progress *p, double every)
{
    *p = (struct progress){.terminal = isatty(STDERR_FILENO), .quiet = every <= 0, .every = every};
}

void progress_stage(struct progress *p, uint64_t first_round)
{
    p->start = p->shown = clock_seconds();
    p->first = first_round;
}

/* Whether standard error takes a line without making us wait. */
static bool reader_ready(void)
{
    struct pollfd fd = {STDERR_FILENO, POLLOUT, 0};

    return poll(&fd, 1, 0) == 1 && (fd.revents & POLLOUT);
}

static int columns(void)
{
    struct winsize w;

    return ioctl(STDERR_FILENO, TIOCGWINSZ, &w) == 0 && w.ws_col > 0 ? w.ws_col : 80;
}

static void duration(double s, char *text, size_t n)
{
    long all = (long)(s + 0.5);

    if (all >= 3600)
        snprintf(text, n, "%ld:%02ld:%02ld", all / 3600, all / 60 % 60, all % 60);
    else
        snprintf(text, n, "%ld:%02ld", all / 60, all % 60);
}

double progress_left(const struct progress *p, uint64_t round, uint64_t rounds)
{
    double passed = clock_seconds() - p->start, done = (double)(round - p->first);

    return passed > 0 && done > 0 ? (double)(rounds - round) * passed / done : NAN;
}

static int figures(const struct progress *p, const struct glance *g, char *text, size_t n)
{
    double passed = clock_seconds() - p->start, rounds = (double)(g->round - p->first);
    double rate = passed > 0 ? rounds / passed : 0;
    char left[32] = "?", accuracy[32] = "", failed[48] = "";

    if (rate > 0)
        duration((double)(g->rounds - g->round) / rate, left, sizeof left);
    if (g->accuracy >= 0)
        snprintf(accuracy, sizeof accuracy, "  accuracy %.1f %%", 100 * g->accuracy);
    if (g->failed > 0)
        snprintf(failed, sizeof failed, "  %.0f tasks failed", g->failed);
    return snprintf(text, n, "loss %.4f%s  %.0f tasks/s  %s left%s", g->loss, accuracy,
                    rate * (double)g->tasks, left, failed);
}

static void bar(const struct glance *g, char text[BAR * 3 + 1])
{
    uint64_t filled = g->rounds ? g->round * BAR / g->rounds : 0;

    text[0] = '\0';
    for (uint64_t i = 0; i < BAR; i++)
        strcat(text, i < filled ? "━" : i == filled ? "╸" : " ");
}

static void draw(struct progress *p, const struct glance *g)
{
    char line[320], cells[BAR * 3 + 1];
    int width = columns(), used;

    bar(g, cells);
    figures(p, g, line, sizeof line);
    used = snprintf(NULL, 0, "%s %" PRIu64 "/%" PRIu64 " ", g->stage, g->round, g->rounds) + BAR;
    if (width - used - 2 < (int)strlen(line))
        line[width - used - 2 > 0 ? width - used - 2 : 0] = '\0';
    fprintf(stderr, "\r%s %" PRIu64 "/%" PRIu64 " %s %s\033[K", g->stage, g->round, g->rounds,
            cells, line);
    fflush(stderr);
    p->drawn = true;
}

void progress_show(struct progress *p, const struct glance *g)
{
    double now = clock_seconds();
    char line[320];

    if (p->quiet || now - p->shown < (p->terminal ? REDRAW : p->every) || !reader_ready())
        return;
    p->shown = now;
    if (p->terminal) {
        draw(p, g);
        return;
    }
    figures(p, g, line, sizeof line);
    fprintf(stderr, "%s  round %" PRIu64 "/%" PRIu64 "  %s\n", g->stage, g->round, g->rounds, line);
}

static void say(struct progress *p, bool shown, const char *level, const char *fmt, va_list args)
{
    char line[LINE];

    vsnprintf(line, sizeof line, fmt, args);
    if (p->tell)
        p->tell(p->context, level, line);
    if (!shown || !reader_ready())
        return;
    progress_clear(p);
    fputs(line, stderr);
    fputc('\n', stderr);
}

void progress_say(struct progress *p, const char *fmt, ...)
{
    va_list args;

    va_start(args, fmt);
    say(p, !p->quiet, "info", fmt, args);
    va_end(args);
}

void progress_warn(struct progress *p, const char *fmt, ...)
{
    va_list args;

    va_start(args, fmt);
    say(p, true, "warning", fmt, args);
    va_end(args);
}

void progress_clear(struct progress *p)
{
    if (p->drawn)
        fputs("\r\033[K", stderr);
    p->drawn = false;
}
