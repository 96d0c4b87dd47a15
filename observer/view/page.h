/* page.h - the files of the page, part of the program. */
#ifndef OBSERVER_VIEW_PAGE_H
#define OBSERVER_VIEW_PAGE_H

#include <stddef.h>

struct page_file {
    const char *path, *type; /* "/app.js", "text/javascript; charset=utf-8" */
    const unsigned char *bytes, *end;
};

const struct page_file *page_find(const char *path); /* NULL: there is none */

#endif
