/* sink.c - calls the functions of a sink. */
#include "proto/stream/sink.h"

#include <stdio.h>

#include "core/base/err.h"

static int emit(struct sink *s, const char *kind, const struct field *fields)
{
    const struct field gap[] = {INTEGER("events", s->gap), {0}};

    if (s->gap > 0)
        TRY(s->ops->emit(s, "lost", gap));
    s->gap = 0;
    return s->ops->emit(s, kind, fields);
}

void sink_emit(struct sink *s, const char *kind, const struct field *fields)
{
    if (!s->ops || emit(s, kind, fields) >= 0)
        return;
    s->lost++;
    s->gap++;
    snprintf(s->error, sizeof s->error, "%s", err_text());
}

int sink_flush(struct sink *s)
{
    return s->ops ? s->ops->flush(s) : 0;
}

void sink_close(struct sink *s)
{
    if (s->ops)
        s->ops->close(s);
    *s = (struct sink){0};
}

void sinks_emit(const struct sinks *all, const char *kind, const struct field *fields)
{
    for (int i = 0; i < all->n; i++)
        sink_emit(all->each[i], kind, fields);
}
