/* archive.h - the files of a .zip, .tar or .tar.gz, one after the other. */
#ifndef CORE_DATA_ARCHIVE_H
#define CORE_DATA_ARCHIVE_H

#include <stddef.h>
#include <stdint.h>

struct reader;

/* ERR_NOINPUT, ERR_DATA. path is borrowed until reader_close. */
int reader_open(struct reader **r, const char *path);

/* The next regular file: 1, its name (valid until the next call) and size; 0 at the end, once the
 * whole archive has been read and checked. */
int reader_next(struct reader *r, const char **name, size_t *size);

/* From now on directories come too, their names ending in '/'. */
void reader_directories(struct reader *r);

/* Reads the first bytes of that file, at most n, and skips the rest; returns how many. */
int reader_head(struct reader *r, uint8_t *bytes, size_t n);

/* That file's bytes, exactly `size` of them. */
int reader_read(struct reader *r, uint8_t *bytes, size_t size);

void reader_close(struct reader *r); /* NULL: nothing */

#endif
