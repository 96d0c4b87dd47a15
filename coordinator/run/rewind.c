/* rewind.c - cuts metrics.jsonl back to the round that a resumed run continues from. It reads from
 * the end, so its cost does not grow with the history. */
#include <errno.h>
#include <fcntl.h>
#include <jansson.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/stat.h>
#include <unistd.h>

#include "coordinator/run/rundir.h"
#include "core/base/back_lines.h"
#include "core/base/err.h"

enum bearing {
    BESIDE,  /* a line without a round */
    BEYOND,  /* a line of a round that will be done again */
    BEFORE,  /* a line of a round that stays */
    NO_LINE, /* a line that is not a JSON object */
};

static bool is_one_of(const char *word, const char *a, const char *b)
{
    return word && (strcmp(word, a) == 0 || strcmp(word, b) == 0);
}

/* An evaluation or a watch of the last round that stays will be done again, too. */
static enum bearing bearing_of(const char *line, size_t n, int stage, uint64_t round)
{
    json_t *o = json_loadb(line, n, 0, NULL);
    const char *kind = json_string_value(json_object_get(o, "kind"));
    const char *purpose = json_string_value(json_object_get(o, "purpose"));
    json_int_t s = json_integer_value(json_object_get(o, "stage_index"));
    json_int_t r = json_integer_value(json_object_get(o, "round"));
    bool measured =
        is_one_of(kind, "evaluation", "watch") || is_one_of(purpose, "evaluate", "watch");
    bool later = s > stage || (s == stage && r > (json_int_t)round - measured);
    enum bearing bearing = BESIDE;

    if (!json_is_object(o))
        bearing = NO_LINE;
    else if (json_object_get(o, "round"))
        bearing = later ? BEYOND : BEFORE;
    json_decref(o);
    return bearing;
}

/* What a power cut may leave at the end of a file: zeros, or a line of impossible length. */
static bool is_debris(const struct back_line *line)
{
    return !line->text || memchr(line->text, '\0', line->n);
}

/* The bytes to keep: searches backwards for the last line that stays. */
static int keep_backwards(struct back_lines *b, int stage, uint64_t round, off_t *keep)
{
    bool at_end = true;
    struct back_line line;
    int more;

    while ((more = back_lines_next(b, &line)) > 0) {
        enum bearing bearing =
            line.text ? bearing_of(line.text, line.n, stage, round) : (enum bearing)NO_LINE;

        if (bearing == BEFORE && line.whole)
            break;
        if (!line.whole || bearing == BEYOND || (at_end && bearing == NO_LINE && is_debris(&line)))
            *keep = line.start;
        else
            at_end = false;
    }
    return more < 0 ? more : 0;
}

/* The bytes before the first round's line: all that a run that starts at round 0 keeps. */
static int keep_of_none(int fd, off_t *keep)
{
    FILE *f = fdopen(dup(fd), "r");
    char *line = NULL;
    size_t room = 0;
    ssize_t n;

    if (!f)
        return err(ERR_IO, "cannot read: %s", strerror(errno));
    *keep = 0;
    while ((n = getline(&line, &room, f)) > 0 && line[n - 1] == '\n' &&
           bearing_of(line, (size_t)n, 0, 0) != BEYOND)
        *keep += n;
    free(line);
    bool failed = ferror(f);
    fclose(f);
    return failed ? err(ERR_IO, "cannot read: %s", strerror(errno)) : 0;
}

static int cut(int fd, int stage, uint64_t round)
{
    struct back_lines b;
    off_t keep;
    int code;

    TRY(back_lines_open(&b, fd));
    keep = b.end;
    code = stage == 0 && round == 0 ? keep_of_none(fd, &keep)
                                    : keep_backwards(&b, stage, round, &keep);
    back_lines_close(&b);
    TRY(code);
    return ftruncate(fd, keep) == 0 ? 0 : err(ERR_IO, "cannot cut: %s", strerror(errno));
}

int rundir_rewind(const char *directory, int stage, uint64_t round)
{
    char metrics[1280];
    struct stat st;
    int fd, code;

    snprintf(metrics, sizeof metrics, "%s/metrics.jsonl", directory);
    fd = open(metrics, O_RDWR | O_CLOEXEC | O_NONBLOCK | O_NOCTTY);
    if (fd < 0)
        return errno == ENOENT ? 0 : err(ERR_IO, "cannot read '%s': %s", metrics, strerror(errno));
    code = fstat(fd, &st) == 0 && S_ISREG(st.st_mode) ? cut(fd, stage, round) : 0;
    close(fd);
    return code < 0 ? err_within(code, "'%s'", metrics) : 0;
}
