/* sim.c - ranks as fibers: a mailbox each, messages in virtual time.
 *
 * As MPI does: a small message arrives by itself; of a large one only its envelope does, and its
 * bytes leave when the receiver has seen that in a poll. A rank that sleeps notices what has come
 * when it wakes, by the rule of idle.h; one that is awake, at its next poll. Nothing happens in the
 * naps, or polls, between: they are one wait. */
#include "proto/comm/sim.h"

#include <assert.h>
#include <stdlib.h>

#include "core/base/err.h"
#include "proto/comm/idle.h"
#include "proto/comm/letters.h"

#define PATIENCE 100e6 /* a large message counts as moving for so many nanoseconds, and for ... */
#define SLOWEST 10e-3  /* ... one more for each so many bytes */
#define NAPS 5000000   /* nanoseconds of sleeps that an idle lasts at least if nothing comes */

/* checksum: of a byte, on either side; take: of parameters; sum: a byte of a packed sum, to pack it
 * or to merge it. */
#define MEASURED(checksum, take, sum)                                                              \
    {                                                                                              \
        .poll = 660, .poll_rank = 1, .send = 300, .receive = 750, .copy = 0.05,                    \
        .out = {[MESSAGE_SUM] = (sum) + (checksum)},                                               \
        .in = {[MESSAGE_PARAMS] = (take) + (checksum), [MESSAGE_SUM] = (sum) + (checksum)},        \
        .yield = 300, .oversleep = 5000, .wake = 5000, .eager = 8192,                              \
    }

const struct sim_costs sim_measured = MEASURED(0.022, 0.05, 0.11);
const struct sim_costs sim_measured_far = MEASURED(0.047, 0.05, 0.21);

struct freight { /* a message on its way */
    struct letter letter;
    struct travel travel;
    struct cluster *hub;
    uint64_t bytes;                                        /* that it stands for */
    enum { PARCEL_SENT, PARCEL_SEEN, PARCEL_WHOLE } state; /* SEEN: its bytes are on their way */
};

struct nap {
    bool awake; /* it polls and yields by turns */
    struct backoff backoff;
    bool moving;        /* something large is: the sleeps are the shortest */
    virtual_time wakes; /* the end of the next sleep */
};

struct end {                      /* of a rank */
    struct letter_queue arrived;  /* not seen by a poll yet */
    struct letter_queue incoming; /* seen, in the order of arrival */
    struct letter *open;          /* owned: the one that the last poll returned */
    bool closed, dead, poked;
    virtual_time stopped; /* it stands still until then */
    struct nap nap;
    struct fiber *napping; /* in idle, and nothing has come; NULL: nobody is */
    int moving;            /* large messages from it or to it */
    virtual_time patience; /* until then they count */
    struct sim_figures figures;
    virtual_time traced, waited; /* up to which it is in the trace; of that, waiting for messages */
    int n_working;               /* of its compute threads */
};

struct cluster { /* shared by all ends */
    struct sim_plan plan;
    struct wires wires;
    int n, open;
    int under_way; /* parcels with an event to come */
    int *host;     /* (n) owned: a host each */
    FILE *trace;   /* borrowed; NULL: none */
    struct end ends[];
};

static struct freight *parcel_of(struct letter *l)
{
    return (struct freight *)l;
}

static struct freight *parcel_of_travel(struct travel *t)
{
    return (struct freight *)((char *)t - offsetof(struct freight, travel));
}

static struct end *end_of(const struct comm *c)
{
    return &((struct cluster *)c->state)->ends[c->rank];
}

static void hub_free(struct cluster *h)
{
    if (h->open > 0 || h->under_way > 0)
        return;
    wires_close(&h->wires);
    free(h->host);
    free(h);
}

/* ---- the trace ---- */

void sim_trace(struct comm *c, FILE *to)
{
    struct cluster *h = c->state;

    h->trace = to;
    for (int i = 0; i < h->n; i++)
        fprintf(to, "%d init\n", i);
}

/* What the rank of this end does now, after what it has computed since its last line. */
static void trace(struct comm *c, const char *action, int other, uint64_t bytes)
{
    const struct cluster *h = c->state;
    struct end *e = &((struct cluster *)c->state)->ends[c->rank];
    virtual_time work = fiber_now() - e->traced - e->waited;

    e->traced = fiber_now();
    e->waited = 0;
    if (!h->trace)
        return;
    if (work > 0)
        fprintf(h->trace, "%d compute %lld\n", c->rank, (long long)work);
    fprintf(h->trace, "%d %s %d 0 %llu\n", c->rank, action, other, (unsigned long long)bytes);
}

/* It has waited since then. */
static void trace_wait(struct end *e, virtual_time since)
{
    if (e->n_working == 0 && !e->poked)
        e->waited += fiber_now() - since;
}

void sim_threads(struct comm *c, int more)
{
    end_of(c)->n_working += more;
}

/* ---- sleep ---- */

/* One sleep more; 0: it yields instead. */
static virtual_time nap_next(const struct sim_costs *c, struct nap *nap)
{
    long ns;

    if (nap->moving)
        backoff_soon(&nap->backoff);
    ns = backoff_step(&nap->backoff);
    return ns == 0 ? 0 : ns + (virtual_time)c->oversleep;
}

/* The sleeps that end before that time are over. */
static void nap_until(const struct sim_costs *c, struct nap *nap, virtual_time time)
{
    virtual_time turn = (virtual_time)(c->poll + c->yield);

    if (nap->awake && nap->wakes < time)
        nap->wakes += (time - nap->wakes + turn - 1) / turn * turn;
    while (nap->wakes < time)
        nap->wakes += (virtual_time)c->poll + nap_next(c, nap);
}

/* Something has come: a rank that sleeps sees it when it wakes. */
static void notice(const struct cluster *h, struct end *e)
{
    if (!e->napping)
        return;
    nap_until(&h->plan.costs, &e->nap, fiber_now());
    fiber_wake(e->napping, e->nap.wakes);
    e->napping = NULL;
}

/* Several sleeps, if nothing comes. */
static void sleep_on(const struct cluster *h, struct end *e, virtual_time ns)
{
    struct nap all;

    e->nap.wakes = fiber_now() + ns;
    all = e->nap;
    nap_until(&h->plan.costs, &all, fiber_now() + NAPS);
    e->napping = fiber_running();
    fiber_wait_until(all.wakes);
    if (e->napping)
        e->nap = all;
    e->napping = NULL;
}

static void sim_idle(struct comm *c)
{
    const struct cluster *h = c->state;
    struct end *e = end_of(c);
    virtual_time ns, begun = fiber_now();

    e->nap.awake = c->awake;
    e->nap.moving = e->moving > 0 && fiber_now() < e->patience;
    ns = c->awake ? (virtual_time)h->plan.costs.yield : nap_next(&h->plan.costs, &e->nap);
    if (ns == 0) {
        fiber_spend((virtual_time)h->plan.costs.yield);
        trace_wait(e, begun);
        return;
    }
    if (!e->poked)
        sleep_on(h, e, ns);
    if (e->poked)
        backoff_soon(&e->nap.backoff);
    trace_wait(e, begun);
    e->poked = false;
}

static void sim_poke(struct comm *c)
{
    const struct cluster *h = c->state;
    struct end *e = end_of(c);

    e->poked = true;
    if (e->napping)
        fiber_wake(e->napping, fiber_now() + (virtual_time)h->plan.costs.wake);
    e->napping = NULL;
}

/* ---- messages ---- */

static void spend(struct end *e, double ns)
{
    e->figures.busy += (virtual_time)ns;
    fiber_spend((virtual_time)ns);
}

static bool is_large(const struct freight *p)
{
    return p->bytes > p->hub->plan.costs.eager;
}

static void move_begin(const struct freight *p, int rank)
{
    struct end *e = &p->hub->ends[rank];
    virtual_time until = fiber_now() + (virtual_time)(PATIENCE + (double)p->bytes / SLOWEST);

    e->moving++;
    e->patience = until > e->patience ? until : e->patience;
}

/* Nobody reads it. */
static void parcel_drop(struct freight *p)
{
    if (p->state == PARCEL_SENT && is_large(p))
        p->hub->ends[p->travel.from].moving--;
    letter_free(&p->letter);
}

/* A small message, or the envelope of a large one. */
static void arrived(struct travel *t)
{
    struct freight *p = parcel_of_travel(t);
    struct cluster *h = p->hub;
    struct end *to = &h->ends[t->to];

    h->under_way--;
    notice(h, to);
    if (to->closed)
        parcel_drop(p);
    else
        letter_queue_put(&to->arrived, &p->letter);
    hub_free(h);
}

/* The bytes of a large one. */
static void bytes_arrived(struct travel *t)
{
    struct freight *p = parcel_of_travel(t);
    struct cluster *h = p->hub;
    struct end *to = &h->ends[t->to], *from = &h->ends[t->from];

    h->under_way--;
    p->state = PARCEL_WHOLE;
    notice(h, to);
    notice(h, from);
    to->moving--, from->moving--;
    if (to->closed)
        parcel_drop(p);
    hub_free(h);
}

static void bytes_leave(void *parcel)
{
    struct freight *p = parcel;

    p->travel.bytes = p->bytes;
    p->travel.arrived = bytes_arrived;
    travel_begin(&p->travel);
}

/* A poll has found the next: if it is large, its sender's host is asked for its bytes. */
static void see(struct end *e)
{
    struct freight *p = parcel_of(letter_queue_take(&e->arrived, &e->arrived.first));
    const struct network *n = &p->hub->plan.network;
    const int *host = p->hub->plan.host;
    double latency = host[p->travel.from] == host[p->travel.to] ? n->inside_latency : n->latency;

    letter_queue_put(&e->incoming, &p->letter);
    p->state = is_large(p) ? PARCEL_SEEN : PARCEL_WHOLE;
    if (!is_large(p))
        return;
    p->hub->under_way++;
    move_begin(p, p->travel.to);
    event_at(fiber_now() + (virtual_time)latency, bytes_leave, p);
}

static uint64_t bytes_of(const struct sim_plan *p, const struct header *h)
{
    uint64_t bulk = h->kind < SIM_KINDS ? p->bulk[h->kind] : 0;

    bulk = bulk < h->size ? bulk : h->size;
    return sizeof *h + h->size + (uint64_t)((p->scale - 1) * (double)bulk);
}

/* Nanoseconds a byte, copying included. */
static double byte_cost(const struct sim_costs *c, const double *each, const struct header *h)
{
    return c->copy + (h->kind < SIM_KINDS ? each[h->kind] : 0);
}

static int sim_send(struct comm *c, int to, const struct header *h, const struct part *parts, int n)
{
    struct cluster *hub = c->state;
    const struct sim_costs *costs = &hub->plan.costs;
    struct letter_queue none;
    struct freight *p;

    if (end_of(c)->dead)
        return 0;
    letter_queue_init(&none);
    p = (struct freight *)letter_get(&none, sizeof *p, letter_size(h));
    if (!p)
        return ERR_MEMORY;
    letter_fill(&p->letter, h, parts, n);
    p->letter.peer = c->rank;
    p->hub = hub;
    p->bytes = bytes_of(&hub->plan, h);
    p->travel = (struct travel){&hub->wires, c->rank, to, 0, arrived};
    spend(end_of(c), costs->send + (double)p->bytes * byte_cost(costs, costs->out, h));
    end_of(c)->figures.sent += p->bytes;
    trace(c, "isend", to, p->bytes);
    hub->under_way++;
    p->travel.bytes = is_large(p) ? sizeof *h : p->bytes;
    if (is_large(p))
        move_begin(p, c->rank);
    travel_begin(&p->travel);
    return 0;
}

static bool is_whole(struct letter *l)
{
    return parcel_of(l)->state == PARCEL_WHOLE;
}

static void end_let_go(struct end *e)
{
    if (e->open)
        letter_free(e->open);
    e->open = NULL;
}

/* One that has come is found among the ranks half-way, on average. */
static virtual_time look_time(const struct sim_costs *c, const struct end *e, int n_ranks)
{
    double each = c->poll_rank * n_ranks;

    return (virtual_time)(e->arrived.first ? each / 2 : c->poll + each);
}

static int sim_poll(struct comm *c, struct message *m)
{
    const struct cluster *h = c->state;
    const struct sim_costs *costs = &h->plan.costs;
    struct end *e = end_of(c);
    virtual_time begun = fiber_now();
    const struct freight *p;

    while (e->stopped > fiber_now())
        fiber_wait_until(e->stopped);
    fiber_spend(look_time(costs, e, c->size));
    if (e->dead)
        return err(ERR_FAILED, "rank %d was killed", c->rank);
    end_let_go(e);
    if (e->arrived.first)
        see(e);
    e->open = letter_queue_take_whole(&e->incoming, is_whole);
    if (!e->open) {
        trace_wait(e, begun);
        return 0;
    }
    p = parcel_of(e->open);
    letter_read(e->open, m);
    trace(c, "recv", m->from, p->bytes);
    backoff_busy(&e->nap.backoff);
    record_add((uint64_t)m->from << 48 ^ (uint64_t)c->rank << 32 ^ m->h.kind << 24 ^ p->bytes);
    e->figures.received += p->bytes;
    spend(e, costs->receive + (double)p->bytes * byte_cost(costs, costs->in, &m->h));
    return 1;
}

/* ---- opening and closing ---- */

/* What is on its way to it is dropped when it arrives. */
static void sim_close(struct comm *c)
{
    struct cluster *h = c->state;
    struct end *e = end_of(c);

    e->closed = true;
    h->open--;
    end_let_go(e);
    while (e->arrived.first)
        parcel_drop(parcel_of(letter_queue_take(&e->arrived, &e->arrived.first)));
    while (e->incoming.first) {
        struct freight *p = parcel_of(letter_queue_take(&e->incoming, &e->incoming.first));

        if (p->state == PARCEL_WHOLE)
            parcel_drop(p);
    }
    hub_free(h);
}

static int sim_open(struct comm *ends, int n)
{
    struct cluster *h = calloc(1, sizeof *h + (size_t)n * sizeof *h->ends);
    int *host = calloc((size_t)n, sizeof *host), code;

    if (!h || !host) {
        free(h);
        free(host);
        return err(ERR_MEMORY, "no memory for %d mailboxes", n);
    }
    h->n = h->open = n;
    h->host = host;
    for (int i = 0; i < n; i++) {
        host[i] = i;
        letter_queue_init(&h->ends[i].arrived);
        letter_queue_init(&h->ends[i].incoming);
        backoff_init(&h->ends[i].nap.backoff);
        ends[i] = (struct comm){.rank = i, .size = n, .state = h};
    }
    code = sim_plan(&ends[0], &(struct sim_plan){*network_find("100G"), sim_measured, host, 1});
    if (code < 0)
        h->open = 0, hub_free(h);
    return code;
}

int sim_plan(struct comm *c, const struct sim_plan *plan)
{
    struct cluster *h = c->state;

    assert(h->under_way == 0);
    wires_close(&h->wires);
    h->plan = *plan;
    return wires_open(&h->wires, &plan->network, plan->host, h->n);
}

struct sim_figures sim_figures(const struct comm *c, int rank)
{
    return ((const struct cluster *)c->state)->ends[rank].figures;
}

uint64_t sim_link_bytes(const struct comm *c, int rank)
{
    const struct cluster *h = c->state;
    int host = h->plan.host[rank];

    return h->wires.up[host].bytes + h->wires.down[host].bytes;
}

void sim_kill(struct comm *c, int rank)
{
    ((struct cluster *)c->state)->ends[rank].dead = true;
}

void sim_stop(struct comm *c, int rank, virtual_time until)
{
    ((struct cluster *)c->state)->ends[rank].stopped = until;
}

void sim_work(struct comm *c, double ns)
{
    spend(end_of(c), ns);
}

const struct comm_ops comm_sim = {
    .name = "sim",
    .one_process = true,
    .open = sim_open,
    .send = sim_send,
    .poll = sim_poll,
    .idle = sim_idle,
    .poke = sim_poke,
    .close = sim_close,
};
