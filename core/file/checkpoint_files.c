/* checkpoint_files.c - list, newest, set aside, prune. */
#include "core/file/checkpoint_files.h"

#include <ctype.h>
#include <dirent.h>
#include <errno.h>
#include <inttypes.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <unistd.h>

#include "core/base/err.h"
#include "core/base/outfile.h"
#include "core/file/checkpoint.h"

enum { NAME_ROOM = 64, PATH_ROOM = 1280, STAGE_DIGITS = 6, ROUND_DIGITS = 18 };

static const char damaged[] = ".damaged", other[] = ".other";

struct entry {
    struct checkpoint_key key;
    char name[NAME_ROOM];
};

struct checkpoint_listing {
    int n, room;
    struct entry *entries; /* owned; oldest first */
};

void checkpoint_path(const char *directory, int stage, uint64_t round, char *path, size_t n)
{
    snprintf(path, n, "%s/checkpoint-%02d-%09" PRIu64 ".safetensors", directory, stage, round);
}

/* A number of at most `most` digits at *p, which moves behind it. */
static bool number_read(const char **p, int most, uint64_t *x)
{
    int n = 0;

    for (*x = 0; isdigit((unsigned char)**p) && n < most; n++)
        *x = *x * 10 + (uint64_t)(*(*p)++ - '0');
    return n > 0;
}

/* The key of NAME in NAME followed by `end`. */
static bool name_read(const char *name, const char *end, struct checkpoint_key *key)
{
    static const char head[] = "checkpoint-", tail[] = ".safetensors";
    uint64_t stage;

    if (strncmp(name, head, strlen(head)) != 0)
        return false;
    name += strlen(head);
    if (!number_read(&name, STAGE_DIGITS, &stage) || *name++ != '-' ||
        !number_read(&name, ROUND_DIGITS, &key->round) || strncmp(name, tail, strlen(tail)) != 0)
        return false;
    key->stage = (int)stage;
    return strcmp(name + strlen(tail), end) == 0;
}

bool checkpoint_is_name(const char *name)
{
    struct checkpoint_key key;

    return name_read(name, "", &key);
}

static int compare(const struct checkpoint_key *a, const struct checkpoint_key *b)
{
    if (a->stage != b->stage)
        return a->stage < b->stage ? -1 : 1;
    return a->round < b->round ? -1 : a->round > b->round;
}

static int entry_order(const void *a, const void *b)
{
    const struct entry *x = a, *y = b;
    int order = compare(&x->key, &y->key);

    return order ? order : strcmp(x->name, y->name);
}

static int listing_add(struct checkpoint_listing *l, const char *name, struct checkpoint_key key)
{
    if (l->n == l->room) {
        int room = l->room ? 2 * l->room : 16;
        struct entry *more = realloc(l->entries, (size_t)room * sizeof *more);

        if (!more)
            return err(ERR_MEMORY, "no memory for a list of checkpoints");
        l->entries = more;
        l->room = room;
    }
    struct entry *e = &l->entries[l->n++];
    size_t n = strnlen(name, NAME_ROOM - 1); /* name_read takes no longer ones */
    memcpy(e->name, name, n);
    e->name[n] = '\0';
    e->key = key;
    return 0;
}

static int listing_fill(struct checkpoint_listing *l, DIR *d, const char *directory,
                        const char *end)
{
    for (;;) {
        struct checkpoint_key key;
        const struct dirent *e;

        errno = 0;
        e = readdir(d);
        if (!e && errno)
            return err(ERR_NOINPUT, "cannot read directory '%s': %s", directory, strerror(errno));
        if (!e)
            return 0;
        if (name_read(e->d_name, end, &key))
            TRY(listing_add(l, e->d_name, key));
    }
}

/* The directory's checkpoints, with `end` behind their names. A directory that is not there has
 * none. */
static int listing_read(struct checkpoint_listing *l, const char *directory, const char *end)
{
    DIR *d = opendir(directory);
    int code;

    *l = (struct checkpoint_listing){0};
    if (!d && errno == ENOENT)
        return 0;
    if (!d)
        return err(ERR_NOINPUT, "cannot read directory '%s': %s", directory, strerror(errno));
    code = listing_fill(l, d, directory, end);
    closedir(d);
    if (code < 0)
        free(l->entries);
    else if (l->n)
        qsort(l->entries, (size_t)l->n, sizeof *l->entries, entry_order);
    return code;
}

static void path_of(const char *directory, const struct entry *e, char path[PATH_ROOM])
{
    snprintf(path, PATH_ROOM, "%s/%s", directory, e->name);
}

/* 0: a valid file; ERR_FAILED: of another run; otherwise the reader's error (damaged). */
static int look_at(const char *path, const struct run_identity *run)
{
    struct checkpoint_info info;

    TRY(checkpoint_peek(path, &info));
    if (!run || run_id_owns(run, info.run.id))
        return 0;
    return *info.run.id
               ? err(ERR_FAILED, "'%s' belongs to run %s, not to this one, %s", path, info.run.id,
                     run->id)
               : err(ERR_FAILED, "'%s' names no run, so it does not belong to this one, %s", path,
                     run->id);
}

int checkpoint_newest(const char *directory, const struct run_identity *run, char *path, size_t n,
                      void (*complain)(void *context, const char *sentence), void *context)
{
    struct checkpoint_listing l;
    int code = 0;

    TRY(listing_read(&l, directory, ""));
    for (int i = l.n - 1; i >= 0 && code == 0; i--) {
        char name[PATH_ROOM];

        path_of(directory, &l.entries[i], name);
        code = look_at(name, run);
        if (code == 0) {
            snprintf(path, n, "%s", name);
            code = 1;
        } else if (code != ERR_MEMORY) {
            complain(context, err_text());
            code = 0;
        }
    }
    free(l.entries);
    return code;
}

static int rename_one(const char *from, const char *end)
{
    char to[PATH_ROOM + sizeof damaged];

    snprintf(to, sizeof to, "%s%s", from, end);
    if (rename(from, to) < 0)
        return err(outfile_code(errno), "cannot rename '%s' to '%s': %s", from, to,
                   strerror(errno));
    return 0;
}

static int set_one_aside(const char *directory, const struct run_identity *run,
                         const struct entry *e)
{
    char path[PATH_ROOM];

    path_of(directory, e, path);
    return rename_one(path, run && look_at(path, run) == ERR_FAILED ? other : damaged);
}

int checkpoint_set_aside(const char *directory, const struct run_identity *run,
                         const struct checkpoint_key *last)
{
    struct checkpoint_listing l;
    int code = 0;

    TRY(listing_read(&l, directory, ""));
    for (int i = 0; i < l.n && code == 0; i++)
        if (!last || compare(&l.entries[i].key, last) > 0)
            code = set_one_aside(directory, run, &l.entries[i]);
    free(l.entries);
    return code;
}

static int remove_one(const char *directory, const struct entry *e)
{
    char path[PATH_ROOM];

    path_of(directory, e, path);
    if (unlink(path) < 0 && errno != ENOENT)
        return err(ERR_IO, "cannot remove '%s': %s", path, strerror(errno));
    return 0;
}

/* From newest to oldest: counts a valid file of the run, or removes it if there are enough. */
static int prune_one(const char *directory, const struct run_identity *run, const struct entry *e,
                     bool trusted, int keep, int *good)
{
    char path[PATH_ROOM];
    int code;

    path_of(directory, e, path);
    code = trusted ? 0 : look_at(path, run);
    if (code == ERR_FAILED)
        return rename_one(path, other);
    if (*good == keep)
        return remove_one(directory, e);
    *good += code == 0;
    return 0;
}

int checkpoint_prune(const char *directory, const struct run_identity *run, int keep,
                     const struct checkpoint_key *trusted, const struct checkpoint_key *last)
{
    struct checkpoint_listing l;
    int good = 0, code = 0;

    TRY(listing_read(&l, directory, ""));
    for (int i = l.n - 1; i >= 0 && code == 0; i--) {
        if (compare(&l.entries[i].key, last) > 0)
            continue;
        code = prune_one(directory, run, &l.entries[i], compare(&l.entries[i].key, trusted) >= 0,
                         keep, &good);
    }
    free(l.entries);
    return code;
}

static int erase(const char *directory, const char *end)
{
    struct checkpoint_listing l;
    int code = 0;

    TRY(listing_read(&l, directory, end));
    for (int i = l.n - 1; i >= 0 && code == 0; i--)
        code = remove_one(directory, &l.entries[i]);
    free(l.entries);
    return code;
}

int checkpoint_erase(const char *directory)
{
    TRY(erase(directory, ""));
    TRY(erase(directory, damaged));
    return erase(directory, other);
}

int checkpoint_count(const char *directory)
{
    struct checkpoint_listing l;

    TRY(listing_read(&l, directory, ""));
    free(l.entries);
    return l.n;
}
