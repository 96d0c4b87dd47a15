/* bomb_attempt.h - how much memory and processor time an attempt takes, in a process of its own. */
#ifndef TESTS_LIB_BOMB_ATTEMPT_H
#define TESTS_LIB_BOMB_ATTEMPT_H

#include "tests/lib/data_files.h"

#include <signal.h>
#include <sys/resource.h>
#include <sys/wait.h>
#include <time.h>

#ifdef __SANITIZE_ADDRESS__
enum { SECONDS_MAX = 20, MIB_MAX = 320 }; /* what was freed stays for a while */
#else
enum {
    SECONDS_MAX = 1,
    MIB_MAX = 64
}; /* a second: against what grows with the square; the aim is 100 ms */
#endif

struct outcome {
    int code;
    long kib; /* the peak of resident memory has grown by this */
    double ms;
    char text[512];
};

typedef int attempt(const void *subject);

static inline double now_ms(void)
{
    struct timespec t;

    clock_gettime(CLOCK_PROCESS_CPUTIME_ID, &t);
    return 1e3 * (double)t.tv_sec + 1e-6 * (double)t.tv_nsec;
}

static inline long peak_kib(void)
{
    struct rusage usage;

    getrusage(RUSAGE_SELF, &usage);
    return usage.ru_maxrss;
}

static inline void attempt_measured(attempt *try, const void *subject, struct outcome *o)
{
    struct rlimit seconds = {SECONDS_MAX, SECONDS_MAX};
    FILE *f = fopen("/proc/self/clear_refs", "w");
    long before;
    double start;

    if (f) { /* the peak becomes what is held now */
        fputs("5", f);
        fclose(f);
    }
    before = peak_kib();
    setrlimit(RLIMIT_CPU, &seconds);
    start = now_ms();
    o->code = try(subject);
    o->ms = now_ms() - start;
    o->kib = peak_kib() - before;
    snprintf(o->text, sizeof o->text, "%s", o->code < 0 ? err_text() : "accepted");
}

/* Runs try(subject) in a child. */
static inline void attempt_apart(attempt *try, const void *subject, const char *name,
                                 struct outcome *o)
{
    int ends[2], status;
    pid_t child;

    assert_int_equal(pipe(ends), 0);
    fflush(NULL);
    child = fork();
    assert_true(child >= 0);
    if (child == 0) {
        attempt_measured(try, subject, o);
        _exit(write(ends[1], o, sizeof *o) == sizeof *o ? 0 : 1);
    }
    close(ends[1]);
    ssize_t n = read(ends[0], o, sizeof *o);
    close(ends[0]);
    assert_int_equal(waitpid(child, &status, 0), child);
    if (n != sizeof *o || status != 0)
        fail_msg("%s: no answer within %d s of the processor (status %x)", name, SECONDS_MAX,
                 (unsigned)status);
    printf("bomb: %s: %.1f ms, %.1f MiB: %s\n", name, o->ms, (double)o->kib / 1024, o->text);
}

/* part: of the sentence, "" for one that is accepted with code 0. */
static inline void expect_cheap(attempt *try, const void *subject, const char *name, int code,
                                const char *part)
{
    struct outcome o;

    attempt_apart(try, subject, name, &o);
    if (o.code != code || !strstr(o.text, part))
        fail_msg("%s: code %d, expected %d; '%s', expected '...%s...'", name, o.code, code, o.text,
                 part);
    if (o.kib > MIB_MAX * 1024L)
        fail_msg("%s: %ld KiB, the limit is %d MiB", name, o.kib, MIB_MAX);
}

#endif
