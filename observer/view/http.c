/* http.c - libmicrohttpd without threads: it runs in our loop, so the model does not change while
 * it reads. */
#include <errno.h>
#include <inttypes.h>
#include <microhttpd.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#include "core/base/clock.h"
#include "core/base/err.h"
#include "observer/view/api.h"
#include "observer/view/http_internal.h"
#include "observer/view/page.h"

enum { MEMORY = 32 << 10, ANSWERS_MAX = 256 << 20, KEPT_MAX = 3 + RUNS };

struct shared_answer { /* an answer that others may get as well */
    const void *of;    /* what answers */
    uint64_t run;
    struct MHD_Response *response; /* shared */
    double made, cost;             /* clock of its making; seconds that it took */
    uint64_t state;                /* events of all runs at that time */
};

struct http {
    struct MHD_Daemon *daemon; /* owned */
    const struct runs *runs;
    struct gate gate;
    int epoll;
    struct peers peers;
    struct feed feed;
    struct shared_answer kept[KEPT_MAX];
    size_t held; /* bytes of answers that are being sent */
};

/* ---- answers ---- */

/* Headers of every answer: no use by other sites, no caching. */
static void headers_add(struct MHD_Response *r, const char *type)
{
    static const char *const headers[][2] = {
        {"Content-Security-Policy",
         "default-src 'self'; style-src 'self' 'unsafe-inline'; img-src 'self' data:; "
         "base-uri 'none'; form-action 'none'; frame-ancestors 'none'"},
        {"Cross-Origin-Resource-Policy", "same-origin"},
        {"Cross-Origin-Opener-Policy", "same-origin"},
        {"X-Content-Type-Options", "nosniff"},
        {"X-Frame-Options", "DENY"},
        {"Referrer-Policy", "no-referrer"},
        {"Cache-Control", "no-store"},
    };

    MHD_add_response_header(r, "Content-Type", type);
    for (size_t i = 0; i < sizeof headers / sizeof *headers; i++)
        MHD_add_response_header(r, headers[i][0], headers[i][1]);
}

static enum MHD_Result answer(struct MHD_Connection *c, unsigned status, const char *type,
                              struct MHD_Response *r)
{
    enum MHD_Result code;

    if (!r)
        return MHD_NO;
    headers_add(r, type);
    if (status == MHD_HTTP_METHOD_NOT_ALLOWED)
        MHD_add_response_header(r, "Allow", "GET, HEAD");
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

/* ---- answers that are shared ---- */

struct body { /* the body of an answer: its bytes are counted while it is sent */
    struct http *http;
    size_t n;
    char *text; /* owned */
};

static void body_free(void *context)
{
    struct body *b = context;

    b->http->held -= b->n;
    free(b->text);
    free(b);
}

/* Owns text. NULL: no memory, or too many bytes are being sent already. */
static struct MHD_Response *body_response(struct http *h, char *text, size_t n)
{
    struct body *b =
        text && (h->held == 0 || h->held + n <= ANSWERS_MAX) ? malloc(sizeof *b) : NULL;

    if (!b) {
        free(text);
        return NULL;
    }
    *b = (struct body){h, n, text};
    h->held += n;
    struct MHD_Response *r =
        MHD_create_response_from_buffer_with_free_callback_cls(n, text, body_free, b);
    if (!r)
        body_free(b);
    return r;
}

typedef char *making(struct http *h, uint64_t run, size_t *n); /* NULL: no memory */

static struct shared_answer *kept_of(struct http *h, making *make, uint64_t run)
{
    struct shared_answer *k = h->kept, *oldest = h->kept;

    for (; k < h->kept + KEPT_MAX; k++) {
        if (k->response && k->of == (const void *)(uintptr_t)make && k->run == run)
            return k;
        if (!k->response || (oldest->response && k->made < oldest->made))
            oldest = k;
    }
    return oldest;
}

/* A value that changes with every event. */
static uint64_t state_of(const struct runs *runs)
{
    uint64_t state = 0;

    for (int i = 0; i < runs->n; i++) {
        const struct run *r = &runs->sources[i].run;

        state += 8 * (r->events + r->serial + r->generation) + r->state;
    }
    return state;
}

/* Without new events a text is valid for a second. With new ones it is made again, but that takes
 * only a part of our time. */
static bool is_fresh(const struct http *h, const struct shared_answer *k)
{
    double age = clock_seconds() - k->made;

    return k->response && (age < 20 * k->cost || (age < 1 && k->state == state_of(h->runs)));
}

static int kept_make(struct http *h, struct shared_answer *k, const char *type, making *make,
                     uint64_t run)
{
    double begin = clock_seconds();
    size_t n = 0;
    char *text = make(h, run, &n);

    if (k->response)
        MHD_destroy_response(k->response);
    *k = (struct shared_answer){
        .of = (const void *)(uintptr_t)make, .run = run, .state = state_of(h->runs)};
    k->response = body_response(h, text, n);
    k->made = clock_seconds();
    k->cost = k->made - begin;
    if (k->response)
        headers_add(k->response, type);
    return k->response != NULL;
}

/* Requests at about the same time get the same text, which is made and held once. */
static enum MHD_Result answer_shared(struct http *h, struct MHD_Connection *c, const char *type,
                                     making *make, uint64_t run)
{
    struct shared_answer *k = kept_of(h, make, run);
    bool same = k->of == (const void *)(uintptr_t)make && k->run == run;

    if (!(same && is_fresh(h, k)) && !kept_make(h, k, type, make, run))
        return answer_text(c, MHD_HTTP_SERVICE_UNAVAILABLE,
                           "too many downloads at the same time; try again\n");
    return MHD_queue_response(c, MHD_HTTP_OK, k->response);
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

#define JSON "application/json; charset=utf-8"

static char *series_make(struct http *h, uint64_t run, uint64_t since, size_t *n)
{
    char *text = NULL;
    FILE *f = open_memstream(&text, n);

    if (!f)
        return NULL;
    api_series(f, h->runs, (int)run, since);
    return fclose(f) == 0 ? text : NULL;
}

static char *all_series_make(struct http *h, uint64_t run, size_t *n)
{
    return series_make(h, run, 0, n);
}

static enum MHD_Result answer_series(struct http *h, struct MHD_Connection *c)
{
    uint64_t run, since;
    size_t n = 0;
    struct MHD_Response *r;

    if (!argument(c, "run", (uint64_t)h->runs->n, &run) ||
        !argument(c, "since", UINT64_MAX, &since))
        return answer_text(c, MHD_HTTP_BAD_REQUEST,
                           "'run' must be the number of a run, 'since' a serial number\n");
    if (since == 0)
        return answer_shared(h, c, JSON, all_series_make, run);
    char *text = series_make(h, run, since, &n);
    r = body_response(h, text, n);
    return r ? answer(c, MHD_HTTP_OK, JSON, r)
             : answer_text(c, MHD_HTTP_SERVICE_UNAVAILABLE,
                           "too many downloads at the same time; try again\n");
}

static char *configuration_make(struct http *h, uint64_t run, size_t *n)
{
    const char *text = h->runs->sources[run].run.configuration;

    *n = text ? strlen(text) : 0;
    return strdup(text ? text : "");
}

static enum MHD_Result answer_configuration(struct http *h, struct MHD_Connection *c)
{
    uint64_t run;

    if (!argument(c, "run", (uint64_t)h->runs->n, &run))
        return answer_text(c, MHD_HTTP_BAD_REQUEST, "'run' must be the number of a run\n");
    return answer_shared(h, c, "text/plain; charset=utf-8", configuration_make, run);
}

static char *runs_make(struct http *h, uint64_t run, size_t *n)
{
    json_t *all = api_runs(h->runs, clock_since_1970());
    char *text = all ? json_dumps(all, JSON_COMPACT | JSON_REAL_PRECISION(9)) : NULL;

    (void)run;
    json_decref(all);
    *n = text ? strlen(text) : 0;
    return text;
}

static enum MHD_Result answer_runs(struct http *h, struct MHD_Connection *c)
{
    return answer_shared(h, c, JSON, runs_make, 0);
}

static char *metrics_make(struct http *h, uint64_t run, size_t *n)
{
    (void)run;
    return api_openmetrics(h->runs, n);
}

static enum MHD_Result answer_metrics(struct http *h, struct MHD_Connection *c)
{
    return answer_shared(h, c, "application/openmetrics-text; version=1.0.0; charset=utf-8",
                         metrics_make, 0);
}

static enum MHD_Result answer_events(struct http *h, struct MHD_Connection *c)
{
    struct MHD_Response *r = feed_listen(&h->feed, c);

    return r ? answer(c, MHD_HTTP_OK, "text/event-stream", r)
             : answer_text(c, MHD_HTTP_SERVICE_UNAVAILABLE,
                           "too many browsers listen; try again\n");
}

static const struct {
    const char *path;
    enum MHD_Result (*answer)(struct http *h, struct MHD_Connection *c);
} table[] = {
    {"/api/run", answer_runs},
    {"/api/series", answer_series},
    {"/api/configuration", answer_configuration},
    {"/api/events", answer_events},
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
    peers_asked(c);
    if (strcmp(method, "GET") != 0 && strcmp(method, "HEAD") != 0)
        return answer_text(c, MHD_HTTP_METHOD_NOT_ALLOWED, "GET and HEAD only\n");
    if (verdict == GATE_FORM || path[0] != '/')
        return answer_text(c, MHD_HTTP_BAD_REQUEST,
                           "a request needs one Host header, and a path that begins with /\n");
    if (verdict == GATE_HOST)
        return answer_text(c, MHD_HTTP_FORBIDDEN, "the Host header does not name this server\n");
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

    peers_tend(&h->peers, now);
    feed_tend(&h->feed, now);
    MHD_run(h->daemon);
    return 0;
}

static int http_close(struct view *v)
{
    struct http *h = v->state;

    feed_stop(&h->feed);
    MHD_stop_daemon(h->daemon);
    feed_release(&h->feed);
    for (int i = 0; i < KEPT_MAX; i++)
        if (h->kept[i].response)
            MHD_destroy_response(h->kept[i].response);
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
        MHD_OPTION_CONNECTION_LIMIT, (unsigned)CONNECTIONS, MHD_OPTION_PER_IP_CONNECTION_LIMIT,
        h->gate.loopback ? 0u : (unsigned)PER_ADDRESS, MHD_OPTION_CONNECTION_TIMEOUT,
        (unsigned)SLOW, MHD_OPTION_CONNECTION_MEMORY_LIMIT, (size_t)MEMORY,
        MHD_OPTION_NOTIFY_CONNECTION, peers_notice, &h->peers, MHD_OPTION_NOTIFY_COMPLETED,
        peers_answered, &h->peers, MHD_OPTION_END);
    if (!h->daemon)
        return err(ERR_CANTCREAT, "cannot listen at '%s': %s%s", address,
                   errno ? strerror(errno) : "libmicrohttpd refuses",
                   errno == EADDRINUSE ? "; another port may be free, and port 0 takes one" : "");
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
    h->runs = h->feed.runs = v->runs;
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
