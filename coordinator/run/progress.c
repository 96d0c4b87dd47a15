/* progress.c - progress as a bar or as lines. */
#include "coordinator/run/progress.h"

#include <inttypes.h>
#include <math.h>
#include <poll.h>
#include <stdarg.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/ioctl.h>
#include <unistd.h>

#include "core/base/clock.h"

#define REDRAW 0.1  /* seconds */
#define MEASURE 0.5 /* seconds between checks of the terminal's size */

enum { BAR = 20, LINE = 8192, WIDTH = 80 };

void progress_open(struct progress *p, double every)
{
    const char *size = getenv("METALOOP_TERMINAL"), *kind = getenv("TERM");
    bool dumb = !kind || !*kind || strcmp(kind, "dumb") == 0;

    *p = (struct progress){.quiet = every <= 0, .every = every, .width = WIDTH};
    p->size = size && *size ? size : NULL;
    p->terminal = p->size || (isatty(STDERR_FILENO) && !dumb);
}

void progress_stage(struct progress *p, uint64_t first_round)
{
    p->start = p->shown = clock_seconds();
    p->first = first_round;
}

/* True if standard error takes a line without blocking. */
static bool reader_ready(void)
{
    struct pollfd fd = {STDERR_FILENO, POLLOUT, 0};

    return poll(&fd, 1, 0) == 1 && (fd.revents & POLLOUT);
}

/* Keeps the old value if the file cannot be read: it may be half written, or its file system
 * slow. */
static int columns_of_file(const char *path, int before)
{
    FILE *f = fopen(path, "re");
    int rows, columns;

    if (!f)
        return before;
    if (fscanf(f, "%d %d", &rows, &columns) != 2 || columns < 1 || columns > 10000)
        columns = before;
    fclose(f);
    return columns;
}

static int columns(struct progress *p, double now)
{
    struct winsize w;

    if (!p->size)
        return ioctl(STDERR_FILENO, TIOCGWINSZ, &w) == 0 && w.ws_col > 0 ? w.ws_col : WIDTH;
    if (p->measured == 0 || now - p->measured >= MEASURE) {
        p->width = columns_of_file(p->size, p->width);
        p->measured = now;
    }
    return p->width;
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
        clock_text((double)(g->rounds - g->round) / rate, left, sizeof left);
    if (g->accuracy >= 0)
        snprintf(accuracy, sizeof accuracy, "  accuracy %.1f %%", 100 * g->accuracy);
    if (g->failed > 0)
        snprintf(failed, sizeof failed, "  %.0f task%s failed", g->failed,
                 g->failed == 1 ? "" : "s");
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

/* Narrower than the terminal, where the line would wrap: first the figures are cut, then the bar is
 * left out, then the rest is cut. */
static void draw(struct progress *p, const struct glance *g, const char *figures)
{
    char head[320], cells[BAR * 3 + 1];
    int width = columns(p, clock_seconds()) - 1, used, left;

    snprintf(head, sizeof head, "%.200s %" PRIu64 "/%" PRIu64 " ", g->stage, g->round, g->rounds);
    bar(g, cells);
    used = (int)strlen(head);
    left = width - used - BAR - 1;
    if (left >= 0)
        fprintf(stderr, "\r%s%s %.*s\033[K", head, cells, left, figures);
    else
        fprintf(stderr, "\r%.*s\033[K", width, head);
    fflush(stderr);
    p->drawn = true;
}

static void show(struct progress *p, const struct glance *g, const char *figures)
{
    p->shown = clock_seconds();
    if (p->terminal)
        draw(p, g, figures);
    else
        fprintf(stderr, "%s  round %" PRIu64 "/%" PRIu64 "%s%s\n", g->stage, g->round, g->rounds,
                *figures ? "  " : "", figures);
}

void progress_show(struct progress *p, const struct glance *g)
{
    double now = clock_seconds();
    char line[320];

    if (p->quiet || now - p->shown < (p->terminal ? REDRAW : p->every) || !reader_ready())
        return;
    figures(p, g, line, sizeof line);
    show(p, g, line);
}

void progress_begin(struct progress *p, const struct glance *g)
{
    if (!p->quiet && g->round < g->rounds && reader_ready())
        show(p, g, "");
}

static void say(struct progress *p, bool shown, const char *level, const char *about,
                const char *fmt, va_list args)
{
    char line[LINE];

    vsnprintf(line, sizeof line, fmt, args);
    if (p->tell)
        p->tell(p->context, level, about, line);
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
    say(p, !p->quiet, "info", "", fmt, args);
    va_end(args);
}

void progress_say_about(struct progress *p, const char *about, const char *fmt, ...)
{
    va_list args;

    va_start(args, fmt);
    say(p, !p->quiet, "info", about, fmt, args);
    va_end(args);
}

void progress_warn(struct progress *p, const char *fmt, ...)
{
    va_list args;

    va_start(args, fmt);
    say(p, true, "warning", "", fmt, args);
    va_end(args);
}

void progress_clear(struct progress *p)
{
    if (p->drawn)
        fputs("\r\033[K", stderr);
    p->drawn = false;
}
