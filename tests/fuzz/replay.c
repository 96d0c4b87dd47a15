/* replay.c - one target without libFuzzer: every file that the arguments name, and every file in
 * the folders they name, goes through it once. A crash, a failed expectation or an allocation of
 * more than ALLOCATION_MAX ends the program by a signal, after the file was named.
 *
 *   build/fuzz/TARGET FILE|FOLDER... */
#include <errno.h>
#include <fts.h>
#include <sys/stat.h>

#include "tests/fuzz/fuzz.h"

#ifndef __SANITIZE_ADDRESS__ /* which has max_allocation_size_mb */
enum { ALLOCATION_MAX = 64 << 20 };

void *__libc_malloc(size_t n);
void *__libc_calloc(size_t n, size_t size);
void *__libc_realloc(void *p, size_t n);

static void allocation_check(size_t n)
{
    if (n <= ALLOCATION_MAX)
        return;
    fprintf(stderr, "an allocation of %zu bytes\n", n);
    abort();
}

void *malloc(size_t n)
{
    allocation_check(n);
    return __libc_malloc(n);
}

void *calloc(size_t n, size_t size)
{
    size_t all;

    allocation_check(__builtin_mul_overflow(n, size, &all) ? SIZE_MAX : all);
    return __libc_calloc(n, size);
}

void *realloc(void *p, size_t n)
{
    allocation_check(n);
    return __libc_realloc(p, n);
}
#endif

/* Mutators refer to it; without libFuzzer nothing mutates. */
size_t LLVMFuzzerMutate(uint8_t *bytes, size_t n, size_t room)
{
    (void)bytes;
    (void)room;
    return n;
}

static uint8_t *file_read(const char *path, size_t n)
{
    uint8_t *bytes = malloc(n > 0 ? n : 1);
    FILE *f = fopen(path, "r");

    if (!f || !bytes || fread(bytes, 1, n, f) != n) {
        fprintf(stderr, "cannot read '%s': %s\n", path, strerror(errno));
        exit(66);
    }
    fclose(f);
    return bytes;
}

static void file_run(const char *path, size_t n)
{
    uint8_t *bytes = file_read(path, n);

    fprintf(stderr, "%s\n", path);
    LLVMFuzzerTestOneInput(bytes, n);
    free(bytes);
}

int main(int argc, char **argv)
{
    FTS *tree = argc > 1 ? fts_open(argv + 1, FTS_PHYSICAL | FTS_NOCHDIR, NULL) : NULL;
    FTSENT *e;
    int n_files = 0;

    if (!tree) {
        fprintf(stderr, "usage: %s FILE|FOLDER...\n", argv[0]);
        return 64;
    }
    while ((e = fts_read(tree))) {
        if (e->fts_info == FTS_NS || e->fts_info == FTS_DNR || e->fts_info == FTS_ERR) {
            fprintf(stderr, "cannot read '%s': %s\n", e->fts_path, strerror(e->fts_errno));
            return 66;
        }
        if (e->fts_info == FTS_F) {
            file_run(e->fts_path, (size_t)e->fts_statp->st_size);
            n_files++;
        }
    }
    fts_close(tree);
    fprintf(stderr, "%d inputs\n", n_files);
    return n_files > 0 ? 0 : 66;
}
