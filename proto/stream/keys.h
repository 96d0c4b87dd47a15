/* keys.h - CURVE keys in files of one line each:
 *
 *     NAME.secret    metaloop-secret-key SECRET     40 characters of Z85; nobody but the owner may read it
 *     NAME.public    metaloop-public-key PUBLIC     what the other side is given
 */
#ifndef PROTO_STREAM_KEYS_H
#define PROTO_STREAM_KEYS_H

#include <stddef.h>
#include <stdint.h>

enum { KEY_TEXT = 41, KEY_BYTES = 32, KEYS_MAX = 4096 };

/* A new pair. ERR_CANTCREAT: one of the files is there already, or cannot be made; ERR_IO; neither is left then. */
int keys_generate(const char *name);

/* Of a file that nobody else may read. Errors name the path: ERR_NOINPUT, ERR_CONFIG. */
int keys_read_secret(const char *path, char secret[KEY_TEXT]);
int keys_read_public(const char *path, char public[KEY_TEXT]);

/* The public key that belongs to a secret one. */
int keys_public_of(const char secret[KEY_TEXT], char public[KEY_TEXT]);

struct key_list {
    int n;
    uint8_t (*keys)[KEY_BYTES]; /* owned */
};

/* Public keys: those of a file, a line each, or of every file *.public of a directory. At least one. */
int keys_read_list(const char *path, struct key_list *list);
void keys_release(struct key_list *list);

/* The lines of a file's text; blank ones and those that begin with # are skipped. path is for errors. */
int keys_parse(const char *text, const char *word, const char *path,
               int (*take)(void *context, const char *key), void *context);

#endif
