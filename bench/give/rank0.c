/* rank0.c - rank 0's own time a task: rounds of 10,000 sinusoid tasks with workers that are not
 * there: a worker does at once what it has and asks for more. Processor time, with what this file
 * takes for their messages, and without a transport. */
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <time.h>

#include "coordinator/crew/crew.h"
#include "core/base/err.h"
#include "core/base/machine.h"
#include "core/math/blas.h"
#include "proto/comm/tree.h"
#include "proto/comm/words.h"
#include "proto/wire.h"
#include "worker/method/table.h"

enum { TASKS = 10000, ROUNDS = 300, MOST = 4096 };

#define TASK_SECONDS 14e-6

static const char text[] =
    "cluster { threads = 1 lease = 1000 }\n"
    "data sine { format = \"sinusoid\" }\n"
    "model { type = \"mlp\" widths = {\"40\", \"40\"} }\n"
    "stage meta { method = \"maml\" data = \"sine\" shot = 10 query = 10 tasks = 10000\n"
    "             inner_steps = 1 inner_rate = 0.01 }\n";

struct mail {
    int from;
    struct header h;
    const void *body;
};

struct workers { /* all of them, as rank 0's transport */
    const struct setup *setup;
    struct mail box[2 * MOST]; /* a ring; a worker has one message under way at most */
    unsigned first, n;
    int roots[TREE_CHILDREN], n_roots; /* ranks whose sums come to rank 0 */
    int n_working;                     /* ranks that may ask for more */
    uint64_t n_wants;
    struct comm desk;         /* seals what is posted */
    struct buffer hello;      /* of all of them */
    struct buffer whole, nil; /* sums of TASKS tasks, and of none, as they travel */
};

/* Of the desk: takes a sealed message for rank 0; `to` is its sender. */
static int desk_send(struct comm *c, int to, const struct header *h, const struct part *parts,
                     int n)
{
    struct workers *w = c->state;

    w->box[(w->first + w->n++) % (sizeof w->box / sizeof *w->box)] =
        (struct mail){to, *h, n > 0 ? parts[0].bytes : NULL};
    return 0;
}

static const struct comm_ops desk_ops = {.name = "desk", .one_process = true, .send = desk_send};

/* body: NULL: none. */
static void post(struct workers *w, int from, enum message_kind kind, const struct header *like,
                 const struct buffer *body)
{
    struct part part = body ? (struct part){body->bytes, body->n} : (struct part){0};
    struct header h = *like;

    h.kind = kind;
    comm_send(&w->desk, from, &h, &part, body ? 1 : 0);
}

static void finish(struct workers *w, const struct header *h)
{
    if (--w->n_working > 0)
        return;
    for (int i = 0; i < w->n_roots; i++)
        post(w, w->roots[i], MESSAGE_SUM, h, i == 0 ? &w->whole : &w->nil);
}

/* The ranks of a subtree have their first tasks done, and ask for more. */
static void begin(struct workers *w, const struct header *h, const struct part *parts)
{
    const struct tree_node *tree = parts[0].bytes;
    const struct deal *deal = parts[1].bytes;

    w->roots[w->n_roots++] = (int)tree->rank;
    for (uint32_t i = 0; i <= tree->below; i++) {
        w->n_working++;
        if (deal->dealt == deal->n_tasks)
            finish(w, h);
        else
            post(w, (int)tree[i].rank, MESSAGE_WANT, h, NULL);
    }
}

static int take(struct workers *w, int rank, const struct header *h, const struct part *parts)
{
    struct given g;

    TRY(wire_unpack_given(parts[0].bytes, parts[0].n, &g));
    if (g.last)
        finish(w, h);
    else
        post(w, rank, MESSAGE_WANT, h, NULL);
    return 0;
}

static int workers_send(struct comm *c, int to, const struct header *h, const struct part *parts,
                        int n)
{
    struct workers *w = c->state;
    int code = 0;

    (void)n;
    if (h->kind == MESSAGE_WELCOME)
        post(w, to, MESSAGE_HELLO, h, &w->hello);
    else if (h->kind == MESSAGE_PARAMS)
        begin(w, h, parts);
    else if (h->kind == MESSAGE_TASKS)
        code = take(w, to, h, parts);
    else if (h->kind == MESSAGE_BYE)
        post(w, to, MESSAGE_BYE, h, NULL);
    return code;
}

static int workers_poll(struct comm *c, struct message *m)
{
    struct workers *w = c->state;
    const struct mail *next = &w->box[w->first];

    if (w->n == 0)
        return 0;
    *m = (struct message){next->from, next->h, next->body};
    w->first = (w->first + 1) % (sizeof w->box / sizeof *w->box);
    w->n--;
    w->n_wants += m->h.kind == MESSAGE_WANT;
    return 1;
}

static void nothing(struct comm *c)
{
    (void)c;
}

static const struct comm_ops ops = {"none",  true,    NULL, workers_send, workers_poll,
                                    nothing, nothing, NULL, nothing};

static int write_hello(struct workers *w, const struct setup *s)
{
    struct sections none = {0};
    struct hello h = {.threads = 1, .layout = setup_digest(s)};

    snprintf(h.host, sizeof h.host, "here");
    snprintf(h.blas, sizeof h.blas, "%s", blas_kernel());
    snprintf(h.precision, sizeof h.precision, "%s", REAL_NAME);
    snprintf(h.build, sizeof h.build, "%s", machine_build());
    return wire_pack_hello(&h, &none, &w->hello);
}

/* A sum as it travels. */
static int pack(const struct round_sum *sum, struct buffer *out)
{
    TRY(buffer_reserve(out, words_room(sum->n_words)));
    out->n = words_pack(sum->words, NULL, sum->n_words, out->bytes);
    return 0;
}

/* The sums that come back: one of all tasks, and of none. */
static int write_sums(struct workers *w, const struct stage *stage)
{
    size_t n = round_sum_words(stage->model.n, stage->n_metrics);
    real *gradient = calloc(stage->model.n, sizeof *gradient);
    double *values = calloc((size_t)stage->n_metrics, sizeof *values);
    int64_t *words = calloc(n, sizeof *words);
    struct task_metrics metrics = {.n = stage->n_metrics, .v = values};
    struct round_sum sum;

    if (!gradient || !values || !words)
        return err(ERR_MEMORY, "no memory for sums");
    sum = round_sum_begin(words, stage->model.n, stage->n_metrics);
    TRY(pack(&sum, &w->nil));
    round_sum_clear(&sum);
    for (int i = 0; i < TASKS; i++)
        TRY(round_sum_add(&sum, gradient, &metrics));
    TRY(pack(&sum, &w->whole));
    free(gradient);
    free(values);
    free(words);
    return 0;
}

static double processor_seconds(void)
{
    struct timespec t;

    clock_gettime(CLOCK_THREAD_CPUTIME_ID, &t);
    return (double)t.tv_sec + 1e-9 * (double)t.tv_nsec;
}

static int play(struct crew *c, struct workers *w, const struct stage *stage, const real *theta)
{
    double begun = processor_seconds();
    struct round_sum total;

    w->n_wants = 0;
    for (uint64_t round = 1; round <= ROUNDS; round++) {
        struct round r = {
            .stage = stage, .data = stage->data, .round = round, .n_tasks = TASKS, .theta = theta};

        w->n_roots = w->n_working = 0;
        c->stage = stage->index;
        c->task_seconds[PURPOSE_TRAIN] = TASK_SECONDS;
        TRY(crew_round(c, &r, &total));
    }
    double own = processor_seconds() - begun;

    printf("%d workers: %.3f us of rank 0 a task, %.0f requests a round\n", c->comm->size - 1,
           1e6 * own / ROUNDS / TASKS, (double)w->n_wants / ROUNDS);
    return 0;
}

static int measure(const struct setup *s, int n_workers)
{
    const struct stage *stage = &s->stages[0];
    struct workers *w = calloc(1, sizeof *w);
    real *theta = calloc(stage->model.n, sizeof *theta);
    struct comm comm = {&ops, 0, n_workers + 1, w};
    struct crew crew = {0};
    int code = w && theta ? 0 : err(ERR_MEMORY, "no memory for %d workers", n_workers);

    if (code == 0)
        w->desk = (struct comm){&desk_ops, 0, n_workers + 1, w};
    if (code == 0)
        code = write_hello(w, s);
    if (code >= 0)
        code = write_sums(w, stage);
    if (code >= 0)
        code = crew_invite(&crew, &comm, text, "");
    if (code >= 0)
        code = crew_gather(&crew, s);
    if (code >= 0)
        code = play(&crew, w, stage, theta);
    crew_release(&crew);
    free(theta);
    buffer_release(&w->whole);
    buffer_release(&w->nil);
    buffer_release(&w->hello);
    free(w);
    return code;
}

int main(void)
{
    struct config config = {0};
    struct setup setup = {0};
    int code = config_parse(&config, text, "text", NULL, 0, stage_owner);

    if (code >= 0)
        code = setup_open(&setup, &config, "", method_traits_of);
    for (int n = 2; n <= MOST && code >= 0; n = n == 2 ? 16 : 4 * n)
        code = measure(&setup, n);
    if (code < 0)
        fprintf(stderr, "%s\n", err_text());
    setup_close(&setup);
    config_release(&config);
    return code < 0;
}
