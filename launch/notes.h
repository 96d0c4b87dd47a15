/* notes.h - what a user should know of the data, on standard error. */
#ifndef LAUNCH_NOTES_H
#define LAUNCH_NOTES_H

#include "core/plan/setup.h"

/* A warning line of each thing that is odd about d: files that are not read, pixels that fill
 * hardly any of their range. *s is its survey. */
void notes_of_data(const struct data *d, const struct survey *s);

/* Of every open section of the setup; what two sections have from the same files is told once.
 * `known` are the n surveys of setup_survey. */
void notes_of_setup(const struct setup *setup, const struct survey *known, int n);

#endif
