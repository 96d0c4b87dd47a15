/* noise.h - what Open MPI says beside a run's own words, taken out of standard error.
 *
 * The noise is a closed list: PMIX's complaints about ranks that are gone, "Forwarding signal", and
 * the boxes that repeat what the run says itself. All other text passes unchanged and in order,
 * also a line that is not complete: a progress bar ends with the escape sequence that clears the
 * rest of its line ("\033[K"), and noise may follow it. */
#ifndef LAUNCH_NOISE_H
#define LAUNCH_NOISE_H

#include <stdbool.h>
#include <stddef.h>

enum { NOISE_HOLD = 4096 }; /* bytes that wait at most until they are known to be noise */

struct noise_filter {
    void (*write)(void *context, const char *text, size_t n); /* gets what passes */
    void *context;
    bool terminal; /* a line that comes while a bar stands there first clears the bar */

    char held[NOISE_HOLD]; /* text that may be noise */
    size_t n;
    size_t line;  /* where the last line in held begins */
    int dropping; /* lines of a box that may still be dropped; 0: none */
    bool passing; /* the line is known not to be noise */
    bool bar;     /* a bar stands on the terminal's line */
    int escape;   /* bytes of "\033[K" that were just seen */
};

/* Takes n bytes of text, and passes on what is known not to be noise. */
void noise_feed(struct noise_filter *z, const char *text, size_t n);

/* True if text waits for what follows it. */
bool noise_holds(const struct noise_filter *z);

/* Passes what is held: nothing has followed in time, or the stream has ended. */
void noise_flush(struct noise_filter *z);

#endif
