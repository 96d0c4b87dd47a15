/* folder.h - collecting image files from a directory or an archive. */
#ifndef CORE_DATA_FOLDER_H
#define CORE_DATA_FOLDER_H

#include "core/data/decode.h"
#include "core/data/store.h"

struct item {
    char *path; /* owned; relative to the root; once collected, the class and NUL and the file */
    uint32_t image;
};

struct folder_taker {             /* who takes images one by one, instead of the store */
    bool (*wants)(void *context); /* whether to decode the next */
    int (*take)(void *context,
                const char *path); /* the store's only image; path: clean, relative */
    void *context;
};

struct folder {
    const struct store_source *src;   /* borrowed */
    const struct folder_taker *taker; /* borrowed; NULL: the store keeps the images */
    struct store *store;              /* borrowed; its pixels grow */
    bool single;                      /* src->path is an image itself */
    struct picture picture;
    size_t packed, unpacked; /* bytes of the files so far, and of their pixels */
    struct item *items;      /* owned */
    uint32_t n, room;
    char **directories; /* owned, each */
    uint32_t n_directories;
    uint32_t n_passed;        /* files that are not read, */
    char *passed;             /* owned: and the first of them */
    char *first;              /* owned: the image that the others are like */
    const struct shape *like; /* borrowed: its shape; NULL: the store's, from the first on */
};

enum folder_kind {
    KIND_IMAGE, /* named like an image, and PNG or JPEG as far as was looked; not hidden */
    KIND_OTHER, /* not read; counted, and the first one named */
    KIND_JUNK,  /* left by operating systems: .DS_Store, ._x, __MACOSX, Thumbs.db, desktop.ini */
};

/* Whether a part of the path is hidden, or junk. */
void folder_look(const char *path, bool *hidden, bool *junk);
/* What a file is, by its name and its first n bytes. ERR_DATA for an image that is not read, such
 * as GIF, and for one of another name than .png, .jpg or .jpeg. */
int folder_kind(const struct folder *f, const char *path, const uint8_t *bytes, size_t n,
                enum folder_kind *kind);
int folder_pass_over(struct folder *f, const char *path); /* a file that is not read */
int folder_directory(struct folder *f, const char *path); /* one that may end up without an image */
/* Decodes, frames and keeps one image; if the store is only listed, the first alone is decoded.
 * path is relative to the root. */
int folder_add(struct folder *f, const char *path, const uint8_t *bytes, size_t n);
/* All images of src->path: a directory, its files by name; an archive in its order; if somebody
 * takes them one by one, an image file, too. ERR_NOINPUT, ERR_DATA, what `take` returned. */
int folder_collect(struct folder *f);
/* The item of that path, once the folder is indexed; NULL: none. path is cut in two at its last
 * slash. */
const struct item *folder_find(const struct folder *f, char *path);
/* Orders classes and files by name, and makes the store's index and names. */
int folder_index(struct folder *f);
void folder_release(struct folder *f);

#endif
