/* sink.c - the calls, whoever writes. */
#include "proto/sink.h"

void sink_emit(struct sink *s, const char *kind, const struct field *fields)
{
    if (s->ops && s->ops->emit(s, kind, fields) < 0)
        s->lost++;
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
