/* keys.c - key files. */
#include "proto/stream/keys.h"

#include <dirent.h>
#include <errno.h>
#include <fcntl.h>
#include <fnmatch.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/stat.h>
#include <unistd.h>
#include <zmq.h>

#include "core/base/err.h"
#include "core/base/outfile.h"

#define SECRET "metaloop-secret-key"
#define PUBLIC "metaloop-public-key"

enum { FILE_MAX = 1 << 20, PATH_ROOM = 4608 };

/* ---- writing ---- */

static int write_key(const char *path, const char *word, const char *key, mode_t mode)
{
    int fd = open(path, O_WRONLY | O_CREAT | O_EXCL | O_CLOEXEC, mode), n, code = 0;
    char line[128];

    if (fd < 0)
        return err(outfile_code(errno), "cannot create '%s': %s", path, strerror(errno));
    n = snprintf(line, sizeof line, "%s %s\n", word, key);
    if (fchmod(fd, mode) != 0 || write(fd, line, (size_t)n) != n || fsync(fd) != 0)
        code = err(ERR_IO, "cannot write '%s': %s", path, strerror(errno));
    close(fd);
    if (code < 0)
        unlink(path);
    return code;
}

int keys_generate(const char *name)
{
    char public[KEY_TEXT], secret[KEY_TEXT], path[PATH_ROOM], hidden[PATH_ROOM];
    int code;

    if (strlen(name) > 4096)
        return err(ERR_USAGE, "a name of more than 4096 characters");
    if (zmq_curve_keypair(public, secret) != 0)
        return err(ERR_FAILED, "this libzmq has no CURVE: %s", zmq_strerror(errno));
    snprintf(path, sizeof path, "%s.public", name);
    snprintf(hidden, sizeof hidden, "%s.secret", name);
    TRY(write_key(hidden, SECRET, secret, 0600));
    code = write_key(path, PUBLIC, public, 0644);
    if (code < 0)
        unlink(hidden);
    return code;
}

/* ---- reading ---- */

static int text_read(const char *path, char **text, struct stat *st)
{
    FILE *f = fopen(path, "re");
    size_t n;

    if (!f)
        return err(ERR_NOINPUT, "cannot open '%s': %s", path, strerror(errno));
    *text = fstat(fileno(f), st) == 0 && S_ISREG(st->st_mode) ? malloc(FILE_MAX + 1) : NULL;
    if (!*text) {
        fclose(f);
        return err(ERR_CONFIG, "'%s' is not a file of keys", path);
    }
    n = fread(*text, 1, FILE_MAX, f);
    (*text)[n] = '\0';
    fclose(f);
    return 0;
}

static int line_take(const char *line, size_t n, const char *word, const char *path, int number,
                     int (*take)(void *context, const char *key), void *context)
{
    size_t head = strlen(word);
    char key[KEY_TEXT];
    uint8_t raw[KEY_BYTES];

    if (n == 0 || line[0] == '#')
        return 0;
    if (n <= head || strncmp(line, word, head) != 0 || line[head] != ' ')
        return err(ERR_CONFIG, "'%.3000s':%d: not a line '%s KEY'", path, number, word);
    if (n != head + KEY_TEXT)
        return err(ERR_CONFIG, "'%.3000s':%d: a key of %zu characters, not %d", path, number,
                   n - head - 1, KEY_TEXT - 1);
    memcpy(key, line + head + 1, KEY_TEXT - 1);
    key[KEY_TEXT - 1] = '\0';
    if (strlen(key) != KEY_TEXT - 1 || !zmq_z85_decode(raw, key))
        return err(ERR_CONFIG, "'%.3000s':%d: not a key", path, number);
    return take(context, key);
}

int keys_parse(const char *text, const char *word, const char *path,
               int (*take)(void *context, const char *key), void *context)
{
    for (int number = 1; *text; number++) {
        size_t n = strcspn(text, "\n"), trimmed = n;

        while (trimmed > 0 && strchr(" \t\r", text[trimmed - 1]))
            trimmed--;
        TRY(line_take(text, trimmed, word, path, number, take, context));
        text += n + (text[n] == '\n');
    }
    return 0;
}

static int take_one(void *context, const char *key)
{
    memcpy(context, key, KEY_TEXT);
    return 0;
}

static int read_one(const char *path, const char *word, char key[KEY_TEXT], struct stat *st)
{
    char *text;
    int code;

    key[0] = '\0';
    TRY(text_read(path, &text, st));
    code = keys_parse(text, word, path, take_one, key);
    explicit_bzero(text, strlen(text));
    free(text);
    TRY(code);
    return key[0] ? 0 : err(ERR_CONFIG, "'%s' has no line '%s KEY'", path, word);
}

int keys_read_secret(const char *path, char secret[KEY_TEXT])
{
    struct stat st;

    TRY(read_one(path, SECRET, secret, &st));
    if (st.st_mode & (S_IRWXG | S_IRWXO))
        return err(ERR_CONFIG, "'%s' has mode %04o: others may read the secret key; chmod 600 it",
                   path, (unsigned)st.st_mode & 07777);
    return 0;
}

int keys_read_public(const char *path, char public[KEY_TEXT])
{
    struct stat st;

    return read_one(path, PUBLIC, public, &st);
}

int keys_public_of(const char secret[KEY_TEXT], char public[KEY_TEXT])
{
    if (zmq_curve_public(public, secret) != 0)
        return err(ERR_FAILED, "this libzmq has no CURVE: %s", zmq_strerror(errno));
    return 0;
}

/* ---- lists ---- */

static int take_listed(void *context, const char *key)
{
    struct key_list *list = context;
    uint8_t(*keys)[KEY_BYTES];

    if (list->n == KEYS_MAX)
        return err(ERR_CONFIG, "more than %d keys of observers", KEYS_MAX);
    keys = realloc(list->keys, (size_t)(list->n + 1) * sizeof *keys);
    if (!keys)
        return err(ERR_MEMORY, "no memory for the keys of observers");
    list->keys = keys;
    zmq_z85_decode(list->keys[list->n++], key);
    return 0;
}

static int read_file(const char *path, struct key_list *list)
{
    struct stat st;
    char *text;
    int code;

    TRY(text_read(path, &text, &st));
    code = keys_parse(text, PUBLIC, path, take_listed, list);
    free(text);
    return code;
}

static int read_directory(DIR *d, const char *path, struct key_list *list)
{
    char name[PATH_ROOM];
    const struct dirent *e;

    while ((e = readdir(d))) {
        if (fnmatch("*.public", e->d_name, FNM_PERIOD) != 0)
            continue;
        snprintf(name, sizeof name, "%.4096s/%s", path, e->d_name);
        TRY(read_file(name, list));
    }
    return 0;
}

int keys_read_list(const char *path, struct key_list *list)
{
    DIR *d = opendir(path);
    int code;

    *list = (struct key_list){0};
    code = d ? read_directory(d, path, list) : read_file(path, list);
    if (d)
        closedir(d);
    if (code >= 0 && list->n == 0)
        code = err(ERR_CONFIG, "'%s' holds no public key of an observer", path);
    if (code < 0)
        keys_release(list);
    return code;
}

void keys_release(struct key_list *list)
{
    free(list->keys);
    *list = (struct key_list){0};
}
