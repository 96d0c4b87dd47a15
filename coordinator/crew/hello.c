/* hello.c - checks that a worker runs the same program as the coordinator and has the same data. */
#include <inttypes.h>
#include <string.h>

#include "coordinator/crew/crew_internal.h"
#include "core/base/clock.h"
#include "core/base/err.h"
#include "core/base/machine.h"
#include "core/math/blas.h"

/* Compares everything that the bits of the result depend on. */
static int check_program(const struct crew *c, int rank)
{
    const struct hello *h = &c->workers[rank].hello;

    if (c->version && strcmp(h->version, c->version) != 0)
        return err(ERR_CONFIG,
                   "rank %d on host '%s' runs metaloop %s, rank 0 runs %s: install the same "
                   "program on all hosts",
                   rank, h->host, h->version, c->version);
    if (strcmp(h->precision, REAL_NAME) != 0)
        return err(ERR_CONFIG, "rank %d on host '%s' computes in %s, rank 0 in " REAL_NAME, rank,
                   h->host, h->precision);
    if (strcmp(h->build, machine_build()) != 0)
        return err(
            ERR_CONFIG,
            "rank %d on host '%s' runs a program compiled with '%s', rank 0 with '%s': "
            "results would depend on which rank computes what; build once, with an ARCH that all "
            "hosts have (make ARCH=x86-64-v3), and copy that",
            rank, h->host, h->build, machine_build());
    if (h->layout != setup_digest(c->setup))
        return err(ERR_CONFIG,
                   "rank %d on host '%s' builds another network (digest %016" PRIx64
                   ", here %016" PRIx64 ")",
                   rank, h->host, h->layout, setup_digest(c->setup));
    if (strcmp(h->blas, blas_kernel()) != 0)
        return err(ERR_CONFIG,
                   "rank %d on host '%s' uses OpenBLAS kernel '%s', rank 0 '%s': results would "
                   "depend on which rank computes what; set OPENBLAS_CORETYPE to one that all have",
                   rank, h->host, h->blas, blas_kernel());
    return 0;
}

static int check_data(const struct crew *c, int rank, const struct sections *s)
{
    const struct hello *h = &c->workers[rank].hello;
    char own[64];

    if (comm_is_local(c->comm))
        return 0;
    machine_host(own, sizeof own);
    if (s->n != c->sections.n)
        return err(ERR_DATA, "rank %d on host '%s' has %d data sections, rank 0 on host '%s' %d",
                   rank, h->host, s->n, own, c->sections.n);
    for (int i = 0; i < s->n; i++) {
        const char *what = survey_difference(&s->each[i], &c->sections.each[i]);

        if (what)
            return err(
                ERR_DATA,
                "data '%s' of rank %d on host '%s' differs from that of rank 0 on host '%s': %s; "
                "copy the same files to every host, or keep them on a file system "
                "that all share",
                c->sections.each[i].name, rank, h->host, own, what);
    }
    return 0;
}

/* The host of that name; c->n_hosts if there is none. */
static uint32_t host_find(const struct crew *c, const char *name)
{
    uint32_t host = 0;

    while (host < c->n_hosts && strcmp(c->workers[c->hosts[host]].hello.host, name) != 0)
        host++;
    return host;
}

void crew_seat(struct crew *c, uint32_t rank)
{
    struct crew_worker *worker = &c->workers[rank];
    uint32_t host = host_find(c, worker->hello.host), *place = &c->hosts[host];

    while (*place && *place < rank)
        place = &c->workers[*place].beside;
    worker->host = host;
    worker->beside = *place;
    *place = rank;
    c->n_hosts += host == c->n_hosts;
}

int crew_hello(struct crew *c, const struct message *m)
{
    struct crew_worker *worker = &c->workers[m->from];
    struct sections sections;

    TRY(wire_unpack_hello(m->body, m->h.size, &worker->hello, &sections));
    if (worker->hello.code < 0)
        return err(worker->hello.code, "rank %d on host '%s': %s", m->from, worker->hello.host,
                   worker->hello.error);
    TRY(check_program(c, m->from));
    TRY(check_data(c, m->from, &sections));
    if (!worker->ready)
        crew_seat(c, (uint32_t)m->from);
    worker->ready = true;
    worker->gone = false;
    worker->proved = true;
    worker->heard = clock_seconds();
    return 0;
}
