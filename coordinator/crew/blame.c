/* blame.c - messages that come damaged: whose memory or network it is.
 *
 * One damaged message does not tell whether its sender or its receiver is at fault. The receiver
 * leaves (rank 0 cannot: then the sender does), and the other one stays. If that happens to it with
 * a second rank, it is the one at fault. Two ranks of one host do not prove that of a rank of
 * another: it may be their host's network. */
#include <string.h>

#include "coordinator/crew/crew_internal.h"
#include "core/base/err.h"

static bool is_same_host(const struct crew *c, int a, int b)
{
    return strcmp(c->workers[a].hello.host, c->workers[b].hello.host) == 0;
}

/* Whether `accuser` is the second rank that proves something against `suspect`. */
static bool is_convicted(const struct crew *c, int suspect, int accuser)
{
    int *first = &c->workers[suspect].accuser;

    if (*first == 0) {
        *first = accuser;
        return false;
    }
    return !is_same_host(c, *first, accuser) || is_same_host(c, suspect, accuser);
}

/* The rank that proves to be at fault, or rank 0. */
static int convict(struct crew *c, int rank, uint64_t round)
{
    if (rank == 0)
        return err(
            ERR_FAILED,
            "messages between rank 0 on host '%s' and two other ranks have come damaged: the "
            "memory or the network of rank 0 fails; start again on another host",
            c->workers[0].hello.host);
    if (!c->workers[rank].left)
        crew_leaves(c, "left", rank, ERR_DAMAGED, round,
                    "two other ranks have got damaged messages of it: its memory or its network "
                    "fails");
    return 0;
}

int blame(struct crew *c, int from, int to, uint64_t round)
{
    int leaver = to ? to : from, other = to ? from : 0;

    if (from < 0 || from >= c->comm->size)
        return err(ERR_DATA, "rank %d speaks of rank %d, which does not exist", to, from);
    if (c->workers[leaver].left)
        return 0;
    crew_leaves(c, "left", leaver, ERR_DAMAGED, round,
                "a message of rank %d on host '%s' has come damaged to rank %d on host '%s': the "
                "memory or the network of one of them fails",
                from, c->workers[from].hello.host, to, c->workers[to].hello.host);
    return is_convicted(c, other, leaver) ? convict(c, other, round) : 0;
}
