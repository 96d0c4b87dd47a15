/* file.h - a small file, written whole or not at all. */
#ifndef CORE_FILE_H
#define CORE_FILE_H

#include <stddef.h>

/* Writes n bytes beside `path`, to stable storage, and renames them into place. Errors name the path, which is
 * then as it was: ERR_CANTCREAT, ERR_IO. */
int file_write(const char *path, const void *bytes, size_t n);

#endif
