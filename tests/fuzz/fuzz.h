/* fuzz.h - what every target shares: its entry points, an expectation, and bytes under a path. */
#ifndef TESTS_FUZZ_FUZZ_H
#define TESTS_FUZZ_FUZZ_H

#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/mman.h>
#include <unistd.h>

#include "core/base/err.h"

/* libFuzzer calls these; so does replay.c. */
int LLVMFuzzerTestOneInput(const uint8_t *bytes, size_t n);
size_t LLVMFuzzerCustomMutator(uint8_t *bytes, size_t n, size_t room, unsigned seed);
size_t LLVMFuzzerMutate(uint8_t *bytes, size_t n, size_t room); /* libFuzzer's own */

/* What must hold whatever the input is; that it does not is a finding. */
#define EXPECT(condition)                                                                          \
    do {                                                                                           \
        if (!(condition)) {                                                                        \
            fprintf(stderr, "%s:%d: not so: %s (last error: '%s')\n", __FILE__, __LINE__,          \
                    #condition, err_text());                                                       \
            abort();                                                                               \
        }                                                                                          \
    } while (0)

/* A refusal has the code that blames the input, and a sentence. */
#define EXPECT_REFUSAL(code, expected) EXPECT((code) == (expected) && *err_text())

struct scratch { /* a file in memory, written anew for each input; kept until the process ends */
    bool made;
    int fd;
    char path[32];
};

static inline const char *scratch_put(struct scratch *s, const void *bytes, size_t n)
{
    if (!s->made) {
        s->fd = memfd_create("fuzz", MFD_CLOEXEC);
        EXPECT(s->fd >= 0);
        snprintf(s->path, sizeof s->path, "/proc/self/fd/%d", s->fd);
        s->made = true;
    }
    EXPECT(ftruncate(s->fd, 0) == 0);
    EXPECT(n == 0 || pwrite(s->fd, bytes, n, 0) == (ssize_t)n);
    return s->path;
}

/* The input as a string, up to its first zero byte; the caller frees it. */
static inline char *text_of(const uint8_t *bytes, size_t n)
{
    char *text = malloc(n + 1);

    EXPECT(text);
    if (n > 0)
        memcpy(text, bytes, n);
    text[n] = '\0';
    return text;
}

#endif
