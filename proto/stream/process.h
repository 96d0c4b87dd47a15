/* process.h - the process that serves observers, as the run sees it: started, listened to, buried.
 *
 * It is this program again, with a verb of its own (stream_publish.h). It holds every socket, so whatever a peer does to
 * ZeroMQ ends that process and not the run. It has none of the run's files: only /dev/null, standard error, one end of a
 * socket for words, and the ring. It dies with the run: at the end of that socket, or by the kernel's hand. */
#ifndef PROTO_STREAM_PROCESS_H
#define PROTO_STREAM_PROCESS_H

#include <stdbool.h>
#include <stdint.h>
#include <sys/types.h>

#include "core/config/config.h"
#include "proto/stream/event.h"

enum { PROCESS_WORDS = 3, PROCESS_RING = 4 }; /* its files */

#define PROCESS_VERB "publish"

enum word_kind { WORD_OPENED = 1, WORD_TROUBLE };

struct stream_word { /* what it says to the run */
    int32_t kind;
    int32_t code;    /* WORD_OPENED: 0; 1: the address is in use; or an error of err.h */
    char text[1016]; /* the sentence of the error or the trouble */
};

/* Its arguments, behind the verb, in this order. All texts are borrowed. */
struct stream_plan {
    const char *endpoint, *snapshot, *server_key, *allowed; /* as struct metrics_config has them */
    const char *metrics;                                    /* path of the file to recall */
    struct stream_source source;
    uint64_t first; /* seq before the first live event: what is recalled stays at or below it */
};

struct stream_process {
    pid_t pid; /* 0: there is none */
    int words; /* socket; -1: none */
};

/* Starts it; p->words is -1 or of the one before. It reports itself with WORD_OPENED. The kernel ends it with the thread that calls this, so that has to be one
 * that lives as long as the run. ERR_FAILED: it cannot be started. */
int stream_process_start(struct stream_process *p, const struct stream_plan *plan, int ring);

/* Its next word. 1: *w is filled; 0: none within `seconds`; -1: it has none any more. */
int stream_process_hear(struct stream_process *p, struct stream_word *w, double seconds);

/* true: it has ended and is buried; *status is wait's. Never waits. Its last words can still be heard. */
bool stream_process_ended(struct stream_process *p, int *status);

/* Waits until it has ended, `seconds` at most; then kills it. Calls meanwhile(context), if it is not NULL, all the while. */
void stream_process_finish(struct stream_process *p, double seconds,
                           void (*meanwhile)(void *context), void *context);

/* How an end reads: "was ended by signal 6 (Aborted)", "ended with status 1". */
void stream_process_verdict(int status, char *text, size_t n);

#endif
