/* crew.c - who works here: invitation, roll call, leases, dismissal. */
#include "coordinator/crew.h"

#include <inttypes.h>
#include <stdlib.h>
#include <string.h>

#include "coordinator/crew_internal.h"
#include "core/blas.h"
#include "core/clock.h"
#include "core/err.h"

int crew_say(struct crew *c, int to, enum message_kind kind, const struct header *like,
             const struct buffer *body)
{
    struct header h = like ? *like : (struct header){0};
    struct part part = {body ? body->bytes : NULL, body ? body->n : 0};

    h.kind = kind;
    h.epoch = c->epoch;
    return comm_send(c->comm, to, &h, &part, 1);
}

int crew_invite(struct crew *c, struct comm *comm, const char *configuration, const char *root)
{
    struct welcome w = {(char *)configuration, (char *)root};

    *c = (struct crew){.comm = comm, .n_members = comm->size, .looked = clock_seconds()};
    c->members = calloc((size_t)comm->size, sizeof *c->members);
    c->mates = calloc((size_t)comm->size, sizeof *c->mates);
    if (!c->members || !c->mates)
        return err(ERR_MEMORY, "no memory for %d ranks", comm->size);
    for (int i = 0; i < comm->size; i++)
        c->members[i] = (uint32_t)i;
    TRY(wire_pack_welcome(&w, &c->out));
    for (int i = 1; i < comm->size; i++)
        TRY(crew_say(c, i, MESSAGE_WELCOME, NULL, &c->out));
    return 0;
}

static int check_hello(const struct crew *c, int rank)
{
    const struct hello *h = &c->mates[rank].hello;

    if (h->code < 0)
        return err(h->code, "rank %d on host '%s': %s", rank, h->host, h->error);
    if (h->layout != setup_digest(c->setup))
        return err(ERR_CONFIG,
                   "rank %d on host '%s' runs metaloop %s and plans another network "
                   "(digest %016" PRIx64 ", here %016" PRIx64 ")",
                   rank, h->host, h->version, h->layout, setup_digest(c->setup));
    if (strcmp(h->blas, blas_kernel()) != 0)
        return err(ERR_CONFIG,
                   "rank %d on host '%s' uses OpenBLAS kernel '%s', rank 0 '%s': results would "
                   "depend on who computes what; set OPENBLAS_CORETYPE to one that all have",
                   rank, h->host, h->blas, blas_kernel());
    return 0;
}

static int first_missing(const struct crew *c)
{
    for (int i = 1; i < c->comm->size; i++)
        if (!c->mates[i].ready)
            return i;
    return 0;
}

static int on_hello(struct crew *c, const struct message *m)
{
    struct mate *mate = &c->mates[m->from];

    if (m->h.kind != MESSAGE_HELLO)
        return 0;
    TRY(wire_unpack_hello(m->body, m->h.size, &mate->hello));
    mate->ready = true;
    mate->heard = clock_seconds();
    return check_hello(c, m->from);
}

static int roll_call(struct crew *c)
{
    double start = clock_seconds();

    while (first_missing(c)) {
        struct message m;
        int found = comm_poll(c->comm, &m);

        TRY(found);
        if (found)
            TRY(on_hello(c, &m));
        else
            comm_idle(c->comm);
        if (clock_seconds() - start > c->setup->config->cluster.start_limit)
            return err(ERR_LOST, "rank %d has not started within %.0f s (cluster.start_limit)",
                       first_missing(c), c->setup->config->cluster.start_limit);
    }
    return 0;
}

/* Room for one message of tasks of the largest size, and for the largest total. */
static int crew_plan(struct crew *c, struct arena *arena, size_t *n)
{
    struct task_size most = {0};

    for (int i = 0; i < c->setup->n_stages; i++) {
        const struct stage *s = &c->setup->stages[i];
        uint32_t query = s->evaluate.query > s->train.query ? s->evaluate.query : s->train.query;

        *n = s->net.layout.n > *n ? s->net.layout.n : *n;
        most.way = s->train.way > most.way ? s->train.way : most.way;
        most.shot = s->train.shot > most.shot ? s->train.shot : most.shot;
        most.query = query > most.query ? query : most.query;
    }
    for (int i = 0; i < WIRE_TASKS_MAX; i++)
        task_init(&c->tasks[i], most, arena);
    return 0;
}

int crew_gather(struct crew *c, const struct setup *setup)
{
    struct arena measure = arena_measuring();
    size_t n = 0;

    c->setup = setup;
    TRY(roll_call(c));
    c->looked = c->spoke = clock_seconds();
    c->tasks = calloc(WIRE_TASKS_MAX, sizeof *c->tasks);
    if (!c->tasks)
        return err(ERR_MEMORY, "no memory for tasks");
    TRY(crew_plan(c, &measure, &n));
    TRY(arena_init(&c->arena, measure.peak));
    TRY(crew_plan(c, &c->arena, &n));
    c->words = malloc(total_words(n) * sizeof *c->words);
    return c->words ? 0 : err(ERR_MEMORY, "no memory for %zu parameters", n);
}

int crew_watch(struct crew *c, const struct round *r)
{
    double now = clock_seconds(), lease = c->setup->config->cluster.lease;
    bool slept = now - c->looked > lease / 2; /* this rank itself stood still: judge nobody by it */

    c->looked = now;
    for (int i = 1; i < c->n_members; i++) {
        struct mate *mate = &c->mates[c->members[i]];

        if (slept)
            mate->heard = now;
        if (now - mate->heard > lease)
            return err(ERR_LOST,
                       "rank %u on host '%s' has been silent for %.1f s in round %" PRIu64,
                       c->members[i], mate->hello.host, now - mate->heard, r->round);
        if (now - c->spoke > lease / 4)
            TRY(crew_say(c, (int)c->members[i], MESSAGE_ALIVE, NULL, NULL));
    }
    if (now - c->spoke > lease / 4)
        c->spoke = now;
    return 0;
}

void crew_reassure(struct crew *c)
{
    double now = clock_seconds();

    if (now - c->spoke <= c->setup->config->cluster.lease / 4)
        return;
    for (int i = 1; i < c->n_members; i++)
        crew_say(c, (int)c->members[i], MESSAGE_ALIVE, NULL, NULL);
    c->spoke = now;
}

void crew_dismiss(struct crew *c, int code, const char *reason)
{
    struct bye b = {.code = code};

    strncpy(b.reason, reason, sizeof b.reason - 1);
    if (!c->comm || wire_pack_bye(&b, &c->out) < 0)
        return;
    for (int i = 1; i < c->comm->size; i++)
        crew_say(c, i, MESSAGE_BYE, NULL, &c->out);
}

void crew_release(struct crew *c)
{
    arena_release(&c->arena);
    buffer_release(&c->out);
    free(c->tasks);
    free(c->words);
    free(c->mates);
    free(c->members);
    *c = (struct crew){0};
}
