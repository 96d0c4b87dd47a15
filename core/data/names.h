/* names.h - class names, and the lists that select classes by name. */
#ifndef CORE_DATA_NAMES_H
#define CORE_DATA_NAMES_H

#include <stdint.h>

#include "core/config/config.h"

enum { LABEL_MAX = 1 << 18 }; /* labels, and the number of class names, are below this */

struct names {
    uint32_t n;
    char **items; /* owned; point into text */
    char *text;   /* owned */
    char *above;  /* owned; the folders that all names were in, which they do not tell; or NULL */
};

/* One name per line, spaces around it dropped; a blank line is an empty name. ERR_NOINPUT,
 * ERR_DATA. */
int names_read(struct names *v, const char *path);
int names_number(struct names *v, uint32_t n); /* "0", "1", ... */
/* None is empty, but at the end, where blank lines go, and none there twice. */
int names_check_all(struct names *v, const char *path);
void names_release(struct names *v);

/* Folders that hold all classes are no part of their names: "tree/cat", "tree/dog" become "cat",
 * "dog". */
int names_shorten(struct names *v);

/* Classes in the order of the lists' lines (blank ones skipped). An entry means the one class whose
 * name equals it; else the one whose name ends with "/" and the entry; `above`, or its end behind a
 * "/", may stand before it. first[i] .. first[i + 1] are the images of class i. *selected is owned
 * by the caller. ERR_DATA naming list and line: no such class, more than one, one named before, one
 * without images. */
int names_select(const struct names *v, const uint32_t *first, const struct strings *lists,
                 const char *root, uint32_t **selected, uint32_t *n_selected);

/* root/path, or path if it is absolute or root is empty; owned by the caller; NULL: no memory. */
char *path_join(const char *root, const char *path);

#endif
