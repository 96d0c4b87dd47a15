/* seems.h - guesses the format of a file that is not of the expected one. */
#ifndef CORE_DATA_SEEMS_H
#define CORE_DATA_SEEMS_H

#include <stddef.h>
#include <stdint.h>

enum { SEEMS_HEAD = 512 }; /* bytes of a file that are enough */

/* By its first n bytes: ": it seems to be a bzip2 file; unpack it with bunzip2", or "". */
const char *seems(const uint8_t *bytes, size_t n);

#endif
