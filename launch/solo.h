/* solo.h - what the verbs of one process share: configuration, data and networks, without ranks. */
#ifndef LAUNCH_SOLO_H
#define LAUNCH_SOLO_H

#include "core/config/config.h"
#include "core/plan/setup.h"
#include "launch/options.h"

struct solo {
    struct config config;
    struct setup setup;
    const struct stage *stage; /* --stage, else the last */
};

/* Reads o->places[0] with its --set, checks methods, opens data, plans networks. */
int solo_open(struct solo *s, const struct options *o);

/* The same from configuration text (a checkpoint's). */
int solo_open_text(struct solo *s, const struct options *o, const char *text, const char *name);

/* All from a checkpoint: its configuration, its stage (or --stage), and the data as it remembers
 * them; a section that it does not remember is opened. */
int solo_open_checkpoint(struct solo *s, const struct options *o, const char *path);

/* path (n bytes): the file that was given, or the newest good checkpoint of the run's directory
 * that was. ERR_NOINPUT if the directory holds none. */
int solo_find_checkpoint(const char *given, char *path, size_t n);

/* theta (P of a model): parameters of a stage before its first round, whatever an earlier stage
 * would hand over. Errors of scale_fill. */
int solo_draw(const struct setup *s, const struct stage *stage, uint64_t seed, real *theta);

/* Closes what was opened. */
void solo_close(struct solo *s);

/* Where model.statistics is auto, what a file of parameters holds decides: without running
 * statistics they are made for the batch's. Errors of checkpoint_peek; ERR_MEMORY. */
int settle_statistics(struct config *c, const char *path);

/* ERR_CONFIG if the first stage's method goes on from a trained network. A gradient needs none: its
 * parameters are given. */
int check_first(const struct config *c);

int check_methods(const struct config *c); /* ERR_CONFIG suggests the nearest */

#endif
