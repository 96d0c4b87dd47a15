/* network.c - links that are free again at some time. */
#include "proto/comm/network.h"

#include <stdlib.h>
#include <string.h>

#include "core/base/err.h"
#include "core/base/table.h"

#define ETHERNET(text, gigabits)                                                                   \
    &(const struct network)                                                                        \
    {                                                                                              \
        .name = text, .bandwidth = (gigabits) / 8.0, .latency = 1500, .message = 500,              \
        .oversubscription = 1, .inside = 10, .inside_latency = 500                                 \
    }

const struct network *const network_table[] = {
    ETHERNET("10G", 10), ETHERNET("25G", 25), ETHERNET("100G", 100), ETHERNET("200G", 200), NULL,
};

const struct network *network_find(const char *name)
{
    return table_find(network_table, name);
}

static virtual_time link_time(const struct network *n, uint64_t bytes)
{
    return (virtual_time)(n->message + (double)bytes / n->bandwidth);
}

static virtual_time inside_time(const struct network *n, uint64_t bytes)
{
    return (virtual_time)((double)bytes / n->inside);
}

virtual_time travel_time(const struct network *n, bool same_host, uint64_t bytes)
{
    if (same_host)
        return inside_time(n, bytes) + (virtual_time)n->inside_latency;
    return link_time(n, bytes) + (virtual_time)n->latency;
}

int wires_open(struct wires *w, const struct network *network, const int *host, int n_ranks)
{
    *w = (struct wires){.network = *network, .n_ranks = n_ranks, .host = host};
    for (int i = 0; i < n_ranks; i++)
        w->n_hosts = host[i] >= w->n_hosts ? host[i] + 1 : w->n_hosts;
    w->up = calloc((size_t)w->n_hosts, sizeof *w->up);
    w->down = calloc((size_t)w->n_hosts, sizeof *w->down);
    w->own = calloc((size_t)n_ranks, sizeof *w->own);
    if (w->up && w->down && w->own)
        return 0;
    wires_close(w);
    return err(ERR_MEMORY, "no memory for a network of %d ranks", n_ranks);
}

void wires_close(struct wires *w)
{
    free(w->up);
    free(w->down);
    free(w->own);
    *w = (struct wires){0};
}

/* Passes when all before it have passed; returns when it begins to. */
static virtual_time pass(struct wire *w, const struct travel *t, virtual_time takes)
{
    virtual_time begin = w->free > fiber_now() ? w->free : fiber_now();

    w->free = begin + takes;
    w->bytes += t->bytes;
    return begin;
}

static void arrive(void *travel)
{
    struct travel *t = travel;

    t->arrived(t);
}

static void reach_host(void *travel)
{
    struct travel *t = travel;
    struct wires *w = t->wires;
    virtual_time takes = link_time(&w->network, t->bytes);

    event_at(pass(&w->down[w->host[t->to]], t, takes) + takes, arrive, t);
}

static void reach_switch(void *travel)
{
    struct travel *t = travel;
    struct wires *w = t->wires;
    double rate = w->network.bandwidth * w->n_hosts / w->network.oversubscription;

    if (w->network.oversubscription > 1)
        event_at(pass(&w->middle, t, (virtual_time)((double)t->bytes / rate)), reach_host, t);
    else
        reach_host(t);
}

void travel_begin(struct travel *t)
{
    struct wires *w = t->wires;
    const struct network *n = &w->network;
    int host = w->host[t->from];
    virtual_time takes = inside_time(n, t->bytes);

    if (host == w->host[t->to])
        event_at(pass(&w->own[t->from], t, takes) + takes + (virtual_time)n->inside_latency, arrive,
                 t);
    else
        event_at(pass(&w->up[host], t, link_time(n, t->bytes)) + (virtual_time)n->latency,
                 reach_switch, t);
}
