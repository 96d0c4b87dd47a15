/* test_report.c - each kind of event, field by field, against what the run knows. */
#include <math.h>
#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#include <cmocka.h>

#include "coordinator/run/report.h"
#include "core/base/err.h"
#include "core/base/machine.h"
#include "core/math/blas.h"
#include "worker/method/table.h"

static const char text[] =
    "run { name = \"watched\" seed = 9 }\n"
    "data ink { format = \"glyphs\" size = 14 first = 4 }\n"
    "data chalk { format = \"glyphs\" size = 14 first = 4 style = \"chalk\" }\n"
    "model { type = \"mlp\" widths = {\"8\"} }\n"
    "stage first { method = \"pretrain\" data = \"ink\" batch = 16 tasks = 4 rounds = 20 }\n"
    "stage last { method = \"adda\" data = \"ink\" target = {\"chalk\"} batch = 16 tasks = 3\n"
    "             discriminator = {\"4\"} rate = 0.5 rounds = 10 }\n"
    "stage meta { method = \"maml\" data = \"ink\" way = 3 shot = 1 query = 2 tasks = 5\n"
    "             inner_steps = 2 optimizer = \"sgd\" rate = 0.25 rounds = 30 }\n";

struct stand { /* a run in which nothing happens by itself */
    struct config config;
    struct setup setup;
    struct comm_ops ops;
    struct comm comm;
    struct crew_worker workers[4];
    struct crew crew;
    struct progress progress;
    struct rundir rundir;
    struct stage_run stage;
    struct report report;
    int64_t words[1024];
    struct round_sum total;
    char kind[32], event[1 << 15]; /* the last one: " key=value key=value " */
    char round[1 << 15];           /* the last round */
    char line[64];                 /* the last one: "level:about" */
    int n_events;
};

/* ---- events as text ---- */

static void write_fields(char *to, size_t n, const struct field *fields);

static void write_field(char *to, size_t n, const struct field *f)
{
    int at = f->type == FIELD_METRICS ? 0 : snprintf(to, n, "%s=", f->key);

    *to = at ? *to : '\0';
    if (f->type == FIELD_INTEGER)
        snprintf(to + at, n - (size_t)at, "%lld ", (long long)f->integer);
    else if (f->type == FIELD_NUMBER)
        snprintf(to + at, n - (size_t)at, "%.9g ", isnan(f->number) ? NAN : f->number);
    else if (f->type == FIELD_TEXT)
        snprintf(to + at, n - (size_t)at, "%s ", f->text);
    for (size_t i = 0; f->type == FIELD_NUMBERS && i < f->n; i++)
        at += snprintf(to + at, n - (size_t)at, "%.9g%s", f->numbers[i], i + 1 < f->n ? "," : " ");
    for (size_t i = 0; f->type == FIELD_METRICS && i < f->n; i++)
        at += snprintf(to + at, n - (size_t)at, "%s=%.9g ", f->names[i], f->numbers[i]);
    for (int i = 0; f->type == FIELD_LIST && f->list[i]; i++) {
        at += snprintf(to + at, n - (size_t)at, "[ ");
        write_fields(to + at, n - (size_t)at, f->list[i]);
        at += (int)strlen(to + at);
        at += snprintf(to + at, n - (size_t)at, "] ");
    }
}

static void write_fields(char *to, size_t n, const struct field *fields)
{
    *to = '\0';
    for (; fields->type != FIELD_END; fields++) {
        size_t used = strlen(to);

        write_field(to + used, n - used, fields);
    }
}

static int capture(struct sink *s, const char *kind, const struct field *fields)
{
    struct stand *p = s->state;

    if (strcmp(kind, "log") == 0 && strcmp(p->kind, "rank") == 0)
        return 0;
    p->n_events++;
    snprintf(p->kind, sizeof p->kind, "%s", kind);
    p->event[0] = ' ';
    write_fields(p->event + 1, sizeof p->event - 1, fields);
    if (strcmp(kind, "round") == 0)
        strcpy(p->round, p->event);
    return 0;
}

static const struct sink_ops capturing = {.name = "capturing", .emit = capture};

/* The last event was of this kind and has all these pairs. */
static void told(const struct stand *p, const char *kind, const char *pairs)
{
    char copy[2048], pair[600], *save, *word;

    assert_string_equal(p->kind, kind);
    snprintf(copy, sizeof copy, "%s", pairs);
    for (word = strtok_r(copy, " ", &save); word; word = strtok_r(NULL, " ", &save)) {
        snprintf(pair, sizeof pair, " %s ", word);
        if (!strstr(p->event, pair))
            fail_msg("'%s' has no '%s':%s", kind, word, p->event);
    }
}

/* ---- the stand ---- */

static void place_mates(struct stand *p)
{
    for (int i = 1; i <= 3; i++) {
        struct crew_worker *m = &p->workers[i];

        m->ready = true;
        m->hello.threads = 2;
        snprintf(m->hello.host, sizeof m->hello.host, i < 3 ? "near" : "far");
        snprintf(m->hello.cpu, sizeof m->hello.cpu, "cpu-%s", m->hello.host);
        m->work = (struct alive){(uint64_t)(10 * i), 100 * i, 150 * i, 1e9, 64 * i};
        m->busy = 0.25 * i;
        m->gflops = i;
        m->n_slow = (uint32_t)i + 4;
    }
    p->workers[1].member = true;
    p->workers[2].owing = true;
    p->workers[3].gone = true;
}

static int stand_open(void **state)
{
    struct stand *p = calloc(1, sizeof *p);

    *state = p;
    if (!p || config_parse(&p->config, text, "text", NULL, 0, stage_owner) < 0 ||
        setup_open(&p->setup, &p->config, ".", method_traits_of) < 0) {
        print_error("%s\n", err_text());
        return -1;
    }
    p->ops.name = "stand";
    p->comm = (struct comm){&p->ops, 0, 4, NULL};
    place_mates(p);
    p->workers[2].wrong = true;
    p->crew = (struct crew){.comm = &p->comm,
                            .setup = &p->setup,
                            .workers = p->workers,
                            .communication = 0.125,
                            .n_stale = 11,
                            .n_again = 12,
                            .n_confirmed = 13,
                            .n_audited = 17};
    p->progress.quiet = true;
    p->rundir.path = "runs/watched";
    p->stage = (struct stage_run){.setup = &p->setup,
                                  .stage = &p->setup.stages[1],
                                  .round = 4,
                                  .hash = 0xabcdef,
                                  .loss = 0.75,
                                  .accuracy = 0.5};
    p->report = (struct report){.crew = &p->crew,
                                .setup = &p->setup,
                                .rundir = &p->rundir,
                                .configuration = "the-text",
                                .version = "7-test",
                                .progress = &p->progress};
    p->report.stream = (struct sink){.ops = &capturing, .state = p};
    p->report.sinks = (struct sinks){1, {&p->report.stream}};
    return 0;
}

static int stand_close(void **state)
{
    struct stand *p = *state;

    setup_close(&p->setup);
    config_release(&p->config);
    free(p);
    return 0;
}

/* Two tasks that are done and one that failed; slot i of the metrics has i / 4 a task. */
static void sum_tasks(struct stand *p)
{
    const struct stage *s = p->stage.stage;
    double v[512] = {0};
    struct task_metrics metrics = {s->n_metrics, v, v + s->own_metrics};

    assert_true(s->n_metrics <= 512);
    p->total = round_sum_begin(p->words, 0, s->n_metrics);
    for (int i = METRIC_SUPPORT_LOSS; i < METRIC_CURVE; i++)
        metrics.v[i] = 0.25 * i;
    for (int i = s->own_metrics; i < s->n_metrics; i++)
        metrics.v[i] = 0.25 * i;
    for (int k = 0; k < 2; k++) {
        metrics.v[metric_curve(k, CURVE_LOSS)] = 100 + k;
        metrics.v[metric_curve(k, CURVE_LOSS_SQUARE)] = 200 + k;
        metrics.v[metric_curve(k, CURVE_ACCURACY)] = 0.5 + 0.25 * k;
        metrics.v[metric_curve(k, CURVE_ACCURACY_SQUARE)] = 300 + k;
    }
    for (int i = 0; i < 2; i++)
        assert_int_equal(round_sum_add(&p->total, NULL, &metrics), 0);
    round_sum_fail(&p->total);
}

/* ---- one test a kind ---- */

static void test_stage(void **state)
{
    struct stand *p = *state;
    char pairs[256];

    report_start(&p->report, &p->stage);
    snprintf(pairs, sizeof pairs,
             "stage=last stage_index=1 from_round=4 rounds=10 method=adda parameters=%zu ranks=4",
             p->setup.stages[1].layout.n);
    told(p, "stage", pairs);
}

static void test_round(void **state)
{
    struct stand *p = *state;

    p->stage.stage = &p->setup.stages[2];
    sum_tasks(p);
    assert_int_equal(report_round(&p->report, &p->stage, &p->total, 1.5, 2.5), 0);
    told(p, "round",
         "stage=meta stage_index=2 round=4 support_loss=0.5 loss=0.75 accuracy=0.5 "
         "gradient_norm=1.5 rate=0.25 tasks=2 failed=1 seconds=2.5 digest=0000000000abcdef "
         "idle=0.625 "
         "gflops=3 communication=0.125 support_losses=100,101 support_accuracies=0.5,0.75");
    assert_int_equal(p->n_events, 1); /* it adapts to nothing */
    p->stage.accuracy = -1;
    assert_int_equal(report_round(&p->report, &p->stage, &p->total, NAN, 2.5), 0);
    told(p, "round", "accuracy=nan gradient_norm=nan");
}

static void test_adaptation(void **state)
{
    struct stand *p = *state;
    int own = p->stage.stage->own_metrics;
    char pairs[256];

    sum_tasks(p);
    assert_int_equal(report_round(&p->report, &p->stage, &p->total, 1, 1), 0);
    assert_int_equal(p->n_events, 2);
    snprintf(pairs, sizeof pairs,
             "stage=last stage_index=1 round=4 weight=%.9g discrepancy=%g discriminator_loss=%g "
             "right_source=%g right_target=%g",
             stage_weight(p->stage.stage, 4), 0.25 * own, 0.25 * (own + 1), 0.25 * (own + 2),
             0.25 * (own + 3));
    told(p, "adaptation", pairs);
}

/* The stage's method has these metrics; `round` is what its last round tells. */
static void metrics_of(struct stand *p, int stage, const char *const *metrics, char *round)
{
    struct method_traits traits = *p->setup.stages[stage].traits;
    const struct method_traits *before = p->setup.stages[stage].traits;

    traits.metrics = metrics;
    p->setup.stages[stage].traits = &traits;
    stage_count_metrics(&p->setup, &p->setup.stages[stage]);
    p->stage.stage = &p->setup.stages[stage];
    sum_tasks(p);
    p->n_events = 0;
    assert_int_equal(report_round(&p->report, &p->stage, &p->total, 1, 1), 0);
    snprintf(round, sizeof p->round, "%s", p->round);
    p->setup.stages[stage].traits = before;
    stage_count_metrics(&p->setup, &p->setup.stages[stage]);
}

/* A round tells the method's own metrics, but for those that its adaptation tells. */
static void test_metrics_of_a_method(void **state)
{
    static const char *const names[] = {"discrepancy", "moved", NULL};
    struct stand *p = *state;
    char round[sizeof p->round], pairs[64];
    double own;

    metrics_of(p, 2, names, round); /* maml: no adaptation */
    own = 0.25 * p->setup.stages[2].own_metrics;
    snprintf(pairs, sizeof pairs, " discrepancy=%.9g moved=%.9g ", own, own + 0.25);
    assert_non_null(strstr(round, pairs));
    assert_int_equal(p->n_events, 1);
    metrics_of(p, 1, names, round); /* adda */
    own = 0.25 * p->setup.stages[1].own_metrics;
    snprintf(pairs, sizeof pairs, "moved=%.9g ", own + 0.25);
    assert_non_null(strstr(round, pairs));
    if (strstr(round, "discrepancy"))
        fail_msg("told twice:%s", round);
    assert_int_equal(p->n_events, 2);
    snprintf(pairs, sizeof pairs, "discrepancy=%.9g", own);
    told(p, "adaptation", pairs);
}

static void test_watch(void **state)
{
    struct stand *p = *state;
    struct watch l = {1, 2, 3, 4, 5, 6, 7, 8, ALARM_SWAP};

    p->stage.guard.source_only[0].score = 9;
    p->stage.guard.best_score[0] = 10;
    report_watch(&p->report, &p->stage, 0, &l);
    told(p, "watch",
         "stage=last stage_index=1 round=4 target=chalk score=1 score_source_only=9 score_best=10 "
         "entropy=2 agreement=3 discrepancy=4 spread=5 prior=6 right_source=7 right_target=8 "
         "collapsed=0 swapped=1 discriminator=0");
    l.alarms = ALARM_COLLAPSE;
    report_watch(&p->report, &p->stage, 0, &l);
    told(p, "watch", "collapsed=1 swapped=0 discriminator=0");
    l.alarms = ALARM_DISCRIMINATOR;
    report_watch(&p->report, &p->stage, 0, &l);
    told(p, "watch", "collapsed=0 swapped=0 discriminator=1");
}

static void test_inputs(void **state)
{
    struct stand *p = *state;
    const struct inputs source = {1, 2, 3}, target = {4, 5, 6};

    report_inputs(&p->report, &p->stage, 1, &source, &target);
    told(p, "inputs",
         "stage=last stage_index=1 round=4 source=ink target=chalk source_low=1 source_high=2 "
         "source_mean=3 target_low=4 target_high=5 target_mean=6");
}

static void test_evaluation(void **state)
{
    struct stand *p = *state;
    struct estimate loss[2], accuracy[2];
    struct evaluation e = {.kind = &kind_whole_set,
                           .episodes = 21,
                           .failed = 22,
                           .has_accuracy = true,
                           .loss = loss,
                           .accuracy = accuracy};

    e.loss[0] = (struct estimate){1, 2};
    e.accuracy[0] = (struct estimate){3, 4};
    report_evaluation(&p->report, &p->stage, &e, 1);
    assert_int_equal(p->n_events, 1);
    told(p, "evaluation",
         "stage=last stage_index=1 round=4 data=chalk step=0 samples=21 failed=22 loss=1 "
         "loss_ci95=2 "
         "accuracy=3 accuracy_ci95=4");
    e.kind = &kind_evaluation_episode;
    e.has_accuracy = false;
    e.steps = 1;
    e.loss[1] = (struct estimate){5, 6};
    report_evaluation(&p->report, &p->stage, &e, 0);
    assert_int_equal(p->n_events, 3);
    told(p, "evaluation",
         "data=ink step=1 episodes=21 loss=5 loss_ci95=6 accuracy=nan accuracy_ci95=nan");
}

static void hear(void *context, const char *level, const char *about, const char *line)
{
    struct stand *p = context;

    (void)line;
    snprintf(p->line, sizeof p->line, "%s:%s", level, about);
}

/* What observers need not show twice is marked where it is said. */
static void test_lines(void **state)
{
    struct stand *p = *state;
    struct estimate figure = {1, 2};
    struct evaluation e = {
        .kind = &kind_whole_set, .episodes = 1, .loss = &figure, .accuracy = &figure};
    const struct notice n = {"slow", 2, "near", 41, "it-is-slow"};

    p->progress.tell = hear;
    p->progress.context = p;
    report_evaluation(&p->report, &p->stage, &e, 1);
    assert_string_equal(p->line, "info:evaluation");
    report_notice(&p->report, &n);
    assert_string_equal(p->line, "warning:");
}

static void test_rank(void **state)
{
    struct stand *p = *state;
    const struct notice n = {"slow", 2, "near", 41, "it-is-slow"};

    report_notice(&p->report, &n);
    told(p, "rank", "what=slow rank=2 host=near text=it-is-slow in_round=41");
}

static void test_end(void **state)
{
    struct stand *p = *state;

    report_end(&p->report, &p->stage);
    told(p, "end",
         "digest=0000000000abcdef loss=0.75 ranks_lost=1 tasks_again=12 confirmed=13 stale=11 "
         "audited=17 ranks_wrong=1 "
         "status=0 reason=done");
    err(ERR_STOPPED, "stopped-by-hand");
    report_failure(&p->report, &p->stage, ERR_STOPPED);
    told(p, "end",
         "digest=0000000000abcdef loss=0.75 ranks_lost=1 status=75 reason=stopped-by-hand");
    assert_non_null(strstr(p->event, " peak_mib="));
    assert_string_equal(err_text(), "stopped-by-hand");
}

static void test_workers(void **state)
{
    struct stand *p = *state;

    report_workers(&p->report);
    told(p, "workers",
         "workers=[ rank=1 host=near state=working threads=2 tasks=10 computing=150 waiting=50 "
         "memory_mib=64 slow=5");
    assert_non_null(strstr(p->event,
                           "[ rank=2 host=near state=late threads=2 tasks=20 computing=300 "
                           "waiting=100 memory_mib=128 slow=6 ]"));
    assert_non_null(strstr(p->event,
                           "[ rank=3 host=far state=lost threads=2 tasks=30 computing=450 "
                           "waiting=150 memory_mib=192 slow=7 ]"));
    report_workers(&p->report); /* not again within a second */
    assert_int_equal(p->n_events, 1);
}

static void test_states_of_workers(void **state)
{
    struct stand *p = *state;
    struct crew_worker *m = &p->workers[1];

    *m = (struct crew_worker){.ready = true};
    report_workers(&p->report);
    told(p, "workers", "state=waiting");
    m->member = m->finished = true;
    p->report.told = 0;
    report_workers(&p->report);
    assert_non_null(strstr(p->event, "[ rank=1 host= state=waiting "));
    m->ready = false;
    p->report.told = 0;
    report_workers(&p->report);
    assert_non_null(strstr(p->event, "[ rank=1 host= state=starting "));
    m->ready = m->left = m->gone = true;
    p->report.told = 0;
    report_workers(&p->report);
    assert_non_null(strstr(p->event, "[ rank=1 host= state=left "));
}

static void test_run(void **state)
{
    struct stand *p = *state;
    char pairs[1024], host[64], *at;

    report_run(&p->report);
    machine_host(host, sizeof host);
    snprintf(pairs, sizeof pairs,
             "name=watched seed=9 directory=runs/watched configuration=the-text version=7-test "
             "blas=%s host=%s ranks=4 transport=stand precision=%s",
             blas_kernel(), host, REAL_NAME);
    told(p, "run", pairs);
    snprintf(pairs, sizeof pairs,
             "stages=[ name=first method=pretrain data=ink rounds=20 tasks=4 parameters=%zu ] [ "
             "name=last method=adda data=ink rounds=10 tasks=3 parameters=%zu ] [ name=meta ",
             p->setup.stages[0].layout.n, p->setup.stages[1].layout.n);
    assert_non_null(strstr(p->event, pairs));
    at = strstr(p->event, "hosts=[ host=near ranks=2 threads=4 cpu=cpu-near ] [ host=far ranks=1 "
                          "threads=2 cpu=cpu-far ] ");
    assert_non_null(at);
}

/* A cluster of 300 hosts: none of them is left out. */
static void test_many_hosts(void **state)
{
    enum { HOSTS = 300 };
    struct stand *p = *state;
    struct crew_worker *workers = calloc(HOSTS + 1, sizeof *workers);

    assert_non_null(workers);
    for (int i = 1; i <= HOSTS; i++) {
        workers[i].ready = true;
        workers[i].hello.threads = 2;
        snprintf(workers[i].hello.host, sizeof workers[i].hello.host, "h%d", i);
    }
    p->crew.workers = workers;
    p->comm.size = HOSTS + 1;
    report_run(&p->report);
    assert_non_null(strstr(p->event, "[ host=h1 ranks=1 threads=2 "));
    assert_non_null(strstr(p->event, "[ host=h300 ranks=1 threads=2 "));
    p->crew.workers = p->workers;
    free(workers);
}

int main(void)
{
#define ONE(test) cmocka_unit_test_setup_teardown(test, stand_open, stand_close)
    const struct CMUnitTest tests[] = {
        ONE(test_many_hosts),
        ONE(test_stage),
        ONE(test_round),
        ONE(test_adaptation),
        ONE(test_metrics_of_a_method),
        ONE(test_watch),
        ONE(test_inputs),
        ONE(test_evaluation),
        ONE(test_lines),
        ONE(test_rank),
        ONE(test_end),
        ONE(test_workers),
        ONE(test_states_of_workers),
        ONE(test_run),
    };

    return cmocka_run_group_tests(tests, NULL, NULL);
}
