/* lines.c - one line per event, for a log or a pipe. */
#include <errno.h>
#include <inttypes.h>
#include <math.h>
#include <poll.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <unistd.h>

#include "core/base/clock.h"
#include "core/base/err.h"
#include "observer/view/view.h"

enum { BACKLOG = 1 << 20, PIECE = 4096, PIECE_TERMINAL = 256 };
enum { PARTS = 20 }; /* shares of a stage, with a line of progress at each, however fast it runs */

struct seen { /* of a run */
    uint64_t notes, evaluations, generation;
    int stage, part;
    double time;
    enum run_status state;
};

struct lines {
    /* owned: writes into text until standard output takes it; a slow reader holds up nothing
     * else */
    FILE *out;
    char *text;
    size_t n, at;
    double every, now;
    struct seen *seen; /* owned, one per run */
};

bool reader_is_gone(int fd)
{
    struct pollfd one = {.fd = fd};

    return poll(&one, 1, 0) == 1 && one.revents & (POLLERR | POLLHUP | POLLNVAL);
}

void text_duration(char *text, size_t n, double seconds)
{
    if (seconds >= 0 && seconds < 1e8)
        clock_text(seconds, text, n);
    else
        snprintf(text, n, "?");
}

double stage_done(const struct run *r)
{
    const struct stage_seen *s = r->stage < 0 ? NULL : &r->stages[r->stage];
    double done = s && s->rounds ? (double)s->round / (double)s->rounds : 0;

    return done > 1 ? 1 : done;
}

static FILE *out(const struct view *v)
{
    return ((const struct lines *)v->state)->out;
}

/* Prints the run's label, if there are several runs. */
static void prefix(const struct view *v, const struct run *r)
{
    char label[NAME + KEY];

    run_label(v->runs, r, label, sizeof label);
    if (v->runs->n > 1)
        fprintf(out(v), "[%s] ", label);
}

static void say_notes(const struct view *v, const struct run *r, struct seen *seen)
{
    static const char *const levels[] = {"", "alarm: ", "fault: "};
    uint64_t oldest = r->n_notes > NOTES_MAX ? r->n_notes - NOTES_MAX : 0;

    for (uint64_t i = seen->notes > oldest ? seen->notes : oldest; i < r->n_notes; i++) {
        const struct note *n = &r->notes[i % NOTES_MAX];

        prefix(v, r);
        fprintf(out(v), "%s%s\n", levels[n->level], n->text);
    }
    seen->notes = r->n_notes;
}

static void say_stage(const struct view *v, const struct run *r, const struct event *e)
{
    const struct stage_seen *s = &r->stages[r->stage];

    prefix(v, r);
    fprintf(out(v),
            "stage '%s' (%s): rounds %" PRIu64 " to %" PRIu64 ", %" PRIu64 " parameters, %" PRId64
            " ranks\n",
            s->name, s->method, s->from, s->rounds, s->parameters, event_integer(e, "ranks", 0));
}

static void say_figure(FILE *f, const char *name, double value, double scale, const char *format)
{
    if (!isfinite(value))
        return;
    fprintf(f, "  %s ", name);
    fprintf(f, format, value * scale);
}

static void say_progress(const struct view *v, const struct run *r, double now)
{
    const struct stage_seen *s = &r->stages[r->stage];
    char left[32];

    prefix(v, r);
    fprintf(out(v), "%s  round %" PRIu64 "/%" PRIu64, s->name, s->round, s->rounds);
    say_figure(out(v), "loss", series_last(model_series(r, r->stage, "round", "", -1, "loss")), 1,
               "%.4f");
    say_figure(out(v), "accuracy",
               series_last(model_series(r, r->stage, "round", "", -1, "accuracy")), 100, "%.1f %%");
    say_figure(out(v), "speed",
               series_last(model_series(r, r->stage, "round", "", -1, "tasks_per_second")), 1,
               "%.0f tasks/s");
    if (isfinite(run_left(r, now))) {
        text_duration(left, sizeof left, run_left(r, now));
        fprintf(out(v), "  %s left", left);
    }
    fputc('\n', out(v));
}

/* One episode has no interval. */
static void say_interval(FILE *f, double ci95, int digits)
{
    if (isfinite(ci95))
        fprintf(f, " +- %.*f", digits, ci95);
}

static void say_evaluation(const struct view *v, const struct run *r, const struct event *e)
{
    double accuracy = event_number(e, "accuracy", NAN);
    char data[NAME];

    text_clean(data, sizeof data, event_text(e, "data"));
    prefix(v, r);
    fprintf(out(v), "evaluation  round %" PRIu64 "  data '%s'  step %" PRId64,
            event_count(e, "round"), data, event_integer(e, "step", 0));
    if (isfinite(accuracy)) {
        fprintf(out(v), "  accuracy %.2f", 100 * accuracy);
        say_interval(out(v), 100 * event_number(e, "accuracy_ci95", NAN), 2);
        fputs(" %", out(v));
    }
    fprintf(out(v), "  loss %.4f", event_number(e, "loss", NAN));
    say_interval(out(v), event_number(e, "loss_ci95", NAN), 4);
    if (isfinite(event_number(e, "inductive_accuracy", NAN)))
        fprintf(out(v), "  inductive accuracy %.2f %%",
                100 * event_number(e, "inductive_accuracy", NAN));
    fputc('\n', out(v));
}

static void say_end(const struct view *v, const struct run *r)
{
    prefix(v, r);
    fprintf(out(v), "ended: %s%s%s\n", r->end, *r->digest ? "  digest " : "", r->digest);
}

static void round_seen(const struct view *v, const struct run *r, struct seen *seen)
{
    const struct lines *l = v->state;
    int part = (int)(stage_done(r) * PARTS);

    if (seen->stage == r->stage && seen->part == part && l->now - seen->time < l->every)
        return;
    seen->stage = r->stage;
    seen->part = part;
    seen->time = l->now;
    say_progress(v, r, r->time);
}

/* After a restart the run sends its notes again; they are not printed again. */
static struct seen *seen_of(const struct view *v, int i)
{
    const struct lines *l = v->state;
    const struct run *r = &v->runs->sources[i].run;

    if (l->seen[i].generation != r->generation)
        l->seen[i] = (struct seen){.generation = r->generation, .notes = r->n_notes, .stage = -1};
    return &l->seen[i];
}

static int lines_event(struct view *v, const struct source *s, const struct event *e)
{
    struct seen *seen = seen_of(v, (int)(s - v->runs->sources));
    const struct run *r = &s->run;

    if (strcmp(e->kind, "stage") == 0 && r->stage >= 0)
        say_stage(v, r, e);
    else if (strcmp(e->kind, "round") == 0 && r->stage >= 0)
        round_seen(v, r, seen);
    else if (strcmp(e->kind, "evaluation") == 0)
        say_evaluation(v, r, e);
    else if (strcmp(e->kind, "end") == 0)
        say_end(v, r);
    say_notes(v, r, seen);
    return 0;
}

static bool is_writable(int milliseconds)
{
    struct pollfd one = {.fd = STDOUT_FILENO, .events = POLLOUT};

    return poll(&one, 1, milliseconds) == 1;
}

/* Writes what standard output takes now. Waits only while more than `least` bytes are left. Small
 * pieces do not block. */
static int pending_write(struct view *v, size_t least)
{
    struct lines *l = v->state;
    size_t piece = isatty(STDOUT_FILENO) ? PIECE_TERMINAL : PIECE;

    v->gone |= reader_is_gone(STDOUT_FILENO);
    fflush(l->out);
    while (l->at < l->n && !v->gone) {
        size_t left = l->n - l->at;

        if (!is_writable(left > least ? v->runs->stopped ? 1000 : -1 : 0))
            return 0;
        ssize_t done = write(STDOUT_FILENO, l->text + l->at, left < piece ? left : piece);

        if (done < 0 && (errno == EPIPE || errno == EIO))
            v->gone = true;
        else if (done < 0 && errno != EINTR && errno != EAGAIN)
            return err(ERR_IO, "cannot write to standard output: %s", strerror(errno));
        l->at += done > 0 ? (size_t)done : 0;
    }
    rewind(l->out);
    fflush(l->out);
    l->at = 0;
    return 0;
}

static int lines_tick(struct view *v, double now)
{
    struct lines *l = v->state;

    l->now = now;
    for (int i = 0; i < v->runs->n; i++) {
        const struct run *r = &v->runs->sources[i].run;

        if (l->seen[i].generation != r->generation)
            l->seen[i] =
                (struct seen){.generation = r->generation, .notes = r->n_notes, .stage = -1};
        say_notes(v, r, &l->seen[i]);
        if (r->state == RUN_WHOLE && l->seen[i].state != RUN_WHOLE) {
            if (r->stage >= 0)
                say_progress(v, r, r->time);
            prefix(v, r);
            fputs("the file ends here: the run has not ended, or was killed\n", out(v));
        }
        l->seen[i].state = r->state;
    }
    return pending_write(v, BACKLOG);
}

static int lines_close(struct view *v)
{
    struct lines *l = v->state;
    int code = pending_write(v, 0);

    fclose(l->out);
    free(l->text);
    free(l->seen);
    free(l);
    return code;
}

static const struct view_ops lines = {
    .name = "lines", .event = lines_event, .tick = lines_tick, .close = lines_close};

int view_lines(struct view *v, double every)
{
    struct lines *l = calloc(1, sizeof *l);

    if (l)
        l->seen = calloc((size_t)v->runs->n, sizeof *l->seen);
    if (l && l->seen)
        l->out = open_memstream(&l->text, &l->n);
    if (!l || !l->out) {
        if (l)
            free(l->seen);
        free(l);
        return err(ERR_MEMORY, "no memory for lines");
    }
    for (int i = 0; i < v->runs->n; i++)
        l->seen[i].stage = -1;
    l->every = every;
    v->ops = &lines;
    v->state = l;
    return 0;
}
