/* inspect.h - what `metaloop inspect` says of a run's directory. */
#ifndef LAUNCH_INSPECT_H
#define LAUNCH_INSPECT_H

/* Prints whose run it is, whether it lives, where it stands, what it measured last, its
 * checkpoints. Reads no more than the end of metrics.jsonl, however long it is. ERR_DATA: the
 * directory holds no run. ERR_NOINPUT. */
int inspect_run(const char *directory);

#endif
