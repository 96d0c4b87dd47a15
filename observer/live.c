/* live.c */
#include "core/err.h"
#include "observer/source.h"

int source_live(struct source *s, void *context, const char *endpoint, const struct keys *keys)
{
    (void)s;
    (void)context;
    (void)keys;
    return err(ERR_NOINPUT, "'%s'", endpoint);
}
