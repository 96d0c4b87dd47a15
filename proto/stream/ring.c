/* ring.c - records of a length and an event, wrapped around the end of the ring. */
#include "proto/stream/ring.h"

#include <errno.h>
#include <fcntl.h>
#include <stdlib.h>
#include <string.h>
#include <sys/mman.h>
#include <sys/stat.h>
#include <unistd.h>

#include "core/base/err.h"

#define MAGIC UINT64_C(0x316d61657274736d) /* "mstream1" */

enum { MODE = PROT_READ | PROT_WRITE };

/* ---- making and joining ---- */

static int fail_make(struct stream_ring *r)
{
    int code = err(ERR_FAILED, "no memory to share with the process that serves observers: %s",
                   strerror(errno));

    stream_ring_release(r);
    return code;
}

static int ring_map(struct stream_ring *r, int file)
{
    void *at = mmap(NULL, sizeof(struct stream_shared), MODE, MAP_SHARED, file, 0);

    if (at == MAP_FAILED)
        return -1;
    r->shared = at;
    return 0;
}

int stream_ring_make(struct stream_ring *r)
{
    *r = (struct stream_ring){.file =
                                  memfd_create("metaloop-stream", MFD_CLOEXEC | MFD_ALLOW_SEALING)};
    if (r->file < 0 || ftruncate(r->file, sizeof(struct stream_shared)) != 0 ||
        fcntl(r->file, F_ADD_SEALS, F_SEAL_SHRINK | F_SEAL_GROW | F_SEAL_SEAL) != 0 ||
        ring_map(r, r->file) != 0)
        return fail_make(r);
    r->shared->magic = MAGIC;
    r->shared->recall = STREAM_RECALL_UNKNOWN;
    return 0;
}

int stream_ring_join(struct stream_ring *r, int file)
{
    struct stat st;

    *r = (struct stream_ring){.file = -1};
    if (fstat(file, &st) != 0 || st.st_size != sizeof(struct stream_shared) ||
        ring_map(r, file) != 0)
        return err(ERR_USAGE, "file %d is not the ring of a run", file);
    if (r->shared->magic == MAGIC)
        return 0;
    stream_ring_release(r);
    return err(ERR_USAGE, "file %d is not the ring of a run", file);
}

void stream_ring_release(struct stream_ring *r)
{
    if (r->shared)
        munmap(r->shared, sizeof(struct stream_shared));
    if (r->file >= 0)
        close(r->file);
    *r = (struct stream_ring){.file = -1};
}

/* ---- bytes ---- */

static void bytes_put(struct stream_ring *r, const void *from, size_t n)
{
    size_t at = r->at % STREAM_RING, first = n < STREAM_RING - at ? n : STREAM_RING - at;

    memcpy(r->shared->bytes + at, from, first);
    memcpy(r->shared->bytes, (const char *)from + first, n - first);
    r->at += n;
}

static void bytes_take(struct stream_ring *r, void *to, size_t n)
{
    size_t at = r->at % STREAM_RING, first = n < STREAM_RING - at ? n : STREAM_RING - at;

    memcpy(to, r->shared->bytes + at, first);
    memcpy((char *)to + first, r->shared->bytes, n - first);
    r->at += n;
}

/* ---- events ---- */

bool stream_ring_put(struct stream_ring *r, const struct stream_event *e)
{
    uint64_t n = sizeof *e + e->n;
    uint64_t waiting = r->at - atomic_load_explicit(&r->shared->taken, memory_order_acquire);

    if (n > STREAM_RING || waiting > STREAM_RING || sizeof n + n > STREAM_RING - waiting)
        return false;
    bytes_put(r, &n, sizeof n);
    bytes_put(r, e, n);
    atomic_store_explicit(&r->shared->put, r->at, memory_order_release);
    return true;
}

struct stream_event *stream_ring_take(struct stream_ring *r)
{
    uint64_t put = atomic_load_explicit(&r->shared->put, memory_order_acquire), n, start = r->at;
    struct stream_event *e;

    if (put == r->at)
        return NULL;
    bytes_take(r, &n, sizeof n);
    e = malloc(n);
    if (!e) {
        r->at = start;
        return NULL;
    }
    bytes_take(r, e, n);
    atomic_store_explicit(&r->shared->taken, r->at, memory_order_release);
    return e;
}
