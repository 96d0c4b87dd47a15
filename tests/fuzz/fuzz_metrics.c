/* fuzz_metrics.c - metrics.jsonl as a resumed run finds it: two bytes say where the run goes on,
 * the rest is the file. What is left of it is whole lines, and stays when it is cut there again. */
#include "coordinator/run/rundir.h"
#include "tests/fuzz/fuzz.h"

static struct scratch file;
static char folder[64];

static void folder_remove(void)
{
    char link[80];

    snprintf(link, sizeof link, "%s/metrics.jsonl", folder);
    unlink(link);
    rmdir(folder);
}

static void folder_make(void)
{
    char link[80];
    const char *root = getenv("TMPDIR");

    snprintf(folder, sizeof folder, "%.40s/fuzz-XXXXXX", root ? root : "/tmp");
    EXPECT(mkdtemp(folder));
    snprintf(link, sizeof link, "%s/metrics.jsonl", folder);
    EXPECT(symlink(file.path, link) == 0);
    EXPECT(atexit(folder_remove) == 0);
}

int LLVMFuzzerTestOneInput(const uint8_t *bytes, size_t n)
{
    off_t kept;
    char last = '\n';

    if (n < 2)
        return 0;
    scratch_put(&file, bytes + 2, n - 2);
    if (!*folder)
        folder_make();
    EXPECT(rundir_rewind(folder, bytes[0], bytes[1]) == 0);
    kept = lseek(file.fd, 0, SEEK_END);
    EXPECT(kept <= (off_t)n - 2);
    EXPECT(kept == 0 || (pread(file.fd, &last, 1, kept - 1) == 1 && last == '\n'));
    EXPECT(rundir_rewind(folder, bytes[0], bytes[1]) == 0);
    EXPECT(lseek(file.fd, 0, SEEK_END) == kept);
    return 0;
}
