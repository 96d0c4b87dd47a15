/* members.c - chooses the ranks of a round, host by host, and the tree that they form. */
#include "coordinator/crew/crew_internal.h"

static void choose_ranks(struct crew *c, uint32_t host, bool proved)
{
    for (uint32_t rank = c->hosts[host]; rank; rank = c->workers[rank].beside)
        if (c->workers[rank].proved == proved && crew_available(&c->workers[rank]))
            c->members[c->n_members++] = rank;
}

static void choose_host(struct crew *c, uint32_t host)
{
    choose_ranks(c, host, true);
    choose_ranks(c, host, false);
}

static bool is_proved(const struct crew *c, uint32_t host)
{
    uint32_t rank = c->hosts[host];

    while (rank && !(c->workers[rank].proved && crew_available(&c->workers[rank])))
        rank = c->workers[rank].beside;
    return rank != 0;
}

/* Host after host, that of rank 0 first. Ranks that took part in the last round stand first in
 * their host, and hosts with such ranks first among hosts: others hang on them in the tree. */
int round_choose(struct crew *c)
{
    c->n_members = 1;
    choose_host(c, 0);
    for (int proved = 1; proved >= 0; proved--)
        for (uint32_t host = 1; host < c->n_hosts; host++)
            if (is_proved(c, host) == proved)
                choose_host(c, host);
    return c->n_members;
}

static bool has_share(const struct crew_worker *worker)
{
    return worker->given && !worker->out;
}

void round_plant(struct transaction *p, bool again)
{
    struct crew *c = p->crew;
    uint32_t n = 0, n_hosts = 0;

    for (int i = 0; i < c->n_members; i++) {
        const struct crew_worker *worker = &c->workers[c->members[i]];

        if (again && i > 0 && !has_share(worker))
            continue;
        if (n == 0 || worker->host != c->workers[c->planted[n - 1]].host)
            c->host_first[n_hosts++] = n;
        c->planted[n++] = c->members[i];
    }
    c->host_first[n_hosts] = n;
    tree_plant(c->planted, c->host_first, n_hosts, c->tree);
    children_begin(&p->children, c->tree, p->total->n_words);
    p->stands = true;
}
