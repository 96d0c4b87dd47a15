/* map.c - the linker puts these in place of mmap and munmap (--wrap): a mapped file is a copy on
 * the heap, so that the sanitizer sees its end where the file ends, not where the page does. */
#include "tests/fuzz/fuzz.h"

enum { MAPS_MAX = 8 }; /* at once */

static struct {
    void *at; /* owned */
    size_t n;
} maps[MAPS_MAX];

void *__real_mmap(void *at, size_t n, int protection, int flags, int fd, off_t offset);
int __real_munmap(void *at, size_t n);
void *__wrap_mmap(void *at, size_t n, int protection, int flags, int fd, off_t offset);
int __wrap_munmap(void *at, size_t n);

static void *file_copy(size_t n, int fd)
{
    int i = 0;

    while (i < MAPS_MAX && maps[i].at)
        i++;
    EXPECT(i < MAPS_MAX);
    maps[i].n = n;
    EXPECT((maps[i].at = malloc(n)));
    EXPECT(pread(fd, maps[i].at, n, 0) == (ssize_t)n);
    return maps[i].at;
}

void *__wrap_mmap(void *at, size_t n, int protection, int flags, int fd, off_t offset)
{
    if (fd >= 0 && protection == PROT_READ && offset == 0 && !at)
        return file_copy(n, fd);
    return __real_mmap(at, n, protection, flags, fd, offset);
}

int __wrap_munmap(void *at, size_t n)
{
    for (int i = 0; i < MAPS_MAX; i++)
        if (at && maps[i].at == at) {
            EXPECT(maps[i].n == n);
            free(at);
            maps[i].at = NULL;
            return 0;
        }
    return __real_munmap(at, n);
}
