/* crew_internal.h - between the files that make a round. */
#ifndef COORDINATOR_CREW_CREW_INTERNAL_H
#define COORDINATOR_CREW_CREW_INTERNAL_H

#include "coordinator/crew/crew.h"
#include "proto/comm/children.h"

struct transaction { /* a round at work */
    struct crew *crew;
    const struct round *r;
    struct header h;          /* of its messages */
    uint32_t next;            /* tasks below this have been given out */
    uint32_t n_orphans;       /* tasks below next without an owner now */
    uint32_t orphan;          /* no task below this is without an owner */
    int n_threads;            /* of all its ranks */
    bool stands;              /* the tree: its sums count */
    struct children children; /* of rank 0 in it */
    uint64_t worked;    /* nanoseconds of the rank that worked longest, of those summed so far */
    uint32_t n_arrived; /* models that came back */
    bool mixed;         /* reassigned tasks were mixed with a rank's own: their checksum cannot be
                            told apart */
    double begun;       /* clock: its beginning */
    double moved;       /* clock: the last thing that happened */
    double broken;      /* clock: the last time that a rank was left out */
    double asked;       /* clock: all that have not finished were sent a ping; 0: not yet */
    double first_took;  /* seconds until the first rank had finished its tasks; 0: none yet */
    struct slots disputed; /* tasks that every rank does; n 0: no dispute */
    struct round_sum *total;
};

/* Errors are those of comm_send and of the wire, unless a comment says others. */

/* ---- crew.c ---- */

/* Sends a message of the current epoch. like: gives the rest of its header; NULL: zero. body: NULL:
 * none. */
int crew_say(struct crew *c, int to, enum message_kind kind, const struct header *like,
             const struct buffer *body);

/* Tells c->notify what has happened to a rank, in a sentence. */
void crew_notify(struct crew *c, const char *kind, int rank, uint64_t round, const char *fmt, ...)
    __attribute__((format(printf, 5, 6)));

/* Makes room for a run of `size` ranks. ERR_MEMORY. */
int crew_lists(struct crew *c, size_t size);

/* A rank takes no part any more: keeps why (c->code, c->reason: rank, host and the sentence) and
 * tells it in a notice of that kind. */
void crew_leaves(struct crew *c, const char *kind, int rank, int code, uint64_t round,
                 const char *fmt, ...) __attribute__((format(printf, 6, 7)));

/* Makes room for a round of so many tasks and audits. ERR_MEMORY. */
int crew_reserve(struct crew *c, uint32_t n_tasks, uint32_t n_audits);

/* ---- hello.c ---- */

/* A worker's hello has come, in time or late: compares its program and its data with ours. Errors
 * of crew_gather. */
int crew_hello(struct crew *c, const struct message *m);

/* A rank is ready, and its hello tells its host: notes who is on its host. Once for each rank. */
void crew_seat(struct crew *c, uint32_t rank);

/* ---- leases.c ---- */

/* Gives signs of life and checks every lease, every few milliseconds. */
void crew_check_leases(struct crew *c, uint64_t round);

/* What any message tells of its sender, whatever its epoch: it lives. */
int crew_heard(struct crew *c, const struct message *m, uint64_t round);

/* Takes what a rank says that it has done (ALIVE). */
int crew_report(struct crew *c, const struct message *m);

bool crew_available(const struct crew_worker *worker); /* for the next round */

/* ---- members.c ---- */

/* Fills c->members with the coordinator and the available workers; returns how many they are. */
int round_choose(struct crew *c);

/* Lays c->tree out: of all members, or, to gather the sums again, of those with tasks alone. Sums
 * of this tree count from now on; p->total is empty. */
void round_plant(struct transaction *p, bool again);

/* ---- params.c ---- */

/* Begins an attempt at round r under a new epoch: p's header, an empty total, every
 * worker's part in it. */
void round_begin(struct crew *c, const struct round *r, struct transaction *p);

/* Sends the round's parameters down the tree of its members, piece by piece. */
int round_send_params(struct transaction *p);

/* ---- give.c ---- */

uint32_t tasks_left(const struct transaction *p); /* that nobody has now */
uint32_t work_left(const struct transaction *p);  /* the same, and audits */

/* Gives each member its first tasks, which it is told of with the parameters; if tasks step models,
 * when it asks. */
void give_first(struct transaction *p);

/* Whether the rank's first tasks still wait for it to ask. */
bool give_is_kept(const struct transaction *p, const struct crew_worker *worker);

/* A rank asks for tasks: gives it a chunk of those that are left; in a dispute, all of its. */
int give_on_request(struct transaction *p, int rank);

/* Gives tasks and audits that nobody has to the ranks that have finished theirs. */
int give_orphans(struct transaction *p);

/* Tells a rank that there are no more tasks, once. */
int give_end(struct transaction *p, int rank);

/* The same of the round that the rank was left out of, which may be over: it reports what it owes
 * only when it knows that it has all of it. Nothing is sent to a rank that is gone. */
int give_owed_end(struct crew *c, int rank);

/* ---- audit.c: nothing happens in a round of which nothing is audited ---- */

/* Chooses the round's audits. The attempt has begun. */
void audit_begin(struct transaction *p);

/* An audit that nobody has and that the rank may do; false: there is none. No task is left. */
bool audit_next(struct transaction *p, uint32_t rank, uint32_t *slot);

/* The rank has that audit now. */
void audit_take(struct transaction *p, uint32_t rank, uint32_t slot);

/* A task has another rank now: what is known of it is void, and its audit is done again if the same
 * rank, or one on its host, has that. */
void audit_moved(struct transaction *p, uint32_t slot);

/* A rank is left out: nobody has its audits. */
void audit_leave_out(struct transaction *p, uint32_t rank);

/* A rank tells what it has seen in this round. What others have by now is skipped. */
void audit_see(struct crew *c, uint32_t rank, const struct sightings *seen);

struct difference { /* between two ranks that have done the same task */
    uint32_t slot;
    uint32_t rank[2];
    uint64_t checksum[2];
};

/* The first task whose two results differ; false: there is none. All checksums have come. */
bool audit_differs(const struct crew *c, struct difference *d);

/* ---- domains.c: nothing happens in a round whose tasks do not step models ---- */

void domains_begin(struct transaction *p); /* no model has arrived */

/* Sends the model of a task, or of an audit, and its optimizer's vectors to a rank, ahead of it. */
int domains_send(struct transaction *p, int rank, uint32_t slot);

/* Takes what a model has become. ERR_DATA if it is not of this round. */
int domains_take(struct transaction *p, const struct message *m);

/* True if models of tasks that were not set aside are still to come. The sums are complete. */
bool domains_awaited(const struct transaction *p);

/* ---- mend.c ---- */

/* Leaves out the ranks that are lost or hold the round up, gives their tasks to others, and gathers
 * the sums again when all tasks are done. 1: nobody is left in this round, it must begin again. */
int round_mend(struct transaction *p);

/* Nobody has held up the round at hand, which is done: notes how long it took. */
void mend_learn(const struct transaction *p);

/* A rank that was left out has only been late: the next one has twice as long to answer. */
void mend_was_wrong(struct crew *c);

/* ---- confirm.c ---- */

/* A rank that was left out has reported its tasks: compares, if it is known what others made of
 * them. c->differs says so if the results differ. */
void confirm_report(struct crew *c, int rank, const struct done *d, uint64_t round);

/* At the round's end: what others made of the tasks of the one rank that was left out. */
void confirm_round(struct transaction *p);

/* ---- blame.c ---- */

/* A message from one rank has come damaged to another, which is left out from now on (the sender
 * instead, if that is rank 0). One who is named by two is left out as well. ERR_FAILED if that is
 * rank 0: nothing can be trusted then. */
int blame(struct crew *c, int from, int to, uint64_t round);

/* ---- hear.c ---- */

/* Handles one message, or sleeps briefly; checks leases. p NULL: between rounds. Errors of
 * crew_round. */
int round_hear(struct crew *c, struct transaction *p, uint64_t round);

/* ---- dispute.c ---- */

/* Has every rank compute the same tasks and names those whose results differ from most. Always an
 * error: ERR_FAILED, or of comm_send. */
int crew_dispute(struct crew *c, const struct round *r);

/* The same for one task that two ranks have done, before the round's total was used: who is wrong
 * leaves, and the round may begin again. ERR_FAILED: there is no majority. */
int crew_settle(struct crew *c, const struct round *r, const struct difference *d);

#endif
