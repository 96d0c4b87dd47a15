/* notes.h - what a user should know of the data, on standard error. */
#ifndef LAUNCH_NOTES_H
#define LAUNCH_NOTES_H

#include "core/plan/setup.h"

/* A warning line, if files of d are not read or something else about it is odd. */
void notes_of_data(const struct data *d);

/* A warning line, if pixels fill hardly any of their range. */
void notes_of_range(const struct survey *s);

/* All of these, of every open section of the setup; what two sections have from the same files is
 * told once. `known` are the n surveys of setup_survey. */
void notes_of_setup(const struct setup *setup, const struct survey *known, int n);

#endif
