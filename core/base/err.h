/* err.h - failure is a value: a negative code from one table, and a sentence kept per thread.
 *
 *     if (map.len < 16)
 *         return err(ERR_DATA, "'%s' is too short for an idx header", path);
 *
 * Sentences are lower case, without a full stop, with the subject in single quotes. */
#ifndef CORE_BASE_ERR_H
#define CORE_BASE_ERR_H

enum { ERR_SENTENCE = 1024 }; /* bytes of the longest, with its end */

enum {
    ERR_FAILED = -1,     /* exit  1: anything without a code of its own                        */
    ERR_USAGE = -2,      /* exit 64: wrong arguments                                           */
    ERR_DATA = -3,       /* exit 65: a file with wrong content                      */
    ERR_NOINPUT = -4,    /* exit 66: a file that is not there                                  */
    ERR_CANTCREAT = -5,  /* exit 73: cannot create an output                                   */
    ERR_IO = -6,         /* exit 74: cannot write (full disk, input/output error)              */
    ERR_STOPPED = -7,    /* exit 75: stopped by a signal and saved                             */
    ERR_CONFIG = -8,     /* exit 78: bad configuration                                         */
    ERR_MEMORY = -9,     /* exit  1: out of memory                                             */
    ERR_NONFINITE = -10, /* exit 1: a loss or gradient that is not finite, or beyond the grid */
    ERR_LOST = -11,      /* exit  1: a rank that does not answer                               */
    ERR_DAMAGED = -12,   /* exit  1: a message that is not what was sent                       */
};

/* Keeps the formatted sentence for this thread, replacing the one before; returns code. */
int err(int code, const char *fmt, ...) __attribute__((format(printf, 2, 3)));

/* Puts "prefix: " in front of this thread's sentence; returns code. */
int err_within(int code, const char *fmt, ...) __attribute__((format(printf, 2, 3)));

/* This thread's sentence; "" if none was kept. Valid until the next err(). */
const char *err_text(void);

/* The process exit status for a code (0 for 0). */
int err_exit_status(int code);

#define TRY(call)                                                                                  \
    do {                                                                                           \
        int try_code_ = (call);                                                                    \
        if (try_code_ < 0)                                                                         \
            return try_code_;                                                                      \
    } while (0)

#endif
