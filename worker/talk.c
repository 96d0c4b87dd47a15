/* talk.c - what a worker says, and its place in a round. */
#include "core/base/clock.h"
#include "core/base/err.h"
#include "worker/serve_internal.h"

int worker_say(struct worker *w, int to, enum message_kind kind, const struct part *parts, int n)
{
    struct header h = w->round;

    h.kind = kind;
    if (to == 0)
        w->spoke = clock_seconds();
    return comm_send(w->comm, to, &h, parts, n);
}

int worker_say_buffer(struct worker *w, enum message_kind kind)
{
    struct part body = {w->out.bytes, w->out.n};

    return worker_say(w, 0, kind, &body, 1);
}

int worker_enter(struct worker *w, const struct message *m, const struct tree_node *tree)
{
    size_t head = tree_bytes(tree);
    struct part parts[] = {{0}, {(const char *)m->body + head, m->h.size - head}};

    w->parent = m->from;
    w->n_sent = 0;
    return tree_send(w->comm, &m->h, tree, parts, 2, comm_rest(m));
}

int worker_tree(const struct worker *w, const struct message *m, const struct tree_node **tree)
{
    return tree_read(m->body, m->h.size, w->comm->rank, w->comm->size, tree);
}

bool worker_is_current(const struct worker *w, const struct message *m)
{
    return w->open && m->h.epoch == w->round.epoch;
}
