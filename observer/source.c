/* source.c - the calls, whichever source it is. */
#include "observer/source.h"

#include "core/err.h"

int source_event(struct source *s, const struct event *e, const struct listener *to)
{
    TRY(model_event(&s->run, e));
    return to->event(to->context, s, e);
}

void source_close(struct source *s)
{
    if (s->ops)
        s->ops->close(s);
    model_release(&s->run);
    *s = (struct source){0};
}
