/* back_lines.h - the lines of a file from its last one backwards, however long the file is. */
#ifndef CORE_BASE_BACK_LINES_H
#define CORE_BASE_BACK_LINES_H

#include <stdbool.h>
#include <stddef.h>
#include <sys/types.h>

enum { BACK_LINE_MOST = 1 << 20 }; /* bytes of a line whose text is kept */

struct back_lines {
    int fd;     /* borrowed */
    off_t end;  /* of the line to come */
    off_t base; /* the window: n bytes of the file from here on */
    size_t n;
    char *window; /* owned */
};

struct back_line {
    off_t start;
    bool whole; /* it ends with a newline; only the file's last line may not */
    /* (n) without the newline, valid until the next call; NULL: longer than BACK_LINE_MOST */
    const char *text;
    size_t n;
};

/* Begins at the end of an open file. ERR_IO, ERR_MEMORY. */
int back_lines_open(struct back_lines *b, int fd);

/* 1: *line is the line before the last one given; 0: there is none. ERR_IO. */
int back_lines_next(struct back_lines *b, struct back_line *line);

/* Frees what it holds; the descriptor stays open. */
void back_lines_close(struct back_lines *b);

#endif
