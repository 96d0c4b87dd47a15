/* blob.h - bytes in memory, mapped from a file or owned, and the limits that keep hostile files
 * small. */
#ifndef CORE_DATA_BLOB_H
#define CORE_DATA_BLOB_H

#include <stddef.h>
#include <stdint.h>

/* A compressed file may unpack to DATA_RATIO_MAX times its size plus DATA_RATIO_FREE bytes; MNIST
 * unpacks to 5 times, Omniglot's PNG files to 60 times. Any part of it, from its start, may unpack
 * to DATA_RATIO_SLACK more than that, so that a large bomb is noticed early. Nothing unpacks to
 * more than DATA_BYTES_MAX. Arrays that are mapped have no limit but the file. */
#define DATA_RATIO_MAX 256u
#define DATA_RATIO_FREE ((size_t)1 << 20)
#define DATA_RATIO_SLACK ((size_t)8 << 20)
#define DATA_BYTES_MAX ((size_t)16 << 30)

struct mapped; /* core/data/mapped.h */

struct blob {
    uint8_t *bytes; /* owned; mapped ones are read only */
    size_t n;
    struct mapped *map; /* owned, if they are mapped; else NULL */
};

/* Maps the regular file at path. ERR_NOINPUT if it cannot be opened. */
int blob_map(struct blob *b, const char *path);

/* If b holds a gzip stream, unpacks it; otherwise leaves b as it is. */
int blob_gunzip(struct blob *b, const char *path);

/* ERR_DATA if the file that b maps has shrunk since, and zeros were read instead. */
int blob_whole(const struct blob *b);

int blob_alloc(struct blob *b, size_t n); /* ERR_MEMORY */
void blob_release(struct blob *b);        /* frees or unmaps the bytes */

/* The most that n compressed bytes may unpack to. */
size_t blob_limit(size_t n);
/* The most that the first n bytes of a compressed file may unpack to. */
size_t blob_limit_so_far(size_t n);

#endif
