/* mapped.c - the list of mapped files, and the handler of SIGBUS. Entries are never freed: a
 * handler may walk them. */
#include "core/data/mapped.h"

#include <errno.h>
#include <pthread.h>
#include <signal.h>
#include <stdlib.h>
#include <string.h>
#include <sys/mman.h>
#include <unistd.h>

#include "core/base/err.h"

static pthread_mutex_t lock = PTHREAD_MUTEX_INITIALIZER;
static _Atomic(struct mapped *) list; /* grows under lock */
static struct sigaction before;
static uintptr_t page; /* bytes */

static struct mapped *find(uintptr_t at)
{
    struct mapped *m = atomic_load(&list);

    for (; m; m = m->next) {
        uintptr_t start = atomic_load(&m->start);

        if (start && at >= start && at < (start + m->n + page - 1) / page * page)
            return m;
    }
    return NULL;
}

/* Zeros from the missing page on. */
static bool fill(const struct mapped *m, uintptr_t at)
{
    uintptr_t from = at / page * page, end = atomic_load(&m->start) + m->n;

    return mmap((void *)from, end - from, PROT_READ, MAP_FIXED | MAP_PRIVATE | MAP_ANONYMOUS, -1,
                0) != MAP_FAILED;
}

static void on_bus(int signal, siginfo_t *info, void *context)
{
    int kept = errno;
    uintptr_t at = (uintptr_t)info->si_addr;
    struct mapped *m = info->si_code > 0 ? find(at) : NULL;

    (void)context;
    if (m)
        atomic_store(&m->torn, true); /* first: another thread may read zeros at once */
    if (m && fill(m, at)) {
        errno = kept;
        return;
    }
    sigaction(signal, &before, NULL); /* not one of ours: the instruction runs again */
    if (info->si_code <= 0)
        raise(signal);
}

/* Called under the lock. Installs our handler, again if another library (MPI) has replaced it. */
static void install(void)
{
    struct sigaction a = {.sa_sigaction = on_bus, .sa_flags = SA_SIGINFO}, now;

    page = (uintptr_t)sysconf(_SC_PAGESIZE);
    sigaction(SIGBUS, NULL, &now);
    if ((now.sa_flags & SA_SIGINFO) && now.sa_sigaction == on_bus)
        return;
    before = now;
    sigaction(SIGBUS, &a, NULL);
}

/* Under lock: a free entry, or a new one. */
static struct mapped *entry(void)
{
    struct mapped *m = atomic_load(&list);

    while (m && atomic_load(&m->start))
        m = m->next;
    if (m)
        return m;
    m = calloc(1, sizeof *m);
    if (!m)
        return NULL;
    m->next = atomic_load(&list);
    atomic_store(&list, m);
    return m;
}

struct mapped *mapped_add(const void *bytes, size_t n, const char *path, const struct stat *st)
{
    char *copy = strdup(path);
    struct mapped *m;

    pthread_mutex_lock(&lock);
    install();
    m = copy ? entry() : NULL;
    if (m) {
        free(m->path);
        m->path = copy;
        m->n = n;
        m->then = *st;
        atomic_store(&m->torn, false);
        atomic_store(&m->start, (uintptr_t)bytes);
    } else {
        free(copy);
    }
    pthread_mutex_unlock(&lock);
    return m;
}

void mapped_remove(struct mapped *m)
{
    if (m)
        atomic_store(&m->start, 0);
}

int mapped_whole(const struct mapped *m)
{
    if (!m || !atomic_load(&m->torn))
        return 0;
    return err(ERR_DATA,
               "'%s' has shrunk while it was read: what lies beyond its new end is lost; write a "
               "new file beside it and rename it, while no run reads it",
               m->path);
}

static bool same_time(const struct stat *a, const struct stat *b)
{
    return a->st_mtim.tv_sec == b->st_mtim.tv_sec && a->st_mtim.tv_nsec == b->st_mtim.tv_nsec;
}

int mapped_changed(const struct mapped *m)
{
    struct stat now;

    if (!m)
        return 0;
    TRY(mapped_whole(m));
    if (stat(m->path, &now) != 0)
        return 0;
    if (now.st_dev != m->then.st_dev || now.st_ino != m->then.st_ino)
        return err(ERR_DATA, "'%s' is not the file that this run began with", m->path);
    if (now.st_size != m->then.st_size)
        return err(ERR_DATA, "'%s' had %jd bytes when this run began, now it has %jd", m->path,
                   (intmax_t)m->then.st_size, (intmax_t)now.st_size);
    return !same_time(&now, &m->then);
}

void mapped_accept(struct mapped *m)
{
    struct stat now;

    if (m && stat(m->path, &now) == 0)
        m->then = now;
}
