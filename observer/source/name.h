/* name.h - the name that a configuration gives its run. */
#ifndef OBSERVER_SOURCE_NAME_H
#define OBSERVER_SOURCE_NAME_H

#include <stdbool.h>
#include <stddef.h>

/* Reads run { name = ... } from a configuration's text, with comments, quotes and escapes. Copies
 * at most n - 1 bytes, not cleaned. False if there is none: then name is unchanged. */
bool name_read(const char *text, char *name, size_t n);

#endif
