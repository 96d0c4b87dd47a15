/* page.h - the files of the web page, which are part of the program. */
#ifndef OBSERVER_VIEW_PAGE_H
#define OBSERVER_VIEW_PAGE_H

#include <stddef.h>

struct page_file {
    const char *path, *type; /* "/app.js", "text/javascript; charset=utf-8" */
    const unsigned char *bytes, *end;
};

/* The file at this path of the URL; NULL if there is none. */
const struct page_file *page_find(const char *path);

#endif
