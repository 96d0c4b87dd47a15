/* history.c - series in a hash table; long ones are thinned. */
#include "proto/stream/history.h"

#include <stdlib.h>
#include <string.h>

#include "core/base/err.h"

enum keep { KEEP_NOT, KEEP_LAST, KEEP_RECENT, KEEP_CURVE };

static const struct {
    const char *kind;
    enum keep keep;
} keeps[] = {
    {"round", KEEP_CURVE},      {"adaptation", KEEP_CURVE},  {"watch", KEEP_CURVE},
    {"evaluation", KEEP_CURVE}, {"checkpoint", KEEP_RECENT}, {"rank", KEEP_RECENT},
    {"failed", KEEP_RECENT},    {"lost", KEEP_RECENT},       {"log", KEEP_RECENT},
    {"run", KEEP_LAST},         {"stage", KEEP_LAST},        {"inputs", KEEP_LAST},
    {"end", KEEP_LAST},         {"workers", KEEP_LAST},
};

struct history_series {
    char name[STREAM_SERIES + 1];
    enum keep keep;
    uint64_t seen;              /* points so far */
    uint64_t every;             /* points 0, every, 2 every ... stay */
    struct shared_event **each; /* owned (room) */
    size_t n, room, first;      /* of KEEP_RECENT a ring from first on */
    struct shared_event *last;  /* KEEP_CURVE: the newest, if it is not among each */
};

static enum keep keep_of(const char *kind)
{
    for (size_t i = 0; i < sizeof keeps / sizeof *keeps; i++)
        if (strcmp(keeps[i].kind, kind) == 0)
            return keeps[i].keep;
    return KEEP_NOT;
}

/* ---- events held ---- */

static void drop(struct shared_event *e)
{
    if (!e || --e->users > 0)
        return;
    free(e->event);
    free(e);
}

static void let_go(struct history *h, struct shared_event *e)
{
    if (e)
        h->bytes -= e->event->n;
    drop(e);
}

/* ---- one series ---- */

/* Drops every second point. */
static void thin(struct history *h, struct history_series *s)
{
    size_t n = 0;

    for (size_t i = 0; i < s->n; i++)
        if (i % 2 == 0)
            s->each[n++] = s->each[i];
        else
            let_go(h, s->each[i]);
    s->n = n;
    s->every *= 2;
}

static bool grow(struct history_series *s, size_t most)
{
    size_t room = s->room ? 2 * s->room : 8;
    struct shared_event **each;

    if (s->n < s->room)
        return true;
    room = room < most ? room : most;
    each = s->n < room ? realloc(s->each, room * sizeof(struct shared_event *)) : NULL;
    if (!each)
        return false;
    s->each = each;
    s->room = room;
    return true;
}

static void put_curve(struct history *h, struct history_series *s, struct shared_event *e)
{
    bool kept;

    if (s->seen % s->every == 0 && s->n == HISTORY_POINTS)
        thin(h, s);
    kept = s->seen++ % s->every == 0 && grow(s, HISTORY_POINTS);
    let_go(h, s->last);
    s->last = kept ? NULL : e;
    if (kept)
        s->each[s->n++] = e;
}

static void put_recent(struct history *h, struct history_series *s, struct shared_event *e,
                       size_t most)
{
    if (s->n < most && grow(s, most)) {
        s->each[s->n++] = e;
        return;
    }
    if (s->n == 0) {
        let_go(h, e);
        return;
    }
    let_go(h, s->each[s->first]);
    s->each[s->first] = e;
    s->first = (s->first + 1) % s->n;
}

/* ---- all of them ---- */

int history_init(struct history *h)
{
    *h = (struct history){.room = 2 * HISTORY_SERIES};
    h->table = calloc(h->room, sizeof(struct history_series *));
    return h->table ? 0 : err(ERR_MEMORY, "no memory for the history of the stream");
}

void history_release(struct history *h)
{
    for (size_t i = 0; i < h->room && h->table; i++) {
        struct history_series *s = h->table[i];

        for (size_t j = 0; s && j < s->n; j++)
            drop(s->each[j]);
        if (s) {
            drop(s->last);
            free(s->each);
        }
        free(s);
    }
    free(h->table);
    *h = (struct history){0};
}

/* FNV-1a. */
static size_t place_of(const struct history *h, const char *name)
{
    uint64_t hash = 14695981039346656037u;
    size_t i;

    for (const char *p = name; *p; p++)
        hash = (hash ^ (unsigned char)*p) * 1099511628211u;
    for (i = hash & (h->room - 1); h->table[i]; i = (i + 1) & (h->room - 1))
        if (strcmp(h->table[i]->name, name) == 0)
            break;
    return i;
}

/* NULL: too many series, or no memory. */
static struct history_series *series_of(struct history *h, const char *name, enum keep keep)
{
    size_t i = place_of(h, name);
    struct history_series *s = h->table[i];

    if (s || h->n == HISTORY_SERIES)
        return s;
    s = calloc(1, sizeof *s);
    if (!s)
        return NULL;
    strcpy(s->name, name);
    s->keep = keep;
    s->every = 1;
    h->n++;
    return h->table[i] = s;
}

/* Thins the longest curve. */
static bool relieve(struct history *h)
{
    struct history_series *longest = NULL;

    for (size_t i = 0; i < h->room; i++) {
        struct history_series *s = h->table[i];

        if (s && s->keep == KEEP_CURVE && s->n > 2 && (!longest || s->n > longest->n))
            longest = s;
    }
    if (longest)
        thin(h, longest);
    return longest != NULL;
}

void history_put(struct history *h, struct stream_event *event)
{
    enum keep keep = keep_of(event->kind);
    const char *name = keep == KEEP_RECENT ? event->kind : event->series;
    struct history_series *s = keep == KEEP_NOT ? NULL : series_of(h, name, keep);
    struct shared_event *e = s ? malloc(sizeof *e) : NULL;

    if (event->seq > h->complete)
        h->complete = event->seq;
    if (!e) {
        free(event);
        return;
    }
    *e = (struct shared_event){event, 1};
    h->bytes += event->n;
    if (keep == KEEP_CURVE)
        put_curve(h, s, e);
    else
        put_recent(h, s, e, keep == KEEP_LAST ? 1 : HISTORY_RECENT);
    while (h->bytes > HISTORY_BYTES && relieve(h))
        ;
}

void history_spread(struct history *h, const char *kind, uint64_t every)
{
    size_t n = strlen(kind);

    for (size_t i = 0; i < h->room; i++) {
        struct history_series *s = h->table[i];

        if (!s || s->keep != KEEP_CURVE || strncmp(s->name, kind, n) != 0 ||
            (s->name[n] != ' ' && s->name[n] != '\0'))
            continue;
        s->every *= every;
        s->seen = 0; /* the next one stays */
    }
}

/* ---- snapshots ---- */

static int by_seq(const void *a, const void *b)
{
    uint64_t x = (*(struct shared_event *const *)a)->event->seq,
             y = (*(struct shared_event *const *)b)->event->seq;

    return (x > y) - (x < y);
}

static void take(struct snapshot *to, struct shared_event *e)
{
    if (!e)
        return;
    e->users++;
    to->each[to->n++] = e;
}

int history_snapshot(const struct history *h, struct snapshot *to)
{
    size_t n = 0;

    *to = (struct snapshot){.complete = h->complete};
    for (size_t i = 0; i < h->room; i++)
        n += h->table[i] ? h->table[i]->n + 1 : 0;
    to->each = malloc((n + 1) * sizeof(struct shared_event *));
    if (!to->each)
        return err(ERR_MEMORY, "no memory for a snapshot of %zu events", n);
    for (size_t i = 0; i < h->room; i++) {
        const struct history_series *s = h->table[i];

        for (size_t j = 0; s && j < s->n; j++)
            take(to, s->each[j]);
        if (s)
            take(to, s->last);
    }
    qsort(to->each, to->n, sizeof(struct shared_event *), by_seq);
    return 0;
}

void snapshot_release(struct snapshot *s)
{
    for (size_t i = 0; i < s->n; i++)
        drop(s->each[i]);
    free(s->each);
    *s = (struct snapshot){0};
}
