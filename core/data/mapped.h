/* mapped.h - mapped files that another process may cut or rewrite while they are read.
 *
 * Reading a page that a file no longer has raises SIGBUS. For a file that is registered here the
 * handler puts zeros in its place and marks it torn; the reader asks afterwards. Any
 * other SIGBUS is passed on. */
#ifndef CORE_DATA_MAPPED_H
#define CORE_DATA_MAPPED_H

#include <stdatomic.h>
#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>
#include <sys/stat.h>

struct mapped {
    _Atomic(uintptr_t) start; /* 0: free */
    size_t n;
    atomic_bool torn;
    char *path; /* owned; kept until the entry is used again */
    struct stat then;
    struct mapped *next;
};

/* Registers n bytes at `bytes`, mapped from the file at path. NULL: no memory. Thread-safe, and so
 * are the rest. */
struct mapped *mapped_add(const void *bytes, size_t n, const char *path, const struct stat *st);
void mapped_remove(struct mapped *m); /* before munmap; NULL: nothing */

/* ERR_DATA, naming the file, if a page of it was not there. NULL is whole. */
int mapped_whole(const struct mapped *m);

/* 0: its path is the file it was, or is gone; 1: the file was written to (time of change), size and
 * identity are the same; ERR_DATA, naming it: another size, another file. NULL: 0. */
int mapped_changed(const struct mapped *m);

/* Accepts the file's present time of change. */
void mapped_accept(struct mapped *m);

#endif
