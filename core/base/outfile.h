/* outfile.h - an output file, written in the way that its kind needs.
 *
 * A regular file, or a new one, is whole under its name or not there: the bytes go into
 * PATH.tmp-PID-N beside the target; the commit syncs them, renames and syncs the directory. So a
 * name stands for the old file or for the whole new one at every moment, whatever is killed, full
 * or failing. Only a killed process leaves its temporary behind; outfile_clean removes it. An
 * existing file keeps its mode, and its owner if we may set it; its other hard links keep the old
 * content; a file that we may not write is refused. If the directory takes no new file, but the
 * file may be written, it is written in place.
 *
 * A symbolic link stays: its target is written. A device, a FIFO or an open descriptor
 * (/dev/stdout, /dev/fd/3, /proc/self/fd/3) is written in place, and nothing is renamed, truncated
 * or given a mode. A FIFO that nobody reads is waited for OUTFILE_PATIENCE seconds. A directory is
 * refused. */
#ifndef CORE_BASE_OUTFILE_H
#define CORE_BASE_OUTFILE_H

#include <stdbool.h>
#include <stddef.h>

struct outfile {
    const char *path; /* borrowed; for errors */
    char *target;     /* owned; where path leads */
    char *temporary;  /* owned; NULL: written in place */
    int fd;           /* -1 after outfile_sync */
    int error;        /* errno of the first write that failed */
};

enum { OUTFILE_PATIENCE = 30 };

/* Creates the temporary, or opens what is written in place; the umask applies to a new file. Errors
 * name the path:
 * ERR_CANTCREAT, ERR_IO, ERR_MEMORY. */
int outfile_open(struct outfile *f, const char *path);

/* Adds n bytes. What fails is kept for the commit. */
void outfile_write(struct outfile *f, const void *bytes, size_t n);

/* All bytes are on the disk; the file does not have its name yet. Nothing can be added. For several
 * files that get their names together; outfile_commit follows. On an error f is as before, for
 * outfile_abandon: ERR_IO. */
int outfile_sync(struct outfile *f);

/* Ends f. 0: the file is there, and stays after a power cut. Else the file of that name is as it
 * was (or, if only the directory could not be synced, is the new one, whole) and no temporary is
 * left: ERR_CANTCREAT, ERR_IO. */
int outfile_commit(struct outfile *f);

/* Ends f without a file. */
void outfile_abandon(struct outfile *f);

/* Opening, all bytes and the commit. */
int outfile_whole(const char *path, const void *bytes, size_t n);

/* A descriptor for an output that grows while it is read: a regular file is made, or emptied, and
 * written under its name. Everything else is as above. ERR_CANTCREAT, ERR_IO name the path. */
int outfile_stream(const char *path);

/* Where path leads, through the symbolic links of its last component; owned by the caller, NULL if
 * that cannot be told. */
char *outfile_target(const char *path);

/* False: what is written there is added to what was written before (a device, a FIFO, a
 * descriptor). */
bool outfile_replaces(const char *path);

/* Syncs the directory that holds path. ERR_IO. */
int outfile_sync_directory(const char *path);

/* Removes the temporaries, of any process and host, of every file in `directory` whose name
 * `is_ours`. A temporary that cannot be removed does no harm and is left. */
void outfile_clean(const char *directory, bool (*is_ours)(const char *name));

/* What an errno of creating or writing a file is: ERR_IO if the disk is at fault (full, quota,
 * read-only, input/output error), ERR_CANTCREAT else. */
int outfile_code(int error);

#endif
