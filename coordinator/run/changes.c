/* changes.c - compares the configuration and the data of a resumed run with those it began with. */
#include "coordinator/run/changes.h"

#include <inttypes.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#include "core/base/err.h"

static void refuse(struct changes *c, const struct config_change *change, const char *why)
{
    size_t used = strlen(c->refused);

    snprintf(c->refused + used, sizeof c->refused - used, "%s%s %.100s -> %.100s%s",
             used ? ", " : "", change->key, change->before, change->now, why);
}

static void keep(struct changes *c, const struct config_change *change)
{
    if (c->n == c->room) {
        int room = c->room ? 2 * c->room : 16;
        struct change *more = realloc(c->each, (size_t)room * sizeof *more);

        if (!more) {
            c->code = err(ERR_MEMORY, "no memory for a list of changes");
            return;
        }
        c->each = more;
        c->room = room;
    }
    struct change *mine = &c->each[c->n++];

    *mine = (struct change){strdup(change->key), strdup(change->before), strdup(change->now)};
    if (!mine->key || !mine->before || !mine->now)
        c->code = err(ERR_MEMORY, "no memory for a list of changes");
}

static bool is_rounds(const char *key)
{
    const char *dot = strrchr(key, '.');

    return dot && strcmp(dot, ".rounds") == 0;
}

static void judge(void *context, const struct config_change *change)
{
    struct changes *c = context;
    char why[64];

    if (!change->allowed) {
        refuse(c, change, "");
    } else if (change->stage >= 0 && change->stage < c->stage) {
        refuse(c, change, " (that stage is done)");
    } else if (change->stage == c->stage && is_rounds(change->key) &&
               strtoull(change->now, NULL, 10) < c->round) {
        snprintf(why, sizeof why, " (it stands at round %" PRIu64 ")", c->round);
        refuse(c, change, why);
    } else {
        keep(c, change);
    }
}

static int compare(struct changes *c, const char *path, const char *text, const struct config *now)
{
    struct config before;
    int code;

    TRY(config_recall(&before, text, path, NULL, 0, now->owners));
    code = config_compare(&before, now, judge, c);
    config_release(&before);
    TRY(code);
    return c->code;
}

int changes_find(struct changes *c, const char *path, const struct checkpoint_info *info,
                 const struct config *now, const char *directory)
{
    char *text;
    int code;

    *c = (struct changes){.stage = info->stage, .round = info->round};
    TRY(checkpoint_configuration(path, &text));
    code = compare(c, path, text, now);
    free(text);
    TRY(code);
    if (!*c->refused)
        return 0;
    return err(
        ERR_CONFIG,
        "'%s' cannot continue with other values: %s; --overwrite starts the run again, --run DIR "
        "starts another run elsewhere, '%s/configuration.conf' has the values of this run",
        path, c->refused, directory);
}

struct data_changes { /* context of a comparison of data, or of files that stages start from */
    struct changes *changes;
    const char *directory;
    bool allowed;
    bool is_init;
};

static int data_differ(void *context, const char *section, const char *before, const char *now)
{
    struct data_changes *d = context;
    char key[128];

    if (!d->allowed)
        return err(ERR_DATA,
                   "%s '%s' is not what the run in '%s' began with: digest %.20s, now %s; "
                   "--other-data continues with the present data, --overwrite starts the run "
                   "again, --run DIR starts another run elsewhere",
                   d->is_init ? "the init file of stage" : "data", section, d->directory, before,
                   now);
    snprintf(key, sizeof key, d->is_init ? "stage.%s.init" : "data.%s", section);
    keep(d->changes, &(struct config_change){.key = key, .before = before, .now = now});
    return d->changes->code;
}

int changes_find_data(struct changes *c, const char *directory, const struct sections *now,
                      const struct inits *inits, bool allowed)
{
    struct data_changes data = {c, directory, allowed, false},
                        files = {c, directory, allowed, true};

    TRY(rundir_compare_data(directory, now, data_differ, &data));
    return inits_compare(inits, directory, data_differ, &files);
}

void changes_release(struct changes *c)
{
    for (int i = 0; i < c->n; i++) {
        free(c->each[i].key);
        free(c->each[i].before);
        free(c->each[i].now);
    }
    free(c->each);
    *c = (struct changes){0};
}
