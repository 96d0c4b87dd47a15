/* sheet.c - which kind of file a table is in. */
#include "core/data/sheet.h"

#include <stdlib.h>
#include <string.h>

#include "core/base/err.h"

void sheet_release(struct sheet *s)
{
    blob_release(&s->inputs);
    names_release(&s->names);
    names_release(&s->goals);
    free(s->targets);
    free(s->classes);
    free(s->time);
    *s = (struct sheet){0};
}

static int read_text(struct sheet *s, const struct sheet_wanted *w, const char *path)
{
    struct blob b;
    int code;

    TRY(blob_map(&b, path));
    code = blob_gunzip(&b, path);
    if (code >= 0)
        code = sheet_read_csv(s, w, &b, path);
    code = blob_whole(&b) < 0 ? ERR_DATA : code;
    blob_release(&b);
    return code;
}

/* Whether the file's name, before a ":MEMBER", ends so. */
static bool ends(const char *path, const char *end)
{
    size_t n = strlen(path), m = strlen(end);

    return n >= m && strcmp(path + n - m, end) == 0;
}

int sheet_read(struct sheet *s, const struct sheet_wanted *w, const char *path)
{
    *s = (struct sheet){0};
    if (ends(path, ".npy"))
        return sheet_read_npy(s, w, path);
    if (ends(path, ".npz"))
        return sheet_read_npz(s, w, path);
    return read_text(s, w, path);
}
