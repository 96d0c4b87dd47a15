/* process.h - the process that serves observers, as the run sees it: the run starts it, hears it
 * and buries it.
 *
 * It is this program again, with a verb of its own (publish.h). It holds every socket, so whatever
 * a peer does to ZeroMQ ends that process and not the run. Of the run's files it has only
 * /dev/null, standard error, one end of a socket for words, and the ring. It dies with the run:
 * when that socket ends, or because the kernel kills it. */
#ifndef PROTO_STREAM_PROCESS_H
#define PROTO_STREAM_PROCESS_H

#include <stdbool.h>
#include <stdint.h>
#include <sys/types.h>

#include "core/config/config.h"
#include "proto/stream/event.h"

enum { PROCESS_WORDS = 3, PROCESS_RING = 4 }; /* its file descriptors */

#define PROCESS_VERB "publish"

enum word_kind { WORD_OPENED = 1, WORD_TROUBLE };

struct stream_word { /* what it says to the run */
    int32_t kind;
    int32_t code;    /* WORD_OPENED: 0; 1: the address is in use; or an error of err.h */
    char text[1016]; /* the sentence of the error or the trouble */
};

/* The arguments of the process, behind the verb, in this order. All texts are borrowed. */
struct stream_plan {
    const char *endpoint, *snapshot, *server_key, *allowed; /* as in struct metrics_config */
    const char *metrics;                                    /* path of the file to recall */
    struct stream_source source;
    uint64_t first; /* seq before the first live event: recalled events have at most this seq */
};

struct stream_process {
    pid_t pid; /* 0: there is none */
    int words; /* owned: socket on which it speaks; -1: none */
};

/* Starts the process, which says WORD_OPENED when it serves. p->words is -1, or that of the process
 * before, and is closed. The kernel ends the process together with the thread that calls this, so
 * call it from one that lives as long as the run. ERR_FAILED: it cannot be started. */
int stream_process_start(struct stream_process *p, const struct stream_plan *plan, int ring);

/* Waits for its next word, `seconds` at most. 1: *w is filled; 0: no word came; -1: no word will
 * come any more. */
int stream_process_hear(struct stream_process *p, struct stream_word *w, double seconds);

/* True if it has ended: then it is buried and *status is as wait() gives it. Never waits. Its last
 * words can still be heard. */
bool stream_process_ended(struct stream_process *p, int *status);

/* Waits until it has ended, `seconds` at most, and then kills it. While it waits it calls
 * meanwhile(context) again and again, unless that is NULL. */
void stream_process_finish(struct stream_process *p, double seconds,
                           void (*meanwhile)(void *context), void *context);

/* Puts an end into words, at most n - 1 bytes: "was ended by signal 6 (Aborted)", "ended with
 * status 1". */
void stream_process_verdict(int status, char *text, size_t n);

#endif
