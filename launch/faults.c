/* faults.c - reads faults, line by line, and lets them happen in virtual time. */
#include "launch/faults.h"

#include <errno.h>
#include <math.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#include "core/base/err.h"
#include "core/sim/fiber.h"
#include "proto/comm/sim.h"

#define BLANKS " \t\r\n"
#define NANOSECONDS 1e9
#define LONGEST 1e9 /* seconds, and times as slow */

/* ---- what can happen to a rank ---- */

struct harm {
    const char *name;
    bool amount; /* is followed by a number */
    void (*strike)(struct victims *v, int rank, double amount);
};

static void harm_kill(struct victims *v, int rank, double amount)
{
    (void)amount;
    sim_kill(v->comm, rank);
    v->n_lost += !v->dead[rank];
    v->dead[rank] = true;
}

static void harm_stop(struct victims *v, int rank, double amount)
{
    sim_stop(v->comm, rank, fiber_now() + (virtual_time)(NANOSECONDS * amount));
}

static void harm_slow(struct victims *v, int rank, double amount)
{
    v->slow[rank] = amount;
}

static void harm_err(struct victims *v, int rank, double amount)
{
    v->errs[rank] = amount;
}

static const struct harm harms[] = {
    {"kill", false, harm_kill},
    {"stop", true, harm_stop},
    {"slow", true, harm_slow},
    {"err", true, harm_err},
};

enum { HARMS = sizeof harms / sizeof *harms };

/* ---- reading ---- */

struct line {
    const char *path;
    int number;
    char *rest; /* of strtok_r */
};

static int wrong(const struct line *l, const char *needs, const char *word)
{
    return err(ERR_DATA, "%s:%d: needs %s, not '%s'", l->path, l->number, needs, word ? word : "");
}

static char *next_word(struct line *l)
{
    return strtok_r(NULL, BLANKS, &l->rest);
}

/* A number from 0 on, up to `end`: what follows it. */
static bool read_number(const char *word, double *number, const char **end)
{
    char *stop;

    if (!word || strspn(word, "0123456789.") == 0)
        return false;
    *number = strtod(word, &stop);
    *end = stop;
    return stop != word && *number <= LONGEST;
}

static bool is_number(const char *word, double *number)
{
    const char *end;

    return read_number(word, number, &end) && !*end;
}

static int read_when(struct line *l, const char *word, struct fault *f)
{
    const char *seconds = next_word(l);

    f->every = strcmp(word, "every") == 0;
    if (!f->every && strcmp(word, "at") != 0)
        return wrong(l, "'at SECONDS' or 'every SECONDS'", word);
    if (!is_number(seconds, &f->seconds) || (f->every && f->seconds <= 0))
        return wrong(l, f->every ? "seconds above 0" : "seconds", seconds);
    return 0;
}

static bool is_kind(const char *word, const char *one, const char *many)
{
    return word && (strcmp(word, one) == 0 || strcmp(word, many) == 0);
}

/* rank, rank N, 10% ranks; returns the word after it. */
static int read_whom(struct line *l, struct fault *f, const char **after)
{
    const char *word = next_word(l), *end;
    double number;

    if (read_number(word, &number, &end) && strcmp(end, "%") == 0) {
        if (!(number > 0 && number <= 100))
            return wrong(l, "a share above 0% and up to 100%", word);
        f->share = number / 100;
        word = next_word(l);
    }
    f->hosts = is_kind(word, "host", "hosts");
    if (!f->hosts && !is_kind(word, "rank", "ranks"))
        return wrong(l, "'rank', 'host' or a share such as '10% ranks'", word);
    *after = next_word(l);
    if (f->share == 0 && is_number(*after, &number)) {
        if (number < 1 || number != floor(number))
            return wrong(l,
                         f->hosts ? "a host beside the first one, 0, where rank 0 is"
                                  : "a rank from 1 on",
                         *after);
        f->number = (int)number;
        *after = next_word(l);
    }
    return 0;
}

static int read_harm(struct line *l, const char *word, struct fault *f)
{
    const char *amount;

    for (int i = 0; i < HARMS && word; i++)
        if (strcmp(word, harms[i].name) == 0)
            f->harm = &harms[i];
    if (!f->harm)
        return wrong(l, "'kill', 'stop SECONDS', 'slow TIMES' or 'err SHARE'", word);
    if (!f->harm->amount)
        return 0;
    amount = next_word(l);
    if (!is_number(amount, &f->amount) || f->amount <= 0)
        return wrong(l, "a number above 0", amount);
    return 0;
}

/* Adds the fault of a line, if it has one. */
static int read_line(struct faults *f, struct line *l, char *text)
{
    struct fault one = {.line = l->number};
    struct fault *list;
    const char *word, *more;

    text[strcspn(text, "#")] = '\0';
    word = strtok_r(text, BLANKS, &l->rest);
    if (!word)
        return 0;
    TRY(read_when(l, word, &one));
    TRY(read_whom(l, &one, &word));
    TRY(read_harm(l, word, &one));
    more = next_word(l);
    if (more)
        return wrong(l, "the end of the line", more);
    list = realloc(f->list, (size_t)(f->n + 1) * sizeof *list);
    if (!list)
        return err(ERR_MEMORY, "no memory for the faults of '%s'", f->path);
    f->list = list;
    f->list[f->n++] = one;
    return 0;
}

static int read_lines(struct faults *f, FILE *file)
{
    struct line l = {.path = f->path};
    char *text = NULL;
    size_t room = 0;
    int code = 0;

    errno = 0;
    while (code >= 0 && getline(&text, &room, file) >= 0) {
        l.number++;
        code = read_line(f, &l, text);
    }
    if (code >= 0 && ferror(file))
        code = err(ERR_NOINPUT, "cannot read '%s': %s", f->path, strerror(errno));
    free(text);
    return code;
}

int faults_read(struct faults *f, const char *path)
{
    FILE *file = fopen(path, "re");
    int code;

    *f = (struct faults){.path = path};
    if (!file)
        return err(ERR_NOINPUT, "cannot open '%s': %s", path, strerror(errno));
    code = read_lines(f, file);
    fclose(file);
    return code;
}

void faults_release(struct faults *f)
{
    free(f->list);
    *f = (struct faults){0};
}

int faults_check(const struct faults *f, const struct victims *v)
{
    for (int i = 0; i < f->n; i++) {
        const struct fault *one = &f->list[i];
        int n = one->hosts ? v->n_hosts : v->n_ranks;

        if (one->number >= n)
            return err(ERR_DATA, "%s:%d: there is no %s %d beside %d ranks on %d hosts", f->path,
                       one->line, one->hosts ? "host" : "rank", one->number, v->n_ranks,
                       v->n_hosts);
    }
    return 0;
}

/* ---- happening ---- */

struct coming { /* a fault that is to happen */
    const struct fault *fault;
    struct victims *victims;
    struct rng rng; /* of its own */
};

static void strike_unit(struct coming *c, int number)
{
    struct victims *v = c->victims;
    const struct fault *f = c->fault;
    int lost = v->n_lost;

    for (int rank = 1; rank < v->n_ranks; rank++)
        if ((f->hosts ? v->host[rank] : rank) == number)
            f->harm->strike(v, rank, f->amount);
    v->n_losses += v->n_lost > lost;
}

/* A host is dead with its ranks. */
static bool unit_lives(const struct coming *c, int number)
{
    const struct victims *v = c->victims;

    for (int rank = 1; rank < v->n_ranks; rank++)
        if ((c->fault->hosts ? v->host[rank] : rank) == number && !v->dead[rank])
            return true;
    return false;
}

/* So many of those that live, drawn: each next one is as likely as what is still needed is among
 * what is left. */
static void strike_drawn(struct coming *c)
{
    const struct fault *f = c->fault;
    int n = f->hosts ? c->victims->n_hosts : c->victims->n_ranks, left = 0, needed;

    for (int i = 1; i < n; i++)
        left += unit_lives(c, i);
    needed = f->share > 0 ? (int)lround(f->share * left) : left > 0;
    for (int i = 1; i < n && needed > 0; i++) {
        if (!unit_lives(c, i))
            continue;
        if (rng_below(&c->rng, (uint32_t)left--) < (uint32_t)needed) {
            needed--;
            strike_unit(c, i);
        }
    }
}

static void happen(void *context);

static void await(struct coming *c)
{
    const struct fault *f = c->fault;
    double wait = f->every ? -log1p(-rng_uniform(&c->rng, 0, 1)) * f->seconds : f->seconds;

    event_at(fiber_now() + (virtual_time)(NANOSECONDS * wait), happen, c);
}

static void happen(void *context)
{
    struct coming *c = context;

    if (c->victims->over)
        return;
    if (c->fault->number)
        strike_unit(c, c->fault->number);
    else
        strike_drawn(c);
    if (c->fault->every)
        await(c);
}

int faults_begin(const struct faults *f, struct victims *v)
{
    v->coming = calloc((size_t)f->n + 1, sizeof *v->coming);
    if (!v->coming)
        return err(ERR_MEMORY, "no memory for the faults of '%s'", f->path);
    for (int i = 0; i < f->n; i++) {
        struct coming *c = &v->coming[i];

        *c = (struct coming){.fault = &f->list[i], .victims = v};
        rng_init(&c->rng, v->seed, 0, UINT32_MAX, (uint32_t)i);
        await(c);
    }
    return 0;
}

void faults_end(struct victims *v)
{
    free(v->coming);
    v->coming = NULL;
}
