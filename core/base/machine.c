/* machine.c - answers of the system, some of them kept for a while. */
#include "core/base/machine.h"

#include <sched.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/mman.h>
#include <sys/resource.h>
#include <unistd.h>

#include "build_flags.h"
#include "core/base/habitat.h"

void machine_host(char *name, size_t n)
{
    if (habitat)
        habitat->host(name, n);
    else if (gethostname(name, n) != 0)
        snprintf(name, n, "unknown");
    name[n - 1] = '\0';
}

void machine_cpu(char *name, size_t n)
{
    FILE *f = fopen("/proc/cpuinfo", "r");
    char line[256];

    snprintf(name, n, "unknown");
    while (f && fgets(line, sizeof line, f))
        if (strncmp(line, "model name", 10) == 0 && strchr(line, ':')) {
            line[strcspn(line, "\n")] = '\0';
            snprintf(name, n, "%s", strchr(line, ':') + 2);
            break;
        }
    if (f)
        fclose(f);
}

/* The coordinator sleeps nearly all the time, so it is not counted. */
int machine_ranks_beside(void)
{
    const char *size = getenv("OMPI_COMM_WORLD_LOCAL_SIZE");
    int n = size ? atoi(size) : 1;

    return n > 1 ? n - 1 : 1;
}

int machine_cores(void)
{
    cpu_set_t set;

    return sched_getaffinity(0, sizeof set, &set) == 0 ? CPU_COUNT(&set) : 1;
}

double machine_resident_mib(void)
{
    FILE *f = fopen("/proc/self/statm", "re");
    unsigned long pages = 0;

    if (!f)
        return 0;
    if (fscanf(f, "%*u %lu", &pages) != 1)
        pages = 0;
    fclose(f);
    return (double)pages * (double)sysconf(_SC_PAGESIZE) / 1048576;
}

double machine_peak_mib(void)
{
    struct rusage use;

    return getrusage(RUSAGE_SELF, &use) == 0 ? (double)use.ru_maxrss / 1024 : 0;
}

bool machine_has_room(size_t bytes)
{
    void *p = mmap(NULL, bytes, PROT_READ | PROT_WRITE, MAP_PRIVATE | MAP_ANONYMOUS | MAP_NORESERVE,
                   -1, 0);

    if (p == MAP_FAILED)
        return false;
    munmap(p, bytes);
    return true;
}

#ifdef __AVX512F__
#define BUILT_AVX512 " avx512f"
#else
#define BUILT_AVX512 ""
#endif
#ifdef __AVX2__
#define BUILT_AVX2 " avx2"
#else
#define BUILT_AVX2 ""
#endif
#if defined __FMA__ || defined __FMA4__ || defined __aarch64__
#define BUILT_FMA " fma"
#else
#define BUILT_FMA ""
#endif

const char *machine_build(void)
{
    return BUILD_FLAGS ";" BUILT_AVX512 BUILT_AVX2 BUILT_FMA " gcc " __VERSION__;
}
