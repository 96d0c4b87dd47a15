/* seems.c - formats by their first bytes, and what to do about a file of each. */
#include "core/data/seems.h"

#include <stdbool.h>
#include <string.h>

static const struct {
    const char *magic;
    size_t n, at;
    const char *says;
} formats[] = {
    {"\x93NUMPY", 6, 0, ": it seems to be a .npy file; set format = \"npy\" for it"},
    {"PK\3\4", 4, 0,
     ": it seems to be a zip file; set format = \"folder\" for one of image files, \"npz\" for "
     "NumPy's"},
    {"PK\5\6", 4, 0, ": it seems to be a zip file without anything in it"},
    {"\x1f\x8b", 2, 0,
     ": it seems to be a gzip file; unpack it with gunzip, or, of a .tar.gz of image files, set "
     "format = \"folder\""},
    {"BZh", 3, 0,
     ": it seems to be a bzip2 file, which is not read; unpack it with bunzip2 (.gz and .zip are "
     "read)"},
    {"\xfd\x37zXZ", 6, 0,
     ": it seems to be an xz file, which is not read; unpack it with unxz (.gz and .zip are read)"},
    {"\x28\xb5\x2f\xfd", 4, 0,
     ": it seems to be a Zstandard file, which is not read; unpack it with unzstd (.gz and .zip "
     "are "
     "read)"},
    {"7z\xbc\xaf\x27\x1c", 6, 0,
     ": it seems to be a 7-Zip file, which is not read; unpack it with 7z x (.tar.gz and .zip are "
     "read)"},
    {"Rar!\x1a\x07", 6, 0,
     ": it seems to be a RAR file, which is not read; unpack it with unrar x (.tar.gz and .zip are "
     "read)"},
    {"\x1f\x9d", 2, 0,
     ": it seems to be a file of compress (.Z), which is not read; unpack it with uncompress (.gz "
     "and .zip are read)"},
    {"\x04\x22\x4d\x18", 4, 0,
     ": it seems to be an LZ4 file, which is not read; unpack it with unlz4 (.gz and .zip are "
     "read)"},
    {"\x89PNG\r\n", 6, 0,
     ": it seems to be a PNG image; set format = \"folder\", and path to the folder whose folders "
     "are the classes"},
    {"\xff\xd8\xff", 3, 0,
     ": it seems to be a JPEG image; set format = \"folder\", and path to the folder whose folders "
     "are the classes"},
    {"GIF8", 4, 0, ": it seems to be a GIF image, which is not read; convert the images to PNG"},
    {"\x89HDF\r\n", 6, 0,
     ": it seems to be an HDF5 file, which is not read; save its arrays with numpy.save"},
    {"MATLAB", 6, 0,
     ": it seems to be a MATLAB file, which is not read; save its arrays with numpy.save"},
    {"PAR1", 4, 0,
     ": it seems to be a Parquet file, which is not read; save its arrays with numpy.save"},
    {"%PDF", 4, 0, ": it seems to be a PDF file"},
    {"version https://git-lfs", 23, 0,
     ": it seems to be a pointer of Git LFS, not the file itself; get that with git lfs pull"},
    {"ustar", 5, 257,
     ": it seems to be a tar file; set format = \"folder\" for one of image files"},
};

static bool is_text(const uint8_t *bytes, size_t n)
{
    for (size_t i = 0; i < n; i++)
        if ((bytes[i] < ' ' && !strchr("\t\r\n\f", bytes[i])) || bytes[i] == 0 || bytes[i] == 127)
            return false;
    return true;
}

static bool is_idx(const uint8_t *p, size_t n)
{
    return n >= 8 && p[0] == 0 && p[1] == 0 && p[2] >= 8 && p[2] <= 14 && p[3] >= 1 && p[3] <= 4;
}

const char *seems(const uint8_t *bytes, size_t n)
{
    if (n == 0)
        return ": it is empty";
    for (size_t i = 0; i < sizeof formats / sizeof *formats; i++)
        if (n >= formats[i].at + formats[i].n &&
            memcmp(bytes + formats[i].at, formats[i].magic, formats[i].n) == 0)
            return formats[i].says;
    if (is_idx(bytes, n))
        return ": it seems to be an idx file; set format = \"idx\" for it";
    if (n >= 2 && bytes[0] == 0x80 && bytes[1] >= 2 && bytes[1] <= 5)
        return ": it seems to be a pickle of Python, which is not read; save its arrays with "
               "numpy.save";
    return is_text(bytes, n < SEEMS_HEAD ? n : SEEMS_HEAD) ? ": it seems to be text" : "";
}
