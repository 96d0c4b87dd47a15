/* crew_internal.h - between the files that make a round. */
#ifndef COORDINATOR_CREW_CREW_INTERNAL_H
#define COORDINATOR_CREW_CREW_INTERNAL_H

#include "coordinator/crew/crew.h"

struct transaction { /* a round at work */
    struct crew *crew;
    const struct round *r;
    struct header h; /* of its messages */
    struct sampler sampler;
    uint32_t next;      /* tasks below this have been given out */
    uint32_t n_orphans; /* of those, without an owner now, */
    uint32_t orphan;    /* and no one below this */
    int n_threads;      /* of all its ranks */
    int n_children;     /* sums to come; -1: no tree stands */
    int n_sums;
    uint64_t worked;    /* nanoseconds of the rank that worked longest, of those summed so far */
    uint32_t n_arrived; /* models that came back */
    bool mixed; /* orphans went to ranks with work of their own: no checksum of them alone */
    double begun, moved; /* clocks: its beginning; the last thing that happened */
    double first_took;   /* seconds until the first rank had finished its tasks; 0: none yet */
    struct round_sum *total;
};

/* ---- crew.c ---- */

/* Sends a message of this kind to rank `to`: its header is that of *like but for kind and epoch
 * (NULL: zeros), and body may be NULL. Errors are those of comm_send. */
int crew_say(struct crew *c, int to, enum message_kind kind, const struct header *like,
             const struct buffer *body);
/* Calls c->notify, if there is one, with what happened to a rank in a round, written as by
 * printf. */
void crew_notify(struct crew *c, const char *kind, int rank, uint64_t round, const char *fmt, ...)
    __attribute__((format(printf, 5, 6)));
int crew_hello(struct crew *c, const struct message *m); /* a worker reports, in time or late */
int crew_reserve(struct crew *c, uint32_t n_tasks);      /* room for a round's tasks: ERR_MEMORY */

/* ---- crew_check_leases.c ---- */

/* Gives signs of life and checks every lease, every few milliseconds. */
void crew_check_leases(struct crew *c, uint64_t round);

/* What any message tells of its sender, whatever its epoch. */
void crew_heard(struct crew *c, const struct message *m, uint64_t round);

/* What a rank says that it has done. */
int crew_report(struct crew *c, const struct message *m);

bool crew_available(const struct crew_worker *worker); /* for the next round */

/* ---- params.c ---- */

/* Fills c->members with the coordinator and the available workers; returns how many they are. */
int round_choose(struct crew *c);

/* Begins an attempt at round r under a new epoch: p's header and sampler, an empty total, every
 * worker's part in it. */
void round_begin(struct crew *c, const struct round *r, struct transaction *p);

/* Sends the round's parameters down the tree of its members. Errors of comm_send. */
int round_send_params(struct transaction *p);

/* ---- give.c ---- */

uint32_t tasks_left(const struct transaction *p);     /* that nobody has now */
int give_on_request(struct transaction *p, int rank); /* a rank asks for tasks */
int give_orphans(struct transaction *p);              /* to those who have finished */
int give_end(struct transaction *p, int rank);        /* tells a rank that there is no more */

/* ---- round_blocks.c ---- */

void domains_begin(struct transaction *p);                        /* no model has come back yet */
int domains_send(struct transaction *p, int rank, uint32_t slot); /* a task's model, ahead of it */
int domains_take(struct transaction *p, const struct message *m); /* what it has become */
bool domains_awaited(const struct transaction *p); /* a model has not come back yet */

/* ---- mend.c ---- */

/* Looks for ranks that are lost or hold the round up, leaves them out, and has the sums gathered
 * from the others when all tasks are done again. 1: nobody is left in this round, it must begin
 * again. */
int round_mend(struct transaction *p);

/* ---- confirm.c ---- */

/* A rank that was left out has reported its tasks. */
void confirm_report(struct crew *c, int rank, const struct done *d, uint64_t round);
void confirm_round(struct transaction *p); /* at its end: what others made of a rank's tasks */

/* ---- dispute.c ---- */

/* Has every rank compute the same tasks and names those whose results differ from most. Always an
 * error: ERR_FAILED. */
int crew_dispute(struct crew *c, const struct round *r);

#endif
