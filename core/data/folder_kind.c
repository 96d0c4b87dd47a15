/* folder_kind.c - what a file of a folder is, by its name and its first bytes. */
#include <string.h>
#include <strings.h>

#include "core/base/err.h"
#include "core/data/folder.h"

static bool is_junk(const char *part, size_t n)
{
    static const char *const junk[] = {".DS_Store", "__MACOSX", "Thumbs.db", "desktop.ini", NULL};

    for (int i = 0; junk[i]; i++)
        if (strlen(junk[i]) == n && strncasecmp(part, junk[i], n) == 0)
            return true;
    return n > 2 && strncmp(part, "._", 2) == 0;
}

/* Walks the parts of a path; true if one of them is hidden or junk. */
void folder_look(const char *path, bool *hidden, bool *junk)
{
    *hidden = *junk = false;
    while (*path) {
        size_t n = strcspn(path, "/");

        *junk |= is_junk(path, n);
        *hidden |= *path == '.' && !(n == 1);
        path += n + (path[n] == '/');
    }
}

static bool ends_in(const char *path, const char *const *ends)
{
    size_t n = strlen(path);

    for (; *ends; ends++)
        if (n > strlen(*ends) && strcasecmp(path + n - strlen(*ends), *ends) == 0)
            return true;
    return false;
}

static const char *format_of(const uint8_t *p, size_t n)
{
    static const struct {
        const char *name, *magic;
        size_t n;
    } formats[] = {{"PNG", "\x89PNG\r\n", 6}, {"JPEG", "\xff\xd8\xff", 3}, {"GIF", "GIF8", 4},
                   {"TIFF", "II*\0", 4},      {"TIFF", "MM\0*", 4},        {"WebP", "RIFF", 4},
                   {"BMP", "BM", 2}};

    for (size_t i = 0; i < sizeof formats / sizeof *formats; i++)
        if (n >= formats[i].n && memcmp(p, formats[i].magic, formats[i].n) == 0)
            return formats[i].name;
    return NULL;
}

static int name_refuse(const struct folder *f, const char *path, const char *format)
{
    if (!format)
        return err(ERR_DATA,
                   "'%s' holds '%s', which is named like an image but has no known image format",
                   f->src->path, path);
    if (strcmp(format, "PNG") == 0 || strcmp(format, "JPEG") == 0)
        return err(ERR_DATA, "'%s' holds the %s file '%s': call it .%s", f->src->path, format, path,
                   strcmp(format, "PNG") == 0 ? "png" : "jpg");
    return err(ERR_DATA,
               "'%s' holds '%s', which is a %s file: %s is not read, convert the images to PNG "
               "or JPEG",
               f->src->path, path, format, format);
}

int folder_kind(const struct folder *f, const char *path, const uint8_t *bytes, size_t n,
                enum folder_kind *kind)
{
    static const char *const png[] = {".png", NULL},
                             *const read[] = {".png", ".jpg", ".jpeg", NULL},
                             *const others[] = {".jpe", ".jfif", ".gif",  ".bmp",
                                                ".tif", ".tiff", ".webp", NULL};
    const char *format = format_of(bytes, n);
    bool known = format && (strcmp(format, "PNG") == 0 || strcmp(format, "JPEG") == 0);
    bool hidden, junk;

    folder_look(path, &hidden, &junk);
    *kind = junk ? KIND_JUNK : KIND_OTHER;
    if (junk || hidden)
        return 0;
    if (ends_in(path, read))
        *kind = KIND_IMAGE;
    if (!bytes || (*kind == KIND_IMAGE && known) || (!format && ends_in(path, png)))
        return 0; /* a .png of a few bytes is one that was cut off */
    if (*kind == KIND_IMAGE || ends_in(path, others))
        return name_refuse(f, path, format);
    return 0;
}
