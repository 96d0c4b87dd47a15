/* keys.h - CURVE keys in files of one line each:
 *
 *     NAME.secret    metaloop-secret-key SECRET     40 characters of Z85; only for its owner
 *     NAME.public    metaloop-public-key PUBLIC     what the other side is given
 * / */
#ifndef PROTO_STREAM_KEYS_H
#define PROTO_STREAM_KEYS_H

#include <stddef.h>
#include <stdint.h>

enum { KEY_TEXT = 41, KEY_BYTES = 32, KEYS_MAX = 4096 };

/* Writes a new pair of keys to NAME.secret and NAME.public. On an error neither file is left.
 * ERR_CANTCREAT: one of them exists already, or cannot be made; ERR_IO; ERR_USAGE: the name is too
 * long; ERR_FAILED: this libzmq has no CURVE. */
int keys_generate(const char *name);

/* Reads a secret key from a file, which nobody else may be able to read. Errors name the path:
 * ERR_NOINPUT, ERR_CONFIG. */
int keys_read_secret(const char *path, char secret[KEY_TEXT]);

/* Reads a public key from a file. Errors name the path: ERR_NOINPUT, ERR_CONFIG. */
int keys_read_public(const char *path, char public[KEY_TEXT]);

/* Computes the public key that belongs to a secret one. ERR_FAILED: this libzmq has no CURVE. */
int keys_public_of(const char secret[KEY_TEXT], char public[KEY_TEXT]);

struct key_list {
    int n;
    uint8_t (*keys)[KEY_BYTES]; /* owned */
};

/* Reads public keys: those of a file, one a line, or of every file *.public of a directory. The
 * caller releases the list. Errors name the path: ERR_NOINPUT; ERR_CONFIG, also for no key at all
 * or more than KEYS_MAX. */
int keys_read_list(const char *path, struct key_list *list);

/* Frees the list and zeroes it. */
void keys_release(struct key_list *list);

/* Hands each key of a file's text to take(context, key), which returns 0 or an error. A line is
 * `word` and a key; blank lines and those that begin with # are skipped. path is for errors:
 * ERR_CONFIG, and what take returns. */
int keys_parse(const char *text, const char *word, const char *path,
               int (*take)(void *context, const char *key), void *context);

#endif
