/* team.c - roles by rank. */
#include "launch/team.h"

#include <errno.h>
#include <pthread.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <unistd.h>

#include "core/base/err.h"
#include "core/base/machine.h"
#include "core/math/blas.h"
#include "launch/leak_check.h"
#include "launch/notes.h"
#include "launch/solo.h"
#include "launch/verbs.h"
#include "worker/method/table.h"
#include "worker/pool.h"
#include "worker/serve.h"

volatile sig_atomic_t team_stop, team_round;
char team_run_id[RUN_ID_ROOM];

static struct losses losses;

const struct losses *team_losses(void)
{
    return &losses;
}

static bool speaks;     /* the first rank, or the only process */
static bool is_alone;   /* no other program passes signals on to it */
static bool bar_stands; /* standard error is, or becomes, a terminal's line that is drawn over */

static size_t put_text(char *line, size_t n, const char *text)
{
    memcpy(line + n, text, strlen(text));
    return n + strlen(text);
}

static size_t put_number(char *line, size_t n, long number)
{
    char digits[24];
    size_t k = 0;

    do
        digits[k++] = (char)('0' + number % 10);
    while ((number /= 10) > 0);
    while (k > 0)
        line[n++] = digits[--k];
    return n;
}

/* Runs in a signal handler, so it only calls write. */
static void say_stopping(const char *what, long round, const char *then)
{
    char line[160];
    size_t n = bar_stands ? put_text(line, 0, "\r\033[K") : 0;

    n = put_text(line, n, "metaloop: ");
    n = put_text(line, n, what);
    if (round > 0)
        n = put_number(line, n, round);
    n = put_text(line, n, then);
    (void)!write(STDERR_FILENO, line, n);
}

/* Under mpirun the same signal may arrive twice, by different ways, and launch/run itself ends the
 * ranks at the second. */
static void on_signal(int signal)
{
    static volatile sig_atomic_t heard;
    int before = errno;

    if (is_alone && heard && (signal == SIGINT || signal == SIGTERM)) {
        say_stopping("ending at once\n", 0, "");
        _exit(err_exit_status(ERR_FAILED));
    }
    if (speaks && !heard)
        say_stopping(team_round > 0 ? "finishing round " : "stopping", team_round,
                     "; a second signal ends the run at once\n");
    heard = 1;
    team_stop = 1;
    errno = before;
}

void team_catch_signals(void)
{
    struct sigaction a = {.sa_handler = on_signal, .sa_flags = SA_RESTART};
    const char *rank = getenv("OMPI_COMM_WORLD_RANK");

    is_alone = !rank;
    speaks = !rank || strcmp(rank, "0") == 0;
    bar_stands = getenv("METALOOP_TERMINAL") || isatty(STDERR_FILENO);
    sigaction(SIGINT, &a, NULL);
    sigaction(SIGTERM, &a, NULL);
    sigaction(SIGUSR1, &a, NULL);
    sigaction(SIGUSR2, &a, NULL);
    signal(SIGPIPE, SIG_IGN);
    signal(SIGXFSZ, SIG_IGN);
}

/* If the workers beside rank 0 leave it a core. */
static bool owns_core(const struct comm *comm, const struct cluster_config *c)
{
    int beside = machine_ranks_beside();

    return !comm_is_local(comm) && beside * pool_threads(c, beside) + 1 <= machine_cores();
}

static int team_open(struct team *t, struct comm *comm)
{
    const struct options *o = t->options;

    TRY(config_read(&t->config, o->places[0], o->sets, o->n_sets, stage_owner));
    if (o->run)
        TRY(config_set_directory(&t->config, o->run));
    if (o->domain)
        TRY(config_set_domain(&t->config, o->domain));
    TRY(check_methods(&t->config));
    TRY(check_first(&t->config));
    if (o->checkpoint)
        TRY(settle_statistics(&t->config, o->checkpoint));
    t->configuration = config_text(&t->config);
    if (!t->configuration)
        return err(ERR_MEMORY, "no memory for the configuration's text");
    TRY(crew_invite(&t->crew, comm, t->configuration, options_data_root(o)));
    TRY(setup_open(&t->setup, &t->config, options_data_root(o), method_traits_of));
    t->crew.own_core = owns_core(comm, &t->config.cluster);
    TRY(crew_gather(&t->crew, &t->setup));
    notes_of_setup(&t->setup, t->crew.sections.each, t->crew.sections.n);
    return leak_warn(&t->setup);
}

static void team_close(struct team *t)
{
    crew_release(&t->crew);
    setup_close(&t->setup);
    config_release(&t->config);
    free(t->configuration);
}

static void on_notice(void *context, const struct notice *n)
{
    (void)context;
    fprintf(stderr, "warning: %s\n", n->text);
}

static void name_host(const char *host)
{
    size_t n = strlen(losses.hosts), length = strlen(host);

    for (const char *p = losses.hosts; (p = strstr(p, host)); p += length)
        if ((p == losses.hosts || p[-1] == ' ') && (p[length] == ' ' || p[length] == '\0'))
            return;
    snprintf(losses.hosts + n, sizeof losses.hosts - n, "%s%s", n ? " " : "", host);
}

static void name_wrong(const struct crew *c)
{
    for (int i = 1; c->workers && i < c->comm->size; i++) {
        size_t n = strlen(losses.wrong);

        if (c->workers[i].wrong)
            snprintf(losses.wrong + n, sizeof losses.wrong - n, "%srank %d on %s", n ? ", " : "", i,
                     c->workers[i].hello.host);
    }
}

static void note_losses(const struct team *t, int code)
{
    const struct crew *c = &t->crew;

    losses.any = code == ERR_LOST || crew_lost(c) > 0;
    for (int i = 1; c->workers && i < c->comm->size; i++)
        if (c->workers[i].gone && c->workers[i].ready)
            name_host(c->workers[i].hello.host);
    name_wrong(c);
}

static int run_lead(struct comm *comm, const struct options *o,
                    int (*lead)(struct team *t, void *context), void *context)
{
    struct team *t = calloc(1, sizeof *t);
    int code;

    if (!t)
        return err(ERR_MEMORY, "no memory to start");
    t->options = o;
    t->crew.version = version;
    t->crew.notify = on_notice;
    code = team_open(t, comm);
    if (code >= 0)
        code = lead(t, context);
    t->crew.comm = comm; /* also when the crew was never gathered */
    crew_dismiss(&t->crew, code, code < 0 ? err_text() : "done");
    note_losses(t, code);
    team_close(t);
    free(t);
    return code;
}

static void *worker_thread(void *comm)
{
    bool lost;

    worker_serve(comm, version, NULL, &lost);
    return NULL;
}

/* One process: the worker is a thread; everything else works as between processes. */
static int run_alone(const struct options *o, int (*lead)(struct team *t, void *context),
                     void *context)
{
    struct comm ends[2];
    pthread_t worker;
    int code;

    TRY(comm_open("local", ends, 2));
    if (pthread_create(&worker, NULL, worker_thread, &ends[1]) != 0)
        return err(ERR_FAILED, "cannot start the worker thread");
    code = run_lead(&ends[0], o, lead, context);
    pthread_join(worker, NULL);
    comm_close(&ends[1]);
    comm_close(&ends[0]);
    return code;
}

int team_run(const struct options *o, int (*lead)(struct team *t, void *context), void *context)
{
    struct comm comm;
    int code;

    blas_single_thread();
    TRY(comm_open("mpi", &comm, 1));
    if (comm.size == 1) {
        comm_close(&comm);
        return run_alone(o, lead, context);
    }
    code = comm.rank == 0 ? run_lead(&comm, o, lead, context)
                          : worker_serve(&comm, version, NULL, &losses.any);
    comm_close(&comm);
    return code;
}
