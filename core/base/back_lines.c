/* back_lines.c - a window that grows towards the beginning. */
#include "core/base/back_lines.h"

#include <errno.h>
#include <stdlib.h>
#include <string.h>
#include <sys/stat.h>
#include <unistd.h>

#include "core/base/err.h"

enum { CHUNK = 1 << 16 };

int back_lines_open(struct back_lines *b, int fd)
{
    struct stat st;

    *b = (struct back_lines){.fd = fd};
    if (fstat(fd, &st) != 0)
        return err(ERR_IO, "cannot read: %s", strerror(errno));
    b->end = b->base = st.st_size;
    b->window = malloc(BACK_LINE_MOST + CHUNK);
    return b->window ? 0 : err(ERR_MEMORY, "no memory to read lines");
}

void back_lines_close(struct back_lines *b)
{
    free(b->window);
    *b = (struct back_lines){.fd = -1};
}

static int read_at(int fd, char *to, size_t n, off_t at)
{
    while (n > 0) {
        ssize_t got = pread(fd, to, n, at);

        if (got < 0 && errno == EINTR)
            continue;
        if (got <= 0)
            return err(ERR_IO, "cannot read: %s", got ? strerror(errno) : "it has become shorter");
        to += got, n -= (size_t)got, at += got;
    }
    return 0;
}

/* Reads one more chunk before the window. The text of a line that is too long is dropped. */
static int extend(struct back_lines *b)
{
    size_t more = b->base < CHUNK ? (size_t)b->base : CHUNK;

    if (b->n > BACK_LINE_MOST)
        b->n = 0;
    memmove(b->window + more, b->window, b->n);
    TRY(read_at(b->fd, b->window, more, b->base - (off_t)more));
    b->base -= (off_t)more;
    b->n += more;
    return 0;
}

/* Where the line that ends before `stop` starts. */
static int find_start(struct back_lines *b, off_t stop, off_t *start)
{
    for (;;) {
        size_t before = stop > b->base ? (size_t)(stop - b->base) : 0;
        const char *newline = memrchr(b->window, '\n', before < b->n ? before : b->n);

        *start = newline ? b->base + (newline - b->window) + 1 : 0;
        if (newline || b->base == 0)
            return 0;
        TRY(extend(b));
    }
}

int back_lines_next(struct back_lines *b, struct back_line *line)
{
    off_t stop;

    if (b->end == 0)
        return 0;
    if (b->n == 0)
        TRY(extend(b));
    *line = (struct back_line){.whole = b->window[b->end - 1 - b->base] == '\n'};
    stop = b->end - line->whole;
    TRY(find_start(b, stop, &line->start));
    line->n = (size_t)(stop - line->start);
    if (stop <= b->base + (off_t)b->n)
        line->text = b->window + (line->start - b->base);
    b->end = line->start;
    b->n = (size_t)(b->end - b->base);
    return 1;
}
