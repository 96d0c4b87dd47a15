/* name.h - the name that a configuration gives its run. */
#ifndef OBSERVER_SOURCE_NAME_H
#define OBSERVER_SOURCE_NAME_H

#include <stdbool.h>
#include <stddef.h>

/* Reads run { name = ... } of a configuration's text, with its comments, quotes and escapes; at most n - 1 bytes, not
 * cleaned. False: there is none, and name is as it was. */
bool name_read(const char *text, char *name, size_t n);

#endif
