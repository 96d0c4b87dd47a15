/* observe.c - metaloop-observe: sources in, views out, one loop, one exit status. */
#include <errno.h>
#include <fcntl.h>
#include <signal.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <time.h>
#include <unistd.h>
#include <zmq.h>

#include "core/base/clock.h"
#include "core/base/err.h"
#include "observer/arguments.h"
#include "observer/view/view.h"

enum {
    PAUSE = 100, /* ms between ticks when nothing comes in */
    SOURCES_MAX = 2 * ENDPOINTS_MAX,
    ITEMS_MAX = SOURCES_MAX * SOURCE_ITEMS + VIEWS_MAX * VIEW_ITEMS,
};

struct observe {
    struct arguments arguments;
    void *zmq; /* owned; NULL without live sources */
    struct source sources[SOURCES_MAX];
    struct runs runs;
    struct view views[VIEWS_MAX];
    int n_views;
};

static volatile sig_atomic_t stopped;

static void on_signal(int signal)
{
    (void)signal;
    stopped = 1;
}

static int event_show(void *context, const struct source *s, const struct event *e)
{
    struct observe *o = context;

    for (int i = 0; i < o->n_views; i++)
        if (o->views[i].ops->event)
            TRY(o->views[i].ops->event(&o->views[i], s, e));
    return 0;
}

static int sources_open(struct observe *o)
{
    const struct arguments *a = &o->arguments;
    struct live_options live = {a->key, a->server_key, a->linger};

    o->runs.sources = o->sources;
    for (int i = 0; i < a->n_replays; i++)
        TRY(source_replay(&o->sources[o->runs.n++], a->replays[i]));
    if (!a->n_endpoints)
        return 0;
    o->zmq = zmq_ctx_new();
    if (!o->zmq)
        return err(ERR_FAILED, "cannot start ZeroMQ: %s", zmq_strerror(errno));
    for (int i = 0; i < a->n_endpoints; i++)
        TRY(source_live(&o->sources[o->runs.n++], o->zmq, a->endpoints[i], &live));
    return 0;
}

static struct view *view_next(struct observe *o)
{
    struct view *v = &o->views[o->n_views];

    v->runs = &o->runs;
    return v;
}

/* Counts the view just opened. */
static int opened(struct observe *o, int code)
{
    if (o->views[o->n_views].ops)
        o->n_views++;
    return code;
}

static int screen_open(struct observe *o)
{
    const struct arguments *a = &o->arguments;
    const char *kind = getenv("TERM");
    bool plain = a->lines || !kind || !*kind || strcmp(kind, "dumb") == 0; /* no cursor to move */
    bool other = a->http || a->tensorboard || a->jsonl || a->csv || a->png;

    if (a->lines || (!other && (plain || !(isatty(STDOUT_FILENO) && isatty(STDIN_FILENO)))))
        return opened(o, view_lines(view_next(o), a->every));
    if (other)
        return 0;
    for (int i = 0; i < o->runs.n; i++)
        o->sources[i].silent = true;
    return opened(o, view_terminal(view_next(o)));
}

static int views_open(struct observe *o)
{
    const struct arguments *a = &o->arguments;

    if (a->jsonl)
        TRY(opened(o, view_jsonl(view_next(o), a->jsonl)));
    if (a->csv)
        TRY(opened(o, view_csv(view_next(o), a->csv)));
    if (a->tensorboard)
        TRY(opened(o, view_tensorboard(view_next(o), a->tensorboard)));
    if (a->http)
        TRY(opened(o, view_http(view_next(o), &(struct http_options){a->http, a->token})));
    if (a->n_commands)
        TRY(opened(o, view_commands(view_next(o), a->commands, a->n_commands)));
    if (a->png)
        TRY(opened(o, view_png(view_next(o), a->png)));
    return screen_open(o);
}

static int items_collect(struct observe *o, zmq_pollitem_t *items)
{
    int n = 0;

    for (int i = 0; i < o->runs.n; i++)
        n += o->sources[i].ops->wait(&o->sources[i], items + n);
    for (int i = 0; i < o->n_views; i++)
        if (o->views[i].ops->wait)
            n += o->views[i].ops->wait(&o->views[i], items + n);
    return n;
}

/* Passes on what has arrived; 1: there is more. */
static int sources_step(struct observe *o, double now)
{
    const struct listener to = {event_show, o};
    int more = 0;

    for (int i = 0; i < o->runs.n; i++) {
        struct source *s = &o->sources[i];
        int code = s->ops->step(s, now, &to);

        TRY(code);
        more |= code;
    }
    return more;
}

/* 1: the user wants to leave. */
static int views_tick(struct observe *o)
{
    double now = clock_seconds();
    int leave = 0;

    for (int i = 0; i < o->n_views; i++) {
        int code = o->views[i].ops->tick ? o->views[i].ops->tick(&o->views[i], now) : 0;

        TRY(code);
        leave |= code | o->views[i].gone;
    }
    return leave;
}

static int is_over(const struct observe *o)
{
    for (int i = 0; i < o->runs.n; i++)
        if (!o->sources[i].finished)
            return 0;
    for (int i = 0; i < o->n_views; i++)
        if (o->views[i].stays)
            return 0;
    return 1;
}

static int loop(struct observe *o)
{
    zmq_pollitem_t items[ITEMS_MAX];
    int leave = 0;

    while (!stopped && !leave) {
        int more = sources_step(o, clock_seconds());

        TRY(more);
        leave = views_tick(o);
        TRY(leave);
        if (is_over(o))
            break;
        if (zmq_poll(items, items_collect(o, items), more ? 0 : PAUSE) < 0 && errno != EINTR)
            return err(ERR_FAILED, "cannot wait for input: %s", zmq_strerror(errno));
    }
    return 0;
}

/* Keeps the first error. Its sentence is printed at once, because the next error replaces it. */
static void keep(int *code, int fresh)
{
    if (fresh >= 0)
        return;
    fprintf(stderr, "metaloop-observe: %s\n", err_text());
    if (*code == 0)
        *code = fresh;
}

static int finish(struct observe *o, int code)
{
    uint64_t refused = 0;

    o->runs.stopped = stopped;
    for (int i = 0; i < o->n_views; i++)
        keep(&code, o->views[i].ops->close(&o->views[i]));
    for (int i = 0; i < o->runs.n; i++) {
        refused += o->sources[i].refused;
        source_close(&o->sources[i]);
    }
    if (o->zmq)
        zmq_ctx_term(o->zmq);
    return code == 0 && refused > 0 ? ERR_DATA : code;
}

static int observe(struct observe *o)
{
    TRY(outputs_check(&o->arguments));
    TRY(sources_open(o));
    TRY(views_open(o));
    return loop(o);
}

/* A file that is opened must not take the place of a closed standard stream. */
static void streams_hold(void)
{
    for (int fd = open("/dev/null", O_RDWR); fd >= 0; fd = open("/dev/null", O_RDWR))
        if (fd > STDERR_FILENO) {
            close(fd);
            return;
        }
}

static void signals_take(void)
{
    struct sigaction stop = {.sa_handler = on_signal}, ignore = {.sa_handler = SIG_IGN}, before;

    sigaction(SIGINT, &stop, NULL);
    sigaction(SIGTERM, &stop, NULL);
    sigaction(SIGHUP, NULL, &before);
    if (before.sa_handler != SIG_IGN) /* nohup */
        sigaction(SIGHUP, &stop, NULL);
    sigaction(SIGPIPE, &ignore, NULL);
}

int main(int argc, char **argv)
{
    struct observe *o = calloc(1, sizeof *o);
    int code = 0, parsed;

    if (!o)
        return 1;
    streams_hold();
    signals_take();
    parsed = arguments_read(&o->arguments, argc, argv);
    keep(&code, parsed);
    if (parsed == 0) {
        keep(&code, observe(o));
        code = finish(o, code);
    }
    free(o);
    return err_exit_status(code);
}
