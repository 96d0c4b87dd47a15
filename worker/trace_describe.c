/* trace_describe.c - describes a finding in a sentence. */
#include <inttypes.h>
#include <stdarg.h>
#include <stdio.h>
#include <string.h>

#include "core/base/plural.h"
#include "core/math/exact.h"
#include "worker/trace.h"

static void add(char *text, size_t n, const char *fmt, ...) __attribute__((format(printf, 3, 4)));

static void add(char *text, size_t n, const char *fmt, ...)
{
    size_t used = strlen(text);
    va_list args;

    va_start(args, fmt);
    vsnprintf(text + used, n - used, fmt, args);
    va_end(args);
}

static void add_sample(const struct trace *f, const struct data *d, char *text, size_t n)
{
    const struct trace_sample *s = &f->sample;
    char name[128];

    if (s->batch) {
        add(text, n, "%s sample %d, which is number %u of data '%s', is not finite", s->batch,
            s->position, s->id, d->name);
        return;
    }
    data_class_name(d, s->class_id, name, sizeof name);
    add(text, n, "%s sample %d, which is sample %u of class '%s' (%u) of data '%s', is not finite",
        s->support ? "support" : "query", s->position, s->id, name, s->class_id, d->name);
}

/* "step 3, batch of the target" */
static void add_batch(const struct trace *f, char *text, size_t n)
{
    if (f->step >= 0)
        add(text, n, "step %d, ", f->step);
    add(text, n, "batch of the %s", f->set);
}

/* "inner step 1, support set, pass 'backward', layer conv3 (conv2d, number 6)" */
static void add_place(const struct trace *f, char *text, size_t n)
{
    if (strcmp(f->set, "query") != 0 && strcmp(f->set, "support") != 0)
        add_batch(f, text, n);
    else if (strcmp(f->set, "query") == 0)
        add(text, n, "query set after %d inner step%s", f->step, plural(f->step));
    else
        add(text, n, "inner step %d, support set", f->step);
    add(text, n, ", pass '%s'", f->pass);
    if (f->layer >= 0)
        add(text, n, ", layer %s (%s, number %d)", f->name, f->type, f->layer);
    if (f->segment[0])
        add(text, n, ", segment '%s'", f->segment);
}

static void add_sum(const struct trace *f, char *text, size_t n)
{
    if (f->quantity)
        add(text, n, "%s", f->quantity);
    else
        add(text, n, "the outer gradient of '%s'", f->segment);
    if (f->step >= 0)
        add(text, n, " after %d inner step%s", f->step, plural(f->step));
    add(text, n, " is finite but too large for the exact sum: %g, the limit is %g", f->value,
        EXACT_LIMIT);
}

void trace_describe(const struct trace *f, const struct data *d, char *text, size_t n)
{
    text[0] = '\0';
    if (f->kind == TRACE_NONE)
        add(text, n,
            "every value that was traced is finite: the method computes more than "
            "inner steps, query and adjoint");
    if (f->kind == TRACE_PARAMETERS)
        add(text, n, "the parameters themselves are not finite, first in segment '%s'", f->segment);
    if (f->kind == TRACE_SUM)
        add_sum(f, text, n);
    if (f->kind == TRACE_SAMPLE)
        add_sample(f, d, text, n);
    if (f->kind == TRACE_SAMPLE && f->pass)
        add(text, n, "; first seen at: ");
    if (f->kind == TRACE_COMPUTATION)
        add(text, n, "the first value that is not finite: ");
    if (f->pass)
        add_place(f, text, n);
}
