/* wire_hello.c - packs what a worker reports of itself and its data. */
#include <string.h>

#include "core/base/err.h"
#include "proto/metaloop.pb-c.h"
#include "proto/wire.h"
#include "proto/wire_internal.h"

static void section_fill(const struct survey *s, Metaloop__Section *m)
{
    *m = (Metaloop__Section)METALOOP__SECTION__INIT;
    m->name = (char *)s->name;
    m->height = (uint32_t)s->shape.h, m->width = (uint32_t)s->shape.w;
    m->channels = (uint32_t)s->shape.c, m->targets = s->n_target;
    m->classes = s->n_classes, m->samples = s->n_samples;
    m->labels = s->labels, m->names = s->names, m->pixels = s->pixels;
    m->sampled = s->sampled, m->time = s->time;
}

static void section_view(const Metaloop__Section *m, struct survey *s)
{
    *s = (struct survey){
        .shape = {.h = (int)m->height, .w = (int)m->width, .c = (int)m->channels},
        .n_target = m->targets,
        .n_classes = m->classes,
        .n_samples = m->samples,
        .labels = m->labels,
        .names = m->names,
        .pixels = m->pixels,
        .sampled = m->sampled,
        .time = m->time,
        .low = 1,
    };
    wire_copy(s->name, sizeof s->name, m->name);
}

int wire_pack_hello(const struct hello *h, const struct sections *s, struct buffer *out)
{
    Metaloop__Hello m = METALOOP__HELLO__INIT;
    Metaloop__Section sections[CONFIG_DATA_MAX], *each[CONFIG_DATA_MAX];

    for (int i = 0; i < s->n; i++) {
        section_fill(&s->each[i], &sections[i]);
        each[i] = &sections[i];
    }
    m.n_sections = (size_t)s->n, m.sections = each;
    m.version = (char *)h->version, m.host = (char *)h->host, m.cpu = (char *)h->cpu;
    m.blas = (char *)h->blas, m.error = (char *)h->error;
    m.precision = (char *)h->precision, m.build = (char *)h->build;
    m.pid = h->pid, m.threads = h->threads, m.layout = h->layout, m.arena = h->arena;
    m.code = h->code;
    return wire_pack(&m.base, out);
}

static void hello_view(const Metaloop__Hello *m, struct hello *h)
{
    *h = (struct hello){.pid = m->pid,
                        .threads = m->threads,
                        .layout = m->layout,
                        .arena = m->arena,
                        .code = m->code};
    wire_copy(h->version, sizeof h->version, m->version);
    wire_copy(h->host, sizeof h->host, m->host);
    wire_copy(h->cpu, sizeof h->cpu, m->cpu);
    wire_copy(h->blas, sizeof h->blas, m->blas);
    wire_copy(h->precision, sizeof h->precision, m->precision);
    wire_copy(h->build, sizeof h->build, m->build);
    wire_copy(h->error, sizeof h->error, m->error);
}

int wire_unpack_hello(const void *bytes, size_t n, struct hello *h, struct sections *s)
{
    Metaloop__Hello *m = wire_unpack(&metaloop__hello__descriptor, bytes, n);
    bool bad = !m || m->n_sections > CONFIG_DATA_MAX;

    if (!bad) {
        hello_view(m, h);
        s->n = (int)m->n_sections;
        for (int i = 0; i < s->n; i++)
            section_view(m->sections[i], &s->each[i]);
    }
    if (m)
        metaloop__hello__free_unpacked(m, NULL);
    return bad ? wire_refuse("hello") : 0;
}
