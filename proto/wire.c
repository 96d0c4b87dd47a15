/* wire.c - protobuf-c on one side, plain structs on the other. */
#include "proto/wire.h"

#include <math.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#include "core/base/err.h"
#include "proto/metaloop.pb-c.h"
#include "proto/wire_internal.h"

enum { UNPACKED_MAX = 32 << 20 }; /* bytes of one message in memory */

int buffer_reserve(struct buffer *b, size_t room)
{
    uint8_t *bytes;

    if (room <= b->room)
        return 0;
    bytes = realloc(b->bytes, room);
    if (!bytes)
        return err(ERR_MEMORY, "no memory for a message of %zu bytes", room);
    b->bytes = bytes;
    b->room = room;
    return 0;
}

void buffer_release(struct buffer *b)
{
    free(b->bytes);
    *b = (struct buffer){0};
}

int wire_pack(const ProtobufCMessage *m, struct buffer *out)
{
    size_t n = protobuf_c_message_get_packed_size(m);

    TRY(buffer_reserve(out, n ? n : 1));
    out->n = protobuf_c_message_pack(m, out->bytes);
    return 0;
}

/* Subtracts the unpacked size of a message from the bytes left. */
static void *budget_alloc(void *left, size_t n)
{
    size_t *bytes = left;

    if (n > *bytes)
        return NULL;
    *bytes -= n;
    return malloc(n);
}

static void budget_free(void *left, void *p)
{
    (void)left;
    free(p);
}

/* NULL if the bytes are not such a message, or need more than UNPACKED_MAX. */
void *wire_unpack(const ProtobufCMessageDescriptor *what, const void *bytes, size_t n)
{
    size_t left = UNPACKED_MAX;
    ProtobufCAllocator budget = {budget_alloc, budget_free, &left};

    return n <= UNPACKED_MAX ? protobuf_c_message_unpack(what, &budget, n, bytes) : NULL;
}

int wire_refuse(const char *what)
{
    return err(ERR_DATA, "a %s message that cannot be read, or takes more than %d bytes", what,
               UNPACKED_MAX);
}

void wire_copy(char *to, size_t n, const char *from)
{
    snprintf(to, n, "%s", from ? from : "");
}

static void task_fill(const struct task *t, const char *method, Metaloop__Task *m)
{
    metaloop__task__init(m);
    m->stage = t->stage, m->data = t->data, m->round = t->round, m->slot = t->slot;
    m->seed = t->seed, m->way = t->way, m->shot = t->shot, m->query = t->query;
    m->n_classes = t->way, m->classes = t->classes;
    m->n_turns = t->way, m->turns = t->turns;
    m->n_support = (size_t)t->way * t->shot, m->support = t->support;
    m->n_queries = (size_t)t->way * t->query, m->queries = t->queries;
    m->target = t->target;
    m->n_source = t->n_source, m->source = t->source;
    m->n_targets = t->n_targets, m->targets = t->targets;
    if (method)
        m->method = (char *)method;
}

static int task_view(const Metaloop__Task *m, struct task *t)
{
    *t = (struct task){
        .stage = m->stage,
        .data = m->data,
        .round = m->round,
        .slot = m->slot,
        .seed = m->seed,
        .way = m->way,
        .shot = m->shot,
        .query = m->query,
        .classes = m->classes,
        .turns = m->turns,
        .support = m->support,
        .queries = m->queries,
        .target = m->target,
        .n_source = (uint32_t)m->n_source,
        .n_targets = (uint32_t)m->n_targets,
        .source = m->source,
        .targets = m->targets,
    };
    if (m->n_classes != m->way || m->n_turns != m->way ||
        m->n_support != (uint64_t)m->way * m->shot || m->n_queries != (uint64_t)m->way * m->query)
        return err(ERR_DATA,
                   "a task of way %u, shot %u, query %u with %zu classes, %zu support and "
                   "%zu query ids",
                   m->way, m->shot, m->query, m->n_classes, m->n_support, m->n_queries);
    return 0;
}

int wire_pack_given(const struct given *g, struct buffer *out)
{
    Metaloop__Given m = METALOOP__GIVEN__INIT;
    uint32_t ends[2 * WIRE_RANGES_MAX];

    for (int i = 0; i < g->n; i++)
        ends[2 * i] = g->ranges[i].first, ends[2 * i + 1] = g->ranges[i].n;
    m.n_ranges = 2 * (size_t)g->n;
    m.ranges = ends;
    m.last = g->last;
    return wire_pack(&m.base, out);
}

static int given_view(const Metaloop__Given *m, struct given *g)
{
    if (m->n_ranges % 2 != 0 || m->n_ranges > 2 * WIRE_RANGES_MAX)
        return err(ERR_DATA, "%zu numbers for ranges of tasks, the limit is %d pairs", m->n_ranges,
                   WIRE_RANGES_MAX);
    g->n = (int)m->n_ranges / 2;
    g->last = m->last;
    for (int i = 0; i < g->n; i++) {
        struct slots s = {m->ranges[2 * i], m->ranges[2 * i + 1]};

        if (s.n == 0 || s.n > UINT32_MAX - s.first)
            return err(ERR_DATA, "%u tasks from slot %u", s.n, s.first);
        g->ranges[i] = s;
    }
    return 0;
}

int wire_unpack_given(const void *bytes, size_t n, struct given *g)
{
    Metaloop__Given *m = wire_unpack(&metaloop__given__descriptor, bytes, n);
    int code;

    if (!m)
        return wire_refuse("tasks");
    code = given_view(m, g);
    metaloop__given__free_unpacked(m, NULL);
    return code;
}

int wire_pack_task(const struct task *t, const char *method, struct buffer *out)
{
    Metaloop__Task m;

    task_fill(t, method, &m);
    return wire_pack(&m.base, out);
}

int wire_unpack_task(const void *bytes, size_t n, int (*take)(void *context, const struct task *t),
                     void *context)
{
    Metaloop__Task *m = wire_unpack(&metaloop__task__descriptor, bytes, n);
    struct task t;
    int code;

    if (!m)
        return wire_refuse("task");
    code = task_view(m, &t);
    if (code >= 0)
        code = take(context, &t);
    metaloop__task__free_unpacked(m, NULL);
    return code;
}

int wire_pack_welcome(const struct welcome *w, struct buffer *out)
{
    Metaloop__Welcome m = METALOOP__WELCOME__INIT;

    m.configuration = w->configuration;
    m.data_root = w->data_root;
    return wire_pack(&m.base, out);
}

int wire_unpack_welcome(const void *bytes, size_t n, struct welcome *w)
{
    Metaloop__Welcome *m = wire_unpack(&metaloop__welcome__descriptor, bytes, n);

    if (!m)
        return wire_refuse("welcome");
    *w = (struct welcome){strdup(m->configuration), strdup(m->data_root)};
    metaloop__welcome__free_unpacked(m, NULL);
    if (!w->configuration || !w->data_root)
        return err(ERR_MEMORY, "no memory for the configuration");
    return 0;
}

void welcome_release(struct welcome *w)
{
    free(w->configuration);
    free(w->data_root);
    *w = (struct welcome){0};
}

int wire_pack_done(const struct done *d, struct buffer *out)
{
    Metaloop__Done m = METALOOP__DONE__INIT;

    m.tasks = d->tasks;
    m.mark = d->checksum;
    m.n_seen = m.n_marks = d->seen.n;
    m.seen = d->seen.slots;
    m.marks = d->seen.checksums;
    return wire_pack(&m.base, out);
}

int wire_unpack_done(const void *bytes, size_t n, struct done *d)
{
    Metaloop__Done *m = wire_unpack(&metaloop__done__descriptor, bytes, n);
    int code = 0;

    if (!m)
        return wire_refuse("done");
    *d = (struct done){m->tasks, m->mark, {(uint32_t)m->n_seen, m->seen, m->marks}};
    if (m->n_seen == m->n_marks)
        m->n_seen = m->n_marks = 0, m->seen = NULL, m->marks = NULL; /* they are *d's now */
    else
        code =
            err(ERR_DATA, "a done message with %zu tasks and %zu checksums", m->n_seen, m->n_marks);
    metaloop__done__free_unpacked(m, NULL);
    return code;
}

void done_release(struct done *d)
{
    free(d->seen.slots);
    free(d->seen.checksums);
    *d = (struct done){0};
}

int wire_pack_alive(const struct alive *a, struct buffer *out)
{
    Metaloop__Alive m = METALOOP__ALIVE__INIT;

    m.tasks = a->tasks, m.seconds = a->seconds, m.computing = a->computing;
    m.operations = a->operations, m.memory_mib = a->memory_mib;
    return wire_pack(&m.base, out);
}

int wire_unpack_alive(const void *bytes, size_t n, struct alive *a)
{
    Metaloop__Alive *m = wire_unpack(&metaloop__alive__descriptor, bytes, n);
    const double *each[] = {&a->seconds, &a->computing, &a->operations, &a->memory_mib};

    if (!m)
        return wire_refuse("alive");
    *a = (struct alive){m->tasks, m->seconds, m->computing, m->operations, m->memory_mib};
    metaloop__alive__free_unpacked(m, NULL);
    for (size_t i = 0; i < sizeof each / sizeof *each; i++)
        if (!isfinite(*each[i]) || *each[i] < 0)
            return err(ERR_DATA, "a rank reports %g seconds, operations or MiB", *each[i]);
    return 0;
}

int wire_pack_bye(const struct bye *b, struct buffer *out)
{
    Metaloop__Bye m = METALOOP__BYE__INIT;

    m.code = b->code;
    m.lost = b->lost;
    m.spoiled = b->spoiled;
    m.damaged = b->damaged;
    m.reason = (char *)b->reason;
    return wire_pack(&m.base, out);
}

int wire_unpack_bye(const void *bytes, size_t n, struct bye *b)
{
    Metaloop__Bye *m = wire_unpack(&metaloop__bye__descriptor, bytes, n);

    if (!m)
        return wire_refuse("bye");
    *b = (struct bye){
        .code = m->code, .lost = m->lost, .spoiled = m->spoiled, .damaged = m->damaged};
    wire_copy(b->reason, sizeof b->reason, m->reason);
    metaloop__bye__free_unpacked(m, NULL);
    return 0;
}

int wire_pack_failed(const struct failed_set *s, struct buffer *out)
{
    Metaloop__Failed m = METALOOP__FAILED__INIT;

    m.n_slots = (size_t)s->n;
    m.slots = (uint32_t *)s->slot;
    m.count = s->count;
    return wire_pack(&m.base, out);
}

static int failed_view(const Metaloop__Failed *m, struct failed_set *s)
{
    if (m->n_slots > FAILED_SET_MAX || m->n_slots > m->count)
        return err(ERR_DATA, "%zu slots of %zu failed tasks, the limit is %d", m->n_slots,
                   (size_t)m->count, FAILED_SET_MAX);
    failed_set_clear(s);
    for (size_t i = 0; i < m->n_slots; i++)
        failed_set_keep(s, m->slots[i]);
    s->count = m->count;
    for (size_t i = 0; i < m->n_slots; i++)
        if ((size_t)s->n != m->n_slots || s->slot[i] != m->slots[i])
            return err(ERR_DATA, "slots of failed tasks that do not ascend");
    return 0;
}

int wire_unpack_failed(const void *bytes, size_t n, struct failed_set *s)
{
    Metaloop__Failed *m = wire_unpack(&metaloop__failed__descriptor, bytes, n);
    int code;

    if (!m)
        return wire_refuse("failed");
    code = failed_view(m, s);
    metaloop__failed__free_unpacked(m, NULL);
    return code;
}
