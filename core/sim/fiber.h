/* fiber.h - many ranks in one thread, in virtual time: fibers, their clocks, and events.
 *
 * A fiber is a function with a stack of its own, which runs until it waits or works: while it does,
 * time goes on, and what happens meanwhile happens. Events happen in the order of their times, and
 * of the same time in the order in which they were added: the same program gives the same run.
 *
 * There is one such time in a process. Between fibers_open and fibers_close it is the habitat
 * (core/base/habitat.h) of the thread that opened it, and no other thread may run. */
#ifndef CORE_SIM_FIBER_H
#define CORE_SIM_FIBER_H

#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>

struct fiber;

typedef int64_t virtual_time; /* nanoseconds since fibers_open */

/* Begins at time 0 without fibers and events. */
void fibers_open(void);

/* Lets events happen and fibers run until all fibers have ended and no event is left. ERR_FAILED if
 * fibers wait and nothing will wake them: the sentence says how many. */
int fibers_run(void);

/* Frees what is left, also fibers that wait; the habitat is the machine's own again. */
void fibers_close(void);

/* ---- fibers ---- */

/* Starts a fiber on a host of that name, borrowed. What it starts runs there as well. ERR_MEMORY.
 */
int fiber_start(void (*run)(void *), void *context, const char *host);

/* The pointer that fiber_start was given as the host of the running fiber, or of the one that
 * started it as a thread. */
const char *fiber_host(void);

struct fiber *fiber_running(void); /* NULL: none, an event happens */
virtual_time fiber_now(void);      /* of the event that happens */

/* The running fiber works for so long; nothing ends that. Outside of fibers no time goes by. */
void fiber_spend(virtual_time ns);

/* The running fiber waits for fiber_wake. */
void fiber_wait(void);

/* It waits until that time, not before now, or until fiber_wake if that is earlier. */
void fiber_wait_until(virtual_time time);

/* Ends the wait that the fiber is in, at that time, not before now, if nothing ends it before. Does
 * nothing to a fiber that does not wait. */
void fiber_wake(struct fiber *f, virtual_time time);

/* ---- events ---- */

/* At that time, not before now, calls act(context), outside of all fibers. Without memory the
 * program ends. */
void event_at(virtual_time time, void (*act)(void *), void *context);

/* ---- what has happened ---- */

/* Writes the time and a number into the record of the run, of which only a hash is kept. */
void record_add(uint64_t number);
uint64_t record_hash(void);   /* of all that was recorded since fibers_open */
uint64_t record_events(void); /* that have happened since then */

#endif
