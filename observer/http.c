/* http.c - libmicrohttpd without threads: it runs in our loop, so what it reads stands still meanwhile. */
#include <errno.h>
#include <inttypes.h>
#include <microhttpd.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <time.h>

#include "core/clock.h"
#include "core/err.h"
#include "observer/api.h"
#include "observer/http_gate.h"
#include "observer/page.h"
#include "observer/view.h"

#define PACE 0.4  /* seconds between two messages of a stream, at least */
#define QUIET 5.0 /* seconds after which one is sent though nothing happened */

enum { CONNECTIONS = 256, STREAMS_MAX = 64, PATIENCE = 30, RUNS = 32, MEMORY = 32 << 10 };

struct http;

struct stream { /* a browser that listens: server-sent events */
    struct http *http;
    struct MHD_Connection *connection;
    bool used, waits; /* waits: suspended until there is something to say */
    char *text;       /* owned; what is being sent */
    size_t n, at;
    double sent;
    uint64_t serial[RUNS], generation[RUNS], events[RUNS];
};

struct http {
    struct MHD_Daemon *daemon; /* owned */
    const struct runs *runs;
    struct gate gate;
    int epoll;
    struct stream streams[STREAMS_MAX];
};

static double now_seconds(void)
{
    struct timespec t;

    clock_gettime(CLOCK_REALTIME, &t);
    return (double)t.tv_sec + 1e-9 * (double)t.tv_nsec;
}

/* ---- answers ---- */

static enum MHD_Result answer(struct MHD_Connection *c, unsigned status, const char *type,
                              struct MHD_Response *r)
{
    static const char policy[] =
        "default-src 'self'; style-src 'self' 'unsafe-inline'; img-src 'self' data:; "
        "base-uri 'none'; form-action 'none'; frame-ancestors 'none'";
    enum MHD_Result code;

    if (!r)
        return MHD_NO;
    MHD_add_response_header(r, "Content-Type", type);
    MHD_add_response_header(r, "Content-Security-Policy", policy);
    MHD_add_response_header(r, "X-Content-Type-Options", "nosniff");
    MHD_add_response_header(r, "Referrer-Policy", "no-referrer");
    MHD_add_response_header(r, "Cache-Control", "no-store");
    code = MHD_queue_response(c, status, r);
    MHD_destroy_response(r);
    return code;
}

static enum MHD_Result answer_text(struct MHD_Connection *c, unsigned status, const char *text)
{
    return answer(c, status, "text/plain; charset=utf-8",
                  MHD_create_response_from_buffer(strlen(text), (void *)(uintptr_t)text,
                                                  MHD_RESPMEM_MUST_COPY));
}

static enum MHD_Result answer_owned(struct MHD_Connection *c, const char *type, char *text,
                                    size_t n)
{
    if (!text)
        return answer_text(c, MHD_HTTP_INTERNAL_SERVER_ERROR, "no memory\n");
    return answer(c, MHD_HTTP_OK, type,
                  MHD_create_response_from_buffer(n, text, MHD_RESPMEM_MUST_FREE));
}

static char *json_text(json_t *o)
{
    char *text = o ? json_dumps(o, JSON_COMPACT | JSON_REAL_PRECISION(9)) : NULL;

    json_decref(o);
    return text;
}

static enum MHD_Result answer_json(struct MHD_Connection *c, json_t *o)
{
    char *text = json_text(o);

    return answer_owned(c, "application/json; charset=utf-8", text, text ? strlen(text) : 0);
}

/* ---- server-sent events ---- */

static bool stream_is_behind(const struct stream *s)
{
    for (int i = 0; i < s->http->runs->n && i < RUNS; i++)
        if (s->events[i] != s->http->runs->sources[i].run.events ||
            s->serial[i] != s->http->runs->sources[i].run.serial ||
            s->generation[i] != s->http->runs->sources[i].run.generation)
            return true;
    return false;
}

static bool stream_is_due(const struct stream *s, double now)
{
    return now - s->sent >= (stream_is_behind(s) ? PACE : QUIET);
}

static void write_message(FILE *f, const char *event, json_t *data)
{
    char *text = json_text(data);

    if (text)
        fprintf(f, "event: %s\ndata: %s\n\n", event, text);
    free(text);
}

/* All runs, then the points that this browser does not have; from the beginning where the run began anew. */
static void stream_fill(struct stream *s)
{
    const struct runs *runs = s->http->runs;
    FILE *f = open_memstream(&s->text, &s->n);

    s->at = 0;
    s->sent = clock_seconds();
    if (!f)
        return;
    write_message(f, "runs", api_runs(runs, now_seconds()));
    for (int i = 0; i < runs->n && i < RUNS; i++) {
        const struct run *r = &runs->sources[i].run;
        uint64_t since = s->generation[i] == r->generation ? s->serial[i] : 0;

        write_message(f, "points", api_series(runs, i, since));
        s->serial[i] = r->serial;
        s->generation[i] = r->generation;
        s->events[i] = r->events;
    }
    fclose(f);
}

static ssize_t stream_read(void *context, uint64_t position, char *to, size_t room)
{
    struct stream *s = context;
    size_t n;

    (void)position;
    if (!s->text && stream_is_due(s, clock_seconds()))
        stream_fill(s);
    if (!s->text) {
        s->waits = true;
        MHD_suspend_connection(s->connection);
        return 0;
    }
    n = s->n - s->at < room ? s->n - s->at : room;
    memcpy(to, s->text + s->at, n);
    s->at += n;
    if (s->at == s->n) {
        free(s->text);
        s->text = NULL;
    }
    return (ssize_t)n;
}

static void stream_end(void *context)
{
    struct stream *s = context;

    free(s->text);
    *s = (struct stream){0};
}

static enum MHD_Result stream_begin(struct http *h, struct MHD_Connection *c)
{
    struct stream *s = h->streams;

    while (s < h->streams + STREAMS_MAX && s->used)
        s++;
    if (s == h->streams + STREAMS_MAX)
        return answer_text(c, MHD_HTTP_SERVICE_UNAVAILABLE, "too many listen\n");
    *s = (struct stream){.http = h, .connection = c, .used = true, .sent = -QUIET};
    return answer(
        c, MHD_HTTP_OK, "text/event-stream",
        MHD_create_response_from_callback(MHD_SIZE_UNKNOWN, 16 << 10, stream_read, s, stream_end));
}

/* ---- requests ---- */

static bool argument(struct MHD_Connection *c, const char *name, uint64_t limit, uint64_t *value)
{
    const char *text = MHD_lookup_connection_value(c, MHD_GET_ARGUMENT_KIND, name);
    char *end;

    *value = 0;
    if (!text)
        return true;
    errno = 0;
    *value = strtoull(text, &end, 10);
    return *text >= '0' && *text <= '9' && !*end && errno == 0 && *value < limit;
}

static enum MHD_Result answer_series(struct http *h, struct MHD_Connection *c)
{
    uint64_t run, since;

    if (!argument(c, "run", (uint64_t)h->runs->n, &run) ||
        !argument(c, "since", UINT64_MAX, &since))
        return answer_text(c, MHD_HTTP_BAD_REQUEST, "run: the number of a run; since: a serial\n");
    return answer_json(c, api_series(h->runs, (int)run, since));
}

static enum MHD_Result answer_configuration(struct http *h, struct MHD_Connection *c)
{
    uint64_t run;

    if (!argument(c, "run", (uint64_t)h->runs->n, &run))
        return answer_text(c, MHD_HTTP_BAD_REQUEST, "run: the number of a run\n");
    const char *text = h->runs->sources[run].run.configuration;
    return answer_text(c, MHD_HTTP_OK, text ? text : "");
}

static enum MHD_Result answer_runs(struct http *h, struct MHD_Connection *c)
{
    return answer_json(c, api_runs(h->runs, now_seconds()));
}

static enum MHD_Result answer_metrics(struct http *h, struct MHD_Connection *c)
{
    size_t n = 0;
    char *text = api_openmetrics(h->runs, &n);

    return answer_owned(c, "application/openmetrics-text; version=1.0.0; charset=utf-8", text, n);
}

static const struct {
    const char *path;
    enum MHD_Result (*answer)(struct http *h, struct MHD_Connection *c);
} table[] = {
    {"/api/run", answer_runs},
    {"/api/series", answer_series},
    {"/api/configuration", answer_configuration},
    {"/api/events", stream_begin},
    {"/metrics", answer_metrics},
};

static enum MHD_Result answer_page(const struct http *h, struct MHD_Connection *c, const char *path,
                                   bool cookie)
{
    const struct page_file *p = page_find(path);
    struct MHD_Response *r;
    char text[TOKEN_MAX + 96];

    if (!p)
        return answer_text(c, MHD_HTTP_NOT_FOUND, "there is no such page\n");
    r = MHD_create_response_from_buffer((size_t)(p->end - p->bytes), (void *)(uintptr_t)p->bytes,
                                        MHD_RESPMEM_PERSISTENT);
    snprintf(text, sizeof text, "%s=%s; HttpOnly; SameSite=Strict; Path=/", h->gate.cookie,
             h->gate.token);
    if (r && cookie)
        MHD_add_response_header(r, "Set-Cookie", text);
    return answer(c, MHD_HTTP_OK, p->type, r);
}

static enum MHD_Result on_request(void *context, struct MHD_Connection *c, const char *path,
                                  const char *method, const char *version, const char *upload,
                                  size_t *n_upload, void **state)
{
    struct http *h = context;
    enum verdict verdict = gate_ask(&h->gate, c);

    (void)version;
    (void)upload;
    (void)n_upload;
    (void)state;
    if (strcmp(method, "GET") != 0 && strcmp(method, "HEAD") != 0)
        return answer_text(c, MHD_HTTP_METHOD_NOT_ALLOWED, "GET and HEAD only\n");
    if (verdict == GATE_HOST)
        return answer_text(c, MHD_HTTP_FORBIDDEN, "this name is not the one of this machine\n");
    if (verdict == GATE_TOKEN)
        return answer_text(c, MHD_HTTP_UNAUTHORIZED,
                           "the token is missing or wrong: open the address as it was printed\n");
    for (size_t i = 0; i < sizeof table / sizeof *table; i++)
        if (strcmp(table[i].path, path) == 0)
            return table[i].answer(h, c);
    return answer_page(h, c, path, verdict == GATE_YES_COOKIE);
}

/* ---- the view ---- */

static int http_wait(struct view *v, zmq_pollitem_t *items)
{
    const struct http *h = v->state;

    items[0] = (zmq_pollitem_t){.fd = h->epoll, .events = ZMQ_POLLIN};
    return 1;
}

static int http_tick(struct view *v, double now)
{
    struct http *h = v->state;

    for (struct stream *s = h->streams; s < h->streams + STREAMS_MAX; s++)
        if (s->used && s->waits && stream_is_due(s, now)) {
            s->waits = false;
            MHD_resume_connection(s->connection);
        }
    MHD_run(h->daemon);
    return 0;
}

static int http_close(struct view *v)
{
    struct http *h = v->state;

    for (struct stream *s = h->streams; s < h->streams + STREAMS_MAX; s++)
        if (s->used && s->waits)
            MHD_resume_connection(s->connection);
    MHD_stop_daemon(h->daemon);
    free(h);
    return 0;
}

static const struct view_ops http = {
    .name = "http", .wait = http_wait, .tick = http_tick, .close = http_close};

static int daemon_start(struct http *h, const char *address)
{
    unsigned flags = MHD_USE_EPOLL | MHD_ALLOW_SUSPEND_RESUME |
                     (h->gate.address.any.sa_family == AF_INET6 ? MHD_USE_IPv6 : 0);
    const union MHD_DaemonInfo *info;

    errno = 0;
    h->daemon = MHD_start_daemon(
        flags, 0, NULL, NULL, on_request, h, MHD_OPTION_SOCK_ADDR, &h->gate.address.any,
        MHD_OPTION_CONNECTION_LIMIT, (unsigned)CONNECTIONS, MHD_OPTION_CONNECTION_TIMEOUT,
        (unsigned)PATIENCE, MHD_OPTION_CONNECTION_MEMORY_LIMIT, (size_t)MEMORY,
        MHD_OPTION_LISTENING_ADDRESS_REUSE, 1u, MHD_OPTION_END);
    if (!h->daemon)
        return err(ERR_CANTCREAT, "cannot listen at '%s': %s", address,
                   errno ? strerror(errno) : "libmicrohttpd refuses");
    info = MHD_get_daemon_info(h->daemon, MHD_DAEMON_INFO_EPOLL_FD);
    h->epoll = info->epoll_fd;
    info = MHD_get_daemon_info(h->daemon, MHD_DAEMON_INFO_BIND_PORT);
    gate_bound(&h->gate, info->port);
    return 0;
}

int view_http(struct view *v, const struct http_options *o)
{
    struct http *h = calloc(1, sizeof *h);
    int code;

    if (!h)
        return err(ERR_MEMORY, "no memory for --http");
    h->runs = v->runs;
    code = gate_init(&h->gate, o->address, o->token);
    if (code == 0)
        code = daemon_start(h, o->address);
    if (code < 0) {
        free(h);
        return code;
    }
    fprintf(stderr, "metaloop-observe: http://%s:%u/%s%s\n", h->gate.host, h->gate.port,
            *h->gate.token ? "?token=" : "", h->gate.token);
    v->ops = &http;
    v->state = h;
    v->stays = true;
    return 0;
}
