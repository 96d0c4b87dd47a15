/* outfile.h - a whole file under its name, or none.
 *
 * The bytes go into PATH.tmp-PID-N beside the target; the commit syncs them, renames and syncs the directory. So a name
 * stands for the old file or for the whole new one at every moment, whatever is killed, full or failing. Only a
 * killed process leaves its temporary behind; outfile_clean removes it. */
#ifndef CORE_OUTFILE_H
#define CORE_OUTFILE_H

#include <stdbool.h>
#include <stddef.h>

struct outfile {
    const char *path; /* borrowed */
    char *temporary;  /* owned */
    int fd;
    int error; /* errno of the first write that failed */
};

/* Creates the temporary; the umask applies. Errors name the path: ERR_CANTCREAT, ERR_IO, ERR_MEMORY. */
int outfile_open(struct outfile *f, const char *path);

/* Adds n bytes. What fails is kept for the commit. */
void outfile_write(struct outfile *f, const void *bytes, size_t n);

/* Ends f. 0: the file is there, and stays after a power cut. Else the file of that name is as it was (or, where
 * only the directory could not be synced, is the new one, whole) and no temporary is left: ERR_CANTCREAT, ERR_IO. */
int outfile_commit(struct outfile *f);

/* Ends f without a file. */
void outfile_abandon(struct outfile *f);

/* Opening, all bytes and the commit. */
int outfile_whole(const char *path, const void *bytes, size_t n);

/* Syncs the directory that holds path. ERR_IO. */
int outfile_sync_directory(const char *path);

/* Removes the temporaries, of any process and host, of every file in `directory` whose name `is_ours`. A temporary
 * that cannot be removed does no harm and is left. */
void outfile_clean(const char *directory, bool (*is_ours)(const char *name));

/* What an errno of creating or writing a file is: ERR_IO where the disk is at fault (full, quota, read-only,
 * input/output error), ERR_CANTCREAT else. */
int outfile_code(int error);

#endif
