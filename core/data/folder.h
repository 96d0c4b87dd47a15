/* folder.h - collecting PNG files from wherever they lie. */
#ifndef CORE_DATA_FOLDER_H
#define CORE_DATA_FOLDER_H

#include "core/data/png.h"
#include "core/data/store.h"

struct item {
    char *path; /* owned; relative to the root; once collected, the class and NUL and the file */
    uint32_t image;
};

struct folder {
    const struct source *src; /* borrowed */
    struct store *store;      /* borrowed; its pixels grow */
    struct picture picture;
    size_t packed, unpacked; /* bytes of the PNG files so far, and of their pixels */
    struct item *items;      /* owned */
    uint32_t n, room;
};

/* Whether a file counts: it ends in .png and neither it nor a folder above it is hidden. */
bool folder_wants(const char *path);
/* Decodes, resizes and keeps one image. path is relative to the root. */
int folder_add(struct folder *f, const char *path, const uint8_t *bytes, size_t n);
/* Orders classes and files by name, and makes the store's index and names. */
int folder_index(struct folder *f);
void folder_release(struct folder *f);

#endif
