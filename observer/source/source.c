/* source.c - calls the functions of a source. */
#include "observer/source/source.h"

#include "core/base/err.h"

struct entrance {
    struct source *s;
    const struct listener *to;
};

static int event_take(void *context, const struct event *e)
{
    const struct entrance *at = context;

    TRY(model_event(&at->s->run, e));
    return at->to->event(at->to->context, at->s, e);
}

int source_event(struct source *s, const struct event *e, const struct listener *to)
{
    return event_clean(e, event_take, &(struct entrance){s, to});
}

void source_close(struct source *s)
{
    if (s->ops)
        s->ops->close(s);
    model_release(&s->run);
    *s = (struct source){0};
}
